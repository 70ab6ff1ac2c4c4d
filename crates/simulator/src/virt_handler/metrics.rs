//! Writes the metrics of a virt-handler, in the text format of Prometheus.

use std::{fmt::Write, sync::Arc};

use crate::{
    activity::Activity,
    clock::Millis,
    guest::Guest,
    load,
    objects::{self, Body, Part},
};

/// The version of KubeVirt.
pub const VERSION: &str = "v1.6.2";

/// A family: its name without the prefix, its type, and how its series follow from a guest.
type Family = (&'static str, &'static str, fn(&Sampled, &mut Vec<Value>));

/// The value of one series, and its labels beside those of the guest.
type Value = (String, f64);

/// A guest at the time of a request.
struct Sampled<'a> {
    guest: &'a Guest,
    activity: Activity,
    /// Seconds for which it has been counted.
    seconds: f64,
    available: f64,
    usable: f64,
}

const FAMILIES: [Family; 23] = [
    ("cpu_usage_seconds_total", "counter", |of, to| to.push(of.whole(of.seconds * of.cores()))),
    ("memory_actual_balloon_bytes", "gauge", |of, to| to.push(of.whole(of.guest.memory_bytes() as f64))),
    ("memory_available_bytes", "gauge", |of, to| to.push(of.whole(of.available))),
    ("memory_domain_bytes", "gauge", |of, to| to.push(of.whole(of.guest.memory_bytes() as f64))),
    ("memory_pgmajfault_total", "counter", |of, to| to.push(of.whole(of.counted(of.activity.major_faults)))),
    ("memory_swap_in_traffic_bytes", "gauge", |of, to| to.push(of.whole(of.counted(of.activity.swap_in)))),
    ("memory_swap_out_traffic_bytes", "gauge", |of, to| to.push(of.whole(of.counted(of.activity.swap_out)))),
    ("memory_unused_bytes", "gauge", |of, to| to.push(of.whole(of.usable / 2.0))),
    ("memory_usable_bytes", "gauge", |of, to| to.push(of.whole(of.usable))),
    ("network_receive_bytes_total", "counter", |of, to| of.interfaces(to, of.activity.receive)),
    ("network_receive_errors_total", "counter", |of, to| of.interfaces(to, 0)),
    ("network_receive_packets_dropped_total", "counter", |of, to| of.interfaces(to, of.activity.drops)),
    ("network_transmit_bytes_total", "counter", |of, to| of.interfaces(to, of.activity.transmit)),
    ("network_transmit_errors_total", "counter", |of, to| of.interfaces(to, 0)),
    ("network_transmit_packets_dropped_total", "counter", |of, to| of.interfaces(to, 0)),
    ("storage_iops_read_total", "counter", |of, to| of.drives(to, of.activity.reads as f64)),
    ("storage_iops_write_total", "counter", |of, to| of.drives(to, of.activity.writes as f64)),
    ("storage_read_times_seconds_total", "counter", |of, to| of.drives(to, of.busy(of.activity.reads))),
    ("storage_read_traffic_bytes_total", "counter", |of, to| of.drives(to, of.activity.read as f64)),
    ("storage_write_times_seconds_total", "counter", |of, to| of.drives(to, of.busy(of.activity.writes))),
    ("storage_write_traffic_bytes_total", "counter", |of, to| of.drives(to, of.activity.write as f64)),
    ("vcpu_delay_seconds_total", "counter", |of, to| of.vcpus(to, of.activity.wait as f64 / 1000.0)),
    ("vcpu_wait_seconds_total", "counter", |of, to| of.vcpus(to, 0.0)),
];

/// Returns the metrics of a node's guests at `now`.
pub fn write(node: &str, guests: &[Arc<Guest>], now: Millis) -> String {
    let mut out = format!(
        "# HELP go_goroutines Number of goroutines that currently exist.\n# TYPE go_goroutines gauge\ngo_goroutines 312\n\
         # HELP kubevirt_info Version information.\n# TYPE kubevirt_info gauge\n\
         kubevirt_info{{goversion=\"go1.23.9\",kubeversion=\"{VERSION}\"}} 1\n"
    );
    let sampled: Vec<(Sampled<'_>, String)> =
        guests.iter().map(|guest| (Sampled::new(guest, now), labels(node, guest))).collect();
    let mut values = Vec::new();
    for (name, kind, series) in FAMILIES {
        let _ =
            writeln!(out, "# HELP kubevirt_vmi_{name} As in KubeVirt.\n# TYPE kubevirt_vmi_{name} {kind}");
        for (guest, labels) in &sampled {
            series(guest, &mut values);
            for (own, value) in values.drain(..) {
                let _ = writeln!(out, "kubevirt_vmi_{name}{{{own}{labels}}} {value}");
            }
        }
    }
    out
}

/// The labels of every series of a guest. KubeVirt adds all labels of the instance.
fn labels(node: &str, guest: &Arc<Guest>) -> String {
    let mut out = String::new();
    for (name, value) in objects::labels(&Body::Guest(Part::Instance, guest.clone())) {
        let name = name.replace(['.', '/', '-'], "_");
        let _ = write!(out, "kubernetes_vmi_label_{name}={value:?},");
    }
    let _ = write!(out, "name={:?},namespace={:?},node={node:?}", guest.vm_name, guest.namespace);
    out
}

impl<'a> Sampled<'a> {
    fn new(guest: &'a Guest, now: Millis) -> Self {
        let memory = guest.memory_bytes();
        // As in the series that Prometheus has of the same guest.
        let available = memory - memory / 30;
        let used = load::bytes(&guest.load.usage(guest.cpu, memory, now).memory).unwrap_or(0);
        Self {
            guest,
            activity: guest.activity(),
            seconds: guest.counted_for(now) as f64 / 1000.0,
            available: available as f64,
            usable: available.saturating_sub(used - used / 2) as f64,
        }
    }

    /// A series of the whole guest.
    fn whole(&self, value: f64) -> Value {
        (String::new(), value)
    }

    fn counted(&self, per_second: u64) -> f64 {
        (per_second as f64 * self.seconds).floor()
    }

    /// A counter never falls, so it follows the size of the guest and not its load.
    fn cores(&self) -> f64 {
        f64::from(self.guest.cpu) / 4.0
    }

    fn interfaces(&self, to: &mut Vec<Value>, per_second: u64) {
        let value = self.counted(per_second);
        to.extend(
            self.guest.networks.iter().map(|network| (format!("interface={:?},", network.name), value)),
        );
    }

    fn drives(&self, to: &mut Vec<Value>, per_second: f64) {
        let value = per_second * self.seconds;
        to.extend(self.guest.disks.iter().map(|disk| (format!("drive={:?},", disk.name), value)));
    }

    fn vcpus(&self, to: &mut Vec<Value>, per_second: f64) {
        let value = per_second * self.seconds;
        to.extend((0..self.guest.cpu).map(|id| (format!("id=\"{id}\","), value)));
    }

    /// Seconds of each second that so many operations take.
    fn busy(&self, operations: u64) -> f64 {
        operations as f64 * self.activity.latency as f64 / 1e6
    }
}

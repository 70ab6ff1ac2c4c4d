//! The families of one guest, as KubeVirt 1.6 names them (`pkg/monitoring/metrics/virt-handler/domainstats`).

use super::sampled::{Sampled, Value};

/// A family: its name without the prefix, its type, and how its series follow from a guest.
pub type Family = (&'static str, &'static str, fn(&Sampled, &mut Vec<Value>));

pub const FAMILIES: [Family; 37] = [
    ("cpu_system_usage_seconds_total", "counter", |of, to| to.push(of.whole(of.cpu() * 0.2))),
    ("cpu_usage_seconds_total", "counter", |of, to| to.push(of.whole(of.cpu()))),
    ("cpu_user_usage_seconds_total", "counter", |of, to| to.push(of.whole(of.cpu() * 0.8))),
    ("filesystem_capacity_bytes", "gauge", |of, to| of.file_systems(to, |system| system.total)),
    ("filesystem_used_bytes", "gauge", |of, to| of.file_systems(to, |system| system.used)),
    ("memory_actual_balloon_bytes", "gauge", |of, to| to.push(of.whole(of.total()))),
    ("memory_available_bytes", "gauge", |of, to| to.extend(of.guest_memory(of.available))),
    ("memory_cached_bytes", "gauge", |of, to| to.extend(of.guest_memory(of.usable / 2.0))),
    ("memory_domain_bytes", "gauge", |of, to| to.push(of.whole(of.total()))),
    ("memory_pgmajfault_total", "counter", |of, to| {
        to.extend(of.guest_memory(of.counted(|does| does.major_faults)))
    }),
    ("memory_pgminfault_total", "counter", |of, to| {
        to.extend(of.guest_memory(of.counted(|does| does.reads * 50)))
    }),
    ("memory_resident_bytes", "gauge", |of, to| to.push(of.whole(of.resident))),
    ("memory_swap_in_traffic_bytes", "gauge", |of, to| {
        to.extend(of.guest_memory(of.counted(|does| does.swap_in)))
    }),
    ("memory_swap_out_traffic_bytes", "gauge", |of, to| {
        to.extend(of.guest_memory(of.counted(|does| does.swap_out)))
    }),
    ("memory_unused_bytes", "gauge", |of, to| to.extend(of.guest_memory(of.usable / 2.0))),
    ("memory_usable_bytes", "gauge", |of, to| to.extend(of.guest_memory(of.usable))),
    ("network_receive_bytes_total", "counter", |of, to| of.interfaces(to, |does| does.receive)),
    ("network_receive_errors_total", "counter", |of, to| of.interfaces(to, |_| 0)),
    ("network_receive_packets_dropped_total", "counter", |of, to| of.interfaces(to, |does| does.drops)),
    ("network_receive_packets_total", "counter", |of, to| {
        of.interfaces(to, |does| does.receive.div_ceil(900))
    }),
    ("network_traffic_bytes_total", "counter", |of, to| of.traffic(to)),
    ("network_transmit_bytes_total", "counter", |of, to| of.interfaces(to, |does| does.transmit)),
    ("network_transmit_errors_total", "counter", |of, to| of.interfaces(to, |_| 0)),
    ("network_transmit_packets_dropped_total", "counter", |of, to| of.interfaces(to, |_| 0)),
    ("network_transmit_packets_total", "counter", |of, to| {
        of.interfaces(to, |does| does.transmit.div_ceil(900))
    }),
    ("node_cpu_affinity", "gauge", |of, to| to.push(of.whole(of.affinity()))),
    ("storage_flush_requests_total", "counter", |of, to| of.drives(to, |does| (does.writes / 8) as f64)),
    ("storage_flush_times_seconds_total", "counter", |of, to| {
        of.drives(to, |does| (does.writes / 8 * does.latency) as f64 / 1e6);
    }),
    ("storage_iops_read_total", "counter", |of, to| of.drives(to, |does| does.reads as f64)),
    ("storage_iops_write_total", "counter", |of, to| of.drives(to, |does| does.writes as f64)),
    ("storage_read_times_seconds_total", "counter", |of, to| {
        of.drives(to, |does| (does.reads * does.latency) as f64 / 1e6);
    }),
    ("storage_read_traffic_bytes_total", "counter", |of, to| of.drives(to, |does| does.read as f64)),
    ("storage_write_times_seconds_total", "counter", |of, to| {
        of.drives(to, |does| (does.writes * does.latency) as f64 / 1e6);
    }),
    ("storage_write_traffic_bytes_total", "counter", |of, to| of.drives(to, |does| does.write as f64)),
    ("vcpu_delay_seconds_total", "counter", |of, to| of.vcpus(to, "", of.delay())),
    ("vcpu_seconds_total", "counter", |of, to| {
        of.vcpus(to, "state=\"running\",", of.cpu() / of.vcpu_count())
    }),
    // Zero unless the host runs with `schedstats=enable`.
    ("vcpu_wait_seconds_total", "counter", |of, to| of.vcpus(to, "", 0.0)),
];

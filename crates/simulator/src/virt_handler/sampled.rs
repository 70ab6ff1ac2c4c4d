//! A guest as a virt-handler sees it at the time of a request.

use crate::{
    activity::{Activity, Span},
    clock::Millis,
    guest::Guest,
    kubevirt_version::KubevirtVersion,
    load,
    node::Node,
    objects::{self, FileSystem},
    tenants::Tenants,
};

/// The value of one series, and its labels beside those of the guest.
pub type Value = (String, f64);

/// A guest at the time of a request.
pub struct Sampled<'a> {
    guest: &'a Guest,
    now: Millis,
    node: &'a Node,
    version: KubevirtVersion,
    spans: [Span; 2],
    pub available: f64,
    pub usable: f64,
    pub resident: f64,
}

impl<'a> Sampled<'a> {
    /// The guest on its node at `now`.
    pub fn new(guest: &'a Guest, tenants: &'a Tenants, version: KubevirtVersion, now: Millis) -> Self {
        let memory = guest.memory_bytes();
        // As in the series that Prometheus has of the same guest.
        let available = memory - memory / 30;
        let usage = guest.load.usage(guest.cpu, memory, tenants.share(now), now);
        let resident = load::bytes(&usage.memory).unwrap_or(0);
        let used = guest.does_at(now).used.map_or(resident - resident / 2, |used| available / 1000 * used);
        Self {
            guest,
            now,
            node: &tenants.node,
            version,
            spans: guest.spans(now),
            available: available as f64,
            usable: available.saturating_sub(used) as f64,
            resident: resident as f64,
        }
    }

    /// A series of the whole guest.
    pub fn whole(&self, value: f64) -> Value {
        (String::new(), value)
    }

    /// What the guest's balloon driver reports. Windows has it only together with the guest agent.
    pub fn guest_memory(&self, value: f64) -> Option<Value> {
        let has_driver = self.guest.agent || !objects::is_windows(self.guest);
        has_driver.then(|| self.whole(value))
    }

    pub fn total(&self) -> f64 {
        self.guest.memory_bytes() as f64
    }

    pub fn vcpu_count(&self) -> f64 {
        f64::from(self.guest.cpu)
    }

    /// The CPUs of the host that each vCPU may run on, added up.
    pub fn affinity(&self) -> f64 {
        f64::from(self.guest.cpu * self.node.cores)
    }

    /// The total of what it does each second, in whole units.
    pub fn counted(&self, per_second: impl Fn(&Activity) -> u64) -> f64 {
        total(&self.spans, |does| per_second(does) as f64).floor()
    }

    /// CPU seconds. A counter never falls, so it follows the size of the guest and not its load, unless the load is
    /// constant.
    pub fn cpu(&self) -> f64 {
        let usual = match &self.guest.load {
            load @ load::Load::Fixed { .. } => load.cores(self.guest.cpu, self.now),
            _ => self.vcpu_count() / 4.0,
        };
        total(&self.spans, |does| does.cpu.map_or(usual, |milli| milli as f64 / 1000.0))
    }

    /// Seconds that each vCPU has waited for a CPU of the host.
    pub fn delay(&self) -> f64 {
        total(&self.spans, |does| does.wait as f64 / 1000.0) + self.node.waited_by(self.guest, self.now)
    }

    /// The host does not see the traffic of an SR-IOV interface.
    pub fn interfaces(&self, to: &mut Vec<Value>, per_second: impl Fn(&Activity) -> u64) {
        let value = self.counted(per_second);
        let seen = self.guest.networks.iter().filter(|network| !network.is_sriov());
        to.extend(seen.map(|network| (format!("interface={:?},", network.name), value)));
    }

    /// The deprecated family with both directions. Version 1.0 named the host's interface there.
    pub fn traffic(&self, to: &mut Vec<Value>) {
        let directions =
            [("rx", self.counted(|does| does.receive)), ("tx", self.counted(|does| does.transmit))];
        let seen = self.guest.networks.iter().filter(|network| !network.is_sriov()).enumerate();
        to.extend(seen.flat_map(|(index, network)| {
            let name = match self.version {
                KubevirtVersion::V1_0 => format!("vnet{index}"),
                KubevirtVersion::V1_6 => network.name.clone(),
            };
            directions.map(|(kind, value)| (format!("interface={name:?},type=\"{kind}\","), value))
        }));
    }

    pub fn drives(&self, to: &mut Vec<Value>, per_second: impl Fn(&Activity) -> f64) {
        to.extend(self.guest.disks.iter().map(|disk| {
            let spans = self.guest.drive_spans(&disk.name, self.now);
            (format!("drive={:?},", disk.name), total(&spans, &per_second))
        }));
    }

    pub fn vcpus(&self, to: &mut Vec<Value>, labels: &str, value: f64) {
        to.extend((0..self.guest.cpu).map(|id| (format!("id=\"{id}\",{labels}"), value)));
    }

    /// What the guest agent reports.
    pub fn file_systems(&self, to: &mut Vec<Value>, of: impl Fn(&FileSystem<'_>) -> u64) {
        if self.guest.agent {
            to.extend(objects::mounted_in(self.guest, self.now).map(|system| {
                let (disk, mount, kind) = (&system.name, &system.mount_point, system.kind);
                let labels = format!("disk_name={disk:?},file_system_type={kind:?},mount_point={mount:?},");
                (labels, of(&system) as f64)
            }));
        }
    }
}

fn total(spans: &[Span; 2], per_second: impl Fn(&Activity) -> f64) -> f64 {
    spans.iter().map(|span| per_second(&span.does) * span.seconds).sum()
}

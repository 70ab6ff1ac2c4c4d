//! The metric families of virt-handler that are read, what each counts, and which versions of KubeVirt have it.
//! KubeVirt renames families between versions: what a new version calls otherwise gets a row here.
//!
//! Checked in the sources of KubeVirt 1.0.0 to 1.9.0: `pkg/monitoring/domainstats/prometheus` up to 1.1,
//! `pkg/monitoring/metrics/virt-handler/domainstats` since.

use model::activity::MigrationProgress;
use wukong_core::observation::{DriveCounters, GuestFacts, InterfaceCounters, KubevirtVersion};

/// What the names of all families begin with.
pub const PREFIX: &str = "kubevirt_vmi_";
/// The family whose label `kubeversion` is KubeVirt's version.
pub const INFO: &str = "kubevirt_info";

/// One family.
#[derive(Debug)]
pub struct Family {
    /// Its name without [`PREFIX`].
    pub name: &'static str,
    /// How many of our units (bytes, nanoseconds, a number) one of its units is.
    pub unit: u64,
    pub field: Field,
    first: KubevirtVersion,
    /// `None` if the newest version has it.
    last: Option<KubevirtVersion>,
}

/// Where a value belongs.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    /// One value for each guest.
    Guest(fn(&mut GuestFacts) -> &mut Option<u64>),
    /// One value for each vCPU, with the label `id`.
    VcpuDelay,
    /// One value for each network interface, with the label `interface`.
    Interface(fn(&mut InterfaceCounters) -> &mut Option<u64>),
    /// One value for each drive, with the label `drive`.
    Drive(fn(&mut DriveCounters) -> &mut Option<u64>),
    /// One value for each guest that migrates, or a few with their times, the newest last.
    Migration(fn(&mut MigrationProgress) -> &mut Option<u64>),
}

const SECONDS: u64 = 1_000_000_000;
const MILLISECONDS: u64 = 1_000_000;
const ONE: u64 = 1;

const V1_0: KubevirtVersion = KubevirtVersion(1, 0);
const V1_1: KubevirtVersion = KubevirtVersion(1, 1);
const V1_6: KubevirtVersion = KubevirtVersion(1, 6);
const V1_7: KubevirtVersion = KubevirtVersion(1, 7);

/// A family of all versions.
const fn always(name: &'static str, unit: u64, field: Field) -> Family {
    Family { name, unit, field, first: V1_0, last: None }
}

/// A family that KubeVirt 1.1 renamed or added.
const fn since_1_1(name: &'static str, unit: u64, field: Field) -> Family {
    Family { name, unit, field, first: V1_1, last: None }
}

/// A family that has another name, or none, since KubeVirt 1.1.
const fn until_1_0(name: &'static str, unit: u64, field: Field) -> Family {
    Family { name, unit, field, first: V1_0, last: Some(V1_0) }
}

/// The rate at which memory is sent has the name of disks until KubeVirt 1.6. In 1.1 the rate of disks has the name of
/// memory, so families of migrations are read only in their own versions.
const fn transfer_rate(name: &'static str, first: KubevirtVersion, last: Option<KubevirtVersion>) -> Family {
    Family { name, unit: ONE, field: Field::Migration(|of| &mut of.transfer_rate), first, last }
}

const CPU_TIME: Field = Field::Guest(|guest| &mut guest.counters.cpu_time);
const DOMAIN: Field = Field::Guest(|guest| &mut guest.memory.domain);
const SWAP_IN: Field = Field::Guest(|guest| &mut guest.counters.paging.swap_in);
const SWAP_OUT: Field = Field::Guest(|guest| &mut guest.counters.paging.swap_out);
const MAJOR_FAULTS: Field = Field::Guest(|guest| &mut guest.counters.paging.major_faults);
const READ_TIME: Field = Field::Drive(|drive| &mut drive.read.time);
const WRITE_TIME: Field = Field::Drive(|drive| &mut drive.write.time);

/// All families, sorted by name.
///
/// Not read: `vcpu_wait_seconds_total`, which is zero unless the host runs with `schedstats=enable`, and
/// `vcpu_seconds_total`, which is a thousand times too large before 1.6 (kubevirt/kubevirt#13898).
/// The swap families are typed as gauges, but count since the guest's system started.
pub const FAMILIES: &[Family] = &[
    until_1_0("cpu_usage_seconds", SECONDS, CPU_TIME),
    since_1_1("cpu_usage_seconds_total", SECONDS, CPU_TIME),
    always("memory_actual_balloon_bytes", ONE, Field::Guest(|guest| &mut guest.memory.balloon)),
    always("memory_available_bytes", ONE, Field::Guest(|guest| &mut guest.memory.available)),
    since_1_1("memory_domain_bytes", ONE, DOMAIN),
    until_1_0("memory_domain_bytes_total", ONE, DOMAIN),
    until_1_0("memory_pgmajfault", ONE, MAJOR_FAULTS),
    since_1_1("memory_pgmajfault_total", ONE, MAJOR_FAULTS),
    since_1_1("memory_swap_in_traffic_bytes", ONE, SWAP_IN),
    until_1_0("memory_swap_in_traffic_bytes_total", ONE, SWAP_IN),
    since_1_1("memory_swap_out_traffic_bytes", ONE, SWAP_OUT),
    until_1_0("memory_swap_out_traffic_bytes_total", ONE, SWAP_OUT),
    always("memory_unused_bytes", ONE, Field::Guest(|guest| &mut guest.memory.unused)),
    always("memory_usable_bytes", ONE, Field::Guest(|guest| &mut guest.memory.usable)),
    since_1_1("migration_data_processed_bytes", ONE, Field::Migration(|of| &mut of.processed)),
    since_1_1("migration_data_remaining_bytes", ONE, Field::Migration(|of| &mut of.remaining)),
    since_1_1("migration_dirty_memory_rate_bytes", ONE, Field::Migration(|of| &mut of.dirty_rate)),
    transfer_rate("migration_disk_transfer_rate_bytes", V1_1, Some(V1_6)),
    transfer_rate("migration_memory_transfer_rate_bytes", V1_7, None),
    always("network_receive_bytes_total", ONE, Field::Interface(|of| &mut of.receive.bytes)),
    always("network_receive_errors_total", ONE, Field::Interface(|of| &mut of.receive.errors)),
    always("network_receive_packets_dropped_total", ONE, Field::Interface(|of| &mut of.receive.drops)),
    always("network_receive_packets_total", ONE, Field::Interface(|of| &mut of.receive.packets)),
    always("network_transmit_bytes_total", ONE, Field::Interface(|of| &mut of.transmit.bytes)),
    always("network_transmit_errors_total", ONE, Field::Interface(|of| &mut of.transmit.errors)),
    always("network_transmit_packets_dropped_total", ONE, Field::Interface(|of| &mut of.transmit.drops)),
    always("network_transmit_packets_total", ONE, Field::Interface(|of| &mut of.transmit.packets)),
    always("storage_iops_read_total", ONE, Field::Drive(|drive| &mut drive.read.operations)),
    always("storage_iops_write_total", ONE, Field::Drive(|drive| &mut drive.write.operations)),
    until_1_0("storage_read_times_ms_total", MILLISECONDS, READ_TIME),
    since_1_1("storage_read_times_seconds_total", SECONDS, READ_TIME),
    always("storage_read_traffic_bytes_total", ONE, Field::Drive(|drive| &mut drive.read.bytes)),
    until_1_0("storage_write_times_ms_total", MILLISECONDS, WRITE_TIME),
    since_1_1("storage_write_times_seconds_total", SECONDS, WRITE_TIME),
    always("storage_write_traffic_bytes_total", ONE, Field::Drive(|drive| &mut drive.write.bytes)),
    since_1_1("vcpu_delay_seconds_total", SECONDS, Field::VcpuDelay),
];

impl Family {
    /// Its whole name.
    pub fn metric(&self) -> String {
        [PREFIX, self.name].concat()
    }

    /// Whether this version has the family.
    pub fn is_in(&self, version: KubevirtVersion) -> bool {
        self.first <= version && self.last.is_none_or(|last| version <= last)
    }
}

/// The newest version: it has what no later version has renamed.
pub const NEWEST: KubevirtVersion = KubevirtVersion(u32::MAX, 0);
/// The version before most families were renamed.
pub const OLD: KubevirtVersion = V1_0;

/// The families of a version that make the rates of a whole guest, which Prometheus is asked for.
pub fn of_whole_guests(version: KubevirtVersion) -> impl Iterator<Item = &'static Family> {
    const BEGINNINGS: [&str; 6] = [
        "network_receive_bytes_",
        "network_transmit_bytes_",
        "storage_",
        "vcpu_delay_",
        "memory_swap_",
        "memory_pgmajfault",
    ];
    let is_wanted = |family: &&Family| BEGINNINGS.iter().any(|beginning| family.name.starts_with(beginning));
    FAMILIES.iter().filter(is_wanted).filter(move |family| family.is_in(version))
}

/// Returns the family with this name, which is without [`PREFIX`].
pub fn find(name: &[u8]) -> Option<&'static Family> {
    let index = FAMILIES.binary_search_by(|family| family.name.as_bytes().cmp(name)).ok()?;
    Some(&FAMILIES[index])
}

/// Parses a version as KubeVirt reports it: `v1.4.0-rc.1-dirty`. `None` for a build without a version.
pub fn version(text: &str) -> Option<KubevirtVersion> {
    let mut numbers = text.strip_prefix('v')?.split(['.', '-', '+']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some(KubevirtVersion(major, minor)),
        _ => None,
    }
}

/// The first version that reports how long vCPUs wait, if this one does not.
pub fn contention_since(version: KubevirtVersion) -> Option<KubevirtVersion> {
    let mut families = FAMILIES.iter().filter(|family| matches!(family.field, Field::VcpuDelay));
    let first = families.clone().map(|family| family.first).min()?;
    (!families.any(|family| family.is_in(version)) && version < first).then_some(first)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const V1_9: KubevirtVersion = KubevirtVersion(1, 9);

    #[test]
    fn families_are_found_by_their_names() {
        assert!(FAMILIES.is_sorted_by(|a, b| a.name < b.name));
        for family in FAMILIES {
            assert_eq!(find(family.name.as_bytes()).unwrap().name, family.name);
        }
        for name in ["", "vcpu_wait_seconds_total", "vcpu_seconds_total", "cpu_usage_seconds_tota", "zz"] {
            assert!(find(name.as_bytes()).is_none(), "{name}");
        }
    }

    /// The place of a field in a guest with everything, so that fields can be compared.
    fn place(field: Field) -> String {
        let mut guest = crate::virt_handler::answer::empty_guest("a", "b");
        let (mut interface, mut drive) = (InterfaceCounters::default(), DriveCounters::default());
        match field {
            Field::Guest(of) => *of(&mut guest) = Some(7),
            Field::VcpuDelay => return "vcpu".into(),
            Field::Interface(of) => *of(&mut interface) = Some(7),
            Field::Drive(of) => *of(&mut drive) = Some(7),
            Field::Migration(of) => *of(guest.migration.get_or_insert_default()) = Some(7),
        }
        format!("{guest:?} {interface:?} {drive:?}")
    }

    /// In each version every figure has exactly one family; only the waiting of vCPUs and migrations are new in 1.1.
    #[test]
    fn each_version_has_one_family_for_each_figure() {
        let places = |version| {
            let families = FAMILIES.iter().filter(|family| family.is_in(version));
            let all: Vec<String> = families.map(|family| place(family.field)).collect();
            let different: BTreeSet<String> = all.iter().cloned().collect();
            assert_eq!(all.len(), different.len(), "{version:?}");
            different
        };
        let (old, new) = (places(V1_0), places(V1_9));
        let is_new = |place: &&String| *place == "vcpu" || place.contains("MigrationProgress");
        assert!(!old.iter().any(|place| is_new(&place)));
        assert!(old.iter().eq(new.iter().filter(|place| !is_new(place))));
        for version in [V1_1, V1_6, V1_7] {
            assert_eq!(places(version), new, "{version:?}");
        }
        assert_eq!((old.len(), new.len()), (23, 28));
    }

    #[test]
    fn few_families_make_the_rates_of_a_whole_guest() {
        let names = |version| of_whole_guests(version).map(|family| family.name).collect::<Vec<_>>();
        assert_eq!((names(OLD).len(), names(NEWEST).len()), (11, 12));
        assert!(names(NEWEST).contains(&"vcpu_delay_seconds_total"));
        assert!(names(OLD).contains(&"storage_read_times_ms_total"));
        assert_eq!(
            find(b"vcpu_delay_seconds_total").unwrap().metric(),
            "kubevirt_vmi_vcpu_delay_seconds_total"
        );
    }

    #[test]
    fn a_version_is_read_from_its_beginning() {
        for (text, want) in [
            ("v1.4.0", Some(KubevirtVersion(1, 4))),
            ("v1.9.0-rc.2", Some(V1_9)),
            ("v1.10.1-12-gabcdef-dirty", Some(KubevirtVersion(1, 10))),
            ("v1", None),
            ("v1.x", None),
            ("{gitVersion}", None),
            ("", None),
            ("v99999999999999999999.1", None),
        ] {
            assert_eq!(version(text), want, "{text}");
        }
    }

    #[test]
    fn an_old_version_says_since_when_contention_is_reported() {
        assert_eq!(contention_since(V1_0), Some(V1_1));
        assert_eq!(contention_since(KubevirtVersion(0, 59)), Some(V1_1));
        assert_eq!(
            (contention_since(V1_1), contention_since(V1_9), contention_since(KubevirtVersion(2, 0))),
            (None, None, None)
        );
    }
}

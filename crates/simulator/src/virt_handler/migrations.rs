//! The families of live migrations that are in progress, which the virt-handler of the source node reports.
//!
//! Since KubeVirt 1.1 (`migrationdomainstats`) it asks every five seconds and reports the last ten answers at once: one
//! line for each, with its time, in the order of its ring and not in that of time. They have no other labels. Version
//! 1.0 reported the current figures with those of the guest.

use std::{fmt::Write, sync::Arc};

use crate::{
    activity::seconds,
    clock::{Millis, SECOND},
    guest::{Guest, Migration},
    kubevirt_version::KubevirtVersion,
};

/// The time between two answers, and how many are kept.
const INTERVAL: Millis = 5 * SECOND;
const KEPT: Millis = 10;
/// Bytes that the migration network carries each second.
pub const TRANSFER: u64 = 590_000_000;

/// The progress of a migration at one time.
struct Progress {
    total: f64,
    remaining: f64,
    processed: f64,
    dirty: f64,
}

type Family = (&'static str, &'static str, fn(&Progress) -> f64);

const FAMILIES: [Family; 5] = [
    ("migration_data_bytes_total", "counter", |progress| progress.total),
    ("migration_data_processed_bytes", "gauge", |progress| progress.processed),
    ("migration_data_remaining_bytes", "gauge", |progress| progress.remaining),
    ("migration_dirty_memory_rate_bytes", "gauge", |progress| progress.dirty),
    ("migration_memory_transfer_rate_bytes", "gauge", |_| TRANSFER as f64),
];

pub fn write(out: &mut String, version: KubevirtVersion, guests: &[Arc<Guest>], now: Millis) {
    let migrating: Vec<(&Guest, &Migration)> =
        guests.iter().filter_map(|guest| Some((&**guest, guest.migrating()?))).collect();
    for (family, kind, of) in FAMILIES {
        let Some((family, _)) = version.name(family).filter(|_| !migrating.is_empty()) else { continue };
        let name = match version {
            KubevirtVersion::V1_0 => family.replacen("migration_", "kubevirt_migrate_vmi_", 1),
            // Up to 1.6 the rate of the memory has the name of the disks' (`migrationdomainstats` of 1.6.2).
            KubevirtVersion::V1_6 => {
                format!("kubevirt_vmi_{}", family.replace("memory_transfer", "disk_transfer"))
            }
        };
        let _ = writeln!(out, "# HELP {name} As in KubeVirt.\n# TYPE {name} {kind}");
        for (guest, migration) in &migrating {
            for (at, shown) in asked(version, migration.started, now) {
                let value = of(&progress(guest, migration, at));
                let (vm, namespace, node) = (&guest.vm_name, &guest.namespace, &migration.source_node);
                let _ = write!(out, "{name}{{name={vm:?},namespace={namespace:?},node={node:?}}} {value}");
                let _ = if shown { writeln!(out, " {at}") } else { writeln!(out) };
            }
        }
    }
}

/// The times of the answers, and whether the time is written.
fn asked(version: KubevirtVersion, started: Millis, now: Millis) -> Vec<(Millis, bool)> {
    if version == KubevirtVersion::V1_0 {
        return vec![(now, false)];
    }
    let newest = (now - started).max(0) / INTERVAL;
    let oldest = (newest - KEPT + 1).max(0);
    let mut times: Vec<_> = (oldest..=newest).map(|n| (started + n * INTERVAL, true)).collect();
    // The newest answer is where the ring happens to stand.
    let places = times.len();
    times.rotate_left((newest % KEPT) as usize % places);
    times
}

/// A guest that writes to its memory more slowly than it is sent is done at some time. The rest of a guest that does not
/// stays at a quarter of its memory.
fn progress(guest: &Guest, migration: &Migration, at: Millis) -> Progress {
    let (total, dirty) = (guest.memory_bytes() as f64, guest.does_at(at).dirty as f64);
    let (elapsed, transfer) = (seconds(migration.started, at), TRANSFER as f64);
    let rest = total - (transfer - dirty).max(transfer / 10.0) * elapsed;
    let least = if dirty < transfer { 0.0 } else { total / 4.0 };
    Progress { total, remaining: rest.max(least).floor(), processed: (transfer * elapsed).floor(), dirty }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_migration_that_sends_faster_than_the_guest_writes_ends() {
        let of = |dirty: u64, elapsed: Millis| {
            let does = crate::Activity { dirty, ..crate::Activity::default() };
            let mut guest = Guest::new("a", "b").memory("16Gi").does(does).running_on("one", 0);
            guest.start_migration("two", 0);
            progress(&guest, guest.migrating().unwrap(), elapsed).remaining
        };
        let total = f64::from(16 << 20) * 1024.0;
        assert_eq!(of(90_000_000, 0), total);
        assert_eq!(of(90_000_000, 10_000), total - 5e9);
        assert_eq!(of(90_000_000, 60_000), 0.0);
        assert_eq!((of(TRANSFER, 600_000), of(2 * TRANSFER, 6_000_000)), (total / 4.0, total / 4.0));
    }

    #[test]
    fn the_last_ten_answers_are_in_the_order_of_a_ring() {
        let times = asked(KubevirtVersion::V1_6, 0, 62_000);
        let mut sorted = times.clone();
        sorted.sort_unstable();
        assert_ne!(times, sorted);
        assert_eq!((sorted[0].0, sorted[9].0, sorted.len()), (15_000, 60_000, 10));
        assert_eq!(asked(KubevirtVersion::V1_6, 0, 7_000).len(), 2);
        assert_eq!(asked(KubevirtVersion::V1_0, 0, 7_000), [(7_000, false)]);
    }
}

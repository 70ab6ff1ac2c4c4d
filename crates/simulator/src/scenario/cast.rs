//! VMs that each show one state or feature, the most instructive ones first.

use super::{
    placement::{Placement, SKEWED_NODE, on_live_node, vm},
    stories,
};
use crate::{
    clock::{DAY, HOUR, MINUTE, Millis},
    guest::{Guest, OccurrenceKind, Pause, State},
    hardware::{Backend, Bus, Disk, DiskMode, Network},
    load::{Fill, Profile},
};

pub fn cast(placement: &Placement, today: Millis) -> Vec<Guest> {
    let mut all = vec![
        on_live_node(
            placement,
            0,
            vm("shop", "web", 2, "4Gi", "ubuntu-24.04", Profile::Web, 0.46).vm_name("web"),
        ),
        on_live_node(
            placement,
            1,
            vm("shop", "web-db", 4, "16Gi", "debian-13", Profile::Database, 0.71).vm_name("web-db"),
        ),
        migrating(placement, vm("payments", "api-gateway-01", 4, "8Gi", "ubuntu-24.04", Profile::Web, 0.52)),
        as_fixture(on_live_node(placement, 2, nearly_full())),
        as_fixture(on_dead_node(
            placement,
            vm("payments", "settlement-02", 4, "8Gi", "rhel-9.6", Profile::Steady, 0.63),
        )),
        as_fixture(vm("payments", "ledger-batch-01", 8, "32Gi", "rhel-9.6", Profile::Batch, 0.4)),
        as_fixture(stories::noisy_neighbour(placement)),
        as_fixture(on_live_node(placement, 4, oversized())),
        as_fixture(on_live_node(placement, 5, block_volume())),
        as_fixture(gpu().in_state(State::Error, placement, 0)),
        as_fixture(vm("ci", "runner-small-08", 2, "2048Mi", "ubuntu-24.04", Profile::Runner, 0.3)).in_state(
            State::Pending,
            placement,
            0,
        ),
        as_fixture(vm("shop", "search-02", 4, "12Gi", "rocky-10", Profile::Steady, 0.6)).in_state(
            State::Creating,
            placement,
            1,
        ),
        as_fixture(on_live_node(placement, 6, shared_file_system())),
        as_fixture(too_new(placement)),
        on_live_node(
            placement,
            7,
            vm("staging", "db-postgres-0", 2, "4Gi", "debian-13", Profile::Idle, 0.38),
        ),
        on_live_node(placement, 8, long_name()),
        as_fixture(stories::restarted_by_its_probe(placement)),
        as_fixture(on_live_node(placement, 9, hotplugged())),
        as_fixture(on_live_node(placement, 10, on_windows())),
        as_fixture(stories::migrating_without_end(placement)),
        as_fixture(on_dead_node(
            placement,
            vm("shop", "checkout-03", 2, "4Gi", "ubuntu-24.04", Profile::Web, 0.5),
        )),
        on_live_node(
            placement,
            13,
            vm("shop", "mail-relay-01", 1, "500M", "alpine-3.22", Profile::Idle, 0.55),
        ),
        as_fixture(on_live_node(placement, 14, stories::swapping(placement))),
        as_fixture(on_live_node(placement, 15, on_longhorn())),
        as_fixture(on_live_node(placement, 16, stories::with_a_full_queue(placement, on_ceph()))),
        as_fixture(on_live_node(placement, 17, without_fast_diff())),
        as_fixture(on_live_node(placement, 18, unknown_everywhere())),
        as_fixture(on_live_node(placement, 19, known_to_prometheus_alone())),
        as_fixture(on_live_node(
            placement,
            20,
            vm("staging", "scratch-vmi-01", 1, "2Gi", "alpine-3.22", Profile::Idle, 0.4).standalone(),
        )),
        as_fixture(on_live_node(placement, 21, of_an_instancetype())),
        as_fixture(on_live_node(placement, 22, on_hugepages())),
        as_fixture(stopping(placement)),
        as_fixture(paused_by_an_io_error(placement)),
        as_fixture(never_started()),
        as_fixture(on_live_node(placement, 23, on_hostpath_pool("runner-cache-01"))),
        as_fixture(on_live_node(placement, 23, on_hostpath_pool("runner-cache-02"))),
        as_fixture(on_live_node(placement, 24, on_local_path("kiosk-01"))),
        as_fixture(on_live_node(placement, 24, on_local_path("kiosk-02"))),
        as_fixture(on_live_node(
            placement,
            SKEWED_NODE,
            vm("staging", "clock-lab-01", 2, "4Gi", "debian-13", Profile::Steady, 0.5),
        )),
        as_fixture(on_live_node(placement, 25, on_mirrored_ceph())),
        as_fixture(on_live_node(placement, 26, on_static_ceph())),
    ];
    for (index, guest) in all.iter_mut().enumerate() {
        guest.created = today - (9 + 17 * index as Millis % 240) * DAY - 5 * HOUR;
        // A guest without a start time has been running since it was created.
        let created = guest.created;
        guest.started = if guest.started == 0 { created } else { guest.started };
        guest.launchers.iter_mut().filter(|pod| pod.created == 0).for_each(|pod| pod.created = created);
    }
    all
}

/// Starts the VM on a node whose kubelet does not answer.
fn on_dead_node(placement: &Placement, mut guest: Guest) -> Guest {
    guest.start(placement.dead_node(), 0);
    guest
}

/// Keeps the VM in its state: `life` does not change it.
fn as_fixture(mut guest: Guest) -> Guest {
    guest.fixture = true;
    guest
}

fn migrating(placement: &Placement, guest: Guest) -> Guest {
    let mut guest = on_live_node(placement, 0, guest);
    guest.start_migration(placement.live_node(1), placement.now - MINUTE / 2);
    guest
}

fn with_data(mut guest: Guest, size: &str, share: f64) -> Guest {
    let mut disk = Disk::new(&guest.name, "data", size);
    disk.fill = Fill::Curve { seed: guest.seed ^ 1, share };
    guest.disks.push(disk);
    guest
}

fn nearly_full() -> Guest {
    with_data(vm("data", "db-postgres-0", 8, "32Gi", "debian-13", Profile::Database, 0.86), "500Gi", 0.95)
}

/// The launcher's overhead takes the pod's memory above what is allocated to the guest.
fn oversized() -> Guest {
    vm("payments", "cache-redis-01", 2, "8Gi", "alpine-3.22", Profile::Steady, 1.07)
}

fn block_volume() -> Guest {
    let mut guest = vm("data", "analytics-warehouse", 16, "64Gi", "rocky-10", Profile::Batch, 0.55);
    guest
        .disks
        .push(Disk::new("analytics-warehouse", "lake", "2Ti").mode(DiskMode::Block).serial("LAKE-2019-07"));
    guest.disks[0] = guest.disks[0].clone().serial("ROOT-2019-07");
    guest
}

/// A block volume whose guest reports nothing: only the storage backend knows its usage.
fn on_longhorn() -> Guest {
    let guest = vm("data", "mongo-shard-01", 4, "16Gi", "debian-13", Profile::Database, 0.64);
    with_block(guest, "data", "200Gi", 0.43, Backend::Longhorn)
}

fn on_ceph() -> Guest {
    let guest = vm("data", "elastic-hot-01", 8, "32Gi", "rocky-10", Profile::Steady, 0.7);
    with_block(guest, "shards", "500Gi", 0.58, Backend::Rbd { fast_diff: true })
}

/// A block volume whose usage not even the storage backend knows.
fn without_fast_diff() -> Guest {
    let guest = vm("payments", "vault-backup-01", 2, "4Gi", "rhel-9.6", Profile::Idle, 0.35);
    with_block(guest, "backup", "100Gi", 0.3, Backend::Rbd { fast_diff: false })
}

/// Mirrored to another site by snapshots: Ceph has no figure for it.
fn on_mirrored_ceph() -> Guest {
    let guest = vm("data", "geo-replica-01", 4, "16Gi", "rhel-9.6", Profile::Database, 0.6);
    with_block(guest, "data", "200Gi", 0.4, Backend::MirroredRbd)
}

/// Its PersistentVolume refers to an image that a person created.
fn on_static_ceph() -> Guest {
    let guest = vm("payments", "archive-import-01", 2, "8Gi", "rhel-9.6", Profile::Idle, 0.5);
    with_block(guest, "import", "100Gi", 0.35, Backend::StaticRbd)
}

/// A directory in a pool of 39 GiB, which every claim in it reports as its capacity.
fn on_hostpath_pool(name: &str) -> Guest {
    in_pool(
        vm("ci", name, 2, "4Gi", "ubuntu-24.04", Profile::Runner, 0.4),
        "4Gi",
        Backend::HostPathCsi(39 << 30),
    )
}

/// Claims of 15 GiB each on a file system of 20 GiB.
fn on_local_path(name: &str) -> Guest {
    in_pool(vm("shop", name, 1, "2Gi", "debian-13", Profile::Idle, 0.4), "15Gi", Backend::LocalPath(20 << 30))
}

fn in_pool(guest: Guest, size: &str, backend: Backend) -> Guest {
    let mut guest = guest.without_agent();
    let mut disk = Disk::new(&guest.name, "data", size).on(backend);
    disk.fill = Fill::Curve { seed: guest.seed ^ 5, share: 0.6 };
    guest.disks.push(disk);
    guest
}

fn with_block(guest: Guest, disk: &str, size: &str, share: f64, backend: Backend) -> Guest {
    let mut guest = guest.without_agent();
    let mut disk = Disk::new(&guest.name, disk, size).mode(DiskMode::Block).on(backend);
    disk.fill = Fill::Curve { seed: guest.seed ^ 4, share };
    guest.disks.push(disk);
    guest
}

/// Running, but no source knows its only disk: a directory of the node.
fn unknown_everywhere() -> Guest {
    let mut guest = vm("ci", "firmware-lab-01", 2, "4Gi", "debian-13", Profile::Runner, 0.4).without_agent();
    guest.disks[0] = guest.disks[0].clone().on(Backend::HostPath);
    guest
}

/// Its data disk is missing in the kubelet's summary, but present in the kubelet's metrics.
fn known_to_prometheus_alone() -> Guest {
    let mut guest = with_data(
        vm("monitoring", "thanos-store-01", 4, "16Gi", "debian-13", Profile::Steady, 0.66),
        "300Gi",
        0.47,
    );
    guest.disks[1].unlisted = true;
    guest
}

fn of_an_instancetype() -> Guest {
    vm("shop", "catalog-api-01", 2, "8Gi", "rhel-9.6", Profile::Web, 0.5)
        .without_wukong()
        .instancetype("u1.large")
}

/// Only the guest knows its block disk; it also has volumes that are not mounted.
fn on_windows() -> Guest {
    let mut guest =
        vm("data", "legacy-erp", 4, "8589934592", "windows-2022", Profile::Web, 0.77).without_wukong();
    guest.disks[0] = guest.disks[0].clone().mode(DiskMode::Block).bus(Bus::Sata).serial("ERP-ROOT");
    guest
}

/// It ignores its shutdown, and its grace period is an hour.
fn stopping(placement: &Placement) -> Guest {
    let guest = vm("shop", "pos-gateway-01", 2, "4Gi", "rhel-9.6", Profile::Web, 0.51);
    on_live_node(placement, 23, guest).stopping(placement.now - 20 * MINUTE)
}

fn paused_by_an_io_error(placement: &Placement) -> Guest {
    let guest = with_data(
        vm("data", "build-cache-01", 4, "8Gi", "debian-13", Profile::Idle, 0.47).paused(Pause::IoError),
        "50Gi",
        0.62,
    );
    let mut guest = on_live_node(placement, 24, guest);
    guest.record(
        OccurrenceKind::PausedByIoError("data".to_owned()),
        placement.live_node(24),
        placement.now - 20 * MINUTE,
    );
    guest
}

/// Only its instance type says which size it would have.
fn never_started() -> Guest {
    vm("staging", "template-check-01", 1, "4Gi", "rhel-9.6", Profile::Idle, 0.4)
        .without_wukong()
        .instancetype("u1.medium")
}

/// Its second interface is a virtual function of the node's card, so that the host does not see its traffic.
fn on_hugepages() -> Guest {
    vm("payments", "dpdk-gateway-01", 8, "16Gi", "rhel-9.6", Profile::Hot, 0.6)
        .without_wukong()
        .hugepages("1Gi")
        .network(Network::sriov(0))
}

fn gpu() -> Guest {
    vm("payments", "fraud-model-gpu", 16, "128Gi", "ubuntu-24.04", Profile::Hot, 0.7)
}

/// Its claim of 200Gi is a directory on a file server of 40Ti, and the kubelet reports the server's file
/// system.
fn shared_file_system() -> Guest {
    let mut guest = vm("shop", "media-nfs-01", 2, "4Gi", "debian-13", Profile::Web, 0.42);
    let mut disk =
        Disk::new("media-nfs-01", "media", "200Gi").mode(DiskMode::Shared(40 << 40)).storage_class("nfs-csi");
    disk.fill = Fill::Curve { seed: guest.seed ^ 2, share: 0.61 };
    guest.disks.push(disk);
    guest
}

fn too_new(placement: &Placement) -> Guest {
    let mut guest = vm("ci", "runner-ephemeral-41f2", 2, "4Gi", "ubuntu-24.04", Profile::Runner, 0.3);
    guest.start(placement.live_node(2), placement.now);
    guest.launchers.iter_mut().for_each(|pod| pod.measured = false);
    guest
}

/// Its VirtualMachine's name is as long as possible (63 characters), so the name of its pod is cut.
fn long_name() -> Guest {
    let name = "quarterly-regulatory-reporting-aggregator-europe-west-node-1";
    vm("data", name, 4, "16Gi", "rhel-9.6", Profile::Batch, 0.48)
}

fn hotplugged() -> Guest {
    let mut guest = vm("payments", "billing-archive", 2, "4Gi", "rhel-9.6", Profile::Idle, 0.44);
    // `virtctl addvolume` uses the volume's name as serial.
    let mut disk =
        Disk::new("billing-archive", "archive-2025", "100Gi").mode(DiskMode::Hotplug).serial("archive-2025");
    disk.fill = Fill::Curve { seed: guest.seed ^ 3, share: 0.72 };
    guest.disks.push(disk);
    guest
}

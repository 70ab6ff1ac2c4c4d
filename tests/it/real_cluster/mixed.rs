//! The shared cluster's machines: each ordinary case once, and each trap that a figure could fall into.
//!
//! Loads stay off whole percents, because CPU comes back as a rate.

use super::harness::machine::{Disk, GI, Machine, Owner, VolumeReport};

pub fn machines() -> Vec<Machine> {
    let mut machines = ordinary();
    machines.extend(ambiguous());
    machines.extend(without_a_figure());
    machines
}

fn ordinary() -> Vec<Machine> {
    vec![
        Machine {
            cores: 2,
            memory: "4Gi",
            nanocores: 347_000_000,
            bytes: 1_473_200_128,
            disks: vec![Disk::new("web-root", 20 * GI, 7 * GI + 12_345)],
            ..Machine::new("prod", "web")
        },
        Machine {
            node: "node-c",
            memory: "1.5Gi",
            nanocores: 85_000_000,
            bytes: 700_000_000,
            disks: vec![Disk {
                reported: VolumeReport::BySeedName,
                ..Disk::new("web-root", 10 * GI, 3 * GI + 100_000_000)
            }],
            ..Machine::new("staging", "web")
        },
        // More is used than allocated, as a launcher's overhead can make it.
        Machine {
            node: "node-b",
            nanocores: 1_273_500_000,
            bytes: 1_200_000_000,
            disks: vec![Disk::new("hot-root", 5 * GI, 5 * GI - 200_000_000)],
            ..Machine::new("prod", "hot")
        },
        // No Wukong owns it, and its volume sits on a file system that is not its own.
        Machine {
            owner: Owner::Nobody,
            node: "node-c",
            cores: 3,
            memory: "2Gi",
            nanocores: 460_000_000,
            bytes: 900_000_001,
            disks: vec![Disk { capacity: 200 * GI, ..Disk::new("solo-root", 10 * GI, 61 * GI) }],
            ..Machine::new("prod", "solo")
        },
        // Its guest ignores its shutdown: it runs, whatever KubeVirt calls that.
        Machine {
            node: "node-c",
            printable: "Stopping",
            stopping: true,
            cores: 2,
            memory: "2Gi",
            nanocores: 310_000_000,
            bytes: 1_100_000_000,
            disks: vec![Disk::new("leaver-root", 10 * GI, 2 * GI + 200_000_000)],
            ..Machine::new("prod", "leaver")
        },
        // Wukong, pod and metrics alone: no KubeVirt object, no label that tells whose pod it is.
        Machine {
            vm: "",
            labelled: false,
            lingering: true,
            cores: 2,
            memory: "2Gi",
            nanocores: 226_000_000,
            bytes: 1_000_000_000,
            disks: vec![Disk::new("plain-root", 8 * GI, 2 * GI + 50_000_000)],
            ..Machine::new("staging", "plain")
        },
    ]
}

/// Machines that another's pod could be taken for.
fn ambiguous() -> Vec<Machine> {
    vec![
        Machine {
            node: "node-b",
            cores: 4,
            memory: "8Gi",
            nanocores: 1_300_000_000,
            bytes: 5_600_000_000,
            disks: vec![
                Disk::new("web-db-root", 20 * GI, 6 * GI + 777),
                Disk { reported: VolumeReport::ByPodVolume, ..Disk::new("web-db-data", 100 * GI, 41 * GI) },
            ],
            ..Machine::new("prod", "web-db")
        },
        Machine {
            labelled: false,
            nanocores: 145_000_000,
            bytes: 300_000_000,
            ..Machine::new("prod", "api")
        },
        Machine {
            labelled: false,
            cores: 2,
            nanocores: 1_070_000_000,
            bytes: 800_000_000,
            ..Machine::new("prod", "api-db")
        },
        // Source and target pod; the target idles.
        Machine {
            target: "node-b",
            printable: "Migrating",
            cores: 2,
            memory: "2Gi",
            nanocores: 610_000_000,
            bytes: 1_500_000_000,
            disks: vec![Disk::new("mover-root", 10 * GI, 4 * GI + 300_000_000)],
            ..Machine::new("prod", "mover")
        },
        // It came from elsewhere, where its pod has ended.
        Machine {
            node: "node-b",
            lingering: true,
            nanocores: 245_000_000,
            bytes: 500_000_000,
            ..Machine::new("prod", "restarted")
        },
        // The Wukong does not say which VirtualMachine is its own; the VirtualMachine does.
        Machine {
            vm_name: "",
            vm: "made-for-nameless",
            nanocores: 185_000_000,
            bytes: 333_333_333,
            ..Machine::new("prod", "nameless")
        },
    ]
}

/// Machines that lack a figure, each for a reason of its own.
fn without_a_figure() -> Vec<Machine> {
    vec![
        Machine {
            phase: "Stopped",
            printable: "Stopped",
            node: "",
            lingering: true,
            memory: "512Mi",
            disks: vec![Disk::new("stopped-root", 10 * GI, GI)],
            ..Machine::new("prod", "stopped")
        },
        Machine {
            node: "node-c",
            nanocores: 65_000_000,
            bytes: 250_000_000,
            disks: vec![Disk { reported: VolumeReport::Block, ..Disk::new("raw-root", 10 * GI, 0) }],
            ..Machine::new("prod", "raw")
        },
        // Running, says its phase, but nothing says as what.
        Machine { vm_name: "", vm: "", node: "", ..Machine::new("prod", "unnamed") },
    ]
}

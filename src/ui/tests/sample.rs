//! A small cluster with a VM in every state that a page must tell apart.

use std::sync::Arc;

use model::{
    Millis,
    activity::{Activity, GuestActivity, MemoryUse, Storage, Swap, Traffic},
    details::{Condition, GuestSystem},
    figure::{Basis, Figure, Missing, Sample, Source, Unit},
    instance::{InstanceDetails, InstanceDisk, InstanceInterface},
    rates::{DriveRates, GuestRates, InterfaceRates, OperationRates, Rate, TrafficRates},
    reason::Reason,
    source::{Latency, ReviewCounts, SourceHealth, SourceId, SourceState},
    vm::{Disk, Guest, Kind, Network, Status, Usage, Vm, VmSummary, Volume},
};

pub const NOW: Millis = 1_795_359_600_000;
const GI: u64 = 1 << 30;
const CORE: u64 = 1_000_000_000;

/// `used` of `of` in thousandths of a core.
pub fn cpu(used_milli: u64, cores: u64) -> Figure {
    known(Unit::Nanocores, used_milli * 1_000_000, cores * CORE, Source::PodMetrics)
}

/// `used` of `of` in hundredths of a Gi.
pub fn memory(used: u64, gi: u64) -> Figure {
    known(Unit::Bytes, used * GI / 100, gi * GI, Source::PodMetrics)
}

pub fn disk(used: u64, gi: u64) -> Figure {
    known(Unit::Bytes, used * GI / 100, gi * GI, Source::KubeletProxy)
}

fn known(unit: Unit, used: u64, of: u64, source: Source) -> Figure {
    let (age, window_ms) = if source == Source::PodMetrics { (14_000, 15_000) } else { (31_000, 0) };
    let (at, basis) = (NOW - age, Basis::Own);
    Figure::Known(Sample { unit, used, of, at, window_ms, source, basis, stale: false })
}

pub fn missing(reason: Reason, detail: &str, fix: &str) -> Figure {
    Figure::Missing(Missing { reason, detail: detail.into(), fix: fix.into(), last: None })
}

pub fn stale(figure: Figure) -> Figure {
    match figure {
        Figure::Known(sample) => Figure::Known(Sample { stale: true, at: NOW - 130_000, ..sample }),
        missing => missing,
    }
}

/// A running VM whose disk is one known volume.
pub fn vm(namespace: &str, name: &str, node: &str, size: (u64, u64, u64), usage: [Figure; 3]) -> Vm {
    let [cpu, memory, disk] = usage;
    let volume = Volume {
        name: "rootdisk".into(),
        claim: [name, "-root"].concat(),
        size: Some(size.2 * GI),
        block: false,
        storage_class: "longhorn-2r".into(),
        backing: 0,
        usage: disk.clone(),
        source: SourceId::Kubelet,
        readings: Vec::new(),
    };
    Vm {
        uid: [namespace, name].concat(),
        summary: VmSummary {
            kind: Kind::Wukong,
            namespace: namespace.into(),
            name: name.into(),
            status: Status::Running,
            kubevirt_status: "Running".into(),
            fault: None,
            node: node.into(),
            lost: false,
            migrating_to: String::new(),
            ip_address: "10.244.1.23".into(),
            cpu: Some(size.0 * CORE),
            memory: Some(size.1 * GI),
            disk: size.2 * GI,
            usage: Usage {
                cpu,
                memory,
                disk,
                disk_known: 1,
                disk_volumes: 1,
                guest_memory: None,
                fullest_disk: None,
            },
        },
        memory_text: [&size.1.to_string(), "Gi"].concat(),
        os_image: "debian-12-postgres-16".into(),
        created: 1_772_615_520_000,
        vm_name: [name, "-vm"].concat(),
        pod: ["virt-launcher-", name, "-vm-x7k2p"].concat(),
        failure: None,
        allocation_gap: None,
        conflict: None,
        networks: vec![Network {
            name: "default".into(),
            mode: "masquerade".into(),
            interface: "eth0".into(),
            ip_address: "10.244.1.23".into(),
            mac_address: "02:8e:4f:11:0c:7a".into(),
        }],
        disks: vec![Disk {
            name: "rootdisk".into(),
            size: [&size.2.to_string(), "Gi"].concat(),
            storage_class_name: "longhorn-2r".into(),
            boot: true,
            image: "debian-12".into(),
        }],
        volumes: vec![volume],
        guest: Default::default(),
        activity: Default::default(),
        pressure: model::pressure::unknown(),
        instance: None,
        migrations: Vec::new(),
        attention: Default::default(),
    }
}

/// What a guest does that uses 4.5 of the 8 Gi that its own system sees.
pub fn activity() -> GuestActivity {
    let operations = |bytes, operations, latency| OperationRates {
        bytes: Some(Rate(bytes)),
        operations: Some(Rate(operations)),
        latency,
    };
    let (read, write) = (
        operations(12_400_000_000, 400_000, Some(1_900_000)),
        operations(29_200_000_000, 840_000, Some(4_700_000)),
    );
    let traffic = |bytes, drops| TrafficRates {
        bytes: Some(Rate(bytes)),
        packets: None,
        errors: Some(Rate(0)),
        drops: Some(Rate(drops)),
    };
    let interface = InterfaceRates {
        name: "default".into(),
        receive: traffic(6_100_000_000, 2_000),
        transmit: traffic(12_300_000_000, 0),
    };
    GuestActivity {
        source: Source::VirtHandler,
        at: NOW - 38_000,
        window_ms: 60_000,
        stale: false,
        memory: Ok(MemoryUse { used: 45 * GI / 10, total: 8 * GI }),
        swap: Ok(Swap { r#in: Rate(0), out: Rate(1_200_000) }),
        major_faults: Ok(Rate(200)),
        network: Ok(Traffic { receive: Rate(6_100_000_000), transmit: Rate(12_300_000_000), uncounted: 0 }),
        network_from: None,
        storage: Ok(Storage { read, write }),
        contention: Ok(640),
        migration: None,
        rates: Some(Arc::new(GuestRates {
            interfaces: [interface].into(),
            drives: [DriveRates { name: "rootdisk".into(), read, write }].into(),
            ..GuestRates::default()
        })),
    }
}

/// Returns the VM with this activity, and with the memory that its guest sees.
pub fn active(vm: Vm, activity: GuestActivity) -> Vm {
    let memory = activity.memory.as_ref().ok().map(|memory| Sample {
        unit: Unit::Bytes,
        used: memory.used,
        of: memory.total,
        at: activity.at,
        window_ms: 0,
        source: activity.source,
        basis: Basis::Own,
        stale: activity.stale,
    });
    let interface =
        |name: &str, is_sriov| InstanceInterface { name: name.into(), is_sriov, ..Default::default() };
    let disk =
        InstanceDisk { name: "rootdisk".into(), claim: "api-gateway-01-root".into(), ..Default::default() };
    let instance = InstanceDetails {
        disks: [disk].into(),
        interfaces: [interface("default", false), interface("fast", true)].into(),
        system: Some(Box::new(GuestSystem {
            name: "Debian".into(),
            version: "13.2".into(),
            kernel: "6.12".into(),
        })),
        hostname: "api-gateway".into(),
        started: Some(NOW - 7_200_000),
        conditions: [Condition {
            kind: "LiveMigratable".into(),
            status: "False".into(),
            reason: "DisksNotLiveMigratable".into(),
            message: "PVC is not shared".into(),
            since: Some(NOW - 7_200_000),
        }]
        .into(),
    };
    let guest_memory = memory.filter(|sample| !sample.stale).map(|sample| sample.percent());
    let usage = Usage { guest_memory, ..vm.summary.usage };
    Vm {
        summary: VmSummary { usage, ..vm.summary },
        guest: Guest { memory, ..vm.guest },
        activity: Activity::Known(Box::new(activity)),
        instance: Some(Arc::new(instance)),
        ..vm
    }
}

/// A VM that does not run.
pub fn idle(namespace: &str, name: &str, status: Status, says: &str, size: (u64, u64, u64)) -> Vm {
    let off = || Figure::Missing(Reason::NotRunning.into());
    let mut vm = vm(namespace, name, "", size, [off(), off(), off()]);
    vm.summary.status = status;
    vm.summary.kubevirt_status = says.into();
    vm.summary.ip_address.clear();
    vm.summary.usage.disk_known = 0;
    vm.pod.clear();
    vm.failure = (status == Status::Error).then(|| {
        Missing {
            detail: "0/4 nodes are available: 4 Insufficient nvidia.com/gpu.".into(),
            fix: "See what the cluster says of it: kubectl -n ci describe virtualmachine gpu-trainer".into(),
            ..Missing::from(Reason::NotRunning)
        }
        .into()
    });
    vm
}

pub fn vms() -> Vec<Vm> {
    let block = || {
        missing(
            Reason::BlockVolume,
            "",
            "Only the guest can tell: install qemu-guest-agent in it, or use a file system volume.",
        )
    };
    let new = || missing(Reason::TooNew, "", "Wait for two samples, half a minute as a rule.");
    let mut migrating =
        vm("ops", "monitoring-01", "node-b", (4, 16, 160), [cpu(820, 4), memory(911, 16), disk(8800, 160)]);
    migrating.summary.migrating_to = "node-d".into();
    let mut partial = vm(
        "payments",
        "db-postgres-0",
        "node-a",
        (8, 32, 690),
        [cpu(2060, 8), memory(2291, 32), disk(7120, 190)],
    );
    partial.summary.usage.disk_known = 3;
    partial.summary.usage.disk_volumes = 4;
    partial.volumes.push(Volume {
        name: "data".into(),
        claim: "db-postgres-0-data".into(),
        size: Some(500 * GI),
        block: true,
        storage_class: "longhorn-2r".into(),
        backing: 0,
        usage: block(),
        source: SourceId::Kubelet,
        readings: Vec::new(),
    });
    let mut expired =
        vm("legacy", "frozen-erp", "node-c", (2, 8, 80), [cpu(100, 2), memory(700, 8), disk(4000, 80)]);
    let last = expired.summary.usage.memory.sample().map(|sample| Sample {
        at: NOW - 400_000,
        stale: true,
        ..*sample
    });
    expired.summary.usage.memory = Figure::Missing(Missing {
        reason: Reason::Expired,
        detail: "metrics-server has not answered for 6 min".into(),
        fix: "Look at metrics-server: kubectl -n kube-system get pods -l k8s-app=metrics-server".into(),
        last,
    });
    let mut blocked =
        vm("data", "kafka-broker-3", "node-g", (8, 32, 500), [cpu(3300, 8), memory(1800, 32), block()]);
    blocked.summary.usage.disk_known = 0;
    blocked.volumes[0].block = true;
    vec![
        vm(
            "payments",
            "api-gateway-01",
            "node-a",
            (4, 8, 40),
            [cpu(1310, 4), memory(562, 8), disk(2140, 40)],
        ),
        vm("staging", "api-gateway-01", "node-f", (2, 4, 20), [new(), new(), disk(610, 20)]),
        vm(
            "ci",
            "build-runner-17",
            "node-e",
            (8, 16, 200),
            [cpu(7780, 8), memory(1136, 16), disk(18620, 200)],
        ),
        vm("shop", "cache-redis-02", "node-b", (2, 4, 20), [cpu(380, 2), memory(500, 4), disk(380, 20)]),
        vm(
            "analytics",
            "customer-analytics-warehouse-replica-eu-central-1-candidate-26b",
            "node-h",
            (16, 128, 2000),
            [cpu(2940, 16), memory(9000, 128), disk(99000, 2000)],
        ),
        partial,
        expired,
        vm(
            "legacy",
            "erp-old",
            "node-c",
            (4, 16, 256),
            [stale(cpu(1120, 4)), stale(memory(1280, 16)), stale(disk(14830, 256))],
        ),
        idle("shop", "frontend-canary", Status::Stopped, "Stopped", (4, 8, 60)),
        idle("ci", "gpu-trainer", Status::Error, "ErrorUnschedulable", (16, 96, 200)),
        blocked,
        idle("staging", "new-vm", Status::Creating, "Provisioning", (2, 4, 20)),
        migrating,
    ]
}

pub fn healthy(id: SourceId) -> SourceHealth {
    let watch = !SourceId::DISK.contains(&id) && id != SourceId::PodMetrics;
    SourceHealth {
        id,
        state: SourceState::Healthy,
        reason: None,
        error: Default::default(),
        fix: Default::default(),
        warning: Default::default(),
        last_success: Some(NOW - 3_000),
        last_bytes: watch.then_some(NOW - 3_000),
        latency: (!watch).then_some(Latency { p50: 12, p99: 340 }),
        reviews: None,
        vms: 0,
        volumes: 0,
        vms_missing: 0,
        vms_stale: 0,
        node: String::new(),
    }
}

/// The sources of a dashboard without sign-in.
pub fn sources() -> Vec<SourceHealth> {
    let ids = SourceId::ALL.into_iter().filter(|id| *id != SourceId::AccessReviews);
    ids.map(healthy).collect()
}

/// The source that people's rights come from.
pub fn access_reviews() -> SourceHealth {
    let counts = ReviewCounts { last_minute: 1_042, users: 3, namespaces: 12, waiting: 5, late: 1 };
    SourceHealth { reviews: Some(counts), ..healthy(SourceId::AccessReviews) }
}

pub fn broken_sources() -> Vec<SourceHealth> {
    let mut sources = sources();
    let [metrics, kubelet] = [SourceId::PodMetrics, SourceId::Kubelet]
        .map(|id| SourceId::ALL.iter().position(|own| *own == id).unwrap());
    sources[metrics] = SourceHealth {
        state: SourceState::Forbidden,
        reason: Some(Reason::Forbidden),
        error: "403: may not list pods.metrics.k8s.io".into(),
        fix: "Allow the dashboard's service account to list pods.metrics.k8s.io: kubectl apply -f deploy/cluster/rbac.yaml".into(),
        vms_missing: 1_197,
        ..sources[metrics].clone()
    };
    sources[kubelet] = SourceHealth {
        state: SourceState::Degraded,
        reason: Some(Reason::TimedOut),
        error: "node-c: no answer within 4 s".into(),
        fix: "Look at the nodes that do not answer: kubectl get nodes; is port 10250 open?".into(),
        vms_missing: 2,
        vms_stale: 19,
        node: "node-c".into(),
        ..sources[kubelet].clone()
    };
    sources[1] = SourceHealth {
        state: SourceState::Absent,
        reason: Some(Reason::ApiAbsent),
        error: "virtualmachines.kubevirt.io is not served".into(),
        fix: "Install KubeVirt, or look why its CRDs are gone: kubectl get crd | grep kubevirt.io".into(),
        last_success: None,
        last_bytes: None,
        ..sources[1].clone()
    };
    sources
}

//! A cluster of 10,000 VMs on 500 nodes, as all sources report it.

use model::{Millis, figure::Source, groups::Node, source::SourceId};
use wukong_core::{ClusterState, Limits, observation::*};

pub const VMS: usize = 10_000;
const NODES: usize = 500;
const NAMESPACES: usize = 100;
const GI: u64 = 1 << 30;
const BEGIN: Millis = 1_800_000_000_000;

pub fn limits() -> Limits {
    Limits {
        metrics_interval: 15_000,
        disk_interval: 60_000,
        ceph_interval: 300_000,
        disk_sources: SourceId::DISK.to_vec(),
        virt_handler: true,
        most_vms: usize::MAX,
    }
}

/// What the sources report, which changes from second to second.
#[derive(Default)]
pub struct Cluster {
    seconds: Millis,
}

impl Cluster {
    pub fn now(&self) -> Millis {
        BEGIN + self.seconds * 1_000
    }

    pub fn pass_second(&mut self) {
        self.seconds += 1;
    }

    /// All sources answer, twice, so that there are rates and the sources are known to change.
    pub fn observe_all(&mut self, state: &mut ClusterState) {
        let all = 0..VMS;
        for n in 0..NODES {
            let node = Node { name: node(n), ready: Some(true), takes_vms: true, ..Node::default() };
            state.apply(Observation::Nodes(Change::Applied { item: node, at: self.now() }));
        }
        state.apply(Observation::Wukongs(self.list(all.clone().map(wukong).collect())));
        state.apply(Observation::VirtualMachines(self.list(all.clone().map(vm).collect())));
        state.apply(Observation::Instances(self.list(all.clone().map(|n| self.instance(n)).collect())));
        state.apply(Observation::Migrations(self.list(Vec::new())));
        state.apply(Observation::Pods(self.list(all.clone().map(|n| self.pod(n)).collect())));
        state.apply(Observation::Claims(self.list(all.clone().flat_map(claims).collect())));
        state.apply(Observation::PersistentVolumes(self.list(all.clone().flat_map(volumes).collect())));
        state.apply(Observation::LonghornVolumes(self.list(all.clone().map(longhorn).collect())));
        state.apply(Observation::ClusterInstancetypes(self.list(Vec::new())));
        state.apply(Observation::Instancetypes(self.list(Vec::new())));
        state.apply(Observation::HandlersFound { at: self.now() });
        for _ in 0..2 {
            self.seconds += 15;
            self.observe_samples(state, all.clone());
            (0..NODES).for_each(|node| self.observe_node(state, node));
            all.clone().for_each(|n| state.apply(self.filesystems(n)));
        }
        let prometheus = PrometheusFacts {
            instances: all.map(|n| self.instance_sample(n)).collect(),
            ..PrometheusFacts::default()
        };
        state.apply(Observation::Prometheus { at: self.now(), result: Ok(prometheus) });
        state.apply(Observation::Ceph { at: self.now(), result: Ok(Vec::new()) });
    }

    /// 1 % of the VMs, those of 5 nodes, change in all that is known of them.
    pub fn observe_changes(&mut self, state: &mut ClusterState) {
        let first = self.seconds as usize * 5 % NODES;
        let nodes = first..first + NODES / 100;
        let changed = || (0..VMS).filter(|n| nodes.contains(&(n % NODES)));
        for n in changed() {
            let (instance, pod) = (self.instance(n), self.pod(n));
            state.apply(Observation::Instances(Change::Applied { item: instance, at: self.now() }));
            state.apply(Observation::Pods(Change::Applied { item: pod, at: self.now() }));
            state.apply(self.filesystems(n));
        }
        self.observe_samples(state, changed());
        nodes.clone().for_each(|node| self.observe_node(state, node));
    }

    fn list<T>(&self, items: Vec<T>) -> Change<T> {
        Change::Replaced { namespace: None, items, at: self.now() }
    }

    fn observe_samples(&self, state: &mut ClusterState, vms: impl Iterator<Item = usize>) {
        let sample = |n: usize| PodMetricsFacts {
            namespace: namespace(n),
            name: pod_name(n),
            created_by: format!("vmi-{n}"),
            containers: vec![ContainerUsage {
                name: "compute".into(),
                cpu_nanocores: Some(500_000_000 + self.seconds as u64 * 1_000_000),
                memory_bytes: Some(2 * GI + n as u64),
            }],
            at: Some(self.now() - 5_000),
            window_ms: 15_000,
            ..PodMetricsFacts::default()
        };
        let result = Ok(vms.map(sample).collect());
        state.apply(Observation::PodMetrics { namespace: None, at: self.now(), result });
    }

    /// The kubelet and the virt-handler of one node answer.
    fn observe_node(&self, state: &mut ClusterState, at: usize) {
        let guests = || (at..VMS).step_by(NODES);
        let stats = |n: usize| VolumeStats {
            of: VolumeRef::Claim(Key::new(&namespace(n), &format!("{}-root", name(n)))),
            used: Some(5 * GI + self.seconds as u64),
            capacity: Some(20 * GI - n as u64 * 4096),
            available: Some(15 * GI - self.seconds as u64),
            inodes: Some(1000),
            at: Some(self.now() - 20_000),
            node: Box::default(),
            trusted_time: true,
        };
        let volumes = guests().map(stats).collect();
        let facts = SummaryFacts {
            source: Source::KubeletDirect,
            volumes,
            pods: Vec::new(),
            node_filesystems: vec![200 * GI],
            node_usage: NodeUsage::default(),
            left_out: None,
        };
        state.apply(Observation::Summary { node: node(at), at: self.now(), result: Ok(facts) });
        let facts = GuestsFacts { guests: guests().map(|n| self.guest(n)).collect(), contention_since: None };
        state.apply(Observation::Guests { node: node(at), at: self.now(), result: Ok(facts) });
    }

    fn instance(&self, n: usize) -> InstanceFacts {
        let claims = ["root", "data"].map(|volume| (volume, format!("{}-{volume}", name(n))));
        let disk = |(volume, claim): &(&str, String)| InstanceDisk {
            name: (*volume).into(),
            serial: format!("{volume}-{n}").into(),
            claim: claim.as_str().into(),
            ..InstanceDisk::default()
        };
        let disks: Vec<_> = claims.iter().map(disk).collect();
        let volume = |(volume, claim): (&str, String)| InstanceVolume { name: volume.to_owned(), claim };
        InstanceFacts {
            uid: format!("vmi-{n}"),
            namespace: namespace(n),
            name: name(n),
            phase: "Running".into(),
            node_name: node(n % NODES),
            volumes: claims.into_iter().map(volume).collect(),
            disks: disks.into(),
            ip_address: format!("10.0.{}.{}", self.seconds % 256, n % 256),
            guest_os: "Fedora Linux".into(),
            agent_connected: true,
            vcpus: Some(2),
            memory: "4Gi".into(),
            owner_vm: format!("vm-{n}"),
            created: BEGIN - 3_600_000,
            ..InstanceFacts::default()
        }
    }

    fn pod(&self, n: usize) -> PodFacts {
        let claim = |volume: &str| (volume.to_owned(), format!("{}-{volume}", name(n)));
        PodFacts {
            uid: format!("pod-{n}-{}", self.seconds),
            namespace: namespace(n),
            name: pod_name(n),
            node_name: node(n % NODES),
            phase: "Running".into(),
            created: BEGIN - 3_600_000,
            host_ip: Some([10, 1, (n % NODES / 256) as u8, (n % NODES % 256) as u8].into()),
            created_by: format!("vmi-{n}"),
            domain: name(n),
            claims: [claim("root"), claim("data")].into(),
            ..PodFacts::default()
        }
    }

    fn filesystems(&self, n: usize) -> Observation {
        let filesystem = |(mount_point, volume): (&str, &str)| Filesystem {
            disk_name: format!("vd-{volume}"),
            mount_point: mount_point.into(),
            kind: "xfs".into(),
            used: Some(4 * GI + self.seconds as u64),
            total: Some(19 * GI),
            serials: vec![format!("{volume}-{n}")],
            hidden: false,
        };
        let result = Ok([("/", "root"), ("/srv", "data")].map(filesystem).to_vec());
        Observation::Filesystems { instance: Key::new(&namespace(n), &name(n)), at: self.now(), result }
    }

    fn guest(&self, n: usize) -> GuestFacts {
        let count = Some(self.seconds as u64 * 1_000_000);
        let traffic = TrafficCounters { bytes: count, packets: count, errors: Some(0), drops: Some(0) };
        let operations = OperationCounters { bytes: count, operations: count, time: count };
        let interface =
            |name: &str| InterfaceCounters { name: name.into(), receive: traffic, transmit: traffic };
        let drive = |name: &str| DriveCounters { name: name.into(), read: operations, write: operations };
        let counters = GuestCounters {
            cpu_time: count,
            delay: Some(VcpuDelay { nanos: self.seconds as u64, vcpus: 2 }),
            paging: PagingCounters { swap_in: count, swap_out: count, major_faults: count },
            interfaces: vec![interface("default")],
            drives: ["root", "data"].map(drive).to_vec(),
            ..GuestCounters::default()
        };
        let memory =
            GuestMemory { available: Some(4 * GI), usable: Some(GI + n as u64), ..GuestMemory::default() };
        GuestFacts { instance: Key::new(&namespace(n), &name(n)), memory, migration: None, counters }
    }

    fn instance_sample(&self, n: usize) -> InstanceSample {
        InstanceSample {
            namespace: namespace(n),
            name: name(n),
            guest_available: Some(4 * GI),
            guest_usable: Some(GI),
            at: self.now() - 10_000,
            ..InstanceSample::default()
        }
    }
}

fn namespace(n: usize) -> String {
    format!("tenant-{}", n % NAMESPACES)
}

fn name(n: usize) -> String {
    format!("vm-{n:05}")
}

fn node(n: usize) -> String {
    format!("worker-{n:03}")
}

fn pod_name(n: usize) -> String {
    format!("virt-launcher-vm-{n:05}-abc12")
}

/// Each VM belongs to a Wukong.
fn wukong(n: usize) -> WukongFacts {
    WukongFacts {
        uid: format!("wukong-{n}"),
        namespace: namespace(n),
        name: name(n),
        cpu: Some(2),
        memory: "4Gi".into(),
        phase: "Running".into(),
        vm_name: name(n),
        ..WukongFacts::default()
    }
}

fn vm(n: usize) -> VmFacts {
    VmFacts {
        uid: format!("vm-{n}"),
        namespace: namespace(n),
        name: name(n),
        owner_wukong: format!("wukong-{n}"),
        owner_name: name(n),
        printable_status: "Running".into(),
        ..VmFacts::default()
    }
}

fn claims(n: usize) -> impl Iterator<Item = ClaimFacts> {
    ["root", "data"].into_iter().map(move |volume| ClaimFacts {
        namespace: namespace(n),
        name: format!("{}-{volume}", name(n)),
        block: volume == "data",
        request: Some(20 * GI),
        capacity: Some(20 * GI),
        storage_class: "longhorn".into(),
        volume_name: format!("pvc-{volume}-{n}"),
        provisioner: Provisioner::Device,
    })
}

fn volumes(n: usize) -> impl Iterator<Item = PersistentVolumeFacts> {
    ["root", "data"].into_iter().map(move |volume| PersistentVolumeFacts {
        name: format!("pvc-{volume}-{n}").into(),
        claim: Key::new(&namespace(n), &format!("{}-{volume}", name(n))),
        provisioner: Provisioner::Device,
        backend: (volume == "data").then(|| Backend::Longhorn(format!("pvc-data-{n}").into())),
    })
}

fn longhorn(n: usize) -> LonghornFacts {
    LonghornFacts {
        namespace: "longhorn-system".into(),
        name: format!("pvc-data-{n}"),
        size: Some(20 * GI),
        actual_size: Some(7 * GI),
        engine: LonghornEngine::V1,
    }
}

//! One cluster with disks for all kinds of sources, which the tests of those sources share.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::OnceLock,
    time::Duration,
};

use serde_json::json;

use super::{
    access::Access,
    agents::{Agents, GuestFilesystem},
    ceph::Ceph,
    control_plane::ControlPlane,
    kubelet::Kubelet,
    machine::{Backend, Disk, GI, MI, Machine},
    metrics_stub::MetricsStub,
    program::Program,
    prometheus::Prometheus,
    shared::{namespaces, runtime},
};
use crate::deploy;

/// Nodes and the addresses of their kubelets.
const NODES: [(&str, u8); 2] = [("node-a", 11), ("node-b", 12)];
/// Bytes in the tests' images, in whole objects of 4 MiB.
pub const WRITTEN: u64 = 12 * MI;

pub struct Storage {
    pub plane: ControlPlane,
    pub machines: Vec<Machine>,
    pub kubelets: BTreeMap<&'static str, Kubelet>,
    pub agents: Agents,
    pub prometheus: Prometheus,
    pub ceph: Ceph,
    pub metrics: MetricsStub,
}

/// Runs a test on the cluster. The first test starts it.
pub fn on_the_storage_cluster(test: impl AsyncFnOnce(&Storage)) {
    static STORAGE: OnceLock<Option<Storage>> = OnceLock::new();
    let storage = STORAGE.get_or_init(|| {
        // If it does not start, the other tests fail at once.
        catch_unwind(AssertUnwindSafe(|| runtime().block_on(Storage::start()))).ok()
    });
    let storage = storage.as_ref().expect("the storage cluster did not start: see above");
    runtime().block_on(test(storage));
}

impl Storage {
    async fn start() -> Self {
        let plane = ControlPlane::start(3).await;
        plane.install_crds().await;
        let mut kubelets = BTreeMap::new();
        for (node, last) in NODES {
            kubelets.insert(node, Kubelet::start(&plane, node, last).await);
        }
        let metrics = MetricsStub::start(&plane).await;
        let agents = Agents::start(&plane).await;
        let longhorn =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "longhorn-system"}});
        plane.api.create(&longhorn).await;
        let machines = machines();
        namespaces(&plane, &machines).await;
        for machine in &machines {
            machine.install(&plane.api, &kubelets).await;
            metrics.add(machine.namespace, machine.pod());
        }
        set_agent_answers(&agents);
        plane.served("/apis/metrics.k8s.io/v1beta1/pods", Duration::from_secs(30)).await;
        plane.served("/apis/subresources.kubevirt.io/v1", Duration::from_secs(30)).await;
        let prometheus = Prometheus::start(&plane, &NODES.map(|(_, last)| last)).await;
        let ceph = Ceph::start(&plane);
        fill_pool(&ceph);
        Self { plane, machines, kubelets, agents, prometheus, ceph, metrics }
    }

    /// The program as a service account of the test's own, with a tier's permissions and its way to the kubelets, unless
    /// `flags` say another.
    pub async fn program<F: AsRef<OsStr>>(&self, test: &str, tier: &str, flags: &[F]) -> (Access, Program) {
        let access = Access::of_tier(&self.plane, test, tier, &["prod"]).await;
        let mut flags: Vec<&OsStr> = flags.iter().map(AsRef::as_ref).collect();
        let kubelets = deploy::kubelet_access(tier);
        if !flags.iter().any(|flag| flag.to_string_lossy().starts_with("--kubelet-access")) {
            flags.push(kubelets.as_ref());
        }
        let program = Program::start_with_flags(&access.kubeconfig, test, self.plane.dir(), &flags);
        (access, program)
    }

    /// Returns the flags for this Prometheus.
    pub fn prometheus_flags(&self) -> Vec<String> {
        vec![
            format!("--prometheus-url={}", self.prometheus.url()),
            format!("--prometheus-ca={}", self.plane.authority_file().display()),
            format!("--prometheus-basic-auth-file={}", self.prometheus.basic_auth_file.display()),
        ]
    }

    /// Returns the flags for this Ceph manager, with this password.
    pub fn ceph_flags(&self, test: &str, password: &str) -> Vec<String> {
        let user = self.ceph.file(&format!("{test}-user"), super::ceph::USER);
        let password = self.ceph.file(&format!("{test}-password"), password);
        vec![
            format!("--ceph-url={}", self.ceph.url()),
            format!("--ceph-ca={}", self.plane.authority_file().display()),
            format!("--ceph-user-file={}", user.display()),
            format!("--ceph-password-file={}", password.display()),
            "--ceph-interval=2s".to_owned(),
            "--ceph-deadline=2s".to_owned(),
        ]
    }
}

fn machines() -> Vec<Machine> {
    let running =
        |name| Machine { nanocores: 125_000_000, bytes: 256 * MI, agent: true, ..Machine::new("prod", name) };
    vec![
        // Four volumes, each known to another source.
        Machine {
            disks: vec![
                Disk::new("four-image", 20 * GI, 7 * GI + 12_345),
                Disk { serial: "FOURGUEST", ..Disk::block("four-guest", 10 * GI) },
                Disk {
                    backend: Backend::Longhorn("pvc-four", 6 * GI + 4096),
                    ..Disk::block("four-longhorn", 8 * GI)
                },
                Disk { backend: Backend::Rbd("snapped"), ..Disk::block("four-rbd", 10 * GI) },
            ],
            ..running("four")
        },
        // One volume, known to three sources that disagree.
        Machine {
            node: "node-b",
            disks: vec![Disk {
                serial: "THREE",
                backend: Backend::Rbd("plain"),
                ..Disk::new("three-root", 10 * GI, 5 * GI)
            }],
            ..running("three")
        },
        // No source knows it: a raw device, no agent that answers, an image without fast-diff.
        Machine {
            disks: vec![Disk { backend: Backend::Rbd("slow"), ..Disk::block("nobody-root", 10 * GI) }],
            ..running("nobody")
        },
        // Windows: other volumes than its own are not mounted.
        Machine {
            node: "node-b",
            disks: vec![Disk { serial: "WIN-ROOT", bus: "sata", ..Disk::block("windows-root", 80 * GI) }],
            ..running("windows")
        },
        // A disk that was hot-plugged.
        Machine {
            disks: vec![Disk { serial: "data-1", bus: "scsi", ..Disk::block("plugged-data", 10 * GI) }],
            ..running("plugged")
        },
        // A static image, and a PersistentVolume for it.
        Machine {
            agent: false,
            disks: vec![Disk {
                backend: Backend::StaticRbd("by-hand"),
                ..Disk::block("static-data", 10 * GI)
            }],
            ..running("static")
        },
        // A directory of a pool that its node shares.
        Machine {
            agent: false,
            disks: vec![Disk::in_pool("pool-root", 4 * GI, 30 * GI, 39 * GI)],
            ..running("pool")
        },
        // No agent, so that it is not asked.
        Machine {
            agent: false,
            node: "node-b",
            disks: vec![Disk::new("quiet-root", 10 * GI, 2 * GI)],
            ..running("quiet")
        },
    ]
}

/// Sets the answers of the guests. The agent of `nobody` does not answer, although the instance says that it is connected.
fn set_agent_answers(agents: &Agents) {
    let filesystem = |serial, used, total| GuestFilesystem { mount_point: "/", used, total, serial };
    agents.set("prod", "four", vec![filesystem("FOURGUEST", 3 * GI + 777, 9 * GI)]);
    agents.set("prod", "three", vec![filesystem("THREE", 4 * GI + 1, 9 * GI)]);
    let volume = |mount_point, used, total| GuestFilesystem {
        mount_point,
        used,
        total,
        serial: "WIN-ROOT            ",
    };
    let reserved = || volume("System Reserved", 0, 0);
    agents.set("prod", "windows", vec![reserved(), volume("C:\\", 40 * GI, 79 * GI), reserved()]);
    agents.set("prod", "plugged", vec![filesystem("0QEMU_QEMU_HARDDISK_data-1", 3 * GI, 9 * GI)]);
}

fn fill_pool(ceph: &Ceph) {
    ceph.image("plain", true);
    ceph.image("by-hand", true);
    ceph.image("slow", false);
    ceph.image("snapped", true);
    ceph.snapshot("snapped");
}

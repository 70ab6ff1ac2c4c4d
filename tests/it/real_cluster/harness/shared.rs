//! One cluster with all kinds of VMs, which most tests share. It starts once, and no test changes its objects.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::OnceLock,
    time::Duration,
};

use serde_json::json;
use tokio::runtime::Runtime;

use super::{
    access::Access,
    control_plane::ControlPlane,
    kubelet::Kubelet,
    machine::Machine,
    program::Program,
    wait::{check, within},
};
use crate::real_cluster::mixed;

/// metrics-server scrapes every 10 s and needs two scrapes.
pub const FIRST_METRICS: Duration = Duration::from_secs(90);
/// Three nodes with VMs, one without.
pub const NODES: [&str; 4] = ["node-a", "node-b", "node-c", "node-idle"];
const FIRST_NODE: u8 = 11;

pub struct Cluster {
    pub plane: ControlPlane,
    pub machines: Vec<Machine>,
    _kubelets: BTreeMap<&'static str, Kubelet>,
}

/// Runs a test on the shared cluster; the first one starts it.
pub fn on_the_cluster(test: impl AsyncFnOnce(&Cluster)) {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| {
        // If it does not start, the other tests fail at once.
        catch_unwind(AssertUnwindSafe(|| runtime().block_on(Cluster::start()))).ok()
    });
    let cluster = cluster.as_ref().expect("the shared cluster did not start: see above");
    runtime().block_on(test(cluster));
}

/// Runs a test that has its own control plane.
pub fn run_alone(test: impl Future<Output = ()>) {
    runtime().block_on(test);
}

/// The stub kubelets live on it as long as the shared cluster does.
pub(super) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("a runtime"))
}

impl Cluster {
    async fn start() -> Self {
        let plane = ControlPlane::start(0).await;
        plane.install_crds().await;
        let kubelets = kubelets(&plane).await;
        plane.start_metrics_server();
        plane.register_metrics_api(plane.metrics_address()).await;
        let machines = mixed::machines();
        namespaces(&plane, &machines).await;
        for machine in &machines {
            machine.install(&plane.api, &kubelets).await;
        }
        let cluster = Self { plane, machines, _kubelets: kubelets };
        cluster.measured().await;
        cluster
    }

    /// Waits until metrics-server measures every pod that runs.
    pub async fn measured(&self) {
        self.plane.served("/apis/metrics.k8s.io/v1beta1/pods", FIRST_METRICS).await;
        let pods = self.machines.iter().map(Machine::pods).sum::<usize>();
        let complete = within(FIRST_METRICS, async || {
            let list = self.plane.api.get("/apis/metrics.k8s.io/v1beta1/pods").await;
            let list = list.map_err(|error| error.to_string())?;
            let measured = list["items"].as_array().map_or(0, Vec::len);
            check(measured == pods, || format!("metrics-server measures {measured} of {pods} pods"))
        });
        complete.await.unwrap();
    }

    /// A service account of the test's own, and the program running as it.
    pub async fn program(&self, test: &str) -> (Access, Program) {
        let access = Access::install(&self.plane, test).await;
        let program = Program::start(&access.kubeconfig, test, self.plane.dir());
        (access, program)
    }

    pub fn machine(&self, namespace: &str, name: &str) -> &Machine {
        let wanted = |machine: &&Machine| machine.namespace == namespace && machine.name == name;
        self.machines.iter().find(wanted).expect("a machine of mixed.rs")
    }
}

async fn kubelets(plane: &ControlPlane) -> BTreeMap<&'static str, Kubelet> {
    let mut kubelets = BTreeMap::new();
    for (node, last) in NODES.into_iter().zip(FIRST_NODE..) {
        kubelets.insert(node, Kubelet::start(plane, node, last).await);
    }
    kubelets
}

/// Makes the namespaces that the machines are in.
pub async fn namespaces(plane: &ControlPlane, machines: &[Machine]) {
    let names: std::collections::BTreeSet<_> = machines.iter().map(|machine| machine.namespace).collect();
    for name in names {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        plane.api.create(&namespace).await;
    }
}

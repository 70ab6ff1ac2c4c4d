//! Checks the control plane alone, without the program: the other tests depend on it.

use std::time::Duration;

use serde_json::Value;

use super::harness::{
    access::Access,
    audit::AuditEntry,
    machine::Machine,
    shared::{Cluster, on_the_cluster},
    wait::{check, within},
};

/// CPU is a rate between two scrapes.
const RATE: f64 = 0.03;

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn the_control_plane_says_what_the_stub_kubelets_say() {
    on_the_cluster(async |cluster| {
        let access = Access::install(&cluster.plane, "baseline").await;
        let api = cluster.plane.api_as(&access.token);
        let path = "/apis/metrics.k8s.io/v1beta1/pods?labelSelector=kubevirt.io%3Dvirt-launcher";
        let list = api.get(path).await.expect("the service account may list PodMetrics");
        for machine in cluster.machines.iter().filter(|machine| machine.runs()) {
            pod_metrics(&list, machine);
        }
        let summary = api.get("/api/v1/nodes/node-b/proxy/stats/summary").await;
        volumes(&summary.expect("the service account may ask a kubelet"), cluster.machine("prod", "web-db"));
    });
}

fn pod_metrics(list: &Value, machine: &Machine) {
    let items = list["items"].as_array().unwrap();
    let mine = |item: &&Value| {
        item["metadata"]["name"] == machine.pod() && item["metadata"]["namespace"] == machine.namespace
    };
    let item = items.iter().find(mine).unwrap_or_else(|| panic!("no {} in {list}", machine.pod()));
    let labelled = item["metadata"]["labels"]["kubevirt.io/created-by"].is_string();
    assert_eq!(labelled, machine.labelled && !machine.vm.is_empty(), "{item}");
    let (cpu, memory) = (sum(item, "cpu"), sum(item, "memory"));
    let wanted = f64::from(u32::try_from(machine.nanocores).unwrap()) / 1e9;
    assert!((cpu / wanted - 1.0).abs() < RATE, "{}: {cpu} cores of {wanted}", machine.name);
    assert_eq!(memory as u64, machine.bytes, "{}", machine.name);
}

/// Returns the sum over the containers of a PodMetrics item.
fn sum(item: &Value, resource: &str) -> f64 {
    let containers = item["containers"].as_array().unwrap();
    containers.iter().map(|container| quantity(container["usage"][resource].as_str().unwrap())).sum()
}

/// Parses the quantities that metrics-server writes. The program's own parser is under test, and is not used here.
fn quantity(text: &str) -> f64 {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let scale = match unit {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        other => panic!("{other:?} of {text}"),
    };
    number.parse::<f64>().unwrap() * scale
}

fn volumes(summary: &Value, machine: &Machine) {
    let pods = summary["pods"].as_array().unwrap();
    let pod = pods.iter().find(|pod| pod["podRef"]["name"] == machine.pod()).expect("the pod");
    let volumes = pod["volume"].as_array().unwrap();
    assert_eq!(volumes.len(), machine.disks.len());
    for (volume, disk) in volumes.iter().zip(&machine.disks) {
        assert_eq!(volume["usedBytes"], disk.used);
        assert_eq!(volume["capacityBytes"], disk.capacity);
    }
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn the_manifest_grants_reading_and_nothing_else() {
    on_the_cluster(async |cluster| {
        let access = Access::install(&cluster.plane, "narrow").await;
        let api = cluster.plane.api_as(&access.token);
        for path in [
            "/apis/vm.novasphere.dev/v1alpha1/wukongs",
            "/apis/kubevirt.io/v1/virtualmachines",
            "/apis/kubevirt.io/v1/virtualmachineinstances",
            "/api/v1/pods",
            "/api/v1/persistentvolumeclaims",
            "/api/v1/persistentvolumes",
            "/api/v1/nodes",
            "/apis/longhorn.io/v1beta2/volumes",
        ] {
            assert_eq!(api.status(path).await, 200, "{path}");
        }
        for path in [
            "/api/v1/secrets",
            "/api/v1/configmaps",
            "/api/v1/services",
            "/api/v1/namespaces/prod/pods/web/exec?command=sh",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        ] {
            assert_eq!(api.status(path).await, 403, "{path}");
        }
        audited(cluster, &access).await;
    });
}

/// The audit log has each request exactly once. The tests of cost depend on that.
async fn audited(cluster: &Cluster, access: &Access) {
    let is_wanted = |request: &&AuditEntry| {
        (&*request.verb, &*request.uri, request.code) == ("list", "/api/v1/secrets", 403)
    };
    let logged = within(Duration::from_secs(5), async || {
        let requests = cluster.plane.audit().of(&access.user());
        let times = requests.iter().filter(is_wanted).count();
        check(times == 1 && requests.len() == 13, || format!("{requests:?}"))
    });
    logged.await.unwrap();
}

//! The content of the demo: objects of real size, every state, the same for the same seed.

use std::collections::BTreeSet;

use serde_json::Value;

use super::support::{demo, get, items, names};
use crate::{Clock, Guest, Options, RBAC_GROUP, Resource, Scenario, start};

const NOW: i64 = 1_700_049_600_000;
const WUKONGS: &str = "/apis/vm.novasphere.dev/v1alpha1/wukongs";
const MACHINES: &str = "/apis/kubevirt.io/v1/virtualmachines";
const INSTANCES: &str = "/apis/kubevirt.io/v1/virtualmachineinstances";

/// Returns the paths of everything that the demo has.
fn paths() -> Vec<String> {
    let served = Resource::ALL.into_iter().filter(|resource| resource.api().group != RBAC_GROUP);
    let path = |resource: Resource| {
        let api = resource.api();
        let root = if api.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", api.group) };
        format!("{root}/{}/{}", api.version, api.plural)
    };
    served.map(path).collect()
}

fn fixed(vms: u32, nodes: u32, seed: u64) -> Options {
    Options {
        vms,
        nodes,
        seed,
        clock: Clock::fixed(NOW),
        life: None,
        virt_handlers: false,
        ..Options::default()
    }
}

fn at<'a>(item: &'a Value, pointer: &str) -> &'a str {
    item.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[tokio::test]
async fn objects_are_of_real_size() {
    let sim = demo().await;
    for (path, least) in [
        ("/api/v1/pods?labelSelector=kubevirt.io%3Dvirt-launcher", 12_000),
        (INSTANCES, 8_000),
        ("/apis/longhorn.io/v1beta2/volumes", 4_000),
        ("/api/v1/persistentvolumes", 1_800),
    ] {
        for item in items(&get(&sim, path).await) {
            let size = item.to_string().len();
            assert!(size >= least && size < 3 * least, "{path} {}: {size}", at(item, "/metadata/name"));
            assert!(item["metadata"]["managedFields"][0]["fieldsV1"].to_string().len() > 500);
        }
    }
}

#[tokio::test]
async fn the_same_seed_gives_the_same_cluster_and_another_another() {
    let [one, two, other] = [7, 7, 8].map(|seed| start(fixed(60, 5, seed)));
    let (one, two, other) = (one.await.unwrap(), two.await.unwrap(), other.await.unwrap());
    let polled = ["/apis/metrics.k8s.io/v1beta1/pods", "/api/v1/nodes/worker-01/proxy/stats/summary"];
    for path in paths().iter().map(String::as_str).chain(polled) {
        assert_eq!(get(&one, path).await, get(&two, path).await, "{path}");
    }
    assert_ne!(get(&one, WUKONGS).await, get(&other, WUKONGS).await);
}

#[tokio::test]
async fn every_state_is_shown() {
    let sim = demo().await;
    let wukongs = get(&sim, WUKONGS).await;
    assert_eq!(items(&wukongs).len(), 35, "four VirtualMachines and an instance have no Wukong");
    let phases: BTreeSet<_> = items(&wukongs).iter().map(|item| at(item, "/status/phase")).collect();
    assert_eq!(phases, BTreeSet::from(["Pending", "Creating", "Running", "Stopped", "Error"]));
    let machines = get(&sim, MACHINES).await;
    assert_eq!(items(&machines).len(), 39, "an instance stands alone");
    let words: BTreeSet<_> =
        items(&machines).iter().map(|item| at(item, "/status/printableStatus")).collect();
    for word in ["Migrating", "ErrorUnschedulable", "Stopping", "Paused"] {
        assert!(words.contains(word), "{word}: {words:?}");
    }
    assert!(names(&machines).iter().any(|name| name.len() == 63));
    let twins = items(&machines).iter().filter(|item| at(item, "/metadata/name") == "db-postgres-0-vm");
    let homes: BTreeSet<_> = twins.map(|item| at(item, "/metadata/namespace")).collect();
    assert_eq!(homes, BTreeSet::from(["data", "staging"]));
    let memory: BTreeSet<_> = items(&wukongs).iter().map(|item| at(item, "/spec/memory")).collect();
    assert!(["1.5Gi", "500M", "2048Mi"].iter().all(|text| memory.contains(text)), "{memory:?}");
}

#[tokio::test]
async fn a_migrating_vm_has_two_pods_and_the_source_holds_it() {
    let sim = demo().await;
    let instances = get(&sim, INSTANCES).await;
    let moving = items(&instances).iter().find(|item| !item["status"]["migrationState"].is_null()).unwrap();
    let status = &moving["status"];
    assert_eq!(status["nodeName"], status["migrationState"]["sourceNode"]);
    assert_eq!(status["activePods"].as_object().unwrap().len(), 2);
    let uid = at(moving, "/metadata/uid");
    let pods = get(&sim, &format!("/api/v1/pods?labelSelector=kubevirt.io%2Fcreated-by%3D{uid}")).await;
    let nodes: BTreeSet<_> = items(&pods).iter().map(|pod| at(pod, "/spec/nodeName")).collect();
    assert_eq!(nodes.len(), 2);
    for pod in items(&pods) {
        assert_eq!(status["activePods"][at(pod, "/metadata/uid")], pod["spec"]["nodeName"]);
    }
}

#[tokio::test]
async fn a_completed_pod_of_an_earlier_start_keeps_its_uid() {
    let sim = demo().await;
    let pods =
        get(&sim, "/api/v1/namespaces/shop/pods?labelSelector=vm.kubevirt.io%2Fname%3Dorders-worker-05-vm")
            .await;
    let phases: Vec<_> = items(&pods).iter().map(|pod| at(pod, "/status/phase")).collect();
    assert_eq!(phases.iter().filter(|phase| **phase == "Succeeded").count(), 1, "{phases:?}");
    let makers: BTreeSet<_> = items(&pods)
        .iter()
        .map(|pod| pod["metadata"]["labels"]["kubevirt.io/created-by"].to_string())
        .collect();
    assert_eq!(makers.len(), 2);
}

#[tokio::test]
async fn owners_and_claims_connect_a_wukong_with_its_objects() {
    let sim = demo().await;
    let wukong = get(&sim, "/apis/vm.novasphere.dev/v1alpha1/namespaces/shop/wukongs/web-db").await;
    let machine = get(&sim, "/apis/kubevirt.io/v1/namespaces/shop/virtualmachines/web-db").await;
    assert_eq!(machine["metadata"]["ownerReferences"][0]["uid"], wukong["metadata"]["uid"]);
    let claim = at(&wukong, "/status/volumes/0/pvcName");
    let claim = get(&sim, &format!("/api/v1/namespaces/shop/persistentvolumeclaims/{claim}")).await;
    assert_eq!(claim["status"]["capacity"]["storage"], wukong["status"]["volumes"][0]["size"]);
    let block = get(&sim, "/api/v1/namespaces/data/persistentvolumeclaims/analytics-warehouse-lake").await;
    assert_eq!(block["spec"]["volumeMode"], "Block");
}

#[test]
fn any_size_is_filled_exactly_and_names_are_unique() {
    for (vms, nodes) in [(0, 1), (1, 1), (5, 2), (30, 4), (777, 40), (10_000, 500)] {
        let scenario = Scenario::demo(vms, nodes, 7, NOW);
        assert_eq!((scenario.guests.len(), scenario.nodes.len()), (vms as usize, nodes as usize));
        let keys = |name: fn(&Guest) -> &str| {
            let keys = scenario.guests.iter().map(|guest| (guest.namespace.clone(), name(guest).to_owned()));
            keys.collect::<BTreeSet<_>>().len()
        };
        assert_eq!((keys(|guest| &guest.name), keys(|guest| &guest.vm_name)), (vms as usize, vms as usize));
        assert!(scenario.guests.iter().all(|guest| guest.vm_name.len() <= 63));
    }
}

#[tokio::test]
async fn life_migrates_stops_and_starts_guests() {
    let options = fixed(60, 5, 7);
    let clock = options.clock.clone();
    let sim = start(options).await.unwrap();
    let world = sim.world();
    let mut moved = BTreeSet::new();
    let mut stopped = false;
    for step in 1..=40 {
        clock.advance(std::time::Duration::from_secs(30));
        crate::life::take_step(world, 7, step);
        let guests = world.guests();
        let moving: Vec<_> =
            guests.iter().filter(|guest| guest.migrating().is_some() && !guest.fixture).collect();
        assert_eq!(moving.len(), 1, "one migration at a time");
        moved.extend(moving.iter().map(|guest| guest.name.clone()));
        stopped |=
            guests.iter().any(|guest| !guest.has_instance() && guest.incarnation > 0 && !guest.fixture);
        assert!(guests.iter().all(|guest| guest.launchers.len() <= 3));
    }
    assert!(moved.len() > 5 && stopped);
    for path in paths() {
        get(&sim, &path).await;
    }
}

//! Each tier of deploy/ as a service account of its own: what it shows, and what the audit log says of it.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::harness::{
    access::Access,
    audit::AuditEntry,
    machine::GI,
    program::{DISK_INTERVAL, Program},
    storage::{Storage, on_the_storage_cluster},
    wait::{check, within},
};
use super::layers::{known, volume};

const FIRST_FIGURES: Duration = Duration::from_secs(20);
/// Long enough for several intervals of everything.
const STEADY: Duration = Duration::from_secs(12);
/// A refused watch is tried again after 2.5 to 5 s, then 5 to 10, 10 to 20, up to a minute: so often in all of [`STEADY`].
const MOST_TRIES: usize = 2;
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn the_namespaced_tier_shows_its_namespace_and_asks_for_no_other() {
    on_the_storage_cluster(async |storage| {
        let (access, program) = storage.program("tier-namespaced", "namespaced", &["--namespace=prod"]).await;
        within(FIRST_FIGURES, async || all_measured(&program, storage).await).await.unwrap();
        // Guests are asked one after the other, each at its own moment.
        within(FIRST_FIGURES, async || {
            let four = program.vm("prod", "four").await?;
            known(&four, "four-guest", "guest-agent", "own", 3 * GI + 777, 9 * GI)
        })
        .await
        .unwrap();
        let four = program.vm("prod", "four").await.unwrap();
        assert!(volume(&four, "four-image").unwrap()["usage"]["missing"]["reason"].is_string(), "{four}");
        let kubelet = program.source("kubelet").await;
        assert_eq!(kubelet["state"], "forbidden", "{kubelet}");
        assert!(kubelet["fix"].as_str().is_some_and(|fix| fix.contains("deploy/nodes-")), "{kubelet}");
        assert_only_reads(storage, &access).await;
        for request in storage.plane.audit().of(&access.user()) {
            let inside = request.uri.contains("/namespaces/prod/");
            assert!(inside || belongs_to_no_namespace(&request.uri), "{request:?}");
        }
    });
}

/// Discovery, self reviews, nodes, PersistentVolumes, the cluster's instance types, Longhorn's volumes in a namespace of their own: nothing that
/// other people's namespaces hold.
fn belongs_to_no_namespace(uri: &str) -> bool {
    let path = uri.split('?').next().unwrap_or_default();
    let discovery = path.split('/').count() <= 4 && !path.starts_with("/api/v1/");
    let longhorn = "/apis/longhorn.io/v1beta2/volumes";
    let types = "/apis/instancetype.kubevirt.io/v1beta1/virtualmachineclusterinstancetypes";
    let cluster = ["/api/v1/nodes", "/api/v1/persistentvolumes", longhorn, types, "/version", REVIEWS];
    discovery || cluster.iter().any(|start| path.starts_with(start))
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn the_cluster_tier_shows_every_vm_and_reaches_no_node() {
    on_the_storage_cluster(async |storage| {
        let (access, program) = storage.program::<&str>("tier-cluster", "cluster", &[]).await;
        within(FIRST_FIGURES, async || all_measured(&program, storage).await).await.unwrap();
        within(FIRST_FIGURES, async || {
            let four = program.vm("prod", "four").await?;
            known(&four, "four-guest", "guest-agent", "own", 3 * GI + 777, 9 * GI)?;
            known(&four, "four-longhorn", "longhorn", "backend", 6 * GI + 4096, 8 * GI)?;
            let kubelet = program.source("kubelet").await;
            check(kubelet["state"] == "forbidden", || kubelet.to_string())
        })
        .await
        .unwrap();
        assert_only_reads(storage, &access).await;
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn the_tiers_with_nodes_show_every_disk_that_a_kubelet_knows() {
    on_the_storage_cluster(async |storage| {
        for (tier, source) in [("nodes-stats", "kubelet-direct"), ("nodes-proxy", "kubelet")] {
            let (access, program) = storage.program::<&str>(&format!("tier-{tier}"), tier, &[]).await;
            within(FIRST_FIGURES, async || {
                let four = program.vm("prod", "four").await?;
                known(&four, "four-image", source, "own", 7 * GI + 12_345, 20 * GI)?;
                let ill = program.unhealthy_sources().await;
                check(ill.iter().all(|source| source["id"] == "guest-agent"), || format!("{tier}: {ill:?}"))?;
                all_measured(&program, storage).await
            })
            .await
            .unwrap();
            assert_only_reads(storage, &access).await;
        }
    });
}

/// Whether every VM has CPU and memory.
async fn all_measured(program: &Program, storage: &Storage) -> Result<(), String> {
    let vms = program.vms().await;
    check(vms.len() == storage.machines.len(), || format!("{} VMs", vms.len()))?;
    let unmeasured: Vec<&Value> = vms.iter().filter(|vm| vm["metrics"].is_null()).collect();
    check(unmeasured.is_empty(), || format!("{unmeasured:?}"))
}

/// From its start on it only read; and once it has settled it asks for nothing that is refused, but for one probe in each
/// back-off.
async fn assert_only_reads(storage: &Storage, access: &Access) {
    let audit = storage.plane.audit();
    let before = audit.of(&access.user()).len();
    tokio::time::sleep(STEADY).await;
    let requests = audit.of(&access.user());
    assert!(requests.len() > before, "nothing is asked any more");
    for request in &requests {
        let reads = ["get", "list", "watch"].contains(&request.verb.as_str());
        assert!(reads || (request.verb == "create" && path(request) == REVIEWS), "{request:?}");
    }
    // A refused poll is asked for again after its interval.
    let most_polls = (STEADY.as_millis() / DISK_INTERVAL.as_millis()) as usize + 1;
    let steady = &requests[before..];
    for (path, refused) in refusals(steady) {
        let most = if path.contains("/proxy/") { most_polls } else { MOST_TRIES };
        assert!(refused <= most, "{path} is refused {refused} times in {STEADY:?}");
    }
    // What is refused for good is known by asking for the permission.
    let watched = |request: &AuditEntry| ["list", "watch"].contains(&request.verb.as_str());
    if requests.iter().any(|request| request.code == 403 && watched(request)) {
        let reviews = steady.iter().filter(|request| path(request) == REVIEWS && request.code == 201).count();
        assert!((2..=24).contains(&reviews), "{reviews} reviews in {STEADY:?}");
    }
}

fn path(request: &AuditEntry) -> &str {
    request.uri.split('?').next().unwrap_or_default()
}

/// How often each path was answered 403.
fn refusals(requests: &[AuditEntry]) -> BTreeMap<&str, usize> {
    let mut refusals = BTreeMap::new();
    for request in requests.iter().filter(|request| request.code == 403) {
        *refusals.entry(path(request)).or_default() += 1;
    }
    refusals
}

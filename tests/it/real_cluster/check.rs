//! `wukong-dashboard check` on a real cluster: what a tier lacks, said on a terminal.

use serde_json::Value;

use super::harness::{
    access::Access,
    ceph::PASSWORD,
    program::checked,
    storage::{Storage, on_the_storage_cluster},
};

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn what_is_missing_is_named_and_ends_with_1() {
    on_the_storage_cluster(async |storage| {
        let access = Access::of_tier(&storage.plane, "check-cluster", "cluster", &[]).await;
        let (code, report) = report(&access, &[]);
        assert_eq!(code, 1, "{report}");
        assert!(report.to_string().contains("nodes/stats"), "the permission is not named: {report}");
        assert!(report.to_string().contains("deploy/nodes-stats"), "no fix: {report}");
        reads_only(storage, &access);
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_source_that_refuses_is_named_without_its_password() {
    on_the_storage_cluster(async |storage| {
        let access = Access::of_tier(&storage.plane, "check-ceph", "nodes-stats", &[]).await;
        let before = storage.ceph.logins().await;
        let (code, wrong) = report(&access, &storage.ceph_flags("check-ceph", "guessed"));
        assert_eq!(code, 1, "{wrong}");
        assert!(!wrong.to_string().contains("guessed"), "{wrong}");
        assert_eq!(storage.ceph.logins().await.refused, before.refused + 1, "one real request");
        let (_, right) = report(&access, &storage.ceph_flags("check-ceph", PASSWORD));
        assert_ne!(wrong, right);
        assert!(!right.to_string().contains(PASSWORD), "{right}");
        reads_only(storage, &access);
    });
}

fn report(access: &Access, flags: &[String]) -> (i32, Value) {
    let (code, text) = checked(&access.kubeconfig, flags);
    assert!(!text.contains(&access.token), "it shows its token");
    (code, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

fn reads_only(storage: &Storage, access: &Access) {
    let requests = storage.plane.audit().of(&access.user());
    assert!(!requests.is_empty());
    for request in requests {
        let reviews = request.verb == "create" && request.uri.contains("/selfsubjectaccessreviews");
        assert!(reviews || ["get", "list", "watch"].contains(&request.verb.as_str()), "{request:?}");
    }
}

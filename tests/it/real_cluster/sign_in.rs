//! Signing in with tokens of a real API server: who sees what, and how soon a right that is revoked ends.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    harness::{
        access::Access,
        api::Api,
        program::Program,
        shared::{Cluster, on_the_cluster},
        wait::{check, within},
    },
    reviews::{RBAC, account},
};
use collector::access::AUDIENCE;

const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/prod/rolebindings";
/// The API server reads roles by a watch, and the program asks within a second of a change.
const SETTLED: Duration = Duration::from_secs(30);

/// A program at which people sign in, with the permissions of a tier.
async fn program(cluster: &Cluster, test: &str) -> (Access, Program) {
    let access = Access::install(&cluster.plane, test).await;
    let program =
        Program::start_with_flags(&access.kubeconfig, test, cluster.plane.dir(), &["--sign-in=token"]);
    (access, program)
}

async fn token(api: &Api, name: &str) -> String {
    account(api, name, &json!({"audiences": [AUDIENCE], "expirationSeconds": 3600})).await
}

/// Lets a subject list what a ClusterRole of KubeVirt's kind lets, in `prod`.
async fn bind(api: &Api, name: &str, subject: &Value) {
    let rules = json!([
        {"apiGroups": ["vm.novasphere.dev"], "resources": ["wukongs"], "verbs": ["list"]},
        {"apiGroups": ["kubevirt.io"], "resources": ["virtualmachines", "virtualmachineinstances"], "verbs": ["list"]},
    ]);
    // Aggregated, as KubeVirt's own roles are: the rules come from another role by its label.
    let label = format!("of-{name}");
    api.create(&json!({"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": format!("{name}-rules"), "labels": {&label: "true"}}, "rules": rules})).await;
    api.create(
        &json!({"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules,
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {&label: "true"}}]}}),
    )
    .await;
    api.create(&json!({"apiVersion": RBAC, "kind": "RoleBinding", "metadata": {"name": name, "namespace": "prod"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}, "subjects": [subject]})).await;
}

fn service_account(name: &str) -> Value {
    json!({"kind": "ServiceAccount", "name": name, "namespace": "prod"})
}

/// The namespaces of the VMs that a token shows; fails unless it shows some list.
async fn namespaces(program: &Program, token: &str) -> Result<BTreeSet<String>, String> {
    let answer = program.get_as(token, "/api/vms").await;
    check(answer.status == 200, || format!("{}: {}", answer.status, answer.text))?;
    let vms = answer.json();
    let of = |vm: &Value| vm["namespace"].as_str().unwrap_or_default().to_owned();
    Ok(vms.as_array().into_iter().flatten().map(of).collect())
}

async fn wait_until_namespaces_are(program: &Program, token: &str, want: &[&str]) {
    let want: BTreeSet<String> = want.iter().map(|name| (*name).to_owned()).collect();
    let look = async || {
        let got = namespaces(program, token).await?;
        check(got == want, || format!("{got:?}, not {want:?}"))
    };
    within(SETTLED, look).await.unwrap_or_else(|why| panic!("{why}"));
}

/// Waits until the token shows nothing any more. Returns how long that took.
async fn time_until(
    program: &Program,
    token: &str,
    gone: impl Fn(&Result<BTreeSet<String>, String>) -> bool,
) -> Duration {
    let begun = Instant::now();
    let look = async || {
        let got = namespaces(program, token).await;
        check(gone(&got), || format!("{got:?}"))
    };
    within(Duration::from_secs(90), look).await.unwrap_or_else(|why| panic!("{why}"));
    begun.elapsed()
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_token_shows_the_namespaces_that_kubernetes_lets_it_list() {
    on_the_cluster(async |cluster| {
        let api = &cluster.plane.api;
        let (_access, program) = program(cluster, "sign-in").await;
        within(SETTLED, async || {
            check(program.get("/readyz").await.status == 200, || "not ready".to_owned())
        })
        .await
        .unwrap();
        let own = token(api, "sign-in-own").await;
        let group = token(api, "sign-in-group").await;
        let none = token(api, "sign-in-none").await;
        bind(api, "sign-in-own", &service_account("sign-in-own")).await;
        wait_until_namespaces_are(&program, &own, &["prod"]).await;
        wait_until_namespaces_are(&program, &none, &[]).await;
        assert_eq!(program.get_as(&none, "/api/vms/solo").await.status, 404);
        // Everybody of a group: every service account of the namespace.
        let of_namespace = json!({"kind": "Group", "name": "system:serviceaccounts:prod", "apiGroup": "rbac.authorization.k8s.io"});
        wait_until_namespaces_are(&program, &group, &[]).await;
        bind(api, "sign-in-group", &of_namespace).await;
        wait_until_namespaces_are(&program, &group, &["prod"]).await;
        // Other tests have service accounts of this namespace too.
        api.delete(&format!("{BINDINGS}/sign-in-group")).await;
        wait_until_namespaces_are(&program, &group, &[]).await;
        let admin = namespaces(&program, cluster.plane.admin_token()).await.unwrap();
        assert!(admin.len() > 1 && admin.contains("staging"), "{admin:?}");
        for path in [
            "/api/vms",
            "/api/stats",
            "/api/groups?by=node",
            "/api/groups?by=namespace",
            "/api/insights",
            "/api/sources",
            "/api/vms.csv",
            "/api/vms.json",
        ] {
            let answer = program.get_as(&own, path).await;
            assert_eq!(answer.status, 200, "{path}");
            assert!(
                !answer.text.contains("staging") && !answer.text.contains("plain"),
                "{path}: {}",
                answer.text
            );
        }
        let other =
            account(api, "sign-in-own", &json!({"audiences": ["vault"], "expirationSeconds": 3600})).await;
        for bad in [other.as_str(), "junk"] {
            assert_eq!(program.get_as(bad, "/api/vms").await.status, 401);
        }
        assert_eq!(program.get("/api/vms").await.status, 401);
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_binding_that_is_deleted_ends_in_mid_stream_within_two_seconds() {
    on_the_cluster(async |cluster| {
        let api = &cluster.plane.api;
        let (_access, program) = program(cluster, "revoked").await;
        let token = token(api, "revoked").await;
        bind(api, "revoked", &service_account("revoked")).await;
        wait_until_namespaces_are(&program, &token, &["prod"]).await;
        let mut stream = program.follow_as(&token, "/api/events").await;
        let mut text = String::new();
        while !text.contains("solo") {
            text.push_str(&String::from_utf8_lossy(&stream.chunk().await.unwrap().expect("an event")));
        }
        api.delete(&format!("{BINDINGS}/revoked")).await;
        let begun = Instant::now();
        text.clear();
        // The next whole view is empty.
        while !text.contains("\"vms\":[]") {
            let piece = tokio::time::timeout(Duration::from_secs(90), stream.chunk()).await;
            text.push_str(&String::from_utf8_lossy(&piece.expect("in time").unwrap().expect("an event")));
        }
        let took = begun.elapsed();
        assert!(took <= Duration::from_secs(3), "{took:?}");
        assert_eq!(namespaces(&program, &token).await, Ok(BTreeSet::new()));
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn without_the_right_to_watch_bindings_a_right_ends_within_a_minute() {
    on_the_cluster(async |cluster| {
        let api = &cluster.plane.api;
        let access = Access::install(&cluster.plane, "unhinted").await;
        access.revoke("rbac.authorization.k8s.io", "*").await;
        let program = Program::start_with_flags(
            &access.kubeconfig,
            "unhinted",
            cluster.plane.dir(),
            &["--sign-in=token"],
        );
        let (kept, gone) = (token(api, "kept").await, token(api, "gone").await);
        bind(api, "kept", &service_account("kept")).await;
        bind(api, "gone", &service_account("gone")).await;
        wait_until_namespaces_are(&program, &kept, &["prod"]).await;
        wait_until_namespaces_are(&program, &gone, &["prod"]).await;
        api.delete(&format!("{BINDINGS}/gone")).await;
        let took = time_until(&program, &gone, |shown| shown == &Ok(BTreeSet::new())).await;
        assert!(took <= Duration::from_secs(62), "{took:?}");
        // The account itself goes: its token is not accepted any more.
        api.delete("/api/v1/namespaces/prod/serviceaccounts/kept").await;
        let took =
            time_until(&program, &kept, |shown| shown.as_ref().is_err_and(|why| why.starts_with("401")))
                .await;
        assert!(took <= Duration::from_secs(75), "{took:?}");
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn page_views_within_the_minute_ask_nothing() {
    on_the_cluster(async |cluster| {
        let (access, program) = program(cluster, "unasked").await;
        let admin = cluster.plane.admin_token();
        within(SETTLED, async || {
            let shown = namespaces(&program, admin).await?;
            check(shown.len() > 1, || format!("{shown:?}"))
        })
        .await
        .unwrap();
        let reviews = || {
            let requests = cluster.plane.audit().of(&access.user());
            requests
                .iter()
                .filter(|request| {
                    request.uri.ends_with("accessreviews") || request.uri.ends_with("tokenreviews")
                })
                .count()
        };
        let begun = Instant::now();
        let before = reviews();
        for path in ["/", "/api/vms", "/api/stats", "/api/sources"].iter().cycle().take(60) {
            assert!([200, 303].contains(&program.get_as(admin, path).await.status), "{path}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(begun.elapsed() < Duration::from_secs(35), "the reviews were due again");
        assert_eq!(reviews(), before);
    });
}

//! Whose a token is and what a user may list, as a real API server says it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use collector::{
    access::{AUDIENCE, Reviewer, TokenError},
    client,
    config::{CollectConfig, KubernetesConfig},
    follow_bindings,
};
use model::vm::Kind;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wukong_core::access::{BindingHints, Decision, Question, Review, ReviewedResource, UserInfo};

use super::harness::{
    api::Api,
    shared::{Cluster, on_the_cluster},
    wait::{check, within},
};

pub const RBAC: &str = "rbac.authorization.k8s.io/v1";
/// The places of a user's bindings, each with its number.
type BindingPlaces = BTreeMap<Option<Arc<str>>, u64>;
/// The API server caches what it authorised for a moment, and reads roles by a watch.
const SETTLED: Duration = Duration::from_secs(20);

async fn connect(cluster: &Cluster) -> client::Cluster {
    let kubernetes =
        KubernetesConfig { kubeconfig: Some(cluster.plane.admin_kubeconfig()), ..Default::default() };
    client::connect(&kubernetes, &CollectConfig::default()).await.expect("the admin's kubeconfig")
}

async fn reviewer(cluster: &Cluster) -> Reviewer {
    Reviewer::new(&connect(cluster).await, false)
}

/// Makes a service account and returns a token of it.
pub async fn account(api: &Api, name: &str, spec: &Value) -> String {
    let path = format!("/api/v1/namespaces/prod/serviceaccounts/{name}");
    if api.status(&path).await == 404 {
        let metadata = json!({"name": name, "namespace": "prod"});
        api.create(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})).await;
    }
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let answer = api.post(&format!("{path}/token"), &request).await;
    answer["status"]["token"].as_str().expect("a token").to_owned()
}

/// Panics unless this holds soon.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let look = async || check(holds().await, || what.to_owned());
    within(SETTLED, look).await.unwrap_or_else(|why| panic!("{why}"));
}

fn may(user: &Arc<UserInfo>, kind: Kind, namespace: Option<&str>) -> Review {
    let question = Question { namespace: namespace.map(Into::into), resource: ReviewedResource::Rows(kind) };
    Review { user: user.clone(), question }
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_token_is_known_for_the_dashboard_and_for_the_api_server_and_for_nobody_else() {
    on_the_cluster(async |cluster| {
        let (api, reviewer) = (&cluster.plane.api, reviewer(cluster).await);
        for audiences in [json!([AUDIENCE]), json!([])] {
            let token =
                account(api, "viewer", &json!({"audiences": audiences, "expirationSeconds": 3600})).await;
            let user = reviewer.review_token(&token).await.expect("it is known");
            assert_eq!(user.name, "system:serviceaccount:prod:viewer");
            assert!(user.groups.contains(&"system:serviceaccounts:prod".to_owned()), "{user:?}");
            assert!(!user.uid.is_empty());
        }
        let other = account(api, "viewer", &json!({"audiences": ["vault"], "expirationSeconds": 3600})).await;
        assert_eq!(reviewer.review_token(&other).await, Err(TokenError::Rejected));
        assert_eq!(reviewer.review_token("junk").await, Err(TokenError::Rejected));
        let gone = account(api, "leaver", &json!({"expirationSeconds": 3600})).await;
        assert!(reviewer.review_token(&gone).await.is_ok());
        api.delete("/api/v1/namespaces/prod/serviceaccounts/leaver").await;
        eventually("the deleted account's token is rejected", async || {
            reviewer.review_token(&gone).await == Err(TokenError::Rejected)
        })
        .await;
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn access_is_what_bindings_of_the_user_and_of_the_group_grant() {
    on_the_cluster(async |cluster| {
        let (api, reviewer) = (&cluster.plane.api, reviewer(cluster).await);
        let role = |name: &str, group: &str, resource: &str| {
            json!({"apiVersion": RBAC, "kind": "Role", "metadata": {"name": name, "namespace": "prod"},
                "rules": [{"apiGroups": [group], "resources": [resource], "verbs": ["get", "list", "watch"]}]})
        };
        let binding = |name: &str, subject: Value| {
            json!({"apiVersion": RBAC, "kind": "RoleBinding", "metadata": {"name": name, "namespace": "prod"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}, "subjects": [subject]})
        };
        let subject = |kind: &str, name: &str| json!({"kind": kind, "name": name, "apiGroup": "rbac.authorization.k8s.io"});
        api.create(&role("wukong-lister", "vm.novasphere.dev", "wukongs")).await;
        api.create(&binding("wukong-lister", subject("User", "ann"))).await;
        api.create(&role("vm-lister", "kubevirt.io", "virtualmachines")).await;
        api.create(&binding("vm-lister", subject("Group", "team"))).await;
        let user = |name: &str, groups: &[&str]| {
            let groups = groups.iter().map(|group| (*group).to_owned()).collect();
            Arc::new(UserInfo { name: name.into(), groups, extra: BTreeMap::new(), uid: String::new() })
        };
        let (ann, bob) = (user("ann", &[]), user("bob", &["team"]));
        eventually("the bindings are known", async || {
            let wukongs = reviewer.review_access(&may(&ann, Kind::Wukong, Some("prod"))).await;
            let vms = reviewer.review_access(&may(&bob, Kind::VirtualMachine, Some("prod"))).await;
            (wukongs, vms) == (Decision::Allowed, Decision::Allowed)
        })
        .await;
        for (user, kind, namespace) in [
            (&ann, Kind::VirtualMachine, Some("prod")),
            (&ann, Kind::Wukong, Some("dev")),
            (&ann, Kind::Wukong, None),
            (&bob, Kind::Wukong, Some("prod")),
            (&bob, Kind::VirtualMachineInstance, Some("prod")),
        ] {
            let decision = reviewer.review_access(&may(user, kind, namespace)).await;
            assert_eq!(decision, Decision::Denied, "{} {kind:?} {namespace:?}", user.name);
        }
        let nodes = Question { namespace: None, resource: ReviewedResource::Nodes };
        let admin = user("admin", &["system:masters"]);
        assert_eq!(reviewer.review_access(&Review { user: admin, question: nodes }).await, Decision::Allowed);
        api.delete("/apis/rbac.authorization.k8s.io/v1/namespaces/prod/rolebindings/wukong-lister").await;
        eventually("a binding that is gone grants nothing", async || {
            reviewer.review_access(&may(&ann, Kind::Wukong, Some("prod"))).await == Decision::Denied
        })
        .await;
    });
}

/// Within a second, plus what a busy machine takes.
const HINTED: Duration = Duration::from_secs(3);

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn bindings_hint_at_the_namespaces_of_their_subjects() {
    on_the_cluster(async |cluster| {
        let api = &cluster.plane.api;
        let shutdown = CancellationToken::new();
        let mut hints = follow_bindings(&connect(cluster).await, &CollectConfig::default(), shutdown.clone());
        let robot = UserInfo { name: "system:serviceaccount:prod:robot".into(), ..UserInfo::default() };
        let prod = || Some(Arc::from("prod"));
        let places = |hints: &Option<BindingHints>| hints.as_ref().map(|hints| hints.places_of(&robot));
        let first = tokio::time::timeout(SETTLED, hints.wait_for(Option::is_some)).await;
        assert_eq!(places(&first.expect("they are read").unwrap()), Some(BTreeMap::new()));
        let mut hinted = async |what: &str, holds: &dyn Fn(&BindingPlaces) -> bool| {
            let wait = hints.wait_for(|hints| places(hints).is_some_and(|places| holds(&places)));
            let found = tokio::time::timeout(HINTED, wait).await.unwrap_or_else(|_| panic!("{what}"));
            places(&found.unwrap()).unwrap_or_default()
        };
        let binding = |kind: &str, name: &str, namespace: Option<&str>, subject: &Value| {
            json!({"apiVersion": RBAC, "kind": kind, "metadata": {"name": name, "namespace": namespace},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}, "subjects": [subject]})
        };
        // Without a namespace it is an account of the binding's own.
        let account = json!({"kind": "ServiceAccount", "name": "robot"});
        let path = format!("/apis/{RBAC}/namespaces/prod/rolebindings/robot-view");
        api.create(&binding("RoleBinding", "robot-view", Some("prod"), &account)).await;
        let created = hinted("created", &|places| places.contains_key(&prod())).await;
        assert_eq!(created.len(), 1, "{created:?}");
        let other = json!({"kind": "User", "name": "eve", "apiGroup": "rbac.authorization.k8s.io"});
        // That somebody else is named too does not concern the account.
        api.patch(&path, &json!({"subjects": [account, other]})).await;
        api.patch(&path, &json!({"subjects": [other]})).await;
        hinted("left out", &BTreeMap::is_empty).await;
        api.patch(&path, &json!({"subjects": [account]})).await;
        hinted("named again", &|places| places.contains_key(&prod())).await;
        api.delete(&path).await;
        hinted("deleted", &BTreeMap::is_empty).await;
        let account = json!({"kind": "ServiceAccount", "name": "robot", "namespace": "prod"});
        api.create(&binding("ClusterRoleBinding", "robot-view", None, &account)).await;
        let everywhere = hinted("created for the whole cluster", &|places| !places.is_empty()).await;
        assert!(everywhere.contains_key(&None), "{everywhere:?}");
        api.delete(&format!("/apis/{RBAC}/clusterrolebindings/robot-view")).await;
        hinted("deleted for the whole cluster", &BTreeMap::is_empty).await;
        shutdown.cancel();
    });
}

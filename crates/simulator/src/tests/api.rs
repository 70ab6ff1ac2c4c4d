//! Lists, pages, selectors, discovery, TLS and errors.

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client, Config, api::ListParams, config::Kubeconfig};
use serde_json::json;

use super::support::{TEST_TIMEOUT, ask, demo, empty, get, items, names};
use crate::{Guest, Options, Resource, WUKONG_GROUP, start};

async fn client(kubeconfig: &str) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

#[tokio::test]
async fn a_kubernetes_client_lists_over_http_and_tls() {
    for tls in [false, true] {
        let sim = start(Options { tls, ..Options::default() }).await.unwrap();
        let client = client(&sim.kubeconfig()).await;
        let launchers = ListParams::default().labels("kubevirt.io=virt-launcher");
        let pods = Api::<Pod>::all(client.clone()).list(&launchers).await.unwrap();
        assert!(pods.items.len() > 20);
        assert!(pods.items.iter().all(|pod| pod.spec.as_ref().unwrap().volumes.is_some()));
        assert_eq!(
            Api::<Node>::all(client.clone()).list(&ListParams::default()).await.unwrap().items.len(),
            4
        );
        assert!(
            client.list_api_groups().await.unwrap().groups.iter().any(|group| group.name == "kubevirt.io")
        );
        sim.shutdown().await;
    }
}

#[tokio::test]
async fn pages_of_a_list_share_one_revision() {
    let sim = empty().await;
    for n in 0..7 {
        sim.world().put(Guest::new("a", &format!("vm-{n}")));
    }
    let path = "/apis/vm.novasphere.dev/v1alpha1/wukongs";
    let first = get(&sim, &format!("{path}?limit=3")).await;
    assert_eq!((names(&first).len(), &first["metadata"]["remainingItemCount"]), (3, &json!(4)));
    sim.world().remove("a", "vm-4");
    sim.world().put(Guest::new("a", "vm-9"));
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = get(&sim, &format!("{path}?limit=10&continue={token}")).await;
    assert_eq!(names(&second), ["vm-3", "vm-4", "vm-5", "vm-6"]);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert!(second["metadata"].get("continue").is_none());

    sim.world().compact();
    let (code, status) = ask(&sim, &format!("{path}?continue={token}")).await;
    assert_eq!((code, &status["reason"]), (410, &json!("Expired")));
    let (code, _) = ask(&sim, &format!("{path}?continue=nonsense")).await;
    assert_eq!(code, 400);
}

#[tokio::test]
async fn namespaces_and_selectors_narrow_a_list() {
    let sim = demo().await;
    let all = get(&sim, "/api/v1/pods").await;
    let launchers = get(&sim, "/api/v1/pods?labelSelector=kubevirt.io%3Dvirt-launcher").await;
    let either =
        get(&sim, "/api/v1/pods?labelSelector=kubevirt.io%20in%20(virt-launcher,hotplug-disk)").await;
    let here = get(&sim, "/api/v1/namespaces/shop/pods").await;
    assert!(items(&all).len() > items(&either).len());
    assert_eq!(items(&either).len(), items(&launchers).len() + 1);
    assert!(
        items(&here).iter().all(|pod| pod["metadata"]["namespace"] == "shop") && !items(&here).is_empty()
    );
    let name = &names(&here)[0];
    let one = get(&sim, &format!("/api/v1/namespaces/shop/pods?fieldSelector=metadata.name%3D{name}")).await;
    assert_eq!(names(&one), std::slice::from_ref(name));
    assert_eq!(get(&sim, &format!("/api/v1/namespaces/shop/pods/{name}")).await["kind"], "Pod");
    assert_eq!(ask(&sim, "/api/v1/pods?fieldSelector=spec.colour%3Dred").await.0, 400);
    assert_eq!(ask(&sim, "/api/v1/pods?limit=many").await.0, 400);
}

#[tokio::test]
async fn core_items_carry_no_kind_and_custom_ones_do() {
    let sim = demo().await;
    let pods = get(&sim, "/api/v1/pods").await;
    assert_eq!((&pods["kind"], items(&pods)[0].get("kind")), (&json!("PodList"), None));
    let wukongs = get(&sim, "/apis/vm.novasphere.dev/v1alpha1/wukongs").await;
    assert_eq!((&wukongs["kind"], &items(&wukongs)[0]["kind"]), (&json!("WukongList"), &json!("Wukong")));
}

#[tokio::test]
async fn unknown_objects_paths_and_methods_are_errors() {
    let sim = demo().await;
    let (code, status) = ask(&sim, "/api/v1/namespaces/shop/pods/none").await;
    assert_eq!((code, &status["kind"], &status["reason"]), (404, &json!("Status"), &json!("NotFound")));
    assert_eq!(ask(&sim, "/api/v1/secrets").await.0, 404);
    assert_eq!(ask(&sim, "/apis/apps/v1/deployments").await.0, 404);
    let client = reqwest::Client::new();
    let deleted =
        client.delete(format!("{}/api/v1/namespaces/shop/pods/none", sim.url())).send().await.unwrap();
    assert_eq!(deleted.status(), 405);
}

#[tokio::test]
async fn an_api_group_can_be_removed_and_installed() {
    let sim = demo().await;
    let path = "/apis/vm.novasphere.dev/v1alpha1/wukongs";
    let listed = |groups: &serde_json::Value| groups.to_string().contains(WUKONG_GROUP);
    sim.world().set_installed(WUKONG_GROUP, false);
    assert_eq!(ask(&sim, path).await.0, 404);
    assert!(!listed(&get(&sim, "/apis").await));
    sim.world().set_installed(WUKONG_GROUP, true);
    assert_eq!(ask(&sim, path).await.0, 200);
    assert!(listed(&get(&sim, "/apis").await));
}

#[tokio::test]
async fn an_object_is_stored_as_it_was_put() {
    let sim = empty().await;
    let odd = json!({"apiVersion": "vm.novasphere.dev/v1alpha1", "kind": "Wukong", "spec": {"memory": 12},
        "metadata": {"name": "odd", "namespace": "a", "labels": {"x": "y"}}});
    sim.world().put_object(Resource::Wukongs, odd);
    let list = get(&sim, "/apis/vm.novasphere.dev/v1alpha1/wukongs?labelSelector=x%3Dy").await;
    let item = &items(&list)[0];
    assert_eq!((&item["spec"]["memory"], &item["kind"]), (&json!(12), &json!("Wukong")));
    assert_eq!(item["metadata"]["resourceVersion"], sim.world().revision().to_string());
    assert!(sim.world().delete_object(Resource::Wukongs, "a", "odd"));
    assert!(items(&get(&sim, "/apis/vm.novasphere.dev/v1alpha1/wukongs").await).is_empty());
}

#[tokio::test]
async fn reviews_of_access_are_allowed_unless_a_fault_forbids() {
    use crate::{Fault, Target};
    let sim = demo().await;
    let client = reqwest::Client::new();
    let review = async |attributes: serde_json::Value| {
        let url = format!("{}/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", sim.url());
        let body = json!({"kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}});
        let text = client.post(url).body(body.to_string()).send().await.unwrap().text().await.unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["status"]["allowed"].as_bool().unwrap()
    };
    let pods = json!({"verb": "list", "group": "metrics.k8s.io", "resource": "pods"});
    let proxy = json!({"verb": "get", "resource": "nodes", "subresource": "proxy"});
    assert!(review(pods.clone()).await && review(proxy.clone()).await);
    sim.faults().add(Target::Metrics, Fault::status(403));
    sim.faults().add(Target::Summaries, Fault::status(403));
    assert!(!review(pods).await && !review(proxy).await);
}

#[tokio::test]
async fn a_token_is_its_users_until_it_ends_and_a_user_lists_their_own_namespaces() {
    let sim = demo().await;
    let client = reqwest::Client::new();
    let status = async |path: &str, spec: serde_json::Value| {
        let url = format!("{}/apis/{path}", sim.url());
        let body = json!({"spec": spec}).to_string();
        let text = client.post(url).body(body).send().await.unwrap().text().await.unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["status"].clone()
    };
    let user = async |token: &str| {
        let status = status("authentication.k8s.io/v1/tokenreviews", json!({"token": token})).await;
        status["user"]["username"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(user("ana-token").await, "ana.ruiz@example.com");
    assert_eq!(user("ana-token-until-9999999999").await, "ana.ruiz@example.com");
    for invalid in ["ana-token-until-1", "ana-token-until-", "ana", ""] {
        assert_eq!(user(invalid).await, "", "{invalid}");
    }
    let may = async |user: &str, verb: &str, namespace: &str| {
        let attributes =
            json!({"verb": verb, "group": WUKONG_GROUP, "resource": "wukongs", "namespace": namespace});
        let spec = json!({"user": user, "resourceAttributes": attributes});
        status("authorization.k8s.io/v1/subjectaccessreviews", spec).await["allowed"] == true
    };
    assert!(may("ana.ruiz@example.com", "list", "shop").await && may("admin", "list", "").await);
    for (user, verb, namespace) in [
        ("ana.ruiz@example.com", "list", ""),
        ("ana.ruiz@example.com", "list", "data"),
        ("ana.ruiz@example.com", "delete", "shop"),
        ("noor.o'brien@example.com", "list", "shop"),
        ("stranger", "list", "shop"),
    ] {
        assert!(!may(user, verb, namespace).await, "{user} {verb} {namespace}");
    }
}

#[tokio::test]
async fn a_viewer_of_a_scenario_has_a_token_rights_and_bindings() {
    let path = "/apis/rbac.authorization.k8s.io/v1/rolebindings";
    assert_eq!(ask(&demo().await, path).await.0, 404, "the three fixed users have none");
    let mut scenario = crate::Scenario::empty();
    scenario.viewers.push(crate::Viewer {
        name: "eve".into(),
        groups: vec!["board".into()],
        token: "eve-token".into(),
        namespaces: vec!["a".into(), "b".into()],
    });
    let sim = crate::start(crate::Options::exactly(scenario)).await.unwrap();
    let list = get(&sim, path).await;
    assert_eq!(names(&list), ["eve", "eve"]);
    assert_eq!(items(&list)[1]["metadata"]["namespace"], "b");
    assert_eq!(items(&list)[1]["subjects"][0]["name"], "eve");
    assert_eq!(items(&list)[1]["subjects"][1]["name"], "board");
    assert_eq!(names(&get(&sim, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings").await).len(), 0);
    let client = reqwest::Client::new();
    let status = async |path: &str, spec: serde_json::Value| {
        let (url, body) = (format!("{}/apis/{path}", sim.url()), json!({"spec": spec}).to_string());
        let text = client.post(url).body(body).send().await.unwrap().text().await.unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["status"].clone()
    };
    for (token, name) in [("eve-token", "eve"), ("ana-token", "ana.ruiz@example.com")] {
        let known = status("authentication.k8s.io/v1/tokenreviews", json!({"token": token})).await;
        assert_eq!(known["user"]["username"], name);
        let groups = if name == "eve" {
            json!(["board", "system:authenticated"])
        } else {
            json!(["payments-devs", "shop-ops", "system:authenticated"])
        };
        assert_eq!(known["user"]["groups"], groups);
    }
    let named = status("authentication.k8s.io/v1/tokenreviews", json!({"token": "eve"})).await;
    assert_ne!(named["authenticated"], true, "a name is no token");
    for (namespace, allowed) in [("a", true), ("b", true), ("c", false), ("", false)] {
        let attributes =
            json!({"verb": "list", "group": WUKONG_GROUP, "resource": "wukongs", "namespace": namespace});
        for (user, groups) in [("eve", json!([])), ("bo", json!(["ops", "board"]))] {
            let spec = json!({"user": user, "groups": groups, "resourceAttributes": attributes});
            let answer = status("authorization.k8s.io/v1/subjectaccessreviews", spec).await;
            assert_eq!(answer["allowed"], allowed, "{user} {namespace}");
        }
        let spec = json!({"user": "bo", "groups": ["ops"], "resourceAttributes": attributes});
        assert_eq!(status("authorization.k8s.io/v1/subjectaccessreviews", spec).await["allowed"], false);
    }
}

#[tokio::test]
async fn requests_are_counted_until_the_count_is_reset() {
    use crate::Target;
    let sim = demo().await;
    for path in ["/api/v1/pods", "/api/v1/pods?limit=1", "/api/v1/nodes/worker-01/proxy/stats/summary"] {
        ask(&sim, path).await;
    }
    let seen = sim.requests();
    assert_eq!(
        (seen.count(&Target::List(Resource::Pods)), seen.count(&Target::Summaries), seen.total()),
        (2, 1, 3)
    );
    assert_eq!(seen.by_path()["/api/v1/pods"], 2);
    assert_eq!(seen.log()[1], "GET /api/v1/pods?limit=1");
    seen.reset();
    assert_eq!(seen.total(), 0);
}

#[tokio::test]
async fn shutdown_ends_open_watches() {
    let sim = demo().await;
    let mut watch =
        super::support::WatchStream::open(&sim, "/api/v1/pods?watch=true&resourceVersion=0").await;
    watch.event().await;
    assert_eq!(sim.requests().open_watches(), 1);
    let address = sim.address();
    tokio::time::timeout(TEST_TIMEOUT, sim.shutdown()).await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

//! List and watch: APIs that are installed later, denied, or answer with invalid objects.

mod recovery;

use super::*;
use i18n::Render;
use wukong_core::observation::Backend;

const WUKONGS: &str = "/apis/vm.novasphere.dev/v1alpha1/wukongs";

const NODES: &str = "/api/v1/nodes";
const CLUSTER_INSTANCETYPES: &str =
    "/apis/instancetype.kubevirt.io/v1beta1/virtualmachineclusterinstancetypes";
const PERSISTENT_VOLUMES: &str = "/api/v1/persistentvolumes";
const LONGHORN_VOLUMES: &str = "/apis/longhorn.io/v1beta2/volumes";

fn event(kind: &str, name: &str) -> String {
    format!(r#"{{"type":"{kind}","object":{}}}"#, wukong(name))
}

#[tokio::test]
async fn a_list_is_followed_by_a_watch() {
    let server = Server::start(|request, n| match request.path.as_str() {
        WUKONGS if !request.is_watch() => list(&["a", "b"]),
        WUKONGS if n == 0 => watch_of(&[
            event("ADDED", "c"),
            event("DELETED", "a"),
            event("MODIFIED", "b"),
            event("WHAT", "x"),
        ]),
        _ => quiet(request),
    });
    let mut collector = Collector::start(&server, config(), &[]).await;
    assert_eq!(collector.wukongs().await, ["a", "b"]);
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let change = collector.next(|observation| match observation {
            Observation::Wukongs(Change::Applied { item, .. }) => Some(format!("+{}", item.name)),
            Observation::Wukongs(Change::Deleted { key, .. }) => Some(format!("-{}", key.name)),
            _ => None,
        });
        seen.push(change.await);
    }
    assert_eq!(seen, ["+c", "-a", "+b"]);
    // An undecodable event may have been any change: only a new list shows which.
    assert_eq!(collector.watch_error(SourceId::Wukongs).await.reason, Reason::BadAnswer);
    assert_eq!(collector.wukongs().await, ["a", "b"]);
}

#[tokio::test]
async fn pages_are_joined_into_one_list() {
    let page = |names: &str, more: &str| {
        json(format!(r#"{{"metadata":{{"resourceVersion":"5","continue":"{more}"}},"items":[{names}]}}"#))
    };
    let server = Server::start(move |request, _| match request.path.as_str() {
        WUKONGS if !request.is_watch() && request.query.contains("continue=second") => page(&wukong("b"), ""),
        WUKONGS if !request.is_watch() => page(&wukong("a"), "second"),
        _ => quiet(request),
    });
    let mut collector = Collector::start(&server, config(), &[]).await;
    assert_eq!(collector.wukongs().await, ["a", "b"]);
    assert!(server.asked(WUKONGS)[0].query.contains("limit=500"));
}

#[tokio::test]
async fn an_invalid_object_loses_only_itself() {
    let server = Server::start(|request, _| match request.path.as_str() {
        WUKONGS if !request.is_watch() => json(format!(
            r#"{{"metadata":{{"resourceVersion":"5"}},"items":[7,{{"metadata":[]}},{{"metadata":{{"name":"odd","namespace":"prod"}},"spec":"x","status":3}},{}]}}"#,
            wukong("good")
        )),
        _ => quiet(request),
    });
    let mut collector = Collector::start(&server, config(), &[]).await;
    assert_eq!(collector.wukongs().await, ["odd", "good"]);
}

#[tokio::test]
async fn an_api_that_is_installed_later_is_followed() {
    let server = Server::start(|request, n| match request.path.as_str() {
        WUKONGS if !request.is_watch() && n < 2 => {
            (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
        }
        WUKONGS if !request.is_watch() => list(&["late"]),
        _ => quiet(request),
    });
    let mut collector = Collector::start(&server, config(), &[]).await;
    let error = collector.watch_error(SourceId::Wukongs).await;
    assert_eq!(error.reason, Reason::ApiAbsent);
    assert!(error.detail.english().contains("wukongs.vm.novasphere.dev"), "{}", error.detail.english());
    assert_eq!(collector.wukongs().await, ["late"]);
}

#[tokio::test]
async fn an_api_that_was_removed_is_listed_again_when_it_is_back() {
    let server = Server::start(|request, n| match (request.path.as_str(), request.is_watch()) {
        (WUKONGS, false) if n == 1 => status(404, "NotFound"),
        (WUKONGS, false) => list(if n == 0 { &["before"] } else { &["after"] }),
        (WUKONGS, true) if n == 0 => status(404, "NotFound"),
        _ => quiet(request),
    });
    let mut collector = Collector::start(&server, config(), &[]).await;
    assert_eq!(collector.wukongs().await, ["before"]);
    assert_eq!(collector.watch_error(SourceId::Wukongs).await.reason, Reason::ApiAbsent);
    assert_eq!(collector.wukongs().await, ["after"]);
}

#[tokio::test]
async fn a_denial_names_the_permission_and_stops_no_other_source() {
    let server = Server::start(|request, n| match request.path.as_str() {
        WUKONGS if !request.is_watch() && n == 0 => status(403, "Forbidden"),
        _ => quiet(request),
    });
    let mut collector = Collector::start(&server, config(), &[]).await;
    let (mut error, mut pods) = (None, false);
    while error.is_none() || !pods {
        match collector.next(Some).await {
            Observation::WatchFailed { source, error: denied, .. } => error = Some((source, denied)),
            Observation::Pods(Change::Replaced { .. }) => pods = true,
            _ => {}
        }
    }
    let (source, error) = error.unwrap();
    assert_eq!((source, error.reason), (SourceId::Wukongs, Reason::Forbidden));
    assert_eq!(error.detail.english(), "list wukongs.vm.novasphere.dev at cluster scope");
    assert!(collector.wukongs().await.is_empty());
}

#[tokio::test]
async fn requests_stay_in_the_configured_namespaces() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/apis/kubevirt.io/v1/namespaces/dev/virtualmachines" => status(403, "Forbidden"),
        _ => quiet(request),
    });
    let config = CollectConfig { namespaces: Some(vec!["prod".into(), "dev".into()]), ..config() };
    let mut collector = Collector::start(&server, config, &[]).await;
    let error = collector.watch_error(SourceId::VirtualMachines).await;
    assert_eq!(error.detail.english(), "list virtualmachines.kubevirt.io in namespace dev");
    collector.during(Duration::from_millis(500)).await;
    let requests = server.asked.lock().unwrap();
    // PersistentVolumes, nodes and cluster instance types have no namespace. Longhorn's volumes are in
    // Longhorn's own namespace.
    let inside = |path: &str| {
        path.contains("/namespaces/prod/")
            || path.contains("/namespaces/dev/")
            || [PERSISTENT_VOLUMES, LONGHORN_VOLUMES, NODES, CLUSTER_INSTANCETYPES].contains(&path)
    };
    assert!(requests.iter().all(|request| inside(&request.path)), "{requests:?}");
    assert!(
        requests.iter().any(|request| request.path == "/apis/metrics.k8s.io/v1beta1/namespaces/dev/pods")
    );
}

#[tokio::test]
async fn backends_are_followed_at_cluster_scope() {
    let volume = r#"{"metadata":{"name":"pvc-1","resourceVersion":"11"},"spec":{"claimRef":{"namespace":"prod","name":"web"},"csi":{"driver":"driver.longhorn.io","volumeHandle":"pvc-1"}}}"#;
    let longhorn = r#"{"metadata":{"name":"pvc-1","namespace":"longhorn-system","resourceVersion":"11"},"spec":{"size":"10"},"status":{"actualSize":4}}"#;
    let one = |item: &str| {
        json(format!(r#"{{"kind":"List","metadata":{{"resourceVersion":"10"}},"items":[{item}]}}"#))
    };
    let server = Server::start(move |request, _| match (request.path.as_str(), request.is_watch()) {
        (PERSISTENT_VOLUMES, false) => one(volume),
        (LONGHORN_VOLUMES, false) => one(longhorn),
        (LONGHORN_VOLUMES, true) => {
            watch_of(&[format!(r#"{{"type":"MODIFIED","object":{}}}"#, longhorn.replace(":4}", ":5}"))])
        }
        _ => quiet(request),
    });
    let config = CollectConfig { namespaces: Some(vec!["prod".into()]), ..config() };
    let mut collector = Collector::start(&server, config, &[]).await;
    let (mut handle, mut actual) = (None, vec![]);
    while handle.is_none() || actual.len() < 2 {
        match collector.next(Some).await {
            Observation::PersistentVolumes(Change::Replaced { namespace: None, items, .. }) => {
                handle = items[0].backend.clone();
            }
            Observation::LonghornVolumes(Change::Replaced { namespace: None, items, .. }) => {
                actual.push(items[0].actual_size);
            }
            Observation::LonghornVolumes(Change::Applied { item, .. }) => actual.push(item.actual_size),
            _ => {}
        }
    }
    assert_eq!((handle, actual), (Some(Backend::Longhorn("pvc-1".into())), vec![Some(4), Some(5)]));
}

#[tokio::test]
async fn nodes_are_followed_at_cluster_scope_whatever_the_namespaces() {
    let node = r#"{"metadata":{"name":"n1","resourceVersion":"11"},"status":{"allocatable":{"cpu":"4"}}}"#;
    let list = format!(r#"{{"kind":"List","metadata":{{"resourceVersion":"10"}},"items":[{node}]}}"#);
    let server = Server::start(move |request, _| match (request.path.as_str(), request.is_watch()) {
        (NODES, false) => json(list.clone()),
        (NODES, true) => {
            watch_of(&[format!(r#"{{"type":"MODIFIED","object":{}}}"#, node.replace("\"4\"", "\"8\""))])
        }
        _ => quiet(request),
    });
    let config = CollectConfig { namespaces: Some(vec!["prod".into()]), ..config() };
    let mut collector = Collector::start(&server, config, &[]).await;
    let mut cores = vec![];
    while cores.len() < 2 {
        match collector.next(Some).await {
            Observation::Nodes(Change::Replaced { namespace: None, items, .. }) => cores.push(items[0].cpu),
            Observation::Nodes(Change::Applied { item, .. }) => cores.push(item.cpu),
            _ => {}
        }
    }
    assert_eq!(cores, [Some(4_000_000_000), Some(8_000_000_000)]);
}

#[tokio::test]
async fn only_configured_backends_are_followed() {
    let ceph = || {
        Some(crate::config::CephConfig {
            url: "http://127.0.0.1:1".parse().unwrap(),
            user_file: "/nowhere".into(),
            password_file: "/nowhere".into(),
            ca: None,
            interval: Duration::from_secs(300),
            budget: Duration::from_secs(60),
            deadline: Duration::from_secs(5),
        })
    };
    for (disk_sources, ceph, volumes, longhorn) in [
        (vec![SourceId::GuestAgent, SourceId::Ceph], None, false, false),
        (vec![SourceId::Kubelet], None, true, false),
        (vec![SourceId::Kubelet, SourceId::Ceph], ceph(), true, false),
        (vec![SourceId::Longhorn], None, true, true),
    ] {
        let server = Server::start(|request, _| quiet(request));
        let config = CollectConfig { disk_sources, ceph, ..config() };
        let mut collector = Collector::start(&server, config, &[]).await;
        collector.during(Duration::from_millis(500)).await;
        let followed = [PERSISTENT_VOLUMES, LONGHORN_VOLUMES].map(|path| !server.asked(path).is_empty());
        assert_eq!(followed, [volumes, longhorn]);
    }
}

#[tokio::test]
async fn only_launcher_pods_are_requested() {
    let server = Server::start(|request, _| quiet(request));
    let mut collector = Collector::start(&server, config(), &[]).await;
    collector.during(Duration::from_millis(500)).await;
    let requests = server.asked("/api/v1/pods");
    assert!(requests.len() >= 2, "list and watch");
    assert!(
        requests.iter().all(|request| request.query.contains("labelSelector=kubevirt.io%3Dvirt-launcher"))
    );
}

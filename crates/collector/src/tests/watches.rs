//! List and watch: what is installed late, denied, silent, outdated or broken.

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
async fn lists_then_follows() {
    let server = Server::start(|asked, n| match asked.path.as_str() {
        WUKONGS if !asked.is_watch() => list(&["a", "b"]),
        WUKONGS if n == 0 => watch_of(&[
            event("ADDED", "c"),
            event("DELETED", "a"),
            event("MODIFIED", "b"),
            event("WHAT", "x"),
        ]),
        _ => quiet(asked),
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
    // An event that cannot be read may have been any change: only a new list tells.
    assert_eq!(collector.watch_error(SourceId::Wukongs).await.reason, Reason::BadAnswer);
    assert_eq!(collector.wukongs().await, ["a", "b"]);
}

#[tokio::test]
async fn pages_make_one_list() {
    let page = |names: &str, more: &str| {
        json(format!(r#"{{"metadata":{{"resourceVersion":"5","continue":"{more}"}},"items":[{names}]}}"#))
    };
    let server = Server::start(move |asked, _| match asked.path.as_str() {
        WUKONGS if !asked.is_watch() && asked.query.contains("continue=second") => page(&wukong("b"), ""),
        WUKONGS if !asked.is_watch() => page(&wukong("a"), "second"),
        _ => quiet(asked),
    });
    let mut collector = Collector::start(&server, config(), &[]).await;
    assert_eq!(collector.wukongs().await, ["a", "b"]);
    assert!(server.asked(WUKONGS)[0].query.contains("limit=500"));
}

#[tokio::test]
async fn an_odd_object_costs_itself_alone() {
    let server = Server::start(|asked, _| match asked.path.as_str() {
        WUKONGS if !asked.is_watch() => json(format!(
            r#"{{"metadata":{{"resourceVersion":"5"}},"items":[7,{{"metadata":[]}},{{"metadata":{{"name":"odd","namespace":"prod"}},"spec":"x","status":3}},{}]}}"#,
            wukong("good")
        )),
        _ => quiet(asked),
    });
    let mut collector = Collector::start(&server, config(), &[]).await;
    assert_eq!(collector.wukongs().await, ["odd", "good"]);
}

#[tokio::test]
async fn an_api_that_is_installed_later_is_picked_up() {
    let server = Server::start(|asked, n| match asked.path.as_str() {
        WUKONGS if !asked.is_watch() && n < 2 => {
            (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
        }
        WUKONGS if !asked.is_watch() => list(&["late"]),
        _ => quiet(asked),
    });
    let mut collector = Collector::start(&server, config(), &[]).await;
    let error = collector.watch_error(SourceId::Wukongs).await;
    assert_eq!(error.reason, Reason::ApiAbsent);
    assert!(error.detail.english().contains("wukongs.vm.novasphere.dev"), "{}", error.detail.english());
    assert_eq!(collector.wukongs().await, ["late"]);
}

#[tokio::test]
async fn an_api_that_vanishes_is_listed_anew_when_it_is_back() {
    let server = Server::start(|asked, n| match (asked.path.as_str(), asked.is_watch()) {
        (WUKONGS, false) if n == 1 => status(404, "NotFound"),
        (WUKONGS, false) => list(if n == 0 { &["before"] } else { &["after"] }),
        (WUKONGS, true) if n == 0 => status(404, "NotFound"),
        _ => quiet(asked),
    });
    let mut collector = Collector::start(&server, config(), &[]).await;
    assert_eq!(collector.wukongs().await, ["before"]);
    assert_eq!(collector.watch_error(SourceId::Wukongs).await.reason, Reason::ApiAbsent);
    assert_eq!(collector.wukongs().await, ["after"]);
}

#[tokio::test]
async fn a_denial_names_the_permission_and_costs_no_other_source() {
    let server = Server::start(|asked, n| match asked.path.as_str() {
        WUKONGS if !asked.is_watch() && n == 0 => status(403, "Forbidden"),
        _ => quiet(asked),
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
async fn namespaces_are_never_left() {
    let server = Server::start(|asked, _| match asked.path.as_str() {
        "/apis/kubevirt.io/v1/namespaces/dev/virtualmachines" => status(403, "Forbidden"),
        _ => quiet(asked),
    });
    let config = CollectConfig { namespaces: Some(vec!["prod".into(), "dev".into()]), ..config() };
    let mut collector = Collector::start(&server, config, &[]).await;
    let error = collector.watch_error(SourceId::VirtualMachines).await;
    assert_eq!(error.detail.english(), "list virtualmachines.kubevirt.io in namespace dev");
    collector.during(Duration::from_millis(500)).await;
    let asked = server.asked.lock().unwrap();
    // PersistentVolumes, nodes and the cluster's instance types are in no namespace, and Longhorn's volumes are in Longhorn's.
    let inside = |path: &str| {
        path.contains("/namespaces/prod/")
            || path.contains("/namespaces/dev/")
            || [PERSISTENT_VOLUMES, LONGHORN_VOLUMES, NODES, CLUSTER_INSTANCETYPES].contains(&path)
    };
    assert!(asked.iter().all(|asked| inside(&asked.path)), "{asked:?}");
    assert!(asked.iter().any(|asked| asked.path == "/apis/metrics.k8s.io/v1beta1/namespaces/dev/pods"));
}

#[tokio::test]
async fn backends_are_followed_at_cluster_scope() {
    let volume = r#"{"metadata":{"name":"pvc-1","resourceVersion":"11"},"spec":{"claimRef":{"namespace":"prod","name":"web"},"csi":{"driver":"driver.longhorn.io","volumeHandle":"pvc-1"}}}"#;
    let longhorn = r#"{"metadata":{"name":"pvc-1","namespace":"longhorn-system","resourceVersion":"11"},"spec":{"size":"10"},"status":{"actualSize":4}}"#;
    let one = |item: &str| {
        json(format!(r#"{{"kind":"List","metadata":{{"resourceVersion":"10"}},"items":[{item}]}}"#))
    };
    let server = Server::start(move |asked, _| match (asked.path.as_str(), asked.is_watch()) {
        (PERSISTENT_VOLUMES, false) => one(volume),
        (LONGHORN_VOLUMES, false) => one(longhorn),
        (LONGHORN_VOLUMES, true) => {
            watch_of(&[format!(r#"{{"type":"MODIFIED","object":{}}}"#, longhorn.replace(":4}", ":5}"))])
        }
        _ => quiet(asked),
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
    let server = Server::start(move |asked, _| match (asked.path.as_str(), asked.is_watch()) {
        (NODES, false) => json(list.clone()),
        (NODES, true) => {
            watch_of(&[format!(r#"{{"type":"MODIFIED","object":{}}}"#, node.replace("\"4\"", "\"8\""))])
        }
        _ => quiet(asked),
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
async fn only_the_backends_that_are_asked_are_followed() {
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
        let server = Server::start(|asked, _| quiet(asked));
        let config = CollectConfig { disk_sources, ceph, ..config() };
        let mut collector = Collector::start(&server, config, &[]).await;
        collector.during(Duration::from_millis(500)).await;
        let followed = [PERSISTENT_VOLUMES, LONGHORN_VOLUMES].map(|path| !server.asked(path).is_empty());
        assert_eq!(followed, [volumes, longhorn]);
    }
}

#[tokio::test]
async fn only_launcher_pods_are_asked_for() {
    let server = Server::start(|asked, _| quiet(asked));
    let mut collector = Collector::start(&server, config(), &[]).await;
    collector.during(Duration::from_millis(500)).await;
    let asked = server.asked("/api/v1/pods");
    assert!(asked.len() >= 2, "list and watch");
    assert!(asked.iter().all(|asked| asked.query.contains("labelSelector=kubevirt.io%3Dvirt-launcher")));
}

#[tokio::test]
async fn a_silent_watch_is_reopened_where_it_was() {
    let server = Server::start(|asked, _| match asked.path.as_str() {
        // Ignores timeoutSeconds, and never says anything.
        WUKONGS if asked.is_watch() => watch_of(&[]),
        _ => quiet(asked),
    });
    let idle = Duration::from_secs(2);
    let mut collector = Collector::start(&server, CollectConfig { watch_idle: idle, ..config() }, &[]).await;
    let error = collector.watch_error(SourceId::Wukongs).await;
    assert_eq!(
        (error.reason, &*error.detail.english()),
        (Reason::TimedOut, "the API server sends nothing any more")
    );
    let alive = collector.next(|observation| {
        matches!(observation, Observation::WatchAlive { source: SourceId::Wukongs, .. }).then_some(())
    });
    alive.await;
    let asked = server.asked(WUKONGS);
    let watches: Vec<_> = asked.iter().filter(|asked| asked.is_watch()).collect();
    assert_eq!((asked.len() - watches.len(), watches.len()), (1, 2), "one list, two watches");
    assert!(watches.iter().all(|watch| watch.query.contains("resourceVersion=10")), "{watches:?}");
    assert!(watches[1].at - watches[0].at < idle + Duration::from_secs(1));
}

#[tokio::test]
async fn bookmarks_are_a_sign_of_life_and_move_the_place() {
    let bookmark = r#"{"type":"BOOKMARK","object":{"kind":"Wukong","apiVersion":"vm.novasphere.dev/v1alpha1","metadata":{"resourceVersion":"77"}}}"#;
    let server = Server::start(move |asked, n| match asked.path.as_str() {
        WUKONGS if asked.is_watch() && n == 0 => {
            let steady = stream::unfold(0, move |n| async move {
                sleep(Duration::from_millis(400)).await;
                (n < 8).then(|| (Ok::<_, Infallible>(format!("{bookmark}\n")), n + 1))
            });
            Body::from_stream(steady).into_response()
        }
        _ => quiet(asked),
    });
    let config = CollectConfig { watch_idle: Duration::from_secs(2), ..config() };
    let mut collector = Collector::start(&server, config, &[]).await;
    let seen = collector.during(Duration::from_millis(3800)).await;
    let alive: Vec<_> = seen
        .iter()
        .filter_map(|observation| match observation {
            Observation::WatchAlive { source: SourceId::Wukongs, at, .. } => Some(*at),
            _ => None,
        })
        .collect();
    assert!((2..=5).contains(&alive.len()), "about one a second: {alive:?}");
    assert!(alive.is_sorted());
    let failed = |observation: &Observation| {
        matches!(observation, Observation::WatchFailed { source: SourceId::Wukongs, .. })
    };
    assert!(!seen.iter().any(failed), "it was never silent for two seconds");
    let watches: Vec<_> = server.asked(WUKONGS).into_iter().filter(Asked::is_watch).collect();
    assert!(watches[1].query.contains("resourceVersion=77"), "{}", watches[1].query);
}

#[tokio::test]
async fn an_outdated_place_is_listed_anew_and_is_no_failure() {
    let gone =
        r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}"#;
    let server = Server::start(move |asked, n| match (asked.path.as_str(), asked.is_watch()) {
        (WUKONGS, true) if n == 0 => watch_of(&[gone.to_owned()]),
        (WUKONGS, true) if n == 1 => status(410, "Expired"),
        (WUKONGS, false) => list(&[["first", "second", "third"][n.min(2)]]),
        _ => quiet(asked),
    });
    let mut collector = Collector::start(&server, config(), &[]).await;
    let mut lists = Vec::new();
    while lists.len() < 3 {
        match collector.next(Some).await {
            Observation::Wukongs(Change::Replaced { items, .. }) => lists.push(items[0].name.clone()),
            Observation::WatchFailed { source, error, .. } => panic!("{source:?}: {error:?}"),
            _ => {}
        }
    }
    assert_eq!(lists, ["first", "second", "third"]);
}

#[tokio::test]
async fn a_watch_that_always_ends_at_once_is_no_hot_loop() {
    let server = Server::start(|asked, _| if asked.is_watch() { json("") } else { quiet(asked) });
    let mut collector = Collector::start(&server, config(), &[]).await;
    collector.during(Duration::from_millis(2500)).await;
    let watches = server.asked(WUKONGS).into_iter().filter(Asked::is_watch).count();
    assert!((2..=4).contains(&watches), "{watches}");
}

#[tokio::test]
async fn an_api_server_that_comes_back_is_followed_again() {
    let server = Server::start(|asked, _| quiet(asked));
    let mut collector = Collector::start(&server, config(), &[]).await;
    collector.wukongs().await;
    let address = server.stop().await;
    let mut error = collector.watch_error(SourceId::Wukongs).await;
    while error.detail.english() != "the API server refuses connections" {
        assert_eq!(error.reason, Reason::Unreachable, "{error:?}");
        error = collector.watch_error(SourceId::Wukongs).await;
    }
    collector.during(Duration::from_secs(8)).await;
    let added = event("ADDED", "new");
    let back = Instant::now();
    let server = Server::listen(&address, move |asked, _| match asked.path.as_str() {
        WUKONGS if asked.is_watch() => watch_of(std::slice::from_ref(&added)),
        _ => quiet(asked),
    });
    let applied = collector.next(|observation| match observation {
        Observation::Wukongs(Change::Applied { item, .. }) => Some(item.name),
        _ => None,
    });
    assert_eq!(applied.await, "new");
    assert!(back.elapsed() < Duration::from_millis(5500), "{:?}", back.elapsed());
    assert!(server.asked(WUKONGS).iter().all(Asked::is_watch), "it goes on where it was");
}

/// What a real kube-apiserver says in its first seconds: authorisation is not read yet, then storage starts, then
/// the old place is forgotten. Each costs a wait, and all together no more than the page may be old for.
#[tokio::test]
async fn an_api_server_that_starts_up_is_followed_soon_after_it_is_ready() {
    let server = Server::start(|asked, _| quiet(asked));
    let mut collector = Collector::start(&server, config(), &[]).await;
    collector.wukongs().await;
    let address = server.stop().await;
    collector.during(Duration::from_secs(8)).await;
    let back = Instant::now();
    let _server = Server::listen(&address, |asked, n| match (asked.path.as_str(), asked.is_watch()) {
        (WUKONGS, true) if n == 0 => status(403, "Forbidden"),
        (WUKONGS, true) if n == 1 => status(429, "TooManyRequests"),
        (WUKONGS, true) if n == 2 => status(410, "Expired"),
        (WUKONGS, false) => list(&["new"]),
        _ => quiet(asked),
    });
    while collector.wukongs().await != ["new"] {}
    // The last wait of the outage is 5 s at most, the two that follow are 0.5 s and 1 s.
    assert!(back.elapsed() < Duration::from_millis(7500), "{:?}", back.elapsed());
}

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

fn review(allowed: bool) -> Response {
    json(format!(
        r#"{{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","metadata":{{}},"spec":{{}},"status":{{"allowed":{allowed}}}}}"#
    ))
}

/// Each of them is a 403 in the audit log, for ever: whether the permission is there is asked for instead.
#[tokio::test]
async fn what_is_refused_is_hardly_asked_for_again_until_it_is_allowed() {
    let granted = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_granted = {
        let granted = granted.clone();
        move || granted.load(std::sync::atomic::Ordering::Relaxed)
    };
    let server = Server::start(move |asked, _| match asked.path.as_str() {
        WUKONGS if !is_granted() => status(403, "Forbidden"),
        REVIEWS => review(is_granted()),
        _ => quiet(asked),
    });
    let mut collector = Collector::start(&server, config(), &[]).await;
    let error = collector.watch_error(SourceId::Wukongs).await;
    assert_eq!(error.reason, Reason::Forbidden);
    collector.during(Duration::from_secs(9)).await;
    let (refused, reviews) = (server.asked(WUKONGS).len(), server.asked(REVIEWS));
    assert!(refused <= 4, "{refused} in 9 s, where a back-off of 5 s would make 5 to 8");
    assert!((3..=8).contains(&reviews.len()), "{}", reviews.len());
    let asks = ["\"list\"", "\"wukongs\"", "\"vm.novasphere.dev\""];
    assert!(asks.iter().all(|word| reviews[0].body.contains(word)), "{}", reviews[0].body);
    let then = Instant::now();
    granted.store(true, std::sync::atomic::Ordering::Relaxed);
    collector.wukongs().await;
    assert!(then.elapsed() < Duration::from_millis(6500), "{:?}", then.elapsed());
}

/// A proxy may answer reviews for somebody else: then only time helps.
#[tokio::test]
async fn a_permission_that_is_only_said_to_be_there_makes_no_hot_loop() {
    let server = Server::start(|asked, _| match asked.path.as_str() {
        WUKONGS => status(403, "Forbidden"),
        REVIEWS => review(true),
        _ => quiet(asked),
    });
    let mut collector = Collector::start(&server, config(), &[]).await;
    collector.during(Duration::from_secs(8)).await;
    let (refused, reviews) = (server.asked(WUKONGS).len(), server.asked(REVIEWS).len());
    assert!((2..=5).contains(&refused) && reviews <= 2, "{refused} refusals, {reviews} reviews");
}

//! Watches: initial objects, events, bookmarks and 410.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, Config, runtime::watcher};
use serde_json::json;

use super::support::{TEST_TIMEOUT, WatchStream, brief, empty, get};
use crate::{Guest, KUBEVIRT_GROUP, Options, start};

const WUKONGS: &str = "/apis/vm.novasphere.dev/v1alpha1/wukongs";
const INSTANCES: &str = "/apis/kubevirt.io/v1/virtualmachineinstances";

fn text(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

#[tokio::test]
async fn a_watch_sends_visible_changes_in_order() {
    let sim = empty().await;
    let from = sim.world().revision();
    let mut wukongs = WatchStream::open(&sim, &format!("{WUKONGS}?watch=true&resourceVersion={from}")).await;
    sim.world().put(Guest::new("a", "one"));
    // Only the pod and the instance show where a VM runs to; usage shows in no object at all.
    sim.world().set_usage("a", "one", "100m", "1Gi");
    sim.world().change("a", "one", |guest| guest.cpu = 4);
    sim.world().remove("a", "one");
    for kind in ["ADDED", "MODIFIED", "DELETED"] {
        assert_eq!(brief(&wukongs.event().await), text(kind, "one"));
    }
    sim.world().put(Guest::new("a", "two"));
    assert_eq!(brief(&wukongs.event().await), text("ADDED", "two"), "nothing came in between");
}

#[tokio::test]
async fn an_object_leaves_a_selector_as_a_deletion() {
    let sim = empty().await;
    sim.world().put(Guest::new("a", "one").running_on("n1", 0));
    let path = format!("{INSTANCES}?watch=true&labelSelector=kubevirt.io%2FnodeName%3Dn1");
    let mut on_first = WatchStream::open(&sim, &path).await;
    assert_eq!(brief(&on_first.event().await), text("ADDED", "one-vm"));
    assert!(sim.world().start_migration("a", "one", "n2"));
    assert_eq!(brief(&on_first.event().await), text("MODIFIED", "one-vm"));
    assert!(sim.world().finish_migration("a", "one", false));
    assert_eq!(brief(&on_first.event().await), text("DELETED", "one-vm"));
}

#[tokio::test]
async fn a_watch_of_a_namespace_omits_others() {
    let sim = empty().await;
    let path = "/apis/vm.novasphere.dev/v1alpha1/namespaces/a/wukongs?watch=true";
    let mut watch = WatchStream::open(&sim, path).await;
    sim.world().put(Guest::new("ab", "x"));
    sim.world().put(Guest::new("a", "y"));
    assert_eq!(brief(&watch.event().await), text("ADDED", "y"));
}

#[tokio::test]
async fn bookmarks_come_when_asked_for_and_carry_the_revision() {
    let sim = empty().await;
    let mut plain = WatchStream::open(&sim, &format!("{WUKONGS}?watch=true")).await;
    let mut watch = WatchStream::open(&sim, &format!("{WUKONGS}?watch=true&allowWatchBookmarks=true")).await;
    let mark = watch.event().await;
    assert_eq!((&mark["type"], &mark["object"]["kind"]), (&json!("BOOKMARK"), &json!("Wukong")));
    sim.world().put(Guest::new("a", "x"));
    watch.event().await;
    let mark = watch.event().await;
    assert_eq!(mark["object"]["metadata"]["resourceVersion"], sim.world().revision().to_string());
    sim.world().put(Guest::new("a", "y"));
    for name in ["x", "y"] {
        assert_eq!(brief(&plain.event().await), text("ADDED", name), "no bookmark in between");
    }
}

#[tokio::test]
async fn initial_events_end_with_an_annotated_bookmark() {
    let sim = empty().await;
    sim.world().put(Guest::new("a", "x"));
    let path = format!("{WUKONGS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
    let mut watch = WatchStream::open(&sim, &path).await;
    assert_eq!(brief(&watch.event().await), text("ADDED", "x"));
    let mark = watch.event().await;
    assert_eq!(mark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

#[tokio::test]
async fn a_revision_that_is_gone_is_an_error_event() {
    let sim = start(Options { window: 3, ..Options::empty() }).await.unwrap();
    let old = sim.world().revision();
    sim.world().put(Guest::new("a", "x"));
    sim.world().put(Guest::new("a", "y"));
    let mut watch = WatchStream::open(&sim, &format!("{WUKONGS}?watch=true&resourceVersion={old}")).await;
    let event = watch.event().await;
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(event["object"]["reason"], "Expired");
    assert!(watch.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_watch_ends_at_its_timeout_and_with_its_api() {
    let sim = empty().await;
    let mut brief = WatchStream::open(&sim, &format!("{WUKONGS}?watch=true&timeoutSeconds=1")).await;
    let mut long = WatchStream::open(&sim, &format!("{INSTANCES}?watch=true")).await;
    assert!(tokio::time::timeout(TEST_TIMEOUT, brief.next()).await.unwrap().unwrap().is_none());
    sim.world().set_installed(KUBEVIRT_GROUP, false);
    assert!(tokio::time::timeout(TEST_TIMEOUT, long.next()).await.unwrap().unwrap().is_none());
}

/// kube-runtime sees the same pods as a list, after dropped watches and compactions.
#[tokio::test]
async fn a_watcher_follows_through_drops_and_compaction() {
    use crate::Target;
    let sim = empty().await;
    let config = Config::new(sim.url().parse().unwrap());
    let api = Api::<Pod>::all(Client::try_from(config).unwrap());
    let mut stream = Box::pin(watcher(api, watcher::Config::default()));
    let mut pods = BTreeMap::new();
    for round in 0..3 {
        sim.world().put(Guest::new("a", &format!("vm-{round}")).running_on("n1", 0));
        sim.world().compact();
        sim.faults().drop_watches(Target::Any);
        let follow = async {
            while pods.len() <= round {
                match stream.try_next().await {
                    Ok(Some(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod))) => {
                        pods.insert(pod.metadata.name.clone().unwrap(), pod);
                    }
                    Ok(Some(_)) | Err(_) => {}
                    Ok(None) => panic!("the watcher ended"),
                }
            }
        };
        tokio::time::timeout(TEST_TIMEOUT, follow).await.unwrap();
    }
    let listed = get(&sim, "/api/v1/pods").await;
    assert_eq!(pods.into_keys().collect::<Vec<_>>(), super::support::names(&listed));
}

//! Large objects, many objects, and endless answers. Small objects are known, large ones are reported, and no
//! answer is held whole.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use i18n::Render;
use wukong_core::observation::{Key, WukongFacts};

const WUKONGS: &str = "/apis/vm.novasphere.dev/v1alpha1/wukongs";
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const MB: usize = 1_000_000;

/// A Wukong whose JSON has that many bytes.
fn large(namespace: &str, name: &str, bytes: usize) -> String {
    let fill = "y".repeat(bytes);
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","uid":"{name}","resourceVersion":"11"}},"spec":{{"cpu":2,"memory":"4Gi","osImage":"{fill}"}}}}"#
    )
}

/// Items first, as Kubernetes writes lists of custom objects.
fn page(items: &[String], next: &str) -> Response {
    let items = items.join(",");
    json(format!(
        r#"{{"apiVersion":"v1","items":[{items}],"kind":"List","metadata":{{"continue":"{next}","resourceVersion":"10"}}}}"#
    ))
}

/// The requested page of a list.
fn paged(request: &RecordedRequest, all: &[String]) -> Response {
    let number = |name: &str| {
        let found = request.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        found.and_then(|text| text.parse::<usize>().ok())
    };
    let (from, limit) = (number("continue").unwrap_or_default(), number("limit").unwrap_or(all.len()));
    let to = (from + limit).min(all.len());
    page(&all[from..to], &if to < all.len() { to.to_string() } else { String::new() })
}

/// A body without end, and how many bytes of it were read.
fn endless(code: u16, head: &'static str) -> (impl Fn() -> Response + Send + Sync, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = taken.clone();
    let answer = move || {
        let counted = counted.clone();
        let pieces = stream::once(async move { Ok::<_, Infallible>(Bytes::from_static(head.as_bytes())) });
        let fill = stream::unfold((), move |()| {
            let counted = counted.clone();
            async move {
                counted.fetch_add(1 << 16, Ordering::Relaxed);
                Some((Ok(Bytes::from_static(&[b'y'; 1 << 16])), ()))
            }
        });
        let body = Body::from_stream(futures::StreamExt::chain(pieces, fill));
        (StatusCode::from_u16(code).unwrap(), body).into_response()
    };
    (answer, taken)
}

impl Collector {
    async fn omitted(&mut self, of: SourceId) -> Vec<SourceError> {
        self.next(|observation| match observation {
            Observation::Omitted { source, errors, .. } if source == of => Some(errors),
            _ => None,
        })
        .await
    }

    /// Waits for the next complete list of Wukongs, and for what is not known of it.
    async fn listed(&mut self) -> (Vec<WukongFacts>, Vec<SourceError>) {
        let items = self.next(|observation| match observation {
            Observation::Wukongs(Change::Replaced { items, .. }) => Some(items),
            _ => None,
        });
        let items = items.await;
        (items, self.omitted(SourceId::Wukongs).await)
    }
}

#[tokio::test]
async fn large_objects_make_smaller_pages() {
    let all: Vec<String> = (0..300).map(|n| large("prod", &format!("vm-{n}"), 13_000)).collect();
    let server = Server::start(move |request, _| match request.path.as_str() {
        WUKONGS if !request.is_watch() => paged(request, &all),
        _ => quiet(request),
    });
    let config = CollectConfig { answer_limit: MB, ..config() };
    let mut collector = Collector::start(&server, config, &[]).await;
    let (items, errors) = collector.listed().await;
    assert_eq!((items.len(), errors.len()), (300, 0), "{errors:?}");
    assert!(items.iter().all(|item| item.cpu == Some(2) && &*item.memory == "4Gi"));
    assert!(items.iter().all(|item| item.os_image.chars().count() == 200 && item.os_image.ends_with('…')));
    let requests = server.asked(WUKONGS).into_iter().filter(|request| !request.is_watch()).count();
    assert!((6..12).contains(&requests), "500, 250, 125, and then pages of 62: {requests}");
}

#[tokio::test]
async fn an_object_of_40_mb_loses_only_itself() {
    let all = [wukong("a"), large("prod", "huge", 40 * MB), wukong("b"), large("prod", "big", MB)];
    let server = Server::start(move |request, _| match request.path.as_str() {
        WUKONGS if !request.is_watch() => paged(request, &all),
        _ => quiet(request),
    });
    let mut collector = Collector::start(&server, config(), &[]).await;
    let (items, errors) = collector.listed().await;
    let names: Vec<_> = items.iter().map(|item| &*item.name).collect();
    assert_eq!(names, ["a", "b", "big"]);
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(error.reason, Reason::TooLarge);
    let words = error.detail.english();
    assert!(words.contains("prod/huge") && words.contains("4194304"), "{words}");
}

#[tokio::test]
async fn a_server_without_paging_is_listed_too() {
    let all = [wukong("a"), large("prod", "huge", 6 * MB), wukong("b")];
    let server = Server::start(move |request, _| match request.path.as_str() {
        WUKONGS if !request.is_watch() => page(&all, ""),
        _ => quiet(request),
    });
    let config = CollectConfig { answer_limit: MB, ..config() };
    let mut collector = Collector::start(&server, config, &[]).await;
    let (items, errors) = collector.listed().await;
    assert_eq!((items.len(), errors.len()), (2, 1), "{errors:?}");
}

#[tokio::test]
async fn an_event_of_40_mb_is_left_out_and_the_watch_goes_on() {
    let event = |kind: &str, object: String| format!(r#"{{"type":"{kind}","object":{object}}}"#);
    let server = Server::start(move |request, n| match request.path.as_str() {
        WUKONGS if !request.is_watch() => list(&["web", "db"]),
        WUKONGS if n == 0 => watch_of(&[
            event("MODIFIED", large("prod", "web", 40 * MB)),
            event("ADDED", wukong("new")),
            event("MODIFIED", wukong("web")),
            event("MODIFIED", large("prod", "db", 5 * MB)),
            event("DELETED", large("prod", "db", 5 * MB)),
        ]),
        _ => quiet(request),
    });
    let mut collector = Collector::start(&server, config(), &[]).await;
    assert_eq!(collector.listed().await.0.len(), 2);
    let mut seen = Vec::new();
    while seen.len() < 9 {
        match collector.next(Some).await {
            Observation::Wukongs(Change::Applied { item, .. }) => seen.push(format!("+{}", item.name)),
            Observation::Wukongs(Change::Deleted { key, .. }) => seen.push(format!("-{}", key.name)),
            Observation::Omitted { source: SourceId::Wukongs, errors, .. } => {
                seen.push(errors.first().map_or("whole".into(), |error| {
                    let words = error.detail.english();
                    ["web", "db"].into_iter().filter(|name| words.contains(&format!("prod/{name}"))).collect()
                }));
            }
            Observation::WatchFailed { source: SourceId::Wukongs, error, .. } => panic!("{error:?}"),
            _ => {}
        }
    }
    assert_eq!(seen, ["-web", "web", "+new", "+web", "whole", "-db", "db", "-db", "whole"]);
    let lists = server.asked(WUKONGS).into_iter().filter(|request| !request.is_watch()).count();
    assert_eq!(lists, 1, "a large object costs no list");
}

#[tokio::test]
async fn one_namespace_cannot_displace_the_others() {
    let mut all: Vec<String> = (0..3000).map(|n| large("evil", &format!("vm-{n}"), 10)).collect();
    all.extend((0..20).map(|n| large("prod", &format!("vm-{n}"), 10)));
    let server = Server::start(move |request, _| match request.path.as_str() {
        WUKONGS if !request.is_watch() => paged(request, &all),
        _ => quiet(request),
    });
    let config = CollectConfig { collection_limit: 1 << 20, ..config() };
    let mut collector = Collector::start(&server, config, &[]).await;
    let (items, errors) = collector.listed().await;
    let of = |namespace: &str| items.iter().filter(|item| item.namespace == namespace).count();
    assert_eq!(of("prod"), 20);
    assert!((200..500).contains(&of("evil")), "{}", of("evil"));
    let [error] = &errors[..] else { panic!("{errors:?}") };
    let words = error.detail.english();
    assert!(error.reason == Reason::TooLarge && words.contains("; evil uses the most"), "{words}");
}

#[tokio::test]
async fn long_lists_in_an_object_are_cut_and_reported() {
    let disks = vec![r#"{"name":"d","size":"1Gi"}"#; 1000].join(",");
    let volumes = vec![r#"{"name":"v","pvcName":"c"}"#; 1000].join(",");
    let object = format!(
        r#"{{"metadata":{{"name":"web","namespace":"prod","resourceVersion":"11"}},"spec":{{"disks":[{disks}]}},"status":{{"volumes":[{volumes}]}}}}"#
    );
    let server = Server::start(move |request, _| match request.path.as_str() {
        WUKONGS if !request.is_watch() => page(std::slice::from_ref(&object), ""),
        _ => quiet(request),
    });
    let mut collector = Collector::start(&server, config(), &[]).await;
    let (items, errors) = collector.listed().await;
    assert_eq!((items[0].disks.len(), items[0].volumes.len()), (256, 256));
    assert!(errors.len() == 1 && errors[0].detail.english().contains("prod/web"), "{errors:?}");
}

#[tokio::test]
async fn an_endless_error_and_an_endless_review_are_not_read() {
    let (refusal, of_refusal) = endless(403, r#"{"kind":"Status","code":403,"message":""#);
    let (review, of_review) = endless(201, r#"{"kind":"SelfSubjectAccessReview","spec":{"x":""#);
    let server = Server::start(move |request, _| match request.path.as_str() {
        WUKONGS => refusal(),
        REVIEWS => review(),
        _ => quiet(request),
    });
    let mut collector = Collector::start(&server, config(), &[]).await;
    for _ in 0..2 {
        assert_eq!(collector.watch_error(SourceId::Wukongs).await.reason, Reason::Forbidden);
    }
    collector.during(Duration::from_secs(3)).await;
    let (requests, reviews) = (server.asked(WUKONGS).len(), server.asked(REVIEWS).len());
    let taken = [&of_refusal, &of_review].map(|taken| taken.load(Ordering::Relaxed));
    // Bytes in the socket buffers are counted too.
    assert!(reviews > 0 && taken[0] < requests * 12 * MB && taken[1] < reviews * 12 * MB, "{taken:?}");
}

#[tokio::test]
async fn an_undecodable_object_loses_only_itself() {
    let odd = r#"{"metadata":{"name":"odd","namespace":"prod"},"spec":{"cpu":1e999}}"#.to_owned();
    let event = format!(
        r#"{{"type":"MODIFIED","object":{}}}"#,
        odd.replace("prod\"", "prod\",\"resourceVersion\":\"12\"")
    );
    let server = Server::start(move |request, n| match request.path.as_str() {
        WUKONGS if !request.is_watch() => page(&[wukong("a"), odd.clone()], ""),
        WUKONGS if n == 0 => watch_of(std::slice::from_ref(&event)),
        _ => quiet(request),
    });
    let mut collector = Collector::start(&server, config(), &[]).await;
    let (items, errors) = collector.listed().await;
    assert_eq!((items.len(), errors.len()), (1, 1), "{errors:?}");
    let gone = collector.next(|observation| match observation {
        Observation::Wukongs(Change::Deleted { key, .. }) => Some(key),
        Observation::WatchFailed { source: SourceId::Wukongs, error, .. } => panic!("{error:?}"),
        _ => None,
    });
    assert_eq!(gone.await, Key::new("prod", "odd"));
}

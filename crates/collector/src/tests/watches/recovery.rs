//! Watches that are silent, end or are refused, and how they are followed again.

use super::*;

#[tokio::test]
async fn a_silent_watch_is_reopened_at_its_resource_version() {
    let server = Server::start(|request, _| match request.path.as_str() {
        // Ignores timeoutSeconds and never sends anything.
        WUKONGS if request.is_watch() => watch_of(&[]),
        _ => quiet(request),
    });
    let idle = Duration::from_secs(2);
    let mut collector = Collector::start(&server, CollectConfig { watch_idle: idle, ..config() }, &[]).await;
    let error = collector.watch_error(SourceId::Wukongs).await;
    assert_eq!(
        (error.reason, &*error.detail.english()),
        (Reason::TimedOut, "the API server has stopped sending data")
    );
    let alive = collector.next(|observation| {
        matches!(observation, Observation::WatchAlive { source: SourceId::Wukongs, .. }).then_some(())
    });
    alive.await;
    let requests = server.asked(WUKONGS);
    let watches: Vec<_> = requests.iter().filter(|request| request.is_watch()).collect();
    assert_eq!((requests.len() - watches.len(), watches.len()), (1, 2), "one list, two watches");
    assert!(watches.iter().all(|watch| watch.query.contains("resourceVersion=10")), "{watches:?}");
    assert!(watches[1].at - watches[0].at < idle + Duration::from_secs(1));
}

#[tokio::test]
async fn bookmarks_show_that_a_watch_is_alive_and_update_its_resource_version() {
    let bookmark = r#"{"type":"BOOKMARK","object":{"kind":"Wukong","apiVersion":"vm.novasphere.dev/v1alpha1","metadata":{"resourceVersion":"77"}}}"#;
    let server = Server::start(move |request, n| match request.path.as_str() {
        WUKONGS if request.is_watch() && n == 0 => {
            let steady = stream::unfold(0, move |n| async move {
                sleep(Duration::from_millis(400)).await;
                (n < 8).then(|| (Ok::<_, Infallible>(format!("{bookmark}\n")), n + 1))
            });
            Body::from_stream(steady).into_response()
        }
        _ => quiet(request),
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
    let watches: Vec<_> = server.asked(WUKONGS).into_iter().filter(RecordedRequest::is_watch).collect();
    assert!(watches[1].query.contains("resourceVersion=77"), "{}", watches[1].query);
}

#[tokio::test]
async fn an_expired_resource_version_causes_a_new_list_and_no_failure() {
    let gone =
        r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}"#;
    let server = Server::start(move |request, n| match (request.path.as_str(), request.is_watch()) {
        (WUKONGS, true) if n == 0 => watch_of(&[gone.to_owned()]),
        (WUKONGS, true) if n == 1 => status(410, "Expired"),
        (WUKONGS, false) => list(&[["first", "second", "third"][n.min(2)]]),
        _ => quiet(request),
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
async fn a_watch_that_always_ends_at_once_causes_no_hot_loop() {
    let server = Server::start(|request, _| if request.is_watch() { json("") } else { quiet(request) });
    let mut collector = Collector::start(&server, config(), &[]).await;
    collector.during(Duration::from_millis(2500)).await;
    let watches = server.asked(WUKONGS).into_iter().filter(RecordedRequest::is_watch).count();
    assert!((2..=4).contains(&watches), "{watches}");
}

#[tokio::test]
async fn an_api_server_that_comes_back_is_followed_again() {
    let server = Server::start(|request, _| quiet(request));
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
    let server = Server::listen(&address, move |request, _| match request.path.as_str() {
        WUKONGS if request.is_watch() => watch_of(std::slice::from_ref(&added)),
        _ => quiet(request),
    });
    let applied = collector.next(|observation| match observation {
        Observation::Wukongs(Change::Applied { item, .. }) => Some(item.name),
        _ => None,
    });
    assert_eq!(applied.await, "new");
    assert!(back.elapsed() < Duration::from_millis(5500), "{:?}", back.elapsed());
    assert!(server.asked(WUKONGS).iter().all(RecordedRequest::is_watch), "it goes on where it was");
}

/// A real kube-apiserver answers like this in its first seconds: its authorisation is not ready, then its storage
/// starts, then the old resource version has expired. Each costs a wait; together they stay short enough that
/// the page does not become stale.
#[tokio::test]
async fn an_api_server_that_starts_up_is_followed_soon_after_it_is_ready() {
    let server = Server::start(|request, _| quiet(request));
    let mut collector = Collector::start(&server, config(), &[]).await;
    collector.wukongs().await;
    let address = server.stop().await;
    collector.during(Duration::from_secs(8)).await;
    let back = Instant::now();
    let _server = Server::listen(&address, |request, n| match (request.path.as_str(), request.is_watch()) {
        (WUKONGS, true) if n == 0 => status(403, "Forbidden"),
        (WUKONGS, true) if n == 1 => status(429, "TooManyRequests"),
        (WUKONGS, true) if n == 2 => status(410, "Expired"),
        (WUKONGS, false) => list(&["new"]),
        _ => quiet(request),
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

/// Each refused request is a 403 in the audit log. An access review is requested instead.
#[tokio::test]
async fn a_refused_watch_is_hardly_repeated_until_it_is_permitted() {
    let granted = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_granted = {
        let granted = granted.clone();
        move || granted.load(std::sync::atomic::Ordering::Relaxed)
    };
    let server = Server::start(move |request, _| match request.path.as_str() {
        WUKONGS if !is_granted() => status(403, "Forbidden"),
        REVIEWS => review(is_granted()),
        _ => quiet(request),
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

/// A proxy may answer reviews with the permissions of another user. Then only waiting helps.
#[tokio::test]
async fn a_wrong_access_review_causes_no_hot_loop() {
    let server = Server::start(|request, _| match request.path.as_str() {
        WUKONGS => status(403, "Forbidden"),
        REVIEWS => review(true),
        _ => quiet(request),
    });
    let mut collector = Collector::start(&server, config(), &[]).await;
    collector.during(Duration::from_secs(8)).await;
    let (refused, reviews) = (server.asked(WUKONGS).len(), server.asked(REVIEWS).len());
    assert!((2..=5).contains(&refused) && reviews <= 2, "{refused} refusals, {reviews} reviews");
}

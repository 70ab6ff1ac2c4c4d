//! Viewers share the queries to Prometheus and the cache: no viewer takes all of them.

use super::*;

/// How long an answer of the slow long-term history takes.
const SLOW: Duration = Duration::from_secs(1);
/// Longest time of an answer that waits for nothing: the time is paused.
const AT_ONCE: Duration = Duration::from_millis(1);
const GREEDY: [u8; 4] = [192, 0, 2, 1];
const MODEST: [u8; 4] = [192, 0, 2, 2];

/// Returns a long-term history that answers every query after this time.
fn slow_history(takes: Duration) -> LongTermHistory {
    let (long_term, mut questions) = LongTermHistory::new();
    tokio::spawn(async move {
        loop {
            let question = questions.next().await;
            tokio::spawn(async move {
                let answer = steady(&question);
                tokio::select! {
                    () = question.reply.closed() => {}
                    () = sleep(takes) => question.reply.send(answer),
                }
            });
        }
    });
    long_term
}

fn many() -> Vec<Vm> {
    (0..400).map(|n| vm("shop", &format!("vm-{n:03}"))).collect()
}

fn long(n: usize) -> String {
    format!("/api/vms/vm-{n:03}/history?span=7d")
}

#[tokio::test(start_paused = true)]
async fn many_long_spans_of_one_viewer_do_not_starve_others() {
    let server = HistoryServer::of(many(), Some(slow_history(SLOW)));
    let begun = Instant::now();
    let greedy = async {
        let ask = async |n| (server_get(&server, GREEDY, &long(n)).await, begun.elapsed());
        join_all((0..100).map(ask)).await
    };
    let modest = async {
        sleep(Duration::from_millis(100)).await;
        let answer = server_get(&server, MODEST, &long(300)).await;
        (answer, begun.elapsed())
    };
    let (greedy, (modest, took)) = tokio::join!(greedy, modest);
    assert_eq!((&modest["lacks"], &modest["origin"]), (&Value::Null, &json!("prometheus")));
    assert!(took < DEADLINE, "{took:?}");
    let refused: Vec<_> = greedy.iter().filter(|(answer, _)| answer["lacks"]["reason"] == "busy").collect();
    let at_once = refused.iter().filter(|(_, took)| *took < AT_ONCE).count();
    // 8 queries are queued, and a few more get a place when the first are answered.
    assert!((80..=92).contains(&at_once), "{at_once} of 100");
    assert!(!refused[0].0["lacks"]["fix"].as_str().unwrap().is_empty());
    assert!(greedy.iter().all(|(_, took)| *took < DEADLINE + AT_ONCE), "nobody waits longer than that");
}

async fn server_get(server: &HistoryServer, peer: [u8; 4], url: &str) -> Value {
    let answer = server.get_as(peer, url).await;
    assert_eq!(answer.status, 200, "{url}");
    answer.json()
}

#[tokio::test(start_paused = true)]
async fn a_busy_answer_is_not_cached_for_the_next_viewer() {
    let server = HistoryServer::of(many(), Some(slow_history(SLOW)));
    let greedy = join_all((0..20).map(async |n| server_get(&server, GREEDY, &long(n)).await));
    let modest = async {
        sleep(Duration::from_millis(100)).await;
        server_get(&server, MODEST, &long(19)).await
    };
    let (greedy, modest) = tokio::join!(greedy, modest);
    assert_eq!(greedy[19]["lacks"]["reason"], "busy");
    assert_eq!(modest["lacks"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_slow_history_delays_only_the_pages_that_ask_it() {
    let server = HistoryServer::of(many(), Some(slow_history(Duration::from_secs(3600))));
    let begun = Instant::now();
    let asking = join_all((0..20).map(async |n| server_get(&server, GREEDY, &long(n)).await));
    let others = async {
        for url in ["/", "/vms/shop/vm-000", "/vms/shop/vm-000?span=24h", "/sources", "/api/vms"] {
            assert_eq!(server.get(url).await.status, 200, "{url}");
        }
        begun.elapsed()
    };
    let (answers, took) = tokio::join!(asking, others);
    assert!(took < AT_ONCE, "{took:?}");
    assert!(begun.elapsed() < DEADLINE + AT_ONCE);
    let count = |reason: &str| answers.iter().filter(|answer| answer["lacks"]["reason"] == reason).count();
    let (late, busy) = (count("timed-out"), count("busy"));
    // Three queries ran. Some of those that waited get the places that become free just before they time out.
    assert!((3..=12).contains(&late) && late + busy == 20, "{late} late, {busy} without room");
}

#[tokio::test]
async fn answers_for_one_viewer_do_not_evict_those_for_another() {
    let (long_term, mut questions) = LongTermHistory::new();
    let queries = Arc::new(AtomicUsize::new(0));
    let count = queries.clone();
    tokio::spawn(async move {
        loop {
            let question = questions.next().await;
            count.fetch_add(1, Ordering::SeqCst);
            let answer = steady(&question);
            question.reply.send(answer);
        }
    });
    let server = HistoryServer::of(many(), Some(long_term));
    server_get(&server, MODEST, &long(399)).await;
    for n in 0..300 {
        server_get(&server, GREEDY, &long(n)).await;
    }
    let before = queries.load(Ordering::SeqCst);
    assert_eq!(before, 301);
    server_get(&server, MODEST, &long(399)).await;
    assert_eq!(queries.load(Ordering::SeqCst), before, "it is still held");
    server_get(&server, GREEDY, &long(0)).await;
    assert_eq!(queries.load(Ordering::SeqCst), before + 1, "their own oldest is gone");
}

/// The long-term history is asked, and never answers.
#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_long_term_history_delays_no_other() {
    let (long_term, questions) = LongTermHistory::new();
    let server = HistoryServer::new(Some(long_term));
    let vm = ["/vms/shop/web?span=7d", "/vms/shop/%77eb?span=30d", "/vms/shop/web?span=%37d"];
    let functions =
        ["/fn/history?namespace=shop&name=web&span=7d", "/fn/history?span=7d&name=%77eb&namespace=shop"];
    let rest = ["/api/vms/web/history?span=7d&namespace=shop", "/api/vms/db/history?span=30d&namespace=shop"];
    let urls = vm.into_iter().chain(functions).chain(rest);
    let ask = |url: &'static str| {
        let request = axum::http::Request::get(url).body(axum::body::Body::empty()).unwrap();
        tokio::spawn(answer(server.router.clone(), request))
    };
    let waiting: Vec<_> = urls.map(ask).collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = tokio::time::Instant::now();
    for url in ["/groups", "/fn/home", "/api/groups", "/api/vms.csv"] {
        assert_eq!(server.get(url).await.status, 200, "{url}");
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(waiting.iter().any(|waiting| !waiting.is_finished()), "they still wait");
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap().status, 200);
    }
    drop(questions);
}

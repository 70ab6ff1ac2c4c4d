//! The past through the router: out of memory, out of an archive that the test plays, and out of neither.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::fixture::*;
use crate::server::{
    config::HttpConfig,
    http::{App, Assets, limits::WorkLimits, past::HistoryReader, peer::Peer, reader::Reader, router},
};
use collector::archive::{LongTermHistory, Question};
use model::{
    Millis,
    figure::Unit,
    insight::{Finding, Insight, Sizing, Verdict, Window},
    reason::Reason,
    vm::{Kind, Vm},
};
use wukong_core::{
    Limits,
    archive::{Answer as Told, Of, Recording},
    frame::Identity,
    history::HistoryStore,
    insight::Findings,
    observation::{Key, SourceError},
};

/// A slot of every grid begins here: the sample of the fixture, at 7 s, is in it.
const NOW: Millis = 14_000;

struct Remembering {
    router: Router,
    publish_findings: watch::Sender<Arc<Findings>>,
}

impl Remembering {
    /// Of `shop/web`, whose one sample was recorded.
    fn new(archive: Option<LongTermHistory>) -> Self {
        Self::of(vec![vm("shop", "web"), vm("other", "db"), vm("shop", "db")], archive)
    }

    fn of(vms: Vec<Vm>, archive: Option<LongTermHistory>) -> Self {
        let snapshot = Arc::new(snapshot(1, vms));
        let store = Arc::new(HistoryStore::default());
        let limits = Limits {
            metrics_interval: 15_000,
            disk_interval: 60_000,
            ceph_interval: 0,
            disk_sources: Vec::new(),
        };
        store.record(&snapshot.vms, &limits, NOW);
        let (publish_findings, findings) = watch::channel(Arc::default());
        let identity = Identity { cluster: "test".into(), demo: false, refresh: 1000 };
        let reader = Reader::new(watch::channel(snapshot).1, identity, || NOW);
        let reader = reader.with_past(HistoryReader::new(store, findings, archive).within(PATIENCE));
        let app = App::new(reader, Assets::default(), &HttpConfig::default());
        let app = app.with_limits(WorkLimits::new(2, 1, 1 << 20));
        Self { router: router(app), publish_findings }
    }

    async fn get(&self, url: &str) -> Answer {
        self.get_as(ANYBODY, url).await
    }

    async fn get_as(&self, peer: [u8; 4], url: &str) -> Answer {
        let request =
            axum::http::Request::get(url).extension(Peer::new(peer.into())).body(axum::body::Body::empty());
        answer(self.router.clone(), request.unwrap()).await
    }
}

/// An archive that takes its time with every question.
fn slow_archive(takes: Duration) -> LongTermHistory {
    let (archive, mut questions) = LongTermHistory::new();
    tokio::spawn(async move {
        loop {
            let question = questions.next().await;
            tokio::spawn(async move {
                let told = steady(&question);
                tokio::select! {
                    () = question.reply.closed() => {}
                    () = sleep(takes) => question.reply.send(told),
                }
            });
        }
    });
    archive
}

/// An archive that says the same to everybody, and how often it was asked.
fn archive(told: Told) -> (LongTermHistory, Arc<AtomicUsize>) {
    let (archive, mut questions) = LongTermHistory::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        loop {
            let Question { of, reply, .. } = questions.next().await;
            assert!(matches!(of, Of::One { instance, .. } if instance == "web-vm"));
            count.fetch_add(1, Ordering::SeqCst);
            reply.send(told.clone());
        }
    });
    (archive, asked)
}

/// Half a core of whichever instance is asked about.
fn steady(Question { of, times, .. }: &Question) -> Told {
    let Of::One { namespace, instance, .. } = of else { panic!("{of:?}") };
    let cpu = [(Key::new(namespace, instance), vec![Some(500_000_000); times.count])].into();
    Ok(Recording { cpu, ..Recording::default() })
}

fn half_a_core() -> Told {
    let cpu = [(Key::new("shop", "web-vm"), vec![Some(500_000_000); 336])].into();
    // After the VM was made, which at the test's time has yet to come.
    Ok(Recording { cpu, ..Recording::default() })
}

#[tokio::test]
async fn an_hour_comes_out_of_memory_with_its_gaps() {
    let server = Remembering::new(None);
    let answer = server.get("/api/vms/web/history").await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"));
    let history = answer.json();
    assert_eq!(history["span"], "1h");
    assert_eq!((&history["keeper"], &history["lacks"]), (&json!("memory"), &Value::Null));
    let cpu = &history["cpu"];
    assert_eq!((cpu["stepSeconds"].as_u64(), cpu["points"].as_array().unwrap().len()), (Some(15), 240));
    assert_eq!((&cpu["points"][239], &cpu["points"][0]), (&json!(25.0), &Value::Null));
    assert_eq!(
        cpu["stats"],
        json!({"min": 25.0, "avg": 25.0, "max": 25.0, "p95": 25.0, "known": 1, "all": 240})
    );
    assert_eq!(history["disk"]["points"][239], json!(10.0));
    assert_eq!(history["hints"]["cpu"]["none"]["reason"], "too-short");
    assert_eq!(history["hints"]["cpu"]["none"]["neededMinutes"], 1_440);
    let day = server.get("/api/vms/web/history?span=24h&namespace=shop").await.json();
    assert_eq!((&day["cpu"]["points"][287], &day["cpu"]["stepSeconds"]), (&json!(25.0), &json!(300)));
}

#[tokio::test]
async fn what_cannot_be_understood_names_its_field() {
    let server = Remembering::new(None);
    for (url, status, field) in [
        ("/api/vms/web/history?span=1y", 400, "span"),
        ("/api/vms/web/history?namespace=A", 400, "namespace"),
        ("/api/insights?kind=odd", 400, "kind"),
        ("/api/insights?resource=gpu", 400, "resource"),
        ("/api/insights?page=0", 400, "page"),
    ] {
        let answer = server.get(url).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["field"]), (status, &json!(field)), "{url}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    assert_eq!(server.get("/api/vms/nobody/history").await.status, 404);
    assert_eq!(server.get("/api/vms/db/history").await.status, 409);
    assert_eq!(server.get("/fn/history?namespace=shop&name=web&span=1y").await.status, 400);
    assert_eq!(server.get("/fn/insights?query=sort%3Dodd").await.status, 400);
}

#[tokio::test]
async fn a_long_span_without_an_archive_says_how_to_have_one() {
    let server = Remembering::new(None);
    for span in ["7d", "30d"] {
        let history = server.get(&format!("/api/vms/web/history?span={span}")).await.json();
        assert_eq!(history["lacks"]["reason"], "not-configured");
        assert!(history["lacks"]["fix"].as_str().unwrap().contains("--prometheus-url"));
        assert!(
            history["cpu"]["points"].as_array().unwrap().iter().all(Value::is_null),
            "gaps, and no zeros"
        );
        assert_eq!(history["cpu"]["stats"], Value::Null);
    }
}

#[tokio::test]
async fn an_archive_is_asked_once_for_all_who_look() {
    let (archive, asked) = archive(half_a_core());
    let server = Remembering::new(Some(archive));
    let looks = (0..5).map(|_| server.get("/api/vms/web/history?span=7d"));
    for answer in join_all(looks).await {
        let history = answer.json();
        assert_eq!((&history["keeper"], answer.status.as_u16()), (&json!("prometheus"), 200));
        assert_eq!(history["cpu"]["points"].as_array().unwrap().len(), 336);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(server.get("/fn/history?namespace=shop&name=web&span=7d").await.status, 200);
    assert_eq!(asked.load(Ordering::SeqCst), 1, "what is held is not asked for again");
    server.get("/api/vms/web/history?span=30d").await;
    assert_eq!(asked.load(Ordering::SeqCst), 2, "another span is another question");
}

#[tokio::test]
async fn a_page_finds_what_the_archive_said_before_it_was_rendered() {
    let (archive, asked) = archive(half_a_core());
    let server = Remembering::new(Some(archive));
    server.get("/vms/shop/web").await;
    assert_eq!(asked.load(Ordering::SeqCst), 0, "an hour comes out of memory");
    server.get("/vms/shop/web?span=7d").await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    server.get("/vms/shop/nobody?span=7d").await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_page_reads_its_address_as_what_comes_before_it_does() {
    for (url, status, wanted) in [
        ("/vms/shop/web?lang=en&span=%37d", 200, 1),
        ("/vms/%73hop/%77eb?%73pan=7d", 200, 1),
        ("/vms/shop/web?span=+7d+", 200, 1),
        ("/vms/shop/web?span=7d&span=1h", 400, 0),
        ("/vms/shop/web?span=1h&span=7d", 400, 0),
        ("/vms/shop/web?span=%2537d", 400, 0),
        ("/vms/shop/%2577eb?span=7d", 404, 0),
        ("/vms/shop/web/?span=7d", 404, 0),
        ("/vms//web?span=7d", 404, 0),
    ] {
        let (archive, asked) = archive(half_a_core());
        let server = Remembering::new(Some(archive));
        let answer = server.get(url).await;
        assert_eq!((answer.status.as_u16(), asked.load(Ordering::SeqCst)), (status, wanted), "{url}");
    }
}

#[tokio::test]
async fn an_archive_that_fails_leaves_a_reason_and_no_zeros() {
    let error = SourceError { reason: Reason::Unreachable, detail: "Prometheus cannot be reached".into() };
    let (archive, asked) = archive(Err(error));
    let server = Remembering::new(Some(archive));
    for _ in 0..3 {
        let history = server.get("/api/vms/web/history?span=7d").await.json();
        assert_eq!(history["lacks"]["reason"], "unreachable");
        assert_eq!(history["lacks"]["detail"], "Prometheus cannot be reached");
        assert!(!history["lacks"]["fix"].as_str().unwrap().is_empty());
        assert_eq!(history["memory"]["stats"], Value::Null);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1, "it is left in peace for a while");
    assert_eq!(server.get("/api/vms/web/history").await.json()["cpu"]["stats"]["known"], 1);
}

/// Of the tests: a slow answer, and the longest wait for one.
const SLOW: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);
/// Far less than any of them, and ample for what waits for nothing.
const AT_ONCE: Duration = Duration::from_millis(700);
const ANYBODY: [u8; 4] = [192, 0, 2, 0];
const GREEDY: [u8; 4] = [192, 0, 2, 1];
const MODEST: [u8; 4] = [192, 0, 2, 2];

fn many() -> Vec<Vm> {
    (0..400).map(|n| vm("shop", &format!("vm-{n:03}"))).collect()
}

fn long(n: usize) -> String {
    format!("/api/vms/vm-{n:03}/history?span=7d")
}

#[tokio::test]
async fn one_viewers_many_long_spans_do_not_starve_others() {
    let server = Remembering::of(many(), Some(slow_archive(SLOW)));
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
    assert_eq!((&modest["lacks"], &modest["keeper"]), (&Value::Null, &json!("prometheus")));
    assert!(took < PATIENCE, "{took:?}");
    let refused: Vec<_> = greedy.iter().filter(|(answer, _)| answer["lacks"]["reason"] == "busy").collect();
    let at_once = refused.iter().filter(|(_, took)| *took < AT_ONCE).count();
    // A line of 8 is taken in, and a few more that came to their turn once some of those had been answered.
    assert!((80..=92).contains(&at_once), "{at_once} of 100");
    assert!(!refused[0].0["lacks"]["fix"].as_str().unwrap().is_empty());
    assert!(greedy.iter().all(|(_, took)| *took < PATIENCE + AT_ONCE), "nobody waits longer than that");
}

async fn server_get(server: &Remembering, peer: [u8; 4], url: &str) -> Value {
    let answer = server.get_as(peer, url).await;
    assert_eq!(answer.status, 200, "{url}");
    answer.json()
}

#[tokio::test]
async fn that_there_was_no_room_is_not_held_against_the_next() {
    let server = Remembering::of(many(), Some(slow_archive(SLOW)));
    let greedy = join_all((0..20).map(async |n| server_get(&server, GREEDY, &long(n)).await));
    let modest = async {
        sleep(Duration::from_millis(100)).await;
        server_get(&server, MODEST, &long(19)).await
    };
    let (greedy, modest) = tokio::join!(greedy, modest);
    assert_eq!(greedy[19]["lacks"]["reason"], "busy");
    assert_eq!(modest["lacks"], Value::Null);
}

#[tokio::test]
async fn a_slow_archive_holds_no_page_but_those_that_ask_it() {
    let server = Remembering::of(many(), Some(slow_archive(Duration::from_secs(3600))));
    let begun = Instant::now();
    let asking = join_all((0..20).map(async |n| server_get(&server, GREEDY, &long(n)).await));
    let others = async {
        for url in ["/", "/vms/shop/vm-000", "/vms/shop/vm-000?span=24h", "/sources", "/api/vms"] {
            assert_eq!(server.get(url).await.status, 200, "{url}");
        }
        begun.elapsed()
    };
    let (asked, took) = tokio::join!(asking, others);
    assert!(took < AT_ONCE, "{took:?}");
    assert!(begun.elapsed() < PATIENCE + AT_ONCE);
    let count = |reason: &str| asked.iter().filter(|answer| answer["lacks"]["reason"] == reason).count();
    let (late, busy) = (count("timed-out"), count("busy"));
    // Three had their turn. Of those that waited, some are given the places that come free at their own last moment.
    assert!((3..=12).contains(&late) && late + busy == 20, "{late} late, {busy} without room");
}

#[tokio::test]
async fn one_viewers_answers_do_not_push_out_anothers() {
    let (archive, mut questions) = LongTermHistory::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        loop {
            let question = questions.next().await;
            count.fetch_add(1, Ordering::SeqCst);
            let told = steady(&question);
            question.reply.send(told);
        }
    });
    let server = Remembering::of(many(), Some(archive));
    server_get(&server, MODEST, &long(399)).await;
    for n in 0..300 {
        server_get(&server, GREEDY, &long(n)).await;
    }
    let before = asked.load(Ordering::SeqCst);
    assert_eq!(before, 301);
    server_get(&server, MODEST, &long(399)).await;
    assert_eq!(asked.load(Ordering::SeqCst), before, "it is still held");
    server_get(&server, GREEDY, &long(0)).await;
    assert_eq!(asked.load(Ordering::SeqCst), before + 1, "their own oldest is gone");
}

#[tokio::test]
async fn insights_are_what_was_drawn() {
    let server = Remembering::new(None);
    let none = server.get("/api/insights").await.json();
    assert_eq!((&none["drawnAt"], &none["findings"]), (&Value::Null, &json!([])));
    let window = Window { from: 0, to: 86_400_000, known: 280, all: 288 };
    let sizing = Sizing {
        unit: Unit::Bytes,
        p95: 1 << 30,
        peak: 2 << 30,
        of: 8 << 30,
        verdict: Verdict::OverAllocated { enough: 2 << 30 },
        window,
    };
    let row = Insight {
        kind: Kind::Wukong,
        namespace: "shop".into(),
        name: "web".into(),
        finding: Finding::OverAllocated(sizing),
    };
    let findings = Findings { at: Some(5), findings: vec![row], ..Findings::default() };
    server.publish_findings.send_replace(Arc::new(findings));
    let some = server.get("/api/insights?resource=memory").await.json();
    assert_eq!((&some["drawnAt"], &some["matching"]), (&json!(5), &json!(1)));
    let found = &some["findings"][0];
    assert_eq!(
        (&found["name"], &found["kind"], &found["resource"]),
        (&json!("web"), &json!("over-allocated"), &json!("memory"))
    );
    assert_eq!((&found["p95Percent"], &found["reclaimable"]), (&json!(12.5), &json!(6u64 << 30)));
    assert_eq!(found["window"]["known"], 280);
    assert_eq!(some["totals"]["reclaimableMemoryBytes"], json!(6u64 << 30));
    assert_eq!(server.get("/api/insights?resource=cpu").await.json()["matching"], 0);
}

/// An archive that is asked, and says nothing.
#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_an_archive_holds_up_no_other() {
    let (archive, questions) = LongTermHistory::new();
    let server = Remembering::new(Some(archive));
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

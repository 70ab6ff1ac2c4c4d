//! Histories through the router: from memory, from a long-term history that the test plays, and from neither.

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

mod sharing;

use super::fixture::*;
use crate::server::{
    config::HttpConfig,
    http::{App, Assets, history::HistoryReader, limits::WorkLimits, peer::Peer, reader::Reader, router},
};
use collector::long_term::{LongTermHistory, PastQuery, Question};
use model::{
    Millis,
    activity::{Activity, GuestActivity, MemoryUse, Storage, Traffic},
    figure::{Source, Unit},
    insight::{Finding, Insight, Sizing, Verdict, Window},
    rates::{OperationRates, Rate},
    reason::Reason,
    vm::{Kind, Vm},
};
use wukong_core::{
    Limits,
    frame::Identity,
    history::HistoryStore,
    insight::Findings,
    long_term::{Answer as LongTermResult, LongTermAnswer, VmSelection},
    observation::{Key, SourceError},
};

/// A slot of every grid begins at this time, and contains the fixture's sample at 7 s.
const NOW: Millis = 14_000;

struct HistoryServer {
    router: Router,
    publish_findings: watch::Sender<Arc<Findings>>,
}

impl HistoryServer {
    /// Returns a server that has recorded one sample of `shop/web`.
    fn new(long_term: Option<LongTermHistory>) -> Self {
        Self::of(vec![vm("shop", "web"), vm("other", "db"), vm("shop", "db")], long_term)
    }

    fn of(vms: Vec<Vm>, long_term: Option<LongTermHistory>) -> Self {
        let snapshot = Arc::new(snapshot(1, vms));
        let store = Arc::new(HistoryStore::default());
        let limits = Limits {
            metrics_interval: 15_000,
            disk_interval: 60_000,
            ceph_interval: 0,
            disk_sources: Vec::new(),
            virt_handler: false,
            most_vms: usize::MAX,
        };
        store.record(&snapshot.vms, &limits, NOW);
        let (publish_findings, findings) = watch::channel(Arc::default());
        let identity = Identity { cluster: "test".into(), demo: false, refresh: 1000 };
        let reader = Reader::new(watch::channel(snapshot).1, identity, || NOW);
        let reader = reader.with_history(HistoryReader::new(store, findings, long_term).within(DEADLINE));
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

/// Returns a long-term history that gives everybody this answer, and the number of queries so far.
fn long_term(answer: LongTermResult) -> (LongTermHistory, Arc<AtomicUsize>) {
    let (long_term, mut questions) = LongTermHistory::new();
    let queries = Arc::new(AtomicUsize::new(0));
    let count = queries.clone();
    tokio::spawn(async move {
        loop {
            let Question { about: PastQuery { of, .. }, reply, .. } = questions.next().await;
            assert!(matches!(of, VmSelection::One { instance, .. } if instance == "web-vm"));
            count.fetch_add(1, Ordering::SeqCst);
            reply.send(answer.clone());
        }
    });
    (long_term, queries)
}

/// Returns half a core for any instance.
fn steady(Question { about: PastQuery { of, times }, .. }: &Question) -> LongTermResult {
    let VmSelection::One { namespace, instance, .. } = of else { panic!("{of:?}") };
    let cpu = [(Key::new(namespace, instance), vec![Some(500_000_000); times.count])].into();
    Ok(LongTermAnswer { cpu, ..LongTermAnswer::default() })
}

fn half_a_core() -> LongTermResult {
    let cpu = [(Key::new("shop", "web-vm"), vec![Some(500_000_000); 336])].into();
    // At the test's time, the creation of the VM is still in the future.
    Ok(LongTermAnswer { cpu, ..LongTermAnswer::default() })
}

#[tokio::test]
async fn an_hour_comes_from_memory_with_its_gaps() {
    let server = HistoryServer::new(None);
    let answer = server.get("/api/vms/web/history").await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"));
    let history = answer.json();
    assert_eq!(history["span"], "1h");
    assert_eq!((&history["origin"], &history["lacks"]), (&json!("memory"), &Value::Null));
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

/// `shop/web`, whose guest was measured over the minute up to 7 s.
fn measured_web() -> Vm {
    let operations = |times: u64| OperationRates {
        bytes: Some(Rate(times * 1_000_000)),
        operations: Some(Rate(1_000)),
        latency: Some(times * 1_000_000),
    };
    let activity = GuestActivity {
        source: Source::VirtHandler,
        at: 7_000,
        window_ms: 60_000,
        stale: false,
        memory: Ok(MemoryUse { used: 1 << 30, total: 4 << 30 }),
        swap: Err(Box::new(Reason::NotReported.into())),
        major_faults: Err(Box::new(Reason::NotReported.into())),
        network: Ok(Traffic { receive: Rate(2_048_000), transmit: Rate(1_500), uncounted: 0 }),
        network_from: None,
        storage: Ok(Storage {
            read: operations(1),
            write: OperationRates { latency: None, ..operations(0) },
        }),
        contention: Ok(1_500),
        migration: None,
        rates: None,
    };
    Vm { activity: Activity::Known(Box::new(activity)), ..vm("shop", "web") }
}

#[tokio::test]
async fn figures_are_given_when_they_are_asked_for() {
    let server = HistoryServer::of(vec![measured_web()], None);
    let plain = server.get("/api/vms/web/history").await.json();
    assert!(plain.get("network").is_none() && plain.get("volumes").is_none(), "{plain}");
    let url = "/api/vms/web/history?figures=network,storage,latency,contention,guest-memory,volumes";
    for (span, points, step) in [("1h", 60, 60), ("24h", 288, 300)] {
        let history = server.get(&format!("{url}&span={span}")).await.json();
        assert!(history.get("cpu").is_none() && history.get("hints").is_some());
        let network = &history["network"]["receive"];
        assert_eq!((&network["unit"], &network["source"]), (&json!("bytes/second"), &json!("virt-handler")));
        assert_eq!(
            (&network["stepSeconds"], network["points"].as_array().unwrap().len()),
            (&json!(step), points)
        );
        for (figure, unit, want) in [
            (network, "bytes/second", json!(2048.0)),
            (&history["network"]["transmit"], "bytes/second", json!(1.5)),
            (&history["storage"]["read"], "bytes/second", json!(1000.0)),
            (&history["storage"]["write"], "bytes/second", json!(0.0)),
            (&history["latency"]["read"], "seconds", json!(0.001)),
            (&history["contention"], "percent", json!(1.5)),
            (&history["guestMemory"], "bytes", json!(1_073_741_824.0)),
        ] {
            let newest = figure["points"].as_array().unwrap().last().unwrap();
            let near =
                (newest.as_f64().unwrap() - want.as_f64().unwrap()).abs() <= want.as_f64().unwrap() / 2048.0;
            assert!(near && figure["unit"] == unit, "{newest} is not {want} {unit}");
            assert_eq!(figure["stats"]["known"], 1);
        }
        let idle = &history["latency"]["write"];
        assert_eq!((&idle["stats"], &idle["source"]), (&Value::Null, &Value::Null), "there was no write");
        let volume = &history["volumes"][0];
        assert_eq!((&volume["name"], &volume["claim"]), (&json!("root"), &json!("web-root")));
        assert_eq!((&volume["unit"], &volume["source"]), (&json!("bytes"), &json!("kubelet")));
        assert_eq!(volume["points"].as_array().unwrap().last(), Some(&json!(1_073_741_824.0)));
    }
}

#[tokio::test]
async fn an_unknown_figure_is_answered_with_the_known_ones() {
    let answer = HistoryServer::new(None).get("/api/vms/web/history?figures=netwrok").await.json();
    let text = answer.to_string();
    for code in ["cpu", "guest-memory", "network", "storage", "latency", "contention", "volumes"] {
        assert!(text.contains(code), "{code} is not in {text}");
    }
}

#[tokio::test]
async fn without_a_long_term_history_no_figure_of_a_month_is_known() {
    let server = HistoryServer::of(vec![measured_web()], None);
    let history = server.get("/api/vms/web/history?span=30d&figures=network,volumes").await.json();
    assert_eq!(history["lacks"]["reason"], "not-configured");
    assert_eq!((&history["network"]["receive"]["stats"], &history["volumes"]), (&Value::Null, &json!([])));
}

#[tokio::test]
async fn an_invalid_parameter_names_its_field() {
    let server = HistoryServer::new(None);
    for (url, status, field) in [
        ("/api/vms/web/history?span=1y", 400, "span"),
        ("/api/vms/web/history?figures=cpu,odd", 400, "figures"),
        ("/api/vms/web/history?figures=cpu&figures=disk", 400, "figures"),
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
async fn a_long_span_without_a_long_term_history_says_how_to_configure_one() {
    let server = HistoryServer::new(None);
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
async fn a_long_term_history_is_asked_once_for_all_viewers() {
    let (long_term, queries) = long_term(half_a_core());
    let server = HistoryServer::new(Some(long_term));
    let looks = (0..5).map(|_| server.get("/api/vms/web/history?span=7d"));
    for answer in join_all(looks).await {
        let history = answer.json();
        assert_eq!((&history["origin"], answer.status.as_u16()), (&json!("prometheus"), 200));
        assert_eq!(history["cpu"]["points"].as_array().unwrap().len(), 336);
    }
    assert_eq!(queries.load(Ordering::SeqCst), 1);
    assert_eq!(server.get("/fn/history?namespace=shop&name=web&span=7d").await.status, 200);
    assert_eq!(queries.load(Ordering::SeqCst), 1, "what is held is not asked for again");
    server.get("/api/vms/web/history?span=30d").await;
    assert_eq!(queries.load(Ordering::SeqCst), 2, "another span is another question");
}

#[tokio::test]
async fn a_page_is_rendered_after_the_long_term_history_has_answered() {
    let (long_term, queries) = long_term(half_a_core());
    let server = HistoryServer::new(Some(long_term));
    server.get("/vms/shop/web").await;
    assert_eq!(queries.load(Ordering::SeqCst), 0, "an hour comes out of memory");
    server.get("/vms/shop/web?span=7d").await;
    assert_eq!(queries.load(Ordering::SeqCst), 1);
    server.get("/vms/shop/nobody?span=7d").await;
    assert_eq!(queries.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_page_and_its_prefetch_read_an_address_alike() {
    for (url, status, expected) in [
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
        let (long_term, queries) = long_term(half_a_core());
        let server = HistoryServer::new(Some(long_term));
        let answer = server.get(url).await;
        assert_eq!((answer.status.as_u16(), queries.load(Ordering::SeqCst)), (status, expected), "{url}");
    }
}

#[tokio::test]
async fn a_failed_long_term_history_gives_a_reason_and_no_zeros() {
    let error = SourceError { reason: Reason::Unreachable, detail: "Prometheus cannot be reached".into() };
    let (long_term, queries) = long_term(Err(error));
    let server = HistoryServer::new(Some(long_term));
    for _ in 0..3 {
        let history = server.get("/api/vms/web/history?span=7d").await.json();
        assert_eq!(history["lacks"]["reason"], "unreachable");
        assert_eq!(history["lacks"]["detail"], "Prometheus cannot be reached");
        assert!(!history["lacks"]["fix"].as_str().unwrap().is_empty());
        assert_eq!(history["memory"]["stats"], Value::Null);
    }
    assert_eq!(queries.load(Ordering::SeqCst), 1, "it is left in peace for a while");
    assert_eq!(server.get("/api/vms/web/history").await.json()["cpu"]["stats"]["known"], 1);
}

/// Longest wait for an answer in the tests.
const DEADLINE: Duration = Duration::from_secs(2);
const ANYBODY: [u8; 4] = [192, 0, 2, 0];

#[tokio::test]
async fn insights_are_the_published_findings() {
    let server = HistoryServer::new(None);
    let none = server.get("/api/insights").await.json();
    assert_eq!((&none["computedAt"], &none["findings"]), (&Value::Null, &json!([])));
    let window = Window { from: 0, to: 86_400_000, known: 280, all: 288 };
    let sizing = Sizing {
        unit: Unit::Bytes,
        p95: 1 << 30,
        peak: 2 << 30,
        of: 8 << 30,
        verdict: Verdict::Oversized { enough: 2 << 30 },
        by_guest: true,
        window,
    };
    let row = Insight {
        kind: Kind::Wukong,
        namespace: "shop".into(),
        name: "web".into(),
        finding: Finding::Oversized(sizing),
    };
    let findings = Findings { at: Some(5), findings: vec![row], ..Findings::default() };
    server.publish_findings.send_replace(Arc::new(findings));
    let some = server.get("/api/insights?resource=memory").await.json();
    assert_eq!((&some["computedAt"], &some["matching"]), (&json!(5), &json!(1)));
    let found = &some["findings"][0];
    assert_eq!(
        (&found["name"], &found["kind"], &found["resource"]),
        (&json!("web"), &json!("oversized"), &json!("memory"))
    );
    assert_eq!((&found["p95Percent"], &found["reclaimable"]), (&json!(12.5), &json!(6u64 << 30)));
    assert_eq!(found["window"]["known"], 280);
    assert_eq!(some["totals"]["reclaimableMemoryBytes"], json!(6u64 << 30));
    assert_eq!(server.get("/api/insights?resource=cpu").await.json()["matching"], 0);
}

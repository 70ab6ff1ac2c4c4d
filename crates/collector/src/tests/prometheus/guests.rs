//! What guests do: asked where virt-handler is not, at an interval of its own, and taken completely or as before.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use wukong_core::observation::ScrapedGuests;

/// An answer about the guest `prod/web` with one drive and one interface, if the query names this node.
fn guest(request: &RecordedRequest, node: &str) -> Response {
    let series = |labels: &str, to: u64| {
        format!(
            r#"{{"metric":{{"namespace":"prod","name":"web","node":"{node}",{labels}}},"values":[[0,"0"],[60,"{to}"]]}}"#
        )
    };
    let query = &request.query;
    let result = match () {
        () if !query.contains(node) => String::new(),
        () if query.contains("vmi_network") => series(r#""interface":"default""#, 60_000),
        () if query.contains("vmi_storage") => series(r#""drive":"root""#, 600),
        () => String::new(),
    };
    json(format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}}}}"#))
}

fn uncounted(nodes: &[&str]) -> Targets {
    Targets { uncounted: nodes.iter().map(|node| Box::from(*node)).collect(), ..Targets::default() }
}

fn config_of(url: &str, interval: Duration) -> CollectConfig {
    CollectConfig { disk_interval: interval, ..with_prometheus(prometheus(url)) }
}

const SOON: Duration = Duration::from_millis(500);

impl Collector {
    async fn next_guests(&mut self) -> ScrapedGuests {
        self.next_facts().await.unwrap().guests
    }
}

#[tokio::test]
async fn guests_are_asked_for_only_on_nodes_that_no_virt_handler_counts() {
    let server = Server::start(|request, _| guest(request, "n7"));
    let api = Server::start(|request, _| quiet(request));
    let mut collector = Collector::aim(&api, config_of(&server.url, LONG), uncounted(&[])).await;
    for _ in 0..3 {
        assert_eq!(collector.next_guests().await, ScrapedGuests::default());
    }
    assert_eq!(queries(&server, "vmi_network"), 0);
    let mut collector = Collector::aim(&api, config_of(&server.url, LONG), uncounted(&["n7", "n8"])).await;
    let found = collector.next_guests().await;
    let rates = found.guests[0].rates.clone().unwrap();
    assert_eq!((&*found.guests[0].node, found.guests[0].at, rates.window_ms), ("n7", 60_000, 60_000));
    assert_eq!(rates.network()[0].unwrap().per_second(), 1_000.0);
    let read = rates.storage()[0];
    assert_eq!((read.bytes.unwrap().per_second(), read.latency), (10.0, Some(1_000_000_000)));
    assert_eq!(found.gap, None);
    assert!(queries(&server, "n7%7Cn8") > 0 || queries(&server, "n7|n8") > 0, "only these nodes");
    let asked = queries(&server, "vmi_network");
    assert_eq!(asked, 2, "received and transmitted");
    assert_eq!(collector.next_guests().await, found, "kept until its interval is over");
    assert_eq!(queries(&server, "vmi_network"), asked);
    let all: usize = ["vmi_network", "vmi_storage", "vmi_vcpu", "vmi_memory_swap", "vmi_memory_pgmaj"]
        .map(|of| queries(&server, of))
        .iter()
        .sum();
    assert_eq!(all, 12, "however many guests there are");
}

#[tokio::test]
async fn a_family_that_fails_leaves_all_guests_as_they_were() {
    static IS_BROKEN: AtomicBool = AtomicBool::new(false);
    let server = Server::start(|request, _| match request.query.contains("vmi_storage_iops_read") {
        true if IS_BROKEN.load(Ordering::Relaxed) => status(503, "Unavailable"),
        _ => guest(request, "n1"),
    });
    let api = Server::start(|request, _| quiet(request));
    let mut collector = Collector::aim(&api, config_of(&server.url, SOON), uncounted(&["n1"])).await;
    let before = collector.next_guests().await;
    assert!(before.guests[0].rates.is_some() && before.gap.is_none());
    IS_BROKEN.store(true, Ordering::Relaxed);
    let broken = loop {
        let facts = collector.next_facts().await.unwrap();
        if facts.guests.gap.is_some() {
            assert!(!facts.warnings.is_empty(), "it is reported");
            break facts.guests;
        }
    };
    assert_eq!(broken.guests, before.guests);
    assert_eq!(broken.gap.unwrap().reason, Reason::Unreachable);
}

/// KubeVirt 1.0 has other names for the times of operations.
#[tokio::test]
async fn an_old_kubevirt_is_asked_by_its_own_names() {
    let server = Server::start(|request, _| match request.query.contains("times_seconds") {
        true => json(r#"{"status":"success","data":{"result":[]}}"#),
        false => guest(request, "n1"),
    });
    let api = Server::start(|request, _| quiet(request));
    let mut collector = Collector::aim(&api, config_of(&server.url, SOON), uncounted(&["n1"])).await;
    let first = collector.next_guests().await;
    assert_eq!(first.guests[0].rates.as_ref().unwrap().storage()[0].latency, None);
    let old = loop {
        let guests = collector.next_guests().await;
        if guests.contention_since.is_some() {
            break guests;
        }
    };
    assert_eq!(old.guests[0].rates.as_ref().unwrap().storage()[0].latency, Some(1_000_000));
    assert!(queries(&server, "storage_read_times_ms_total") > 0);
}

//! PodMetrics and kubelet summaries: late, dead, lying and oversized answers.

use super::*;
use i18n::Render;
use wukong_core::observation::{PodMetricsFacts, SummaryFacts, VolumeStats};

const METRICS: &str = "/apis/metrics.k8s.io/v1beta1/pods";

fn summary_path(node: &str) -> String {
    format!("/api/v1/nodes/{node}/proxy/stats/summary")
}

fn summary(volume: &str) -> Response {
    json(format!(
        r#"{{"pods":[{{"podRef":{{"name":"virt-launcher-a","namespace":"prod"}},"volume":[{{"name":"{volume}","usedBytes":1}}]}}]}}"#
    ))
}

fn node_of(asked: &RecordedRequest) -> Option<&str> {
    asked.path.strip_prefix("/api/v1/nodes/")?.strip_suffix("/proxy/stats/summary")
}

impl Collector {
    pub async fn metrics(&mut self) -> Result<Vec<PodMetricsFacts>, SourceError> {
        self.next(|observation| match observation {
            Observation::PodMetrics { result, .. } => Some(result),
            _ => None,
        })
        .await
    }

    async fn summary(&mut self, of: &str) -> Result<Vec<VolumeStats>, SourceError> {
        self.next(|observation| match observation {
            Observation::Summary { node, result, .. } if node == of => {
                Some(result.map(|facts| facts.volumes))
            }
            _ => None,
        })
        .await
    }
}

async fn metrics_error(answer: impl Fn() -> Response + Send + Sync + 'static) -> SourceError {
    let server = Server::start(move |asked, _| if asked.path == METRICS { answer() } else { quiet(asked) });
    let config =
        CollectConfig { metrics_deadline: Duration::from_millis(300), answer_limit: 2000, ..config() };
    let error = Collector::start(&server, config, &[]).await.metrics().await.unwrap_err();
    assert_eq!(server.asked(METRICS).len(), 1, "asked once");
    error
}

#[tokio::test]
async fn pod_metrics_are_asked_for_at_once_and_at_each_interval() {
    let server = Server::start(|asked, n| match asked.path.as_str() {
        METRICS => json(format!(
            r#"{{"items":[{{"metadata":{{"name":"p{n}","namespace":"prod"}},"timestamp":"1970-01-01T00:00:01Z","window":"1m3s","containers":[{{"usage":{{"cpu":"5n","memory":"1Ki"}}}}]}}]}}"#
        )),
        _ => quiet(asked),
    });
    let started = Instant::now();
    let config = CollectConfig { metrics_interval: Duration::from_millis(400), ..config() };
    let mut collector = Collector::start(&server, config, &[]).await;
    for n in 0..3 {
        let facts = collector.metrics().await.unwrap().remove(0);
        assert_eq!(facts.name, format!("p{n}"));
        let usage = &facts.containers[0];
        assert_eq!((usage.cpu_nanocores, usage.memory_bytes), (Some(5), Some(1024)));
        assert_eq!((facts.at, facts.window_ms), (Some(1000), 63_000));
    }
    let took = started.elapsed();
    assert!((800..10_000).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test]
async fn each_failure_of_the_metrics_api_has_its_reason() {
    let unavailable =
        metrics_error(|| (StatusCode::SERVICE_UNAVAILABLE, "no endpoints").into_response()).await;
    assert_eq!(unavailable.reason, Reason::Unreachable);
    assert_eq!(unavailable.detail.english(), "the API server says metrics.k8s.io is unavailable (503)");
    assert_eq!(metrics_error(|| status(404, "NotFound")).await.reason, Reason::ApiAbsent);
    let denied = metrics_error(|| status(403, "Forbidden")).await;
    assert_eq!(
        (denied.reason, &*denied.detail.english()),
        (Reason::Forbidden, "list pods.metrics.k8s.io at cluster scope")
    );
    let late = metrics_error(hang).await;
    assert_eq!(
        (late.reason, &*late.detail.english()),
        (Reason::TimedOut, "no answer from metrics.k8s.io within 0.3 s")
    );
}

#[tokio::test]
async fn a_broken_answer_is_a_bad_one_and_an_oversized_one_too_large() {
    let truncated = || json(r#"{"items":[{"metadata":{"name":"a","#);
    assert_eq!(metrics_error(truncated).await.reason, Reason::BadAnswer);
    assert_eq!(metrics_error(|| json("<html>")).await.reason, Reason::BadAnswer);
    let large = metrics_error(|| json(format!(r#"{{"items":[],"x":"{}"}}"#, "y".repeat(2000)))).await;
    assert_eq!(large.reason, Reason::TooLarge);
    assert!(large.detail.english().contains("2000 bytes"), "{}", large.detail.english());
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let server = Server::start(|asked, n| match asked.path.as_str() {
        METRICS if n == 0 => {
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "2")], "slow down").into_response()
        }
        _ => quiet(asked),
    });
    let config = CollectConfig { metrics_interval: Duration::from_millis(100), ..config() };
    let mut collector = Collector::start(&server, config, &[]).await;
    collector.metrics().await.unwrap_err();
    collector.metrics().await.unwrap();
    let asked = server.asked(METRICS);
    assert!(asked[1].at - asked[0].at >= Duration::from_secs(2));
}

#[tokio::test]
async fn a_hanging_node_delays_nobody() {
    let server = Server::start(|asked, _| match node_of(asked) {
        Some("n0") => hang(),
        Some(node) => summary(node),
        None => quiet(asked),
    });
    let config = CollectConfig {
        kubelet_deadline: Duration::from_millis(900),
        kubelet_concurrency: 2,
        disk_interval: Duration::from_secs(1),
        ..config()
    };
    let nodes: Vec<_> = (0..20).map(|n| format!("n{n}")).collect();
    let nodes: Vec<_> = nodes.iter().map(String::as_str).collect();
    let mut collector = Collector::start(&server, config, &nodes).await;
    let mut answered = 0;
    for observation in collector.during(Duration::from_millis(4600)).await {
        if let Observation::Summary { node, result, .. } = observation {
            assert_eq!(result.is_ok(), node != "n0", "{node}");
            answered += usize::from(result.is_ok());
            let late = result.err().is_some_and(|error| error.reason != Reason::TimedOut);
            assert!(!late, "only for lack of time");
        }
    }
    assert!(answered >= 4 * 19, "{answered}");
    assert!(longest_gap(&server, "n19", Duration::ZERO) < Duration::from_millis(1900));
}

/// Between two requests to a node, once this much time has passed since the first.
fn longest_gap(server: &Server, node: &str, after: Duration) -> Duration {
    let asked = server.asked(&summary_path(node));
    let from = asked[0].at + after;
    let gaps = asked.windows(2).filter(|pair| pair[0].at >= from).map(|pair| pair[1].at - pair[0].at);
    gaps.max().expect("asked twice")
}

#[tokio::test]
async fn many_hanging_nodes_delay_nobody_once_they_are_known() {
    let server = Server::start(|asked, _| match node_of(asked) {
        Some(node) if node.starts_with("hung") => hang(),
        Some(node) => summary(node),
        None => quiet(asked),
    });
    let config = CollectConfig {
        kubelet_deadline: Duration::from_millis(900),
        kubelet_concurrency: 4,
        disk_interval: Duration::from_secs(1),
        ..config()
    };
    let nodes: Vec<_> = (0..12).map(|n| format!("hung{n}")).chain(["well".to_owned()]).collect();
    let nodes: Vec<_> = nodes.iter().map(String::as_str).collect();
    let mut collector = Collector::start(&server, config, &nodes).await;
    collector.during(Duration::from_secs(8)).await;
    assert!(longest_gap(&server, "well", Duration::from_millis(500)) < Duration::from_millis(1900));
}

#[tokio::test]
async fn no_more_are_asked_at_once_than_is_allowed() {
    let server = Server::start(|asked, _| if node_of(asked).is_some() { hang() } else { quiet(asked) });
    let config = CollectConfig { kubelet_concurrency: 3, ..config() };
    let mut collector = Collector::start(&server, config, &["a", "b", "c", "d", "e"]).await;
    collector.during(Duration::from_millis(400)).await;
    let asked = server.asked.lock().unwrap().iter().filter(|asked| node_of(asked).is_some()).count();
    assert_eq!(asked, 3);
}

#[tokio::test]
async fn a_dead_node_costs_one_request_a_cycle() {
    let server = Server::start(|asked, _| match node_of(asked) {
        Some("dead") => status(503, "ServiceUnavailable"),
        Some(node) => summary(node),
        None => quiet(asked),
    });
    let config = CollectConfig { disk_interval: Duration::from_secs(1), ..config() };
    let mut collector = Collector::start(&server, config, &["dead", "well"]).await;
    let error = collector.summary("dead").await.unwrap_err();
    assert_eq!(error.reason, Reason::Unreachable);
    assert_eq!(error.detail.english(), "the API server cannot reach the kubelet of dead (503)");
    collector.during(Duration::from_millis(3500)).await;
    let counts = ["dead", "well"].map(|node| server.asked(&summary_path(node)).len());
    assert_eq!(counts, [4, 4]);
}

#[tokio::test]
async fn a_lying_node_costs_itself_alone() {
    let server = Server::start(|asked, _| match node_of(asked) {
        Some("big") => json(format!(r#"{{"pods":[],"x":"{}"}}"#, "y".repeat(5000))),
        Some("cut") => json(r#"{"pods":[{"podRef":{"na"#),
        Some("odd") => json(
            r#"{"pods":[{"podRef":{"name":"virt-launcher-a","namespace":"b"},"volume":[{"name":"v","usedBytes":-7,"capacityBytes":99999999999999999999}]}]}"#,
        ),
        Some(node) => summary(node),
        None => quiet(asked),
    });
    let config = CollectConfig { answer_limit: 4000, ..config() };
    let mut collector = Collector::start(&server, config, &["big", "cut", "odd", "well"]).await;
    let mut results = HashMap::new();
    while results.len() < 4 {
        let (node, result) = collector
            .next(|observation| match observation {
                Observation::Summary { node, result, .. } => {
                    Some((node, result.map(|facts: SummaryFacts| facts.volumes)))
                }
                _ => None,
            })
            .await;
        results.insert(node, result);
    }
    for (node, reason) in [("big", Reason::TooLarge), ("cut", Reason::BadAnswer)] {
        assert_eq!(results[node].as_ref().unwrap_err().reason, reason, "{node}");
    }
    let odd = &results["odd"].as_ref().unwrap()[0];
    assert_eq!((odd.used, odd.capacity), (None, None));
    assert_eq!(results["well"].as_ref().unwrap()[0].used, Some(1));
}

#[tokio::test]
async fn a_new_target_is_asked_at_once_and_a_lost_one_no_more() {
    let server = Server::start(|asked, _| match node_of(asked) {
        Some(node) => summary(node),
        None => quiet(asked),
    });
    let config = CollectConfig { disk_interval: Duration::from_millis(700), ..config() };
    let mut collector = Collector::start(&server, config, &["old"]).await;
    collector.summary("old").await.unwrap();
    let moved = Instant::now();
    collector.targets.send_replace(names(&["new", "../../../../api/v1/secrets"]));
    collector.summary("new").await.unwrap();
    assert!(moved.elapsed() < Duration::from_millis(600));
    collector.during(Duration::from_millis(1000)).await;
    assert_eq!(server.asked(&summary_path("old")).len(), 1);
    assert!(server.asked(&summary_path("new")).len() >= 2);
    assert!(!server.asked.lock().unwrap().iter().any(|asked| asked.path.contains("secrets")));
}

#[tokio::test]
async fn while_the_api_server_is_away_one_node_is_tried_and_then_all_come_back() {
    let server = Server::start(|asked, _| node_of(asked).map_or_else(|| quiet(asked), summary));
    let config = CollectConfig { disk_interval: Duration::from_secs(2), ..config() };
    let mut collector = Collector::start(&server, config, &["n1", "n2", "n3"]).await;
    collector.summary("n3").await.unwrap();
    let address = server.stop().await;
    let seen = collector.during(Duration::from_secs(5)).await;
    let away =
        |observation: &&Observation| matches!(observation, Observation::Summary { result: Err(_), .. });
    let failures = seen.iter().filter(away).count();
    assert!((2..=9).contains(&failures), "{failures}");
    // For a moment the new one denies everything, as a kube-apiserver does that is starting.
    let back = Instant::now();
    let server = Server::listen(&address, move |asked, _| match node_of(asked) {
        _ if back.elapsed() < Duration::from_secs(1) => status(403, "Forbidden"),
        Some(node) => summary(node),
        None => quiet(asked),
    });
    for node in ["n1", "n2", "n3"] {
        while collector.summary(node).await.is_err() {}
    }
    assert!(back.elapsed() < Duration::from_secs(10), "{:?}", back.elapsed());
    drop(server);
}

#[tokio::test]
async fn shutdown_and_a_receiver_that_is_gone_end_the_collector() {
    let server = Server::start(|asked, _| quiet(asked));
    let mut collector = Collector::start(&server, config(), &[]).await;
    collector.shutdown.cancel();
    let ended = async { while collector.observations.recv().await.is_some() {} };
    timeout(LONG, ended).await.expect("it goes on after shutdown");
}

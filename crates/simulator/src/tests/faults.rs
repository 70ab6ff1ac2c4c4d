//! Faults apply to their target alone, until they are removed.

use std::time::{Duration, Instant};

use serde_json::json;

use super::support::{TEST_TIMEOUT, WatchStream, ask, brief, demo, empty, eventually, get};
use crate::{ConnectionFault, Fault, Guest, Handle, Node, Options, Peer, Resource, Target, start};

const PODS: &str = "/api/v1/pods";
const METRICS: &str = "/apis/metrics.k8s.io/v1beta1/pods";
const WUKONGS: &str = "/apis/vm.novasphere.dev/v1alpha1/wukongs?watch=true";

async fn raw(sim: &Handle, path: &str) -> Result<String, reqwest::Error> {
    reqwest::get(format!("{}{path}", sim.url())).await?.text().await
}

#[tokio::test]
async fn a_status_fault_answers_with_a_status_object() {
    let sim = demo().await;
    for (code, reason) in [
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (404, "NotFound"),
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
    ] {
        let id = sim.faults().add(Target::List(Resource::Pods), Fault::status(code));
        let (got, status) = ask(&sim, PODS).await;
        assert_eq!((got, &status["reason"], &status["code"]), (code, &json!(reason), &json!(code)));
        assert_eq!(ask(&sim, "/api/v1/nodes").await.0, 200);
        sim.faults().remove(id);
        assert_eq!(ask(&sim, PODS).await.0, 200);
    }
}

#[tokio::test]
async fn too_many_requests_carries_retry_after() {
    let sim = demo().await;
    sim.faults().add_times(Target::Metrics, Fault::Status { code: 429, retry_after: Some(7) }, 1);
    let response = reqwest::get(format!("{}{METRICS}", sim.url())).await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    assert_eq!(ask(&sim, METRICS).await.0, 200);
}

#[tokio::test]
async fn latency_delays_an_answer_and_a_hang_never_answers() {
    let sim = demo().await;
    let id = sim.faults().add(Target::Metrics, Fault::Latency(Duration::from_millis(300)));
    let begun = Instant::now();
    assert_eq!(ask(&sim, METRICS).await.0, 200);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    sim.faults().remove(id);
    sim.faults().add(Target::Summary("worker-01".into()), Fault::Hang);
    let path = |node| format!("/api/v1/nodes/{node}/proxy/stats/summary");
    assert!(tokio::time::timeout(Duration::from_millis(300), ask(&sim, &path("worker-01"))).await.is_err());
    assert_eq!(ask(&sim, &path("worker-02")).await.0, 200);
}

#[tokio::test]
async fn a_reset_breaks_the_connection_before_any_answer() {
    let sim = demo().await;
    sim.faults().add_times(Target::Path("/api/v1/nodes".into()), Fault::Reset, 1);
    let mut stream = tokio::net::TcpStream::connect(sim.address()).await.unwrap();
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    stream.write_all(b"GET /api/v1/nodes HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(ask(&sim, "/api/v1/nodes").await.0, 200);
}

#[tokio::test]
async fn bodies_are_truncated_invalid_or_of_wrong_types() {
    let sim = demo().await;
    let whole = raw(&sim, METRICS).await.unwrap();
    sim.faults().add_times(Target::Metrics, Fault::Truncate(whole.len() / 2), 1);
    assert!(raw(&sim, METRICS).await.is_err());
    sim.faults().add_times(Target::Metrics, Fault::BadJson, 1);
    assert!(serde_json::from_str::<serde_json::Value>(&raw(&sim, METRICS).await.unwrap()).is_err());
    sim.faults().add_times(Target::Metrics, Fault::WrongTypes, 1);
    let odd = get(&sim, METRICS).await;
    assert_eq!(odd["kind"], "PodMetricsList");
    assert!(odd["items"][0]["containers"][0]["usage"]["cpu"].is_number());
    assert!(get(&sim, METRICS).await["items"][0]["containers"][0]["usage"]["cpu"].is_string());
}

#[tokio::test]
async fn watches_are_dropped_at_once_and_again_while_the_fault_lasts() {
    let sim = empty().await;
    let mut watch = WatchStream::open(&sim, WUKONGS).await;
    let mut other = WatchStream::open(&sim, "/api/v1/nodes?watch=true").await;
    let id = sim.faults().add(Target::Watch(Resource::Wukongs), Fault::Drop);
    assert!(watch.next().await.is_err(), "cut off, not ended in good order");
    assert!(WatchStream::open(&sim, WUKONGS).await.next().await.is_err());
    sim.world().put_node(Node::new("n1"));
    assert_eq!(brief(&other.event().await).0, "ADDED", "the other watch goes on");
    sim.faults().remove(id);
    let mut watch = WatchStream::open(&sim, WUKONGS).await;
    sim.world().put(Guest::new("a", "x"));
    assert_eq!(brief(&watch.event().await).0, "ADDED");
}

#[tokio::test]
async fn a_silent_watch_stays_open_without_a_byte_even_when_the_fault_is_gone() {
    let sim = empty().await;
    let path = format!("{WUKONGS}&allowWatchBookmarks=true");
    let mut watch = WatchStream::open(&sim, &path).await;
    watch.event().await;
    let id = sim.faults().add(Target::Watches, Fault::Silence);
    sim.world().put(Guest::new("a", "x"));
    assert!(watch.is_silent().await, "bookmarks and changes are held back");
    assert!(WatchStream::open(&sim, &path).await.is_silent().await);
    sim.faults().remove(id);
    assert!(watch.is_silent().await);
    assert_eq!(brief(&WatchStream::open(&sim, &path).await.event().await).0, "ADDED");
}

#[tokio::test]
async fn a_watch_can_be_answered_with_410() {
    let sim = empty().await;
    sim.faults().add_times(Target::Watch(Resource::Wukongs), Fault::Gone, 1);
    let event = WatchStream::open(&sim, WUKONGS).await.event().await;
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    let mut watch = WatchStream::open(&sim, WUKONGS).await;
    sim.world().put(Guest::new("a", "x"));
    assert_eq!(brief(&watch.event().await).0, "ADDED");
}

#[tokio::test]
async fn clearing_removes_every_fault() {
    let sim = demo().await;
    sim.faults().add(Target::Any, Fault::status(500));
    assert_eq!(ask(&sim, "/version").await.0, 500);
    sim.faults().clear();
    assert_eq!(ask(&sim, "/version").await.0, 200);
}

#[tokio::test]
async fn bodies_are_empty_too_large_or_full_of_absurd_numbers() {
    let sim = demo().await;
    sim.faults().add_times(Target::Metrics, Fault::Empty, 1);
    assert_eq!(raw(&sim, METRICS).await.unwrap(), "");
    let whole = raw(&sim, METRICS).await.unwrap().len();
    sim.faults().add_times(Target::Metrics, Fault::Swollen(1 << 20), 1);
    let swollen = raw(&sim, METRICS).await.unwrap();
    assert!(swollen.len() >= whole + (1 << 20));
    assert!(serde_json::from_str::<serde_json::Value>(&swollen).is_ok());
    let path = "/api/v1/nodes/worker-01/proxy/stats/summary";
    for number in ["-1", "9223372036854775808"] {
        sim.faults().add_times(Target::Summaries, Fault::Numbers(number), 1);
        let odd = get(&sim, path).await;
        assert_eq!(odd["node"]["cpu"]["usageNanoCores"].to_string(), number);
        assert!(odd["node"]["nodeName"].is_string());
    }
}

/// Sends one request to the API server over a new connection, and trusts only the simulator's authority.
async fn version(sim: &Handle) -> Result<String, String> {
    let mut client = reqwest::Client::builder().timeout(TEST_TIMEOUT);
    if let Some(pem) = sim.authority() {
        client = client.add_root_certificate(reqwest::Certificate::from_pem(pem.as_bytes()).unwrap());
    }
    let url = format!("{}/version", sim.url());
    let response = client.build().unwrap().get(url).send().await.map_err(|error| format!("{error:?}"))?;
    Ok(response.text().await.unwrap())
}

#[tokio::test]
async fn connection_faults_break_new_connections_until_they_are_removed() {
    let sim = start(Options { tls: true, ..Options::empty() }).await.unwrap();
    assert!(version(&sim).await.is_ok());
    for (fault, words) in [
        (ConnectionFault::Refused, "ConnectionRefused"),
        (ConnectionFault::Garbled, "InvalidMessage"),
        (ConnectionFault::Untrusted, "InvalidCertificate"),
    ] {
        sim.set_connection_fault(Peer::ApiServer, Some(fault));
        // Connections that began before may still answer, or be cut.
        eventually(async || match version(&sim).await {
            Err(error) if error.contains(words) => Ok(()),
            other => Err(other),
        })
        .await;
        sim.set_connection_fault(Peer::ApiServer, None);
        eventually(async || version(&sim).await).await;
    }
}

/// No certificate is presented over plain HTTP, so none can be distrusted.
#[tokio::test]
async fn without_tls_no_certificate_can_be_untrusted() {
    let sim = empty().await;
    sim.set_connection_fault(Peer::ApiServer, Some(ConnectionFault::Garbled));
    eventually(async || version(&sim).await.map_or(Ok(()), Err)).await;
    sim.set_connection_fault(Peer::ApiServer, Some(ConnectionFault::Untrusted));
    eventually(async || version(&sim).await).await;
}

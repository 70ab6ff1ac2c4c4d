//! Kubelets asked directly, and through the API server where that does not work: each node by itself.

use std::net::IpAddr;

use super::{tls::Secure, *};
use crate::config::{KubeletAccess, KubeletConfig};
use i18n::Render;
use model::figure::Source;
use wukong_core::observation::SummaryFacts;

const DIRECT: &str = "/stats/summary";

/// An API server that answers for every node.
fn proxy() -> Server {
    Server::start(|asked, _| quiet(asked))
}

fn proxied(server: &Server, node: &str) -> usize {
    server.asked(&format!("/api/v1/nodes/{node}/proxy/stats/summary")).len()
}

fn empty() -> Response {
    json(r#"{"pods":[]}"#)
}

fn nodes(nodes: &[(&str, &str)]) -> Targets {
    let target = |(name, address): &(&str, &str)| NodeTarget {
        name: (*name).into(),
        address: address.parse::<IpAddr>().ok(),
        has_vms: true,
    };
    Targets { nodes: nodes.iter().map(target).collect(), ..Targets::default() }
}

fn direct(kubelets: &Secure, access: KubeletAccess) -> CollectConfig {
    let kubelet = KubeletConfig { access, port: kubelets.port, ca: Some(kubelets.ca()), insecure_tls: false };
    CollectConfig {
        kubelet,
        disk_interval: Duration::from_millis(500),
        kubelet_deadline: Duration::from_millis(300),
        ..config()
    }
}

impl Collector {
    async fn next_outcome(&mut self, of: &str) -> Result<Source, SourceError> {
        self.next(|observation| match observation {
            Observation::Summary { node, result, .. } if node == of => {
                Some(result.map(|facts: SummaryFacts| facts.source))
            }
            _ => None,
        })
        .await
    }
}

#[tokio::test]
async fn direct_goes_first_over_either_protocol_with_the_same_credentials() {
    let (api, kubelets) = (proxy(), Secure::start(|_, _| empty()));
    let aims = nodes(&[("four", "127.0.0.1"), ("six", "::1")]);
    let mut collector = Collector::aim(&api, direct(&kubelets, KubeletAccess::Auto), aims).await;
    for node in ["four", "six", "four", "six"] {
        assert_eq!(collector.next_outcome(node).await, Ok(Source::KubeletDirect), "{node}");
    }
    assert_eq!([proxied(&api, "four"), proxied(&api, "six")], [0, 0]);
    let asked = kubelets.server.asked(DIRECT);
    assert!(asked.iter().all(|asked| asked.header("authorization") == "Bearer t"));
    assert!(asked.iter().any(|asked| asked.header("host") == format!("[::1]:{}", kubelets.port)));
}

/// 256 of them, each of 5 MB, waited in the channel while the publisher was busy.
#[tokio::test]
async fn large_summaries_wait_until_those_before_them_were_applied() {
    let volumes: Vec<_> = (0..6000).map(|n| format!(r#"{{"name":"v{n}{}"}}"#, "x".repeat(60))).collect();
    let pod = r#"{"podRef":{"name":"virt-launcher-a","namespace":"b"}"#;
    let summary = format!(r#"{{"pods":[{pod},"volume":[{}]}}]}}"#, volumes.join(","));
    let server = Server::start(move |request, _| match request.path.ends_with("/proxy/stats/summary") {
        true => json(&summary),
        false => quiet(request),
    });
    let names: Vec<_> = (0..12).map(|n| format!("n{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut collector = Collector::start(&server, config(), &names).await;
    let next = async |collector: &mut Collector| loop {
        let queued = collector.observations.recv().await.expect("the collector ended");
        if let Observation::Summary { result, .. } = &queued.observation {
            assert!(result.is_ok(), "{result:?}");
            return queued;
        }
    };
    let mut held = Vec::new();
    while let Ok(queued) = timeout(Duration::from_secs(2), next(&mut collector)).await {
        held.push(queued);
    }
    assert!((8..12).contains(&held.len()), "{} of 12", held.len());
    let rest = names.len() - held.len();
    drop(held);
    for _ in 0..rest {
        timeout(LONG, next(&mut collector)).await.expect("their room is free again");
    }
}

#[tokio::test]
async fn each_node_falls_back_by_itself_and_keeps_to_what_works() {
    let api = proxy();
    let kubelets = Secure::start(|asked, _| match asked.header("host").starts_with("127.0.0.2") {
        true => status(403, "Forbidden"),
        false => empty(),
    });
    let aims = nodes(&[("well", "127.0.0.1"), ("denied", "127.0.0.2"), ("nowhere", "")]);
    let mut collector = Collector::aim(&api, direct(&kubelets, KubeletAccess::Auto), aims).await;
    for _ in 0..3 {
        assert_eq!(collector.next_outcome("denied").await, Ok(Source::KubeletProxy));
    }
    assert_eq!(collector.next_outcome("well").await, Ok(Source::KubeletDirect));
    assert_eq!(collector.next_outcome("nowhere").await, Ok(Source::KubeletProxy));
    let to_denied = |asked: &&RecordedRequest| asked.header("host").starts_with("127.0.0.2");
    assert_eq!(kubelets.server.asked(DIRECT).iter().filter(to_denied).count(), 1);
    assert_eq!(proxied(&api, "well"), 0);
}

#[tokio::test]
async fn whatever_keeps_a_kubelet_from_answering_leads_through_the_api_server() {
    let api = proxy();
    for (what, answer) in [
        ("401", (|| status(401, "Unauthorized")) as fn() -> Response),
        ("404", || status(404, "NotFound")),
        ("500", || status(500, "InternalError")),
        ("hangs", hang),
        ("lies", || json("<html>")),
    ] {
        let kubelets = Secure::start(move |_, _| answer());
        let aims = nodes(&[("n", "127.0.0.1")]);
        let mut collector = Collector::aim(&api, direct(&kubelets, KubeletAccess::Auto), aims).await;
        assert_eq!(collector.next_outcome("n").await, Ok(Source::KubeletProxy), "{what}");
        assert_eq!(kubelets.server.asked(DIRECT).len(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_kubelet_that_cannot_prove_itself_gets_no_credentials() {
    let (api, kubelets, others) = (proxy(), Secure::start(|_, _| empty()), Secure::start(|_, _| empty()));
    let aims = nodes(&[("n", "127.0.0.1")]);
    let mut config = direct(&kubelets, KubeletAccess::Auto);
    config.kubelet.ca = Some(others.ca());
    let mut collector = Collector::aim(&api, config.clone(), aims.clone()).await;
    assert_eq!(collector.next_outcome("n").await, Ok(Source::KubeletProxy));
    config.kubelet.access = KubeletAccess::Direct;
    let mut collector = Collector::aim(&api, config.clone(), aims.clone()).await;
    let error = collector.next_outcome("n").await.unwrap_err();
    let words = "the TLS handshake with the kubelet of n failed: is its certificate signed by --kubelet-ca or the \
                 cluster's authority, and for this address?";
    assert_eq!((error.reason, &*error.detail.english()), (Reason::Unreachable, words));
    // Nobody to know it by: then it is not even tried.
    (config.kubelet.ca, config.kubelet.access) = (None, KubeletAccess::Auto);
    let mut collector = Collector::aim(&api, config.clone(), aims.clone()).await;
    assert_eq!(collector.next_outcome("n").await, Ok(Source::KubeletProxy));
    assert!(kubelets.server.asked(DIRECT).is_empty());
    config.kubelet.insecure_tls = true;
    let mut collector = Collector::aim(&api, config, aims).await;
    assert_eq!(collector.next_outcome("n").await, Ok(Source::KubeletDirect));
}

#[tokio::test]
async fn without_the_proxy_each_failure_names_node_and_permission() {
    let api = proxy();
    for (code, reason, words) in [
        (401, Reason::Unauthenticated, "the kubelet of n does not accept this dashboard's credentials (401)"),
        (403, Reason::Forbidden, "get nodes/stats (node n)"),
        (503, Reason::Unreachable, "the kubelet of n is unavailable (503)"),
    ] {
        let kubelets = Secure::start(move |_, _| status(code, "x"));
        let aims = nodes(&[("n", "127.0.0.1"), ("nowhere", "")]);
        let mut collector = Collector::aim(&api, direct(&kubelets, KubeletAccess::Direct), aims).await;
        let error = collector.next_outcome("n").await.unwrap_err();
        assert_eq!((error.reason, &*error.detail.english()), (reason, words));
        assert_eq!(collector.next_outcome("nowhere").await.unwrap_err().reason, Reason::NoNode);
    }
    assert_eq!([proxied(&api, "n"), proxied(&api, "nowhere")], [0, 0]);
}

#[tokio::test]
async fn a_denial_both_ways_names_both_permissions() {
    let api = Server::start(|asked, _| match asked.path.ends_with(DIRECT) {
        true => status(403, "Forbidden"),
        false => quiet(asked),
    });
    let kubelets = Secure::start(|_, _| status(403, "Forbidden"));
    let aims = nodes(&[("n", "127.0.0.1")]);
    let mut collector = Collector::aim(&api, direct(&kubelets, KubeletAccess::Auto), aims).await;
    for _ in 0..2 {
        let error = collector.next_outcome("n").await.unwrap_err();
        assert_eq!(error.detail.english(), "get nodes/stats or nodes/proxy (node n)");
    }
}

#[tokio::test]
async fn if_several_kubelets_fail_directly_the_others_are_not_tried() {
    let (api, kubelets) = (proxy(), Secure::start(|_, _| status(403, "Forbidden")));
    let names: Vec<_> = (0..9).map(|n| format!("n{n}")).collect();
    let aims: Vec<_> = names.iter().map(|name| (name.as_str(), "127.0.0.1")).collect();
    let config = CollectConfig { kubelet_concurrency: 1, ..direct(&kubelets, KubeletAccess::Auto) };
    let mut collector = Collector::aim(&api, config, nodes(&aims)).await;
    for name in &names {
        assert_eq!(collector.next_outcome(name).await, Ok(Source::KubeletProxy));
    }
    assert_eq!(kubelets.server.asked(DIRECT).len(), 3);
}

#[tokio::test]
async fn kubelets_go_on_while_the_api_server_is_away_and_say_nothing_of_it() {
    let (api, kubelets) = (proxy(), Secure::start(|_, _| empty()));
    let through: Vec<_> = (0..8).map(|n| format!("n{n}")).collect();
    let mut aims = vec![("straight", "127.0.0.1"), ("also", "127.0.0.2")];
    aims.extend(through.iter().map(|name| (name.as_str(), "")));
    let config =
        CollectConfig { disk_interval: Duration::from_secs(1), ..direct(&kubelets, KubeletAccess::Auto) };
    let mut collector = Collector::aim(&api, config, nodes(&aims)).await;
    assert_eq!(collector.next_outcome("n7").await, Ok(Source::KubeletProxy));
    api.stop().await;
    collector.during(Duration::from_millis(1200)).await;
    let (mut answers, mut failures) = (0, 0);
    for seen in collector.during(Duration::from_secs(4)).await {
        if let Observation::Summary { result, .. } = seen {
            *if result.is_ok() { &mut answers } else { &mut failures } += 1;
        }
    }
    assert!((6..=10).contains(&answers), "{answers}");
    // One of eight is tried, at its back-off.
    assert!((2..=10).contains(&failures), "{failures}");
}

/// Under a wrong authority no kubelet can be told by its certificate; once the file holds the right one, it can.
#[tokio::test]
async fn a_new_authority_in_the_file_is_taken_without_a_restart() {
    let (api, kubelets, others) = (proxy(), Secure::start(|_, _| empty()), Secure::start(|_, _| empty()));
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::copy(others.ca(), &ca).unwrap();
    let mut config = direct(&kubelets, KubeletAccess::Auto);
    config.kubelet.ca = Some(ca.clone());
    let mut collector = Collector::aim(&api, config, nodes(&[("n", "127.0.0.1")])).await;
    assert_eq!(collector.next_outcome("n").await, Ok(Source::KubeletProxy));
    // Half written: nothing changes.
    std::fs::write(&ca, "-----BEGIN CERTIFICATE-----").unwrap();
    collector.during(Duration::from_millis(3500)).await;
    assert_eq!(collector.next_outcome("n").await, Ok(Source::KubeletProxy));
    std::fs::copy(kubelets.ca(), &ca).unwrap();
    for _ in 0..20 {
        if collector.next_outcome("n").await == Ok(Source::KubeletDirect) {
            return;
        }
    }
    panic!("the new authority is not taken");
}

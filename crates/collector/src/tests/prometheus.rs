//! Prometheus: the queries of a round, and how they fail.

mod failures;
mod guests;
mod history;
mod oversized;

use super::*;
use crate::config::PrometheusConfig;
use i18n::Render;
use wukong_core::observation::{PrometheusFacts, TrackedNames};

const QUERY: &str = "/api/v1/query";

fn prometheus(url: &str) -> PrometheusConfig {
    PrometheusConfig {
        url: url.parse().unwrap(),
        bearer_token_file: None,
        basic_auth_file: None,
        ca: None,
        matchers: Vec::new(),
        trusted_namespaces: vec!["kubevirt".into(), "kube-system".into()],
        tenant: None,
        deadline: Duration::from_millis(400),
    }
}

fn with_prometheus(prometheus: PrometheusConfig) -> CollectConfig {
    CollectConfig {
        prometheus: Some(prometheus),
        metrics_interval: Duration::from_millis(200),
        answer_limit: 4000,
        ..config()
    }
}

impl Collector {
    async fn next_facts(&mut self) -> Result<PrometheusFacts, SourceError> {
        self.next(|observation| match observation {
            Observation::Prometheus { result, .. } => Some(result),
            _ => None,
        })
        .await
    }
}

async fn first_round(url: &str) -> Result<PrometheusFacts, SourceError> {
    let api = Server::start(|request, _| quiet(request));
    Collector::start(&api, with_prometheus(prometheus(url)), &[]).await.next_facts().await
}

/// A Prometheus that knows one claim and one instance.
fn healthy(request: &RecordedRequest) -> Response {
    let claim = |value: u8| {
        format!(
            r#"{{"metric":{{"namespace":"prod","persistentvolumeclaim":"root","node":"n1"}},"values":[[60,"{value}"]]}}"#
        )
    };
    let claims = [claim(5), claim(9)];
    let result = match &request.query {
        query if query.contains("stats_used_bytes") => claims[0].as_str(),
        query if query.contains("stats_capacity_bytes") => claims[1].as_str(),
        query if query.contains("kubelet_volume_stats") => "",
        query if query.contains("memory_usable") => {
            r#"{"metric":{"namespace":"prod","name":"web"},"values":[[60,"7"]]}"#
        }
        query if query.contains("memory") => "",
        _ => r#"{"metric":{"namespace":"prod","name":"web"},"values":[[50,"1"],[60,"3.5"]]}"#,
    };
    json(format!(
        r#"{{"status":"success","data":{{"resultType":"x","result":[{result}]}},"warnings":["a store is\naway"]}}"#
    ))
}

fn queries(server: &Server, of: &str) -> usize {
    server.asked(QUERY).iter().filter(|request| request.query.contains(of)).count()
}

#[tokio::test]
async fn volumes_are_queried_at_their_own_interval_and_kept_between() {
    let server = Server::start(|request, _| healthy(request));
    let api = Server::start(|request, _| quiet(request));
    let mut collector = Collector::start(&api, with_prometheus(prometheus(&server.url)), &[]).await;
    for _ in 0..3 {
        let facts = collector.next_facts().await.unwrap();
        let volume = &facts.volumes[0];
        assert_eq!((volume.used, volume.capacity, volume.at), (Some(5), Some(9), Some(60_000)));
        let instance = &facts.instances[0];
        assert_eq!((instance.cpu_nanocores, instance.guest_usable), (Some(250_000_000), Some(7)));
        assert_eq!(
            facts.warnings.iter().map(Render::english).collect::<Vec<_>>(),
            ["Prometheus: a store is away"]
        );
    }
    assert_eq!(queries(&server, "kubelet_volume_stats"), 4, "one of each metric");
    assert_eq!(queries(&server, "vmi_memory"), 9);
    assert_eq!(queries(&server, "vmi_cpu"), 3);
}

/// A tenant's exporter invents claims and instances: 200,000 of them took 200 MB.
#[tokio::test]
async fn nothing_is_kept_of_names_that_nobody_uses() {
    let server = Server::start(|request, _| {
        let label = if request.query.contains("volume") { "persistentvolumeclaim" } else { "name" };
        let series = |name: String| {
            format!(
                r#"{{"metric":{{"namespace":"prod","{label}":"{name}"}},"values":[[50,"1"],[60,"3.5"]]}}"#
            )
        };
        let all: Vec<_> = (0..10).map(|n| series(format!("x{n}"))).chain([series("own".into())]).collect();
        json(format!(r#"{{"status":"success","data":{{"result":[{}]}}}}"#, all.join(",")))
    });
    let api = Server::start(|request, _| quiet(request));
    let of = async |claims: &[&str], instances: &[&str]| {
        let [claims, instances] = [claims, instances].map(|names| names.iter().map(|name| ("prod", *name)));
        let names = TrackedNames::new(claims, instances);
        let targets = Targets { names: Some(Arc::new(names)), ..Targets::default() };
        let mut collector = Collector::aim(&api, with_prometheus(prometheus(&server.url)), targets).await;
        let facts = collector.next_facts().await.unwrap();
        assert!(facts.warnings.is_empty(), "{facts:?}");
        let instances: Vec<_> = facts.instances.iter().map(|sample| sample.name.to_string()).collect();
        (facts.volumes.len(), instances)
    };
    assert_eq!(of(&["own"], &["x1"]).await, (1, vec!["x1".to_owned()]));
    assert_eq!(of(&[], &["own"]).await, (0, vec!["own".to_owned()]));
}

#[tokio::test]
async fn volumes_are_not_queried_unless_prometheus_is_a_disk_source() {
    let server = Server::start(|request, _| healthy(request));
    let api = Server::start(|request, _| quiet(request));
    let config =
        CollectConfig { disk_sources: vec![SourceId::Kubelet], ..with_prometheus(prometheus(&server.url)) };
    let facts = Collector::start(&api, config, &[]).await.next_facts().await.unwrap();
    assert!(facts.volumes.is_empty() && facts.instances.len() == 1, "{facts:?}");
    assert_eq!(queries(&server, "kubelet_volume_stats"), 0);
}

#[tokio::test]
async fn a_failed_query_loses_only_its_figures_and_is_reported() {
    let server = Server::start(|request, _| match request.query.contains("vmi_cpu") {
        true => says(422, r#"{"status":"error","errorType":"execution","error":"too many samples"}"#),
        false => healthy(request),
    });
    let facts = first_round(&server.url).await.unwrap();
    let instance = &facts.instances[0];
    assert_eq!((instance.cpu_nanocores, instance.guest_usable), (None, Some(7)));
    let want =
        "no CPU: Prometheus answers 422: it does not understand the request (it says: too many samples)";
    assert_eq!(facts.warnings[0].english(), want);
}

/// GoogleCloudPlatform/prometheus-engine#1601: this backend refuses patterns for metric names.
#[tokio::test]
async fn no_query_needs_a_pattern_for_metric_names() {
    let refusal = r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": substitute queries failed: convert vector selector failed: =~ is an unsupported matchtype for the __name__ label: invalid argument"}"#;
    let server = Server::start(move |request, _| match request.query.contains("__name__") {
        true => says(400, refusal),
        false => healthy(request),
    });
    let facts = first_round(&server.url).await.unwrap();
    assert_eq!((facts.volumes.len(), facts.instances.len()), (1, 1));
    assert_eq!(facts.instances[0].cpu_nanocores, Some(250_000_000));
}

/// GoogleCloudPlatform/prometheus-engine#1054.
#[tokio::test]
async fn an_unknown_parameter_is_not_sent_again() {
    let refusal = r#"{"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \"timeout\"","status":"INVALID_ARGUMENT"}}"#;
    let server = Server::start(move |request, _| match request.query.contains("timeout=") {
        true => says(400, refusal),
        false => healthy(request),
    });
    let api = Server::start(|request, _| quiet(request));
    let mut collector = Collector::start(&api, with_prometheus(prometheus(&server.url)), &[]).await;
    assert_eq!(collector.next_facts().await.unwrap().instances.len(), 1);
    let refused = queries(&server, "timeout=");
    assert!((1..=8).contains(&refused), "{refused}");
    collector.next_facts().await.unwrap();
    assert_eq!(queries(&server, "timeout="), refused);
}

/// kubevirt/kubevirt#3125: a ServiceMonitor without `honorLabels`.
#[tokio::test]
async fn relabelled_series_count_only_from_trusted_exporters() {
    let series = |namespace: &str, name: &str| {
        format!(
            r#"{{"metric":{{"namespace":"{namespace}","exported_namespace":"prod","name":"{name}"}},"values":[[60,"7"]]}}"#
        )
    };
    let all = [series("kubevirt", "web"), series("tenant", "db"), series("tenant", "mail")].join(",");
    let server = Server::start(move |request, _| {
        let moved = request.query.contains("exported_namespace") || !request.query.contains("namespace");
        let result = if request.query.contains("resident") && moved { all.as_str() } else { "" };
        json(format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}}}}"#))
    });
    for namespaces in [None, Some(vec!["prod".to_owned()])] {
        let api = Server::start(|request, _| quiet(request));
        let config = CollectConfig { namespaces, ..with_prometheus(prometheus(&server.url)) };
        let facts = Collector::start(&api, config, &[]).await.next_facts().await.unwrap();
        let names: Vec<_> =
            facts.instances.iter().map(|sample| (&*sample.namespace, &*sample.name)).collect();
        assert_eq!(names, [("prod", "web")]);
        let warnings: Vec<_> = facts.warnings.iter().map(Render::english).collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].starts_with("2 series of exporters in namespace tenant"), "{warnings:?}");
    }
}

/// A list of a thousand namespaces is longer than what proxies take in an address.
#[tokio::test]
async fn a_query_that_is_too_long_for_a_url_is_posted() {
    let server = Server::start(|request, _| match request.query.len() > 8000 {
        true => status(414, "x"),
        false => healthy(request),
    });
    let api = Server::start(|request, _| quiet(request));
    let namespaces: Vec<String> =
        (0..1000).map(|n| format!("namespace-{n}")).chain(["prod".into()]).collect();
    let mut config = with_prometheus(prometheus(&server.url));
    config.namespaces = Some(namespaces);
    let mut prometheus = crate::prometheus::Prometheus::new(
        config.prometheus.clone().unwrap(),
        &config,
        crate::budget::Budgets::default().outside,
        watch::channel(Targets::default()).1,
    );
    drop(api);
    let (sender, mut observations) = tokio::sync::mpsc::channel(4);
    use crate::{observation_sender::ObservationSender, poll::Source};
    prometheus.round(&ObservationSender(sender)).await.unwrap();
    let queued = observations.recv().await.map(QueuedObservation::into_observation);
    let Some(Observation::Prometheus { result, .. }) = queued else { panic!() };
    assert!(result.is_ok(), "{result:?}");
    let requests = server.asked(QUERY);
    assert!(
        requests
            .iter()
            .all(|request| request.body.contains("query=") && request.body.contains("namespace-999"))
    );
}

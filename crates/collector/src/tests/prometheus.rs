//! Prometheus: a few queries a round, and every way in which they can fail.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{tls::Secure, *};
use crate::{
    archive::{LongTermHistory, Requester},
    budget::Budgets,
    config::PrometheusConfig,
    prometheus::PrometheusHistory,
};
use i18n::Render;
use wukong_core::{
    archive::{Names, Of, Recording, Times},
    observation::{Key as VolumeKey, PrometheusFacts, VolumeRef},
};

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

fn asks(prometheus: PrometheusConfig) -> CollectConfig {
    CollectConfig {
        prometheus: Some(prometheus),
        metrics_interval: Duration::from_millis(200),
        answer_limit: 4000,
        ..config()
    }
}

impl Collector {
    async fn queried(&mut self) -> Result<PrometheusFacts, SourceError> {
        self.next(|observation| match observation {
            Observation::Prometheus { result, .. } => Some(result),
            _ => None,
        })
        .await
    }
}

async fn first(url: &str) -> Result<PrometheusFacts, SourceError> {
    let api = Server::start(|asked, _| quiet(asked));
    Collector::start(&api, asks(prometheus(url)), &[]).await.queried().await
}

/// A Prometheus that knows one claim and one instance.
fn well(asked: &Asked) -> Response {
    let claim = |value: u8| {
        format!(
            r#"{{"metric":{{"namespace":"prod","persistentvolumeclaim":"root","node":"n1"}},"values":[[60,"{value}"]]}}"#
        )
    };
    let claims = [claim(5), claim(9)];
    let result = match &asked.query {
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
    server.asked(QUERY).iter().filter(|asked| asked.query.contains(of)).count()
}

#[tokio::test]
async fn volumes_are_asked_for_at_their_own_interval_and_stand_until_then() {
    let server = Server::start(|asked, _| well(asked));
    let api = Server::start(|asked, _| quiet(asked));
    let mut collector = Collector::start(&api, asks(prometheus(&server.url)), &[]).await;
    for _ in 0..3 {
        let facts = collector.queried().await.unwrap();
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

#[tokio::test]
async fn as_no_disk_source_it_is_asked_for_cpu_and_memory_alone() {
    let server = Server::start(|asked, _| well(asked));
    let api = Server::start(|asked, _| quiet(asked));
    let config = CollectConfig { disk_sources: vec![SourceId::Kubelet], ..asks(prometheus(&server.url)) };
    let facts = Collector::start(&api, config, &[]).await.queried().await.unwrap();
    assert!(facts.volumes.is_empty() && facts.instances.len() == 1, "{facts:?}");
    assert_eq!(queries(&server, "kubelet_volume_stats"), 0);
}

#[tokio::test]
async fn a_query_that_fails_costs_its_part_and_is_told() {
    let server = Server::start(|asked, _| match asked.query.contains("vmi_cpu") {
        true => says(422, r#"{"status":"error","errorType":"execution","error":"too many samples"}"#),
        false => well(asked),
    });
    let facts = first(&server.url).await.unwrap();
    let instance = &facts.instances[0];
    assert_eq!((instance.cpu_nanocores, instance.guest_usable), (None, Some(7)));
    let want =
        "no CPU: Prometheus answers 422: it does not understand the request (it says: too many samples)";
    assert_eq!(facts.warnings[0].english(), want);
}

/// GoogleCloudPlatform/prometheus-engine#1601: nothing that is asked has a pattern for a metric's name.
#[tokio::test]
async fn a_back_end_that_refuses_patterns_of_names_gives_every_figure() {
    let refusal = r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": substitute queries failed: convert vector selector failed: =~ is an unsupported matchtype for the __name__ label: invalid argument"}"#;
    let server = Server::start(move |asked, _| match asked.query.contains("__name__") {
        true => says(400, refusal),
        false => well(asked),
    });
    let facts = first(&server.url).await.unwrap();
    assert_eq!((facts.volumes.len(), facts.instances.len()), (1, 1));
    assert_eq!(facts.instances[0].cpu_nanocores, Some(250_000_000));
}

/// GoogleCloudPlatform/prometheus-engine#1054.
#[tokio::test]
async fn a_parameter_that_is_not_known_is_not_sent_again() {
    let refusal = r#"{"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \"timeout\"","status":"INVALID_ARGUMENT"}}"#;
    let server = Server::start(move |asked, _| match asked.query.contains("timeout=") {
        true => says(400, refusal),
        false => well(asked),
    });
    let api = Server::start(|asked, _| quiet(asked));
    let mut collector = Collector::start(&api, asks(prometheus(&server.url)), &[]).await;
    assert_eq!(collector.queried().await.unwrap().instances.len(), 1);
    let refused = queries(&server, "timeout=");
    assert!((1..=8).contains(&refused), "{refused}");
    collector.queried().await.unwrap();
    assert_eq!(queries(&server, "timeout="), refused);
}

/// kubevirt/kubevirt#3125: a ServiceMonitor without `honorLabels`.
#[tokio::test]
async fn series_that_a_scrape_relabelled_are_found_and_a_tenants_are_not() {
    let series = |namespace: &str, name: &str| {
        format!(
            r#"{{"metric":{{"namespace":"{namespace}","exported_namespace":"prod","name":"{name}"}},"values":[[60,"7"]]}}"#
        )
    };
    let all = [series("kubevirt", "web"), series("tenant", "db"), series("tenant", "mail")].join(",");
    let server = Server::start(move |asked, _| {
        let moved = asked.query.contains("exported_namespace") || !asked.query.contains("namespace");
        let result = if asked.query.contains("resident") && moved { all.as_str() } else { "" };
        json(format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}}}}"#))
    });
    for namespaces in [None, Some(vec!["prod".to_owned()])] {
        let api = Server::start(|asked, _| quiet(asked));
        let config = CollectConfig { namespaces, ..asks(prometheus(&server.url)) };
        let facts = Collector::start(&api, config, &[]).await.queried().await.unwrap();
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
async fn a_query_that_is_too_long_for_an_address_is_posted() {
    let server = Server::start(|asked, _| match asked.query.len() > 8000 {
        true => status(414, "x"),
        false => well(asked),
    });
    let api = Server::start(|asked, _| quiet(asked));
    let namespaces: Vec<String> =
        (0..1000).map(|n| format!("namespace-{n}")).chain(["prod".into()]).collect();
    let mut config = asks(prometheus(&server.url));
    config.namespaces = Some(namespaces);
    let mut prometheus = crate::prometheus::Prometheus::new(
        config.prometheus.clone().unwrap(),
        &config,
        crate::budget::Budgets::default().outside,
    );
    drop(api);
    let (sender, mut observations) = tokio::sync::mpsc::channel(4);
    use crate::{observation_sender::ObservationSender, poll::Source};
    prometheus.round(&ObservationSender(sender)).await.unwrap();
    let Some(Observation::Prometheus { result, .. }) = observations.recv().await else { panic!() };
    assert!(result.is_ok(), "{result:?}");
    let asked = server.asked(QUERY);
    assert!(asked.iter().all(|asked| asked.body.contains("query=") && asked.body.contains("namespace-999")));
}

/// The text of a query, as it was meant.
fn query_of(asked: &Asked) -> String {
    let url = reqwest::Url::parse(&format!("http://p/?{}", asked.query)).unwrap();
    let query = url.query_pairs().find(|(name, _)| name == "query");
    query.map(|(_, query)| query.into_owned()).unwrap_or_default()
}

/// A Prometheus with an exporter in each of these namespaces, whose page takes so many bytes of an answer for a metric of this name, and few of
/// any other.
fn exporters(pages: &'static [(&'static str, usize)], of_metric: &'static str) -> Server {
    Server::start(move |asked, _| {
        let query = query_of(asked);
        let label = if query.contains("kubelet_volume") { "persistentvolumeclaim" } else { "name" };
        let is_asked = |namespace: &str| {
            let names = |operator: &str| {
                let rest = query.split_once(&format!(r#"namespace{operator}""#)).map(|(_, rest)| rest);
                rest.and_then(|rest| rest.split('"').next())
                    .map(|names| names.split('|').any(|name| name == namespace))
            };
            names("!~") != Some(true) && names("=").unwrap_or(true)
        };
        let page = |(namespace, bytes): &(&str, usize)| {
            let bytes = if query.contains(of_metric) { *bytes } else { 10 };
            let series = |n: usize| {
                let (name, filler) =
                    (if n == 0 { "web".into() } else { format!("x{n}") }, "x".repeat(500.min(bytes)));
                format!(
                    r#"{{"metric":{{"namespace":"{namespace}","{label}":"{name}","node":"n1","filler":"{filler}"}},"values":[[50,"1"],[60,"3.5"]]}}"#
                )
            };
            (0..bytes.div_ceil(500)).map(series).collect::<Vec<_>>()
        };
        let all: Vec<String> =
            pages.iter().filter(|(namespace, _)| is_asked(namespace)).flat_map(page).collect();
        json(format!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[{}]}}}}"#,
            all.join(",")
        ))
    })
}

/// The namespaces whose instances and volumes are known.
fn namespaces_of(facts: &PrometheusFacts) -> (Vec<String>, Vec<String>) {
    let mut instances: Vec<String> =
        facts.instances.iter().map(|sample| sample.namespace.to_string()).collect();
    let mut volumes: Vec<String> = facts
        .volumes
        .iter()
        .map(|stats| match &stats.of {
            VolumeRef::Claim(claim) => claim.namespace.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    for namespaces in [&mut instances, &mut volumes] {
        namespaces.sort();
        namespaces.dedup();
    }
    (instances, volumes)
}

/// Of a tenant, whose page is larger than any answer that is read.
#[tokio::test]
async fn a_page_that_makes_every_answer_too_large_costs_its_own_namespace_alone() {
    let server = exporters(&[("dev", 10), ("evil", 5000), ("prod", 10)], "");
    let api = Server::start(|asked, _| quiet(asked));
    let mut collector = Collector::start(&api, asks(prometheus(&server.url)), &[]).await;
    let want = vec!["dev".to_owned(), "prod".to_owned()];
    for round in 0..3 {
        let facts = collector.queried().await.unwrap();
        assert_eq!(namespaces_of(&facts), (want.clone(), want.clone()), "round {round}");
        let warnings: Vec<_> = facts.warnings.iter().map(Render::english).collect();
        let words = "the series of exporters in namespace evil alone are over the limit of 4000 bytes and are left out";
        assert_eq!(warnings, [words]);
        let [gap] = facts.gaps.as_slice() else { panic!("{:?}", facts.gaps) };
        assert_eq!((gap.error.reason, &gap.namespaces[..]), (Reason::TooLarge, &["evil".to_owned()][..]));
    }
    let alone =
        server.asked(QUERY).iter().filter(|asked| query_of(asked).contains(r#"namespace="evil""#)).count();
    assert!((9..=16).contains(&alone), "once more in the next round, and then not for a minute: {alone}");
}

/// A series sorts its labels: long ones may hide whose it is. The figures of trusted exporters do not depend on it.
#[tokio::test]
async fn an_answer_of_which_no_namespace_can_be_told_costs_no_trusted_exporter() {
    let server = Server::start(move |asked, _| {
        let query = query_of(asked);
        let label = if query.contains("kubelet_volume") { "persistentvolumeclaim" } else { "name" };
        let trusted = format!(
            r#"{{"metric":{{"namespace":"kubevirt","exported_namespace":"prod","{label}":"web"}},"values":[[50,"1"],[60,"3"]]}}"#
        );
        let hidden =
            format!(r#"{{"metric":{{"a":"{}","namespace":"evil"}},"values":[[60,"1"]]}}"#, "x".repeat(5000));
        let result =
            if query.contains(r#"namespace="kubevirt""#) { trusted } else { [hidden, trusted].join(",") };
        json(format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}}}}"#))
    });
    let api = Server::start(|asked, _| quiet(asked));
    let mut config = prometheus(&server.url);
    config.trusted_namespaces = vec!["kubevirt".to_owned()];
    let mut collector = Collector::start(&api, asks(config), &[]).await;
    for round in 0..3 {
        let facts = collector.queried().await.unwrap();
        assert_eq!(
            namespaces_of(&facts),
            (vec!["prod".to_owned()], vec!["prod".to_owned()]),
            "round {round}"
        );
        let warnings: Vec<_> = facts.warnings.iter().map(Render::english).collect();
        assert_eq!(warnings, ["Prometheus: the answer is over the limit of 4000 bytes"]);
        let [gap] = facts.gaps.as_slice() else { panic!("{:?}", facts.gaps) };
        assert_eq!((gap.error.reason, gap.namespaces.len()), (Reason::TooLarge, 0));
    }
}

/// A tenant can make KubeVirt's own exporters the heaviest, by pages that are lighter one by one.
#[tokio::test]
async fn trusted_exporters_are_never_the_ones_that_are_left_out() {
    let server = exporters(&[("a", 1500), ("b", 1400), ("prod", 1900)], "");
    let api = Server::start(|asked, _| quiet(asked));
    let mut config = prometheus(&server.url);
    config.trusted_namespaces = vec!["prod".to_owned()];
    let mut collector = Collector::start(&api, asks(config), &[]).await;
    for round in 0..3 {
        let (instances, volumes) = namespaces_of(&collector.queried().await.unwrap());
        assert!(instances.contains(&"prod".into()) && volumes.contains(&"prod".into()), "round {round}");
    }
    let is_left_out = |asked: &&Asked| {
        let query = query_of(asked);
        query
            .split_once("namespace!~\"")
            .is_some_and(|(_, rest)| rest.split('"').next().unwrap().contains("prod"))
    };
    assert_eq!(server.asked(QUERY).iter().filter(is_left_out).count(), 0);
}

/// What fills the answers is no exporter: nobody is left out for it once it is over.
#[tokio::test]
async fn an_answer_that_is_full_of_something_else_blames_no_namespace_for_long() {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = broken.clone();
    let server = Server::start(move |asked, _| {
        let left_out = query_of(asked).contains("namespace!~");
        let result = if left_out {
            ""
        } else {
            r#"{"metric":{"namespace":"prod","name":"web"},"values":[[50,"1"],[60,"3"]]}"#
        };
        let filler = if is_broken.load(Ordering::Relaxed) { "x".repeat(5000) } else { String::new() };
        json(format!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}},"x":"{filler}"}}"#
        ))
    });
    let api = Server::start(|asked, _| quiet(asked));
    let mut collector = Collector::start(&api, asks(prometheus(&server.url)), &[]).await;
    assert_eq!(collector.queried().await.unwrap_err().reason, Reason::TooLarge);
    let first_round = server.asked(QUERY).len();
    assert_eq!(collector.queried().await.unwrap_err().reason, Reason::TooLarge);
    let more = server.asked(QUERY).len() - first_round;
    assert!(more <= 8, "one query a metric, and not {more}: each answer is tens of megabytes");
    broken.store(false, Ordering::Relaxed);
    let mut rounds = 0;
    while collector.queried().await.is_err() {
        rounds += 1;
        assert!(rounds < 3);
    }
    let facts = collector.queried().await.unwrap();
    assert_eq!((facts.instances.len(), facts.warnings.len()), (1, 0), "{:?}", facts.warnings);
}

/// No page is too large by itself: all of them are.
#[tokio::test]
async fn pages_that_are_too_large_together_are_asked_for_one_by_one() {
    let server = exporters(&[("a", 1500), ("b", 1400), ("c", 1300), ("d", 1200)], "");
    let facts = first(&server.url).await.unwrap();
    let all: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).into();
    assert_eq!(namespaces_of(&facts), (all.clone(), all));
    assert_eq!((facts.gaps.len(), facts.warnings.len()), (0, 0), "{:?}", facts.warnings);
}

/// What a trusted exporter says may be of any namespace.
#[tokio::test]
async fn where_a_trusted_exporter_says_too_much_any_claim_may_be_missing() {
    let server = exporters(&[("kube-system", 5000), ("prod", 10)], "");
    let facts = first(&server.url).await.unwrap();
    let want = vec!["prod".to_owned()];
    assert_eq!(namespaces_of(&facts), (want.clone(), want));
    assert_eq!((facts.gaps.len(), facts.gaps[0].namespaces.len()), (1, 0), "{:?}", facts.gaps);
}

/// A volume of which the use alone is known would be taken for a device.
#[tokio::test]
async fn of_a_namespace_that_is_too_large_for_one_metric_no_volume_is_told() {
    for evil in ["evil", "kube-system"] {
        let pages = if evil == "evil" {
            &[("evil", 5000), ("prod", 10)]
        } else {
            &[("kube-system", 5000), ("prod", 10)]
        };
        let facts = first(&exporters(pages, "volume_stats_inodes").url).await.unwrap();
        let all = vec![evil.to_owned(), "prod".to_owned()];
        assert_eq!(namespaces_of(&facts), (all, vec!["prod".to_owned()]));
        assert_eq!(facts.gaps.len(), 1, "{:?}", facts.gaps);
    }
}

/// Answers questions about the past until it is dropped.
struct Past {
    archive: LongTermHistory,
    task: tokio::task::JoinHandle<()>,
}

impl Past {
    fn start(server: &Server) -> Self {
        let (archive, questions) = LongTermHistory::new();
        let historian =
            PrometheusHistory::new(&asks(prometheus(&server.url)), Budgets::default().outside).unwrap();
        Self { archive, task: tokio::spawn(historian.run(questions, Default::default())) }
    }

    /// What there is of these namespaces' `web`: so many points from the first minute on.
    async fn of_all(&self, namespaces: &[&str], count: usize) -> Result<Recording, SourceError> {
        let keys = || namespaces.iter().map(|namespace| VolumeKey::new(namespace, "web")).collect();
        let of = Of::All(Arc::new(Names { instances: keys(), claims: keys() }));
        let times = Times { from: 60_000, step: 60_000, count };
        self.archive.answer(Requester::Backfill, of, times).await.as_ref().clone()
    }
}

impl Drop for Past {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn a_part_of_the_past_that_is_refused_costs_itself_alone() {
    let server = Server::start(|asked, _| match asked.query.contains("vmi_cpu") {
        true => says(422, r#"{"status":"error","errorType":"execution","error":"too many samples"}"#),
        false => well_in_the_past(asked),
    });
    let recording = Past::start(&server).of_all(&["prod"], 2).await.unwrap();
    let key = VolumeKey::new("prod", "web");
    assert_eq!((recording.cpu.len(), &recording.memory[&key]), (0, &vec![Some(7), Some(8)]));
    assert_eq!(recording.used[&key], [Some(7), Some(8)]);
    let [failure] = recording.failures.as_slice() else { panic!("{:?}", recording.failures) };
    assert!(failure.detail.english().contains("too many samples"), "{failure:?}");
}

/// VictoriaMetrics/VictoriaMetrics#1914, #5530: the query, which may be long, is repeated before the reason.
#[tokio::test]
async fn a_server_that_gives_fewer_points_is_asked_for_fewer() {
    let query = format!("max by (namespace) (m{{namespace=~'{}'}})", "prod|".repeat(500));
    let refusal = format!(
        r#"{{"status":"error","errorType":"422","error":"error when executing query={query}: cannot evaluate {query}: too many points for the given step=60000: 8; cannot exceed -search.maxPointsPerTimeseries=4"}}"#
    );
    assert!(refusal.len() > 4 << 10);
    let server = Server::start(move |asked, _| match asked.query.contains("step=60.000") {
        true => (StatusCode::UNPROCESSABLE_ENTITY, refusal.clone()).into_response(),
        false => well_in_the_past(asked),
    });
    let recording = Past::start(&server).of_all(&["prod"], 2).await.unwrap();
    let key = VolumeKey::new("prod", "web");
    assert_eq!((recording.failures.len(), recording.memory[&key][1]), (0, Some(8)), "{recording:?}");
    assert!(server.asked("/api/v1/query_range").iter().any(|asked| asked.query.contains("step=240.000")));
}

/// A claim and an instance called `prod/web`, of each minute one sample.
fn well_in_the_past(_: &Asked) -> Response {
    let labels = r#""namespace":"prod","name":"web","persistentvolumeclaim":"web""#;
    let values = r#"[60,"7"],[120,"8"]"#;
    json(format!(
        r#"{{"status":"success","data":{{"result":[{{"metric":{{{labels}}},"values":[{values}]}}]}}}}"#
    ))
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_late_and_not_out_of_reach() {
    let body =
        r#"{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}"#;
    let server = Server::start(move |_, _| says(503, body));
    let error = first(&server.url).await.unwrap_err();
    assert_eq!(error.reason, Reason::TimedOut, "{error:?}");
}

#[tokio::test]
async fn volumes_that_fail_once_stand_with_their_own_time_and_are_asked_for_again() {
    let server = Server::start(|asked, n| {
        match asked.query.contains("kubelet_volume_stats") && (8..16).contains(&n) {
            true => status(500, "x"),
            false => well(asked),
        }
    });
    let api = Server::start(|asked, _| quiet(asked));
    let config = CollectConfig { disk_interval: Duration::from_millis(1), ..asks(prometheus(&server.url)) };
    let mut collector = Collector::start(&api, config, &[]).await;
    let mut warned = Vec::new();
    for _ in 0..3 {
        let facts = collector.queried().await.unwrap();
        assert_eq!(facts.volumes[0].at, Some(60_000));
        warned.push(facts.warnings.iter().any(|warning| warning.english().starts_with("no disk usage: ")));
    }
    assert_eq!(warned, [false, true, false]);
}

#[tokio::test]
async fn every_refusal_has_its_reason_in_words() {
    for (code, reason, words) in [
        (302, Reason::BadAnswer, "Prometheus answers 302: a redirect: set the address that it points to"),
        (401, Reason::Forbidden, "Prometheus answers 401: check its token or password"),
        (403, Reason::Forbidden, "Prometheus answers 403: its token or password have no permission for this"),
        (404, Reason::BadAnswer, "Prometheus answers 404: check the path of its address"),
        (429, Reason::Unreachable, "Prometheus answers 429: it asks for fewer requests"),
        (500, Reason::Unreachable, "Prometheus answers 500: it has an internal error"),
        (503, Reason::Unreachable, "Prometheus answers 503: it has an internal error"),
        (504, Reason::TimedOut, "Prometheus answers 504: it did not answer in time"),
    ] {
        let server = Server::start(move |_, _| {
            (StatusCode::from_u16(code).unwrap(), [(header::LOCATION, "/elsewhere")], "token t")
                .into_response()
        });
        let error = first(&server.url).await.unwrap_err();
        assert_eq!((error.reason, &*error.detail.english()), (reason, words));
        assert!(server.asked("/elsewhere").is_empty(), "it follows redirects");
    }
}

#[tokio::test]
async fn answers_that_are_none_are_bad_answers() {
    for body in [
        String::new(),
        "<html>".into(),
        r#"{"status":"error","errorType":"bad_data","error":"x"}"#.into(),
        r#"{"status":"success","data":{"result":[{"metric""#.into(),
        r#"{"status":"success","data":{"result":"many"}}"#.into(),
    ] {
        let server = Server::start(move |_, _| json(body.clone()));
        assert_eq!(first(&server.url).await.unwrap_err().reason, Reason::BadAnswer);
    }
    // Fifty megabytes, and no word of that before.
    let endless =
        || Body::from_stream(stream::iter((0..800).map(|_| Ok::<_, Infallible>("y".repeat(1 << 16)))));
    let server = Server::start(move |_, _| endless().into_response());
    let error = first(&server.url).await.unwrap_err();
    assert_eq!(error.detail.english(), "Prometheus: the answer is over the limit of 4000 bytes");
    let large = format!(r#"{{"data":{{"result":[]}},"x":"{}"}}"#, "y".repeat(5000));
    let server = Server::start(move |_, _| json(large.clone()));
    assert_eq!(first(&server.url).await.unwrap_err().reason, Reason::TooLarge);
}

#[tokio::test]
async fn what_breaks_under_http_has_its_reason_too() {
    let hung = Server::start(|_, _| hang());
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
    for (url, reason, words) in [
        (hung.url.clone(), Reason::TimedOut, "no answer from Prometheus within 0.4 s"),
        (nobody(), Reason::Unreachable, "Prometheus refuses connections"),
        (curt(""), Reason::Unreachable, "Prometheus closed the connection"),
        (curt(cut), Reason::Unreachable, "Prometheus closed the connection"),
        (curt("SSH-2.0-OpenSSH\r\n"), Reason::Unreachable, "Prometheus cannot be reached"),
    ] {
        let error = first(&url).await.unwrap_err();
        assert_eq!((error.reason, &*error.detail.english()), (reason, words), "{url}");
    }
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let server = Server::start(|asked, n| match n < 8 {
        true => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")], "").into_response(),
        false => well(asked),
    });
    let api = Server::start(|asked, _| quiet(asked));
    let mut collector = Collector::start(&api, asks(prometheus(&server.url)), &[]).await;
    collector.queried().await.unwrap_err();
    collector.queried().await.unwrap();
    let asked = server.asked(QUERY);
    assert!(asked[8].at - asked[7].at >= Duration::from_secs(1));
}

#[tokio::test]
async fn credentials_are_read_anew_for_each_round_and_never_shown() {
    let server = Server::start(|asked, _| match asked.header("authorization") {
        "Bearer second" => well(asked),
        _ => status(401, "Unauthorized"),
    });
    let api = Server::start(|asked, _| quiet(asked));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let mut config = prometheus(&format!("{}/prefix/", server.url));
    config.bearer_token_file = Some(file.clone());
    config.tenant = Some(("X-Scope-OrgID".into(), "a|b".into()));
    let mut collector = Collector::start(&api, asks(config), &[]).await;
    let error = collector.queried().await.unwrap_err();
    assert_eq!(error.reason, Reason::Forbidden);
    assert!(
        error.detail.english().starts_with("the token file of Prometheus (--prometheus-bearer-token-file)")
            && error.detail.english().ends_with("not found")
    );
    assert!(!error.detail.english().contains('/'), "readers are told no path: {}", error.detail.english());
    for (text, want) in [(" \n", "holds no line"), ("two\nlines", "more than one line"), ("first\n", "401")] {
        std::fs::write(&file, text).unwrap();
        let error = collector.next(|seen| match seen {
            Observation::Prometheus { result: Err(error), .. } if error.detail.english().contains(want) => {
                Some(error)
            }
            _ => None,
        });
        let error = error.await;
        assert!(error.reason == Reason::Forbidden && !error.detail.english().contains("first"), "{error:?}");
    }
    std::fs::write(&file, "second\n").unwrap();
    while collector.queried().await.is_err() {}
    let asked = server.asked("/prefix/api/v1/query");
    assert!(asked.iter().all(|asked| asked.header("x-scope-orgid") == "a|b"));
}

#[tokio::test]
async fn a_user_and_password_are_sent_as_they_stand_in_their_file() {
    let server = Server::start(|asked, _| match asked.header("authorization") {
        "Basic dXNlcjpwYXNz" => well(asked),
        _ => status(401, "Unauthorized"),
    });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("login");
    std::fs::write(&file, "user:pass\n").unwrap();
    let api = Server::start(|asked, _| quiet(asked));
    let config = PrometheusConfig { basic_auth_file: Some(file), ..prometheus(&server.url) };
    Collector::start(&api, asks(config), &[]).await.queried().await.unwrap();
}

#[tokio::test]
async fn its_certificate_must_be_of_its_authority() {
    let secure = Secure::start(|asked, _| well(asked));
    let error = first(&secure.server.url).await.unwrap_err();
    let words = "the TLS handshake with Prometheus failed: check its CA and name";
    assert_eq!((error.reason, &*error.detail.english()), (Reason::Unreachable, words));
    let api = Server::start(|asked, _| quiet(asked));
    let config = PrometheusConfig { ca: Some(secure.ca()), ..prometheus(&secure.server.url) };
    let mut collector = Collector::start(&api, asks(config), &[]).await;
    collector.queried().await.unwrap();
    // Rotated to what is none: said at the next round, not at the next start.
    std::fs::write(secure.ca(), "nothing").unwrap();
    let error = loop {
        if let Err(error) = collector.queried().await {
            break error;
        }
    };
    assert_eq!(
        error.detail.english(),
        "the CA file of Prometheus (--prometheus-ca) holds no certificates in PEM"
    );
}

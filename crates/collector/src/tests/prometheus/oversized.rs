//! Answers over the limit: what of them is still read, and which namespaces are left out.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use wukong_core::observation::VolumeRef;

/// The decoded text of a query.
fn query_of(request: &RecordedRequest) -> String {
    let url = url::Url::parse(&format!("http://p/?{}", request.query)).unwrap();
    let query = url.query_pairs().find(|(name, _)| name == "query");
    query.map(|(_, query)| query.into_owned()).unwrap_or_default()
}

/// A Prometheus with one exporter in each of these namespaces. Its page takes that many bytes in the answer for
/// the metric `of_metric`, and few in others.
fn exporters(pages: &'static [(&'static str, usize)], of_metric: &'static str) -> Server {
    Server::start(move |request, _| {
        let query = query_of(request);
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

/// The namespaces with known instances, and those with known volumes.
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

/// A tenant's page is larger than the limit for answers.
#[tokio::test]
async fn an_oversized_exporter_page_loses_only_its_namespace() {
    let server = exporters(&[("dev", 10), ("evil", 5000), ("prod", 10)], "");
    let api = Server::start(|request, _| quiet(request));
    let mut collector = Collector::start(&api, with_prometheus(prometheus(&server.url)), &[]).await;
    let want = vec!["dev".to_owned(), "prod".to_owned()];
    for round in 0..3 {
        let facts = collector.next_facts().await.unwrap();
        assert_eq!(namespaces_of(&facts), (want.clone(), want.clone()), "round {round}");
        let warnings: Vec<_> = facts.warnings.iter().map(Render::english).collect();
        let words =
            "the series of exporters in namespace evil alone exceed the limit of 4000 bytes and are left out";
        assert_eq!(warnings, [words]);
        let [gap] = facts.gaps.as_slice() else { panic!("{:?}", facts.gaps) };
        assert_eq!((gap.error.reason, &gap.namespaces[..]), (Reason::TooLarge, &["evil".to_owned()][..]));
    }
    let alone = server
        .asked(QUERY)
        .iter()
        .filter(|request| query_of(request).contains(r#"namespace="evil""#))
        .count();
    assert!((9..=16).contains(&alone), "once more in the next round, and then not for a minute: {alone}");
}

/// Labels are sorted in a series: a long one can hide the namespace. Figures of trusted exporters do not depend on it.
#[tokio::test]
async fn trusted_exporters_survive_an_answer_whose_namespaces_are_unknown() {
    let server = Server::start(move |request, _| {
        let query = query_of(request);
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
    let api = Server::start(|request, _| quiet(request));
    let mut config = prometheus(&server.url);
    config.trusted_namespaces = vec!["kubevirt".to_owned()];
    let mut collector = Collector::start(&api, with_prometheus(config), &[]).await;
    for round in 0..3 {
        let facts = collector.next_facts().await.unwrap();
        assert_eq!(
            namespaces_of(&facts),
            (vec!["prod".to_owned()], vec!["prod".to_owned()]),
            "round {round}"
        );
        let warnings: Vec<_> = facts.warnings.iter().map(Render::english).collect();
        assert_eq!(warnings, ["Prometheus: the answer exceeds the limit of 4000 bytes"]);
        let [gap] = facts.gaps.as_slice() else { panic!("{:?}", facts.gaps) };
        assert_eq!((gap.error.reason, gap.namespaces.len()), (Reason::TooLarge, 0));
    }
}

/// A tenant can make KubeVirt's own exporters the largest, with several smaller pages.
#[tokio::test]
async fn trusted_exporters_are_never_left_out() {
    let server = exporters(&[("a", 1500), ("b", 1400), ("prod", 1900)], "");
    let api = Server::start(|request, _| quiet(request));
    let mut config = prometheus(&server.url);
    config.trusted_namespaces = vec!["prod".to_owned()];
    let mut collector = Collector::start(&api, with_prometheus(config), &[]).await;
    for round in 0..3 {
        let (instances, volumes) = namespaces_of(&collector.next_facts().await.unwrap());
        assert!(instances.contains(&"prod".into()) && volumes.contains(&"prod".into()), "round {round}");
    }
    let is_left_out = |request: &&RecordedRequest| {
        let query = query_of(request);
        query
            .split_once("namespace!~\"")
            .is_some_and(|(_, rest)| rest.split('"').next().unwrap().contains("prod"))
    };
    assert_eq!(server.asked(QUERY).iter().filter(is_left_out).count(), 0);
}

/// The answers are filled by something other than series. Once that ends, no namespace is left out.
#[tokio::test]
async fn no_namespace_stays_left_out_if_another_part_filled_the_answer() {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = broken.clone();
    let server = Server::start(move |request, _| {
        let left_out = query_of(request).contains("namespace!~");
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
    let api = Server::start(|request, _| quiet(request));
    let mut collector = Collector::start(&api, with_prometheus(prometheus(&server.url)), &[]).await;
    assert_eq!(collector.next_facts().await.unwrap_err().reason, Reason::TooLarge);
    let first_round = server.asked(QUERY).len();
    assert_eq!(collector.next_facts().await.unwrap_err().reason, Reason::TooLarge);
    let more = server.asked(QUERY).len() - first_round;
    assert!(more <= 8, "one query a metric, and not {more}: each answer is tens of megabytes");
    broken.store(false, Ordering::Relaxed);
    let mut rounds = 0;
    while collector.next_facts().await.is_err() {
        rounds += 1;
        assert!(rounds < 3);
    }
    let facts = collector.next_facts().await.unwrap();
    assert_eq!((facts.instances.len(), facts.warnings.len()), (1, 0), "{:?}", facts.warnings);
}

/// No page is too large alone; all together are.
#[tokio::test]
async fn pages_that_are_too_large_together_are_queried_one_by_one() {
    let server = exporters(&[("a", 1500), ("b", 1400), ("c", 1300), ("d", 1200)], "");
    let facts = first_round(&server.url).await.unwrap();
    let all: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).into();
    assert_eq!(namespaces_of(&facts), (all.clone(), all));
    assert_eq!((facts.gaps.len(), facts.warnings.len()), (0, 0), "{:?}", facts.warnings);
}

/// Series of a trusted exporter can belong to any namespace.
#[tokio::test]
async fn an_oversized_trusted_exporter_may_hide_any_claim() {
    let server = exporters(&[("kube-system", 5000), ("prod", 10)], "");
    let facts = first_round(&server.url).await.unwrap();
    let want = vec!["prod".to_owned()];
    assert_eq!(namespaces_of(&facts), (want.clone(), want));
    assert_eq!((facts.gaps.len(), facts.gaps[0].namespaces.len()), (1, 0), "{:?}", facts.gaps);
}

/// A volume with only its used bytes known would be taken for a block device.
#[tokio::test]
async fn a_namespace_that_is_too_large_for_one_metric_reports_no_volumes() {
    for evil in ["evil", "kube-system"] {
        let pages = if evil == "evil" {
            &[("evil", 5000), ("prod", 10)]
        } else {
            &[("kube-system", 5000), ("prod", 10)]
        };
        let facts = first_round(&exporters(pages, "volume_stats_inodes").url).await.unwrap();
        let all = vec![evil.to_owned(), "prod".to_owned()];
        assert_eq!(namespaces_of(&facts), (all, vec!["prod".to_owned()]));
        assert_eq!(facts.gaps.len(), 1, "{:?}", facts.gaps);
    }
}

/// Each answer is small enough to be kept; the names in them are other ones in every metric.
#[tokio::test]
async fn names_that_differ_by_metric_cost_no_figure_of_a_trusted_exporter() {
    let server = Server::start(move |request, _| {
        let query = query_of(request);
        let label = if query.contains("kubelet_volume") { "persistentvolumeclaim" } else { "name" };
        let range = match &query {
            query if query.contains("resident") || query.contains("used_bytes") => 0..50_000,
            query if query.contains("available") => 50_000..90_000,
            query if query.contains("usable") => 90_000..130_000,
            _ => 0..0,
        };
        let evil = range.map(|n| {
            format!(
                r#"{{"metric":{{"namespace":"aaa-evil","{label}":"x{n}"}},"values":[[50,"1"],[60,"3"]]}}"#
            )
        });
        let prod = ["kubevirt", "kube-system"].map(|trusted| {
            format!(
                r#"{{"metric":{{"namespace":"{trusted}","exported_namespace":"prod","{label}":"web"}},"values":[[50,"1"],[60,"3"]]}}"#
            )
        });
        let all: Vec<String> = evil.chain(prod).collect();
        json(format!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[{}]}}}}"#,
            all.join(",")
        ))
    });
    let api = Server::start(|request, _| quiet(request));
    let config = PrometheusConfig { deadline: Duration::from_secs(60), ..prometheus(&server.url) };
    let config = CollectConfig { answer_limit: 32 << 20, ..with_prometheus(config) };
    let facts = Collector::start(&api, config, &[]).await.next_facts().await.unwrap();
    assert_eq!(namespaces_of(&facts), (vec!["prod".to_owned()], vec!["prod".to_owned()]));
    let warnings: Vec<_> = facts.warnings.iter().map(Render::english).collect();
    let words = "the series of exporters in namespace aaa-evil are left out: with them there are more than 65536 claims or instances";
    assert_eq!(warnings, [words]);
    let [gap] = facts.gaps.as_slice() else { panic!("{:?}", facts.gaps) };
    assert_eq!((gap.error.reason, &gap.namespaces[..]), (Reason::TooLarge, &["aaa-evil".to_owned()][..]));
}

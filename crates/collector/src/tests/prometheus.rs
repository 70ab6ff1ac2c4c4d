//! Prometheus: a few queries a round, and every way in which they can fail.

use super::{tls::Secure, *};
use crate::config::PrometheusConfig;
use i18n::Render;
use wukong_core::facts::PrometheusFacts;

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
        format!(r#"{{"data":{{"result":[]}},"x":"{}"}}"#, "y".repeat(5000)),
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

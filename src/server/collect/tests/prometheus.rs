//! Prometheus: three queries a round, and every way in which they can fail.

use super::{tls::Secure, *};
use crate::server::{config::PrometheusConfig, snapshot::facts::PrometheusFacts};

const QUERY: &str = "/api/v1/query";

fn prometheus(url: &str) -> PrometheusConfig {
    PrometheusConfig {
        url: url.parse().unwrap(),
        bearer_token_file: None,
        basic_auth_file: None,
        ca: None,
        matchers: Vec::new(),
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
    let result = match &asked.query {
        query if query.contains("kubelet_volume_stats") => concat!(
            r#"{"metric":{"__name__":"kubelet_volume_stats_used_bytes","namespace":"prod","persistentvolumeclaim":"root","node":"n1"},"values":[[60,"5"]]},"#,
            r#"{"metric":{"__name__":"kubelet_volume_stats_capacity_bytes","namespace":"prod","persistentvolumeclaim":"root","node":"n1"},"values":[[60,"9"]]}"#
        ),
        query if query.contains("memory") => {
            r#"{"metric":{"__name__":"kubevirt_vmi_memory_usable_bytes","namespace":"prod","name":"web"},"values":[[60,"7"]]}"#
        }
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
            facts.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["Prometheus: a store is away"]
        );
    }
    assert_eq!(queries(&server, "kubelet_volume_stats"), 1);
    assert_eq!(queries(&server, "vmi_memory"), 3);
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
        true => status(422, "execution"),
        false => well(asked),
    });
    let facts = first(&server.url).await.unwrap();
    let instance = &facts.instances[0];
    assert_eq!((instance.cpu_nanocores, instance.guest_usable), (None, Some(7)));
    assert!(
        facts.warnings[0].to_string().starts_with("no CPU: Prometheus answers 422"),
        "{:?}",
        facts.warnings
    );
}

#[tokio::test]
async fn volumes_that_fail_once_stand_with_their_own_time_and_are_asked_for_again() {
    let server =
        Server::start(|asked, n| match asked.query.contains("kubelet_volume_stats") && (3..6).contains(&n) {
            true => status(500, "x"),
            false => well(asked),
        });
    let api = Server::start(|asked, _| quiet(asked));
    let config = CollectConfig { disk_interval: Duration::from_millis(1), ..asks(prometheus(&server.url)) };
    let mut collector = Collector::start(&api, config, &[]).await;
    let mut warned = Vec::new();
    for _ in 0..3 {
        let facts = collector.queried().await.unwrap();
        assert_eq!(facts.volumes[0].at, Some(60_000));
        warned.push(facts.warnings.iter().any(|warning| warning.to_string().starts_with("no disk usage: ")));
    }
    assert_eq!(warned, [false, true, false]);
}

#[tokio::test]
async fn every_refusal_has_its_reason_in_words() {
    for (code, reason, words) in [
        (302, Reason::BadAnswer, "Prometheus answers 302: a redirect: give the address that it leads to"),
        (401, Reason::Forbidden, "Prometheus answers 401: check its token or password"),
        (403, Reason::Forbidden, "Prometheus answers 403: its token or password may not ask this"),
        (404, Reason::BadAnswer, "Prometheus answers 404: check the path of its address"),
        (429, Reason::Unreachable, "Prometheus answers 429: it asks for fewer requests"),
        (500, Reason::Unreachable, "Prometheus answers 500: it is not well"),
        (503, Reason::Unreachable, "Prometheus answers 503: it is not well"),
        (504, Reason::TimedOut, "Prometheus answers 504: it did not manage in time"),
    ] {
        let server = Server::start(move |_, _| {
            (StatusCode::from_u16(code).unwrap(), [(header::LOCATION, "/elsewhere")], "token t")
                .into_response()
        });
        let error = first(&server.url).await.unwrap_err();
        assert_eq!((error.reason, &*error.detail.to_string()), (reason, words));
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
    assert_eq!(error.detail.to_string(), "Prometheus: the answer is over the limit of 4000 bytes");
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
        assert_eq!((error.reason, &*error.detail.to_string()), (reason, words), "{url}");
    }
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let server = Server::start(|asked, n| match n < 3 {
        true => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")], "").into_response(),
        false => well(asked),
    });
    let api = Server::start(|asked, _| quiet(asked));
    let mut collector = Collector::start(&api, asks(prometheus(&server.url)), &[]).await;
    collector.queried().await.unwrap_err();
    collector.queried().await.unwrap();
    let asked = server.asked(QUERY);
    assert!(asked[3].at - asked[2].at >= Duration::from_secs(1));
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
        error.detail.to_string().starts_with("the token file of Prometheus (--prometheus-bearer-token-file)")
            && error.detail.to_string().ends_with("not found")
    );
    assert!(!error.detail.to_string().contains('/'), "readers are told no path: {}", error.detail);
    for (text, want) in [(" \n", "holds no line"), ("two\nlines", "more than one line"), ("first\n", "401")] {
        std::fs::write(&file, text).unwrap();
        let error = collector.next(|seen| match seen {
            Observation::Prometheus { result: Err(error), .. } if error.detail.to_string().contains(want) => {
                Some(error)
            }
            _ => None,
        });
        let error = error.await;
        assert!(
            error.reason == Reason::Forbidden && !error.detail.to_string().contains("first"),
            "{error:?}"
        );
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
    assert_eq!((error.reason, &*error.detail.to_string()), (Reason::Unreachable, words));
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
        error.detail.to_string(),
        "the CA file of Prometheus (--prometheus-ca) holds no certificates in PEM"
    );
}

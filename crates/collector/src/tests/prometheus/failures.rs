//! Errors, connections that break, and credentials.

use super::{super::tls::Secure, *};

#[tokio::test]
async fn a_query_timeout_is_reported_as_timed_out() {
    let body =
        r#"{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}"#;
    let server = Server::start(move |_, _| says(503, body));
    let error = first_round(&server.url).await.unwrap_err();
    assert_eq!(error.reason, Reason::TimedOut, "{error:?}");
}

#[tokio::test]
async fn volumes_keep_their_time_after_a_failure_and_are_queried_again() {
    let server = Server::start(|request, n| {
        match request.query.contains("kubelet_volume_stats") && (8..16).contains(&n) {
            true => status(500, "x"),
            false => healthy(request),
        }
    });
    let api = Server::start(|request, _| quiet(request));
    let config =
        CollectConfig { disk_interval: Duration::from_millis(1), ..with_prometheus(prometheus(&server.url)) };
    let mut collector = Collector::start(&api, config, &[]).await;
    let mut warned = Vec::new();
    for _ in 0..3 {
        let facts = collector.next_facts().await.unwrap();
        assert_eq!(facts.volumes[0].at, Some(60_000));
        warned.push(facts.warnings.iter().any(|warning| warning.english().starts_with("no disk usage: ")));
    }
    assert_eq!(warned, [false, true, false]);
}

#[tokio::test]
async fn every_error_status_has_a_reason_and_a_message() {
    for (code, reason, words) in [
        (302, Reason::BadAnswer, "Prometheus answers 302: a redirect: set the address that it points to"),
        (401, Reason::Forbidden, "Prometheus answers 401: check its token or password"),
        (
            403,
            Reason::Forbidden,
            "Prometheus answers 403: its credentials (token or password) lack the permission",
        ),
        (404, Reason::BadAnswer, "Prometheus answers 404: check the path of its address"),
        (429, Reason::Unreachable, "Prometheus answers 429: it limits the request rate"),
        (500, Reason::Unreachable, "Prometheus answers 500: it has an internal error"),
        (503, Reason::Unreachable, "Prometheus answers 503: it has an internal error"),
        (504, Reason::TimedOut, "Prometheus answers 504: it did not answer in time"),
    ] {
        let server = Server::start(move |_, _| {
            (StatusCode::from_u16(code).unwrap(), [(header::LOCATION, "/elsewhere")], "token t")
                .into_response()
        });
        let error = first_round(&server.url).await.unwrap_err();
        assert_eq!((error.reason, &*error.detail.english()), (reason, words));
        assert!(server.asked("/elsewhere").is_empty(), "it follows redirects");
    }
}

#[tokio::test]
async fn invalid_answers_are_bad_answers() {
    for body in [
        String::new(),
        "<html>".into(),
        r#"{"status":"error","errorType":"bad_data","error":"x"}"#.into(),
        r#"{"status":"success","data":{"result":[{"metric""#.into(),
        r#"{"status":"success","data":{"result":"many"}}"#.into(),
    ] {
        let server = Server::start(move |_, _| json(body.clone()));
        assert_eq!(first_round(&server.url).await.unwrap_err().reason, Reason::BadAnswer);
    }
    // 50 MB without a content-length.
    let endless =
        || Body::from_stream(stream::iter((0..800).map(|_| Ok::<_, Infallible>("y".repeat(1 << 16)))));
    let server = Server::start(move |_, _| endless().into_response());
    let error = first_round(&server.url).await.unwrap_err();
    assert_eq!(error.detail.english(), "Prometheus: the answer exceeds the limit of 4000 bytes");
    let large = format!(r#"{{"data":{{"result":[]}},"x":"{}"}}"#, "y".repeat(5000));
    let server = Server::start(move |_, _| json(large.clone()));
    assert_eq!(first_round(&server.url).await.unwrap_err().reason, Reason::TooLarge);
}

#[tokio::test]
async fn connection_failures_have_a_reason_and_a_message() {
    let hung = Server::start(|_, _| hang());
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
    for (url, reason, words) in [
        (hung.url.clone(), Reason::TimedOut, "no answer from Prometheus within 0.4 s"),
        (nobody(), Reason::Unreachable, "Prometheus refuses connections"),
        (curt(""), Reason::Unreachable, "Prometheus closed the connection"),
        (curt(cut), Reason::Unreachable, "Prometheus closed the connection"),
        (curt("SSH-2.0-OpenSSH\r\n"), Reason::Unreachable, "Prometheus cannot be reached"),
    ] {
        let error = first_round(&url).await.unwrap_err();
        assert_eq!((error.reason, &*error.detail.english()), (reason, words), "{url}");
    }
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let server = Server::start(|request, n| match n < 8 {
        true => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")], "").into_response(),
        false => healthy(request),
    });
    let api = Server::start(|request, _| quiet(request));
    let mut collector = Collector::start(&api, with_prometheus(prometheus(&server.url)), &[]).await;
    collector.next_facts().await.unwrap_err();
    collector.next_facts().await.unwrap();
    let requests = server.asked(QUERY);
    assert!(requests[8].at - requests[7].at >= Duration::from_secs(1));
}

#[tokio::test]
async fn credentials_are_read_for_each_round_and_never_shown() {
    let server = Server::start(|request, _| match request.header("authorization") {
        "Bearer second" => healthy(request),
        _ => status(401, "Unauthorized"),
    });
    let api = Server::start(|request, _| quiet(request));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let mut config = prometheus(&format!("{}/prefix/", server.url));
    config.bearer_token_file = Some(file.clone());
    config.tenant = Some(("X-Scope-OrgID".into(), "a|b".into()));
    let mut collector = Collector::start(&api, with_prometheus(config), &[]).await;
    let error = collector.next_facts().await.unwrap_err();
    assert_eq!(error.reason, Reason::Forbidden);
    assert!(
        error.detail.english().starts_with("the token file of Prometheus (--prometheus-bearer-token-file)")
            && error.detail.english().ends_with("not found")
    );
    assert!(!error.detail.english().contains('/'), "readers are told no path: {}", error.detail.english());
    for (text, want) in [(" \n", "is empty"), ("two\nlines", "more than one line"), ("first\n", "401")] {
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
    while collector.next_facts().await.is_err() {}
    let requests = server.asked("/prefix/api/v1/query");
    assert!(requests.iter().all(|request| request.header("x-scope-orgid") == "a|b"));
}

#[tokio::test]
async fn user_and_password_are_sent_as_the_file_has_them() {
    let server = Server::start(|request, _| match request.header("authorization") {
        "Basic dXNlcjpwYXNz" => healthy(request),
        _ => status(401, "Unauthorized"),
    });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("login");
    std::fs::write(&file, "user:pass\n").unwrap();
    let api = Server::start(|request, _| quiet(request));
    let config = PrometheusConfig { basic_auth_file: Some(file), ..prometheus(&server.url) };
    Collector::start(&api, with_prometheus(config), &[]).await.next_facts().await.unwrap();
}

#[tokio::test]
async fn the_certificate_must_be_signed_by_the_configured_authority() {
    let secure = Secure::start(|request, _| healthy(request));
    let error = first_round(&secure.server.url).await.unwrap_err();
    let words = "the certificate of Prometheus is of an authority that is not trusted: --prometheus-ca must name \
                 the file of its CA";
    assert_eq!((error.reason, &*error.detail.english()), (Reason::Unreachable, words));
    let api = Server::start(|request, _| quiet(request));
    let config = PrometheusConfig { ca: Some(secure.ca()), ..prometheus(&secure.server.url) };
    let mut collector = Collector::start(&api, with_prometheus(config), &[]).await;
    collector.next_facts().await.unwrap();
    // The file no longer holds a certificate: the next round reports it.
    std::fs::write(secure.ca(), "nothing").unwrap();
    let error = loop {
        if let Err(error) = collector.next_facts().await {
            break error;
        }
    };
    assert_eq!(
        error.detail.english(),
        "the CA file of Prometheus (--prometheus-ca) has no certificates in PEM format"
    );
}

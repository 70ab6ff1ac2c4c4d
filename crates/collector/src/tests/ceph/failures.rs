//! Pools, images and answers that fail, and what they cost.

use std::sync::atomic::AtomicBool;

use super::*;

#[tokio::test]
async fn a_pool_that_hangs_loses_only_its_own_images() {
    let server = Server::start(|request, _| match request.path.contains("down") {
        true => hang(),
        false => healthy_dashboard(request),
    });
    let setup = Setup::new(&server.url);
    let (_api, mut collector) = setup.start(&[("down", "a"), ("rbd", "i000")]).await;
    assert_eq!(collector.images().await.unwrap()[0].image, image("rbd", "i000"));
    let error = collector.images().await.unwrap_err();
    assert_eq!(
        (error.reason, &*error.detail.english()),
        (Reason::TimedOut, "no answer from Ceph within 0.4 s")
    );
}

#[tokio::test]
async fn a_round_ends_with_its_budget_and_reports_what_it_found() {
    let server = Server::start(|request, _| {
        if request.path == LIST {
            std::thread::sleep(Duration::from_millis(800));
        }
        healthy_dashboard(request)
    });
    let mut setup = Setup::new(&server.url);
    (setup.ceph().budget, setup.ceph().deadline) = (Duration::from_millis(1300), LONG);
    let wanted = [("rbd", "i000"), ("rbd", "i110"), ("rbd", "i240"), ("rbd", "i241"), ("rbd", "i242")];
    let (_api, mut collector) = setup.start(&wanted).await;
    assert_eq!(collector.images().await.unwrap().len(), 1);
    let error = collector.images().await.unwrap_err();
    let words = "Ceph reported 1 of 5 images within its budget of 1.3 s";
    assert_eq!((error.reason, &*error.detail.english()), (Reason::TimedOut, words));
}

/// ceph/ceph-csi#4653.
#[tokio::test]
async fn an_image_that_cannot_be_opened_loses_only_itself() {
    for code in [400, 500] {
        let server = Server::start(move |request, _| match request.path.as_str() {
            LIST | "/api/block/image/rbd%2Fbroken" => says(
                code,
                r#"{"detail":"[errno 19] error opening image broken","code":"19","component":"rbd"}"#,
            ),
            _ => healthy_dashboard(request),
        });
        let setup = Setup::new(&server.url);
        let images = [("rbd", "broken"), ("rbd", "i000"), ("rbd", "i001"), ("rbd", "i002")];
        let (_api, mut collector) = setup.start(&images).await;
        let found = collector.images().await.unwrap();
        assert_eq!(found.len(), 3, "{found:?}");
        let error = collector.images().await.unwrap_err();
        assert!(error.detail.english().contains("error opening image broken"), "{error:?}");
    }
}

/// rook/rook#14994, #17346: an image whose snapshot was removed by hand makes the list of its pool fail with
/// ENOENT. The pool exists all the same.
#[tokio::test]
async fn an_image_not_found_in_a_list_does_not_mean_that_the_pool_is_absent() {
    let not_found = r#"{"detail":"[errno 2] RBD image not found (error opening image b'csi-vol-9d' at snapshot None)","code":"2","component":"rbd"}"#;
    let server = Server::start(move |request, _| match request.path.as_str() {
        LIST => says(400, not_found),
        "/api/block/image/rbd%2Fcsi-vol-9d" => says(400, not_found),
        _ => healthy_dashboard(request),
    });
    let setup = Setup::new(&server.url);
    let images = [("rbd", "csi-vol-9d"), ("rbd", "i000"), ("rbd", "i001"), ("rbd", "i002")];
    let (_api, mut collector) = setup.start(&images).await;
    assert_eq!(collector.images().await.unwrap().len(), 3);

    let absent = r#"{"detail":"[errno 2] error opening pool 'gone'","code":"2","component":null}"#;
    let server = Server::start(move |request, _| match request.path.as_str() {
        LIST => says(400, absent),
        _ => healthy_dashboard(request),
    });
    let setup = Setup::new(&server.url);
    let (_api, mut collector) = setup.start(&[("gone", "a"), ("gone", "b")]).await;
    assert_eq!(collector.images().await, Ok(Vec::new()));
    // On a busy machine the next reading has begun by now.
    let asked = paths(&server);
    assert!(
        asked.iter().all(|path| path == LIST) && !asked.is_empty(),
        "none of its images is asked for: {asked:?}"
    );
}

/// A page of images with thousands of snapshots each.
#[tokio::test]
async fn an_oversized_image_loses_only_itself_and_is_reported() {
    let large = || json(format!(r#"{{"name":"large","snapshots":["{}"]}}"#, "y".repeat(100_000)));
    let server = Server::start(move |request, _| match request.path.as_str() {
        LIST | "/api/block/image/rbd%2Flarge" => large(),
        _ => healthy_dashboard(request),
    });
    let setup = Setup::new(&server.url);
    let images = [("rbd", "i000"), ("rbd", "i001"), ("rbd", "i002"), ("rbd", "large")];
    let (_api, mut collector) = setup.start(&images).await;
    assert_eq!(collector.images().await.unwrap().len(), 3);
    let error = collector.images().await.unwrap_err();
    assert_eq!(error.reason, Reason::TooLarge, "{error:?}");
}

async fn first_error(answer: impl Fn() -> Response + Send + Sync + 'static) -> SourceError {
    let server = Server::start(move |request, _| if request.path == AUTH { token("one") } else { answer() });
    let setup = Setup::new(&server.url);
    let (_api, mut collector) = setup.start(&[("rbd", "a"), ("rbd", "b")]).await;
    collector.images().await.unwrap_err()
}

#[tokio::test]
async fn every_failure_has_a_reason_and_a_message() {
    for (code, reason) in [
        (302, Reason::BadAnswer),
        (401, Reason::Forbidden),
        (403, Reason::Forbidden),
        (415, Reason::BadAnswer),
        (429, Reason::Unreachable),
        (500, Reason::Unreachable),
        (503, Reason::Unreachable),
    ] {
        let error = first_error(move || status(code, "x")).await;
        assert_eq!(error.reason, reason, "{code}");
        assert!(error.detail.english().starts_with(&format!("Ceph answers {code}: ")), "{error:?}");
    }
    for body in ["", "<html>", "{}", r#"[{"value":7}]"#, r#"[{"value":[{"name""#] {
        assert_eq!(first_error(move || json(body)).await.reason, Reason::BadAnswer, "{body}");
    }
    let large = first_error(|| json(format!(r#"[{{"value":[]}},"{}"]"#, "y".repeat(100_000)))).await;
    assert_eq!(large.detail.english(), "Ceph: the answer exceeds the limit of 100000 bytes");
    assert_eq!(first_error(hang).await.reason, Reason::TimedOut);
    for (url, words) in [
        (nobody(), "Ceph refuses connections"),
        (curt("HTTP/1.1 201 Created\r\ncontent-length: 9\r\n\r\n{"), "Ceph closed the connection"),
    ] {
        let setup = Setup::new(&url);
        let (_api, mut collector) = setup.start(&[("rbd", "a")]).await;
        assert_eq!(collector.images().await.unwrap_err().detail.english(), words);
    }
}

/// A standby manager's dashboard sends all requests to the active one (`standby_behaviour` of mgr/dashboard), the login too.
#[tokio::test]
async fn the_redirect_of_a_standby_manager_is_reported_and_not_followed() {
    let active = Server::start(|request, _| healthy_dashboard(request));
    let address = format!("{}/api/auth", active.url);
    let standby = Server::start(move |_, _| {
        (StatusCode::SEE_OTHER, [(header::LOCATION, address.clone())]).into_response()
    });
    let setup = Setup::new(&standby.url);
    let (_api, mut collector) = setup.start(&[("rbd", "i000")]).await;
    let error = collector.images().await.unwrap_err();
    let words = "Ceph answers 303: a redirect: set the address that it points to";
    assert_eq!((error.reason, &*error.detail.english()), (Reason::BadAnswer, words));
    assert!(active.asked(AUTH).is_empty(), "the password was sent elsewhere");
}

#[tokio::test]
async fn it_recovers_and_requests_stay_few_meanwhile() {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = broken.clone();
    let server =
        Server::start(move |request, _| match request.path != AUTH && is_broken.load(Ordering::Relaxed) {
            true => status(503, "x"),
            false => healthy_dashboard(request),
        });
    let setup = Setup::new(&server.url);
    let (_api, mut collector) = setup.start(&[("rbd", "i000")]).await;
    collector.during(Duration::from_millis(1500)).await;
    let requests = paths(&server).len();
    assert!((2..=6).contains(&requests), "{requests}");
    broken.store(false, Ordering::Relaxed);
    let began = Instant::now();
    while collector.images().await.is_err() {}
    assert!(began.elapsed() < Duration::from_secs(1));
}

//! Ceph's dashboard: few requests, a login that never locks, and every way in which it can fail.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tempfile::TempDir;

use super::*;
use crate::config::CephConfig;
use i18n::Render;
use wukong_core::observation::{Image, ImageStats, Uncounted};

const AUTH: &str = "/api/auth";
const LIST: &str = "/api/block/image";
const V1: &str = "application/vnd.ceph.api.v1.0+json";
const V2: &str = "application/vnd.ceph.api.v2.0+json";

/// Files with a user and a password, beside the configuration that names them.
struct Setup {
    files: TempDir,
    config: CollectConfig,
}

impl Setup {
    fn new(url: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("user"), "reader\n").unwrap();
        std::fs::write(files.path().join("password"), "good\n").unwrap();
        let ceph = CephConfig {
            url: url.parse().unwrap(),
            user_file: files.path().join("user"),
            password_file: files.path().join("password"),
            ca: None,
            interval: Duration::from_millis(300),
            budget: Duration::from_secs(5),
            deadline: Duration::from_millis(400),
        };
        Self { files, config: CollectConfig { ceph: Some(ceph), answer_limit: 100_000, ..config() } }
    }

    fn ceph(&mut self) -> &mut CephConfig {
        self.config.ceph.as_mut().unwrap()
    }

    async fn start(&self, images: &[(&str, &str)]) -> (Server, Collector) {
        let api = Server::start(|asked, _| quiet(asked));
        let collector = Collector::aim(&api, self.config.clone(), wants(images)).await;
        (api, collector)
    }
}

fn wants(images: &[(&str, &str)]) -> Targets {
    Targets { images: images.iter().map(|(pool, name)| image(pool, name)).collect(), ..Targets::default() }
}

fn image(pool: &str, name: &str) -> Image {
    Image { pool: pool.into(), name: name.into(), ..Image::default() }
}

impl Collector {
    async fn images(&mut self) -> Result<Vec<ImageStats>, SourceError> {
        self.next(|observation| match observation {
            Observation::Ceph { result, .. } => Some(result),
            _ => None,
        })
        .await
    }
}

fn token(text: &str) -> Response {
    let body = format!(r#"{{"token":"{text}","username":"reader","permissions":{{}}}}"#);
    (StatusCode::CREATED, [(header::CONTENT_TYPE, V1)], body).into_response()
}

fn refused() -> Response {
    (StatusCode::BAD_REQUEST, r#"{"code":"invalid_credentials","component":"auth"}"#).into_response()
}

fn rbd(name: &str) -> String {
    let used = if name.starts_with("slow") { "null".to_owned() } else { "4194304".to_owned() };
    format!(
        r#"{{"name":"{name}","pool_name":"rbd","namespace":null,"size":8388608,"disk_usage":0,"total_disk_usage":{used},"configuration":[{{"name":"rbd_cache","value":"1"}}]}}"#
    )
}

fn number(query: &str, name: &str) -> usize {
    let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    found.expect("a page is asked for").parse().unwrap()
}

/// A dashboard whose pool `rbd` holds the images `i000` to `i249`, in pages, and one by one.
fn dashboard(asked: &Asked) -> Response {
    let accept = asked.header("accept");
    match asked.path.as_str() {
        AUTH if asked.body.contains(r#""password":"good""#) && accept == V1 => token("one"),
        AUTH => refused(),
        _ if asked.header("authorization") != "Bearer one" => status(401, "x"),
        LIST if accept == V2 => page(&asked.query),
        path if accept == V1 => match path.strip_prefix("/api/block/image/rbd%2F") {
            Some("gone") | None => status(404, "x"),
            Some(name) => json(rbd(name)),
        },
        _ => status(415, "x"),
    }
}

fn page(query: &str) -> Response {
    if !query.contains("pool_name=rbd") {
        return status(400, "x");
    }
    let (offset, limit) = (number(query, "offset"), number(query, "limit"));
    let images: Vec<_> = (0..250).skip(offset).take(limit).map(|n| rbd(&format!("i{n:03}"))).collect();
    let body = format!(r#"[{{"status":0,"value":[{}],"pool_name":"rbd"}}]"#, images.join(","));
    ([("x-total-count", "250")], body).into_response()
}

/// The paths of all requests but logins.
fn paths(server: &Server) -> Vec<String> {
    let asked = server.asked.lock().unwrap();
    asked.iter().map(|asked| asked.path.clone()).filter(|path| path != AUTH).collect()
}

#[tokio::test]
async fn images_are_told_and_those_that_are_gone_left_out() {
    let server = Server::start(|asked, _| dashboard(asked));
    let setup = Setup::new(&server.url);
    let (_api, mut collector) =
        setup.start(&[("rbd", "gone"), ("rbd", "slow"), ("nopool", "a"), ("nopool", "b")]).await;
    let found = collector.images().await.unwrap();
    let want = ImageStats { image: image("rbd", "slow"), size: 8 << 20, used: Err(Uncounted::NoFastDiff) };
    assert_eq!(found, [want]);
    for _ in 0..2 {
        collector.images().await.unwrap();
    }
    assert_eq!(server.asked(AUTH).len(), 1, "the token is kept");
}

#[tokio::test]
async fn pages_or_single_images_whichever_is_fewer() {
    for (names, pages, singles) in [
        (vec!["i240"], 0, 1),
        // The first page has one of the two: what is left is one request either way or fewer.
        (vec!["i000", "i240"], 1, 1),
        (vec!["i000", "i001", "i002"], 1, 0),
        (vec!["i000", "i150", "i151", "i152", "i240"], 2, 1),
        (vec!["i150", "i151", "i152", "i240", "i241", "i242"], 3, 0),
    ] {
        let server = Server::start(|asked, _| dashboard(asked));
        let mut setup = Setup::new(&server.url);
        setup.ceph().interval = LONG;
        let images: Vec<_> = names.iter().map(|name| ("rbd", *name)).collect();
        let (_api, mut collector) = setup.start(&images).await;
        let found = collector.images().await.unwrap();
        assert_eq!(found.len(), names.len());
        assert!(found.iter().all(|stats| stats.used == Ok(4 << 20)));
        let paths = paths(&server);
        let listed = paths.iter().filter(|path| *path == LIST).count();
        assert_eq!((listed, paths.len() - listed), (pages, singles), "{names:?}");
    }
}

#[tokio::test]
async fn a_total_that_is_out_of_date_ends_no_listing() {
    let server = Server::start(|asked, _| match dashboard(asked) {
        response if asked.path == LIST => ([("x-total-count", "3")], response.into_body()).into_response(),
        response => response,
    });
    let mut setup = Setup::new(&server.url);
    setup.ceph().interval = LONG;
    let (_api, mut collector) = setup.start(&[("rbd", "i150"), ("rbd", "i240"), ("rbd", "i241")]).await;
    assert_eq!(collector.images().await.unwrap().len(), 3);
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_a_round() {
    let valid = Arc::new(AtomicUsize::new(1));
    let current = valid.clone();
    let server = Server::start(move |asked, n| {
        let good = format!("Bearer t{}", current.load(Ordering::Relaxed));
        match asked.path.as_str() {
            AUTH => token(&format!("t{}", n + 1)),
            _ if asked.header("authorization") == good => json(rbd("a")),
            _ => status(401, "x"),
        }
    });
    let setup = Setup::new(&server.url);
    let (_api, mut collector) = setup.start(&[("rbd", "a")]).await;
    collector.images().await.unwrap();
    valid.store(2, Ordering::Relaxed);
    for _ in 0..3 {
        assert_eq!(collector.images().await.unwrap().len(), 1, "a renewal is no failure");
    }
    assert_eq!(server.asked(AUTH).len(), 2);
    // No token is ever good: one login a round, and the words for it.
    valid.store(0, Ordering::Relaxed);
    let error = loop {
        if let Err(error) = collector.images().await {
            break error;
        }
    };
    let words = "Ceph answers 401: check its user and password";
    assert_eq!((error.reason, &*error.detail.english()), (Reason::Forbidden, words));
}

#[tokio::test]
async fn a_refused_login_is_not_repeated_until_the_files_change() {
    let server = Server::start(|asked, _| dashboard(asked));
    let setup = Setup::new(&server.url);
    let password = setup.files.path().join("password");
    std::fs::write(&password, "bad").unwrap();
    let (_api, mut collector) = setup.start(&[("rbd", "a")]).await;
    for _ in 0..6 {
        let error = collector.images().await.unwrap_err();
        assert_eq!(error.reason, Reason::Forbidden);
        assert!(
            error.detail.english().starts_with("Ceph refuses the login: check its user and password."),
            "{error:?}"
        );
    }
    assert_eq!(server.asked(AUTH).len(), 1);
    std::fs::write(&password, "worse").unwrap();
    collector.during(Duration::from_millis(1500)).await;
    assert_eq!(server.asked(AUTH).len(), 2);
    std::fs::write(&password, "good").unwrap();
    while collector.images().await.is_err() {}
    assert_eq!(server.asked(AUTH).len(), 3);
}

#[tokio::test]
async fn a_login_that_is_not_answered_waits_for_the_interval() {
    let server = Server::start(|_, _| hang());
    let mut setup = Setup::new(&server.url);
    setup.ceph().interval = Duration::from_secs(2);
    let (_api, mut collector) = setup.start(&[("rbd", "a")]).await;
    assert_eq!(collector.images().await.unwrap_err().reason, Reason::TimedOut);
    collector.during(Duration::from_secs(3)).await;
    let asked = server.asked(AUTH);
    assert!(asked.len() == 2 && asked[1].at - asked[0].at >= Duration::from_millis(1800), "{asked:?}");
}

#[tokio::test]
async fn without_images_it_logs_in_and_asks_no_more_and_the_first_are_asked_for_at_once() {
    let server = Server::start(|asked, _| dashboard(asked));
    let mut setup = Setup::new(&server.url);
    setup.ceph().interval = LONG;
    let (_api, mut collector) = setup.start(&[]).await;
    assert_eq!(collector.images().await, Ok(Vec::new()));
    assert_eq!((server.asked(AUTH).len(), paths(&server).len()), (1, 0));
    let began = Instant::now();
    collector.targets.send_replace(wants(&[("rbd", "i000")]));
    assert_eq!(collector.images().await.unwrap().len(), 1);
    assert!(began.elapsed() < LONG / 2);
    // The next ones are early, and not at once.
    collector.targets.send_replace(wants(&[("rbd", "i000"), ("rbd", "i001")]));
    collector.during(Duration::from_millis(700)).await;
    assert_eq!(paths(&server).len(), 1);
}

#[tokio::test]
async fn new_images_are_asked_for_before_the_interval() {
    let server = Server::start(|asked, _| dashboard(asked));
    let mut setup = Setup::new(&server.url);
    setup.ceph().interval = Duration::from_secs(1);
    let (_api, mut collector) = setup.start(&[("rbd", "i000")]).await;
    collector.images().await.unwrap();
    collector.targets.send_replace(wants(&[("rbd", "i000"), ("rbd", "i001")]));
    assert_eq!(collector.images().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_pool_that_hangs_costs_itself_alone() {
    let server = Server::start(|asked, _| match asked.path.contains("down") {
        true => hang(),
        false => dashboard(asked),
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
async fn a_round_ends_with_its_budget_and_tells_what_it_has() {
    let server = Server::start(|asked, _| {
        if asked.path == LIST {
            std::thread::sleep(Duration::from_millis(800));
        }
        dashboard(asked)
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
async fn one_image_that_cannot_be_opened_costs_itself_alone() {
    for code in [400, 500] {
        let server = Server::start(move |asked, _| match asked.path.as_str() {
            LIST | "/api/block/image/rbd%2Fbroken" => says(
                code,
                r#"{"detail":"[errno 19] error opening image broken","code":"19","component":"rbd"}"#,
            ),
            _ => dashboard(asked),
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

/// rook/rook#14994, #17346: an image whose snapshot was removed by hand fails the list of its pool by ENOENT. That is not the pool's.
#[tokio::test]
async fn an_image_that_is_not_found_in_a_list_is_not_the_absence_of_its_pool() {
    let not_found = r#"{"detail":"[errno 2] RBD image not found (error opening image b'csi-vol-9d' at snapshot None)","code":"2","component":"rbd"}"#;
    let server = Server::start(move |asked, _| match asked.path.as_str() {
        LIST => says(400, not_found),
        "/api/block/image/rbd%2Fcsi-vol-9d" => says(400, not_found),
        _ => dashboard(asked),
    });
    let setup = Setup::new(&server.url);
    let images = [("rbd", "csi-vol-9d"), ("rbd", "i000"), ("rbd", "i001"), ("rbd", "i002")];
    let (_api, mut collector) = setup.start(&images).await;
    assert_eq!(collector.images().await.unwrap().len(), 3);

    let absent = r#"{"detail":"[errno 2] error opening pool 'gone'","code":"2","component":null}"#;
    let server = Server::start(move |asked, _| match asked.path.as_str() {
        LIST => says(400, absent),
        _ => dashboard(asked),
    });
    let setup = Setup::new(&server.url);
    let (_api, mut collector) = setup.start(&[("gone", "a"), ("gone", "b")]).await;
    assert_eq!(collector.images().await, Ok(Vec::new()));
    assert_eq!(paths(&server), [LIST], "none of its images is asked for");
}

/// A page of images with thousands of snapshots each.
#[tokio::test]
async fn an_image_that_is_too_large_costs_itself_alone_and_says_so() {
    let large = || json(format!(r#"{{"name":"large","snapshots":["{}"]}}"#, "y".repeat(100_000)));
    let server = Server::start(move |asked, _| match asked.path.as_str() {
        LIST | "/api/block/image/rbd%2Flarge" => large(),
        _ => dashboard(asked),
    });
    let setup = Setup::new(&server.url);
    let images = [("rbd", "i000"), ("rbd", "i001"), ("rbd", "i002"), ("rbd", "large")];
    let (_api, mut collector) = setup.start(&images).await;
    assert_eq!(collector.images().await.unwrap().len(), 3);
    let error = collector.images().await.unwrap_err();
    assert_eq!(error.reason, Reason::TooLarge, "{error:?}");
}

/// Its namespace is written nowhere that this program reads.
#[tokio::test]
async fn a_static_image_is_the_only_one_of_its_name() {
    let in_namespace =
        |name: &str, namespace: &str| rbd(name).replacen("null,", &format!(r#""{namespace}","#), 1);
    for (listed, want) in [
        (vec![in_namespace("disk", "tenant")], true),
        (vec![in_namespace("disk", "tenant"), in_namespace("disk", "other")], false),
        (vec![in_namespace("disk2", "tenant")], false),
    ] {
        let body = format!(r#"[{{"status":0,"value":[{}],"pool_name":"rbd"}}]"#, listed.join(","));
        let server = Server::start(move |asked, _| match asked.path.as_str() {
            AUTH => dashboard(asked),
            LIST => json(body.clone()),
            _ => status(404, "x"),
        });
        let mut setup = Setup::new(&server.url);
        setup.ceph().interval = LONG;
        let api = Server::start(|asked, _| quiet(asked));
        let anywhere = Image { any_namespace: true, ..image("rbd", "disk") };
        let targets = Targets { images: [anywhere.clone()].into(), ..Targets::default() };
        let mut collector = Collector::aim(&api, setup.config.clone(), targets).await;
        let found = collector.images().await.unwrap();
        let images: Vec<_> = found.into_iter().map(|stats| stats.image).collect();
        assert_eq!(images, if want { vec![anywhere] } else { Vec::new() });
    }
}

async fn fault(answer: impl Fn() -> Response + Send + Sync + 'static) -> SourceError {
    let server = Server::start(move |asked, _| if asked.path == AUTH { token("one") } else { answer() });
    let setup = Setup::new(&server.url);
    let (_api, mut collector) = setup.start(&[("rbd", "a"), ("rbd", "b")]).await;
    collector.images().await.unwrap_err()
}

#[tokio::test]
async fn every_failure_has_its_reason_in_words() {
    for (code, reason) in [
        (302, Reason::BadAnswer),
        (401, Reason::Forbidden),
        (403, Reason::Forbidden),
        (415, Reason::BadAnswer),
        (429, Reason::Unreachable),
        (500, Reason::Unreachable),
        (503, Reason::Unreachable),
    ] {
        let error = fault(move || status(code, "x")).await;
        assert_eq!(error.reason, reason, "{code}");
        assert!(error.detail.english().starts_with(&format!("Ceph answers {code}: ")), "{error:?}");
    }
    for body in ["", "<html>", "{}", r#"[{"value":7}]"#, r#"[{"value":[{"name""#] {
        assert_eq!(fault(move || json(body)).await.reason, Reason::BadAnswer, "{body}");
    }
    let large = fault(|| json(format!(r#"[{{"value":[]}},"{}"]"#, "y".repeat(100_000)))).await;
    assert_eq!(large.detail.english(), "Ceph: the answer is over the limit of 100000 bytes");
    assert_eq!(fault(hang).await.reason, Reason::TimedOut);
    for (url, words) in [
        (nobody(), "Ceph refuses connections"),
        (curt("HTTP/1.1 201 Created\r\ncontent-length: 9\r\n\r\n{"), "Ceph closed the connection"),
    ] {
        let setup = Setup::new(&url);
        let (_api, mut collector) = setup.start(&[("rbd", "a")]).await;
        assert_eq!(collector.images().await.unwrap_err().detail.english(), words);
    }
}

#[tokio::test]
async fn it_recovers_and_asks_no_more_than_it_should() {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = broken.clone();
    let server =
        Server::start(move |asked, _| match asked.path != AUTH && is_broken.load(Ordering::Relaxed) {
            true => status(503, "x"),
            false => dashboard(asked),
        });
    let setup = Setup::new(&server.url);
    let (_api, mut collector) = setup.start(&[("rbd", "i000")]).await;
    collector.during(Duration::from_millis(1500)).await;
    let asked = paths(&server).len();
    assert!((2..=6).contains(&asked), "{asked}");
    broken.store(false, Ordering::Relaxed);
    let began = Instant::now();
    while collector.images().await.is_err() {}
    assert!(began.elapsed() < Duration::from_secs(1));
}

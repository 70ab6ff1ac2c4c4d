//! Ceph's dashboard: few requests, and a login that never locks the account.

mod failures;

use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::*;
use crate::config::CephConfig;
use i18n::Render;
use wukong_core::observation::{Image, ImageStats, Uncounted};

const AUTH: &str = "/api/auth";
const LIST: &str = "/api/block/image";
const V1: &str = "application/vnd.ceph.api.v1.0+json";
const V2: &str = "application/vnd.ceph.api.v2.0+json";

/// Files with a user and a password, and the configuration that names them.
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
        let api = Server::start(|request, _| quiet(request));
        let collector = Collector::aim(&api, self.config.clone(), image_targets(images)).await;
        (api, collector)
    }
}

fn image_targets(images: &[(&str, &str)]) -> Targets {
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

fn refused_login() -> Response {
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

/// A dashboard whose pool `rbd` holds the images `i000` to `i249`. It answers for pages and for single images.
fn healthy_dashboard(request: &RecordedRequest) -> Response {
    let accept = request.header("accept");
    match request.path.as_str() {
        AUTH if request.body.contains(r#""password":"good""#) && accept == V1 => token("one"),
        AUTH => refused_login(),
        _ if request.header("authorization") != "Bearer one" => status(401, "x"),
        LIST if accept == V2 => page(&request.query),
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
    let requests = server.asked.lock().unwrap();
    requests.iter().map(|request| request.path.clone()).filter(|path| path != AUTH).collect()
}

#[tokio::test]
async fn images_are_reported_and_deleted_ones_left_out() {
    let server = Server::start(|request, _| healthy_dashboard(request));
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
async fn pages_or_single_images_are_requested_whichever_is_fewer() {
    for (names, pages, singles) in [
        (vec!["i240"], 0, 1),
        // The first page has one of the two. The other takes one request either way.
        (vec!["i000", "i240"], 1, 1),
        (vec!["i000", "i001", "i002"], 1, 0),
        (vec!["i000", "i150", "i151", "i152", "i240"], 2, 1),
        (vec!["i150", "i151", "i152", "i240", "i241", "i242"], 3, 0),
    ] {
        let server = Server::start(|request, _| healthy_dashboard(request));
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
async fn an_outdated_total_does_not_end_a_listing() {
    let server = Server::start(|request, _| match healthy_dashboard(request) {
        response if request.path == LIST => ([("x-total-count", "3")], response.into_body()).into_response(),
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
    let server = Server::start(move |request, n| {
        let good = format!("Bearer t{}", current.load(Ordering::Relaxed));
        match request.path.as_str() {
            AUTH => token(&format!("t{}", n + 1)),
            _ if request.header("authorization") == good => json(rbd("a")),
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
    // No token is accepted any more: one login per round, and a message.
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
    let server = Server::start(|request, _| healthy_dashboard(request));
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
async fn a_login_that_timed_out_waits_for_the_interval() {
    let server = Server::start(|_, _| hang());
    let mut setup = Setup::new(&server.url);
    setup.ceph().interval = Duration::from_secs(2);
    let (_api, mut collector) = setup.start(&[("rbd", "a")]).await;
    assert_eq!(collector.images().await.unwrap_err().reason, Reason::TimedOut);
    collector.during(Duration::from_secs(3)).await;
    let requests = server.asked(AUTH);
    assert!(
        requests.len() == 2 && requests[1].at - requests[0].at >= Duration::from_millis(1800),
        "{requests:?}"
    );
}

#[tokio::test]
async fn without_images_it_only_logs_in_and_the_first_images_are_requested_at_once() {
    let server = Server::start(|request, _| healthy_dashboard(request));
    let mut setup = Setup::new(&server.url);
    setup.ceph().interval = LONG;
    let (_api, mut collector) = setup.start(&[]).await;
    assert_eq!(collector.images().await, Ok(Vec::new()));
    assert_eq!((server.asked(AUTH).len(), paths(&server).len()), (1, 0));
    let began = Instant::now();
    collector.targets.send_replace(image_targets(&[("rbd", "i000")]));
    assert_eq!(collector.images().await.unwrap().len(), 1);
    assert!(began.elapsed() < LONG / 2);
    // Later images are requested early, but not at once.
    collector.targets.send_replace(image_targets(&[("rbd", "i000"), ("rbd", "i001")]));
    collector.during(Duration::from_millis(700)).await;
    assert_eq!(paths(&server).len(), 1);
}

#[tokio::test]
async fn new_images_are_requested_before_the_interval_ends() {
    let server = Server::start(|request, _| healthy_dashboard(request));
    let mut setup = Setup::new(&server.url);
    setup.ceph().interval = Duration::from_secs(1);
    let (_api, mut collector) = setup.start(&[("rbd", "i000")]).await;
    collector.images().await.unwrap();
    collector.targets.send_replace(image_targets(&[("rbd", "i000"), ("rbd", "i001")]));
    assert_eq!(collector.images().await.unwrap().len(), 2);
}

/// The program cannot read the image's namespace anywhere.
#[tokio::test]
async fn a_static_image_must_be_the_only_one_of_its_name() {
    let in_namespace =
        |name: &str, namespace: &str| rbd(name).replacen("null,", &format!(r#""{namespace}","#), 1);
    for (listed, want) in [
        (vec![in_namespace("disk", "tenant")], true),
        (vec![in_namespace("disk", "tenant"), in_namespace("disk", "other")], false),
        (vec![in_namespace("disk2", "tenant")], false),
    ] {
        let body = format!(r#"[{{"status":0,"value":[{}],"pool_name":"rbd"}}]"#, listed.join(","));
        let server = Server::start(move |request, _| match request.path.as_str() {
            AUTH => healthy_dashboard(request),
            LIST => json(body.clone()),
            _ => status(404, "x"),
        });
        let mut setup = Setup::new(&server.url);
        setup.ceph().interval = LONG;
        let api = Server::start(|request, _| quiet(request));
        let anywhere = Image { any_namespace: true, ..image("rbd", "disk") };
        let targets = Targets { images: [anywhere.clone()].into(), ..Targets::default() };
        let mut collector = Collector::aim(&api, setup.config.clone(), targets).await;
        let found = collector.images().await.unwrap();
        let images: Vec<_> = found.into_iter().map(|stats| stats.image).collect();
        assert_eq!(images, if want { vec![anywhere] } else { Vec::new() });
    }
}

//! The collector over real HTTP. A small server on loopback acts as the API server.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    serve::Listener,
};
use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{QueuedObservation, from_kubeconfig_text, run};
use crate::config::CollectConfig;
use i18n::Lang;
use i18n::Render;
use model::{reason::Reason, source::SourceId};
use wukong_core::observation::{Change, NodeTarget, Observation, SourceError, Targets};

mod access;
mod bindings;
mod ceph;
mod connect;
mod credentials;
mod events;
mod guests;
mod identity_provider;
mod interim;
mod kubelets;
mod pinned;
mod polls;
mod prometheus;
mod proxies;
mod sizes;
mod tls;
mod virt_handlers;
mod watches;

pub use self::tls::{pem, version_1};

/// Longer than any step of a test takes.
const LONG: Duration = Duration::from_secs(20);

/// Whether the message is translated into Chinese.
pub fn is_translated(error: &SourceError) -> bool {
    let words = error.detail.render(Lang::Chinese);
    words.contains(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

/// The body of an answer that arrives in these pieces. Only a client can make such a body of a stream.
pub async fn body(pieces: Vec<Bytes>) -> kube::client::Body {
    let pieces = pieces.into_iter().map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
    let peer = tower::service_fn(move |_: http::Request<kube::client::Body>| {
        let body = StreamBody::new(stream::iter(pieces.clone()));
        async move { Ok::<_, Infallible>(http::Response::new(body)) }
    });
    let request = http::Request::new(kube::client::Body::empty());
    kube::Client::new(peer, "default").send(request).await.unwrap().into_body()
}

/// Answers one request; `n` is how often the path was requested before.
type Script = dyn Fn(&RecordedRequest, usize) -> Response + Send + Sync;

#[derive(Clone, Debug)]
struct RecordedRequest {
    at: Instant,
    path: String,
    query: String,
    headers: HeaderMap,
    body: String,
}

impl RecordedRequest {
    fn is_watch(&self) -> bool {
        self.query.contains("watch=true")
    }

    /// The value of a header; empty if it was not sent.
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// An API server that records every request. It has its own runtime, so dropping it closes its connections too.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<RecordedRequest>>>,
    runtime: Option<Runtime>,
}

#[derive(Clone)]
struct Shared {
    asked: Arc<Mutex<Vec<RecordedRequest>>>,
    counts: Arc<Mutex<HashMap<String, usize>>>,
    script: Arc<Script>,
}

impl Server {
    fn start(script: impl Fn(&RecordedRequest, usize) -> Response + Send + Sync + 'static) -> Self {
        Self::listen("127.0.0.1:0", script)
    }

    fn listen(
        address: &str,
        script: impl Fn(&RecordedRequest, usize) -> Response + Send + Sync + 'static,
    ) -> Self {
        let listener = std::net::TcpListener::bind(address).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self::serve(listener, url, script, |listener| listener)
    }

    fn serve<L: Listener<Addr: std::fmt::Debug>>(
        listener: std::net::TcpListener,
        url: String,
        script: impl Fn(&RecordedRequest, usize) -> Response + Send + Sync + 'static,
        wrap: impl FnOnce(TcpListener) -> L + Send + 'static,
    ) -> Self {
        listener.set_nonblocking(true).unwrap();
        let shared = Shared { asked: Arc::default(), counts: Arc::default(), script: Arc::new(script) };
        let asked = shared.asked.clone();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(async move {
            let app = Router::new().fallback(answer).with_state(shared);
            axum::serve(wrap(TcpListener::from_std(listener).unwrap()), app).await
        });
        Self { url, asked, runtime: Some(runtime) }
    }

    /// Stops the server and returns its address once that can be bound again.
    async fn stop(self) -> String {
        let address = self.url.trim_start_matches("http://").to_owned();
        drop(self);
        while std::net::TcpListener::bind(&address).is_err() {
            sleep(Duration::from_millis(10)).await;
        }
        address
    }

    fn asked(&self, path: &str) -> Vec<RecordedRequest> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.path == path).cloned().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let (request, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let asked = RecordedRequest {
        at: Instant::now(),
        path: request.uri.path().into(),
        query: request.uri.query().unwrap_or_default().into(),
        headers: request.headers,
        body: String::from_utf8(body.into()).unwrap(),
    };
    shared.asked.lock().unwrap().push(asked.clone());
    let n = {
        let mut counts = shared.counts.lock().unwrap();
        let count = counts.entry(format!("{} {}", asked.is_watch(), asked.path)).or_default();
        *count += 1;
        *count - 1
    };
    let response = (shared.script)(&asked, n);
    if response.extensions().get::<Hang>().is_some() {
        std::future::pending::<()>().await;
    }
    response
}

/// A running collector, connected to one server.
struct Collector {
    observations: mpsc::Receiver<QueuedObservation>,
    targets: watch::Sender<Targets>,
    shutdown: CancellationToken,
}

impl Collector {
    async fn start(server: &Server, config: CollectConfig, nodes: &[&str]) -> Self {
        Self::aim(server, config, names(nodes)).await
    }

    async fn aim(server: &Server, config: CollectConfig, aims: Targets) -> Self {
        let kubeconfig = format!(
            r#"{{"current-context": "test", "clusters": [{{"name": "c", "cluster": {{"server": "{}"}}}}],
            "users": [{{"name": "u", "user": {{"token": "t"}}}}], "contexts": [{{"name": "test", "context": {{"cluster": "c", "user": "u"}}}}]}}"#,
            server.url
        );
        Self::of(&kubeconfig, config, aims).await
    }

    async fn of(kubeconfig: &str, config: CollectConfig, aims: Targets) -> Self {
        let cluster = from_kubeconfig_text(kubeconfig, None, &config).await.unwrap();
        let (sender, observations) = mpsc::channel(64);
        let (targets, receiver) = watch::channel(aims);
        let shutdown = CancellationToken::new();
        tokio::spawn(run(cluster, config, sender, receiver, shutdown.clone()));
        Self { observations, targets, shutdown }
    }

    /// Waits for the first observation for which `pick` returns a value.
    async fn next<T>(&mut self, mut pick: impl FnMut(Observation) -> Option<T>) -> T {
        let found = async {
            loop {
                let queued = self.observations.recv().await.expect("the collector ended");
                if let Some(found) = pick(queued.into_observation()) {
                    return found;
                }
            }
        };
        timeout(LONG, found).await.expect("nothing of the kind was observed")
    }

    /// Waits for the next complete list of Wukongs and returns their names.
    async fn wukongs(&mut self) -> Vec<String> {
        self.next(|observation| match observation {
            Observation::Wukongs(Change::Replaced { items, .. }) => {
                Some(items.into_iter().map(|item| item.name).collect())
            }
            _ => None,
        })
        .await
    }

    async fn watch_error(&mut self, source: SourceId) -> SourceError {
        self.next(|observation| match observation {
            Observation::WatchFailed { source: failed, error, .. } if failed == source => Some(error),
            _ => None,
        })
        .await
    }

    /// Returns everything that is observed in this time.
    async fn during(&mut self, time: Duration) -> Vec<Observation> {
        let end = Instant::now() + time;
        let mut seen = Vec::new();
        while let Ok(Some(queued)) = tokio::time::timeout_at(end, self.observations.recv()).await {
            seen.push(queued.into_observation());
        }
        seen
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn names(nodes: &[&str]) -> Targets {
    let nodes = nodes.iter().map(|&node| NodeTarget { name: node.into(), address: None, has_vms: true });
    Targets { nodes: nodes.collect(), ..Targets::default() }
}

/// A configuration with intervals that no test waits for.
fn config() -> CollectConfig {
    CollectConfig {
        metrics_interval: Duration::from_secs(60),
        disk_interval: Duration::from_secs(60),
        watch_idle: Duration::from_secs(30),
        ..CollectConfig::default()
    }
}

fn json(body: impl Into<String>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

/// An error as the Kubernetes API returns it.
fn status(code: u16, reason: &str) -> Response {
    let body = format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"token t is bad","reason":"{reason}","code":{code}}}"#
    );
    (StatusCode::from_u16(code).unwrap(), [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// An error with the peer's own body.
fn says(code: u16, body: &'static str) -> Response {
    let code = StatusCode::from_u16(code).unwrap();
    (code, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn list(names: &[&str]) -> Response {
    let items: Vec<_> = names.iter().map(|name| wukong(name)).collect();
    json(format!(
        r#"{{"kind":"List","apiVersion":"v1","metadata":{{"resourceVersion":"10"}},"items":[{}]}}"#,
        items.join(",")
    ))
}

fn wukong(name: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"prod","uid":"{name}","resourceVersion":"11","managedFields":[{{}}]}},"spec":{{"cpu":2,"memory":"4Gi"}}}}"#
    )
}

/// A watch that sends these lines and then stays silent.
fn watch_of(lines: &[String]) -> Response {
    let lines: Vec<_> = lines.iter().map(|line| format!("{line}\n")).collect();
    let endless = stream::unfold(lines.into_iter(), |mut lines| async {
        match lines.next() {
            Some(line) => Some((Ok::<_, Infallible>(line), lines)),
            None => std::future::pending().await,
        }
    });
    Body::from_stream(endless).into_response()
}

/// Starts a peer that reads a request, sends these bytes, and closes or resets the connection. Returns its URL.
fn curt(words: &'static str) -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(words.as_bytes());
        }
    });
    url
}

/// A URL where nothing listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[derive(Clone)]
struct Hang;

/// A response that never begins.
fn hang() -> Response {
    Extension(Hang).into_response()
}

/// A healthy, empty, quiet cluster.
fn quiet(asked: &RecordedRequest) -> Response {
    match asked.path.as_str() {
        _ if asked.is_watch() => watch_of(&[]),
        path if path.starts_with("/apis/metrics.k8s.io/") => json(r#"{"items":[]}"#),
        path if path.ends_with("/proxy/stats/summary") => json(r#"{"pods":[]}"#),
        _ => list(&[]),
    }
}

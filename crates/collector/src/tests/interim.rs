//! Peers that begin their answers without end: with interim responses (1xx), with a head that does not end, or with the size
//! of a chunk that does not end.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::Notify,
};
use tokio_rustls::TlsAcceptor;

use super::{tls::acceptor, *};
use crate::{
    budget::Budget,
    client::words,
    config::{KubeletAccess, KubeletConfig},
    outside::{Site, SiteLimits},
};
use i18n::key;

/// Far below every deadline, and longer than a busy machine needs.
const SOON: Duration = Duration::from_secs(3);
const DEADLINE: Duration = Duration::from_secs(30);
const INTERIM: &str = "HTTP/1.1 102 Processing\r\n\r\n";

/// A peer that answers each request with a text, and then with another one without end.
struct Peer {
    address: SocketAddr,
    /// Notified when a connection was closed by the client.
    closed: Arc<Notify>,
}

impl Peer {
    async fn start(acceptor: Option<TlsAcceptor>, first: &str, again: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, closed) = (listener.local_addr().unwrap(), Arc::<Notify>::default());
        let (notify, first, again) = (closed.clone(), first.to_owned(), again.repeat(1000));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, first, again) = (acceptor.clone(), first.clone(), again.clone());
                let notify = notify.clone();
                tokio::spawn(async move {
                    match acceptor {
                        None => speak(stream, &first, &again).await,
                        Some(acceptor) => speak(acceptor.accept(stream).await.unwrap(), &first, &again).await,
                    }
                    notify.notify_one();
                });
            }
        });
        Self { address, closed }
    }

    async fn is_closed(&self) {
        timeout(SOON, self.closed.notified()).await.expect("the connection is closed");
    }
}

async fn speak(mut stream: impl AsyncRead + AsyncWrite + Unpin, first: &str, again: &str) {
    let _ = stream.read(&mut [0; 4096]).await;
    let _ = stream.write_all(first.as_bytes()).await;
    while !again.is_empty() && stream.write_all(again.as_bytes()).await.is_ok() {}
    // A client closes the connection when it has read the whole answer, or does not want to read more.
    let _ = stream.read(&mut [0]).await;
}

/// Three interim responses, an answer whose head has a field of this many bytes, and nothing else.
fn answer(field: usize, body: &str) -> String {
    let filler = "y".repeat(field);
    let length = body.len();
    format!(
        "{}HTTP/1.1 200 OK\r\nx: {filler}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}",
        INTERIM.repeat(3)
    )
}

/// Returns the version of the API server at this address, or why there is none.
async fn version(peer: &Peer) -> Result<String, String> {
    let kubeconfig = format!(
        r#"{{"current-context": "a", "clusters": [{{"name": "c", "cluster": {{"server": "http://{}"}}}}],
        "users": [], "contexts": [{{"name": "a", "context": {{"cluster": "c", "user": ""}}}}]}}"#,
        peer.address
    );
    let cluster = from_kubeconfig_text(&kubeconfig, None, &config()).await.unwrap();
    let version = timeout(SOON, cluster.client.apiserver_version()).await.expect("far before any deadline");
    version.map(|info| info.git_version).map_err(|error| words(&error))
}

/// Returns the answer of the site at this address, or why there is none.
async fn body(peer: &Peer) -> Result<String, SourceError> {
    let limits = SiteLimits { deadline: DEADLINE, limit: 1000, budget: Budget::new(&[]) };
    let mut site = Site::new("Ceph", format!("http://{}", peer.address).parse().unwrap(), None, limits);
    let session = site.open().await.unwrap();
    let request = http::Request::get(session.url(&[]).as_str()).body(Vec::new()).unwrap();
    let sent = timeout(SOON, session.send(request)).await.expect("far before any deadline");
    let reply = sent.map_err(|failure| site.describe(key!(collect.user_and_password), &failure))?;
    Ok(reply.decode(|answer| String::from_utf8(answer.to_vec()).ok()).await.unwrap())
}

const VERSION: &str = r#"{"major":"1","minor":"36","gitVersion":"v1.36.0","gitCommit":"","gitTreeState":"","buildDate":"","goVersion":"","compiler":"","platform":""}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_interim_responses_are_skipped() {
    let peer = Peer::start(None, &answer(40 << 10, VERSION), "").await;
    assert_eq!(version(&peer).await.as_deref(), Ok("v1.36.0"));
    assert_eq!(body(&peer).await.as_deref(), Ok(VERSION));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_interim_responses_end_the_request() {
    let peer = Peer::start(None, "", INTERIM).await;
    let why = "sends more than 16 interim responses (1xx) before its answer";
    assert_eq!(version(&peer).await, Err(format!("the API server {why}")));
    peer.is_closed().await;
    let error = body(&peer).await.unwrap_err();
    assert_eq!((error.reason, error.detail.english()), (Reason::BadAnswer, format!("Ceph {why}")));
    assert!(is_translated(&error));
    peer.is_closed().await;
}

/// hyper skips zeros before the size of a chunk, and blanks behind it, without a limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_size_of_a_chunk_that_does_not_end_ends_the_request() {
    const HEAD: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let why = "sends more than 1 MiB that is no data of its answer";
    for (size, again) in [("", "0"), ("1", " "), ("1", "\t")] {
        let peer = Peer::start(None, &[HEAD, size].concat(), again).await;
        assert_eq!(version(&peer).await, Err(format!("the API server {why}")), "{size:?} {again:?}");
        peer.is_closed().await;
        let error = body(&peer).await.unwrap_err();
        assert_eq!((error.reason, error.detail.english()), (Reason::BadAnswer, format!("Ceph {why}")));
        assert!(is_translated(&error));
        peer.is_closed().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubelet_that_sends_endless_interim_responses_gives_a_bad_answer() {
    let (acceptor, authority) = acceptor();
    let kubelet = Peer::start(Some(acceptor), "", INTERIM).await;
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), authority).unwrap();
    let access = KubeletAccess::Direct;
    let port = kubelet.address.port();
    let kubelets = KubeletConfig { access, port, ca: Some(ca.path().to_owned()), insecure_tls: false };
    let config = CollectConfig { kubelet: kubelets, kubelet_deadline: DEADLINE, ..config() };
    let node = NodeTarget { name: "n".into(), address: Some(kubelet.address.ip()), has_vms: true };
    let aims = Targets { nodes: vec![node].into(), ..Targets::default() };
    let server = Server::start(|request, _| quiet(request));
    let mut collector = Collector::aim(&server, config, aims).await;
    let summary = collector.next(|observation| match observation {
        Observation::Summary { result, .. } => Some(result),
        _ => None,
    });
    let error = timeout(SOON, summary).await.expect("far before the deadline").unwrap_err();
    assert_eq!(error.reason, Reason::BadAnswer);
    let why = "the kubelet of n sends more than 16 interim responses (1xx) before its answer";
    assert_eq!(error.detail.english(), why);
    kubelet.is_closed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_too_large_or_does_not_end_is_refused() {
    let why = "Ceph answers with a header of more than 64 KiB or 100 fields";
    for peer in [
        Peer::start(None, "HTTP/1.1 200 OK\r\nx: ", "y").await,
        Peer::start(None, "HTTP/1.1 200 OK\r\n", "x: y\r\n").await,
        Peer::start(None, &answer(256 << 10, VERSION), "").await,
    ] {
        let error = body(&peer).await.unwrap_err();
        assert_eq!((error.reason, error.detail.english().as_str()), (Reason::BadAnswer, why));
        assert!(is_translated(&error));
        peer.is_closed().await;
        assert_eq!(version(&peer).await, Err(why.replace("Ceph", "the API server")));
    }
}

//! Tests of a listener with TLS over real sockets.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

use super::fixture::{Server, eventually, vm};
use crate::server::{
    config::HttpConfig,
    http::{ConnectionConfig, RESERVE, Timeouts, listen},
    tls::{
        ServerTls,
        tests::{Files, PemPair, pair_ending_in},
    },
};
use collector::clock;
use wukong_core::Snapshot;

const SOON: Duration = Duration::from_secs(5);
const FIRST_CLIENT: [u8; 4] = [127, 0, 0, 1];
const SECOND_CLIENT: [u8; 4] = [127, 0, 0, 2];
const THIRD_CLIENT: [u8; 4] = [127, 0, 0, 3];

struct Running {
    address: SocketAddr,
    pair: PemPair,
    files: Files,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
    _snapshots: watch::Sender<Arc<Snapshot>>,
}

async fn start(most: usize, timeouts: Timeouts) -> Running {
    start_with(most, timeouts, 1).await
}

async fn start_with(most: usize, timeouts: Timeouts, vms: usize) -> Running {
    let pair = pair_ending_in(3600);
    let files = Files::of(&pair);
    let tls = ServerTls::read(files.paths.clone(), clock::now).await.unwrap();
    let http = HttpConfig { tls: Some(files.paths.clone()), ..HttpConfig::default() };
    let vms = (0..vms).map(|n| vm("shop", &format!("web-{n}"))).collect();
    let Server { router, snapshots, .. } = Server::with(vms, http);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
    let config = ConnectionConfig { most, timeouts, tls: Some(tls.clone()), ..ConnectionConfig::default() };
    tokio::spawn(tls.follow(shutdown.clone()));
    let server = tokio::spawn(listen(listener, router, config, shutdown.clone()));
    Running { address, pair, files, shutdown, server, _snapshots: snapshots }
}

/// Returns a client that trusts these certificates alone, as a browser does.
fn client(trusted: &[&PemPair], alpn: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    trusted.iter().for_each(|pair| roots.add(pair.der()).unwrap());
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn tcp_from(own: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::from(own), 0)).unwrap();
    socket.connect(address).await.unwrap()
}

async fn handshake(client: &TlsConnector, tcp: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    timeout(SOON, client.connect(name, tcp)).await.expect("the handshake has an end")
}

/// Sends a request, and returns the status line.
async fn ask(stream: &mut TlsStream<TcpStream>, path: &str, host: &str) -> std::io::Result<String> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await?;
    let mut status = [0; 12];
    timeout(SOON, stream.read_exact(&mut status)).await.expect("an answer")?;
    Ok(String::from_utf8_lossy(&status).into_owned())
}

/// Reads the rest of an answer of known length, so that the connection can be used again.
async fn read_rest(stream: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    stream.read_exact(&mut vec![0; length.parse().unwrap()]).await?;
    Ok(head)
}

async fn read_to_end(mut stream: impl AsyncRead + Unpin) -> String {
    let mut answer = Vec::new();
    // A connection that the server resets has ended too.
    let _ = timeout(SOON, stream.read_to_end(&mut answer)).await.expect("the server ends the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

impl Running {
    async fn connect(&self, own: [u8; 4]) -> std::io::Result<TlsStream<TcpStream>> {
        handshake(&client(&[&self.pair], &[]), tcp_from(own, self.address).await).await
    }

    async fn ask_from(&self, own: [u8; 4], path: &str) -> std::io::Result<String> {
        ask(&mut self.connect(own).await?, path, "vms.example").await
    }

    /// Sends these bytes without TLS, and returns what comes back until the end.
    async fn send_plain(&self, bytes: &[u8]) -> String {
        let mut stream = tcp_from(FIRST_CLIENT, self.address).await;
        stream.write_all(bytes).await.unwrap();
        read_to_end(stream).await
    }
}

#[tokio::test]
async fn requests_are_answered_over_tls_and_browsers_are_told_to_stay() {
    let server = start(8, Timeouts::default()).await;
    for (host, stays) in
        [("vms.example", true), ("localhost:8081", false), ("127.0.0.1", false), ("[::1]:1", false)]
    {
        let mut stream = server.connect(FIRST_CLIENT).await.unwrap();
        assert_eq!(ask(&mut stream, "/api/vms", host).await.unwrap(), "HTTP/1.1 200");
        let head = read_rest(&mut stream).await.unwrap();
        assert_eq!(head.contains("strict-transport-security: max-age=15552000\r\n"), stays, "{host}: {head}");
    }
}

#[tokio::test]
async fn http_1_is_all_that_is_offered() {
    let server = start(8, Timeouts::default()).await;
    for (offered, want) in
        [(&["h2", "http/1.1"][..], Some(Some(&b"http/1.1"[..]))), (&[], Some(None)), (&["h2"], None)]
    {
        let stream =
            handshake(&client(&[&server.pair], offered), tcp_from(FIRST_CLIENT, server.address).await).await;
        let chosen = stream.as_ref().ok().map(|stream| stream.get_ref().1.alpn_protocol());
        assert_eq!(chosen, want, "{offered:?}");
    }
}

/// A ClientHello of a client whose newest version is this one.
fn old_hello(minor: u8) -> Vec<u8> {
    let suites = [0xc0, 0x09, 0xc0, 0x13, 0xc0, 0x2b, 0xc0, 0x2f, 0x00, 0x2f];
    let mut hello = vec![3, minor];
    hello.extend([7; 32]);
    hello.extend([0, 0, suites.len() as u8]);
    hello.extend(suites);
    hello.extend([1, 0]);
    let signatures = [0, 13, 0, 4, 0, 2, 4, 3];
    let groups = [0, 10, 0, 4, 0, 2, 0, 23];
    hello.extend([0, (signatures.len() + groups.len()) as u8]);
    hello.extend(signatures.into_iter().chain(groups));
    let handshake = [&[1, 0, 0, hello.len() as u8][..], &hello].concat();
    [&[22, 3, 1, 0, handshake.len() as u8][..], &handshake].concat()
}

#[tokio::test]
async fn tls_1_1_and_older_are_refused() {
    let server = start(8, Timeouts::default()).await;
    // A fatal alert, protocol_version (RFC 8446, 6); a ServerHello.
    let (alert, hello) = ((21, [2, 70]), (22, [2, 0]));
    for (minor, want) in [(0, alert), (1, alert), (2, alert), (3, hello)] {
        let mut stream = tcp_from(FIRST_CLIENT, server.address).await;
        stream.write_all(&old_hello(minor)).await.unwrap();
        let mut answer = [0; 7];
        timeout(SOON, stream.read_exact(&mut answer)).await.expect("an answer").unwrap();
        assert_eq!((answer[0], [answer[5], answer[6]]), want, "3.{minor}");
    }
}

#[tokio::test]
async fn plain_http_is_told_what_this_port_speaks_and_garbage_is_not_answered() {
    let server = start(8, Timeouts::default()).await;
    for request in ["GET / HTTP/1.1\r\nhost: x\r\n\r\n", "POST /auth/sign-in HTTP/1.0\r\n\r\n"] {
        let answer = server.send_plain(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.") && answer.contains(" 400 Bad Request\r\n"), "{answer}");
        assert!(
            answer.ends_with("This port speaks HTTPS. Write https:// in front of the address.\n"),
            "{answer}"
        );
        assert!(!answer.contains("strict-transport-security"), "{answer}");
    }
    for garbage in [&b"\0\0\0"[..], b"\x16garbage that is no record of TLS", b"hello"] {
        let answer = server.send_plain(garbage).await;
        assert!(!answer.contains("HTTP"), "{garbage:?}: {answer}");
    }
    assert_eq!(server.ask_from(FIRST_CLIENT, "/api/vms").await.unwrap(), "HTTP/1.1 200");
}

#[tokio::test]
async fn a_slow_handshake_ends() {
    let timeouts = Timeouts { handshake: Duration::from_millis(200), ..Timeouts::default() };
    let server = start(8, timeouts).await;
    let begun = Instant::now();
    for part in [&b""[..], &old_hello(3)[..20]] {
        assert_eq!(server.send_plain(part).await, "");
    }
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn slow_handshakes_take_half_of_the_slots_at_most_and_give_way() {
    let server = start(6, Timeouts { handshake: Duration::from_secs(60), ..Timeouts::default() }).await;
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut stream = tcp_from(FIRST_CLIENT, server.address).await;
        stream.write_all(&old_hello(3)[..20]).await.unwrap();
        slow.push(stream);
    }
    assert_eq!(server.ask_from(SECOND_CLIENT, "/api/vms").await.unwrap(), "HTTP/1.1 200");
    assert_eq!(server.ask_from(FIRST_CLIENT, "/api/vms").await.unwrap(), "HTTP/1.1 200");
    assert_eq!(read_to_end(slow.remove(0)).await, "", "the oldest gave way");
}

#[tokio::test]
async fn probes_are_answered_while_all_slots_are_in_handshakes() {
    let server = start(2, Timeouts { handshake: Duration::from_secs(60), ..Timeouts::default() }).await;
    let _slow = [tcp_from(FIRST_CLIENT, server.address).await, tcp_from(SECOND_CLIENT, server.address).await];
    let mut flood = Vec::new();
    for _ in 0..RESERVE * 4 {
        flood.push(tcp_from(FIRST_CLIENT, server.address).await);
    }
    for own in [FIRST_CLIENT, THIRD_CLIENT] {
        for path in ["/healthz", "/readyz"] {
            let status = server.ask_from(own, path).await.unwrap();
            assert_eq!(status, "HTTP/1.1 200", "{path}");
        }
    }
    // Even the newest of them end long before an ordinary handshake would.
    for idle in flood {
        assert_eq!(read_to_end(idle).await, "");
    }
}

#[tokio::test]
async fn shutdown_waits_for_no_handshake() {
    let server = start(8, Timeouts { handshake: Duration::from_secs(60), ..Timeouts::default() }).await;
    let silent = tcp_from(FIRST_CLIENT, server.address).await;
    let mut idle = server.connect(FIRST_CLIENT).await.unwrap();
    ask(&mut idle, "/api/vms", "x").await.unwrap();
    read_rest(&mut idle).await.unwrap();
    server.shutdown.cancel();
    timeout(SOON, server.server).await.expect("it stops").unwrap();
    let mut rest = Vec::new();
    timeout(SOON, idle.read_to_end(&mut rest)).await.expect("an end").expect("a proper end of TLS");
    drop(silent);
}

/// The answer is larger than the buffers of TLS and of a real socket.
#[tokio::test]
async fn an_answer_over_tls_that_is_read_too_slowly_ends() {
    let timeouts = Timeouts { stall: Duration::from_secs(1), ..Timeouts::default() };
    let server = start_with(2, timeouts, 2000).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind(SocketAddr::new(IpAddr::from(FIRST_CLIENT), 0)).unwrap();
    let tcp = socket.connect(server.address).await.unwrap();
    let mut stalled = handshake(&client(&[&server.pair], &[]), tcp).await.unwrap();
    ask(&mut stalled, "/api/vms", "x").await.unwrap();
    assert_eq!(
        server.ask_from(FIRST_CLIENT, "/api/stats").await.unwrap(),
        "HTTP/1.1 503",
        "it has the place"
    );
    eventually("a client that reads nothing is cut off", async || {
        server.ask_from(FIRST_CLIENT, "/api/stats").await.is_ok_and(|status| status == "HTTP/1.1 200")
    })
    .await;
}

/// Asks again and again over one connection, or over a new one each time, until the server shows the new certificate;
/// then a few times more. Returns how many requests were answered, and whether the last connection got the new one.
async fn load(
    address: SocketAddr,
    client: TlsConnector,
    new: PemPair,
    keeps: bool,
    stop: CancellationToken,
) -> usize {
    let mut answered = 0;
    let mut kept: Option<TlsStream<TcpStream>> = None;
    while !stop.is_cancelled() {
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => handshake(&client, tcp_from(FIRST_CLIENT, address).await).await.expect("a handshake"),
        };
        assert_eq!(ask(&mut stream, "/api/vms", "x").await.expect("an answer"), "HTTP/1.1 200");
        read_rest(&mut stream).await.expect("a whole answer");
        answered += 1;
        kept = keeps.then_some(stream);
        tokio::task::yield_now().await;
    }
    let fresh = handshake(&client, tcp_from(FIRST_CLIENT, address).await).await.unwrap();
    assert_eq!(fresh.get_ref().1.peer_certificates().unwrap()[0], new.der());
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_replaced_under_load_and_no_request_fails() {
    let server = start(64, Timeouts::default()).await;
    let new = pair_ending_in(7200);
    let stop = CancellationToken::new();
    let clients: Vec<_> = [true, true, false, false]
        .into_iter()
        .map(|keeps| {
            let client = client(&[&server.pair, &new], &["http/1.1"]);
            let new = PemPair { certificate: new.certificate.clone(), key: new.key.clone() };
            tokio::spawn(load(server.address, client, new, keeps, stop.clone()))
        })
        .collect();
    server.files.write(&new);
    let only_new = client(&[&new], &[]);
    eventually("new connections get the new certificate", async || {
        handshake(&only_new, tcp_from(SECOND_CLIENT, server.address).await).await.is_ok()
    })
    .await;
    stop.cancel();
    for client in clients {
        let answered = client.await.expect("no request fails");
        assert!(answered > 10, "{answered}");
    }
}

//! Tests over real sockets: slow and idle clients, large request heads, and shutdown.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    fixture::{self, Gate, Server, eventually, vm},
    log::Lines,
};
use crate::server::{
    config::HttpConfig,
    http::{ConnectionConfig, RESERVE, RenderThreads, Timeouts, TrustedProxies, WorkLimits, listen},
};
use wukong_core::Snapshot;

const SOON: Duration = Duration::from_secs(5);

struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
    /// Requests to `/slow` and `/never` that have begun.
    under_way: Arc<AtomicUsize>,
    /// Event streams end when this sender is dropped.
    _snapshots: Option<watch::Sender<Arc<Snapshot>>>,
}

/// Starts a server with this router.
async fn start_router(router: Router, config: ConnectionConfig) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
    let server = tokio::spawn(listen(listener, router, config, shutdown.clone()));
    Running { address, shutdown, server, under_way: Arc::default(), _snapshots: None }
}

async fn start(head: Duration, drain: Duration) -> Running {
    let under_way = Arc::new(AtomicUsize::new(0));
    let begin = {
        let under_way = under_way.clone();
        move || under_way.fetch_add(1, Ordering::Relaxed)
    };
    let slow = {
        let begin = begin.clone();
        async move || {
            begin();
            sleep(Duration::from_millis(300)).await;
            "slow"
        }
    };
    let never = async move || {
        begin();
        std::future::pending::<&'static str>().await
    };
    let router =
        Router::new().route("/", get(async || "here")).route("/slow", get(slow)).route("/never", get(never));
    let timeouts = Timeouts { head, stall: head, drain, ..Timeouts::default() };
    let running = start_router(router, ConnectionConfig { timeouts, ..ConnectionConfig::default() }).await;
    Running { under_way, ..running }
}

impl Running {
    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn ask(&self, text: &str) -> String {
        read(self.send(text).await).await
    }
}

async fn read(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(SOON, stream.read_to_end(&mut answer)).await;
    // A connection that the server resets has ended too.
    let _ = read.expect("the server ends the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_head_that_comes_too_slowly_ends_the_connection() {
    let server = start(Duration::from_millis(200), SOON).await;
    for sent in ["", "GET / HT", "GET / HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let begun = Instant::now();
        let answer = server.ask(sent).await;
        assert!(begun.elapsed() < SOON && !answer.contains("here"), "{sent:?}: {answer}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_ended_after_its_answer() {
    let server = start(Duration::from_millis(200), SOON).await;
    let answer = server.ask("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.ends_with("here"), "{answer}");
}

#[tokio::test]
async fn heads_beyond_the_limits_are_refused() {
    let lines = Lines::default();
    let log = lines.record();
    let server = start(SOON, SOON).await;
    let large = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(64 << 10));
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(100));
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(64 << 10));
    for (head, statuses) in [(large, ["431", "431"]), (many, ["431", "431"]), (long, ["431", "414"])] {
        let answer = server.ask(&head).await;
        let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
        assert!(statuses.contains(&status.as_str()), "{answer}");
    }
    drop(log);
    let said = lines.messages("the head of a request is longer than 16384 bytes");
    assert_eq!(said.len(), 1, "once a minute: {said:?}");
}

#[tokio::test]
async fn garbage_is_refused_and_the_next_client_is_served() {
    let server = start(SOON, SOON).await;
    for garbage in ["\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /\u{fffd}\u{1} x\r\n\r\n"]
    {
        let answer = server.ask(garbage).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{garbage:?}: {answer}");
        let answer = server.ask("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(answer.ends_with("here"), "after {garbage:?}: {answer}");
    }
}

#[tokio::test]
async fn shutdown_lets_running_answers_finish_and_closes_idle_connections() {
    let server = start(Duration::from_secs(60), Duration::from_secs(60)).await;
    let mut idle = server.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let silent = server.send("").await;
    let mut first = [0; 15];
    idle.read_exact(&mut first).await.unwrap();
    let slow = server.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    eventually("the request is under way", async || server.under_way.load(Ordering::Relaxed) == 1).await;
    server.shutdown.cancel();
    assert!(read(slow).await.ends_with("slow"));
    timeout(SOON, server.server).await.expect("nothing is left to wait for").unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
    drop((idle, silent));
}

#[tokio::test]
async fn shutdown_waits_no_longer_than_the_drain_timeout() {
    let server = start(Duration::from_secs(60), Duration::from_millis(200)).await;
    let stuck = server.send("GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await;
    eventually("the request is under way", async || server.under_way.load(Ordering::Relaxed) == 1).await;
    server.shutdown.cancel();
    timeout(SOON, server.server).await.expect("the drain has an end").unwrap();
    drop(stuck);
}

/// Starts the program's router with this many ordinary connections.
async fn start_small(most: usize, http: HttpConfig) -> Running {
    let timeouts = Timeouts { drain: Duration::from_secs(1), ..Timeouts::default() };
    start_server(most, http, timeouts, 1).await
}

async fn start_server(most: usize, http: HttpConfig, timeouts: Timeouts, vms: usize) -> Running {
    let proxies = TrustedProxies::new(&http.trusted_proxies);
    let vms = (0..vms).map(|n| vm("shop", &format!("web-{n}"))).collect();
    let Server { router, snapshots, .. } = Server::with(vms, http);
    let running =
        start_router(router, ConnectionConfig { most, timeouts, proxies, ..ConnectionConfig::default() })
            .await;
    Running { _snapshots: Some(snapshots), ..running }
}

impl Running {
    /// Connects from another address of this machine.
    async fn connect_from(&self, own: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(IpAddr::from(own), 0)).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    /// Sends a request from this address, and returns the status line.
    async fn ask_from(&self, own: [u8; 4], path: &str) -> String {
        let mut stream = self.connect_from(own).await;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        let mut head = [0; 12];
        timeout(SOON, stream.read_exact(&mut head)).await.expect("an answer").unwrap();
        String::from_utf8_lossy(&head).into_owned()
    }

    /// Opens this many ordinary connections, which were answered once and stay open.
    async fn fill(&self, own: [u8; 4], count: usize) -> Vec<TcpStream> {
        let mut streams = Vec::new();
        for _ in 0..count {
            let mut stream = self.connect_from(own).await;
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            let mut head = [0; 12];
            timeout(SOON, stream.read_exact(&mut head)).await.expect("an answer").unwrap();
            streams.push(stream);
        }
        streams
    }
}

const FIRST_CLIENT: [u8; 4] = [127, 0, 0, 1];
const SECOND_CLIENT: [u8; 4] = [127, 0, 0, 2];
const THIRD_CLIENT: [u8; 4] = [127, 0, 0, 3];

#[tokio::test]
async fn shutdown_works_when_all_connections_are_taken() {
    let server = start_small(4, HttpConfig::default()).await;
    let _idle = (server.fill(FIRST_CLIENT, 2).await, server.fill(SECOND_CLIENT, 2).await);
    let _more = [server.connect_from(FIRST_CLIENT).await, server.connect_from(SECOND_CLIENT).await];
    server.shutdown.cancel();
    timeout(SOON, server.server).await.expect("it stops").unwrap();
}

#[tokio::test]
async fn only_probes_are_answered_when_all_connections_are_taken() {
    let server = start_small(4, HttpConfig::default()).await;
    let _idle = (server.fill(FIRST_CLIENT, 2).await, server.fill(SECOND_CLIENT, 2).await);
    for probe in ["/healthz", "/readyz"] {
        assert_eq!(server.ask_from(FIRST_CLIENT, probe).await, "HTTP/1.1 200");
    }
    for (path, kind) in [("/api/vms", "application/problem+json"), ("/", "text/html")] {
        let answer = server.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        for header in
            ["retry-after: 10\r\n", "connection: close\r\n", "x-content-type-options: nosniff", kind]
        {
            assert!(answer.contains(header), "{header} is not in {answer}");
        }
    }
}

/// Two addresses had all slots, so that everybody else got 503.
#[tokio::test]
async fn clients_that_take_all_connections_give_way_to_one_that_has_none() {
    let server = start_small(6, HttpConfig::default()).await;
    let mut silent = Vec::new();
    for address in [FIRST_CLIENT, SECOND_CLIENT] {
        for _ in 0..3 {
            silent.push(server.connect_from(address).await);
        }
    }
    assert_eq!(server.ask_from(THIRD_CLIENT, "/api/vms").await, "HTTP/1.1 200");
    let again = server.connect_from(FIRST_CLIENT).await;
    assert_eq!(
        server.ask_from(FIRST_CLIENT, "/api/vms").await,
        "HTTP/1.1 200",
        "its own silent ones give way too"
    );
    drop((silent, again));
    let server = start_small(6, HttpConfig::default()).await;
    let _served = (server.fill(FIRST_CLIENT, 3).await, server.fill(SECOND_CLIENT, 3).await);
    assert_eq!(server.ask_from(THIRD_CLIENT, "/api/vms").await, "HTTP/1.1 200", "the newest gives way");
}

#[tokio::test]
async fn a_flood_of_idle_connections_does_not_keep_a_probe_out() {
    let server = start_small(2, HttpConfig::default()).await;
    let _idle = (server.fill(FIRST_CLIENT, 1).await, server.fill(SECOND_CLIENT, 1).await);
    let mut flood = Vec::new();
    for _ in 0..RESERVE * 4 {
        flood.push(server.connect_from(FIRST_CLIENT).await);
    }
    assert_eq!(server.ask_from(FIRST_CLIENT, "/healthz").await, "HTTP/1.1 200");
    assert_eq!(server.ask_from(THIRD_CLIENT, "/healthz").await, "HTTP/1.1 200");
    // Even the newest of them end long before an ordinary connection would.
    for idle in flood {
        assert_eq!(read(idle).await, "");
    }
}

#[tokio::test]
async fn one_address_gets_half_of_the_connections() {
    let server = start_small(6, HttpConfig::default()).await;
    let mut idle = server.fill(FIRST_CLIENT, 3).await;
    assert_eq!(server.ask_from(FIRST_CLIENT, "/api/vms").await, "HTTP/1.1 503");
    assert_eq!(server.ask_from(SECOND_CLIENT, "/api/vms").await, "HTTP/1.1 200");
    idle.pop();
    eventually("the slot is free again", async || {
        server.ask_from(FIRST_CLIENT, "/api/vms").await == "HTTP/1.1 200"
    })
    .await;
}

fn behind_a_proxy() -> HttpConfig {
    let trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    HttpConfig { trusted_proxies, max_event_clients: 4, ..HttpConfig::default() }
}

#[tokio::test]
async fn a_proxy_gets_all_connections_and_each_of_its_clients_half() {
    let server = start_small(6, behind_a_proxy()).await;
    let follow = async |forwarded: &str| {
        let head = format!("GET /api/events HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {forwarded}\r\n\r\n");
        let mut stream = server.send(&head).await;
        let mut status = [0; 12];
        timeout(SOON, stream.read_exact(&mut status)).await.expect("an answer").unwrap();
        (stream, String::from_utf8_lossy(&status[9..]).into_owned())
    };
    let (_one, first) = follow("203.0.113.5").await;
    let (_two, second) = follow("8.8.8.8, 203.0.113.5").await;
    let (_three, third) = follow("203.0.113.5").await;
    let (_four, fourth) = follow("203.0.113.6").await;
    assert_eq!([first, second, third, fourth], ["200", "200", "503", "200"]);
    let _more = server.fill(FIRST_CLIENT, 2).await;
    assert_eq!(server.ask_from(FIRST_CLIENT, "/api/vms").await, "HTTP/1.1 503", "six is all that there is");
}

#[tokio::test]
async fn an_untrusted_address_is_one_peer_whatever_it_forwards() {
    let server = start_small(6, HttpConfig { max_event_clients: 4, ..HttpConfig::default() }).await;
    let mut statuses = Vec::new();
    let mut streams = Vec::new();
    for n in 0..3 {
        let head = "GET /api/events HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 203.0.113.";
        let mut stream = server.send(&format!("{head}{n}\r\n\r\n")).await;
        let mut status = [0; 12];
        timeout(SOON, stream.read_exact(&mut status)).await.expect("an answer").unwrap();
        statuses.push(String::from_utf8_lossy(&status[9..]).into_owned());
        streams.push(stream);
    }
    assert_eq!(statuses, ["200", "200", "503"]);
}

/// The answer is larger than the buffers of a real socket.
#[tokio::test]
async fn an_answer_that_is_read_too_slowly_ends_and_a_fast_reader_continues() {
    let timeouts = Timeouts { stall: Duration::from_secs(1), ..Timeouts::default() };
    let server = start_server(2, HttpConfig::default(), timeouts, 2000).await;
    let connect = async |own, bytes| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.bind(SocketAddr::new(IpAddr::from(own), 0)).unwrap();
        let mut stream = socket.connect(server.address).await.unwrap();
        stream.write_all(b"GET /api/vms HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut buffer = vec![0; bytes];
        stream.read_exact(&mut buffer[..15]).await.unwrap();
        assert_eq!(&buffer[..15], b"HTTP/1.1 200 OK");
        (stream, buffer)
    };
    let read = |(mut stream, mut buffer): (TcpStream, Vec<u8>), pause| {
        tokio::spawn(async move {
            while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                sleep(pause).await;
            }
        })
    };
    let slow = read(connect(FIRST_CLIENT, 15).await, Duration::from_millis(50));
    let brisk = read(connect(SECOND_CLIENT, 256).await, Duration::from_millis(10));
    assert_eq!(
        server.ask_from(FIRST_CLIENT, "/api/stats").await,
        "HTTP/1.1 503",
        "the slow reader has the slot"
    );
    eventually("a reader of 300 bytes a second is cut off", async || {
        server.ask_from(FIRST_CLIENT, "/api/stats").await == "HTTP/1.1 200"
    })
    .await;
    assert_eq!(
        server.ask_from(SECOND_CLIENT, "/api/stats").await,
        "HTTP/1.1 503",
        "25 kB a second are enough"
    );
    slow.abort();
    brisk.abort();
}

/// Blocks the threads that compute pages.
static HELD_UP: Gate = Gate::new();

#[tokio::test]
async fn probes_and_events_are_answered_while_all_pages_are_blocked() {
    let threads = RenderThreads::start().unwrap();
    let server = fixture::server_of(|| HELD_UP.pass());
    let limits = WorkLimits::default().on(&threads);
    let Server { router, snapshots, .. } = server.with_limits(limits);
    let server = start_router(router, ConnectionConfig::default()).await;
    HELD_UP.shut();
    let mut pages = Vec::new();
    for path in ["/", "/groups", "/fn/home", "/api/groups", "/sources"].iter().cycle().take(40) {
        pages.push(server.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await);
    }
    eventually("two pages are computed", async || HELD_UP.passes() >= 2).await;
    let begun = Instant::now();
    for path in ["/healthz", "/readyz", "/api/vms", "/api/events?only=sources"] {
        assert_eq!(server.ask_from(FIRST_CLIENT, path).await, "HTTP/1.1 200", "{path}");
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    HELD_UP.open();
    drop((pages, snapshots));
}

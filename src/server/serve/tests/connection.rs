//! Over real sockets: slow and idle clients, large heads, and the end.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::server::serve::{Patience, listen};

const SOON: Duration = Duration::from_secs(5);

struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
}

async fn start(head: Duration, drain: Duration) -> Running {
    let slow = async || {
        sleep(Duration::from_millis(300)).await;
        "slow"
    };
    let router = Router::new()
        .route("/", get(async || "here"))
        .route("/slow", get(slow))
        .route("/never", get(std::future::pending::<&'static str>));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
    let server =
        tokio::spawn(listen(listener, router, Patience { head, stall: head, drain }, shutdown.clone()));
    Running { address, shutdown, server }
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
    // A connection that the server resets is at its end too.
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
    let server = start(SOON, SOON).await;
    let large = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(64 << 10));
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(100));
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(64 << 10));
    for (head, statuses) in [(large, ["431", "431"]), (many, ["431", "431"]), (long, ["431", "414"])] {
        let answer = server.ask(&head).await;
        let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
        assert!(statuses.contains(&status.as_str()), "{answer}");
    }
}

#[tokio::test]
async fn garbage_is_refused() {
    let server = start(SOON, SOON).await;
    for garbage in ["\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /\u{fffd}\u{1} x\r\n\r\n"]
    {
        let answer = server.ask(garbage).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{garbage:?}: {answer}");
    }
}

#[tokio::test]
async fn answers_under_way_are_let_through_and_idle_connections_are_not_waited_for() {
    let server = start(Duration::from_secs(60), Duration::from_secs(60)).await;
    let mut idle = server.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let silent = server.send("").await;
    let mut first = [0; 15];
    idle.read_exact(&mut first).await.unwrap();
    let slow = server.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    sleep(Duration::from_millis(100)).await;
    server.shutdown.cancel();
    assert!(read(slow).await.ends_with("slow"));
    timeout(SOON, server.server).await.expect("nothing is left to wait for").unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
    drop((idle, silent));
}

#[tokio::test]
async fn an_answer_that_never_comes_is_not_waited_for_longer_than_the_drain() {
    let server = start(Duration::from_secs(60), Duration::from_millis(200)).await;
    let stuck = server.send("GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await;
    sleep(Duration::from_millis(50)).await;
    server.shutdown.cancel();
    timeout(SOON, server.server).await.expect("the drain has an end").unwrap();
    drop(stuck);
}

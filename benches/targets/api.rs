//! `GET /api/vms` with 1,000 VMs, compared with a bare axum handler that sends the same bytes. Both are
//! processes of their own, measured in turn over kept-alive connections.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use super::{
    process::{Program, get},
    table::{Must, Table, median},
};

const BARE: &str = "WUKONG_BENCH_BARE";
const CONNECTIONS: usize = 4;
const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 5;

/// Returns the file to serve if this process is the bare handler.
pub fn asked_to_be_bare() -> Option<PathBuf> {
    std::env::var_os(BARE).map(PathBuf::from)
}

/// Serves the file's bytes as `/api/vms`, without end.
pub fn serve_bare(file: &PathBuf) {
    let body = axum::body::Bytes::from(std::fs::read(file).expect("the bytes to send"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("listening on http://{}", listener.local_addr().expect("an address"));
        let handler = move || {
            let body = body.clone();
            async move { ([(http::header::CONTENT_TYPE, "application/json")], body) }
        };
        let router = axum::Router::new().route("/api/vms", axum::routing::get(handler));
        wukong_dashboard::server::http::listen(
            listener,
            router,
            wukong_dashboard::server::http::ConnectionConfig::default(),
            tokio_util::sync::CancellationToken::new(),
        )
        .await;
    });
}

pub fn measure(table: &mut Table) {
    let demo = Program::start(&["demo", "--vms", "1000", "--nodes", "50"]);
    demo.await_ok("/readyz", Duration::from_secs(60));
    compare(table, "/api/vms, 1,000 VMs", &demo, "");
    drop(demo);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let options = simulator::Options { vms: 1_000, nodes: 50, ..simulator::Options::default() };
    let cluster = runtime.block_on(simulator::start(options)).expect("a cluster");
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, cluster.kubeconfig()).expect("a file");
    let kubeconfig = kubeconfig.to_str().expect("a path in UTF-8");
    let server = Program::start(&["--kubeconfig", kubeconfig, "--sign-in=token"]);
    server.await_ok("/readyz", Duration::from_secs(60));
    // The first question about somebody takes some seconds: until then they see nothing.
    let begun = Instant::now();
    while get(server.address, "/api/vms", ADMIN).content().matches("\"metrics\"").count() < 1_000 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody may see the VMs");
        std::thread::sleep(Duration::from_millis(100));
    }
    compare(table, "/api/vms, 1,000 VMs, signed in", &server, ADMIN);
    drop(server);
    runtime.block_on(cluster.shutdown());
}

/// The header with the token of a user who sees everything.
const ADMIN: &str = "authorization: Bearer admin-token\r\n";

/// Compares a server with a bare handler that sends the same bytes. `header` tells who asks.
fn compare(table: &mut Table, what: &str, ours: &Program, header: &'static str) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("body");
    std::fs::write(&file, Client::new(ours.address, header).body()).expect("a file");
    let myself = std::env::current_exe().expect("a path");
    let bare = Program::of(Command::new(myself).env(BARE, &file));
    let ratios = (0..ROUNDS).map(|_| rate(ours.address, header) / rate(bare.address, header));
    let share = median(ratios.collect()) * 100.0;
    table.row(&format!("{what}: rate, of a bare handler's"), share, Must::BeAtLeast, 90.0, "%");
}

/// Measures the answers per second.
fn rate(address: SocketAddr, header: &'static str) -> f64 {
    let begun = Instant::now();
    let count = move || {
        let mut client = Client::new(address, header);
        let mut answers = 0u32;
        while begun.elapsed() < ROUND {
            client.read_answer();
            answers += 1;
        }
        answers
    };
    let threads: Vec<_> = (0..CONNECTIONS).map(|_| std::thread::spawn(count)).collect();
    let answers: u32 = threads.into_iter().map(|thread| thread.join().expect("a client")).sum();
    f64::from(answers) / begun.elapsed().as_secs_f64()
}

/// A kept-alive connection.
struct Client {
    stream: TcpStream,
    header: &'static str,
    buffer: Vec<u8>,
}

impl Client {
    fn new(address: SocketAddr, header: &'static str) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("an option");
        Self { stream, header, buffer: vec![0; 1 << 20] }
    }

    fn body(mut self) -> Vec<u8> {
        let head = self.read_answer();
        self.buffer[head.0..head.1].to_vec()
    }

    /// Reads one answer, and returns where its body begins and ends in the buffer.
    fn read_answer(&mut self) -> (usize, usize) {
        let request = ["GET /api/vms HTTP/1.1\r\nhost: localhost\r\n", self.header, "\r\n"].concat();
        self.stream.write_all(request.as_bytes()).expect("sent");
        let mut filled = 0;
        let mut whole = None;
        loop {
            if filled == self.buffer.len() {
                self.buffer.resize(filled * 2, 0);
            }
            let read = self.stream.read(&mut self.buffer[filled..]).expect("an answer");
            assert!(read > 0, "the connection ended");
            filled += read;
            whole = whole.or_else(|| span(&self.buffer[..filled]));
            match whole {
                Some((begin, end)) if filled >= end => return (begin, end),
                _ => {}
            }
        }
    }
}

/// Returns where the body begins and ends, by the answer's head; `None` until the head is complete.
fn span(bytes: &[u8]) -> Option<(usize, usize)> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).expect("a head").to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.expect("a body of known length").trim().parse().expect("a number");
    Some((head, head + length))
}

//! `GET /api/vms` with 1,000 VMs, compared with a bare axum handler that sends the same bytes. Both are
//! processes of their own, measured in turn over kept-alive connections.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use simulator::{Clock, Options, Scenario, Viewer};

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
    compare(table, "/api/vms, 1,000 VMs", &demo, &[String::new()]);
    drop(demo);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let cluster = runtime.block_on(simulator::start(options())).expect("a cluster");
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, cluster.kubeconfig()).expect("a file");
    let kubeconfig = kubeconfig.to_str().expect("a path in UTF-8");
    // Behind a proxy with TLS, which says for whom it asks: each address may try ten tokens a minute.
    let proxy = ["--public-url=https://vms.example", "--trusted-proxies=127.0.0.0/8"];
    let server = Program::start(&[&["--kubeconfig", kubeconfig, "--sign-in=token"], &proxy[..]].concat());
    server.await_ok("/readyz", Duration::from_secs(60));
    let people: Vec<String> = (0..PEOPLE).map(header).collect();
    // The first question about somebody takes some seconds: until then they see nothing.
    let begun = Instant::now();
    for person in &people {
        while get(server.address, "/api/vms", person).content().matches("\"metrics\"").count() < 1_000 {
            assert!(begun.elapsed() < Duration::from_secs(120), "nobody may see the VMs");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    compare(table, "/api/vms, 1,000 VMs, signed in", &server, &people);
    drop(server);
    runtime.block_on(cluster.shutdown());
}

/// Users who see every namespace. Each of them may send fifty requests in a second, so that together they ask for more than
/// anybody can send.
const PEOPLE: usize = 100;

fn options() -> Options {
    let clock = Clock::system();
    let mut scenario = Scenario::demo(1_000, 50, 1, clock.now());
    let namespaces: BTreeSet<&String> = scenario.guests.iter().map(|guest| &guest.namespace).collect();
    let namespaces: Vec<String> = namespaces.into_iter().cloned().collect();
    let viewer = |id: usize| Viewer {
        name: format!("person-{id}@example.com"),
        groups: Vec::new(),
        token: format!("person-{id}-token"),
        namespaces: namespaces.clone(),
    };
    scenario.viewers = (0..PEOPLE).map(viewer).collect();
    Options { scenario: Some(scenario), clock, ..Options::default() }
}

/// The headers with the token of a user, and the address that the proxy names.
fn header(id: usize) -> String {
    format!("authorization: Bearer person-{id}-token\r\nx-forwarded-for: 203.0.113.{id}\r\n")
}

/// Compares a server with a bare handler that sends the same bytes. `people` are headers that tell who asks, in turn.
fn compare(table: &mut Table, what: &str, ours: &Program, people: &[String]) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("body");
    std::fs::write(&file, Client::new(ours.address, people).body()).expect("a file");
    let myself = std::env::current_exe().expect("a path");
    let bare = Program::of(Command::new(myself).env(BARE, &file));
    let ratios = (0..ROUNDS).map(|_| rate(ours.address, people) / rate(bare.address, people));
    let share = median(ratios.collect()) * 100.0;
    table.row(&format!("{what}: rate, of a bare handler's"), share, Must::BeAtLeast, 90.0, "%");
}

/// Measures the answers per second.
fn rate(address: SocketAddr, people: &[String]) -> f64 {
    let begun = Instant::now();
    // Each connection begins with other people.
    let count = |connection: usize| {
        let mut client = Client::new(address, people);
        client.next = connection * people.len() / CONNECTIONS;
        let mut answers = 0u32;
        while begun.elapsed() < ROUND {
            client.read_answer();
            answers += 1;
        }
        answers
    };
    let answers: u32 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|at| scope.spawn(move || count(at))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a client")).sum()
    });
    f64::from(answers) / begun.elapsed().as_secs_f64()
}

/// A kept-alive connection.
struct Client<'a> {
    stream: TcpStream,
    people: &'a [String],
    /// Who sends the next request.
    next: usize,
    buffer: Vec<u8>,
}

impl<'a> Client<'a> {
    fn new(address: SocketAddr, people: &'a [String]) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("an option");
        Self { stream, people, next: 0, buffer: vec![0; 1 << 20] }
    }

    fn body(mut self) -> Vec<u8> {
        let head = self.read_answer();
        self.buffer[head.0..head.1].to_vec()
    }

    /// Reads one answer, and returns where its body begins and ends in the buffer.
    fn read_answer(&mut self) -> (usize, usize) {
        let person = &self.people[self.next % self.people.len()];
        self.next += 1;
        let request = ["GET /api/vms HTTP/1.1\r\nhost: localhost\r\n", person, "\r\n"].concat();
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
    assert!(text.starts_with("http/1.1 200"), "{text}");
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.expect("a body of known length").trim().parse().expect("a number");
    Some((head, head + length))
}

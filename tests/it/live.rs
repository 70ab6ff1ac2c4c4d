//! Many who look at once: what streams of events cost the program, and that they end with it.
//!
//! The large variant is for a release build: `make load` runs it, and prints what it measures.

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::program::{PROGRAM, Running};

/// DESIGN §6, of a release build. Futures are several times as large in a build for tests, which is held to what keeps a
/// leak from passing.
fn most_per_client() -> u64 {
    if std::env::var_os(RELEASE).is_some() { 16 << 10 } else { 64 << 10 }
}

/// Names the release build to test.
const RELEASE: &str = "WUKONG_PROGRAM";
/// Changes that each view remembers (`events::channel`), at one in two seconds and some: after that views grow no more.
const RINGS_FILLED: Duration = Duration::from_secs(25);
const CLIENTS: usize = 1000;
/// DESIGN §5: SIGTERM drains within 10 s.
const DRAIN: Duration = Duration::from_secs(10);

/// The one that is being tested, or the release build that `WUKONG_PROGRAM` names.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var(RELEASE).unwrap_or_else(|_| PROGRAM.to_owned()));
    command.args(arguments).env_clear().env("HOME", "/nonexistent").current_dir("/");
    command
}

/// Sockets that follow events, read in turn.
struct Crowd {
    streams: Vec<TcpStream>,
    bytes: usize,
    /// Milliseconds between the moment that an event tells of and its arrival.
    delays: Vec<u64>,
}

impl Crowd {
    fn new() -> Self {
        Self { streams: Vec::new(), bytes: 0, delays: Vec::new() }
    }

    fn join(&mut self, address: SocketAddr, query: &str) {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET /api/events{query} HTTP/1.1\r\nhost: {address}\r\n\r\n").unwrap();
        let mut head = [0; 15];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK", "{query}");
        stream.set_nonblocking(true).unwrap();
        self.streams.push(stream);
    }

    /// Reads whatever comes, for this long.
    fn read_for(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.read();
            sleep(Duration::from_millis(5));
        }
    }

    fn read(&mut self) {
        let mut buffer = vec![0; 64 << 10];
        for stream in &mut self.streams {
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => panic!("the server ended a stream"),
                    Ok(bytes) => {
                        self.bytes += bytes;
                        self.delays.extend(delay(&buffer[..bytes]));
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// 99 of 100 events took no longer.
    fn p99(&mut self) -> u64 {
        self.delays.sort_unstable();
        assert!(!self.delays.is_empty(), "no event came");
        self.delays[self.delays.len() * 99 / 100]
    }
}

/// Of a change in JSON that begins in these bytes.
fn delay(bytes: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(bytes);
    let (_, change) = text.split_once("event: change\n")?;
    let (_, now) = change.split_once("\"now\":")?;
    let now: u64 = now.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    Some(here.saturating_sub(now))
}

/// Resident bytes of the program that are its own.
fn memory(running: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", running.0.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
}

/// The middle of what it is over some seconds: collecting takes a few MB for a moment, which are nobody's.
fn usual_memory(running: &Running, crowd: &mut Crowd) -> u64 {
    let mut seen: Vec<u64> = (0..41)
        .map(|_| {
            crowd.read_for(Duration::from_millis(200));
            memory(running)
        })
        .collect();
    seen.sort_unstable();
    seen[seen.len() / 2]
}

/// CPU time of the program.
fn cpu(running: &Running) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", running.0.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // USER_HZ is 100 on every Linux.
    Duration::from_millis(ticks * 10)
}

fn wait_until_ready(address: SocketAddr) {
    let begun = Instant::now();
    loop {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        if answer.contains("200 OK") {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{answer}");
        sleep(Duration::from_millis(100));
    }
}

/// What one page of the list, one VM and the sources ask, for pages and for programs.
fn queries(distinct: usize) -> Vec<String> {
    let sorts = ["name", "cpu", "memory", "disk"];
    let orders = ["asc", "desc"];
    let formats = ["json", "postcard"];
    (0..distinct)
        .map(|n| {
            let (format, sort, order) = (formats[n % 2], sorts[n / 2 % 4], orders[n / 8 % 2]);
            format!("?format={format}&sort={sort}&order={order}&page={}", n / 16 + 1)
        })
        .collect()
}

#[test]
fn a_thousand_clients_cost_little_memory_stalled_ones_hold_nobody_up_and_all_end_with_the_program() {
    let (mut running, address) = Running::start(&mut program(&[
        "demo",
        "--vms=100",
        "--nodes=4",
        "--metrics-interval=2s",
        "--disk-interval=2s",
        "--listen=127.0.0.1:0",
    ]));
    wait_until_ready(address);
    let queries = queries(20);
    let mut crowd = Crowd::new();
    queries.iter().for_each(|query| crowd.join(address, query));
    crowd.read_for(RINGS_FILLED);
    let before = usual_memory(&running, &mut crowd);
    (queries.len()..CLIENTS).for_each(|n| crowd.join(address, &queries[n % queries.len()]));
    let each = usual_memory(&running, &mut crowd).saturating_sub(before) / (CLIENTS - queries.len()) as u64;
    println!("{CLIENTS} clients, 20 views: {each} bytes each");
    assert!(each <= most_per_client(), "a client costs {each} bytes");

    // A tenth of them reads no more.
    let alone = crowd.p99();
    let stalled = crowd.streams.split_off(CLIENTS * 9 / 10);
    let before = memory(&running);
    crowd.delays.clear();
    crowd.read_for(Duration::from_secs(5));
    let more = memory(&running).saturating_sub(before) / stalled.len() as u64;
    let beside = crowd.p99();
    println!(
        "events took {alone} ms, beside {} stalled clients {beside} ms; those {more} bytes more each",
        stalled.len()
    );
    assert!(beside < alone + 1000, "{beside} ms instead of {alone} ms");
    assert!(more < 64 << 10, "a stalled client costs {more} bytes more");

    let begun = Instant::now();
    Command::new("kill").arg(running.0.id().to_string()).status().unwrap();
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    assert!(begun.elapsed() < DRAIN, "{:?}", begun.elapsed());
    println!("SIGTERM with {CLIENTS} streams: ended after {:?}", begun.elapsed());
}

/// Needs a release build, and two cores for the simulated cluster and the program side by side: `make load`.
#[test]
#[ignore = "minutes, and for a release build: make load"]
fn two_hundred_views_of_ten_thousand_vms_cost_less_than_half_a_core() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let file = kubeconfig.to_str().unwrap();
    let (_sim, _) =
        Running::start(&mut program(&["sim", "--vms=10000", "--nodes=500", "--kubeconfig-out", file]));
    let (running, address) = Running::start(&mut program(&["--kubeconfig", file, "--listen=127.0.0.1:0"]));
    wait_until_ready(address);
    // Two cycles of metrics, so that what is compared is the steady state.
    sleep(Duration::from_secs(30));
    let measure = |crowd: &mut Crowd| {
        let (begun, before) = (Instant::now(), cpu(&running));
        crowd.read_for(Duration::from_secs(30));
        (cpu(&running) - before).as_secs_f64() / begun.elapsed().as_secs_f64()
    };
    let mut crowd = Crowd::new();
    let idle = measure(&mut crowd);
    let memory_before = memory(&running);
    let queries = queries(200);
    (0..CLIENTS).for_each(|n| crowd.join(address, &queries[n % queries.len()]));
    crowd.read_for(Duration::from_secs(10));
    (crowd.bytes, crowd.delays) = (0, Vec::new());
    let busy = measure(&mut crowd);
    let figures = BTreeMap::from([
        ("cores without clients", idle),
        ("cores with 1,000 clients on 200 views", busy),
        ("MiB more", memory(&running).saturating_sub(memory_before) as f64 / 1_048_576.0),
        ("kB/s sent to each", crowd.bytes as f64 / 30_000.0 / CLIENTS as f64),
        ("p99 of events in ms", crowd.p99() as f64),
    ]);
    for (name, figure) in figures {
        println!("{name:40} {figure:8.2}");
    }
    assert!(busy - idle < 0.5, "{:.2} cores", busy - idle);
}

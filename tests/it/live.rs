//! Many viewers at once: the memory that event streams take, and that they end with the program. `make bench` measures the
//! same with a release build and 10,000 VMs.

use std::{
    fs,
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    event_clients::{EventClients, queries},
    program::{PROGRAM, Running, get},
    wait::eventually,
};

/// Limit for a test build, whose futures are several times larger than a release's. It is low enough to find a leak.
const MOST_PER_CLIENT: u64 = 64 << 10;
/// Changes that each view remembers (`events::channel`), at one in two seconds and some: after that views grow no more.
const RINGS_FILLED: Duration = Duration::from_secs(25);
const CLIENTS: usize = 1000;
/// Longest time between SIGTERM and the end of the program.
const DRAIN: Duration = Duration::from_secs(10);

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_clear().env("HOME", "/nonexistent").current_dir("/");
    command
}

/// Returns the private resident bytes of the program.
fn memory(running: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", running.0.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
}

/// Returns the median over some seconds: collecting takes a few MB for short times.
fn usual_memory(running: &Running, clients: &mut EventClients) -> u64 {
    let mut seen: Vec<u64> = (0..41)
        .map(|_| {
            clients.read_for(Duration::from_millis(200));
            memory(running)
        })
        .collect();
    seen.sort_unstable();
    seen[seen.len() / 2]
}

fn wait_until_ready(address: SocketAddr) {
    eventually(|| {
        let answer = get(address, "/readyz");
        if answer.contains("200 OK") { Ok(()) } else { Err(answer) }
    });
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
    let mut clients = EventClients::new();
    queries.iter().for_each(|query| clients.join(address, query));
    clients.read_for(RINGS_FILLED);
    let before = usual_memory(&running, &mut clients);
    (queries.len()..CLIENTS).for_each(|n| clients.join(address, &queries[n % queries.len()]));
    let each = usual_memory(&running, &mut clients).saturating_sub(before) / (CLIENTS - queries.len()) as u64;
    println!("{CLIENTS} clients, 20 views: {each} bytes each");
    assert!(each <= MOST_PER_CLIENT, "a client costs {each} bytes");

    // A tenth of them stops reading.
    let alone = clients.p99();
    let stalled = clients.streams.split_off(CLIENTS * 9 / 10);
    let before = memory(&running);
    clients.delays.clear();
    clients.read_for(Duration::from_secs(5));
    let more = memory(&running).saturating_sub(before) / stalled.len() as u64;
    let beside = clients.p99();
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

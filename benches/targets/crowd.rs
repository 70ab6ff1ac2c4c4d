//! Many viewers at once: what 1,000 clients of the event stream cost.

use std::{net::Ipv4Addr, time::Duration};

use super::{
    event_clients::{EventClients, queries},
    process::Program,
    table::{Must, Table, median},
};

const CLIENTS: usize = 1000;
const SECOND: Duration = Duration::from_secs(1);

pub fn measure(table: &mut Table) {
    let folder = tempfile::tempdir().expect("a folder");
    let start = |vms: &str, nodes: &str, arguments: &[&str]| {
        let kubeconfig = folder.path().join(format!("kubeconfig-{vms}"));
        let kubeconfig = kubeconfig.to_str().expect("a path in UTF-8").to_owned();
        let cluster =
            Program::start(&["sim", "--vms", vms, "--nodes", nodes, "--kubeconfig-out", &kubeconfig]);
        let server = Program::start(&[&["--kubeconfig", &kubeconfig], arguments].concat());
        server.await_ok("/readyz", Duration::from_secs(60));
        (cluster, server)
    };
    let (_cluster, server) = start("100", "4", &["--metrics-interval=2s", "--disk-interval=2s"]);
    memory(table, &server);
    drop((_cluster, server));
    let (_cluster, server) = start("10000", "500", &[]);
    views(table, &server);
}

/// Measures the memory of a client. All views exist before, so that only clients count.
fn memory(table: &mut Table, server: &Program) {
    let queries = queries(20);
    let mut clients = EventClients::new();
    queries.iter().for_each(|query| clients.join(server.address, query));
    // Each view remembers its last eight changes, of which there is one every two seconds.
    clients.read_for(25 * SECOND);
    let before = resident_memory(server, &mut clients);
    (queries.len()..CLIENTS).for_each(|n| clients.join(server.address, &queries[n % queries.len()]));
    let more = resident_memory(server, &mut clients) - before;
    let each = more * 1e6 / 1024.0 / (CLIENTS - queries.len()) as f64;
    table.row("1,000 clients on 20 views: memory each", each, Must::BeAtMost, 16.0, "KiB");
}

/// Returns the resident memory in MB: the median of many samples, since each collection uses some for a
/// moment.
fn resident_memory(server: &Program, clients: &mut EventClients) -> f64 {
    let look = |_| {
        clients.read_for(SECOND / 5);
        server.rss()
    };
    median((0..41).map(look).collect())
}

fn views(table: &mut Table, server: &Program) {
    // Two cycles of metrics, so that the steady state is compared.
    std::thread::sleep(30 * SECOND);
    let mut clients = EventClients::new();
    let idle = cores(server, &mut clients);
    let queries = queries(200);
    // One address may have at most half of all channels.
    for n in 0..CLIENTS {
        let local = Ipv4Addr::new(127, 0, 0, 1 + (n % 4) as u8);
        clients.join_from(local, server.address, &queries[n % queries.len()]);
    }
    clients.read_for(10 * SECOND);
    // A tenth of the clients stop reading.
    let _stalled = clients.streams.split_off(CLIENTS * 9 / 10);
    clients.delays.clear();
    let busy = cores(server, &mut clients);
    let what = "10,000 VMs, 1,000 clients on 200 views";
    table.row(&format!("{what}: CPU beside collecting"), busy - idle, Must::BeAtMost, 0.5, "cores");
    let delay = clients.p99() as f64;
    table.row(&format!("{what}, 100 stalled: p99 of a change"), delay, Must::BeAtMost, 1000.0, "ms");
}

fn cores(server: &Program, clients: &mut EventClients) -> f64 {
    let before = server.cpu();
    clients.read_for(30 * SECOND);
    (server.cpu() - before) / 30.0
}

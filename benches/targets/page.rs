//! 10,000 VMs on 500 nodes: the time until all are known, the memory that the program then uses, and the cost
//! of a page view.

use std::time::{Duration, Instant};

use super::{
    process::{Program, get},
    table::{Must, Table, median},
};

const VMS: &str = "10000";
const NODES: &str = "500";
/// Page views between two readings of the CPU time, which has a resolution of 10 ms.
const VIEWS: u32 = 50;
const ROUNDS: usize = 5;
/// Time until memory is measured: ten cycles at the default interval of 15 s.
const SETTLE: Duration = Duration::from_secs(150);

pub fn measure(table: &mut Table) {
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("kubeconfig");
    let kubeconfig = kubeconfig.to_str().expect("a path in UTF-8");
    let _cluster = Program::start(&["sim", "--vms", VMS, "--nodes", NODES, "--kubeconfig-out", kubeconfig]);
    let begun = Instant::now();
    let server = Program::start(&["--kubeconfig", kubeconfig]);
    server.await_ok("/readyz", Duration::from_secs(60));
    let ready = begun.elapsed().as_secs_f64();
    table.row("10,000 VMs: start to the first whole snapshot", ready, Must::BeAtMost, 10.0, "s");
    for path in ["/", "/?view=table", "/?view=map"] {
        let what = format!("10,000 VMs: CPU time of a page view of {path}");
        table.row(&what, cpu_of_a_view(&server, path), Must::BeAtMost, 20.0, "ms");
        let size = get(server.address, path, "accept-encoding: br\r\n").body as f64 / 1000.0;
        table.row(&format!("10,000 VMs: HTML of {path}, brotli"), size, Must::BeAtMost, 60.0, "kB");
    }
    std::thread::sleep(SETTLE.saturating_sub(begun.elapsed()));
    table.row("10,000 VMs: resident memory after 10 cycles", server.rss(), Must::BeAtMost, 200.0, "MB");
}

/// Returns the CPU time of a page view in milliseconds, without what the program uses anyway in the same
/// time.
fn cpu_of_a_view(server: &Program, path: &str) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let (begun, before) = (Instant::now(), server.cpu());
        for _ in 0..VIEWS {
            assert_eq!(get(server.address, path, "").status, 200, "{path}");
        }
        let (took, busy) = (begun.elapsed(), server.cpu() - before);
        let before = server.cpu();
        std::thread::sleep(took);
        let idle = server.cpu() - before;
        (busy - idle).max(0.0) * 1000.0 / f64::from(VIEWS)
    });
    median(rounds.collect())
}

//! What a join costs with 10,000 VMs on 500 nodes and all sources: the whole of it, a second in which nothing
//! changed, and one in which 1 % of the VMs changed. Absolute times differ threefold from machine to machine, so
//! each is judged by its ratio to another of the same run. `make bench` runs it; exits with 1 if a target is missed.

mod cluster;

use std::time::Instant;

use cluster::{Cluster, VMS};
use wukong_core::{ClusterState, Snapshot};

const TIMES: usize = 15;
/// Percent of a whole join that a second may cost in which 1 % of the VMs changed.
const MOST_PERCENT: f64 = 15.0;
/// What a whole join may cost, as a multiple of serialising the same snapshot as JSON.
const MOST_OF_JSON: f64 = 8.0;

fn main() {
    // `cargo test --benches` and `cargo bench -- --list` only ask for names.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return;
    }
    let (mut state, mut cluster) = (ClusterState::new(cluster::limits()), Cluster::default());
    cluster.observe_all(&mut state);
    let snapshot = state.join(cluster.now());
    assert_eq!(snapshot.vms.len(), VMS, "each VM has a row");
    let json = median(|| drop(serialise(&snapshot)));
    println!("serialising {VMS} VMs as JSON, {} MB: {json:.1} ms", serialise(&snapshot).len() >> 20);
    let whole = median(|| {
        state.forget_rows();
        drop(state.join(cluster.now()));
    });
    let idle = median(|| {
        cluster.pass_second();
        drop(state.join(cluster.now()));
    });
    let mut applied = 0.0;
    let some = median_of(|| {
        cluster.pass_second();
        applied += millis(|| cluster.observe_changes(&mut state));
        millis(|| drop(state.join(cluster.now())))
    });
    println!("observing the changes of 1 % of the VMs: {:.2} ms", applied / TIMES as f64);
    let rows = [
        ("join of everything, as a multiple of the JSON", whole, whole / json, MOST_OF_JSON),
        ("join when nothing changed, percent of the whole", idle, idle / whole * 100.0, MOST_PERCENT),
        ("join when 1 % of the VMs changed, percent of the whole", some, some / whole * 100.0, MOST_PERCENT),
    ];
    let mut missed = 0;
    for (what, millis, ratio, most) in rows {
        let verdict = if ratio <= most { "" } else { "  MISSED" };
        missed += i32::from(ratio > most);
        println!("10,000 VMs: {what:<58} {millis:>8.2} ms {ratio:>6.2} ≤ {most:>5.1}{verdict}");
    }
    std::process::exit(missed.min(1));
}

fn serialise(snapshot: &Snapshot) -> Vec<u8> {
    let vms: Vec<_> = snapshot.vms.iter().map(|vm| &**vm).collect();
    serde_json::to_vec(&vms).expect("JSON")
}

fn median(mut work: impl FnMut()) -> f64 {
    median_of(|| millis(&mut work))
}

/// Returns the median, which a short disturbance of the machine hardly changes.
fn median_of(measure: impl FnMut() -> f64) -> f64 {
    let mut measured: Vec<f64> = std::iter::repeat_with(measure).take(TIMES).collect();
    measured.sort_by(f64::total_cmp);
    measured[TIMES / 2]
}

fn millis(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64() * 1000.0
}

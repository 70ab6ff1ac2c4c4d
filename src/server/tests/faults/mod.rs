//! The fault matrix: every source × every way to fail × before and after its first success. For each: no panic, no
//! invented figure, no other source's figures touched, the right reason, few requests, and fresh figures soon after.
//!
//! What comes before any request (nobody listens, no handshake, a certificate of a stranger) affects every
//! source that uses the same connection: nine sources of the API server at once.

mod failure;
mod judge;
mod rig;
mod victim;

use std::{
    collections::{HashMap, HashSet},
    io::Write as _,
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use collector::{
    config::{CephConfig, CollectConfig, KubeletAccess, KubeletConfig, PrometheusConfig},
    from_kubeconfig_text,
};
use i18n::Render;
use model::{
    figure::{Figure, Layer, Missing, Sample, Source},
    reason::Reason,
    source::{SourceHealth, SourceId, SourceState},
    vm::Vm,
};
use wukong_core::{MISSING_AFTER, Snapshot};

use simulator::{
    Backend, Clock, ConnectionFault, Disk, DiskMode, Fault, Guest, Node, Options, Peer, Resource, Scenario,
    Target,
};

use failure::FailureMode;
use judge::*;
use rig::*;
use victim::Victim;

/// Kubelets and metrics-server give times in whole seconds: with less, what is fresh would look stale.
const INTERVAL: Duration = Duration::from_millis(800);
/// How often volumes are measured: in whole seconds, so that two measurements are one or two of these apart.
const MEASURED: Duration = Duration::from_secs(1);
/// The deadline of a source that is slow or hangs.
const SHORT_DEADLINE: Duration = Duration::from_millis(1_500);
/// The deadline of every other source. None comes near it, unless the machine is busy for so long.
const LONG_DEADLINE: Duration = Duration::from_secs(10);
/// The largest answer that is read. A small limit is exceeded soon, also on a busy machine.
const ANSWER_LIMIT: usize = 2 << 20;
/// How long a condition may take to hold, beside the time that the program itself needs for it. Only a
/// failure takes this long.
const TEST_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest time until every figure is fresh again. Without load it takes less than 10 s: the longest back-off,
/// that of a watch, is 5 s.
const RECOVERY: Duration = Duration::from_secs(30);
const RETRY_AFTER: u64 = 1;
/// For a machine of two cores; WUKONG_FAULTS_AT_ONCE overrides it. WUKONG_FAULTS selects the cells whose names
/// contain its value, such as `Ceph ×`.
const CELLS_AT_ONCE: usize = 20;

const GI: u64 = 1 << 30;
const CPU: u64 = 500_000_000;
const MEMORY: u64 = GI;
const DISK: u64 = 5 * GI;

struct Cell {
    victim: Victim,
    failure: FailureMode,
    /// Whether the source had answered before.
    after: bool,
}

impl Cell {
    fn name(&self) -> String {
        let when = if self.after { "after" } else { "before" };
        format!("{:?} × {:?} × {when}", self.victim, self.failure)
    }

    async fn run(&self, truth: &Truth) -> Result<(), String> {
        let mut rig = Rig::start(Some(self), !self.after).await;
        if self.after {
            rig.within(TEST_TIMEOUT, all_well).await.map_err(|why| format!("at first {why}"))?;
            if self.victim.gave(SourceId::Kubelet) {
                rig.learn_kubelet_period().await?;
            }
            self.failure.strike(self.victim, &rig.sim);
            if self.victim.is_watch() {
                rig.sim.faults().drop_watches(self.victim.target());
            }
        }
        let begun = Instant::now();
        let met = self.victim.peer().map_or(0, |peer| rig.sim.connections(peer));
        rig.sim.requests().reset();
        self.under_way(&mut rig, truth).await?;
        self.few_requests(&rig, met, begun.elapsed())?;
        self.failure.heal(self.victim, &rig.sim);
        // A refused login is not tried again soon, so that it never locks the account.
        if self.victim == Victim::Ceph && matches!(self.failure, FailureMode::Status(401 | 403)) {
            return Ok(());
        }
        let retry_after =
            Duration::from_secs(if self.failure == FailureMode::Status(429) { RETRY_AFTER } else { 0 });
        rig.within(RECOVERY + retry_after, all_well).await.map_err(|why| format!("recovery {why}"))?;
        nothing_invented(&rig.snapshots.borrow(), truth)
    }

    /// What must show while the fault lasts.
    async fn under_way(&self, rig: &mut Rig, truth: &Truth) -> Result<(), String> {
        // A kubelet's figures expire by the distance between two measurements, as it was seen. It was seen too large
        // if the machine was busy.
        let period = if self.victim.gave(SourceId::Kubelet) { MEASURED * 6 } else { INTERVAL };
        let expiry = period * MISSING_AFTER as u32;
        let time = if self.after && !self.victim.is_watch() { expiry } else { Duration::ZERO };
        let reasons = self.failure.reasons(self.victim);
        rig.within(time + TEST_TIMEOUT, |snapshot| {
            nothing_invented(snapshot, truth)?;
            self.victim
                .sources(self.after)
                .into_iter()
                .try_for_each(|id| self.source_says(source(snapshot, id)?))?;
            let listed = self.after || self.victim != Victim::ApiServer;
            if listed && !self.victim.is_watch() && snapshot.vms.len() != 2 {
                return Err(format!("{} VMs", snapshot.vms.len()));
            }
            if self.victim.is_watch() {
                return Ok(());
            }
            snapshot.vms.iter().try_for_each(|vm| {
                figures(vm).into_iter().try_for_each(|(name, figure)| {
                    if !self.victim.owns(name, figure) {
                        return fresh(vm, name, figure);
                    }
                    match self.victim.missing(vm, name, figure) {
                        Some(missing) if !reasons.contains(&missing.reason) => {
                            Err(format!("{name}: reason {:?}, none of {reasons:?}", missing.reason))
                        }
                        Some(missing)
                            if self.after
                                && !self.failure.is_an_answer(self.victim)
                                && missing.last.is_none() =>
                        {
                            Err(format!("{name}: no last value: {missing:?}"))
                        }
                        Some(_) => Ok(()),
                        None => Err(format!("{name} still shown: {figure:?}")),
                    }
                })
            })
        })
        .await
    }

    fn source_says(&self, health: &SourceHealth) -> Result<(), String> {
        if self.failure.is_an_answer(self.victim) {
            return Ok(());
        }
        match health.reason {
            Some(reason)
                if self.failure.reasons(self.victim).contains(&reason)
                    && !health.error.is_empty()
                    && health.error.english().contains(self.failure.words(self.victim)) =>
            {
                Ok(())
            }
            _ => Err(format!("{health:?}")),
        }
    }

    /// No source is asked more often because it fails: once an interval, or after a back-off that is half of it at
    /// least. A watch that cannot be opened is tried a few times a second at most.
    fn few_requests(&self, rig: &Rig, met: u64, time: Duration) -> Result<(), String> {
        let rounds = time.div_duration_f64(INTERVAL / 2).ceil() as u64 + 2;
        let most = rounds * self.victim.requests();
        let asked = match (self.failure, self.victim.peer()) {
            // That nobody listens is not counted by anybody.
            (FailureMode::Connection(_), Some(peer)) => rig.sim.connections(peer) - met,
            _ => rig.sim.requests().count(&self.victim.target()),
        };
        if asked > most { Err(format!("asked {asked} times in {time:?}, at most {most}")) } else { Ok(()) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_source_fails_alone_and_comes_back() {
    let mut cells = Vec::new();
    for victim in Victim::ALL {
        for failure in FailureMode::ALL.into_iter().filter(|failure| failure.strikes(victim)) {
            cells.extend([false, true].map(|after| Cell { victim, failure, after }));
        }
    }
    let only = std::env::var("WUKONG_FAULTS").unwrap_or_default();
    cells.retain(|cell| cell.name().contains(&only));
    let at_once = std::env::var("WUKONG_FAULTS_AT_ONCE").ok().and_then(|text| text.parse().ok());
    let (count, begun) = (cells.len(), Instant::now());
    let truth = Arc::new(truth().await);
    let run = |cell: Cell| {
        let truth = truth.clone();
        async move { cell.run(&truth).await.map_err(|why| format!("{}: {why}", cell.name())).err() }
    };
    let failed: Vec<String> = stream::iter(cells)
        .map(|cell| tokio::spawn(run(cell)))
        .buffer_unordered(at_once.unwrap_or(CELLS_AT_ONCE))
        .filter_map(|done| async { done.unwrap_or_else(|panic| Some(panic.to_string())) })
        .collect()
        .await;
    // Not by a macro: the test runner keeps what a test prints that way to itself while it passes.
    let _ = writeln!(std::io::stderr(), "fault matrix: {count} cells in {:?}", begun.elapsed());
    assert!(failed.is_empty(), "{} of {count} cells:\n{}", failed.len(), failed.join("\n"));
}

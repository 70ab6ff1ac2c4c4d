//! The one writer of snapshots: applies observations to the `ClusterState` and publishes a whole snapshot at
//! most once a second.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use collector::QueuedObservation;
use model::Millis;
use wukong_core::{ClusterState, Limits, Snapshot, history::HistoryStore, observation::Targets};

/// Shortest time between two snapshots.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// Longest time between two snapshots: figures age even without an observation.
const REJOIN_EVERY: Duration = Duration::from_secs(2);
/// Most observations that are applied before the clock is read again.
const BATCH: usize = 1024;

/// Where a snapshot and what follows from it go.
pub struct SnapshotSinks {
    pub snapshots: watch::Sender<Arc<Snapshot>>,
    /// What is worth asking the cluster for, for the collectors.
    pub targets: watch::Sender<Targets>,
    /// The history, which records the figures of each snapshot.
    pub history: Arc<HistoryStore>,
}

/// The steady clock, which times observations, and the wall clock, which people read. Both in milliseconds.
#[derive(Clone, Copy)]
pub struct Clocks {
    pub steady: fn() -> Millis,
    pub wall: fn() -> Millis,
}

/// Milliseconds by which the wall clock must leave its expected time to count as set. Smaller steps are
/// normal corrections.
const STEP: Millis = 2_000;

/// Runs until shut down, or until nothing can send observations any more.
pub async fn run(
    limits: Limits,
    clocks: Clocks,
    mut observations: mpsc::Receiver<QueuedObservation>,
    sinks: SnapshotSinks,
    shutdown: CancellationToken,
) {
    let (mut state, mut wall_step) = (ClusterState::new(limits.clone()), 0);
    let mut tick = interval(PUBLISH_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::with_capacity(BATCH);
    let (mut dirty, mut joined) = (true, Instant::now());
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            received = observations.recv_many(&mut batch, BATCH) => {
                if received == 0 {
                    return;
                }
                dirty = true;
                batch.drain(..).for_each(|queued: QueuedObservation| queued.apply(|observation| state.apply(observation)));
            }
            _ = tick.tick() => {
                if dirty || joined.elapsed() >= REJOIN_EVERY {
                    let now = (clocks.steady)();
                    let ahead = (clocks.wall)() - now;
                    if (ahead - wall_step).abs() > STEP {
                        tracing::warn!(seconds = (ahead - wall_step) / 1000, "the wall clock was set");
                        wall_step = ahead;
                        state.set_wall_step(wall_step);
                    }
                    publish(&mut state, &limits, now, &sinks);
                    (dirty, joined) = (false, Instant::now());
                }
            }
        }
    }
}

fn publish(state: &mut ClusterState, limits: &Limits, now: Millis, sinks: &SnapshotSinks) {
    let snapshot = state.join(now);
    sinks.history.record(&snapshot.vms, limits, snapshot.at);
    sinks.targets.send_if_modified(|targets| {
        let changed = *targets != snapshot.targets;
        if changed {
            *targets = snapshot.targets.clone();
        }
        changed
    });
    sinks.snapshots.send_replace(Arc::new(snapshot));
}

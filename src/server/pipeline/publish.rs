//! The one writer: takes observations in, publishes whole snapshots, at most one a second.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use model::Millis;
use wukong_core::{
    ClusterState, Limits, Snapshot,
    history::HistoryStore,
    observation::{Observation, Targets},
};

/// Shortest time between two snapshots.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// Figures age without any observation: join again after this long.
const REJOIN_EVERY: Duration = Duration::from_secs(2);
/// Observations taken in before the next look at the clock.
const BATCH: usize = 1024;

/// Where snapshots go.
pub struct SnapshotSinks {
    pub snapshots: watch::Sender<Arc<Snapshot>>,
    /// What is worth asking of: back to the collectors.
    pub targets: watch::Sender<Targets>,
    /// What is kept of each.
    pub history: Arc<HistoryStore>,
}

/// The steady clock, which observations go by, and the wall clock, which people do.
#[derive(Clone, Copy)]
pub struct Clocks {
    pub steady: fn() -> Millis,
    pub wall: fn() -> Millis,
}

/// The wall clock was set if it is this far from where it should be: less is how it is kept right.
const STEP: Millis = 2_000;

/// Runs until shut down, or until nothing can send observations any more.
pub async fn run(
    limits: Limits,
    clocks: Clocks,
    mut observations: mpsc::Receiver<Observation>,
    outlets: SnapshotSinks,
    shutdown: CancellationToken,
) {
    let (mut world, mut wall_step) = (ClusterState::new(limits.clone()), 0);
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
                batch.drain(..).for_each(|observation| world.apply(observation));
            }
            _ = tick.tick() => {
                if dirty || joined.elapsed() >= REJOIN_EVERY {
                    let now = (clocks.steady)();
                    let ahead = (clocks.wall)() - now;
                    if (ahead - wall_step).abs() > STEP {
                        tracing::warn!(seconds = (ahead - wall_step) / 1000, "the wall clock was set");
                        wall_step = ahead;
                        world.set_wall_step(wall_step);
                    }
                    publish(&mut world, &limits, now, &outlets);
                    (dirty, joined) = (false, Instant::now());
                }
            }
        }
    }
}

fn publish(world: &mut ClusterState, limits: &Limits, now: Millis, outlets: &SnapshotSinks) {
    let snapshot = world.join(now);
    outlets.history.record(&snapshot.vms, limits, snapshot.at);
    outlets.targets.send_if_modified(|targets| {
        let changed = *targets != snapshot.targets;
        if changed {
            *targets = snapshot.targets.clone();
        }
        changed
    });
    outlets.snapshots.send_replace(Arc::new(snapshot));
}

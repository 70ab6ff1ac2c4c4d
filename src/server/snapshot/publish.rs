//! The one writer: takes observations in, publishes whole snapshots, at most one a second.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    Limits, Snapshot, World,
    facts::{Observation, Targets},
    history::Store,
};
use crate::model::Millis;

/// Shortest time between two snapshots.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// Figures age without any observation: join again after this long.
const REJOIN_EVERY: Duration = Duration::from_secs(2);
/// Observations taken in before the next look at the clock.
const BATCH: usize = 1024;

/// Where snapshots go.
pub struct Outlets {
    pub snapshots: watch::Sender<Arc<Snapshot>>,
    /// What is worth asking of: back to the collectors.
    pub targets: watch::Sender<Targets>,
    /// What is kept of each.
    pub history: Arc<Store>,
}

/// Runs until shut down, or until nothing can send observations any more.
pub async fn run(
    limits: Limits,
    clock: fn() -> Millis,
    mut observations: mpsc::Receiver<Observation>,
    outlets: Outlets,
    shutdown: CancellationToken,
) {
    let mut world = World::new(limits.clone());
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
                    publish(&mut world, &limits, clock(), &outlets);
                    (dirty, joined) = (false, Instant::now());
                }
            }
        }
    }
}

fn publish(world: &mut World, limits: &Limits, now: Millis, outlets: &Outlets) {
    let snapshot = world.join(now);
    outlets.history.record(&snapshot.vms, limits, now);
    outlets.targets.send_if_modified(|targets| {
        let changed = *targets != snapshot.targets;
        if changed {
            *targets = snapshot.targets.clone();
        }
        changed
    });
    outlets.snapshots.send_replace(Arc::new(snapshot));
}

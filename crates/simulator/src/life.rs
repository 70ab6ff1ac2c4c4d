//! What happens by itself: one live migration ends and another begins, a VM is stopped and started again.

use std::{sync::Arc, time::Duration};

use super::{
    clock::{MINUTE, Millis},
    guest::{EVENT_TTL, Guest, PodPhase, State},
    node::Kubelet,
    rng::Rng,
    world::SimulatedCluster,
};

/// How long the pods of a finished migration remain.
const FINISHED_PODS_KEPT: Millis = 5 * MINUTE;
/// One step in this many stops or starts a VM.
const STEPS_PER_SWITCH: u64 = 4;

/// Takes a step every `pace`, forever.
pub async fn run(world: Arc<SimulatedCluster>, pace: Duration, seed: u64) {
    let mut step = 0;
    loop {
        tokio::time::sleep(pace).await;
        step += 1;
        take_step(&world, seed, step);
    }
}

/// Takes one step. The same seed, number and world give the same step.
pub fn take_step(world: &SimulatedCluster, seed: u64, number: u64) {
    let mut rng = Rng::of(seed, &["life", &number.to_string()]);
    let guests: Vec<_> = world.guests().into_iter().filter(|guest| !guest.fixture).collect();
    end_migrations(world, &guests);
    clear_up(world, &guests);
    expire_events(world);
    // One migration, and another for every 2,000 VMs.
    for _ in 0..=guests.len() / 2_000 {
        begin_migration(world, &guests, &mut rng);
    }
    if number.is_multiple_of(STEPS_PER_SWITCH) {
        switch(world, &guests, &mut rng);
    }
}

fn end_migrations(world: &SimulatedCluster, guests: &[Arc<Guest>]) {
    for guest in guests.iter().filter(|guest| guest.migrating().is_some()) {
        world.finish_migration(&guest.namespace, &guest.name, false);
    }
}

/// Removes the finished pods of old migrations.
fn clear_up(world: &SimulatedCluster, guests: &[Arc<Guest>]) {
    let before = world.clock.now() - FINISHED_PODS_KEPT;
    let old = |guest: &Guest| {
        guest.migration.as_ref().and_then(|migration| migration.ended).is_some_and(|at| at < before)
    };
    for guest in guests.iter().filter(|guest| old(guest) && guest.launchers.len() > 1) {
        world.change(&guest.namespace, &guest.name, |guest| {
            guest.launchers.retain(|pod| matches!(pod.phase, PodPhase::Running | PodPhase::Pending));
            guest.put_migration_aside();
        });
    }
}

/// Removes old Events, also those of fixtures.
fn expire_events(world: &SimulatedCluster) {
    let before = world.clock.now() - EVENT_TTL;
    for guest in world.guests().iter().filter(|guest| guest.has_occurrences_before(before)) {
        world.change(&guest.namespace, &guest.name, |guest| guest.forget_occurrences_before(before));
    }
}

fn begin_migration(world: &SimulatedCluster, guests: &[Arc<Guest>], rng: &mut Rng) {
    let nodes: Vec<_> = world.nodes().into_iter().filter(|node| node.kubelet == Kubelet::Answers).collect();
    let live = |name: &str| nodes.iter().any(|node| node.name == name);
    let movable = |guest: &&Arc<Guest>| {
        guest.state == State::Running
            && guest.migration.is_none()
            && guest.holder().is_some_and(|pod| live(&pod.node))
    };
    let Some(guest) = pick(guests.iter().filter(movable), rng) else { return };
    let source = guest.holder().map(|pod| pod.node.clone()).unwrap_or_default();
    if let Some(target) = pick(nodes.iter().filter(|node| node.name != source), rng) {
        world.start_migration(&guest.namespace, &guest.name, &target.name);
    }
}

/// Starts the VM that an earlier step stopped, or else stops one.
fn switch(world: &SimulatedCluster, guests: &[Arc<Guest>], rng: &mut Rng) {
    let now = world.clock.now();
    let stopped = guests.iter().filter(|guest| guest.state == State::Stopped && guest.incarnation > 0);
    if let Some(guest) = pick(stopped, rng) {
        let nodes: Vec<_> =
            world.nodes().into_iter().filter(|node| node.kubelet == Kubelet::Answers).collect();
        if let Some(node) = pick(nodes.iter(), rng) {
            world.change(&guest.namespace, &guest.name, |guest| guest.start(&node.name, now));
        }
        return;
    }
    let running = guests.iter().filter(|guest| guest.state == State::Running && guest.migration.is_none());
    if let Some(guest) = pick(running, rng) {
        // This step may have started to migrate it.
        world.change(&guest.namespace, &guest.name, |guest| {
            if guest.migration.is_none() {
                guest.stop(now);
            }
        });
    }
}

fn pick<T>(items: impl Iterator<Item = T>, rng: &mut Rng) -> Option<T> {
    let mut items: Vec<T> = items.collect();
    match items.len() {
        0 => None,
        count => Some(items.swap_remove(rng.below(count as u64) as usize)),
    }
}

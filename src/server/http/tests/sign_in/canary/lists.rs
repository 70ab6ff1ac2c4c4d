//! Plays what lists the Events of a VM.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{
    objects::{Row, events, namespace, vm},
    world::CanaryCluster,
};
use collector::{events::EventsQuestions, queue::Question};

/// Plays an API server that knows the Events of each VM.
pub async fn answer_lists(
    mut questions: EventsQuestions,
    world: CanaryCluster,
    listed: Arc<Mutex<BTreeSet<String>>>,
) {
    let events_of = |row: &Row| ((namespace(row.namespace), vm(row).vm_name), events(row));
    let all: BTreeMap<_, _> = world.rows.iter().map(events_of).collect();
    loop {
        let Question { about, reply, .. } = questions.next().await;
        listed.lock().insert(about.vm_name.clone());
        reply.send(Ok(all.get(&(about.namespace, about.vm_name)).cloned().unwrap_or_default()));
    }
}

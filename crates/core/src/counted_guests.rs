//! Keeps what virt-handlers count of guests, and what they said last. `ClusterState` has it; `activity` reads it.

use hashbrown::HashMap;

use super::{
    objects::Objects,
    observation::{GuestFacts, GuestMemory, GuestsFacts, InstanceFacts, Key, KubevirtVersion, SourceError},
    rates::{GuestRun, GuestSample, RateTracker},
};
use model::{Millis, activity::MigrationProgress};

/// Interfaces and drives that are kept of all guests together: 20 each for 10,000 VMs, which take 60 MB.
const MOST_DEVICES: usize = 200_000;

/// The guests of all virt-handlers.
#[derive(Debug, Default)]
pub(super) struct CountedGuests {
    by_instance: HashMap<Key, Box<CountedGuest>>,
    by_node: HashMap<Box<str>, NodeHandler>,
    /// Interfaces and drives of all guests.
    devices: usize,
}

/// The last sample of one guest.
#[derive(Debug)]
pub(super) struct CountedGuest {
    pub tracker: RateTracker,
    pub memory: GuestMemory,
    /// Only while it migrates.
    pub migration: Option<Box<MigrationProgress>>,
}

/// What the virt-handler of one node said last.
#[derive(Debug, Default)]
pub(super) struct NodeHandler {
    pub answered: Option<Millis>,
    pub error: Option<SourceError>,
    last_seen: Millis,
    /// The first version of KubeVirt that reports how long vCPUs wait, if that of the node is older.
    pub contention_since: Option<KubevirtVersion>,
}

impl CountedGuests {
    /// Takes the answer of a node's virt-handler. It is believed about instances that run on this node. Samples that
    /// are farther apart than `longest` milliseconds have no rates.
    pub fn take(
        &mut self,
        (node, at): (&str, Millis),
        result: Result<GuestsFacts, SourceError>,
        instances: &Objects<InstanceFacts>,
        longest: Millis,
    ) {
        let handler = self.by_node.entry(node.into()).or_default();
        handler.last_seen = at;
        let facts = match result {
            Ok(facts) => facts,
            Err(error) => return handler.error = Some(error),
        };
        (handler.error, handler.answered) = (None, Some(at));
        handler.contention_since = facts.contention_since;
        for guest in facts.guests {
            if let Some(instance) = instances.get(&guest.instance).filter(|of| of.node_name == node) {
                let run = GuestRun { instance: instance.uid.as_str().into(), node: node.into() };
                self.add(run, at, guest, longest);
            }
        }
    }

    fn add(&mut self, run: GuestRun, at: Millis, guest: GuestFacts, longest: Millis) {
        let GuestFacts { instance, memory, migration, mut counters } = guest;
        let before = self.by_instance.get(&instance).map_or(0, |guest| guest.devices());
        let others = self.devices - before;
        if others + counters.interfaces.len() + counters.drives.len() > MOST_DEVICES {
            (counters.interfaces, counters.drives) = (Vec::new(), Vec::new());
            (counters.interfaces_left_out, counters.drives_left_out) = (true, true);
        }
        let sample = GuestSample { run, at, counters };
        let guest = match self.by_instance.entry(instance) {
            hashbrown::hash_map::Entry::Occupied(known) => {
                let known = known.into_mut();
                known.tracker.add(sample, longest);
                (known.memory, known.migration) = (memory, migration);
                known
            }
            hashbrown::hash_map::Entry::Vacant(new) => {
                new.insert(Box::new(CountedGuest { tracker: RateTracker::new(sample), memory, migration }))
            }
        };
        self.devices = others + guest.devices();
    }

    /// Drops nodes that were not asked since `before`, and returns them.
    pub fn forget(&mut self, before: Millis) -> Vec<Box<str>> {
        self.by_node.extract_if(|_, handler| handler.last_seen < before).map(|(node, _)| node).collect()
    }

    /// Drops guests whose instance is gone.
    pub fn retain(&mut self, exists: impl Fn(&Key) -> bool) {
        self.by_instance.retain(|instance, _| exists(instance));
        self.devices = self.by_instance.values().map(|guest| guest.devices()).sum();
    }

    pub fn guest(&self, instance: &InstanceFacts) -> Option<&CountedGuest> {
        let at = super::observation::KeyRef(&instance.namespace, &instance.name);
        let guest = self.by_instance.get(&at)?;
        // The sample of an earlier run says nothing about this one.
        let run = &guest.tracker.last().run;
        (*run.instance == *instance.uid && *run.node == *instance.node_name).then_some(guest)
    }

    pub fn node(&self, node: &str) -> Option<&NodeHandler> {
        self.by_node.get(node)
    }

    /// When a virt-handler last answered.
    pub fn answered(&self) -> Option<Millis> {
        self.by_node.values().filter_map(|handler| handler.answered).max()
    }
}

impl CountedGuest {
    fn devices(&self) -> usize {
        let counters = &self.tracker.last().counters;
        counters.interfaces.len() + counters.drives.len()
    }
}

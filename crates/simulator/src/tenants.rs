//! What a node has for those that run on it. If its guests want more, each gets the same share of what it wants, so that
//! together they never use more than the node has: neither of its CPU nor of its memory.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::{
    clock::{Millis, SECOND},
    guest::{Guest, PodPhase},
    load::{Amounts, Load, Share},
    node::{Node, PlainPod, plain_pod_amounts},
    objects::attachment,
};

/// How much later the figures of pods may be taken that a page shows beside those of their node, and the steps in which a
/// load changes. A node is asked once a minute, metrics-server every 15 seconds.
const LONGEST_DELAY: Millis = 90 * SECOND;
const LOAD_STEP: Millis = 15 * SECOND;

/// What runs on one node.
pub struct Tenants {
    pub node: Arc<Node>,
    /// Guests, and which of their launchers is here.
    launchers: Vec<(Arc<Guest>, usize)>,
    /// The loads of ordinary pods.
    plain: Vec<Load>,
    /// The shares of the times that were asked for.
    shares: Mutex<HashMap<Millis, Share>>,
}

/// What is wanted of a node at one time.
#[derive(Default)]
struct Demand {
    /// By those that get what they want: the node's own processes, ordinary pods, and loads that a test has fixed.
    first: Amounts,
    guests: Amounts,
}

impl Tenants {
    pub fn new(node: Arc<Node>) -> Self {
        Self { node, launchers: Vec::new(), plain: Vec::new(), shares: Mutex::default() }
    }

    /// Adds the running pods of the guest that are on this node.
    pub fn add_guest(&mut self, guest: &Arc<Guest>) {
        let name = &self.node.name;
        let here = |pod: &crate::guest::Launcher| pod.node == *name && pod.phase == PodPhase::Running;
        let launchers = guest.launchers.iter().enumerate().filter(|(_, pod)| here(pod));
        self.launchers.extend(launchers.map(|(index, _)| (guest.clone(), index)));
        if guest.holder().is_some_and(|holder| holder.node == *name) {
            let plugged = guest.disks.iter().filter(|disk| disk.is_hotplugged());
            self.plain.extend(plugged.map(|disk| attachment(guest, disk).load));
        }
    }

    pub fn add_pod(&mut self, pod: &PlainPod) {
        if pod.node == self.node.name {
            self.plain.push(pod.load.clone());
        }
    }

    /// Returns what each guest gets at `at`.
    pub fn share(&self, at: Millis) -> Share {
        *self.shares.lock().entry(at).or_insert_with(|| self.demand(at).share(&self.node))
    }

    /// Returns the CPU in cores that a guest here uses at `at`.
    pub fn cores_of(&self, guest: &Guest, at: Millis) -> f64 {
        guest.load.cores(guest.cpu, at) * guest.load.own_share(self.share(at), at).cpu
    }

    /// Returns what the whole node uses: the most within the time in which figures of its pods may follow.
    pub fn node_use(&self, at: Millis) -> Amounts {
        let times = (0..=LONGEST_DELAY / LOAD_STEP).map(|step| at + step * LOAD_STEP);
        times.fold(Amounts::default(), |most, at| {
            let demand = self.demand(at);
            let share = demand.share(&self.node);
            let used = |first: f64, guests: f64, share: f64, has: f64| (first + guests * share).min(has);
            Amounts {
                cores: most.cores.max(used(
                    demand.first.cores,
                    demand.guests.cores,
                    share.cpu,
                    f64::from(self.node.cores),
                )),
                bytes: most.bytes.max(used(
                    demand.first.bytes,
                    demand.guests.bytes,
                    share.memory,
                    self.node.memory_bytes as f64,
                )),
            }
        })
    }

    fn demand(&self, at: Millis) -> Demand {
        let mut demand = Demand { first: self.node.own_use(), ..Demand::default() };
        self.plain.iter().for_each(|load| demand.first.add(plain_pod_amounts(load, at)));
        for (guest, index) in &self.launchers {
            let load = guest.load_of(&guest.launchers[*index]);
            let mut wanted = load.amounts(guest.cpu, guest.memory_bytes(), at);
            if guest.hugepages.is_some() {
                demand.first.bytes += guest.hugepages_overhead() as f64;
                wanted.bytes = 0.0;
            }
            if load.is_fixed(at) { demand.first.add(wanted) } else { demand.guests.add(wanted) }
        }
        demand
    }
}

impl Demand {
    fn share(&self, node: &Node) -> Share {
        let of = |has: f64, first: f64, wanted: f64| {
            let left = (has - first).max(0.0);
            if wanted <= left { 1.0 } else { left / wanted }
        };
        Share {
            cpu: of(f64::from(node.cores), self.first.cores, self.guests.cores),
            memory: of(node.memory_bytes as f64, self.first.bytes, self.guests.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenants(node: Node, guests: impl IntoIterator<Item = Guest>) -> Tenants {
        let mut tenants = Tenants::new(Arc::new(node));
        guests.into_iter().for_each(|guest| tenants.add_guest(&Arc::new(guest)));
        tenants
    }

    fn guest(name: &str, cpu: u32) -> Guest {
        let mut guest = Guest::new("a", name).cpu(cpu).memory("64Gi").running_on("n", 0);
        guest.load = Load::Curve { profile: crate::load::Profile::Hot, seed: 1, memory: 0.9 };
        guest
    }

    #[test]
    fn guests_get_what_they_want_while_there_is_enough() {
        let tenants = tenants(Node::new("n"), [guest("one", 8)]);
        assert_eq!(tenants.share(0), Share::WHOLE);
        let used = tenants.node_use(0);
        assert!(used.cores > 11.0 && used.cores < 12.2, "of itself and of the guest: {}", used.cores);
        assert!(tenants.node_use(0).cores >= tenants.cores_of(&guest("one", 8), 0));
    }

    #[test]
    fn guests_that_want_more_share_what_there_is() {
        let guests = ["one", "two"].map(|name| guest(name, 50));
        let mut node = Node::new("n");
        node.memory_bytes = 64 << 30;
        let tenants = tenants(node, guests.clone());
        let share = tenants.share(0);
        assert!(share.cpu < 0.64 && share.cpu > 0.55 && share.memory < 0.6, "{share:?}");
        let used: f64 = guests.iter().map(|guest| tenants.cores_of(guest, 0)).sum();
        assert!((used - 60.0).abs() < 1e-6, "{used}");
        assert_eq!(
            (tenants.node_use(0).cores, tenants.node_use(0).bytes),
            (64.0, f64::from(64 << 10) * 1048576.0)
        );
    }

    /// A page shows the figures of VMs beside those of their node, which is asked less often.
    #[test]
    fn a_node_uses_no_less_than_its_guests_a_minute_later() {
        let mut busy = guest("one", 40);
        let idle = Load::Curve { profile: crate::load::Profile::Idle, seed: 1, memory: 0.1 };
        busy.load =
            Load::Changed { at: 60 * SECOND, before: Box::new(idle), after: Box::new(busy.load.clone()) };
        let later = busy.load.amounts(busy.cpu, busy.memory_bytes(), 75 * SECOND);
        let used = tenants(Node::new("n"), [busy]).node_use(0);
        assert!(used.cores > later.cores && used.bytes > later.bytes, "{used:?} {later:?}");
    }

    #[test]
    fn a_fixed_load_is_as_it_was_set() {
        let tenants = tenants(Node::new("n"), [guest("one", 60).uses("30", "1Gi"), guest("two", 60)]);
        assert_eq!(tenants.cores_of(&guest("one", 60).uses("30", "1Gi"), 0), 30.0);
        assert!((tenants.cores_of(&guest("two", 60), 0) - 30.0).abs() < 1e-6);
    }
}

//! Pressure stall information: how much of the time tasks have waited for a resource.

use super::{activity::seconds, clock::Millis, guest::Guest, node::Node};

/// How much of the time some and all tasks wait for a resource, in percent, and how long they have waited in
/// microseconds, as the kernel counts. All averages are the same: what a guest does changes seldom.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stall {
    pub some: f64,
    pub full: f64,
    pub some_total: u64,
    pub full_total: u64,
}

/// The pressure of each resource.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    pub cpu: Stall,
    pub memory: Stall,
    pub io: Stall,
}

/// Operations under way at which tasks wait half of the time.
const HALF_STALLED: f64 = 32.0;

impl Pressure {
    /// Of a pod that hardly does anything.
    pub fn none() -> Self {
        Self::default()
    }

    /// Of the pod of a guest on its node. Memory of the host is not short, even if the guest's own is.
    pub fn of_guest(guest: &Guest, node: &Node, at: Millis) -> Self {
        let waits = (guest.does_at(at).wait + node.wait_of(guest, at)) as f64 / 1000.0;
        // It is enough for `some` that one vCPU waits; all must wait for `full`.
        let vcpus = guest.cpu as i32;
        let (some, full) = (1.0 - (1.0 - waits).powi(vcpus), waits.powi(vcpus));
        let in_flight = guest.does_at(at).in_flight();
        let stalled = in_flight / (in_flight + HALF_STALLED);
        let since = guest.abnormal_activity.as_ref().map_or(guest.on_node_since(), |abnormal| abnormal.since);
        let since = node.noisy_neighbour.as_ref().map_or(since, |neighbour| neighbour.since.max(since));
        let waited = seconds(since.max(guest.on_node_since()), at);
        let stall = |some: f64, full: f64| Stall::new(some, full, waited);
        Self { cpu: stall(some, full), memory: stall(0.0, 0.0), io: stall(stalled, stalled * 0.6) }
    }

    /// Of a whole node: somebody waits at least as long as the pod that waits longest.
    pub fn of_node<'a>(pods: impl Iterator<Item = &'a Self>) -> Self {
        pods.fold(Self::none(), |all, pod| Self {
            cpu: all.cpu.longest(pod.cpu),
            memory: all.memory.longest(pod.memory),
            io: all.io.longest(pod.io),
        })
    }
}

impl Stall {
    fn new(some: f64, full: f64, seconds: f64) -> Self {
        let percent = |share: f64| (share * 10_000.0).round() / 100.0;
        let total = |share: f64| (share * seconds * 1e6) as u64;
        Self { some: percent(some), full: percent(full), some_total: total(some), full_total: total(full) }
    }

    /// Not all tasks of a node wait at once.
    fn longest(self, other: Self) -> Self {
        if other.some > self.some { Self { full: 0.0, full_total: 0, ..other } } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activity, NoisyNeighbour};

    #[test]
    fn a_guest_beside_a_noisy_neighbour_waits_for_the_cpu_and_one_with_a_full_queue_for_its_disk() {
        let neighbour = NoisyNeighbour { since: 0, wait: 500, by: ("a".into(), "loud".into()) };
        let (calm, crowded) = (Node::new("n"), Node::new("n").with_noisy_neighbour(neighbour));
        let queue = Activity { reads: 1_600, latency: 60_000, ..Activity::default() };
        let guest = Guest::new("a", "one").cpu(2).does(queue).running_on("n", 0);
        let pressure = Pressure::of_guest(&guest, &crowded, 10_000);
        assert_eq!(
            pressure.cpu,
            Stall { some: 75.0, full: 25.0, some_total: 7_500_000, full_total: 2_500_000 }
        );
        assert_eq!((pressure.io.some, pressure.io.full), (75.0, 45.0));
        assert_eq!(Pressure::of_guest(&guest, &calm, 10_000).cpu.some, 0.0);
        let node = Pressure::of_node([Pressure::none(), pressure].iter());
        assert_eq!((node.cpu.some, node.cpu.full), (75.0, 0.0));
        let loud = Guest::new("a", "loud").cpu(1).does(Activity::default()).running_on("n", 0);
        assert_eq!(Pressure::of_guest(&loud, &crowded, 10_000).cpu.some, 2.5);
    }
}

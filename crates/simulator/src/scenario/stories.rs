//! VMs that are slow, or that something has happened to, each for one cause that the dashboard must name.

use super::placement::{Placement, on_live_node, vm};
use crate::{
    activity::{AbnormalActivity, Activity},
    clock::{HOUR, MINUTE, Millis},
    guest::Guest,
    load::{Load, Profile},
    node::{Node, NoisyNeighbour},
};

/// The node of the noisy neighbour, in clusters of at least two.
pub const CROWDED_NODE: usize = 1;
/// Hardly more than the neighbour has.
const CROWDED_CORES: u32 = 24;
const NEIGHBOUR: (&str, &str) = ("ci", "runner-large-01");

/// How long ago each story begins.
const CROWDED_FOR: Millis = 30 * MINUTE;
const SWAPPING_FOR: Millis = 45 * MINUTE;
const QUEUED_FOR: Millis = 35 * MINUTE;
const MIGRATING_FOR: Millis = 25 * MINUTE;
const RESTARTED_AGO: Millis = 6 * MINUTE;

/// Lets the vCPUs of all guests on one node wait.
pub fn add_noisy_neighbour(nodes: &mut [Node], placement: &Placement) {
    let name = placement.live_node(CROWDED_NODE);
    let (namespace, guest) = NEIGHBOUR;
    let by = (namespace.to_owned(), guest.to_owned());
    for node in nodes.iter_mut().filter(|node| node.name == name) {
        node.cores = CROWDED_CORES;
        node.noisy_neighbour =
            Some(NoisyNeighbour { since: placement.now - CROWDED_FOR, wait: 350, by: by.clone() });
    }
}

/// It uses all its CPUs since the others on its node are slow.
pub fn noisy_neighbour(placement: &Placement) -> Guest {
    let (namespace, name) = NEIGHBOUR;
    let mut guest = vm(namespace, name, 22, "44Gi", "ubuntu-24.04", Profile::Hot, 0.58);
    let idle = Load::Curve { profile: Profile::Idle, seed: guest.seed, memory: 0.41 };
    let since = placement.now - CROWDED_FOR;
    guest.load = Load::Changed { at: since, before: Box::new(idle), after: Box::new(guest.load) };
    let usual = Activity { cpu: Some(400), wait: 2, ..Activity::of(guest.seed) };
    let busy = Activity { cpu: Some(u64::from(guest.cpu) * 990), ..usual };
    on_live_node(
        placement,
        CROWDED_NODE,
        guest.does(usual).with_abnormal_activity(AbnormalActivity { since, does: busy, drive: None }),
    )
}

/// Its drive does no more operations than before, and each takes far longer: 128 wait, as many as fit the queue.
pub fn with_a_full_queue(placement: &Placement, guest: Guest) -> Guest {
    let usual = Activity {
        reads: 700,
        writes: 900,
        read: 700 * 16_384,
        write: 900 * 16_384,
        latency: 1_800,
        ..Activity::of(guest.seed)
    };
    let full = Activity { latency: 80_000, ..usual };
    let drive = guest.disks.last().map(|disk| disk.name.clone());
    guest.does(usual).with_abnormal_activity(AbnormalActivity {
        since: placement.now - QUEUED_FOR,
        does: full,
        drive,
    })
}

/// Its own system has hardly any memory left, which the host does not see.
pub fn swapping(placement: &Placement) -> Guest {
    let guest = vm("shop", "edge-cache-01", 2, "1.5Gi", "debian-13", Profile::Steady, 0.69);
    let usual = Activity { used: Some(710), ..Activity::of(guest.seed) };
    let swapping =
        Activity { used: Some(985), swap_in: 18 << 20, swap_out: 12 << 20, major_faults: 4_200, ..usual };
    let since = placement.now - SWAPPING_FOR;
    guest.does(usual).with_abnormal_activity(AbnormalActivity { since, does: swapping, drive: None })
}

/// It writes to its memory faster than a migration can send it.
pub fn migrating_without_end(placement: &Placement) -> Guest {
    let guest = vm("monitoring", "prometheus-0", 4, "16Gi", "debian-13", Profile::Steady, 0.83);
    let does = Activity { dirty: 720_000_000, ..Activity::of(guest.seed) };
    let mut guest = on_live_node(placement, 11, guest.does(does));
    guest.start_migration(placement.live_node(2), placement.now - MIGRATING_FOR);
    guest
}

/// Its liveness probe failed, and KubeVirt started it again. The pod of the earlier start remains, `Completed`.
pub fn restarted_by_its_probe(placement: &Placement) -> Guest {
    let guest = vm("shop", "orders-worker-05", 2, "4Gi", "ubuntu-24.04", Profile::Web, 0.57).probed();
    let mut guest = guest.running_on(placement.live_node(1), placement.now - 30 * HOUR);
    guest.fail_probe(placement.live_node(2), placement.now - RESTARTED_AGO);
    guest
}

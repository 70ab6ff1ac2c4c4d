//! The bulk of the VMs: families of similar VMs, enough for ten thousand names.

use super::placement::{Placement, vm};
use crate::{
    clock::{DAY, MINUTE, Millis},
    guest::{Guest, State},
    hardware::{Backend, Disk},
    load::{Fill, Profile},
    rng::Rng,
};

struct Family {
    namespace: &'static str,
    name: &'static str,
    image: &'static str,
    cpu: &'static [u32],
    memory: &'static [&'static str],
    profile: Profile,
    /// Size of the data disk; empty if there is none.
    data: &'static [&'static str],
}

macro_rules! family {
    ($namespace:literal, $name:literal, $image:literal, $cpu:expr, $memory:expr, $profile:ident, $data:expr) => {
        Family {
            namespace: $namespace,
            name: $name,
            image: $image,
            cpu: &$cpu,
            memory: &$memory,
            profile: Profile::$profile,
            data: &$data,
        }
    };
}

const FAMILIES: [Family; 18] = [
    family!("shop", "frontend", "ubuntu-24.04", [2, 4], ["2Gi", "4Gi"], Web, []),
    family!("payments", "api-gateway", "ubuntu-24.04", [4], ["8Gi"], Web, []),
    family!("data", "kafka", "rocky-10", [4, 8], ["16Gi", "32Gi"], Steady, ["500Gi", "1Ti"]),
    family!("ci", "runner", "ubuntu-24.04", [4, 8], ["8Gi", "16Gi"], Runner, []),
    family!("shop", "orders", "debian-13", [2], ["4Gi", "6Gi"], Web, ["50Gi"]),
    family!("payments", "ledger", "rhel-9.6", [4], ["16Gi"], Database, ["200Gi"]),
    family!("data", "spark", "rocky-10", [8, 16], ["32Gi", "64Gi"], Batch, ["250Gi"]),
    family!("monitoring", "loki", "debian-13", [2, 4], ["8Gi"], Steady, ["300Gi"]),
    family!("shop", "search", "rocky-10", [4], ["12Gi"], Steady, ["150Gi"]),
    family!("staging", "preview", "ubuntu-24.04", [1, 2], ["1.5Gi", "2048Mi"], Idle, []),
    family!("payments", "risk", "rhel-9.6", [8], ["24Gi"], Batch, []),
    family!("data", "db-mysql", "debian-13", [4, 8], ["16Gi", "32Gi"], Database, ["100Gi", "400Gi"]),
    family!("ci", "registry-mirror", "debian-13", [2], ["4Gi"], Steady, ["500Gi"]),
    family!("shop", "mailer", "alpine-3.22", [1], ["500M", "512Mi"], Idle, []),
    family!("staging", "load-test", "ubuntu-24.04", [4], ["4Gi"], Idle, []),
    family!("monitoring", "blackbox", "alpine-3.22", [1], ["512Mi"], Idle, []),
    family!("payments", "hsm-proxy", "rhel-9.6", [2], ["2Gi"], Steady, []),
    family!("data", "windows-bi", "windows-2022", [4], ["8589934592"], Web, ["120Gi"]),
];

/// In clusters of hundreds of VMs, each team has one namespace per region.
const REGIONS: [&str; 8] = ["", "-eu1", "-eu2", "-us1", "-us2", "-ap1", "-ap2", "-sa1"];

pub fn fleet(count: u32, placement: &Placement, seed: u64, today: Millis) -> Vec<Guest> {
    let regions = if count > 200 { REGIONS.len() } else { 1 };
    (0..count as usize)
        .map(|index| {
            let family = &FAMILIES[index % FAMILIES.len()];
            let round = index / FAMILIES.len();
            let namespace = format!("{}{}", family.namespace, REGIONS[round % regions]);
            // Lower numbers are used in `cast`.
            let name = format!("{}-{:02}", family.name, round / regions + 10);
            let rng = Rng::of(seed, &["fleet", &namespace, &name]);
            member(family, &namespace, &name, rng, placement, index, today)
        })
        .collect()
}

fn member(
    family: &Family,
    namespace: &str,
    name: &str,
    mut rng: Rng,
    placement: &Placement,
    index: usize,
    today: Millis,
) -> Guest {
    let share = 0.25 + 0.6 * rng.unit();
    let (cpu, memory) = (*rng.pick(family.cpu), *rng.pick(family.memory));
    let mut guest = vm(namespace, name, cpu, memory, family.image, family.profile, share);
    guest.created = today - (1 + rng.below(400) as Millis) * DAY - rng.below(1_440) as Millis * MINUTE;
    if !family.data.is_empty() {
        let size = *rng.pick(family.data);
        let mut disk = Disk::new(name, "data", size);
        let share = 0.1 + 0.75 * rng.unit();
        disk.fill = match family.name {
            // Logs: there is always one whose disk will soon be full.
            "loki" => Fill::Filling { seed: guest.seed ^ 1 },
            _ => Fill::Curve { seed: guest.seed ^ 1, share },
        };
        guest.disks.push(disk.on(backend(index)));
    }
    let state = state(index, &mut rng);
    guest.agent = rng.below(3) > 0;
    guest.in_state(state, placement, index)
}

/// Data disks are on each storage backend in turn.
fn backend(index: usize) -> Backend {
    [Backend::San, Backend::Rbd { fast_diff: true }, Backend::Longhorn][index % 3]
}

/// The first eight VMs run; after that one in ten does not.
fn state(index: usize, rng: &mut Rng) -> State {
    match rng.below(100) {
        _ if index < 8 => State::Running,
        0..6 => State::Stopped,
        6..8 => State::Pending,
        8..9 => State::Creating,
        9..10 => State::Error,
        _ => State::Running,
    }
}

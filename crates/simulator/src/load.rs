//! The load of a guest: a function of its seed and the time alone, so that a run can be repeated without
//! keeping state.

use std::f64::consts::TAU;

use super::{
    clock::{DAY, HOUR, MINUTE, Millis, SECOND},
    rng::{hash, mix, unit},
};

/// How the load of a guest varies over the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Follows office hours: a working day with an evening shoulder, quiet at night and on weekends.
    Web,
    /// Follows office hours, damped, with a backup at night.
    Database,
    /// Idle, then busy for hours at night.
    Batch,
    /// Builds: minutes at full power, then nothing; mostly during working hours.
    Runner,
    /// Constant.
    Steady,
    /// Hardly any.
    Idle,
    /// At its limit.
    Hot,
}

/// The usage of a guest or of one of its pods.
#[derive(Clone, Debug, PartialEq)]
pub enum Load {
    /// `memory` is the share of the allocated memory around which the working set varies.
    Curve { profile: Profile, seed: u64, memory: f64 },
    /// Another load since a time.
    Changed { at: Millis, before: Box<Self>, after: Box<Self> },
    /// Quantities, sent exactly as given.
    Fixed { cpu: String, memory: String },
    /// A migration target before it takes over, or a launcher whose guest has not started.
    Waiting,
}

/// How full a disk is.
#[derive(Clone, Debug, PartialEq)]
pub enum Fill {
    /// A share of the capacity that grows slowly and is cleaned up from time to time.
    Curve {
        seed: u64,
        share: f64,
    },
    /// Grows from half to nearly full in nine days, then is cleared out.
    Filling {
        seed: u64,
    },
    Fixed(VolumeFigures),
}

/// The figures of one volume in a kubelet's summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VolumeFigures {
    pub used: u64,
    pub capacity: u64,
    pub available: u64,
    pub inodes: u64,
    pub inodes_free: u64,
    pub inodes_used: u64,
}

/// Cores and bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Amounts {
    pub cores: f64,
    pub bytes: f64,
}

impl Amounts {
    pub fn add(&mut self, more: Self) {
        self.cores += more.cores;
        self.bytes += more.bytes;
    }
}

/// The part that a guest gets of what it wants: `0.0..=1.0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    pub cpu: f64,
    pub memory: f64,
}

impl Share {
    pub const WHOLE: Self = Self { cpu: 1.0, memory: 1.0 };
}

/// CPU and memory as Kubernetes quantities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    pub cpu: String,
    pub memory: String,
}

const MIB: f64 = 1_048_576.0;

impl Load {
    /// Returns the usage at `at` of a guest with this many cores and bytes, of which it gets this share.
    pub fn usage(&self, cores: u32, memory_bytes: u64, share: Share, at: Millis) -> Usage {
        if let Self::Fixed { cpu, memory } = self.current(at) {
            return Usage { cpu: cpu.clone(), memory: memory.clone() };
        }
        let wanted = self.amounts(cores, memory_bytes, at);
        quantities(wanted.cores * share.cpu, wanted.bytes * share.memory)
    }

    /// Returns what a guest with this many cores and bytes wants at `at`. An invalid fixed quantity counts as zero.
    pub fn amounts(&self, cores: u32, memory_bytes: u64, at: Millis) -> Amounts {
        let bytes = match self.current(at) {
            Self::Fixed { memory, .. } => bytes(memory).unwrap_or(0) as f64,
            Self::Curve { seed, memory, .. } => {
                let resident = memory + 0.03 * (smooth(*seed ^ 0x6d, at, 20 * MINUTE) - 0.5);
                resident * memory_bytes as f64
            }
            Self::Changed { .. } | Self::Waiting => 58.0 * MIB,
        };
        Amounts { cores: self.cores(cores, at), bytes }
    }

    /// Whether it is sent exactly as given at `at`, however full its node is.
    pub fn is_fixed(&self, at: Millis) -> bool {
        matches!(self.current(at), Self::Fixed { .. })
    }

    /// Returns its part of what guests get: all of it if it is fixed.
    pub fn own_share(&self, share: Share, at: Millis) -> Share {
        if self.is_fixed(at) { Share::WHOLE } else { share }
    }

    /// The load at `at`, which is never one that changes.
    fn current(&self, at: Millis) -> &Self {
        match self {
            Self::Changed { at: change, before, .. } if at < *change => before.current(at),
            Self::Changed { after, .. } => after.current(at),
            load => load,
        }
    }

    /// Makes its curves follow this seed.
    pub fn reseed(&mut self, new: u64) {
        match self {
            Self::Curve { seed, .. } => *seed = new,
            Self::Changed { before, after, .. } => {
                before.reseed(new);
                after.reseed(new);
            }
            Self::Fixed { .. } | Self::Waiting => {}
        }
    }

    /// Returns the CPU usage in cores of a guest with this many cores. An invalid fixed quantity counts as
    /// zero.
    pub fn cores(&self, cores: u32, at: Millis) -> f64 {
        match self {
            Self::Fixed { cpu, .. } => {
                let unit =
                    |suffix: char, scale: f64| Some(cpu.strip_suffix(suffix)?.parse::<f64>().ok()? * scale);
                unit('n', 1e-9).or(unit('m', 1e-3)).or(cpu.parse().ok()).unwrap_or(0.0)
            }
            Self::Changed { .. } => self.current(at).cores(cores, at),
            // The launcher itself uses about 3 millicores.
            Self::Waiting => 0.003,
            Self::Curve { profile, seed, .. } => profile.cpu_share(*seed, at) * f64::from(cores) + 0.003,
        }
    }
}

impl Profile {
    /// Returns the busy share of the guest's cores: `0.0..=1.0`.
    pub fn cpu_share(self, seed: u64, at: Millis) -> f64 {
        let hour = hour_of_day(at, seed);
        let people = people(hour) * if weekend(at) { 0.55 } else { 1.0 };
        let drift = smooth(seed, at, 4 * MINUTE);
        let share = match self {
            Self::Web => 0.06 + 0.42 * people + 0.14 * drift + 0.25 * burst(seed, at, 6 * MINUTE, 0.06),
            Self::Database => 0.10 + 0.24 * people + 0.08 * drift + 0.35 * window(hour, 1.5, 2.8),
            Self::Batch => 0.02 + 0.03 * drift + (0.6 + 0.25 * drift) * window(hour, 0.5, 5.0),
            Self::Runner => 0.02 + 0.93 * burst(seed, at, 9 * MINUTE, 0.15 + 0.45 * people),
            Self::Steady => 0.22 + 0.10 * drift + 0.05 * people,
            Self::Idle => 0.01 + 0.02 * drift,
            Self::Hot => 0.95 + 0.05 * drift,
        };
        let noise = 0.97 + 0.06 * unit(mix(seed ^ (at / (15 * SECOND)) as u64));
        (share * noise).clamp(0.0, 1.0)
    }
}

impl Fill {
    /// Returns the volume's figures at `at`; `capacity` is in bytes and ignored for fixed figures.
    pub fn figures(&self, capacity: u64, at: Millis) -> VolumeFigures {
        match self {
            Self::Filling { seed } => {
                let phase = (mix(*seed) % (9 * DAY).unsigned_abs()) as Millis;
                let filled = (at + phase).rem_euclid(9 * DAY) as f64 / (9 * DAY) as f64;
                let used = capacity as f64 * (0.5 + 0.45 * filled);
                VolumeFigures::of_ext4(used as u64 & !0xfff, capacity)
            }
            Self::Fixed(figures) => *figures,
            Self::Curve { seed, share } => {
                // Grows by up to 4 % of the disk over 6 to 30 days, until a clean-up removes it.
                let period = 6 * DAY + (unit(mix(*seed)) * 24.0 * DAY as f64) as Millis;
                let phase = (mix(seed ^ 1) % period.unsigned_abs()) as Millis;
                let grown = (at + phase).rem_euclid(period) as f64 / period as f64;
                let used = capacity as f64 * (share + 0.04 * (grown - 0.5)).clamp(0.0, 1.0);
                // Whole blocks of 4 KiB, as file systems count.
                VolumeFigures::of_ext4(used as u64 & !0xfff, capacity)
            }
        }
    }
}

impl VolumeFigures {
    /// An ext4 volume with one image file on it: 16 MiB are reserved, and there is one inode per 16 KiB.
    pub fn of_ext4(used: u64, capacity: u64) -> Self {
        let inodes = (capacity >> 14).max(16);
        let available = capacity.saturating_sub(used).saturating_sub(16 << 20);
        Self { used, capacity, available, inodes, inodes_free: inodes - 12, inodes_used: 12 }
    }

    /// A block volume, of which the kubelet knows only the size.
    pub fn of_block(capacity: u64) -> Self {
        Self { capacity, ..Self::default() }
    }
}

/// Returns the bytes of a quantity with a binary or decimal suffix; `None` for a form that the simulator
/// never writes.
pub fn bytes(quantity: &str) -> Option<u64> {
    let split = quantity.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(quantity.len());
    let (number, suffix) = quantity.split_at(split);
    let unit = match suffix {
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => MIB,
        "Gi" => MIB * 1024.0,
        "Ti" => MIB * MIB,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| (number * unit) as u64)
}

/// Formats CPU in nanocores and memory in KiB, as metrics-server does.
fn quantities(cores: f64, bytes: f64) -> Usage {
    let nanos = (cores.max(0.0) * 1e9) as u64;
    Usage { cpu: format!("{nanos}n"), memory: format!("{}Ki", (bytes.max(0.0) / 1024.0) as u64) }
}

/// Hour of the day in UTC, shifted by up to an hour for each guest.
fn hour_of_day(at: Millis, seed: u64) -> f64 {
    let shift = (unit(mix(seed ^ 2)) - 0.5) * 2.0;
    (at.rem_euclid(DAY) as f64 / HOUR as f64 + shift).rem_euclid(24.0)
}

/// How active people are: 0 at night, about four o'clock, and 1 in the afternoon.
fn people(hour: f64) -> f64 {
    let wave = 0.5 - 0.5 * (TAU * (hour - 3.5) / 24.0).cos();
    wave.powf(1.4)
}

fn weekend(at: Millis) -> bool {
    // The epoch began on a Thursday.
    matches!(at.div_euclid(DAY).rem_euclid(7), 2 | 3)
}

/// 1 between two hours of the day, with ramps of a quarter of an hour.
fn window(hour: f64, from: f64, to: f64) -> f64 {
    ((hour - from).min(to - hour) * 4.0 + 1.0).clamp(0.0, 1.0)
}

/// Value noise: a random number for each multiple of `grid`, blended in between.
fn smooth(seed: u64, at: Millis, grid: Millis) -> f64 {
    let (slot, rest) = (at.div_euclid(grid), at.rem_euclid(grid) as f64 / grid as f64);
    let (a, b) = (slot_value(seed, slot), slot_value(seed, slot + 1));
    let blend = rest * rest * (3.0 - 2.0 * rest);
    a + (b - a) * blend
}

/// A slot is busy with probability `chance`: it rises in its first tenth and falls in its last.
fn burst(seed: u64, at: Millis, slot: Millis, chance: f64) -> f64 {
    let (index, rest) = (at.div_euclid(slot), at.rem_euclid(slot) as f64 / slot as f64);
    let busy = slot_value(seed ^ 3, index) < chance;
    if busy { (rest * 10.0).min((1.0 - rest) * 10.0).min(1.0) } else { 0.0 }
}

fn slot_value(seed: u64, slot: Millis) -> f64 {
    unit(hash(seed, &[]).wrapping_add(mix(slot as u64)).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Wednesday, so that no weekend damps it.
    const NOON: Millis = 1_700_049_600_000;
    const ALL: [Profile; 7] = [
        Profile::Web,
        Profile::Database,
        Profile::Batch,
        Profile::Runner,
        Profile::Steady,
        Profile::Idle,
        Profile::Hot,
    ];

    fn mean(profile: Profile, from: Millis) -> f64 {
        let samples = 200;
        (0..samples).map(|n| profile.cpu_share(n, from + (n as i64) * MINUTE / 4)).sum::<f64>()
            / samples as f64
    }

    #[test]
    fn shares_stay_within_the_guest() {
        for profile in ALL {
            for n in 0..2_000 {
                let share = profile.cpu_share(n, NOON + (n as i64) * 7 * MINUTE);
                assert!((0.0..=1.0).contains(&share), "{profile:?} {share}");
            }
        }
    }

    #[test]
    fn web_follows_the_day_and_batch_the_night() {
        let night = NOON + 14 * HOUR;
        assert!(mean(Profile::Web, NOON + 2 * HOUR) > 2.0 * mean(Profile::Web, night));
        assert!(mean(Profile::Batch, night) > 5.0 * mean(Profile::Batch, NOON));
        assert!(mean(Profile::Hot, NOON) > 0.9);
    }

    #[test]
    fn a_load_changes_at_its_time() {
        let of = |profile| Box::new(Load::Curve { profile, seed: 1, memory: 0.5 });
        let mut load = Load::Changed { at: NOON, before: of(Profile::Idle), after: of(Profile::Hot) };
        load.reseed(7);
        assert!(load.cores(4, NOON - 1) < 0.3 && load.cores(4, NOON) > 3.6);
        assert_eq!(
            load.usage(4, 1 << 30, Share::WHOLE, NOON),
            Load::Curve { profile: Profile::Hot, seed: 7, memory: 0.5 }.usage(4, 1 << 30, Share::WHOLE, NOON)
        );
    }

    #[test]
    fn slot_values_cover_their_range() {
        let values: Vec<f64> = (0..1_000).map(|n| slot_value(n, n as i64 * 3)).collect();
        assert!(values.iter().any(|v| *v < 0.05) && values.iter().any(|v| *v > 0.95));
        assert!((values.iter().sum::<f64>() / 1_000.0 - 0.5).abs() < 0.05);
    }

    #[test]
    fn disks_grow_slowly_and_add_up() {
        let fill = Fill::Curve { seed: 9, share: 0.5 };
        let (now, later) = (fill.figures(10 << 30, NOON), fill.figures(10 << 30, NOON + HOUR));
        assert!(later.used >= now.used && later.used - now.used < 10 << 20, "{now:?} {later:?}");
        assert!(now.used + now.available <= now.capacity);
        assert_eq!(now.inodes, now.inodes_free + now.inodes_used);
    }

    #[test]
    fn a_filling_disk_is_foretold_by_its_day() {
        let fill = Fill::Filling { seed: 7 };
        let day: Vec<u64> = (0..9).map(|n| fill.figures(100 << 30, NOON + n * DAY).used).collect();
        let rises = day.windows(2).filter(|pair| pair[1] > pair[0] + (4 << 30)).count();
        assert_eq!(rises, 7, "each day but that of the clearing: {day:?}");
    }

    #[test]
    fn quantities_of_the_scenario_are_read() {
        for (text, want) in [("1.5Gi", 1_610_612_736), ("500M", 500_000_000), ("8589934592", 8_589_934_592)] {
            assert_eq!(bytes(text), Some(want));
        }
        assert_eq!(bytes("lots"), None);
    }
}

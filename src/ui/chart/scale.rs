//! The scale of a strip: round amounts around its data.

use model::{format, rates::Rate};

/// What the integers of a strip are, and how they read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Thousandths of bytes per second.
    Speed,
    /// Nanoseconds.
    Latency,
    /// Thousandths of a percent.
    Percent,
    Bytes,
    /// Bytes, on a scale that begins near the data: a volume that fills up slowly would look like a straight line.
    Filling,
}

/// The lower and the upper end of an axis, in the integers of the measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    pub bottom: u64,
    pub top: u64,
}

/// Height of a strip in units of its drawing.
pub const HEIGHT: i32 = 1_000;

impl Measure {
    /// Example: `6.1 MB/s`.
    pub fn text(self, amount: u64) -> String {
        match self {
            Self::Speed => {
                let format::Amount { digits, unit } = format::bytes_per_second(Rate(amount));
                [&digits, " ", unit].concat()
            }
            Self::Latency => format::millis(amount),
            Self::Percent => format::percent(amount) + " %",
            Self::Bytes | Self::Filling => super::hint::amount(model::figure::Unit::Bytes, amount),
        }
    }

    /// Returns a scale for amounts from `min` to `max`.
    pub fn scale(self, min: u64, max: u64) -> Scale {
        match self {
            Self::Filling => around(min, max),
            Self::Bytes => Scale { bottom: 0, top: from_centi_gi(round_up(centi_gi(max))) },
            // The smallest scales are 1 B/s, 0.1 ms and 1 %.
            Self::Speed | Self::Percent => Scale { bottom: 0, top: round_up(max.max(1_000)) },
            Self::Latency => Scale { bottom: 0, top: round_up(max.max(100_000)) },
        }
    }
}

/// Returns a scale whose ends are multiples of a round step, about as long as the amounts vary, and at least a hundredth
/// of them. It begins at zero if the amounts are not far from it.
fn around(min: u64, max: u64) -> Scale {
    let (min, max) = (min / CENTI_GI, centi_gi(max));
    let step = round_up((max - min).max(max / 100));
    let (bottom, top) = (min / step * step, (max / step + 1) * step);
    let bottom = if bottom <= 2 * step { 0 } else { bottom };
    Scale { bottom: from_centi_gi(bottom), top: from_centi_gi(top) }
}

/// A hundredth of a Gi, in bytes: amounts in Gi have two decimals.
const CENTI_GI: u64 = (1 << 30) / 100;

fn centi_gi(bytes: u64) -> u64 {
    bytes.div_ceil(CENTI_GI)
}

fn from_centi_gi(amount: u64) -> u64 {
    u64::try_from((u128::from(amount) << 30) / 100).unwrap_or(u64::MAX)
}

/// Returns the smallest of 1, 2, 5, 10, 20, 50, … that is at least the amount.
fn round_up(amount: u64) -> u64 {
    let mut power = 1u64;
    loop {
        for factor in [1, 2, 5] {
            match power.checked_mul(factor) {
                Some(round) if round < amount => {}
                round => return round.unwrap_or(u64::MAX),
            }
        }
        power = power.saturating_mul(10);
    }
}

impl Scale {
    /// Returns the distance of an amount from the upper end, within the height.
    pub fn height(self, amount: u64) -> i32 {
        let length = u128::from(self.top.saturating_sub(self.bottom).max(1));
        let below = u128::from(amount.clamp(self.bottom, self.top.max(self.bottom)) - self.bottom);
        HEIGHT - (below * HEIGHT as u128 / length) as i32
    }

    pub fn middle(self) -> u64 {
        self.bottom + (self.top - self.bottom) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GI: u64 = 1 << 30;

    #[test]
    fn a_scale_ends_at_a_round_amount() {
        let top = |measure: Measure, max| measure.text(measure.scale(0, max).top);
        assert_eq!(top(Measure::Speed, 6_100_000_000), "10.0 MB/s");
        assert_eq!(top(Measure::Speed, 0), "1 B/s");
        assert_eq!(top(Measure::Latency, 4_700_000), "5.0 ms");
        assert_eq!(top(Measure::Latency, 0), "0.10 ms");
        assert_eq!(top(Measure::Percent, 5_800), "10.0 %");
        assert_eq!(top(Measure::Bytes, 3 * GI), "5 Gi");
        assert_eq!(Measure::Speed.scale(0, u64::MAX).top, u64::MAX);
    }

    #[test]
    fn a_volume_that_fills_up_has_a_scale_around_its_amounts() {
        let ends = |min, max| {
            let Scale { bottom, top } = Measure::Filling.scale(min, max);
            [bottom, top].map(|end| Measure::Filling.text(end))
        };
        assert_eq!(ends(462 * GI, 471 * GI), ["460 Gi", "480 Gi"]);
        assert_eq!(ends(0, 471 * GI), ["0 Gi", "500 Gi"]);
        assert_eq!(ends(8 * GI, 8 * GI), ["8 Gi", "8.1 Gi"]);
        assert_eq!(ends(0, 0), ["0 Gi", "0.01 Gi"]);
    }

    proptest! {
        #[test]
        fn all_amounts_lie_within_the_scale(a in any::<u64>(), b in any::<u64>(), bits in 0..64u32) {
            let (min, max) = ((a >> bits).min(b >> bits), (a >> bits).max(b >> bits));
            for measure in [Measure::Speed, Measure::Latency, Measure::Percent, Measure::Bytes, Measure::Filling] {
                let scale = measure.scale(min, max);
                prop_assert!(scale.bottom <= min && max <= scale.top, "{measure:?} {scale:?}");
                prop_assert!((0..=HEIGHT).contains(&scale.height(min)) && scale.height(max) <= scale.height(min));
                prop_assert!(!measure.text(scale.middle()).is_empty());
            }
        }
    }
}

//! The history of what a guest does and of its volumes: amounts on a fixed grid. A gap stays a gap. The core
//! fills it; the VM's page and REST show it.

use serde::{Deserialize, Serialize};

use super::{
    figure::Source,
    series::{Series, Stats},
};

/// An amount in 16 bits, with an error of at most 1/2048 of it; or a gap. Amounts below 2048 are exact. A larger
/// amount keeps its highest bit and the ten bits after it, so the order of two amounts is never reversed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AmountPoint(u16);

/// Bits of an amount that are kept after its highest.
const BITS: u32 = 10;

impl AmountPoint {
    pub const GAP: Self = Self(u16::MAX);

    /// Returns the point nearest to the amount.
    pub fn of(amount: u64) -> Self {
        let shift = (u64::BITS - amount.leading_zeros()).saturating_sub(BITS + 1);
        let half = if shift == 0 { 0 } else { 1 << (shift - 1) };
        // If the upper bits round up to the next power of two, the sum is the code of that power.
        let upper = (u128::from(amount) + half) >> shift;
        Self((upper as u64 + (u64::from(shift) << BITS)) as u16)
    }

    /// The amount; `None` for a gap.
    pub fn amount(self) -> Option<u64> {
        let code = u64::from(self.0);
        let shift = (code >> BITS).saturating_sub(1);
        let upper = code - (shift << BITS);
        let amount = u64::try_from(u128::from(upper) << shift).unwrap_or(u64::MAX);
        (self != Self::GAP).then_some(amount)
    }
}

impl Series<AmountPoint> {
    /// Returns the statistics; `None` if all points are gaps.
    pub fn stats(&self) -> Option<Stats<u64>> {
        Stats::of(self.points.iter().filter_map(|point| point.amount()).collect(), self.points.len())
    }

    /// Returns the newest known amount.
    pub fn newest(&self) -> Option<u64> {
        self.points.iter().rev().find_map(|point| point.amount())
    }
}

/// One figure of what a guest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivityFigure {
    /// Bytes per second of all interfaces, in thousandths.
    NetworkReceive,
    NetworkTransmit,
    /// Bytes per second of all drives, in thousandths.
    StorageRead,
    StorageWrite,
    /// Bytes of memory that the guest cannot give up.
    GuestMemory,
    /// How much of their time the vCPUs waited for a CPU of the host, in thousandths of a percent.
    Contention,
    /// Mean nanoseconds of an operation, of all drives. A gap if there was no operation.
    ReadLatency,
    WriteLatency,
}

impl ActivityFigure {
    pub const COUNT: usize = 8;
    /// In the order of their discriminants.
    pub const ALL: [Self; Self::COUNT] = [
        Self::NetworkReceive,
        Self::NetworkTransmit,
        Self::StorageRead,
        Self::StorageWrite,
        Self::GuestMemory,
        Self::Contention,
        Self::ReadLatency,
        Self::WriteLatency,
    ];
}

/// The history of one amount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmountHistory {
    /// The source of the newest sample; `None` if there is none.
    pub source: Option<Source>,
    pub series: Series<AmountPoint>,
}

/// The history of the used bytes of one volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeHistory {
    pub name: String,
    pub claim: String,
    pub used: AmountHistory,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn figures_are_in_the_order_of_their_discriminants() {
        assert!(ActivityFigure::ALL.iter().enumerate().all(|(index, figure)| *figure as usize == index));
    }

    #[test]
    fn small_amounts_are_exact_and_the_largest_is_no_gap() {
        assert!((0..=2048).all(|amount| AmountPoint::of(amount).amount() == Some(amount)));
        assert_eq!(AmountPoint::GAP.amount(), None);
        for amount in [1 << 40, (1 << 40) + (1 << 30), u64::MAX - (u64::MAX >> 11)] {
            assert_eq!(AmountPoint::of(amount).amount(), Some(amount));
        }
        assert_eq!(AmountPoint::of(u64::MAX).amount(), Some(u64::MAX));
        assert_eq!(AmountPoint::of(4097), AmountPoint::of(4096), "the nearest");
        assert_eq!(AmountPoint::of(4095), AmountPoint::of(4096), "the next power of two");
    }

    #[test]
    fn statistics_of_amounts_ignore_gaps() {
        let points = [7, 9].map(AmountPoint::of);
        let series = Series { start: 0, step: 1, points: [&points[..], &[AmountPoint::GAP]].concat() };
        let stats = series.stats().unwrap();
        assert_eq!((stats.min, stats.avg, stats.max, stats.known, stats.all), (7, 8, 9, 2, 3));
        assert_eq!(series.newest(), Some(9));
        assert_eq!(Series { points: vec![AmountPoint::GAP], ..series }.newest(), None);
    }

    proptest! {
        #[test]
        fn an_amount_loses_at_most_one_in_2048_and_never_its_order(a in any::<u64>(), bits in 0..64u32, b in any::<u64>()) {
            let (a, b) = (a >> bits, b >> bits);
            let point = AmountPoint::of(a);
            let back = point.amount().unwrap();
            prop_assert!(back.abs_diff(a) <= a / 2048, "{a} became {back}");
            prop_assert_eq!(AmountPoint::of(back), point);
            if a <= b {
                prop_assert!(point <= AmountPoint::of(b));
            }
        }
    }
}

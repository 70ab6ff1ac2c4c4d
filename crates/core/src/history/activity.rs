//! The history of what a guest does: a minute grid for an hour, and five-minute means for a day.
//!
//! A rate is a mean over its window, so it fills the points of its window and no others. The first sample after
//! a restart or a migration has no window, so nothing is written across either.

use super::{
    COARSE, KEEP,
    ring::{Grid, Rings},
};
use crate::Limits;
use model::{
    Millis,
    activity::{Activity, GuestActivity, Origin},
    activity_history::{ActivityFigure, AmountHistory, AmountPoint},
    figure::Source,
    history::{Series, Span},
};

/// virt-handlers are asked once a minute.
pub(in super::super) const MINUTES: Grid = Grid { step: 60_000, len: 60 };
const GRIDS: [Grid; 2] = [MINUTES, COARSE];
const COUNT: usize = ActivityFigure::COUNT;

/// The history of one guest.
#[derive(Debug)]
pub(super) struct ActivityTimeline {
    rings: Rings<AmountPoint, COUNT>,
    /// Times of the newest samples; 0 before the first.
    newest: [Millis; COUNT],
    sources: [Option<Source>; COUNT],
}

/// A sample of one figure.
#[derive(Clone, Copy)]
struct Measured {
    amount: u64,
    /// Milliseconds before the sample that it also describes.
    window: Millis,
}

impl Default for ActivityTimeline {
    fn default() -> Self {
        Self { rings: Rings::new(&GRIDS), newest: [0; COUNT], sources: [None; COUNT] }
    }
}

impl ActivityTimeline {
    /// Records a new sample of a guest.
    pub fn record(&mut self, activity: &GuestActivity, limits: &Limits, now: Millis) {
        for figure in ActivityFigure::ALL {
            let (index, origin) = (figure as usize, origin(activity, figure));
            // The clock of a source may run ahead; points in the future are not written.
            let at = origin.at.min(now);
            // What is shown as old is not recorded.
            if origin.stale || at <= self.newest[index] || at <= now - KEEP {
                continue;
            }
            if let Some(measured) = measured(activity, figure, &origin, limits) {
                self.newest[index] = at;
                self.sources[index] = Some(origin.source);
                let last = MINUTES.slot(at);
                let first = (MINUTES.slot(at - measured.window) + 1).min(last);
                self.rings.put(first..=last, index, AmountPoint::of(measured.amount));
            }
        }
    }

    /// Drops points after `now`, in case the clock was set back.
    pub fn drop_after(&mut self, now: Millis) {
        self.rings.drop_after(now);
        self.newest.iter_mut().for_each(|newest| *newest = now.min(*newest));
    }

    pub fn history(&self, span: Span, now: Millis) -> [AmountHistory; COUNT] {
        std::array::from_fn(|figure| {
            let series = match span {
                Span::Hour => self.rings.fine.series(MINUTES, figure, now),
                _ => self.rings.coarse.series(COARSE, figure, now),
            };
            AmountHistory { source: self.sources[figure], series }
        })
    }

    /// Returns the bytes that the guest used in each five minutes of the last day.
    pub fn guest_memory(&self, now: Millis) -> Series<AmountPoint> {
        self.rings.coarse.series(COARSE, ActivityFigure::GuestMemory as usize, now)
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.rings.bytes()
    }
}

/// Returns what has a sample that is worth recording: known, and not shown as old.
pub(super) fn recordable(activity: &Activity) -> Option<&GuestActivity> {
    match activity {
        Activity::Known(activity) if !(activity.stale && activity.network_origin().stale) => Some(activity),
        Activity::Known(_) | Activity::Missing(_) => None,
    }
}

/// The traffic may be of another source than the other figures.
fn origin(of: &GuestActivity, figure: ActivityFigure) -> Origin {
    match figure {
        ActivityFigure::NetworkReceive | ActivityFigure::NetworkTransmit => of.network_origin(),
        _ => of.origin(),
    }
}

fn measured(
    of: &GuestActivity,
    figure: ActivityFigure,
    origin: &Origin,
    limits: &Limits,
) -> Option<Measured> {
    let storage = || of.storage.as_ref().ok();
    let network = || of.network.as_ref().ok();
    let amount = match figure {
        ActivityFigure::NetworkReceive => network()?.receive.0,
        ActivityFigure::NetworkTransmit => network()?.transmit.0,
        ActivityFigure::StorageRead => storage()?.read.bytes?.0,
        ActivityFigure::StorageWrite => storage()?.write.bytes?.0,
        ActivityFigure::GuestMemory => of.memory.as_ref().ok()?.used,
        ActivityFigure::Contention => u64::from(*of.contention.as_ref().ok()?),
        ActivityFigure::ReadLatency => storage()?.read.latency?,
        ActivityFigure::WriteLatency => storage()?.write.latency?,
    };
    let window = Millis::from(origin.window_ms).min(MINUTES.step * MINUTES.len as Millis);
    // Memory is of an instant: it stands for the time since the sample before it only if none was lost.
    let none_lost = window <= 2 * limits.disk_interval.max(MINUTES.step);
    let is_instant = figure == ActivityFigure::GuestMemory;
    Some(Measured { amount, window: if is_instant && !none_lost { 0 } else { window } })
}

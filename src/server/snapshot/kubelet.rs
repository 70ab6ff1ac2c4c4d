//! What is known of one node's kubelet.

use std::collections::HashMap;

use super::{
    MISSING_AFTER,
    ahead::Ahead,
    facts::{SourceError, VolumeRef, VolumeStats},
};
use crate::model::{Millis, figure::Source};

/// A kubelet measures a pod's volumes once in this time, however often it is asked, unless it is told otherwise
/// (`volumeStatsAggPeriod`).
const PERIOD: Millis = 60_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct NodeVolumes {
    /// Which way the stats came.
    pub source: Option<Source>,
    pub stats: Vec<VolumeStats>,
    pub answered: Option<Millis>,
    pub error: Option<SourceError>,
    /// When it last answered or failed.
    pub heard: Millis,
    /// The least that two measurements of one volume were apart, once that was seen.
    apart: Option<Millis>,
    ahead: Ahead<VolumeRef>,
}

impl NodeVolumes {
    pub fn answered(&mut self, source: Source, mut stats: Vec<VolumeStats>, at: Millis, interval: Millis) {
        let times = stats.iter_mut().filter_map(|VolumeStats { of, at, .. }| Some((&*of, at.as_mut()?)));
        self.ahead.settle(at, times);
        // The least that was seen: a slow round, or one that was left out, makes a distance longer and never shorter.
        let apart = self.seen_apart(&stats, at, interval).into_iter().chain(self.apart).min();
        let ahead = std::mem::take(&mut self.ahead);
        *self =
            Self { source: Some(source), stats, answered: Some(at), error: None, heard: at, apart, ahead };
    }

    pub fn failed(&mut self, error: SourceError, at: Millis) {
        (self.error, self.heard) = (Some(error), at);
    }

    /// The time in which figures are to be expected anew: the longer of how often the kubelet is asked and how often
    /// it measures. What is asked for more often than it is measured is no older for that.
    pub fn interval(&self, asked: Millis) -> Millis {
        asked.max(self.apart.unwrap_or(PERIOD).min(PERIOD))
    }

    /// Nothing is learned across a silence in which all expired: it would count as the kubelet's own.
    fn seen_apart(&self, stats: &[VolumeStats], at: Millis, interval: Millis) -> Option<Millis> {
        self.answered.filter(|before| at - before <= MISSING_AFTER * interval)?;
        let mut by_volume = None;
        let apart = stats.iter().enumerate().filter_map(|(index, new)| {
            // Volumes mostly come in the order of the answer before.
            let in_place = self.stats.get(index).filter(|old| old.of == new.of);
            let old = in_place
                .or_else(|| by_volume.get_or_insert_with(|| self.by_volume()).get(&new.of).copied())?;
            Some(new.at? - old.at?).filter(|apart| *apart > 0)
        });
        apart.max()
    }

    /// The first of each, should one be told of twice.
    fn by_volume(&self) -> HashMap<&VolumeRef, &VolumeStats> {
        self.stats.iter().rev().map(|stats| (&stats.of, stats)).collect()
    }
}

//! Holds what one node's kubelet last said of its volumes, and how often it measures. `ClusterState` has one
//! for each node.

use hashbrown::HashMap;

use super::{
    MISSING_AFTER,
    observation::{Key, SourceError, SummaryFacts, VolumeRef, VolumeStats},
    receipt::Receipt,
    reporters::Reporters,
    sharing::Peers,
};
use model::{Millis, figure::Source};

/// The longest time in milliseconds until a kubelet measures a pod's volumes again, however often it is
/// asked: one to two of its periods of a minute (`JitterUntil(period, 1.0)` in
/// pkg/kubelet/server/stats/volume_stat_calculator.go), unless it is configured otherwise
/// (`volumeStatsAggPeriod`).
const LONGEST_PERIOD: Millis = 120_000;
/// Bytes that a text takes at least: the allocator gives no less.
const SMALLEST_TEXT: usize = 16;

/// The volumes that one kubelet reports.
#[derive(Debug, Default)]
pub(super) struct NodeVolumes {
    /// The route by which the stats came.
    pub source: Option<Source>,
    /// Stats of each volume, once.
    stats: Vec<VolumeStats>,
    /// The receipt of each of `stats`.
    receipts: Vec<Receipt>,
    /// Sizes in bytes of the file systems that the kubelet itself lies on.
    pub filesystems: Vec<u64>,
    /// Nanocores and bytes that everything on the node uses.
    pub cpu: Option<Measured>,
    pub memory: Option<Measured>,
    pub peers: Peers,
    pub answered: Option<Millis>,
    pub error: Option<SourceError>,
    /// When the kubelet last answered or failed.
    pub last_seen: Millis,
    /// How far apart two measurements of one volume are: the least that [`Self::seen_apart`] returned so far.
    apart: Option<Millis>,
    /// Bytes kept for volumes of unverified claims: no pod is known that mounts them on this node.
    unverified_bytes: usize,
}

/// An amount of the whole node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub amount: u64,
    pub receipt: Receipt,
}

impl Measured {
    fn after(last: Option<Self>, new: Option<(u64, Option<Millis>)>, received: Millis) -> Option<Self> {
        let (amount, at) = new?;
        Some(Self { amount, receipt: Receipt::after(last.map(|last| last.receipt), at, received) })
    }
}

impl NodeVolumes {
    /// Records an answer that was received at `at`. `interval` is how often kubelets are asked.
    /// `is_verified` tells whether a pod of this node is known to mount the claim of a volume.
    pub fn answered(
        &mut self,
        facts: SummaryFacts,
        at: Millis,
        interval: Millis,
        is_verified: impl Fn(&VolumeStats) -> bool,
    ) {
        let stats = newest_of_each(facts.volumes);
        let receipts = self.receipts(&stats, at);
        // The shortest time seen: a slow or missing round makes the distance longer, never shorter.
        let apart = self.seen_apart(&stats, &receipts, at, interval).into_iter().chain(self.apart).min();
        *self = Self {
            source: Some(facts.source),
            peers: Peers::new(stats.iter()),
            unverified_bytes: stats.iter().filter(|stats| !is_verified(stats)).map(bytes_of).sum(),
            stats,
            receipts,
            filesystems: facts.node_filesystems,
            cpu: Measured::after(self.cpu, facts.node_usage.cpu, at),
            memory: Measured::after(self.memory, facts.node_usage.memory, at),
            answered: Some(at),
            error: facts.left_out,
            last_seen: at,
            apart,
        };
    }

    /// Records a failure. The last stats stay.
    pub fn failed(&mut self, error: SourceError, at: Millis) {
        (self.error, self.last_seen) = (Some(error), at);
    }

    /// Returns the bytes kept for volumes of unverified claims.
    pub fn unverified_bytes(&self) -> usize {
        self.unverified_bytes
    }

    /// Drops these volumes, for the reason `why`.
    pub fn leave_out_unverified(&mut self, is_verified: impl Fn(&VolumeStats) -> bool, why: SourceError) {
        let known = std::mem::take(&mut self.stats).into_iter().zip(std::mem::take(&mut self.receipts));
        (self.stats, self.receipts) = known.filter(|(stats, _)| is_verified(stats)).unzip();
        self.peers = Peers::new(self.stats.iter());
        (self.unverified_bytes, self.error) = (0, Some(why));
    }

    pub fn stats(&self) -> &[VolumeStats] {
        &self.stats
    }

    pub fn volumes(&self) -> impl Iterator<Item = (&VolumeStats, &Receipt)> {
        self.stats.iter().zip(&self.receipts)
    }

    /// Returns the volume at this place of the answer.
    pub fn volume(&self, index: usize) -> Option<(&VolumeStats, &Receipt)> {
        self.stats.get(index).zip(self.receipts.get(index))
    }

    /// Returns the time in which new figures are expected: the longer of how often the kubelet is asked and
    /// how often it measures. Asking more often does not make a figure old earlier.
    pub fn interval(&self, asked: Millis) -> Millis {
        asked.max(self.apart.map_or(LONGEST_PERIOD, |apart| apart.saturating_mul(2)).min(LONGEST_PERIOD))
    }

    fn receipts(&self, stats: &[VolumeStats], at: Millis) -> Vec<Receipt> {
        let last = Last::of(self, stats);
        let receipt =
            |(index, new): (usize, &VolumeStats)| Receipt::after(last.receipt(index, new), new.at, at);
        stats.iter().enumerate().map(receipt).collect()
    }

    /// Returns the longest time between two measurements of one volume in this answer. Answers after a gap in
    /// which everything expired are not used: the gap would count as the kubelet's period.
    fn seen_apart(
        &self,
        stats: &[VolumeStats],
        receipts: &[Receipt],
        at: Millis,
        interval: Millis,
    ) -> Option<Millis> {
        self.answered.filter(|before| at - before <= MISSING_AFTER * interval)?;
        let last = Last::of(self, stats);
        let apart = stats.iter().zip(receipts).enumerate().filter_map(|(index, (new, receipt))| {
            receipt.fresh_time(at)?;
            Some(at - last.receipt(index, new)?.first).filter(|apart| *apart > 0)
        });
        apart.max()
    }
}

/// The last stats of the volumes of an answer.
struct Last<'a> {
    node: &'a NodeVolumes,
    /// Index by volume; empty if volumes come in the same order as in the last answer, as most do.
    by_volume: HashMap<&'a VolumeRef, usize>,
}

impl<'a> Last<'a> {
    fn of(node: &'a NodeVolumes, stats: &[VolumeStats]) -> Self {
        let in_order = stats.iter().zip(&node.stats).all(|(new, old)| new.of == old.of)
            && stats.len() == node.stats.len();
        let volumes = node.stats.iter().enumerate().filter(|_| !in_order);
        Self { node, by_volume: volumes.map(|(index, stats)| (&stats.of, index)).collect() }
    }

    fn receipt(&self, index: usize, of: &VolumeStats) -> Option<Receipt> {
        let index = if self.by_volume.is_empty() { index } else { *self.by_volume.get(&of.of)? };
        self.node.receipts.get(index).copied()
    }
}

/// What is kept of a volume, in bytes.
fn bytes_of(stats: &VolumeStats) -> usize {
    match &stats.of {
        VolumeRef::Claim(claim) => reported_bytes(&[&claim.namespace, &claim.name]),
        VolumeRef::PodVolume { pod, volume } => reported_bytes(&[&pod.namespace, &pod.name, volume]),
    }
}

/// Returns the bytes that are kept if a kubelet reports a volume with these names. They are kept twice: its peers have
/// them too.
pub fn reported_bytes(names: &[&str]) -> usize {
    let texts = names.iter().map(|name| name.len().next_multiple_of(SMALLEST_TEXT));
    let peer = size_of::<(u64, u64, Key)>();
    size_of::<VolumeStats>() + size_of::<Receipt>() + peer + Reporters::BYTES + 2 * texts.sum::<usize>()
}

/// Keeps the newest stats of each volume. One volume may be mounted in two pods, each measured separately.
fn newest_of_each(stats: Vec<VolumeStats>) -> Vec<VolumeStats> {
    let mut places: HashMap<VolumeRef, usize> = HashMap::with_capacity(stats.len());
    let mut newest: Vec<VolumeStats> = Vec::with_capacity(stats.len());
    for stats in stats {
        match places.get(&stats.of) {
            Some(place) if newest[*place].at < stats.at => newest[*place] = stats,
            Some(_) => {}
            None => {
                places.insert(stats.of.clone(), newest.len());
                newest.push(stats);
            }
        }
    }
    // A kubelet may report one volume thousands of times.
    newest.shrink_to_fit();
    newest
}

//! `ClusterState`: all observations so far. Only the writer owns it, so nothing here is locked.

use std::{collections::BTreeMap, hash::RandomState, sync::Arc};

use hashbrown::HashMap;

use super::{
    Limits,
    counted_guests::CountedGuests,
    guests::Guests,
    kubelet::NodeVolumes,
    last_rows::Rows,
    latency::Latencies,
    launcher_stats::LauncherStats,
    objects::Objects,
    observation::{
        Backend, ClaimFacts, Image, ImageStats, InstanceFacts, InstanceSample, InstancetypeFacts, Key,
        KeyRef, KubevirtVersion, LonghornFacts, MigrationFacts, PersistentVolumeFacts, PodFacts, Provisioner,
        ReviewFacts, ScrapedGuest, SourceError, Targets, TrackedNames, VmFacts, VolumeGap, VolumeStats,
        WukongFacts,
    },
    pod::PodSamples,
    receipt::Receipt,
    reporters::Reporters,
    sharing::Peers,
    skew::Skews,
    source_status::{SourceStatus, SourceStatuses},
    touched::Touched,
};
use model::{Millis, groups::Node, message::Message, source::SourceId};

/// The last round of Prometheus queries that was answered.
#[derive(Debug, Default)]
pub(super) struct PrometheusRound {
    pub volumes: HashMap<Key, (VolumeStats, Receipt)>,
    /// The volumes by the node of their kubelet, if the scrape names it.
    pub peers: HashMap<Box<str>, Peers>,
    pub instances: HashMap<Key, (InstanceSample, Receipt)>,
    pub guests: ScrapedRound,
    pub warnings: Vec<Message>,
    /// Why a volume may be missing.
    pub gaps: Vec<VolumeGap>,
    pub answered: Option<Millis>,
}

/// What the last round of Prometheus queries said of guests.
#[derive(Debug, Default)]
pub(super) struct ScrapedRound {
    /// The last sample of each guest, with its receipt.
    pub known: HashMap<Key, (ScrapedGuest, Receipt)>,
    /// Why guests may be missing.
    pub gap: Option<SourceError>,
    pub contention_since: Option<KubevirtVersion>,
}

/// The last images that Ceph reported.
#[derive(Debug, Default)]
pub(super) struct Images {
    pub stats: HashMap<Image, ImageStats>,
    pub answered: Option<Millis>,
}

/// The names that sources should keep figures of, as they were collected last.
#[derive(Debug, Default)]
pub(super) struct CollectedNames {
    pub hasher: RandomState,
    pub collected: Option<Millis>,
    /// Whether any may have changed since.
    pub changed: bool,
    pub last: Option<Arc<TrackedNames>>,
}

/// All observations so far, joined to snapshots by `join`.
#[derive(Debug)]
pub struct ClusterState {
    pub(super) limits: Limits,
    pub(super) wukongs: Objects<WukongFacts>,
    pub(super) vms: Objects<VmFacts>,
    pub(super) instances: Objects<InstanceFacts>,
    pub(super) migrations: Objects<MigrationFacts>,
    pub(super) cluster_instancetypes: Objects<InstancetypeFacts>,
    pub(super) instancetypes: Objects<InstancetypeFacts>,
    pub(super) pods: Objects<PodFacts>,
    pub(super) claims: Objects<ClaimFacts>,
    pub(super) metrics: Objects<PodSamples>,
    /// When the metrics API last made its items, by its own clock.
    pub(super) metrics_made: Option<Millis>,
    pub(super) kubelets: HashMap<String, NodeVolumes>,
    /// Which kubelets report each volume.
    pub(super) reporters: Reporters,
    pub(super) persistent_volumes: Objects<PersistentVolumeFacts>,
    pub(super) longhorn: Objects<LonghornFacts>,
    /// Whether Longhorn's own namespace has any volume, as of the last join.
    pub(super) is_longhorn_at_home: bool,
    pub(super) nodes: Objects<Node>,
    /// All nodes as of the last join, sorted by name.
    pub(super) sorted_nodes: Arc<[Node]>,
    pub(super) guests: Guests,
    pub(super) counted_guests: CountedGuests,
    pub(super) launcher_stats: LauncherStats,
    pub(super) prometheus: PrometheusRound,
    pub(super) ceph: Images,
    /// How access reviews are answered; `None` without sign-in.
    pub(super) reviews: Option<ReviewFacts>,
    pub(super) source_statuses: SourceStatuses,
    pub(super) latencies: BTreeMap<SourceId, Latencies>,
    pub(super) risks: BTreeMap<SourceId, Message>,
    pub(super) skews: Skews,
    /// By how much all clocks are ahead of this program's as of the last join, if this program's clock is the
    /// one that is off.
    pub(super) own_skew: Option<Millis>,
    /// How far the wall clock was set since the program started, in milliseconds. Receipts use the steady
    /// clock, which started equal to it.
    pub(super) wall_step: Millis,
    pub(super) names: CollectedNames,
    pub(super) seq: u64,
    /// What changed since the last join.
    pub(super) touched: Touched,
    /// The rows of the last snapshot, and what they are worth asking for.
    pub(super) rows: Rows,
    pub(super) targets: Targets,
}

/// Intervals after which data of something that is no longer reported (pods that are gone, nodes without VMs)
/// is dropped. Nothing reads its last value by then.
pub(super) const FORGET_AFTER: Millis = 240;

impl ClusterState {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            wukongs: Objects::default(),
            vms: Objects::default(),
            instances: Objects::default(),
            migrations: Objects::default(),
            cluster_instancetypes: Objects::default(),
            instancetypes: Objects::default(),
            pods: Objects::default(),
            claims: Objects::default(),
            metrics: Objects::default(),
            metrics_made: None,
            kubelets: HashMap::new(),
            reporters: Reporters::default(),
            persistent_volumes: Objects::default(),
            longhorn: Objects::default(),
            is_longhorn_at_home: false,
            nodes: Objects::default(),
            sorted_nodes: Arc::default(),
            guests: Guests::default(),
            counted_guests: CountedGuests::default(),
            launcher_stats: LauncherStats::default(),
            prometheus: PrometheusRound::default(),
            ceph: Images::default(),
            reviews: None,
            source_statuses: SourceStatuses::new(),
            latencies: BTreeMap::new(),
            risks: BTreeMap::new(),
            skews: Skews::default(),
            own_skew: None,
            wall_step: 0,
            names: CollectedNames::default(),
            seq: 0,
            touched: Touched::default(),
            rows: Rows::default(),
            targets: Targets::default(),
        }
    }

    /// Sets how far the wall clock is ahead of the steady one now.
    pub fn set_wall_step(&mut self, step: Millis) {
        self.wall_step = step;
    }

    /// Converts a time of the steady clock to the wall clock, which people read.
    pub(super) fn wall(&self, steady: Millis) -> Millis {
        steady.saturating_add(self.wall_step)
    }

    /// Returns when a sample was taken, by this program's wall clock, corrected by the skew of its source's
    /// clock. Never later than it was received.
    pub(super) fn taken_at(&self, receipt: &Receipt, source: SourceId, machine: &str) -> Millis {
        let received = self.wall(receipt.first);
        let skew = self.skews.of(source, machine).or(self.own_skew).unwrap_or_default();
        receipt.at.map_or(received, |at| at.saturating_sub(skew).min(received))
    }

    /// Returns the PersistentVolume of a claim, if the two name each other.
    fn persistent_volume(&self, claim: &Key) -> Option<&PersistentVolumeFacts> {
        let bound = &self.claims.get(claim)?.volume_name;
        self.persistent_volumes
            .get(&KeyRef("", bound))
            .map(AsRef::as_ref)
            .filter(|volume| volume.claim == *claim)
    }

    /// Returns the storage behind a claim.
    pub(super) fn backend(&self, claim: &Key) -> Option<&Backend> {
        self.persistent_volume(claim)?.backend.as_ref()
    }

    /// Returns the provisioner of a claim's volume: from the PersistentVolume, else from the claim.
    pub(super) fn provisioner(&self, claim: &Key) -> Provisioner {
        let of_volume = self.persistent_volume(claim).map(|volume| volume.provisioner);
        match of_volume.unwrap_or_default() {
            Provisioner::Unknown => self.claims.get(claim).map(|claim| claim.provisioner).unwrap_or_default(),
            known => known,
        }
    }

    pub(super) fn source_status_mut(
        &mut self,
        source: SourceId,
        namespace: Option<String>,
    ) -> &mut SourceStatus {
        self.source_statuses.entry((source, namespace)).or_default()
    }

    /// Returns the status of the source for this namespace: the namespace's own, else the cluster-wide one.
    /// Usually no namespace has its own; then the name is not copied for the lookup.
    pub(super) fn source_status(&self, id: SourceId, namespace: &str) -> Option<&SourceStatus> {
        let mut own =
            self.source_statuses.range((id, Some(String::new()))..).take_while(|((of, _), _)| *of == id);
        let own = own.next().and_then(|_| self.source_statuses.get(&(id, Some(namespace.to_owned()))));
        own.or_else(|| self.source_statuses.get(&(id, None)))
    }

    /// Whether objects of the namespace were ever listed.
    pub(super) fn listed(&self, id: SourceId, namespace: &str) -> bool {
        self.source_status(id, namespace).is_some_and(|status| status.last_success.is_some())
    }

    /// Whether the list of a source's objects is complete: an object that is not known does not exist.
    pub(super) fn knows_all(&self, id: SourceId, namespace: &str) -> bool {
        self.listed(id, namespace) && !self.omits(id, namespace)
    }

    /// Whether some of a source's objects are not known because they are too large or too many.
    pub(super) fn omits(&self, id: SourceId, namespace: &str) -> bool {
        self.source_status(id, namespace).is_some_and(|status| !status.omitted.is_empty())
    }

    pub(super) fn current_error(&self, id: SourceId) -> Option<&SourceError> {
        self.source_statuses.get(&(id, None))?.error.as_ref()
    }

    pub(super) fn last_success_of(&self, id: SourceId) -> Option<Millis> {
        self.source_statuses.get(&(id, None))?.last_success
    }

    pub(super) fn denied(&self, id: SourceId) -> bool {
        let status = self.source_statuses.get(&(id, None));
        status.and_then(|status| status.error.as_ref()).is_some_and(SourceError::is_denial)
    }

    /// Whether a node of this name may exist. A tenant may write any node into a Wukong; once the nodes are
    /// known, other names cost no request.
    pub(super) fn may_be_node(&self, name: &str) -> bool {
        !name.is_empty() && (self.nodes.is_empty() || self.nodes.contains_key(&KeyRef("", name)))
    }
}

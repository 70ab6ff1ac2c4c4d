//! Computes the reading of one volume from each source, for `volumes`. There are three layers (guest, image,
//! backend); a volume's figure comes from one of them and is never a sum of several.

use super::{
    dependencies::Dependencies,
    disk_content::{Gap, exceeds, needs_serial},
    fix,
    observation::{
        Backend, InstanceFacts, Key, KeyRef, LonghornEngine, Provisioner, SourceError, Uncounted, VolumeStats,
    },
    receipt::Age,
    reports::Report,
    sharing::{self, ClaimSize, Peers, is_block},
    state::ClusterState,
    touched::Name,
};
use i18n::msg;
use model::{
    Millis,
    figure::{Basis, Figure, Missing, Sample, Source, Unit},
    message::Message,
    reason::Reason,
    source::SourceId,
};

/// The longest time in milliseconds between two messages of a kube-apiserver on one watch: it sends
/// bookmarks.
const BOOKMARKS: Millis = 60_000;

/// The detail and the fix for a volume that a source does not have.
type Advice = (Message, Message);

/// A volume as `Wukong.status.volumes` or the VMI names it; the VMI gives no size.
pub(super) struct VolumeSpec<'a> {
    pub name: &'a str,
    pub claim: &'a str,
    pub size: &'a str,
}

/// Where a VM's volumes are looked up.
pub(super) struct VmPlacement<'a> {
    pub namespace: &'a str,
    /// Empty if the node is not known.
    pub node: &'a str,
    pub running: bool,
    pub instance: Option<&'a InstanceFacts>,
}

/// The volume that is looked up.
pub(super) struct VolumeQuery<'a> {
    pub spec: &'a VolumeSpec<'a>,
    pub claim: Key,
    pub claim_size: ClaimSize,
    pub size: Option<u64>,
    pub block: bool,
    pub place: &'a VmPlacement<'a>,
}

impl VolumeQuery<'_> {
    /// Returns the most bytes that file systems on this disk alone can have. A disk may be as large as its
    /// volume, not only as large as the claim requests: KubeVirt before 1.0.1 made such disks
    /// (kubevirt/kubevirt#9809). A file system that may span several disks is compared with the smaller size.
    fn largest(&self, may_span: bool) -> Option<u64> {
        if may_span { self.size } else { self.claim_size.largest() }
    }

    fn missing(&self, reason: Reason) -> Missing {
        let fix = match reason {
            Reason::BlockVolume => self.ask_the_guest(),
            reason => fix::figure(reason, self.place.namespace, self.spec.claim),
        };
        Missing { fix, ..Missing::from(reason) }
    }

    /// Returns the fix that lets the guest report what a block volume holds.
    fn ask_the_guest(&self) -> Message {
        let Some(instance) = self.place.instance else { return fix::block_volume(true, true) };
        let disk = instance.disks.iter().find(|disk| *disk.claim == *self.spec.claim);
        fix::block_volume(disk.is_none_or(needs_serial), !instance.agent_connected)
    }

    /// A source answers but leaves the volume out. The advice differs from source to source.
    fn unreported(&self, (detail, fix): Advice) -> Missing {
        Missing { detail, fix, ..Missing::from(Reason::NotReported) }
    }
}

/// A figure that a source has, before its age and errors are judged.
struct Candidate<'a> {
    sample: Sample,
    age: Age,
    /// The source's current error: no success has followed it.
    error: Option<&'a SourceError>,
    fix: Message,
}

impl ClusterState {
    /// Returns the figure of one source, or `None` if the source cannot know the volume.
    pub(super) fn reading(
        &self,
        source: SourceId,
        query: &VolumeQuery,
        dependencies: &Dependencies,
    ) -> Option<Figure> {
        let candidate = match source {
            SourceId::Kubelet => self.read_kubelet(query, dependencies),
            SourceId::Prometheus => self.read_prometheus(query, dependencies),
            SourceId::GuestAgent => self.read_guest(query, dependencies)?,
            SourceId::Longhorn => self.read_longhorn(query, dependencies)?,
            SourceId::Ceph => self.read_ceph(query, dependencies)?,
            _ => return None,
        };
        let figure = candidate.and_then(|candidate| judge(candidate, query));
        Some(figure.map_or_else(Figure::Missing, Figure::Known))
    }

    fn read_kubelet(
        &self,
        query: &VolumeQuery,
        dependencies: &Dependencies,
    ) -> Result<Candidate<'_>, Missing> {
        if query.block {
            return Err(query.missing(Reason::BlockVolume));
        }
        dependencies.note(Name::Node(query.place.node));
        let kubelet = self.kubelets.get(query.place.node);
        let Some(report) = self.best_report(&query.claim, query.place.node, dependencies) else {
            return Err(match kubelet {
                None if !self.may_be_node(query.place.node) => query.missing(Reason::NoNode),
                None => query.missing(Reason::Starting),
                Some(kubelet) => match &kubelet.error {
                    Some(error) => fix::missing(error, fix::kubelet(error.reason, query.place.node), None),
                    None => query.unreported((msg!(error.no_host_path), fix::unlisted(query.place.node))),
                },
            });
        };
        let unlisted = || (msg!(error.no_host_path), fix::unlisted(report.node));
        let Report { node, source, stats, receipt, interval } = report;
        dependencies.note(Name::Node(node));
        let at = self.taken_at(receipt, SourceId::Kubelet, node);
        let reporter = self.kubelets.get(node);
        let peers = reporter.map(|node| &node.peers);
        let (used, of, basis) = self.image_usage(stats, (node, peers), query, dependencies, unlisted)?;
        let sample = sample(used, of, at, source, basis);
        let error = kubelet.and_then(|kubelet| kubelet.error.as_ref());
        let fix = error.map(|error| fix::kubelet(error.reason, query.place.node)).unwrap_or_default();
        Ok(Candidate { sample, age: dependencies.age_of(receipt, interval), error, fix })
    }

    fn read_prometheus(
        &self,
        query: &VolumeQuery,
        dependencies: &Dependencies,
    ) -> Result<Candidate<'_>, Missing> {
        if query.block {
            return Err(query.missing(Reason::BlockVolume));
        }
        let unscraped = || (Message::default(), fix::unscraped(&query.claim));
        let error = self.current_error(SourceId::Prometheus);
        if self.prometheus.answered.is_none() {
            return Err(self.why_unknown(SourceId::Prometheus, query, unscraped));
        }
        let Some((stats, receipt)) = self.prometheus.volumes.get(&query.claim) else {
            let gap = self.prometheus.gaps.iter().find(|gap| gap.covers(&query.claim)).map(|gap| &gap.error);
            return Err(match error.or(gap) {
                Some(error) => fix::missing(error, fix::source(SourceId::Prometheus, error.reason), None),
                None => query.unreported(unscraped()),
            });
        };
        let peers = self.prometheus.peers.get(&stats.node);
        let at = self.taken_at(receipt, SourceId::Prometheus, "");
        let (used, of, basis) =
            self.image_usage(stats, (&stats.node, peers), query, dependencies, unscraped)?;
        let age = dependencies.age_of(receipt, self.limits.disk_interval);
        Ok(self.candidate(SourceId::Prometheus, sample(used, of, at, Source::Prometheus, basis), age))
    }

    fn read_guest(
        &self,
        query: &VolumeQuery,
        dependencies: &Dependencies,
    ) -> Option<Result<Candidate<'_>, Missing>> {
        let instance = query.place.instance?;
        if !instance.agent_connected {
            return Some(Err(query.missing(Reason::AgentOff)));
        }
        let Some(guest) = self.guests.get(&KeyRef(&instance.namespace, &instance.name)) else {
            return Some(Err(query.missing(Reason::Starting)));
        };
        let fix = |error: &SourceError| fix::guest(error.reason, &instance.namespace, &instance.name);
        let Some(answered) = guest.answered else {
            let error = guest.error.as_ref();
            return Some(Err(error.map_or_else(
                || query.missing(Reason::Starting),
                |error| fix::missing(error, fix(error), None),
            )));
        };
        let content = match guest.content(query.spec.claim) {
            Ok(content)
                if query.largest(content.may_span).is_some_and(|size| exceeds(content.total, size)) =>
            {
                return Some(Err(unknown_content(Gap::Spanning, instance)));
            }
            Ok(content) => content,
            Err(gap) => return Some(Err(unknown_content(gap, instance))),
        };
        let sample = sample(content.used, content.total, self.wall(answered), Source::GuestAgent, Basis::Own);
        let error = guest.error.as_ref();
        let fix = error.map(fix).unwrap_or_default();
        Some(Ok(Candidate { sample, age: dependencies.age(answered, self.limits.disk_interval), error, fix }))
    }

    fn read_longhorn(
        &self,
        query: &VolumeQuery,
        dependencies: &Dependencies,
    ) -> Option<Result<Candidate<'_>, Missing>> {
        let Some(Backend::Longhorn(handle)) = self.backend(&query.claim) else { return None };
        let advice = || (Message::default(), fix::longhorn(handle));
        let longhorn = match self.longhorn_volume(handle, dependencies) {
            Some(Some(longhorn)) => longhorn,
            Some(None) => {
                return Some(Err(query.unreported((msg!(error.longhorn_twice), fix::longhorn(handle)))));
            }
            None => return Some(Err(self.why_unknown(SourceId::Longhorn, query, advice))),
        };
        // A size of 0 is not valid (longhorn/longhorn#9594).
        let size = longhorn.size.filter(|size| *size > 0).or(query.size);
        let amounts = longhorn.actual_size.zip(size);
        let Some((used, of)) = amounts else { return Some(Err(query.unreported(advice()))) };
        // Longhorn before 1.6 did not count v2 volumes (longhorn/longhorn#5947): it always reported 0.
        match longhorn.engine {
            LonghornEngine::UncountedV2 if used == 0 => {
                return Some(Err(query.unreported((msg!(error.longhorn_v2), msg!(fix.longhorn_v2)))));
            }
            LonghornEngine::V2 if used == 0 => return Some(Err(query.unreported(advice()))),
            _ => {}
        }
        let at = self.longhorn_time();
        let age = dependencies.age(at, self.limits.disk_interval.max(BOOKMARKS));
        let sample = sample(used, of, self.wall(at), Source::Longhorn, Basis::Backend);
        Some(Ok(self.candidate(SourceId::Longhorn, sample, age)))
    }

    fn read_ceph(
        &self,
        query: &VolumeQuery,
        dependencies: &Dependencies,
    ) -> Option<Result<Candidate<'_>, Missing>> {
        let Some(Backend::Rbd(image)) = self.backend(&query.claim) else { return None };
        let (Some(answered), Some(stats)) = (self.ceph.answered, self.ceph.stats.get(&**image)) else {
            let advice = || (Message::default(), fix::image(image));
            return Some(Err(self.why_unknown(SourceId::Ceph, query, advice)));
        };
        let used = match stats.used {
            Ok(used) => used,
            Err(Uncounted::Mirrored) => {
                let fix = fix::mirrored(&stats.image);
                return Some(Err(Missing { fix, ..Missing::from(Reason::Mirrored) }));
            }
            Err(Uncounted::NoFastDiff) => {
                let fix = fix::fast_diff(&stats.image);
                return Some(Err(Missing { fix, ..Missing::from(Reason::NoFastDiff) }));
            }
            Err(Uncounted::InvalidMap) => {
                let (detail, fix) = (msg!(error.invalid_map), fix::invalid_map(&stats.image));
                return Some(Err(Missing { detail, fix, ..Missing::from(Reason::NoFastDiff) }));
            }
        };
        let sample = sample(used, stats.size, self.wall(answered), Source::Ceph, Basis::Backend);
        let age = dependencies.age(answered, self.limits.ceph_interval);
        Some(Ok(self.candidate(SourceId::Ceph, sample, age)))
    }

    /// Returns the time of Longhorn's figures. The volumes are watched, so their figures are valid as long as the
    /// watch is alive. The time is rounded to the interval, so that it does not change every second.
    pub(super) fn longhorn_time(&self) -> Millis {
        let last_success = self.last_success_of(SourceId::Longhorn).unwrap_or_default();
        last_success - last_success % self.limits.disk_interval.max(1)
    }

    fn candidate(&self, id: SourceId, sample: Sample, age: Age) -> Candidate<'_> {
        let error = self.current_error(id);
        let fix = error.map(|error| fix::source(id, error.reason)).unwrap_or_default();
        Candidate { sample, age, error, fix }
    }

    /// Returns used bytes, total bytes and the basis of what the kubelet on `node` reports, itself or through
    /// Prometheus.
    fn image_usage(
        &self,
        stats: &VolumeStats,
        (node, peers): (&str, Option<&Peers>),
        query: &VolumeQuery,
        dependencies: &Dependencies,
        advice: impl Fn() -> Advice,
    ) -> Result<(u64, u64, Basis), Missing> {
        if is_block(stats) {
            return Err(query.missing(Reason::BlockVolume));
        }
        let used = stats.used.ok_or_else(|| query.unreported(advice()))?;
        let Some(of) = stats.capacity else {
            // Without a capacity the file system may be larger than the disk: usage above the disk's size is
            // rejected.
            let size = query.size.filter(|size| used <= *size).ok_or_else(|| query.unreported(advice()))?;
            return Ok((used, size, Basis::Own));
        };
        // When a CSI driver reports a volume as abnormal, the kubelet writes zeros for its usage.
        if of == 0 {
            return Err(query.unreported(advice()));
        }
        let claim = &query.claim;
        let has_peer = || {
            let counts = |other: &Key| {
                dependencies.note(Name::claim(other));
                self.provisioner(other) != Provisioner::Device
            };
            peers.zip(stats.available).is_some_and(|(peers, free)| peers.has(claim, of, free, counts))
        };
        // The node that Prometheus names need not be the VM's.
        dependencies.note(Name::Node(node));
        let filesystems = self.kubelets.get(node).map(|node| node.filesystems.as_slice()).unwrap_or_default();
        let provisioner = self.provisioner(claim);
        let basis = sharing::basis(query.claim_size, provisioner, of, filesystems, has_peer);
        Ok((used, of, basis))
    }

    /// Returns why a source does not know the volume: it fails, has not answered yet, or leaves the volume
    /// out.
    fn why_unknown(&self, id: SourceId, query: &VolumeQuery, advice: impl Fn() -> Advice) -> Missing {
        match self.current_error(id) {
            Some(error) => fix::missing(error, fix::source(id, error.reason), None),
            None if self.last_success_of(id).is_none() => query.missing(Reason::Starting),
            None => query.unreported(advice()),
        }
    }
}

/// Decides whether a figure still counts. If the source denies access, the figure is missing at once. If the
/// source is silent, or a guest agent's API is absent, the figure ages: disks fill slowly, so the last value
/// still says enough.
fn judge(candidate: Candidate, query: &VolumeQuery) -> Result<Sample, Missing> {
    let Candidate { sample, age, error, fix } = candidate;
    let sample = Sample { stale: age.stale, ..sample };
    match error {
        Some(error) if error.reason == Reason::Forbidden || age.expired => {
            Err(fix::missing(error, fix, Some(sample)))
        }
        None if age.expired => Err(Missing { last: Some(sample), ..query.missing(Reason::Expired) }),
        _ => Ok(sample),
    }
}

/// Returns why the guest's file systems do not say what a disk holds, and the fix.
fn unknown_content(gap: Gap, instance: &InstanceFacts) -> Missing {
    let show_list = || fix::filesystems(&instance.namespace, &instance.name);
    let (reason, detail, fix) = match gap {
        Gap::NothingListed => (Reason::Starting, msg!(error.nothing_listed), msg!(fix.agent_polled)),
        Gap::NoDisk if instance.disks_left_out > 0 => {
            let count = instance.disks_left_out.to_string();
            (Reason::TooLarge, msg!(error.disks_left_out, count = count), Message::default())
        }
        Gap::NoDisk => (Reason::NotReported, msg!(error.no_disk), Message::default()),
        Gap::NoFilesystem => (Reason::NotReported, msg!(error.no_filesystem), show_list()),
        Gap::NoSerial => (Reason::NotReported, msg!(error.no_serial), msg!(fix.serial)),
        Gap::Lun => (Reason::NotReported, msg!(error.lun_identity), Message::default()),
        Gap::CdRom => (Reason::NotReported, msg!(error.cdrom_identity), Message::default()),
        Gap::NoSizes => (Reason::NotReported, msg!(error.no_sizes), msg!(fix.update_agent)),
        Gap::NoUse => (Reason::NotReported, msg!(error.no_use), show_list()),
        Gap::BadSizes => (Reason::BadAnswer, msg!(error.bad_sizes), show_list()),
        Gap::Unnamed => (Reason::NotReported, msg!(error.unnamed_devices), show_list()),
        Gap::Hidden => (Reason::NotReported, msg!(error.hidden_mount), show_list()),
        Gap::Spanning => (Reason::NotReported, msg!(error.spanning), show_list()),
        Gap::SharedSerial => (Reason::NotReported, msg!(error.shared_serial), msg!(fix.own_serials)),
    };
    Missing { detail, fix, ..Missing::from(reason) }
}

fn sample(used: u64, of: u64, at: Millis, source: Source, basis: Basis) -> Sample {
    Sample { unit: Unit::Bytes, used, of, at, window_ms: 0, source, basis, stale: false }
}

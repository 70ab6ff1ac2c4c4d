//! Decides whether a volume has its own file system or shares one with others, for `readings`.
//!
//! A kubelet reports the file system that a volume lies on. If the volume is a directory, as local, hostPath
//! and NFS provisioners make it, that is the whole file system: each of its volumes reports everything in it,
//! and their sum would count it many times.

use super::observation::{Key, Provisioner, VolumeRef, VolumeStats};
use model::figure::Basis;

/// The sizes of a claim, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ClaimSize {
    /// `spec.resources.requests.storage`.
    pub request: Option<u64>,
    /// `status.capacity.storage`. Provisioners of directories write the size of the file system there.
    pub capacity: Option<u64>,
}

impl ClaimSize {
    /// Returns the size of the disk that KubeVirt makes on the claim: on a file system the smaller of the two
    /// sizes (`GetDiskCapacity` in pkg/storage/types/pvc.go), on a device all of it.
    pub fn of_disk(self, block: bool) -> Option<u64> {
        match (self.request, self.capacity) {
            (request, Some(capacity)) if !block => {
                Some(request.map_or(capacity, |request| request.min(capacity)))
            }
            (request, capacity) => capacity.or(request),
        }
    }

    /// Returns the larger of the two. During an expansion the request grows first, then the file system, and
    /// the status last.
    pub fn largest(self) -> Option<u64> {
        self.request.max(self.capacity)
    }

    /// Whether the provisioner gave the claim far more than it requested.
    fn is_overfulfilled(self) -> bool {
        self.request.zip(self.capacity).is_some_and(|(request, capacity)| exceeds(capacity, request))
    }
}

/// Whether `of` is more than 1.1 × `size`. CDI makes claims up to 6 % larger than their disk
/// (`DefaultGlobalOverhead`), so a difference of a tenth does not mean sharing.
fn exceeds(of: u64, size: u64) -> bool {
    u128::from(of) * 10 > u128::from(size) * 11
}

/// Returns the basis of a figure of a file system of `capacity` bytes. `node` has the sizes of the file
/// systems that the node's kubelet lies on; `has_peer` tells whether another claim of the node reports the
/// same file system.
pub(super) fn basis(
    claim: ClaimSize,
    provisioner: Provisioner,
    capacity: u64,
    node: &[u64],
    has_peer: impl FnOnce() -> bool,
) -> Basis {
    let unlisted = matches!(provisioner, Provisioner::Unknown | Provisioner::Unlisted);
    let shared = match provisioner {
        Provisioner::Device => false,
        Provisioner::Directory => true,
        _ if claim.largest().is_some_and(|size| exceeds(capacity, size)) => true,
        _ if node.contains(&capacity) => true,
        // Clones of one image on devices of the same size look alike too.
        Provisioner::Unlisted if fits_device(claim, capacity) => false,
        _ => (unlisted && claim.is_overfulfilled()) || has_peer(),
    };
    if shared { Basis::SharedFilesystem } else { Basis::Own }
}

/// Whether the file system fits a device of the claim's size: it is a little smaller than the device, and
/// never larger.
fn fits_device(claim: ClaimSize, capacity: u64) -> bool {
    let fits = |size: u64| capacity <= size && u128::from(capacity) * 100 >= u128::from(size) * 85;
    claim.capacity.or(claim.request).is_some_and(fits) && !claim.is_overfulfilled()
}

/// Peers that are checked for one volume.
const MOST_PEERS: usize = 64;

/// The file systems that the claims of one node report: capacity, available bytes and claim, sorted.
#[derive(Debug, Default)]
pub(super) struct Peers(Box<[(u64, u64, Key)]>);

impl Peers {
    pub fn new<'a>(stats: impl Iterator<Item = &'a VolumeStats>) -> Self {
        let peer = |stats: &VolumeStats| match (&stats.of, stats.capacity, stats.available) {
            (VolumeRef::Claim(claim), Some(capacity), Some(available)) if !is_block(stats) => {
                Some((capacity, available, claim.clone()))
            }
            _ => None,
        };
        let mut peers: Vec<_> = stats.filter_map(peer).collect();
        peers.sort_unstable();
        Self(peers.into())
    }

    /// Whether another claim for which `counts` is true reports the same file system. Each pod is measured
    /// separately, up to two minutes apart, so the available bytes may differ by a hundredth of the capacity.
    pub fn has(&self, claim: &Key, capacity: u64, available: u64, counts: impl Fn(&Key) -> bool) -> bool {
        let slack = capacity / 100;
        let (least, most) = (available.saturating_sub(slack), available.saturating_add(slack));
        let first = self.0.partition_point(|(of, free, _)| (*of, *free) < (capacity, least));
        let alike = self.0[first..].iter().take_while(|(of, free, _)| *of == capacity && *free <= most);
        alike.take(MOST_PEERS).any(|(_, _, other)| other != claim && counts(other))
    }
}

/// Whether the stats are those of a raw device. It has a size, but the kubelet cannot see into it and reports
/// zeros, not "unknown".
pub(super) fn is_block(stats: &VolumeStats) -> bool {
    let zero = |value: Option<u64>| value.unwrap_or(0) == 0;
    zero(stats.used) && zero(stats.available) && zero(stats.inodes) && !zero(stats.capacity)
}

//! The disks and networks of a guest, with the storage backend of each disk.

use std::net::Ipv6Addr;

use strum::IntoStaticStr;

use super::{
    clock::Millis,
    load::{self, Fill},
    rng,
};

/// A disk and its PersistentVolumeClaim.
#[derive(Clone, Debug, PartialEq)]
pub struct Disk {
    pub name: String,
    pub claim: String,
    /// A quantity.
    pub size: String,
    pub storage_class: String,
    pub boot: bool,
    pub image: String,
    pub mode: DiskMode,
    pub fill: Fill,
    /// The serial in the spec; empty if it sets none. The guest reports it in its own form.
    pub serial: String,
    pub bus: Bus,
    pub backend: Backend,
    /// Whether the kubelet's metrics include the volume although its summary does not.
    pub unlisted: bool,
}

/// How a disk is attached to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Bus {
    Virtio,
    Scsi,
    Sata,
}

impl Bus {
    /// The bus as KubeVirt writes it.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The storage behind a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A CSI driver that offers no figures.
    San,
    /// An image in Ceph. Without fast-diff Ceph cannot say how much it uses.
    Rbd {
        fast_diff: bool,
    },
    /// An image in Ceph that is mirrored by snapshots; Ceph reports no usage for those.
    MirroredRbd,
    /// An image in Ceph that a person created, with a PersistentVolume for it.
    StaticRbd,
    Longhorn,
    /// A directory of the node; kubelets have no figures for it.
    HostPath,
    /// A directory in a pool of this many bytes, by KubeVirt's CSI driver. The claim's status reports the
    /// size of the pool.
    HostPathCsi(u64),
    /// A directory of a file system of this many bytes, by the local-path provisioner. Claims may exceed it
    /// together.
    LocalPath(u64),
}

impl Backend {
    /// Whether its volumes are on the disks of one node.
    pub fn is_of_a_node(self) -> bool {
        matches!(self, Self::HostPath | Self::HostPathCsi(_) | Self::LocalPath(_))
    }

    /// Whether this is an image in Ceph.
    pub fn is_rbd(self) -> bool {
        matches!(self, Self::Rbd { .. } | Self::MirroredRbd | Self::StaticRbd)
    }
}

/// The pool of every RBD image.
pub const POOL: &str = "vms";

/// How a disk's volume is provided, and what a kubelet can see of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskMode {
    Filesystem,
    Block,
    /// A directory of a file system of this many bytes, as NFS and local provisioners provide.
    Shared(u64),
    /// Plugged in while the VM runs: an attachment pod mounts it, not the launcher.
    Hotplug,
}

/// A network: what the spec asks for, and what the status reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    pub name: String,
    /// `bridge`, `macvlan`, `sriov` or `ovs`; empty if the spec does not say.
    pub kind: String,
    pub interface: String,
    pub ip_address: String,
    pub mac_address: String,
}

impl Disk {
    /// Returns a half-filled file system volume of a guest.
    pub fn new(guest: &str, name: &str, size: &str) -> Self {
        let claim = format!("{guest}-{name}");
        let seed = rng::hash(0, &[&claim]);
        Self {
            name: name.to_owned(),
            claim,
            size: size.to_owned(),
            storage_class: "san-gold".to_owned(),
            boot: name == "root",
            image: String::new(),
            mode: DiskMode::Filesystem,
            fill: Fill::Curve { seed, share: 0.5 },
            serial: String::new(),
            bus: Bus::Virtio,
            backend: Backend::San,
            unlisted: false,
        }
    }

    /// Sets the mode. Disks that are plugged in while running are on the SCSI bus.
    pub fn mode(mut self, mode: DiskMode) -> Self {
        self.mode = mode;
        if mode == DiskMode::Hotplug {
            self.bus = Bus::Scsi;
        }
        self
    }

    pub fn bus(mut self, bus: Bus) -> Self {
        self.bus = bus;
        self
    }

    /// Sets the backend and its storage class.
    pub fn on(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self.storage_class(match backend {
            Backend::San => "san-gold",
            Backend::Rbd { .. } | Backend::MirroredRbd => "rook-ceph-block",
            Backend::StaticRbd => "",
            Backend::Longhorn => "longhorn",
            Backend::HostPath => "host-path",
            Backend::HostPathCsi(_) => "hostpath-csi",
            Backend::LocalPath(_) => "local-path",
        })
    }

    pub fn serial(mut self, serial: &str) -> Self {
        self.serial = serial.to_owned();
        self
    }

    /// Leaves the volume out of the kubelet's summary.
    pub fn unlisted(mut self) -> Self {
        self.unlisted = true;
        self
    }

    pub fn storage_class(mut self, name: &str) -> Self {
        self.storage_class = name.to_owned();
        self
    }

    /// Sets exact figures for an ext4 volume.
    pub fn holds(self, used: u64, capacity: u64) -> Self {
        self.figures(load::VolumeFigures::of_ext4(used, capacity))
    }

    /// Sets exact figures, even inconsistent ones.
    pub fn figures(mut self, figures: load::VolumeFigures) -> Self {
        self.fill = Fill::Fixed(figures);
        self
    }

    /// The size in bytes.
    pub fn bytes(&self) -> u64 {
        load::bytes(&self.size).unwrap_or(0)
    }

    /// Bytes that the guest has written, whether or not a kubelet can see them.
    pub fn held(&self, at: Millis) -> u64 {
        self.fill.figures(self.bytes(), at).used
    }

    /// Bytes that the backend has allocated, in units of 4 MiB: what the guest holds, and 5 % that it has
    /// deleted since.
    pub fn allocated(&self, at: Millis) -> u64 {
        let held = self.held(at);
        (held + held / 20).div_ceil(4 << 20) * (4 << 20)
    }

    /// The size in bytes of the file system that contains the disk's directory, if it is one.
    pub fn pool(&self) -> Option<u64> {
        match self.backend {
            Backend::HostPathCsi(bytes) | Backend::LocalPath(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub fn is_hotplugged(&self) -> bool {
        self.mode == DiskMode::Hotplug
    }

    pub fn is_block(&self) -> bool {
        self.mode == DiskMode::Block
    }
}

impl Network {
    /// Returns a bridged network with an address derived from `seed`.
    pub fn lan(seed: u64) -> Self {
        Self::of(seed, "network", "lan", "bridge", "enp1s0")
    }

    /// Returns a network whose interface is a virtual function of the node's own card. The host does not see its
    /// traffic.
    pub fn sriov(seed: u64) -> Self {
        Self::of(seed, "sriov", "fast-path", "sriov", "enp6s0f0v3")
    }

    fn of(seed: u64, what: &str, name: &str, kind: &str, interface: &str) -> Self {
        let mut rng = rng::Rng::of(seed, &[what]);
        let bytes: Vec<u64> = (0..6).map(|_| rng.below(254) + 1).collect();
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            interface: interface.to_owned(),
            ip_address: format!("10.{}.{}.{}", 128 + bytes[0] % 64, bytes[1], bytes[2]),
            mac_address: format!("52:54:00:{:02x}:{:02x}:{:02x}", bytes[3], bytes[4], bytes[5]),
        }
    }

    /// Returns the same network with the addresses of another seed.
    pub fn readdressed(&self, seed: u64) -> Self {
        if self.is_sriov() { Self::sriov(seed) } else { Self::lan(seed) }
    }

    pub fn is_sriov(&self) -> bool {
        self.kind == "sriov"
    }

    /// Every address that the guest has on it: of IPv4, and of IPv6 by its MAC address (RFC 4291).
    pub fn addresses(&self) -> [String; 3] {
        let bytes: Vec<u16> =
            self.mac_address.split(':').filter_map(|byte| u16::from_str_radix(byte, 16).ok()).collect();
        let byte = |n: usize| bytes.get(n).copied().unwrap_or_default();
        let host =
            [(byte(0) ^ 2) << 8 | byte(1), byte(2) << 8 | 0xff, 0xfe00 | byte(3), byte(4) << 8 | byte(5)];
        let within = |net: [u16; 3]| {
            let [a, b, c] = net;
            Ipv6Addr::new(a, b, c, 0, host[0], host[1], host[2], host[3]).to_string()
        };
        [self.ip_address.clone(), within([0xfd00, 0x10, 0x128]), within([0xfe80, 0, 0])]
    }

    /// The interface in the launcher pod. KubeVirt names those of secondary networks after a hash of the network.
    pub fn pod_interface(&self) -> String {
        match self.is_sriov() {
            true => format!("pod{:011x}", rng::hash(0, &[&self.name]) >> 20),
            false => "eth0".to_owned(),
        }
    }
}

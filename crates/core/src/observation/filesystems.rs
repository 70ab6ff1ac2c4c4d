//! Groups the mounts that a guest agent lists by device, since one device may have hundreds of mounts.
//! `collector` fills [`Devices`], and the result is an observation.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

/// A device of the guest with a file system, as described by one of its mounts.
///
/// KubeVirt writes 0 for what the agent leaves out (`parseFilesystem` of
/// kubevirt pkg/virt-launcher/virtwrap/agent-poller/agent_parser.go), and agents give both sizes or none
/// (`build_guest_fsinfo` of qga/commands-posix.c and commands-win32.c).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filesystem {
    /// The device; empty if the agent does not name it.
    pub disk_name: String,
    pub mount_point: String,
    pub kind: String,
    /// Bytes; 0 if the agent does not say, `None` if the value is not a number.
    pub used: Option<u64>,
    pub total: Option<u64>,
    /// Serials of the disks that the device lies on, each once. An empty serial stands for disks that the
    /// agent does not identify.
    pub serials: Vec<String>,
    /// Another device is mounted over each of its mount points: the sizes that the agent lists are that
    /// device's.
    pub hidden: bool,
}

impl Filesystem {
    /// Returns the bytes of the text that the agent wrote, including the overhead of keeping each serial.
    pub fn text_bytes(&self) -> usize {
        let names = [&self.disk_name, &self.mount_point, &self.kind];
        let names: usize = names.into_iter().chain(&self.serials).map(String::len).sum();
        names + self.serials.len() * 2 * size_of::<String>()
    }

    /// Whether the agent gives any size.
    pub fn has_sizes(&self) -> bool {
        (self.used, self.total) != (Some(0), Some(0))
    }

    /// The rank of a mount among those of its device; the highest gives the device's sizes. A larger size
    /// ranks higher, because a bind mount of a directory with a quota shows the quota's size.
    fn rank(&self) -> (bool, bool, u64, Reverse<usize>) {
        let total = self.total.unwrap_or(u64::MAX);
        (self.has_sizes() && !self.hidden, self.has_sizes(), total, Reverse(self.mount_point.len()))
    }
}

/// Serials that are kept for one device. A device with more is not assigned to a disk.
const MOST_SERIALS: usize = 64;

/// Groups mounts by device, in the order of the agent's list.
#[derive(Debug)]
pub struct Devices {
    /// Devices that are kept; one more is stored to show that there were others.
    most: usize,
    list: Vec<Filesystem>,
    /// Indexes into `list`, by device name, or by mount point if the device has no name.
    places: HashMap<(bool, String), usize>,
    /// The device whose sizes a mount point shows. Agents list mounts in reverse order, so the first one of a
    /// mount point is on top, and statvfs returns its sizes for all of them (`build_fs_mount_list` of
    /// qga/commands-posix.c).
    tops: HashMap<String, usize>,
}

impl Devices {
    /// Keeps at most `most` devices.
    pub fn new(most: usize) -> Self {
        Self { most, list: Vec::new(), places: HashMap::new(), tops: HashMap::new() }
    }

    /// Adds a mount to its device.
    pub fn add(&mut self, mount: Filesystem) {
        let named = !mount.disk_name.is_empty();
        let key = (named, if named { mount.disk_name.clone() } else { mount.mount_point.clone() });
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None if self.list.len() > self.most => return,
            None => {
                self.places.insert(key, self.list.len());
                self.list.len()
            }
        };
        let hidden = self.is_hidden(&mount, place);
        let mount = Filesystem { hidden, ..mount };
        match self.list.get_mut(place) {
            None => self.list.push(mount),
            Some(device) => merge(device, mount),
        }
    }

    fn is_hidden(&mut self, mount: &Filesystem, place: usize) -> bool {
        if !mount.has_sizes() || mount.mount_point.is_empty() {
            return false;
        }
        *self.tops.entry(mount.mount_point.clone()).or_insert(place) != place
    }

    /// Returns the devices, at most one more than `most`.
    pub fn finish(mut self) -> Vec<Filesystem> {
        for device in self.list.iter_mut().filter(|device| device.serials.len() > MOST_SERIALS) {
            device.serials.truncate(MOST_SERIALS - 1);
            device.serials.push(String::new());
        }
        self.list
    }
}

fn merge(device: &mut Filesystem, mount: Filesystem) {
    let serials: BTreeSet<String> = device.serials.drain(..).chain(mount.serials.iter().cloned()).collect();
    if mount.rank() > device.rank() {
        *device = mount;
    }
    device.serials = serials.into_iter().collect();
}

//! What a guest agent lists, put together by device: agents list mounts, and one device may have hundreds.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

/// A device of the guest with a file system, as the agent lists one of its mounts.
///
/// KubeVirt writes 0 for what the agent leaves out (`parseFilesystem` of
/// kubevirt pkg/virt-launcher/virtwrap/agent-poller/agent_parser.go), and agents give both sizes or none
/// (`build_guest_fsinfo` of qga/commands-posix.c and commands-win32.c).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filesystem {
    /// The device; empty where the agent does not name it.
    pub disk_name: String,
    pub mount_point: String,
    pub kind: String,
    /// Bytes, 0 where the agent does not say; none where it is no number.
    pub used: Option<u64>,
    pub total: Option<u64>,
    /// Serials of the disks that it lies on, each once. An empty one stands for disks that the agent does not identify.
    pub serials: Vec<String>,
    /// Another device is mounted over each of its mount points: the sizes that the agent lists are the other's.
    pub hidden: bool,
}

impl Filesystem {
    /// Bytes of what the agent wrote in words, with what it takes to keep each serial.
    pub fn text_bytes(&self) -> usize {
        let names = [&self.disk_name, &self.mount_point, &self.kind];
        let names: usize = names.into_iter().chain(&self.serials).map(String::len).sum();
        names + self.serials.len() * 2 * size_of::<String>()
    }

    /// Whether the agent gives any size.
    pub fn has_sizes(&self) -> bool {
        (self.used, self.total) != (Some(0), Some(0))
    }

    /// Of two mounts of one device the larger tells its sizes. A bind mount of a directory with a quota shows the quota's.
    fn rank(&self) -> (bool, bool, u64, Reverse<usize>) {
        let total = self.total.unwrap_or(u64::MAX);
        (self.has_sizes() && !self.hidden, self.has_sizes(), total, Reverse(self.mount_point.len()))
    }
}

/// Serials that are kept of one device. One with more counts for no disk.
const MOST_SERIALS: usize = 64;

/// Puts mounts together by device, in the order of the agent's list.
#[derive(Debug)]
pub struct Devices {
    /// Devices that are kept, and one more as the sign that there were others.
    most: usize,
    list: Vec<Filesystem>,
    /// Places in the list by name of the device, or by mount point where it has none.
    places: HashMap<(bool, String), usize>,
    /// Which device tells its sizes by a mount point. Agents list mounts in reverse order, so that the first of a mount
    /// point is on top, and statvfs gives its sizes for all of them (`build_fs_mount_list` of qga/commands-posix.c).
    tops: HashMap<String, usize>,
}

impl Devices {
    pub fn new(most: usize) -> Self {
        Self { most, list: Vec::new(), places: HashMap::new(), tops: HashMap::new() }
    }

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

    /// Of more devices than are kept, one more than that.
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

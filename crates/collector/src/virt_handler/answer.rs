//! Reads the answer of one node's virt-handler while it arrives. It is never held as a whole: the labels of the
//! VMs are repeated in each of their series, so that 100 VMs make 5 MB. Kept are only the guests of this node,
//! and of them what [`names`] lists.
//!
//! No parser of this format on crates.io reads it in pieces and within bounds.

#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use memchr::memchr;

use super::{
    names::{self, Field},
    series::{self, Labels, Line, Series},
};
use crate::error::Failure;
use model::activity::MigrationProgress;
use wukong_core::observation::{
    DriveCounters, GuestCounters, GuestFacts, GuestMemory, GuestsFacts, InterfaceCounters, Key,
    KubevirtVersion, VcpuDelay,
};

/// Bytes of the largest answer, most of which may be skipped. KubeVirt writes all labels of a VMI into each of its
/// series, and anyone who may label one VMI could hide the other guests of its node.
pub const MOST_RECEIVED: usize = 256 << 20;
/// Lines of the largest answer: twenty times what 100 large VMs make.
pub const MOST_LINES: usize = 400_000;
/// Bytes of the longest line that is read. A longer one is left out.
pub const LONGEST_LINE: usize = 64 << 10;
/// Bytes of a line that count towards the limit of the series that are read; further labels count as skipped.
const COUNTED_LINE: usize = 4 << 10;
/// Guests of one node. A kubelet runs at most a few hundred pods.
pub const MOST_GUESTS: usize = 1000;
/// Interfaces and drives of one guest that are kept.
pub const MOST_INTERFACES: usize = 32;
pub const MOST_DRIVES: usize = 256;
/// Interfaces and drives of all guests of one node. If there are more, the namespace with the most gives them up, so
/// that no tenant hides the devices of another.
pub const MOST_DEVICES: usize = 8192;
/// Bytes of the facts of one answer, while they are read. Those of 100 guests with long names take 200 kB.
pub const MOST_BYTES: usize = 2 << 20;
/// Bytes of an interface or a drive without its name.
const LARGEST_DEVICE: usize = size_of::<DriveCounters>();
/// KubeVirt's limit is 512.
pub const MOST_VCPUS: usize = 1024;

/// The answer of one node, as far as it has arrived.
pub struct AnswerReader {
    node: Arc<str>,
    /// Only guests in these namespaces are kept, if it is set.
    namespaces: Option<Arc<[String]>>,
    /// Bytes of the series that are read.
    limit: usize,
    parsed: usize,
    received: usize,
    lines: usize,
    /// The line that has begun and not ended.
    begun: Vec<u8>,
    /// The rest of the current line is skipped.
    is_skipping: bool,
    /// Whether something showed that this is the format.
    is_recognised: bool,
    version: Option<KubevirtVersion>,
    guests: Vec<GuestFacts>,
    /// Which vCPUs have reported, for each guest.
    vcpus: Vec<VcpuSet>,
    /// Indexes of guests by `namespace/name`.
    places: HashMap<Box<str>, usize>,
    /// The key of the last lookup, so that no lookup allocates.
    key: String,
    devices: usize,
    /// Namespaces of which no device is kept.
    without_devices: Vec<Box<str>>,
    /// Bytes of the guests and devices.
    bytes: usize,
}

/// Which vCPUs of a guest have reported.
type VcpuSet = [u64; MOST_VCPUS / 64];

impl AnswerReader {
    pub fn new(node: &str, namespaces: Option<Arc<[String]>>, limit: usize) -> Self {
        Self {
            node: node.into(),
            namespaces,
            limit,
            parsed: 0,
            received: 0,
            lines: 0,
            begun: Vec::new(),
            is_skipping: false,
            is_recognised: false,
            version: None,
            guests: Vec::new(),
            vcpus: Vec::new(),
            places: HashMap::new(),
            key: String::new(),
            devices: 0,
            without_devices: Vec::new(),
            bytes: 0,
        }
    }

    /// Reads the next piece of the answer. Fails if the answer is over a limit.
    pub fn read(&mut self, mut data: &[u8]) -> Result<(), Failure> {
        self.received = self.received.saturating_add(data.len());
        if self.received > MOST_RECEIVED {
            return Err(Failure::TooLarge(MOST_RECEIVED));
        }
        while let Some(end) = memchr(b'\n', data) {
            self.end_line(&data[..end])?;
            data = &data[end + 1..];
        }
        self.begin_line(data);
        Ok(())
    }

    /// The bytes that the facts take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The facts of the whole answer. Fails if it was not of this format. A last line without its end is
    /// dropped: its number may be cut.
    pub fn finish(mut self) -> Result<GuestsFacts, Failure> {
        for GuestFacts { counters, .. } in &mut self.guests {
            counters.interfaces.shrink_to_fit();
            counters.drives.shrink_to_fit();
        }
        let contention_since = self.version.and_then(names::contention_since);
        let facts = GuestsFacts { guests: self.guests, contention_since };
        if self.is_recognised { Ok(facts) } else { Err(Failure::Undecodable) }
    }

    fn begin_line(&mut self, data: &[u8]) {
        if data.is_empty() || self.is_skipping {
            return;
        }
        if self.begun.len() + data.len() <= LONGEST_LINE {
            self.begun.extend_from_slice(data);
        } else {
            self.is_skipping = true;
        }
        self.is_skipping |= series::is_skipped(&self.begun);
        if self.is_skipping {
            self.begun.clear();
        }
    }

    fn end_line(&mut self, end: &[u8]) -> Result<(), Failure> {
        self.lines += 1;
        if self.lines > MOST_LINES {
            return Err(Failure::TooMany(MOST_LINES));
        }
        if std::mem::take(&mut self.is_skipping) || self.begun.len() + end.len() > LONGEST_LINE {
            self.begun.clear();
            return Ok(());
        }
        if self.begun.is_empty() {
            return self.read_line(end);
        }
        let mut line = std::mem::take(&mut self.begun);
        line.extend_from_slice(end);
        let read = self.read_line(&line);
        line.clear();
        self.begun = line;
        read
    }

    fn read_line(&mut self, line: &[u8]) -> Result<(), Failure> {
        let read = series::read(line);
        // The rest of a line of another family is skipped, and costs nothing.
        if !matches!(read, Line::Other) {
            self.parsed += line.len().min(COUNTED_LINE);
        }
        if self.parsed > self.limit {
            return Err(Failure::TooLarge(self.limit));
        }
        match read {
            Line::Series(series) => {
                self.is_recognised = true;
                return self.add(&series);
            }
            Line::Version(version) => {
                self.is_recognised = true;
                self.version = names::version(&version).or(self.version);
            }
            Line::Other => {
                self.is_recognised |= line.starts_with(b"# HELP ") || line.starts_with(b"# TYPE ");
            }
            Line::Bad => {}
        }
        Ok(())
    }

    /// Adds a series. A guest of another node, or of another namespace, is left out: only its own node's
    /// virt-handler knows it.
    fn add(&mut self, series: &Series<'_>) -> Result<(), Failure> {
        let Labels { namespace, name, node, part } = &series.labels;
        let ours = |all: &Arc<[String]>| all.iter().any(|own| own == namespace);
        // KubeVirt 1.4.0 does not name the node in the series of migrations.
        let is_nameless = node.is_empty() && matches!(series.family.field, Field::Migration(_));
        if !is_nameless && **node != *self.node || namespace.is_empty() || name.is_empty() {
            return Ok(());
        }
        if self.namespaces.as_ref().is_some_and(|all| !ours(all)) {
            return Ok(());
        }
        // A device without a name could be any of them.
        if part.is_empty() && matches!(series.family.field, Field::Interface(_) | Field::Drive(_)) {
            return Ok(());
        }
        let place = self.place(namespace, name)?;
        match series.family.field {
            Field::Guest(field) => set(field(&mut self.guests[place]), series.value),
            Field::Migration(field) => {
                if self.version.is_none_or(|version| series.family.is_in(version)) {
                    set_newest(field(self.guests[place].migration.get_or_insert_default()), series.value);
                }
            }
            Field::VcpuDelay => {
                add_delay(&mut self.guests[place].counters, &mut self.vcpus[place], part, series.value);
            }
            Field::Interface(field) => {
                if let Some(interface) = self.device(place, part)? {
                    set(field(interface), series.value);
                }
            }
            Field::Drive(field) => {
                if let Some(drive) = self.device(place, part)? {
                    set(field(drive), series.value);
                }
            }
        }
        Ok(())
    }

    /// The device of this name of a guest, which is added if it is new. `None` if the guest may have no more.
    fn device<T: Device>(&mut self, place: usize, name: &str) -> Result<Option<&mut T>, Failure> {
        let (devices, left_out) = T::of(&mut self.guests[place].counters);
        let known = devices.iter().position(|device| device.name() == name);
        if known.is_none() {
            *left_out |= devices.len() == T::MOST;
            if *left_out {
                return Ok(None);
            }
            if self.devices == MOST_DEVICES {
                self.leave_out_devices()?;
            }
            self.make_room(LARGEST_DEVICE + name.len())?;
            let (devices, left_out) = T::of(&mut self.guests[place].counters);
            if *left_out {
                return Ok(None);
            }
            devices.push(T::new(name));
            self.devices += 1;
            self.bytes += LARGEST_DEVICE + name.len();
        }
        let (devices, _) = T::of(&mut self.guests[place].counters);
        let index = known.unwrap_or(devices.len().saturating_sub(1));
        Ok(devices.get_mut(index))
    }

    /// Makes room for so many bytes. Fails if there is none.
    fn make_room(&mut self, bytes: usize) -> Result<(), Failure> {
        while self.bytes + bytes > MOST_BYTES {
            self.leave_out_devices()?;
        }
        Ok(())
    }

    /// Leaves out the devices of the namespace that has the most of them, by their bytes. Fails if there is none.
    fn leave_out_devices(&mut self) -> Result<(), Failure> {
        let mut by_namespace: HashMap<&str, usize> = HashMap::new();
        for guest in &self.guests {
            *by_namespace.entry(&guest.instance.namespace).or_default() += device_bytes(&guest.counters);
        }
        let largest = by_namespace.into_iter().map(|(namespace, bytes)| (bytes, namespace)).max();
        let Some((bytes @ 1.., namespace)) = largest else { return Err(Failure::TooLarge(MOST_BYTES)) };
        let namespace: Box<str> = namespace.into();
        for guest in self.guests.iter_mut().filter(|guest| guest.instance.namespace == namespace) {
            self.devices -= guest.counters.interfaces.len() + guest.counters.drives.len();
            leave_out_devices_of(guest);
        }
        self.bytes -= bytes;
        self.without_devices.push(namespace);
        Ok(())
    }

    /// The index of a guest, which is added if it is new.
    fn place(&mut self, namespace: &str, name: &str) -> Result<usize, Failure> {
        self.key.clear();
        self.key.extend([namespace, "/", name]);
        if let Some(place) = self.places.get(&*self.key) {
            return Ok(*place);
        }
        let place = self.guests.len();
        if place == MOST_GUESTS {
            return Err(Failure::TooMany(MOST_GUESTS));
        }
        // Its names stand in the index too.
        let facts = size_of::<GuestFacts>() + size_of::<MigrationProgress>();
        let bytes = facts + size_of::<VcpuSet>() + 2 * self.key.len();
        self.make_room(bytes)?;
        self.bytes += bytes;
        self.places.insert(self.key.as_str().into(), place);
        self.guests.push(empty_guest(namespace, name));
        if self.without_devices.iter().any(|left_out| **left_out == *namespace) {
            leave_out_devices_of(&mut self.guests[place]);
        }
        self.vcpus.push(VcpuSet::default());
        Ok(place)
    }
}

/// A guest of which nothing is known.
pub fn empty_guest(namespace: &str, name: &str) -> GuestFacts {
    let (memory, counters) = (GuestMemory::default(), GuestCounters::default());
    GuestFacts { instance: Key::new(namespace, name), memory, migration: None, counters }
}

/// Sets a value. Of a series that is there twice the first value counts, as in Prometheus.
fn set(field: &mut Option<u64>, value: Option<u64>) {
    *field = field.or(value);
}

/// Sets a value of which the last counts. KubeVirt 1.4 and newer samples a migration every 5 s, and reports all samples
/// since it was last asked, by anyone.
fn set_newest(field: &mut Option<u64>, value: Option<u64>) {
    *field = value.or(*field);
}

/// Adds the waiting time of one vCPU. A vCPU counts once.
fn add_delay(counters: &mut GuestCounters, reported: &mut VcpuSet, id: &str, value: Option<u64>) {
    let (Some(nanos), Some(id)) = (value, id.parse::<usize>().ok().filter(|id| *id < MOST_VCPUS)) else {
        return;
    };
    let (word, bit) = (&mut reported[id / 64], 1 << (id % 64));
    if *word & bit == 0 {
        *word |= bit;
        let VcpuDelay { nanos: sum, vcpus } = counters.delay.unwrap_or_default();
        counters.delay = Some(VcpuDelay { nanos: sum.saturating_add(nanos), vcpus: vcpus + 1 });
    }
}

/// Bytes of the devices of a guest.
fn device_bytes(counters: &GuestCounters) -> usize {
    let interfaces = counters.interfaces.iter().map(|interface| interface.name.len());
    let drives = counters.drives.iter().map(|drive| drive.name.len());
    interfaces.chain(drives).map(|name| LARGEST_DEVICE + name).sum()
}

fn leave_out_devices_of(guest: &mut GuestFacts) {
    let counters = &mut guest.counters;
    (counters.interfaces, counters.interfaces_left_out) = (Vec::new(), true);
    (counters.drives, counters.drives_left_out) = (Vec::new(), true);
}

/// A device of a guest, which its name identifies.
trait Device {
    /// How many of one guest are kept.
    const MOST: usize;
    fn new(name: &str) -> Self;
    fn name(&self) -> &str;
    /// The devices of this kind, and whether some are left out.
    fn of(counters: &mut GuestCounters) -> (&mut Vec<Self>, &mut bool)
    where
        Self: Sized;
}

impl Device for InterfaceCounters {
    const MOST: usize = MOST_INTERFACES;

    fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn of(counters: &mut GuestCounters) -> (&mut Vec<Self>, &mut bool) {
        (&mut counters.interfaces, &mut counters.interfaces_left_out)
    }
}

impl Device for DriveCounters {
    const MOST: usize = MOST_DRIVES;

    fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn of(counters: &mut GuestCounters) -> (&mut Vec<Self>, &mut bool) {
        (&mut counters.drives, &mut counters.drives_left_out)
    }
}

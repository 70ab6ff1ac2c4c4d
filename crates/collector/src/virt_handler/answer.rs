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
/// Interfaces and drives of all guests of one node.
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
        if **node != *self.node || namespace.is_empty() || name.is_empty() {
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
        let guest = &mut self.guests[place];
        let devices = self.devices;
        match series.family.field {
            Field::Guest(field) => set(field(guest), series.value),
            Field::Migration(field) => {
                if self.version.is_none_or(|version| series.family.is_in(version)) {
                    set_newest(field(guest.migration.get_or_insert_default()), series.value);
                }
            }
            Field::VcpuDelay => add_delay(&mut guest.counters, &mut self.vcpus[place], part, series.value),
            Field::Interface(field) => {
                let GuestCounters { interfaces, interfaces_left_out, .. } = &mut guest.counters;
                match device(interfaces, part, MOST_INTERFACES, &mut self.devices)? {
                    Some(interface) => set(field(interface), series.value),
                    None => *interfaces_left_out = true,
                }
            }
            Field::Drive(field) => {
                let GuestCounters { drives, drives_left_out, .. } = &mut guest.counters;
                match device(drives, part, MOST_DRIVES, &mut self.devices)? {
                    Some(drive) => set(field(drive), series.value),
                    None => *drives_left_out = true,
                }
            }
        }
        if self.devices > devices {
            self.keep(LARGEST_DEVICE + part.len())?;
        }
        Ok(())
    }

    /// Counts what is kept. Fails if it is too much.
    fn keep(&mut self, bytes: usize) -> Result<(), Failure> {
        self.bytes += bytes;
        if self.bytes > MOST_BYTES { Err(Failure::TooLarge(MOST_BYTES)) } else { Ok(()) }
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
        self.keep(facts + size_of::<VcpuSet>() + 2 * self.key.len())?;
        self.places.insert(self.key.as_str().into(), place);
        self.guests.push(empty_guest(namespace, name));
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

/// A device of a guest, which its name identifies.
trait Device {
    fn new(name: &str) -> Self;
    fn name(&self) -> &str;
}

impl Device for InterfaceCounters {
    fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Device for DriveCounters {
    fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// The device of this name, which is added if it is new. `None` if the guest has too many. Fails if the node
/// has.
fn device<'a, T: Device>(
    devices: &'a mut Vec<T>,
    name: &str,
    most: usize,
    of_node: &mut usize,
) -> Result<Option<&'a mut T>, Failure> {
    if let Some(index) = devices.iter().position(|device| device.name() == name) {
        return Ok(Some(&mut devices[index]));
    }
    if devices.len() == most {
        return Ok(None);
    }
    if *of_node == MOST_DEVICES {
        return Err(Failure::TooMany(MOST_DEVICES));
    }
    *of_node += 1;
    devices.push(T::new(name));
    Ok(devices.last_mut())
}

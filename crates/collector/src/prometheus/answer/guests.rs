//! Decodes what KubeVirt counts of guests, of the families that `virt_handler` reads too. Each answer is about one family;
//! merged they make the rates of each guest.
//!
//! A rate is the growth of a counter since it last fell, by the times of its own samples: never across a restart. Each node
//! that a guest was on has series of its own, so that a migration starts over.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::part::{ABSURD, MOST_TEXT, MOST_THINGS, Part, remarks, trusted_first};
use crate::{
    k8s::{
        prometheus::{Answer, Labels, Series},
        text::is_identifier,
    },
    prometheus::identity::{NameLabel, Scope},
    virt_handler::{
        answer::{MOST_DRIVES, MOST_INTERFACES, MOST_VCPUS, empty_guest},
        names::{Family, Field},
    },
};
use model::{
    Millis,
    rates::{DriveRates, GuestRates, InterfaceRates, OperationRates, Rate, TrafficRates},
};
use wukong_core::observation::{
    DriveCounters, GuestCounters, GuestFacts, InterfaceCounters, Key, OperationCounters, PagingCounters,
    ScrapedGuest, TrafficCounters, VcpuDelay,
};

/// Growth is kept for so many milliseconds, so that it is a [`Rate`]: thousandths per second.
const SCALE_MS: f64 = 1_000_000.0;

/// What grew of each guest, by instance and node.
#[derive(Clone, Debug, Default)]
pub struct Guests {
    pub(super) by_guest: HashMap<(Key, Box<str>), GuestGrowth>,
    /// Interfaces and drives of all guests.
    devices: usize,
}

/// What grew of one guest.
#[derive(Clone, Debug)]
pub struct GuestGrowth {
    at: Millis,
    window_ms: u32,
    /// Whether all its exporters are trusted.
    trusted_time: bool,
    pub(super) has_trusted: bool,
    /// Instead of counters, by how much they grow per second, in thousandths.
    guest: GuestFacts,
    /// The vCPUs that were counted, of this answer.
    vcpus: Vec<u16>,
}

/// One value, and the device that it is of; an empty one is the guest itself.
struct Value<'a> {
    field: Field,
    device: &'a str,
    growth: Option<u64>,
}

/// Decodes the answer to the query of one family. `None` if it is no answer. If not everything fits, the series of trusted
/// exporters come first.
pub fn guests(answer: &[u8], family: &'static Family, scope: &Scope) -> Option<Part<Guests>> {
    let answer = Answer::parse(answer)?;
    let part = match guests_of(answer.series(), family, scope) {
        part if part.left_out > 0 => guests_of(trusted_first(&answer, scope), family, scope),
        part => part,
    };
    Some(Part { remarks: remarks(&answer), ..part })
}

fn guests_of<'a>(
    all: impl Iterator<Item = Series<'a>>,
    family: &'static Family,
    scope: &Scope,
) -> Part<Guests> {
    let mut part = Part::<Guests>::default();
    let mut texts = 0;
    for series in all {
        let labels = &series.metric;
        let key = scope.key(labels, NameLabel::Instance, &mut part.foreign);
        // Without the node it is not known which run of the guest it is.
        let node = Some(scope.node(labels)).filter(|node| !node.is_empty() && is_identifier(node));
        let (Some(key), Some(node), Some((at, _))) = (key, node, series.last()) else { continue };
        let Some(device) = device(family.field, labels) else { continue };
        texts += key.namespace.len() + key.name.len() + node.len() + device.len();
        let trusted = scope.trusts(&labels.namespace);
        let (cores, window_ms) = series.steady_growth().unzip();
        let growth = cores.map(|per_second| per_second * family.unit as f64 * 1000.0);
        let growth = growth.filter(|growth| *growth < ABSURD).map(|growth| growth.round() as u64);
        let is_full = part.found.by_guest.len() >= MOST_THINGS;
        let place = (key, node.into());
        if texts > MOST_TEXT || is_full && !part.found.by_guest.contains_key(&place) {
            part.left_out += 1;
            continue;
        }
        let Guests { by_guest, devices } = &mut part.found;
        let grown = by_guest.entry(place).or_insert_with(|| GuestGrowth::new(trusted));
        grown.see(at, window_ms.unwrap_or_default(), trusted);
        grown.put(Value { field: family.field, device, growth }, devices);
    }
    part.found.by_guest.values_mut().for_each(|grown| grown.vcpus = Vec::new());
    part
}

/// The device that a series is about. `None` if it does not say, or if its name is not a possible one.
fn device<'a>(field: Field, labels: &'a Labels<'_>) -> Option<&'a str> {
    let device = match field {
        Field::Guest(_) => return Some(""),
        Field::VcpuDelay => &labels.id,
        Field::Interface(_) => &labels.interface,
        Field::Drive(_) => &labels.drive,
        Field::Migration(_) => return None,
    };
    Some(&**device).filter(|device| !device.is_empty() && is_identifier(device))
}

impl Part<Guests> {
    /// Merges the answer for a family. Together they are held to the bounds of one.
    pub fn merge_guests(&mut self, other: Self, family: &'static Family) {
        self.merge_family(other, family, None);
    }

    /// Merges the answer for a namespace that takes no room from others.
    pub fn merge_guests_last(&mut self, other: Self, family: &'static Family, namespace: &str) {
        self.merge_family(other, family, Some(namespace));
    }

    fn merge_family(&mut self, other: Self, family: &'static Family, first_out: Option<&str>) {
        for (place, mut grown) in self.take_in(other).by_guest {
            let Guests { by_guest, devices } = &mut self.found;
            let known = by_guest.entry(place).or_insert_with(|| GuestGrowth::new(grown.has_trusted));
            known.see(grown.at, grown.window_ms, grown.trusted_time);
            known.has_trusted |= grown.has_trusted;
            known.take(&mut grown.guest, family.field, devices);
        }
        self.fit(first_out);
    }
}

impl GuestGrowth {
    fn new(trusted: bool) -> Self {
        Self {
            at: 0,
            window_ms: 0,
            trusted_time: trusted,
            has_trusted: trusted,
            guest: empty_guest("", ""),
            vcpus: Vec::new(),
        }
    }

    fn see(&mut self, at: Millis, window_ms: u32, trusted: bool) {
        (self.at, self.window_ms) = (self.at.max(at), self.window_ms.max(window_ms));
        self.trusted_time &= trusted;
        self.has_trusted |= trusted;
    }

    /// Sets a value. Of a series that is there twice the first counts.
    fn put(&mut self, value: Value<'_>, devices: &mut usize) {
        let Value { field, device, growth } = value;
        let counters = &mut self.guest.counters;
        match field {
            Field::Guest(of) => set(of(&mut self.guest), growth),
            Field::VcpuDelay => self.put_vcpu(device, growth),
            Field::Interface(of) => {
                let found = counters.interfaces.iter().position(|known| *known.name == *device);
                let place = found.or_else(|| {
                    let fits = counters.interfaces.len() < MOST_INTERFACES && *devices < MOST_THINGS;
                    counters.interfaces_left_out |= !fits;
                    *devices += usize::from(fits);
                    fits.then(|| counters.interfaces.push(interface(device)))?;
                    Some(counters.interfaces.len() - 1)
                });
                place.into_iter().for_each(|place| set(of(&mut counters.interfaces[place]), growth));
            }
            Field::Drive(of) => {
                let found = counters.drives.iter().position(|known| *known.name == *device);
                let place = found.or_else(|| {
                    let fits = counters.drives.len() < MOST_DRIVES && *devices < MOST_THINGS;
                    counters.drives_left_out |= !fits;
                    *devices += usize::from(fits);
                    fits.then(|| counters.drives.push(drive(device)))?;
                    Some(counters.drives.len() - 1)
                });
                place.into_iter().for_each(|place| set(of(&mut counters.drives[place]), growth));
            }
            Field::Migration(_) => {}
        }
    }

    /// Adds up vCPUs. If the growth of one of them is not known, that of all is not.
    fn put_vcpu(&mut self, id: &str, growth: Option<u64>) {
        let Some(id) = id.parse().ok().filter(|id| usize::from(*id) < MOST_VCPUS) else { return };
        if self.vcpus.contains(&id) {
            return;
        }
        let is_first = self.vcpus.is_empty();
        self.vcpus.push(id);
        let delay = &mut self.guest.counters.delay;
        *delay = match (is_first, *delay, growth) {
            (true, _, Some(nanos)) => Some(VcpuDelay { nanos, vcpus: 1 }),
            (false, Some(VcpuDelay { nanos, vcpus }), Some(more)) => {
                Some(VcpuDelay { nanos: nanos.saturating_add(more), vcpus: vcpus + 1 })
            }
            _ => None,
        };
    }

    /// Takes the values of one family from another answer.
    fn take(&mut self, other: &mut GuestFacts, field: Field, devices: &mut usize) {
        let left_out = [other.counters.interfaces_left_out, other.counters.drives_left_out];
        self.guest.counters.interfaces_left_out |= left_out[0];
        self.guest.counters.drives_left_out |= left_out[1];
        match field {
            Field::Guest(of) => set(of(&mut self.guest), *of(other)),
            Field::VcpuDelay => {
                self.guest.counters.delay = self.guest.counters.delay.or(other.counters.delay)
            }
            Field::Interface(of) => {
                for device in &mut other.counters.interfaces {
                    let growth = *of(device);
                    self.put(Value { field, device: &device.name, growth }, devices);
                }
            }
            Field::Drive(of) => {
                for device in &mut other.counters.drives {
                    let growth = *of(device);
                    self.put(Value { field, device: &device.name, growth }, devices);
                }
            }
            Field::Migration(_) => {}
        }
    }
}

fn set(field: &mut Option<u64>, value: Option<u64>) {
    *field = field.or(value);
}

fn interface(name: &str) -> InterfaceCounters {
    InterfaceCounters { name: name.into(), ..InterfaceCounters::default() }
}

fn drive(name: &str) -> DriveCounters {
    DriveCounters { name: name.into(), ..DriveCounters::default() }
}

impl Guests {
    /// Whether devices of a guest were left out.
    pub fn are_left_out(&self) -> bool {
        self.has(|counters| counters.interfaces_left_out || counters.drives_left_out)
    }

    /// Whether this holds for any guest.
    pub fn has(&self, is_known: impl Fn(&GuestCounters) -> bool) -> bool {
        self.by_guest.values().any(|grown| is_known(&grown.guest.counters))
    }

    /// The rates of each guest.
    pub fn rates(self) -> Vec<ScrapedGuest> {
        let rates = |((instance, node), grown): ((Key, Box<str>), GuestGrowth)| {
            let GuestGrowth { at, window_ms, trusted_time, guest, .. } = grown;
            // A guest of which each series has one sample has no rates yet.
            let rates = (window_ms > 0).then(|| rates_of(&guest.counters, window_ms).into());
            ScrapedGuest { instance, node, at, trusted_time, rates }
        };
        self.by_guest.into_iter().map(rates).collect()
    }
}

fn rates_of(of: &GuestCounters, window_ms: u32) -> GuestRates {
    let PagingCounters { swap_in, swap_out, major_faults } = of.paging;
    GuestRates {
        window_ms,
        contention: of.delay.and_then(contention),
        swap_in: swap_in.map(Rate),
        swap_out: swap_out.map(Rate),
        major_faults: major_faults.map(Rate),
        interfaces: of.interfaces.iter().map(interface_rates).collect(),
        drives: of.drives.iter().map(drive_rates).collect(),
        interfaces_left_out: of.interfaces_left_out,
        drives_left_out: of.drives_left_out,
    }
}

fn interface_rates(of: &InterfaceCounters) -> InterfaceRates {
    let rates = |TrafficCounters { bytes, packets, errors, drops }: TrafficCounters| {
        let [bytes, packets, errors, drops] = [bytes, packets, errors, drops].map(|rate| rate.map(Rate));
        TrafficRates { bytes, packets, errors, drops }
    };
    InterfaceRates { name: of.name.clone(), receive: rates(of.receive), transmit: rates(of.transmit) }
}

fn drive_rates(of: &DriveCounters) -> DriveRates {
    let rates = |OperationCounters { bytes, operations, time }: OperationCounters| OperationRates {
        bytes: bytes.map(Rate),
        operations: operations.map(Rate),
        latency: operations.and_then(|operations| time?.checked_div(operations)),
    };
    DriveRates { name: of.name.clone(), read: rates(of.read), write: rates(of.write) }
}

/// Returns the waiting time as a part of the vCPUs' time, in thousandths of a percent, at most all of it.
fn contention(VcpuDelay { nanos, vcpus }: VcpuDelay) -> Option<u32> {
    let whole = SCALE_MS as u128 * 1_000_000 * u128::from(vcpus);
    u32::try_from((u128::from(nanos) * 100_000).checked_div(whole)?.min(100_000)).ok()
}

//! The time series that have been scraped: volumes from each kubelet, and guests from virt-handler.

use std::{collections::HashMap, sync::Arc};

use super::selector::Selector;
use crate::{
    KubevirtVersion,
    clock::{DAY, MINUTE, Millis, SECOND, millis},
    figures::{self, Scrape, disk_figures},
    guest::{Guest, Launcher},
    load::{self, VolumeFigures},
    tenants::Tenants,
    virt_handler::{FAMILIES, Family, Sampled},
    world::{Pace, SimulatedCluster},
};

/// How far back an instant vector looks for a sample, as in Prometheus.
const LOOKBACK: Millis = 5 * MINUTE;
/// virt-handlers are not scraped more often: each of their samples is computed of all devices of a guest.
const HANDLER_INTERVAL: Millis = 10 * SECOND;
/// A guest's CPU usage counts as constant for this long.
const EVEN: Millis = 5 * MINUTE;

type OfVolume = fn(&VolumeFigures) -> u64;
type OfGuest = fn(&Figures) -> f64;

const VOLUMES: [(&str, OfVolume); 6] = [
    ("kubelet_volume_stats_available_bytes", |figures| figures.available),
    ("kubelet_volume_stats_capacity_bytes", |figures| figures.capacity),
    ("kubelet_volume_stats_inodes", |figures| figures.inodes),
    ("kubelet_volume_stats_inodes_free", |figures| figures.inodes_free),
    ("kubelet_volume_stats_inodes_used", |figures| figures.inodes_used),
    ("kubelet_volume_stats_used_bytes", |figures| figures.used),
];
const GUESTS: [(&str, OfGuest); 3] = [
    ("kubevirt_vmi_memory_available_bytes", |figures| figures.available),
    ("kubevirt_vmi_memory_resident_bytes", |figures| figures.resident),
    ("kubevirt_vmi_memory_usable_bytes", |figures| figures.usable),
];
/// A counter. It starts again at zero when its guest starts, when the guest has moved to another node, and at
/// midnight UTC, because no state is kept from which it could continue.
const CPU: &str = "kubevirt_vmi_cpu_usage_seconds_total";

/// A time series. Its samples are computed on demand.
pub struct Series {
    /// Labels of the series, sorted by name.
    pub labels: Vec<(String, String)>,
    node: String,
    pace: Pace,
    measure: Measure,
}

enum Measure {
    Volume(Arc<Guest>, usize, OfVolume),
    Memory(Arc<Guest>, Arc<Tenants>, OfGuest),
    Cpu(Arc<Guest>, Arc<Tenants>),
    /// The family, the guest on its node, and the labels beside those of the guest.
    Handler(&'static Family, Arc<Guest>, Arc<Tenants>, String),
}

/// The memory figures of a guest, in bytes.
struct Figures {
    available: f64,
    usable: f64,
    resident: f64,
}

impl SimulatedCluster {
    /// Returns the series that match, of pods that are scraped now.
    pub fn series(&self, selector: &Selector) -> Vec<Series> {
        let mut found = Vec::new();
        let wanted = |name: &str| selector.allows("__name__", name);
        let families: Vec<_> =
            FAMILIES.iter().map(|family| (["kubevirt_vmi_", family.0].concat(), family)).collect();
        let has_own = |name: &str| name == CPU || GUESTS.iter().any(|(own, _)| *own == name);
        let families: Vec<_> =
            families.into_iter().filter(|(name, _)| wanted(name) && !has_own(name)).collect();
        let tenants: HashMap<_, _> =
            self.tenants().into_iter().map(|(name, tenants)| (name, Arc::new(tenants))).collect();
        for guest in self.guests().iter().filter(|guest| selector.allows("namespace", &guest.namespace)) {
            let running = guest.launchers.iter().filter(|pod| self.is_scraped(pod));
            for pod in running {
                let volumes = VOLUMES.into_iter().filter(|(name, _)| wanted(name));
                found.extend(volumes.flat_map(|(name, of)| self.volumes_of(guest, pod, name, of)));
            }
            if let Some(holder) = guest.holder().filter(|holder| self.is_scraped(holder))
                && let Some(tenants) = tenants.get(&holder.node)
            {
                let memory = GUESTS.into_iter().filter(|(name, _)| wanted(name));
                let memory =
                    memory.map(|(name, of)| (name, Measure::Memory(guest.clone(), tenants.clone(), of)));
                let cpu = wanted(CPU).then(|| (CPU, Measure::Cpu(guest.clone(), tenants.clone())));
                let all = memory.chain(cpu);
                found.extend(all.map(|(name, measure)| self.of_guest(guest, holder, name, measure)));
                let counted = families
                    .iter()
                    .flat_map(|(name, family)| self.counted(guest, holder, tenants, name, family));
                found.extend(counted);
            }
        }
        found.retain(|series| selector.matches(&series.labels));
        found
    }

    fn volumes_of(
        &self,
        guest: &Arc<Guest>,
        pod: &Launcher,
        name: &'static str,
        of: OfVolume,
    ) -> impl Iterator<Item = Series> {
        let holds = guest.holder().is_some_and(|holder| holder.serial == pod.serial);
        let here = guest.disks.iter().enumerate().filter(move |(_, disk)| {
            // A hotplugged disk follows the guest; the other disks are mounted in both pods of a migration.
            figures::is_measured(disk) && (holds || !disk.is_hotplugged())
        });
        let ip = crate::Node::new(&pod.node).ip();
        here.map(move |(index, disk)| {
            let labels = vec![
                ("__name__", name.to_owned()),
                ("endpoint", "https-metrics".to_owned()),
                ("instance", format!("{ip}:10250")),
                ("job", "kubelet".to_owned()),
                ("metrics_path", "/metrics".to_owned()),
                ("namespace", guest.namespace.clone()),
                ("node", pod.node.clone()),
                ("persistentvolumeclaim", disk.claim.clone()),
                ("service", "kubelet".to_owned()),
            ];
            self.one(labels, &pod.node, Measure::Volume(guest.clone(), index, of))
        })
    }

    /// The series of one family that virt-handler counts of a guest.
    fn counted(
        &self,
        guest: &Arc<Guest>,
        pod: &Launcher,
        tenants: &Arc<Tenants>,
        name: &str,
        family: &'static Family,
    ) -> Vec<Series> {
        let values = values(family, guest, tenants, self.clock.now()).into_iter();
        let series = values.map(|(own, _)| {
            let measure = Measure::Handler(family, guest.clone(), tenants.clone(), own.clone());
            let mut series = self.of_guest(guest, pod, name, measure);
            series.labels.extend(labels(&own));
            series.labels.sort();
            series
        });
        series.collect()
    }

    fn of_guest(&self, guest: &Guest, pod: &Launcher, name: &str, measure: Measure) -> Series {
        let handler = crate::PlainPod::virt_handler(&pod.node).name;
        let labels = vec![
            ("__name__", name.to_owned()),
            ("container", "virt-handler".to_owned()),
            ("endpoint", "metrics".to_owned()),
            ("instance", format!("{}:8443", crate::Node::new(&pod.node).ip())),
            ("job", "kubevirt-prometheus-metrics".to_owned()),
            ("kubernetes_vmi_label_kubevirt_io_nodeName", pod.node.clone()),
            ("name", guest.vm_name.clone()),
            ("namespace", guest.namespace.clone()),
            ("node", pod.node.clone()),
            ("pod", handler),
            ("service", "kubevirt-prometheus-metrics".to_owned()),
        ];
        self.one(labels, &pod.node, measure)
    }

    fn one(&self, labels: Vec<(&'static str, String)>, node: &str, measure: Measure) -> Series {
        let labels = labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Series { labels, node: node.to_owned(), pace: self.pace(), measure }
    }
}

impl Series {
    /// Returns the labels of a result computed from the series: all but `__name__`.
    pub fn unnamed(&self) -> Vec<(String, String)> {
        self.labels.iter().filter(|(name, _)| name != "__name__").cloned().collect()
    }

    /// Returns the samples of the `range` up to `now`, oldest first.
    pub fn samples(&self, now: Millis, range: Millis) -> Vec<(Millis, f64)> {
        let interval = self.interval();
        let last = self.scrape(now).at;
        let times =
            (0..).map(|n| last - n * interval).take_while(|at| *at > now - range && *at >= self.since());
        let mut times: Vec<_> = times.collect();
        times.reverse();
        match &self.measure {
            Measure::Cpu(guest, tenants) => self.counted_cpu(guest, tenants, &times),
            _ => times.into_iter().filter_map(|at| Some((at, self.at(at)?))).collect(),
        }
    }

    /// Returns the value at each of `steps`: that of the last sample before it, if it is recent enough.
    pub fn values(&self, steps: &[Millis]) -> Vec<Option<f64>> {
        let sampled = |step: &Millis| {
            let at = self.scrape(*step).at;
            (at > step - LOOKBACK && at >= self.since()).then_some(at)
        };
        let times: Vec<Option<Millis>> = steps.iter().map(sampled).collect();
        let Measure::Cpu(guest, tenants) = &self.measure else {
            return times.into_iter().map(|at| self.at(at?)).collect();
        };
        let known: Vec<Millis> = times.iter().flatten().copied().collect();
        let mut counted = self.counted_cpu(guest, tenants, &known).into_iter();
        times.into_iter().map(|at| at.and_then(|_| counted.next()).map(|(_, value)| value)).collect()
    }

    /// Returns the samples of the CPU counter; each continues from the one before.
    fn counted_cpu(&self, guest: &Guest, tenants: &Tenants, times: &[Millis]) -> Vec<(Millis, f64)> {
        let mut samples: Vec<(Millis, f64)> = Vec::with_capacity(times.len());
        for at in times {
            let from = self.counts_from(*at);
            let value = match samples.last() {
                Some((before, value)) if *before >= from => value + seconds(guest, tenants, *before, *at),
                _ => seconds(guest, tenants, from, *at),
            };
            samples.push((*at, value));
        }
        samples
    }

    fn counts_from(&self, at: Millis) -> Millis {
        self.since().max(at.div_euclid(DAY) * DAY)
    }

    /// Returns the value of the newest sample before `now`; `None` if it is too old or there is none.
    pub fn latest(&self, now: Millis) -> Option<f64> {
        let at = self.scrape(now).at;
        (at > now - LOOKBACK && at >= self.since()).then(|| self.at(at))?
    }

    /// Returns the rate of a counter in units per second; `None` for a gauge, or if the range has fewer than
    /// two samples.
    pub fn rate(&self, now: Millis, range: Millis) -> Option<f64> {
        let Measure::Cpu(guest, tenants) = &self.measure else { return None };
        let from = (now - range).max(self.since());
        if now - from < 2 * millis(self.pace.metrics) {
            return None;
        }
        Some(seconds(guest, tenants, from, now) * SECOND as f64 / (now - from) as f64)
    }

    fn scrape(&self, now: Millis) -> Scrape {
        figures::scrape(&self.node, now, self.interval())
    }

    /// The time between two scrapes.
    fn interval(&self) -> Millis {
        let least = if matches!(self.measure, Measure::Handler(..)) { HANDLER_INTERVAL } else { 1 };
        millis(self.pace.metrics).max(least)
    }

    /// The time of the first sample: when the guest started, or came to its node.
    fn since(&self) -> Millis {
        match &self.measure {
            Measure::Volume(guest, ..) | Measure::Memory(guest, ..) => guest.started,
            Measure::Cpu(guest, _) | Measure::Handler(_, guest, ..) => guest.on_node_since(),
        }
    }

    fn at(&self, at: Millis) -> Option<f64> {
        match &self.measure {
            Measure::Volume(guest, index, of) => {
                let measured = figures::scrape(&self.node, at, millis(self.pace.volumes)).at;
                Some(of(&disk_figures(guest.disks.get(*index)?, measured)) as f64)
            }
            Measure::Memory(guest, tenants, of) => Some(of(&figures_of(guest, tenants, at))),
            Measure::Cpu(guest, tenants) => Some(seconds(guest, tenants, self.counts_from(at), at)),
            Measure::Handler(family, guest, tenants, own) => {
                let mut values = values(family, guest, tenants, at).into_iter();
                values.find(|(labels, _)| labels == own).map(|(_, value)| value)
            }
        }
    }
}

/// The values of a family of one guest, with the labels beside those of the guest.
fn values(family: &Family, guest: &Guest, tenants: &Tenants, at: Millis) -> Vec<(String, f64)> {
    let mut values = Vec::new();
    (family.2)(&Sampled::new(guest, tenants, KubevirtVersion::default(), at), &mut values);
    values
}

/// Splits `interface="default",`.
fn labels(text: &str) -> impl Iterator<Item = (String, String)> {
    let labels = text.split_terminator("\",").filter_map(|label| label.split_once("=\""));
    labels.map(|(name, value)| (name.to_owned(), value.to_owned()))
}

/// CPU seconds that a guest used between two times, beside those who are on its node now.
fn seconds(guest: &Guest, tenants: &Tenants, from: Millis, to: Millis) -> f64 {
    let (mut at, mut sum) = (from, 0.0);
    while at < to {
        let slot = at.div_euclid(EVEN) * EVEN;
        let end = (slot + EVEN).min(to);
        sum += tenants.cores_of(guest, slot + EVEN / 2) * (end - at) as f64 / SECOND as f64;
        at = end;
    }
    sum
}

/// The guest's kernel reserves a thirtieth of the memory. Usable is what the load leaves of the rest.
fn figures_of(guest: &Guest, tenants: &Tenants, at: Millis) -> Figures {
    let available = guest.memory_bytes() - guest.memory_bytes() / 30;
    let usage = guest.load.usage(guest.cpu, guest.memory_bytes(), tenants.share(at), at);
    let used = load::bytes(&usage.memory).unwrap_or(0);
    let resident = if guest.hugepages.is_some() { 180 << 20 } else { used };
    Figures {
        available: available as f64,
        // A working set includes caches, about half of which a guest can free.
        usable: available.saturating_sub(used - used / 2) as f64,
        resident: resident as f64,
    }
}

//! Decoders of peers' answers for the fuzz targets (`src/server/fuzz.rs` of the application). Each takes bytes
//! and checks the invariants of every decoded fact.

use std::{collections::HashSet, str::from_utf8};

use kube::config::Kubeconfig;

use super::{
    connect::{ConnectError, Context, KubeconfigLocation},
    events, guest_agent, kubelet, metrics_api,
    prometheus::{
        self,
        identity::{NameLabel, Scope},
    },
    virt_handler::answer::{AnswerReader, MOST_DEVICES, MOST_DRIVES, MOST_GUESTS, MOST_INTERFACES},
};
use crate::k8s::text::is_identifier;
use model::{Millis, activity::MigrationProgress};
use wukong_core::{
    events::{EventFacts, EventLog, EventsQuery, MOST, ObjectKind},
    long_term::{LongTermAnswer, RecordedSeries, Times},
    observation::{
        ContainerUsage, DriveCounters, Filesystem, GuestCounters, GuestFacts, GuestMemory, GuestsFacts,
        InstanceSample, InterfaceCounters, PodMetricsFacts, VolumeRef, VolumeStats,
    },
};

/// One more than the largest amount that Kubernetes can count.
const LIMIT: u64 = 1 << 63;
const NOW: Millis = 1_800_000_000_000;
const TIMES: Times = Times { from: NOW - 3_600_000, step: 60_000, count: 61 };
/// A possible value of `--namespace`.
const OURS: &str = "prod";

/// The name of a target, and a function that tells whether it can decode the bytes.
pub type Reader = (&'static str, fn(&[u8]) -> bool);

/// The fuzz targets.
pub const READERS: [Reader; 7] = [
    ("events", |data| events::decode(data).is_some()),
    ("summary", |data| kubelet::answer::decode(data, None).is_some()),
    ("pod_metrics", |data| metrics_api::decode(data).is_some()),
    ("prometheus", |data| claims(data, &Scope::default()).is_some()),
    ("filesystems", |data| guest_agent::answer::decode(data).is_some()),
    ("virt_handler", |data| guests(data, data.len(), None).is_some()),
    ("kubeconfig", |data| from_utf8(data).is_ok_and(|text| read_kubeconfig(text).is_ok())),
];

/// Checks the facts of a kubelet's summary.
pub fn summary(data: &[u8]) {
    let Some(kubelet::answer::Volumes { stats: all, .. }) = kubelet::answer::decode(data, None) else {
        return;
    };
    all.iter().for_each(volume);
    let ours = kubelet::answer::decode(data, Some(&[OURS.to_owned()])).unwrap_or_default().stats;
    assert!(ours.len() <= all.len() && ours.iter().all(|stats| all.contains(stats)));
    let of_a_pod = |stats: &VolumeStats| match &stats.of {
        VolumeRef::PodVolume { pod, .. } => *pod.namespace == *OURS,
        VolumeRef::Claim(_) => true,
    };
    assert!(ours.iter().all(of_a_pod), "{ours:?}");
}

fn volume(stats: &VolumeStats) {
    for amount in [stats.used, stats.capacity, stats.available, stats.inodes] {
        credible(amount);
    }
    assert!(stats.at.is_none_or(|at| at >= 0), "{stats:?}");
}

/// Checks the facts of a list of PodMetrics.
pub fn pod_metrics(data: &[u8]) {
    for PodMetricsFacts { namespace, name, containers, at, .. } in
        metrics_api::decode(data).unwrap_or_default()
    {
        assert!(!namespace.is_empty() && !name.is_empty());
        assert!(at.is_none_or(|at| at > 0));
        for ContainerUsage { name, cpu_nanocores, memory_bytes } in containers {
            assert!(is_identifier(&name));
            credible(cpu_nanocores);
            credible(memory_bytes);
        }
    }
}

/// Decodes the answer to a query of used bytes.
fn claims(data: &[u8], scope: &Scope) -> Option<Vec<VolumeStats>> {
    let scrapes = prometheus::answer::scrapes::<4>(data, 0, scope, NameLabel::Claim)?;
    Some(prometheus::answer::volumes(scrapes).found)
}

/// Decodes an answer as the answer to each kind of query.
pub fn prometheus(data: &[u8]) {
    let scope = Scope::default();
    if let Some(found) = claims(data, &scope) {
        found.iter().for_each(volume);
        let ours = Scope { namespaces: Some([OURS.to_owned()].into()), ..Scope::default() };
        let own = claims(data, &ours).unwrap_or_default();
        let is_ours =
            |stats: &VolumeStats| matches!(&stats.of, VolumeRef::Claim(claim) if *claim.namespace == *OURS);
        assert!(own.iter().all(is_ours), "{own:?}");
    }
    let memory = prometheus::answer::scrapes::<3>(data, 0, &scope, NameLabel::Instance);
    if let (Some(memory), Some(cpu)) = (memory, prometheus::answer::cpu(data, &scope)) {
        let memory = prometheus::answer::newest(memory).found;
        prometheus::answer::instances(memory, cpu.found).iter().for_each(instance);
    }
    if let Some(recording) = prometheus::range::decode_all(data, TIMES) {
        let LongTermAnswer { cpu, memory, used, capacity, activity, failures: _ } = recording;
        cpu.values().for_each(|values| check_series(values, TIMES.count - 1));
        [memory, used, capacity]
            .iter()
            .chain(&activity)
            .flat_map(|of| of.values())
            .for_each(|values| check_series(values, TIMES.count));
    }
}

fn instance(sample: &InstanceSample) {
    assert!(!sample.namespace.is_empty() && !sample.name.is_empty(), "{sample:?}");
    let amounts = [sample.cpu_nanocores, sample.memory_bytes, sample.guest_available, sample.guest_usable];
    amounts.into_iter().for_each(credible);
    assert!(sample.at >= 0, "{sample:?}");
}

fn check_series(values: &RecordedSeries, count: usize) {
    assert_eq!(values.len(), count);
    values.iter().copied().for_each(credible);
}

/// Checks the facts of a list of Events, and what is kept of them.
pub fn events(data: &[u8]) {
    let facts = events::decode(data).unwrap_or_default();
    let asked = facts.first().map(|facts| (ObjectKind::Pod, facts.event.object.name.to_string()));
    let (namespace, objects) = (OURS.to_owned(), asked.into_iter().collect());
    let mut log =
        EventLog::new(EventsQuery { namespace, vm_name: "web".into(), objects, had_former_pod: false });
    for EventFacts { namespace, api_version, event } in facts.clone() {
        assert!(
            [&*namespace, &*api_version, &*event.object.kind, &*event.object.name]
                .into_iter()
                .all(is_identifier)
        );
        assert!(event.count > 0 && [event.first, event.last].into_iter().flatten().all(|time| time > 0));
        let texts = [(&event.reason, 80), (&event.message, 300), (&event.component, 80)];
        assert!(texts.into_iter().all(|(text, most)| text.chars().count() <= most), "{event:?}");
        log.add(EventFacts { namespace, api_version, event });
    }
    let kept = log.into_events(None, NOW).events;
    assert!(kept.len() <= facts.len().min(MOST));
    assert!(kept.iter().all(|event| &*event.object.kind == "Pod"));
    assert!(kept.is_sorted_by(|a, b| a.last >= b.last));
}

/// Checks the facts of a guest agent's answer.
pub fn filesystems(data: &[u8]) {
    let found = guest_agent::answer::decode(data).unwrap_or_default();
    assert!(found.len() <= guest_agent::answer::MOST_DEVICES + 1, "{}", found.len());
    let named = found.iter().map(|device| &device.disk_name).filter(|name| !name.is_empty());
    let (names, count) = (named.clone().collect::<HashSet<_>>(), named.count());
    assert_eq!(names.len(), count, "a device counts twice");
    for Filesystem { disk_name, mount_point, kind, used, total, serials, hidden: _ } in found {
        assert!([mount_point, kind].iter().all(|text| text.chars().count() <= 200));
        assert!(is_identifier(&disk_name));
        assert!(serials.len() <= 65 && serials.iter().all(|serial| is_identifier(serial)));
        [used, total].into_iter().for_each(credible);
    }
}

/// Reads an answer of the virt-handler on node `n1`, in pieces of this size.
fn guests(data: &[u8], piece: usize, namespace: Option<&str>) -> Option<GuestsFacts> {
    let namespaces = namespace.map(|own| [own.to_owned()].into());
    let mut reader = AnswerReader::new("n1", namespaces, 32 << 20);
    data.chunks(piece.max(1)).try_for_each(|piece| reader.read(piece)).ok()?;
    reader.finish().ok()
}

/// Checks the facts of a virt-handler's answer.
pub fn virt_handler(data: &[u8]) {
    let whole = guests(data, data.len(), None);
    assert_eq!(guests(data, 7, None), whole, "the same wherever it is cut");
    let all = whole.unwrap_or_default().guests;
    let ours = guests(data, data.len(), Some(OURS)).unwrap_or_default().guests;
    assert!(ours.iter().all(|guest| *guest.instance.namespace == *OURS && all.contains(guest)), "{ours:?}");
    let names: HashSet<_> = all.iter().map(|guest| &guest.instance).collect();
    assert!(names.len() == all.len() && all.len() <= MOST_GUESTS, "a guest counts twice");
    let devices = all.iter().map(|guest| guest.counters.interfaces.len() + guest.counters.drives.len());
    assert!(devices.sum::<usize>() <= MOST_DEVICES);
    all.iter().for_each(guest);
}

fn guest(GuestFacts { instance, memory, migration, counters }: &GuestFacts) {
    assert!([&instance.namespace, &instance.name].iter().all(|name| !name.is_empty() && is_identifier(name)));
    let GuestMemory { available, usable, unused, balloon, domain } = *memory;
    let GuestCounters { cpu_time, paging, interfaces, drives, .. } = counters;
    let paging = [paging.swap_in, paging.swap_out, paging.major_faults];
    [available, usable, unused, balloon, domain, *cpu_time].into_iter().chain(paging).for_each(credible);
    let MigrationProgress { processed, remaining, dirty_rate, transfer_rate } =
        migration.as_deref().copied().unwrap_or_default();
    [processed, remaining, dirty_rate, transfer_rate].into_iter().for_each(credible);
    assert!(interfaces.len() <= MOST_INTERFACES && drives.len() <= MOST_DRIVES);
    for InterfaceCounters { name, receive, transmit } in interfaces {
        assert!(is_identifier(name));
        let traffic = [receive, transmit].into_iter();
        traffic.flat_map(|of| [of.bytes, of.packets, of.errors, of.drops]).for_each(credible);
    }
    for DriveCounters { name, read, write } in drives {
        assert!(is_identifier(name));
        [read, write].iter().flat_map(|of| [of.bytes, of.operations, of.time]).for_each(credible);
    }
}

fn read_kubeconfig(text: &str) -> Result<Kubeconfig, ConnectError> {
    KubeconfigLocation::Text(text.into()).read()
}

/// An error about a kubeconfig must not quote the kubeconfig, whatever that contains.
pub fn kubeconfig(data: &[u8]) {
    const KNOWN: [&str; 4] = [
        "cannot use the kubeconfig: it is not the YAML of a kubeconfig",
        "the kubeconfig has no",
        "the kubeconfig sets no",
        "the context ",
    ];
    let Ok(text) = from_utf8(data) else { return };
    let chosen = read_kubeconfig(text).and_then(|kubeconfig| Context::choose(kubeconfig, None));
    if let Err(error) = chosen {
        let words = error.to_string();
        assert!(KNOWN.iter().any(|known| words.starts_with(known)), "{words}");
    }
}

fn credible(amount: Option<u64>) {
    assert!(amount.is_none_or(|amount| amount < LIMIT), "{amount:?}");
}

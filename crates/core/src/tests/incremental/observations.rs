//! Observations of a small universe, in which names, uids, owners, claims and nodes meet. Times are relative.

use model::{
    details::Migration as MigrationDetails,
    groups::Node,
    message::Message,
    pressure::{Pressure, Stall},
    source::ReviewCounts,
};

use crate::observation::{NodeUsage, PodStats, ScrapedGuest, ScrapedGuests, TapBytes};

use super::*;

fn pick(of: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    prop::sample::select(of).prop_map(str::to_owned)
}

fn namespace() -> impl Strategy<Value = String> + Clone {
    pick(&["a", "a", "a", "a", "b"])
}

/// Two of them are alike in the prefix that a pod's name keeps.
fn vm_name() -> impl Strategy<Value = String> + Clone {
    pick(&[
        "x",
        "x",
        "y",
        "long-long-long-long-long-long-long-long-long-1",
        "long-long-long-long-long-long-long-long-long-2",
    ])
}

fn or_empty(of: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop_oneof![3 => of, 1 => Just(String::new())]
}

fn uid() -> impl Strategy<Value = String> + Clone {
    pick(&["u1", "u2", "u3", "u4"])
}

fn node() -> impl Strategy<Value = String> + Clone {
    pick(&["n1", "n1", "n2"])
}

fn claim() -> impl Strategy<Value = String> + Clone {
    pick(&["c1", "c2", "c3"])
}

fn pod_name() -> impl Strategy<Value = String> + Clone {
    let suffix = pick(&["aaaaa", "bbbbb"]);
    (vm_name(), suffix).prop_map(|(vm, suffix)| {
        let prefix: String = format!("virt-launcher-{vm}-").chars().take(58).collect();
        format!("{prefix}{suffix}")
    })
}

/// Objects that are new, old, and from the future.
fn created() -> impl Strategy<Value = Millis> {
    prop_oneof![Just(NOW - 3_600 * SECOND), Just(NOW - 60 * SECOND), Just(NOW + 100 * SECOND)]
}

fn size() -> impl Strategy<Value = Option<u64>> {
    prop::option::weighted(0.9, prop::sample::select(&[2 * GI, 20 * GI, 21 * GI, 100 * GI][..]))
}

/// When a sample was taken. Rarely the clock is off.
fn taken() -> impl Strategy<Value = Option<Millis>> {
    prop_oneof![
        12 => (-20 * SECOND..0).prop_map(Some),
        1 => Just(None),
        1 => Just(Some(-3_600 * SECOND)),
        1 => Just(Some(7_200 * SECOND)),
    ]
}

fn error() -> impl Strategy<Value = SourceError> {
    let reasons = [Reason::Forbidden, Reason::ApiAbsent, Reason::TimedOut, Reason::TooLarge, Reason::Busy];
    prop::sample::select(reasons.to_vec()).prop_map(refused)
}

/// An answer, or rarely a failure.
fn answer<T: std::fmt::Debug + Clone>(
    of: impl Strategy<Value = T>,
) -> impl Strategy<Value = Result<T, SourceError>> {
    prop_oneof![8 => of.prop_map(Ok), 1 => error().prop_map(Err)]
}

fn change<T: std::fmt::Debug + Clone + Named>(
    of: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Change<T>> {
    let of = of.boxed();
    let scope = prop_oneof![Just(None), Just(Some("a".to_owned())), Just(Some("b".to_owned()))];
    let is_in =
        |scope: &Option<String>, item: &T| scope.as_ref().is_none_or(|scope| item.namespace() == scope);
    let replaced =
        (scope, prop::collection::vec(of.clone(), 0..5)).prop_map(move |(namespace, mut items)| {
            items.retain(|item| is_in(&namespace, item));
            Change::Replaced { namespace, items, at: 0 }
        });
    prop_oneof![
        8 => of.clone().prop_map(|item| Change::Applied { item, at: 0 }),
        2 => of.prop_map(|item| Change::Deleted { key: item.key(), at: 0 }),
        1 => replaced,
    ]
}

prop_compose! {
    fn any_wukong()(namespace in namespace(), name in vm_name(), uid in uid(), vm_name in or_empty(vm_name()),
        phase in pick(&["Running", "Running", "Stopped"]), node_name in or_empty(node()), created in created(),
        claims in prop::collection::vec(claim(), 0..3)) -> WukongFacts {
        let volumes = claims.into_iter().map(|claim| WukongVolume { name: claim.clone(), claim, size: "20Gi".into() });
        WukongFacts { uid, namespace, name, vm_name, phase, node_name, created, volumes: volumes.collect(),
            cpu: Some(2), memory: "4Gi".into(), ..Default::default() }
    }
}

prop_compose! {
    fn any_vm()(namespace in namespace(), name in vm_name(), uid in uid(), owner in or_empty(uid()),
        status in pick(&["Running", "Stopping", "Stopped", ""]), deleting in prop::bool::weighted(0.1),
        cluster in any::<bool>(), kind in or_empty(pick(&["t1", "t2"]))) -> VmFacts {
        let instancetype = InstancetypeRef { cluster, name: kind, revision: String::new() };
        VmFacts { uid, namespace, name, owner_name: format!("owner {owner}"), owner_wukong: owner, printable_status: status,
            deleting, instancetype: Some(Box::new(instancetype)), ..Default::default() }
    }
}

prop_compose! {
    fn any_instance()(namespace in namespace(), name in vm_name(), uid in uid(), node_name in or_empty(node()),
        owner_vm in or_empty(uid()), agent_connected in prop::bool::weighted(0.8), hugepages in prop::bool::weighted(0.1),
        phase in pick(&["Running", "Running", "Running", "Succeeded"]), created in created(),
        claims in prop::collection::vec(claim(), 0..3), serial in or_empty(pick(&["S1", "S2"]))) -> InstanceFacts {
        let disk = |claim: &String| InstanceDisk { name: claim.as_str().into(), serial: serial.as_str().into(),
            claim: claim.as_str().into(), ..Default::default() };
        let disks: Vec<_> = claims.iter().map(disk).collect();
        let volumes = claims.into_iter().map(|claim| InstanceVolume { name: claim.clone(), claim });
        InstanceFacts { uid, namespace, name, phase, node_name, owner_vm, agent_connected, hugepages, created,
            volumes: volumes.collect(), disks: disks.into(), ..Default::default() }
    }
}

prop_compose! {
    fn any_migration()(namespace in namespace(), instance in or_empty(vm_name()), name in pick(&["m1", "m2", "m3"]),
        created in created()) -> MigrationFacts {
        let migration = MigrationDetails { name: name.into(), created, ..Default::default() };
        MigrationFacts { namespace: namespace.into(), instance: instance.into(), migration: Arc::new(migration) }
    }
}

prop_compose! {
    fn any_pod()(namespace in namespace(), name in pod_name(), node_name in or_empty(node()), created in created(),
        phase in pick(&["Running", "Running", "Running", "Pending", "Succeeded"]), created_by in or_empty(uid()),
        domain in or_empty(vm_name()), deleting in prop::bool::weighted(0.1), ip in any::<Option<u8>>(),
        claims in prop::collection::vec((pick(&["v1", "v2"]), claim()), 0..3)) -> PodFacts {
        PodFacts { uid: format!("uid of {name}"), namespace, name, node_name, phase, created, created_by, domain, deleting,
            host_ip: ip.map(|ip| [10, 0, 0, ip].into()), claims: claims.into(), ..Default::default() }
    }
}

prop_compose! {
    fn any_claim()(namespace in namespace(), name in claim(), block in prop::bool::weighted(0.2), request in size(),
        capacity in size(), provisioner in any_provisioner(), pv in or_empty(pick(&["pv1", "pv1", "pv2"]))) -> ClaimFacts {
        ClaimFacts { namespace, name, block, request, capacity, provisioner, volume_name: pv, ..Default::default() }
    }
}

fn any_provisioner() -> impl Strategy<Value = Provisioner> {
    let all = [Provisioner::Unknown, Provisioner::Unlisted, Provisioner::Device, Provisioner::Directory];
    prop::sample::select(all.to_vec())
}

fn any_image() -> impl Strategy<Value = Image> + Clone {
    pick(&["i1", "i2"]).prop_map(|name| Image { name: name.into(), ..Default::default() })
}

prop_compose! {
    fn any_persistent_volume()(name in pick(&["pv1", "pv1", "pv2"]), namespace in namespace(), claim in or_empty(claim()),
        provisioner in any_provisioner(), backend in prop_oneof![Just(None),
            pick(&["l1", "l1", "l2"]).prop_map(|name| Some(Backend::Longhorn(name.into()))),
            any_image().prop_map(|image| Some(Backend::Rbd(Box::new(image))))]) -> PersistentVolumeFacts {
        PersistentVolumeFacts { name: name.into(), claim: Key::new(&namespace, &claim), provisioner, backend }
    }
}

prop_compose! {
    fn any_longhorn()(namespace in pick(&["longhorn-system", "longhorn-system", "a"]), name in pick(&["l1", "l1", "l2"]),
        size in size(), actual_size in size()) -> LonghornFacts {
        LonghornFacts { namespace, name, size, actual_size, ..Default::default() }
    }
}

prop_compose! {
    fn any_node()(name in node(), ready in any::<bool>()) -> Node {
        Node { name, ready: Some(ready), ..Default::default() }
    }
}

prop_compose! {
    fn any_instancetype(namespaced: bool)(namespace in namespace(), name in pick(&["t1", "t2"]), vcpus in 1..3u64)
        -> InstancetypeFacts {
        let namespace = if namespaced { namespace } else { String::new() };
        InstancetypeFacts { namespace, name, vcpus: Some(vcpus), memory: "2Gi".into(), ..Default::default() }
    }
}

prop_compose! {
    fn any_sample()(namespace in namespace(), name in pod_name(), created_by in or_empty(uid()), milli in 1..5u64,
        at in taken(), made in taken(), container in pick(&["compute", "compute", "compute", "other"])) -> PodMetricsFacts {
        let mut facts = sample(&namespace, &name, milli * 100, GI);
        facts.containers[0].name = container.into();
        PodMetricsFacts { created_by, at, made, ..facts }
    }
}

prop_compose! {
    fn any_stats()(namespace in namespace(), claim in claim(), pod in pod_name(), volume in pick(&["v1", "v2"]),
        named in prop::bool::weighted(0.7), used in size(), capacity in size(), at in taken(), node in or_empty(node()))
        -> VolumeStats {
        let pod = Key::new(&namespace, &pod);
        let by_pod = VolumeRef::PodVolume { pod, volume: volume.into() };
        let of = if named { VolumeRef::Claim(Key::new(&namespace, &claim)) } else { by_pod };
        let available = capacity.zip(used).map(|(capacity, used)| capacity.saturating_sub(used));
        VolumeStats { of, used, capacity, available, at, node: node.into(), ..stats("", "", 0, 0) }
    }
}

prop_compose! {
    fn any_pod_stats()(namespace in namespace(), name in pod_name(), bytes in prop::option::of(0..5u64), devices in 0..2u64,
        taps_at in taken(), stall in prop::option::of(0..3u32), pressure_at in taken()) -> PodStats {
        let taps = bytes.map(|bytes| TapBytes { receive: bytes * GI, transmit: GI, devices });
        let cpu = stall.map(|some| Stall { some, full: 0 });
        let pressure = Pressure { cpu, ..Pressure::default() };
        PodStats { pod: Key::new(&namespace, &name), uid: format!("uid of {name}").into(), taps, taps_at, pressure,
            pressure_at }
    }
}

prop_compose! {
    fn any_summary()(node in node(), result in answer((prop::collection::vec(any_stats(), 0..5),
        prop::collection::vec(any_pod_stats(), 0..4), size(), size())), incomplete in prop::bool::weighted(0.2)) -> Observation {
        let error = || SourceError { reason: Reason::TooLarge, detail: Message::default() };
        let facts = |(volumes, pods, filesystem, used): (Vec<_>, Vec<_>, Option<u64>, Option<u64>)| SummaryFacts {
            source: Source::KubeletProxy, volumes, pods, node_filesystems: filesystem.into_iter().collect(),
            node_usage: NodeUsage { cpu: None, memory: used.map(|used| (used, None)) },
            left_out: incomplete.then(error) };
        Observation::Summary { node, at: 0, result: result.map(facts) }
    }
}

prop_compose! {
    fn any_guest()(namespace in namespace(), name in vm_name(), available in size(), usable in size(),
        cpu_time in 0..100u64) -> GuestFacts {
        let memory = GuestMemory { available, usable, ..Default::default() };
        let counters = GuestCounters { cpu_time: Some(cpu_time), ..Default::default() };
        GuestFacts { instance: Key::new(&namespace, &name), memory, migration: None, counters }
    }
}

prop_compose! {
    fn any_guests()(node in node(), result in answer(prop::collection::vec(any_guest(), 0..5)), old in any::<bool>())
        -> Observation {
        let contention_since = old.then_some(KubevirtVersion(1, 6));
        Observation::Guests { node, at: 0, result: result.map(|guests| GuestsFacts { guests, contention_since }) }
    }
}

prop_compose! {
    fn any_filesystems()(namespace in namespace(), name in vm_name(), serial in pick(&["S1", "S2"]), used in size(),
        total in size(), any in prop::bool::weighted(0.9), result in answer(Just(()))) -> Observation {
        let filesystem = Filesystem { disk_name: "vda1".into(), mount_point: "/".into(), serials: vec![serial], used, total,
            ..Default::default() };
        let result = result.map(|()| Vec::from_iter(any.then_some(filesystem)));
        Observation::Filesystems { instance: Key::new(&namespace, &name), at: 0, result }
    }
}

prop_compose! {
    fn any_instance_sample()(namespace in namespace(), name in vm_name(), cpu in size(), at in taken()) -> InstanceSample {
        InstanceSample { namespace, name, cpu_nanocores: cpu, memory_bytes: cpu, guest_available: Some(4 * GI),
            guest_usable: Some(GI), at: at.unwrap_or_default(), trusted_time: true, ..Default::default() }
    }
}

prop_compose! {
    fn any_scraped_guest()(namespace in namespace(), name in vm_name(), node in node(), at in taken()) -> ScrapedGuest {
        ScrapedGuest { instance: Key::new(&namespace, &name), node: node.into(), at: at.unwrap_or_default(),
            trusted_time: true, rates: None }
    }
}

prop_compose! {
    fn any_prometheus()(result in answer((prop::collection::vec(any_stats(), 0..5),
        prop::collection::vec(any_instance_sample(), 0..4), prop::collection::vec(any_scraped_guest(), 0..4),
        prop::option::of(error())))) -> Observation {
        let facts = |(volumes, instances, guests, gap): (Vec<_>, Vec<_>, Vec<_>, Option<SourceError>)| PrometheusFacts {
            volumes, instances,
            guests: ScrapedGuests { guests: guests.into(), gap: gap.clone(), contention_since: None },
            gaps: gap.map(|error| VolumeGap { error, namespaces: vec!["a".into()] }).into_iter().collect(),
            ..Default::default() };
        Observation::Prometheus { at: 0, result: result.map(facts) }
    }
}

prop_compose! {
    fn any_ceph()(result in answer(prop::collection::vec((any_image(), size()), 0..3))) -> Observation {
        let stats = |(image, size): (Image, Option<u64>)| ImageStats { image, size: 20 * GI,
            used: size.ok_or(Uncounted::NoFastDiff) };
        Observation::Ceph { at: 0, result: result.map(|images| images.into_iter().map(stats).collect()) }
    }
}

prop_compose! {
    fn any_status()(source in prop::sample::select(SourceId::ALL.to_vec()), error in error(), kind in 0..6u8,
        namespace in prop_oneof![4 => Just(None), 1 => namespace().prop_map(Some)]) -> Observation {
        match kind {
            0 => Observation::WatchAlive { source, namespace, at: 0 },
            1 => Observation::WatchFailed { source, namespace, error },
            2 => Observation::Omitted { source, namespace, errors: vec![error] },
            3 => Observation::HandlersFound { at: 0 },
            4 => Observation::Took { source, millis: 7 },
            _ => Observation::Risk { source, detail: Message::from("risk") },
        }
    }
}

prop_compose! {
    fn any_reviews()(error in error(), last_minute in 0..3u32) -> Observation {
        let counts = ReviewCounts { last_minute, ..Default::default() };
        Observation::AccessReviews(ReviewFacts { last_success: None, errors: vec![error], took: vec![1], counts })
    }
}

fn any_observation() -> impl Strategy<Value = Observation> {
    let metrics =
        (prop::option::weighted(0.1, namespace()), answer(prop::collection::vec(any_sample(), 0..6)));
    let metrics =
        metrics.prop_map(|(namespace, result)| Observation::PodMetrics { namespace, at: 0, result });
    let objects = prop_oneof![
        4 => change(any_wukong()).prop_map(Observation::Wukongs),
        4 => change(any_vm()).prop_map(Observation::VirtualMachines),
        6 => change(any_instance()).prop_map(Observation::Instances),
        2 => change(any_migration()).prop_map(Observation::Migrations),
        6 => change(any_pod()).prop_map(Observation::Pods),
        3 => change(any_claim()).prop_map(Observation::Claims),
        3 => change(any_persistent_volume()).prop_map(Observation::PersistentVolumes),
        2 => change(any_longhorn()).prop_map(Observation::LonghornVolumes),
        2 => change(any_node()).prop_map(Observation::Nodes),
        1 => change(any_instancetype(false)).prop_map(Observation::ClusterInstancetypes),
        1 => change(any_instancetype(true)).prop_map(Observation::Instancetypes),
    ];
    prop_oneof![
        34 => objects,
        6 => metrics,
        6 => any_summary(),
        5 => any_guests(),
        5 => any_filesystems(),
        2 => any_prometheus(),
        1 => any_ceph(),
        2 => any_status(),
        1 => any_reviews(),
    ]
}

pub fn any_event() -> impl Strategy<Value = Event> {
    let step = prop_oneof![Just(0), Just(3_600 * SECOND), Just(-30 * SECOND)];
    prop_oneof![
        80 => any_observation().prop_map(|observation| Event::Observed(Box::new(observation))),
        1 => step.prop_map(Event::ClockSet),
    ]
}

/// Returns an observation that is made now.
pub fn at(now: Millis, observation: &Observation) -> Observation {
    let mut made = observation.clone();
    match &mut made {
        Observation::Wukongs(change) => change_at(change, now),
        Observation::VirtualMachines(change) => change_at(change, now),
        Observation::Instances(change) => change_at(change, now),
        Observation::Migrations(change) => change_at(change, now),
        Observation::Pods(change) => change_at(change, now),
        Observation::Claims(change) => change_at(change, now),
        Observation::PersistentVolumes(change) => change_at(change, now),
        Observation::LonghornVolumes(change) => change_at(change, now),
        Observation::Nodes(change) => change_at(change, now),
        Observation::ClusterInstancetypes(change) | Observation::Instancetypes(change) => {
            change_at(change, now)
        }
        Observation::WatchAlive { at, .. }
        | Observation::HandlersFound { at }
        | Observation::Guests { at, .. }
        | Observation::Filesystems { at, .. }
        | Observation::Ceph { at, .. } => *at += now,
        Observation::PodMetrics { at, result, .. } => {
            *at += now;
            let times = result.iter_mut().flatten().flat_map(|facts| [&mut facts.at, &mut facts.made]);
            times.flatten().for_each(|at| *at += now);
        }
        Observation::Summary { at, result, .. } => {
            *at += now;
            for facts in result.iter_mut() {
                facts.volumes.iter_mut().filter_map(|stats| stats.at.as_mut()).for_each(|at| *at += now);
                let times = facts.pods.iter_mut().flat_map(|pod| [&mut pod.taps_at, &mut pod.pressure_at]);
                times.flatten().for_each(|at| *at += now);
            }
        }
        Observation::Prometheus { at, result } => {
            *at += now;
            for facts in result.iter_mut() {
                facts.volumes.iter_mut().filter_map(|stats| stats.at.as_mut()).for_each(|at| *at += now);
                facts.instances.iter_mut().for_each(|sample| sample.at += now);
                let mut guests = facts.guests.guests.to_vec();
                guests.iter_mut().for_each(|guest| guest.at += now);
                facts.guests.guests = guests.into();
            }
        }
        Observation::WatchFailed { .. }
        | Observation::Omitted { .. }
        | Observation::Risk { .. }
        | Observation::Took { .. }
        | Observation::AccessReviews(_) => {}
    }
    made
}

fn change_at<T>(change: &mut Change<T>, now: Millis) {
    let (Change::Replaced { at, .. } | Change::Applied { at, .. } | Change::Deleted { at, .. }) = change;
    *at += now;
}

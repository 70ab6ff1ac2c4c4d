//! Six sources of disk figures: the first that knows a volume gives its figure, and layers are never added up.

use super::*;
use i18n::Render;
use model::{
    figure::{Basis, Figure, Layer, Sample},
    message::Message,
    source::SourceState,
    vm::{Reading, Volume},
};

fn all() -> ClusterState {
    let disk_sources = SourceId::DISK.to_vec();
    let mut world = ClusterState::new(Limits { disk_sources, ..limits() });
    world.apply(Observation::Claims(replaced(vec![])));
    world.apply(Observation::Pods(replaced(vec![])));
    world.apply(Observation::PersistentVolumes(replaced(vec![])));
    world.apply(Observation::LonghornVolumes(replaced(vec![])));
    add_vm(&mut world, "a", "web", 500, GI);
    world
}

/// The VM's volumes, of 20 Gi each; those named `block…` are raw devices.
fn with(world: &mut ClusterState, names: &[&str], serials: &[(&str, &str)]) {
    let volumes = names.iter().map(|name| WukongVolume {
        name: (*name).into(),
        claim: format!("web-{name}"),
        size: "20Gi".into(),
    });
    world.apply(Observation::Wukongs(applied(WukongFacts {
        volumes: volumes.collect(),
        ..wukong("a", "web")
    })));
    let volumes =
        names.iter().map(|name| InstanceVolume { name: (*name).into(), claim: format!("web-{name}") });
    let disks = names.iter().map(|name| InstanceDisk {
        name: (*name).into(),
        bus: Bus::Virtio,
        serial: serials.iter().find(|(of, _)| of == name).map_or("", |(_, serial)| serial).into(),
        claim: format!("web-{name}").into(),
        ..Default::default()
    });
    world.apply(Observation::Instances(applied(InstanceFacts {
        volumes: volumes.collect(),
        disks: disks.collect(),
        agent_connected: !serials.is_empty(),
        ..instance("a", "web-vm", "n1")
    })));
    for name in names {
        world.apply(Observation::Claims(applied(ClaimFacts {
            namespace: "a".into(),
            name: format!("web-{name}"),
            block: name.starts_with("block"),
            request: Some(20 * GI),
            capacity: Some(20 * GI),
            volume_name: format!("pv-{name}"),
            ..Default::default()
        })));
    }
}

fn persistent(world: &mut ClusterState, name: &str, backend: Backend) {
    let volume = PersistentVolumeFacts {
        name: format!("pv-{name}").into(),
        claim: Key::new("a", &format!("web-{name}")),
        provisioner: Provisioner::Device,
        backend: Some(backend),
    };
    world.apply(Observation::PersistentVolumes(applied(volume)));
}

fn longhorn(world: &mut ClusterState, name: &str, actual: u64) {
    persistent(world, name, Backend::Longhorn(format!("handle-{name}").into()));
    world.apply(Observation::LonghornVolumes(applied(LonghornFacts {
        namespace: "longhorn-system".into(),
        name: format!("handle-{name}"),
        size: Some(20 * GI),
        actual_size: Some(actual),
        engine: LonghornEngine::V1,
    })));
}

fn image(name: &str) -> Image {
    Image { pool: "rbd".into(), name: name.into(), ..Image::default() }
}

fn ceph(world: &mut ClusterState, name: &str, used: Result<u64, Uncounted>) {
    persistent(world, name, Backend::Rbd(Box::new(image(name))));
    let stats = ImageStats { image: image(name), size: 20 * GI, used };
    world.apply(Observation::Ceph { at: NOW, result: Ok(vec![stats]) });
}

fn prometheus(world: &mut ClusterState, volumes: Vec<VolumeStats>) {
    let facts = PrometheusFacts { volumes, ..Default::default() };
    world.apply(Observation::Prometheus { at: NOW, result: Ok(facts) });
}

fn agent(world: &mut ClusterState, filesystems: Vec<Filesystem>) {
    let instance = Key::new("a", "web-vm");
    let mut devices = Devices::new(100);
    filesystems.into_iter().for_each(|filesystem| devices.add(filesystem));
    world.apply(Observation::Filesystems { instance, at: NOW, result: Ok(devices.finish()) });
}

fn fs(disk: &str, mount: &str, serial: &str, used: u64, total: u64) -> Filesystem {
    Filesystem {
        disk_name: disk.into(),
        mount_point: mount.into(),
        kind: "ext4".into(),
        used: Some(used),
        total: Some(total),
        serials: vec![serial.into()],
        hidden: false,
    }
}

/// The Wukong's phase alone is behind while there is an instance.
fn stop(world: &mut ClusterState) {
    let stopped = WukongFacts { phase: "Stopped".into(), ..wukong("a", "web") };
    world.apply(Observation::Wukongs(applied(stopped)));
    world.apply(Observation::Instances(Change::Deleted { key: Key::new("a", "web-vm"), at: NOW }));
}

fn volume(world: &mut ClusterState, name: &str) -> Volume {
    web(world).volumes.iter().find(|volume| volume.name == name).unwrap().clone()
}

fn shown(figure: &Figure) -> Result<(&'static str, u64), Reason> {
    let sample = |sample: &Sample| (sample.source.name(), sample.used / GI);
    figure.sample().map(sample).ok_or_else(|| figure.missing().unwrap().reason)
}

fn readings(volume: &Volume) -> Vec<(SourceId, Result<u64, Reason>)> {
    let of = |reading: &Reading| (reading.source, shown(&reading.figure).map(|(_, used)| used));
    volume.readings.iter().map(of).collect()
}

#[test]
fn four_volumes_each_from_another_source() {
    let mut world = all();
    with(&mut world, &["root", "data", "block-guest", "block-lake"], &[("block-guest", "S1")]);
    world.apply(summary("n1", vec![stats("a", "web-root", 5 * GI, 20 * GI)]));
    prometheus(&mut world, vec![stats("a", "web-data", 7 * GI, 20 * GI)]);
    agent(&mut world, vec![fs("vdc1", "/srv", "S1", 3 * GI, 19 * GI)]);
    longhorn(&mut world, "block-lake", 30 * GI);
    let vm = web(&mut world);
    let got: Vec<_> = vm.volumes.iter().map(|volume| shown(&volume.usage)).collect();
    assert_eq!(
        got,
        [Ok(("kubelet", 5)), Ok(("prometheus", 7)), Ok(("guest-agent", 3)), Ok(("longhorn", 30))]
    );
    let disk = vm.summary.usage.disk.sample().unwrap();
    assert_eq!((disk.used, disk.of), (45 * GI, 79 * GI));
    assert_eq!(disk.basis, Basis::Backend, "one of its parts is an allocation");
    let totals = world.join(NOW).totals;
    assert_eq!((totals.disk_used.used, totals.disk_used.of), (15 * GI, 59 * GI), "file systems alone");
}

#[test]
fn three_sources_that_disagree_are_shown_apart_and_one_counts() {
    let mut world = all();
    with(&mut world, &["root"], &[("root", "S1")]);
    world.apply(summary("n1", vec![stats("a", "web-root", 5 * GI, 20 * GI)]));
    agent(&mut world, vec![fs("vda1", "/", "S1", 4 * GI, 19 * GI)]);
    longhorn(&mut world, "root", 12 * GI);
    let root = volume(&mut world, "root");
    assert_eq!(shown(&root.usage), Ok(("kubelet", 5)));
    assert_eq!(readings(&root), [(SourceId::GuestAgent, Ok(4)), (SourceId::Longhorn, Ok(12))]);
    assert_eq!(root.usage.sample().unwrap().source.layer(), Layer::Image);
    assert_eq!(disk(&mut world), Ok((5 * GI, 20 * GI)));

    // The order of the operator decides within guest and image; the backend still comes last.
    world.limits.disk_sources = vec![SourceId::GuestAgent, SourceId::Kubelet, SourceId::Longhorn];
    assert_eq!(disk(&mut world), Ok((4 * GI, 19 * GI)));
}

fn disk(world: &mut ClusterState) -> Result<(u64, u64), Reason> {
    let vm = web(world);
    let figure = &vm.summary.usage.disk;
    figure.sample().map(|sample| (sample.used, sample.of)).ok_or_else(|| figure.missing().unwrap().reason)
}

#[test]
fn a_backend_counts_only_where_no_file_system_is_known_and_says_so() {
    let mut world = all();
    with(&mut world, &["root"], &[]);
    longhorn(&mut world, "root", 12 * GI);
    world.apply(summary("n1", vec![]));
    let root = volume(&mut world, "root");
    assert_eq!(
        (shown(&root.usage), root.usage.sample().unwrap().basis),
        (Ok(("longhorn", 12)), Basis::Backend)
    );
    world.apply(summary("n1", vec![stats("a", "web-root", 5 * GI, 20 * GI)]));
    assert_eq!(shown(&volume(&mut world, "root").usage), Ok(("kubelet", 5)));
}

#[test]
fn where_none_knows_each_source_says_why() {
    let mut world = all();
    with(&mut world, &["block-root"], &[]);
    ceph(&mut world, "block-root", Err(Uncounted::NoFastDiff));
    prometheus(&mut world, vec![]);
    let root = volume(&mut world, "block-root");
    assert_eq!((shown(&root.usage), root.block), (Err(Reason::NoFastDiff), true));
    let want = [
        (SourceId::Kubelet, Err(Reason::BlockVolume)),
        (SourceId::Prometheus, Err(Reason::BlockVolume)),
        (SourceId::GuestAgent, Err(Reason::AgentOff)),
    ];
    assert_eq!(readings(&root), want);
    let fix = root.usage.missing().unwrap().fix.english();
    assert!(fix.contains("rbd object-map rebuild rbd/block-root"), "{fix}");
    ceph(&mut world, "block-root", Ok(GI));
    assert_eq!(shown(&volume(&mut world, "block-root").usage), Ok(("ceph", 1)));
}

/// A kubelet's command is no help with Prometheus.
#[test]
fn each_source_that_leaves_a_volume_out_has_a_fix_of_its_own() {
    let mut world = all();
    with(&mut world, &["root"], &[("root", "S1")]);
    world.apply(summary("n1", vec![]));
    prometheus(&mut world, vec![]);
    agent(&mut world, vec![fs("vda1", "/", "", GI, 9 * GI)]);
    let root = volume(&mut world, "root");
    let figures = root.readings.iter().map(|reading| (reading.source, &reading.figure));
    let fix_of = |wanted| {
        let mut all = figures.clone().chain([(root.source, &root.usage)]);
        all.find(|(source, _)| *source == wanted).unwrap().1.missing().unwrap().fix.english()
    };
    for (source, want) in [
        (SourceId::Kubelet, "kubectl get --raw /api/v1/nodes/n1/proxy/stats/summary"),
        (
            SourceId::Prometheus,
            r#"kubelet_volume_stats_used_bytes{namespace="a",persistentvolumeclaim="web-root"}"#,
        ),
        // Its serial is set.
        (SourceId::GuestAgent, "namespaces/a/virtualmachineinstances/web-vm/filesystemlist"),
    ] {
        let fix = fix_of(source);
        assert!(fix.ends_with(want), "{source:?}: {fix}");
    }
}

#[test]
fn a_file_system_belongs_to_a_volume_by_a_serial_that_is_its_alone() {
    for (serials, filesystems, want) in [
        (vec![("root", "S1")], vec![fs("vda1", "/", "S1", GI, 9 * GI)], Ok(1)),
        // Mounted twice, and a second file system.
        (
            vec![("root", "S1")],
            vec![
                fs("vda1", "/", "S1", GI, 9 * GI),
                fs("vda1", "/home", "S1", GI, 9 * GI),
                fs("vda2", "/boot", "S1", GI, GI),
            ],
            Ok(2),
        ),
        (
            vec![("root", "S1"), ("data", "S1")],
            vec![fs("vda1", "/", "S1", GI, 9 * GI)],
            Err(Reason::NotReported),
        ),
        (vec![("root", "S1")], vec![fs("vda1", "/", "", GI, 9 * GI)], Err(Reason::NotReported)),
        // One of two is not known: their sum is not either.
        (
            vec![("root", "S1")],
            vec![fs("vda1", "/", "S1", GI, 9 * GI), fs("vda2", "/var", "S1", 0, GI)],
            Err(Reason::NotReported),
        ),
        // Two devices without a name, or one that is mounted twice: that is not known.
        (
            vec![("root", "S1")],
            vec![fs("", "/", "S1", GI, 9 * GI), fs("", "/var", "S1", GI, 9 * GI)],
            Err(Reason::NotReported),
        ),
        (vec![("root", "S1")], vec![fs("", "/", "S1", GI, 9 * GI)], Ok(1)),
        // A logical volume over two disks.
        (
            vec![("root", "S1"), ("data", "S2")],
            vec![Filesystem { serials: vec!["S1".into(), "S2".into()], ..fs("dm-0", "/", "", GI, 9 * GI) }],
            Err(Reason::NotReported),
        ),
    ] {
        let mut world = all();
        world.limits.disk_sources = vec![SourceId::GuestAgent];
        with(&mut world, &["root", "data"], &serials);
        agent(&mut world, filesystems.clone());
        let got = shown(&volume(&mut world, "root").usage).map(|(_, used)| used);
        assert_eq!(got, want, "{serials:?} {filesystems:?}");
    }
}

#[test]
fn what_maps_to_no_volume_is_shown_as_the_guests() {
    let mut world = all();
    with(&mut world, &["root"], &[("root", "S1")]);
    agent(&mut world, vec![fs("vda1", "/", "S1", GI, 9 * GI), fs("sr0", "/cd", "other", GI, GI)]);
    let vm = web(&mut world);
    let claims: Vec<_> = vm.guest.filesystems.iter().map(|fs| (&*fs.mount_point, &*fs.claim)).collect();
    assert_eq!(claims, [("/", "web-root"), ("/cd", "")]);
    let later = find(&world.join(NOW + 3_600_000), "a", "web");
    assert_eq!((later.guest.filesystems.len(), later.guest.at), (0, None), "an hour old is nothing");
}

/// Ten thousand guests have a few each: they stand once, whoever shows them.
#[test]
fn file_systems_are_shared_with_what_shows_them_until_disks_change_places() {
    let mut world = all();
    with(&mut world, &["root", "data"], &[("root", "S1"), ("data", "S2")]);
    agent(&mut world, vec![fs("vda1", "/", "S1", GI, 9 * GI)]);
    let one = web(&mut world);
    let kept = world.guests.values().next().unwrap().shown();
    assert_eq!(one.guest.filesystems[0].claim, "web-root");
    assert!(Arc::ptr_eq(&one.guest.filesystems, kept), "a copy for each VM");
    with(&mut world, &["root", "data"], &[("root", "S2"), ("data", "S1")]);
    assert_eq!(web(&mut world).guest.filesystems[0].claim, "web-data");
}

#[test]
fn a_guest_that_is_gone_is_forgotten() {
    let mut world = all();
    with(&mut world, &["root"], &[("root", "S1")]);
    agent(&mut world, vec![fs("vda1", "/", "S1", GI, 9 * GI)]);
    world.join(NOW);
    assert_eq!(world.guests.len(), 1);
    let deleted = Change::Deleted { key: Key::new("a", "web-vm"), at: NOW };
    world.apply(Observation::Instances(deleted));
    world.join(NOW);
    assert!(world.guests.is_empty());
}

#[test]
fn a_claim_that_its_volume_does_not_name_leads_nowhere() {
    let mut world = all();
    with(&mut world, &["root"], &[]);
    longhorn(&mut world, "root", 12 * GI);
    let others = PersistentVolumeFacts {
        name: "pv-root".into(),
        claim: Key::new("b", "web-root"),
        provisioner: Provisioner::Device,
        backend: Some(Backend::Longhorn("handle-root".into())),
    };
    world.apply(Observation::PersistentVolumes(applied(others)));
    world.apply(summary("n1", vec![]));
    assert_eq!(shown(&volume(&mut world, "root").usage), Err(Reason::NotReported));
}

#[test]
fn a_claim_that_may_stand_in_what_was_cut_off_is_not_said_to_be_unreported() {
    let shown_with = |gaps: Vec<VolumeGap>| {
        let mut world = ClusterState::new(Limits { disk_sources: vec![SourceId::Prometheus], ..limits() });
        world.apply(Observation::Claims(replaced(vec![])));
        add_vm(&mut world, "a", "web", 500, GI);
        with(&mut world, &["root"], &[]);
        let facts = PrometheusFacts { gaps, ..Default::default() };
        world.apply(Observation::Prometheus { at: NOW, result: Ok(facts) });
        let usage = volume(&mut world, "root").usage;
        let missing = usage.missing().unwrap();
        (missing.reason, missing.detail.english(), missing.fix.english())
    };
    let gap = |namespaces: &[&str], reason| VolumeGap {
        error: refused(reason),
        namespaces: namespaces.iter().map(|namespace| (*namespace).into()).collect(),
    };
    assert_eq!(shown_with(vec![]).0, Reason::NotReported);
    assert_eq!(shown_with(vec![gap(&["b"], Reason::TooLarge)]).0, Reason::NotReported);
    for namespaces in [&["b", "a"][..], &[]] {
        let (reason, _, fix) =
            shown_with(vec![gap(&["b"], Reason::TimedOut), gap(namespaces, Reason::TooLarge)]);
        assert_eq!(reason, Reason::TooLarge);
        assert!(fix.contains("enforcedSampleLimit") && fix.contains("count by (namespace)"), "{fix}");
    }
    assert_eq!(shown_with(vec![gap(&[], Reason::TimedOut)]).0, Reason::TimedOut);
}

#[test]
fn a_prometheus_of_which_a_part_is_cut_off_says_so_once() {
    let mut world = ClusterState::new(Limits { disk_sources: vec![SourceId::Prometheus], ..limits() });
    let error = refused(Reason::TooLarge);
    let facts = PrometheusFacts {
        warnings: vec![error.detail.clone(), "another".into()],
        gaps: vec![VolumeGap { error: error.clone(), namespaces: vec!["evil".into()] }],
        ..Default::default()
    };
    world.apply(Observation::Prometheus { at: NOW, result: Ok(facts) });
    let health = health(&world.join(NOW), SourceId::Prometheus);
    assert_eq!((health.state, health.reason), (SourceState::Degraded, Some(Reason::TooLarge)));
    assert_eq!(health.error, Message::List(vec![error.detail, "another".into()]));
    assert!(health.fix.english().contains("enforcedSampleLimit"), "{}", health.fix.english());
}

#[test]
fn a_disk_that_may_be_one_of_those_left_out_is_too_much() {
    for (left_out, reason) in [(0, Reason::NotReported), (3, Reason::TooLarge)] {
        let mut world = ClusterState::new(Limits { disk_sources: vec![SourceId::GuestAgent], ..limits() });
        world.apply(Observation::Claims(replaced(vec![])));
        add_vm(&mut world, "a", "web", 500, GI);
        with(&mut world, &["root"], &[("root", "S1")]);
        let mut facts = world.instances.values().next().map(|facts| (**facts).clone()).unwrap();
        (facts.disks, facts.disks_left_out) = (Default::default(), left_out);
        world.apply(Observation::Instances(applied(facts)));
        let filesystem =
            Filesystem { mount_point: "/".into(), used: Some(1), total: Some(2), ..Default::default() };
        let instance = Key::new("a", "web-vm");
        world.apply(Observation::Filesystems { instance, at: NOW, result: Ok(vec![filesystem]) });
        assert_eq!(shown(&volume(&mut world, "root").usage), Err(reason));
    }
}

/// A tenant who may make Longhorn's objects in a namespace of theirs.
#[test]
fn a_longhorn_volume_of_another_namespace_is_none_of_longhorns() {
    let told = |namespaces: &[&str]| {
        let mut world = all();
        with(&mut world, &["root"], &[]);
        persistent(&mut world, "root", Backend::Longhorn("handle-root".into()));
        for (n, namespace) in (1..).zip(namespaces) {
            world.apply(Observation::LonghornVolumes(applied(LonghornFacts {
                namespace: (*namespace).into(),
                name: "handle-root".into(),
                size: Some(20 * GI),
                actual_size: Some(n * GI),
                engine: LonghornEngine::V1,
            })));
        }
        world.apply(summary("n1", vec![]));
        let volume = volume(&mut world, "root");
        let reading = [Reading { source: volume.source, figure: volume.usage.clone() }];
        let mut all = volume.readings.iter().chain(&reading);
        let longhorn = all.find(|reading| reading.source == SourceId::Longhorn).unwrap().figure.clone();
        let said = longhorn.missing().map(|missing| missing.detail.english()).unwrap_or_default();
        (shown(&longhorn).map(|(_, used)| used), said)
    };
    assert_eq!(told(&["longhorn-system", "tenant"]), (Ok(1), String::new()));
    assert_eq!(told(&["tenant", "longhorn-system"]), (Ok(2), String::new()));
    // Installed elsewhere: nothing tells which is Longhorn's.
    assert_eq!(told(&["storage"]), (Ok(1), String::new()));
    let twice = "several namespaces have a Longhorn volume of this name";
    assert_eq!(told(&["storage", "tenant"]), (Err(Reason::NotReported), twice.into()));
    let mut world = all();
    with(&mut world, &["root"], &[]);
    longhorn(&mut world, "other", GI);
    persistent(&mut world, "root", Backend::Longhorn("handle-root".into()));
    let mut tenants =
        LonghornFacts { namespace: "tenant".into(), name: "handle-root".into(), ..Default::default() };
    (tenants.size, tenants.actual_size) = (Some(20 * GI), Some(GI));
    world.apply(Observation::LonghornVolumes(applied(tenants)));
    world.apply(summary("n1", vec![]));
    assert_eq!(
        shown(&volume(&mut world, "root").usage),
        Err(Reason::NotReported),
        "Longhorn has none of that name"
    );
}

/// ceph/ceph#64855, longhorn/longhorn#5947.
#[test]
fn what_a_backend_does_not_count_is_unknown_with_its_reason() {
    for (used, reason, fix) in [
        (Err(Uncounted::Mirrored), Some(Reason::Mirrored), "rbd du"),
        (Err(Uncounted::NoFastDiff), Some(Reason::NoFastDiff), "rbd feature enable"),
        (Err(Uncounted::InvalidMap), Some(Reason::NoFastDiff), "rbd object-map rebuild"),
        (Ok(0), None, ""),
    ] {
        let mut world = all();
        with(&mut world, &["block-root"], &[]);
        ceph(&mut world, "block-root", used);
        let usage = volume(&mut world, "block-root").usage;
        assert_eq!(usage.missing().map(|missing| missing.reason), reason);
        let said = usage.missing().map(|missing| missing.fix.english()).unwrap_or_default();
        assert!(said.contains(fix), "{said}");
    }
    for (engine, actual, want, detail) in [
        (LonghornEngine::V1, 0, Ok(("longhorn", 0)), ""),
        (LonghornEngine::UncountedV2, 0, Err(Reason::NotReported), "before 1.6"),
        (LonghornEngine::UncountedV2, GI, Ok(("longhorn", 1)), ""),
        (LonghornEngine::V2, 0, Err(Reason::NotReported), ""),
        (LonghornEngine::V2, GI, Ok(("longhorn", 1)), ""),
    ] {
        let mut world = all();
        with(&mut world, &["block-root"], &[]);
        longhorn(&mut world, "block-root", actual);
        let mut facts = (**world.longhorn.values().next().unwrap()).clone();
        facts.engine = engine;
        world.apply(Observation::LonghornVolumes(applied(facts)));
        let usage = volume(&mut world, "block-root").usage;
        assert_eq!(shown(&usage), want, "{engine:?} {actual}");
        let said = usage.missing().map(|missing| missing.detail.english()).unwrap_or_default();
        assert!(said.contains(detail), "{said}");
    }
}

/// longhorn/longhorn#9594.
#[test]
fn a_size_of_nothing_is_no_size() {
    let mut world = all();
    with(&mut world, &["root"], &[]);
    longhorn(&mut world, "root", 12 * GI);
    let sized = LonghornFacts {
        namespace: "longhorn-system".into(),
        name: "handle-root".into(),
        size: Some(0),
        actual_size: Some(12 * GI),
        engine: LonghornEngine::V1,
    };
    world.apply(Observation::LonghornVolumes(applied(sized)));
    let volume = volume(&mut world, "root");
    let sample = volume.usage.sample().unwrap();
    assert_eq!((sample.used, Some(sample.of)), (12 * GI, volume.size), "of the claim's size");
}

/// Ten thousand of them would be kept for nothing.
#[test]
fn a_persistent_volume_that_tells_nothing_is_not_kept() {
    let mut world = all();
    with(&mut world, &["root", "data"], &[]);
    longhorn(&mut world, "root", 12 * GI);
    let local = |name: &str| PersistentVolumeFacts {
        name: name.into(),
        claim: Key::new("a", "web-root"),
        provisioner: Provisioner::Unknown,
        backend: None,
    };
    world.apply(Observation::PersistentVolumes(applied(local("pv-data"))));
    assert_eq!(world.persistent_volumes.len(), 1);
    world.apply(Observation::PersistentVolumes(applied(local("pv-root"))));
    assert!(world.persistent_volumes.is_empty(), "it led somewhere before");
    world.apply(Observation::PersistentVolumes(replaced(vec![local("pv-root"), local("pv-data")])));
    assert!(world.persistent_volumes.is_empty());
}

#[test]
fn a_failing_source_takes_nothing_of_another_and_keeps_its_last_value() {
    let mut world = all();
    with(&mut world, &["root", "data"], &[]);
    world.apply(summary("n1", vec![stats("a", "web-root", 5 * GI, 20 * GI)]));
    prometheus(&mut world, vec![stats("a", "web-data", 7 * GI, 20 * GI)]);
    let failed = |reason| Observation::Prometheus { at: NOW, result: Err(refused(reason)) };
    world.apply(failed(Reason::TimedOut));
    assert_eq!(shown(&volume(&mut world, "data").usage), Ok(("prometheus", 7)), "silence ages");
    world.apply(failed(Reason::Forbidden));
    let data = volume(&mut world, "data");
    let of_prometheus = data.readings.iter().find(|reading| reading.source == SourceId::Prometheus).unwrap();
    let missing = of_prometheus.figure.missing().unwrap();
    assert_eq!((missing.reason, missing.last.unwrap().used), (Reason::Forbidden, 7 * GI));
    assert_eq!(shown(&volume(&mut world, "root").usage), Ok(("kubelet", 5)));
}

fn sampled(sample: InstanceSample) -> Observation {
    let sample = InstanceSample { namespace: "a".into(), name: "web-vm".into(), at: NOW - 5_000, ..sample };
    let facts = PrometheusFacts { instances: vec![sample], ..Default::default() };
    Observation::Prometheus { at: NOW, result: Ok(facts) }
}

#[test]
fn kubevirts_own_metrics_stand_in_for_metrics_that_are_missing() {
    let sample = InstanceSample {
        cpu_nanocores: Some(7),
        cpu_window_ms: 300_000,
        memory_bytes: Some(9),
        ..Default::default()
    };
    let mut world = all();
    world.apply(sampled(sample.clone()));
    assert_eq!(milli(&web(&mut world)), Ok(500), "metrics.k8s.io comes first");
    world.apply(Observation::PodMetrics {
        namespace: None,
        at: NOW,
        result: Err(refused(Reason::ApiAbsent)),
    });
    let vm = web(&mut world);
    let (cpu, memory) = (vm.summary.usage.cpu.sample().unwrap(), vm.summary.usage.memory.sample().unwrap());
    assert_eq!((cpu.used, cpu.window_ms, cpu.source.name()), (7, 300_000, "prometheus"));
    assert_eq!((memory.used, memory.source.name()), (9, "prometheus"));
    stop(&mut world);
    assert_eq!(milli(&web(&mut world)), Err(Reason::NotRunning));
}

#[test]
fn the_guests_own_memory_stands_beside_the_hosts() {
    let mut world = all();
    let guest =
        InstanceSample { guest_available: Some(4 * GI), guest_usable: Some(GI), ..Default::default() };
    world.apply(sampled(guest));
    let vm = web(&mut world);
    let memory = vm.guest.memory.unwrap();
    assert_eq!((memory.used, memory.of), (3 * GI, 4 * GI));
    assert_eq!(vm.summary.usage.memory.sample().unwrap().used, GI);
    let odd = InstanceSample { guest_available: Some(GI), guest_usable: Some(4 * GI), ..Default::default() };
    world.apply(sampled(odd));
    assert_eq!(web(&mut world).guest.memory, None, "more usable than there is");
}

#[test]
fn of_hugepages_the_pods_working_set_says_nothing() {
    let mut world = all();
    let huge = InstanceFacts { hugepages: true, ..instance("a", "web-vm", "n1") };
    world.apply(Observation::Instances(applied(huge)));
    let vm = web(&mut world);
    let missing = vm.summary.usage.memory.missing().unwrap();
    assert_eq!((missing.reason, missing.last.unwrap().used), (Reason::Hugepages, GI));
    assert_eq!(milli(&vm), Ok(500), "its CPU is known all the same");
    let fix = |vm: &Vm| vm.summary.usage.memory.missing().unwrap().fix.english();
    assert!(fix(&vm).contains("--prometheus-url"), "none has told of it: {}", fix(&vm));
    let guest =
        InstanceSample { guest_available: Some(4 * GI), guest_usable: Some(GI), ..Default::default() };
    world.apply(sampled(guest));
    let vm = web(&mut world);
    assert!(vm.guest.memory.is_some() && fix(&vm).contains("Inside the guest"), "{}", fix(&vm));
}

#[test]
fn what_nobody_asks_is_not_configured_and_holds_nothing_back() {
    let snapshot = world().join(NOW);
    for id in [SourceId::Prometheus, SourceId::Ceph, SourceId::GuestAgent] {
        assert_eq!(health(&snapshot, id).state, model::source::SourceState::NotConfigured, "{id:?}");
    }
    assert!(snapshot.ready);
}

#[test]
fn collectors_are_told_of_what_running_vms_need() {
    let mut world = all();
    with(&mut world, &["root"], &[("root", "S1")]);
    ceph(&mut world, "root", Ok(1));
    let address = "10.0.0.7".parse().ok();
    let pod = PodFacts { host_ip: address, ..pod("a", "virt-launcher-web-vm-abc12", "n1") };
    world.apply(Observation::Pods(applied(pod)));
    let targets = world.join(NOW).targets;
    assert_eq!(*targets.nodes, [NodeTarget { name: "n1".into(), address }]);
    assert_eq!((&*targets.guests, &*targets.images), (&[Key::new("a", "web-vm")][..], &[image("root")][..]));
    stop(&mut world);
    assert_eq!(world.join(NOW).targets, Targets::default());
}

/// A Wukong may name any node: a thousand of them would cost the API server a thousand requests a minute.
#[test]
fn a_node_that_is_none_is_not_asked() {
    let mut world = world();
    let error = refused(Reason::Forbidden);
    world.apply(Observation::WatchFailed { source: SourceId::Instances, namespace: None, error });
    for n in 0..3 {
        let node_name = format!("node-{n}");
        let volumes = vec![WukongVolume { name: "root".into(), claim: "c".into(), size: "1Gi".into() }];
        let wukong = WukongFacts { node_name, volumes, ..wukong("a", &n.to_string()) };
        world.apply(Observation::Wukongs(applied(wukong)));
    }
    let asked = |world: &mut ClusterState| world.join(NOW).targets.nodes.len();
    assert_eq!(asked(&mut world), 3, "nodes cannot be read");
    let node = |name: &str| model::groups::Node { name: name.into(), ..Default::default() };
    world.apply(Observation::Nodes(replaced(vec![node("node-1"), node("node-9")])));
    assert_eq!(asked(&mut world), 1);
    let volume = find(&world.join(NOW), "a", "2").volumes[0].clone();
    assert_eq!(volume.usage.missing().map(|missing| missing.reason), Some(Reason::NoNode));
}

/// Its watch says something once a minute, however often others are asked.
#[test]
fn what_is_watched_is_not_stale_between_two_bookmarks() {
    let mut world = all();
    world.limits.disk_interval = 3_000;
    with(&mut world, &["block-lake"], &[]);
    longhorn(&mut world, "block-lake", 12 * GI);
    let stale = |world: &mut ClusterState, at| {
        let figure = find(&world.join(NOW + at), "a", "web").volumes[0].usage.clone();
        figure.sample().map(|sample| sample.stale)
    };
    assert_eq!((stale(&mut world, 90_000), stale(&mut world, 190_000)), (Some(false), Some(true)));
}

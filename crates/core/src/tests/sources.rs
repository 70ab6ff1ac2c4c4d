//! Six sources of disk figures: the first that knows a volume gives its figure, and layers are never added up.

mod backends;
mod readings;
mod serials;
mod targets;

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
    let mut state = ClusterState::new(Limits { disk_sources, ..limits() });
    state.apply(Observation::Claims(replaced(vec![])));
    state.apply(Observation::Pods(replaced(vec![])));
    state.apply(Observation::PersistentVolumes(replaced(vec![])));
    state.apply(Observation::LonghornVolumes(replaced(vec![])));
    add_vm(&mut state, "a", "web", 500, GI);
    state
}

/// The VM's volumes, of 20 Gi each; those named `block…` are raw devices.
fn with(state: &mut ClusterState, names: &[&str], serials: &[(&str, &str)]) {
    let volumes = names.iter().map(|name| WukongVolume {
        name: (*name).into(),
        claim: format!("web-{name}"),
        size: "20Gi".into(),
    });
    state.apply(Observation::Wukongs(applied(WukongFacts {
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
    state.apply(Observation::Instances(applied(InstanceFacts {
        volumes: volumes.collect(),
        disks: disks.collect(),
        agent_connected: !serials.is_empty(),
        ..instance("a", "web-vm", "n1")
    })));
    for name in names {
        state.apply(Observation::Claims(applied(ClaimFacts {
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

fn persistent(state: &mut ClusterState, name: &str, backend: Backend) {
    let volume = PersistentVolumeFacts {
        name: format!("pv-{name}").into(),
        claim: Key::new("a", &format!("web-{name}")),
        provisioner: Provisioner::Device,
        backend: Some(backend),
    };
    state.apply(Observation::PersistentVolumes(applied(volume)));
}

fn longhorn(state: &mut ClusterState, name: &str, actual: u64) {
    persistent(state, name, Backend::Longhorn(format!("handle-{name}").into()));
    state.apply(Observation::LonghornVolumes(applied(LonghornFacts {
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

fn ceph(state: &mut ClusterState, name: &str, used: Result<u64, Uncounted>) {
    persistent(state, name, Backend::Rbd(Box::new(image(name))));
    let stats = ImageStats { image: image(name), size: 20 * GI, used };
    state.apply(Observation::Ceph { at: NOW, result: Ok(vec![stats]) });
}

fn prometheus(state: &mut ClusterState, volumes: Vec<VolumeStats>) {
    let facts = PrometheusFacts { volumes, ..Default::default() };
    state.apply(Observation::Prometheus { at: NOW, result: Ok(facts) });
}

fn agent(state: &mut ClusterState, filesystems: Vec<Filesystem>) {
    let instance = Key::new("a", "web-vm");
    let mut devices = Devices::new(100);
    filesystems.into_iter().for_each(|filesystem| devices.add(filesystem));
    state.apply(Observation::Filesystems { instance, at: NOW, result: Ok(devices.finish()) });
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
fn stop(state: &mut ClusterState) {
    let stopped = WukongFacts { phase: "Stopped".into(), ..wukong("a", "web") };
    state.apply(Observation::Wukongs(applied(stopped)));
    state.apply(Observation::Instances(Change::Deleted { key: Key::new("a", "web-vm"), at: NOW }));
}

fn volume(state: &mut ClusterState, name: &str) -> Volume {
    web(state).volumes.iter().find(|volume| volume.name == name).unwrap().clone()
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
    let mut state = all();
    with(&mut state, &["root", "data", "block-guest", "block-lake"], &[("block-guest", "S1")]);
    report(&mut state, summary("n1", vec![stats("a", "web-root", 5 * GI, 20 * GI)]));
    prometheus(&mut state, vec![stats("a", "web-data", 7 * GI, 20 * GI)]);
    agent(&mut state, vec![fs("vdc1", "/srv", "S1", 3 * GI, 19 * GI)]);
    longhorn(&mut state, "block-lake", 30 * GI);
    let vm = web(&mut state);
    let got: Vec<_> = vm.volumes.iter().map(|volume| shown(&volume.usage)).collect();
    assert_eq!(
        got,
        [Ok(("kubelet", 5)), Ok(("prometheus", 7)), Ok(("guest-agent", 3)), Ok(("longhorn", 30))]
    );
    let disk = vm.summary.usage.disk.sample().unwrap();
    assert_eq!((disk.used, disk.of), (45 * GI, 79 * GI));
    assert_eq!(disk.basis, Basis::Backend, "one of its parts is an allocation");
    let totals = state.join(NOW).totals;
    assert_eq!((totals.disk_used.used, totals.disk_used.of), (15 * GI, 59 * GI), "file systems alone");
}

#[test]
fn three_sources_that_disagree_are_shown_apart_and_one_counts() {
    let mut state = all();
    with(&mut state, &["root"], &[("root", "S1")]);
    report(&mut state, summary("n1", vec![stats("a", "web-root", 5 * GI, 20 * GI)]));
    agent(&mut state, vec![fs("vda1", "/", "S1", 4 * GI, 19 * GI)]);
    longhorn(&mut state, "root", 12 * GI);
    let root = volume(&mut state, "root");
    assert_eq!(shown(&root.usage), Ok(("kubelet", 5)));
    assert_eq!(readings(&root), [(SourceId::GuestAgent, Ok(4)), (SourceId::Longhorn, Ok(12))]);
    assert_eq!(root.usage.sample().unwrap().source.layer(), Layer::Image);
    assert_eq!(disk(&mut state), Ok((5 * GI, 20 * GI)));

    // The order of the operator decides within guest and image; the backend still comes last.
    state.limits.disk_sources = vec![SourceId::GuestAgent, SourceId::Kubelet, SourceId::Longhorn];
    state.forget_rows();
    assert_eq!(disk(&mut state), Ok((4 * GI, 19 * GI)));
}

fn disk(state: &mut ClusterState) -> Result<(u64, u64), Reason> {
    let vm = web(state);
    let figure = &vm.summary.usage.disk;
    figure.sample().map(|sample| (sample.used, sample.of)).ok_or_else(|| figure.missing().unwrap().reason)
}

#[test]
fn a_backend_counts_only_where_no_file_system_is_known_and_says_so() {
    let mut state = all();
    with(&mut state, &["root"], &[]);
    longhorn(&mut state, "root", 12 * GI);
    report(&mut state, summary("n1", vec![]));
    let root = volume(&mut state, "root");
    assert_eq!(
        (shown(&root.usage), root.usage.sample().unwrap().basis),
        (Ok(("longhorn", 12)), Basis::Backend)
    );
    report(&mut state, summary("n1", vec![stats("a", "web-root", 5 * GI, 20 * GI)]));
    assert_eq!(shown(&volume(&mut state, "root").usage), Ok(("kubelet", 5)));
}

#[test]
fn if_no_source_knows_a_volume_each_says_why() {
    let mut state = all();
    with(&mut state, &["block-root"], &[]);
    ceph(&mut state, "block-root", Err(Uncounted::NoFastDiff));
    prometheus(&mut state, vec![]);
    let root = volume(&mut state, "block-root");
    assert_eq!((shown(&root.usage), root.block), (Err(Reason::NoFastDiff), true));
    let want = [
        (SourceId::Kubelet, Err(Reason::BlockVolume)),
        (SourceId::Prometheus, Err(Reason::BlockVolume)),
        (SourceId::GuestAgent, Err(Reason::AgentOff)),
    ];
    assert_eq!(readings(&root), want);
    let fix = root.usage.missing().unwrap().fix.english();
    assert!(fix.contains("rbd object-map rebuild rbd/block-root"), "{fix}");
    ceph(&mut state, "block-root", Ok(GI));
    assert_eq!(shown(&volume(&mut state, "block-root").usage), Ok(("ceph", 1)));
}

/// A kubelet's command is no help with Prometheus.
#[test]
fn each_source_that_leaves_a_volume_out_has_a_fix_of_its_own() {
    let mut state = all();
    with(&mut state, &["root"], &[("root", "S1")]);
    report(&mut state, summary("n1", vec![]));
    prometheus(&mut state, vec![]);
    agent(&mut state, vec![fs("vda1", "/", "", GI, 9 * GI)]);
    let root = volume(&mut state, "root");
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
fn a_claim_that_may_stand_in_what_was_cut_off_is_not_said_to_be_unreported() {
    let shown_with = |gaps: Vec<VolumeGap>| {
        let mut state = ClusterState::new(Limits { disk_sources: vec![SourceId::Prometheus], ..limits() });
        state.apply(Observation::Claims(replaced(vec![])));
        add_vm(&mut state, "a", "web", 500, GI);
        with(&mut state, &["root"], &[]);
        let facts = PrometheusFacts { gaps, ..Default::default() };
        state.apply(Observation::Prometheus { at: NOW, result: Ok(facts) });
        let usage = volume(&mut state, "root").usage;
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
    let mut state = ClusterState::new(Limits { disk_sources: vec![SourceId::Prometheus], ..limits() });
    let error = refused(Reason::TooLarge);
    let facts = PrometheusFacts {
        warnings: vec![error.detail.clone(), "another".into()],
        gaps: vec![VolumeGap { error: error.clone(), namespaces: vec!["evil".into()] }],
        ..Default::default()
    };
    state.apply(Observation::Prometheus { at: NOW, result: Ok(facts) });
    let health = health(&state.join(NOW), SourceId::Prometheus);
    assert_eq!((health.state, health.reason), (SourceState::Degraded, Some(Reason::TooLarge)));
    assert_eq!(health.error, Message::List(vec![error.detail, "another".into()]));
    assert!(health.fix.english().contains("enforcedSampleLimit"), "{}", health.fix.english());
}

#[test]
fn a_failing_source_takes_nothing_of_another_and_keeps_its_last_value() {
    let mut state = all();
    with(&mut state, &["root", "data"], &[]);
    report(&mut state, summary("n1", vec![stats("a", "web-root", 5 * GI, 20 * GI)]));
    prometheus(&mut state, vec![stats("a", "web-data", 7 * GI, 20 * GI)]);
    let failed = |reason| Observation::Prometheus { at: NOW, result: Err(refused(reason)) };
    state.apply(failed(Reason::TimedOut));
    assert_eq!(shown(&volume(&mut state, "data").usage), Ok(("prometheus", 7)), "silence ages");
    state.apply(failed(Reason::Forbidden));
    let data = volume(&mut state, "data");
    let of_prometheus = data.readings.iter().find(|reading| reading.source == SourceId::Prometheus).unwrap();
    let missing = of_prometheus.figure.missing().unwrap();
    assert_eq!((missing.reason, missing.last.unwrap().used), (Reason::Forbidden, 7 * GI));
    assert_eq!(shown(&volume(&mut state, "root").usage), Ok(("kubelet", 5)));
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
    let mut state = all();
    state.apply(sampled(sample.clone()));
    assert_eq!(milli(&web(&mut state)), Ok(500), "metrics.k8s.io comes first");
    state.apply(Observation::PodMetrics {
        namespace: None,
        at: NOW,
        result: Err(refused(Reason::ApiAbsent)),
    });
    let vm = web(&mut state);
    let (cpu, memory) = (vm.summary.usage.cpu.sample().unwrap(), vm.summary.usage.memory.sample().unwrap());
    assert_eq!((cpu.used, cpu.window_ms, cpu.source.name()), (7, 300_000, "prometheus"));
    assert_eq!((memory.used, memory.source.name()), (9, "prometheus"));
    stop(&mut state);
    assert_eq!(milli(&web(&mut state)), Err(Reason::NotRunning));
}

#[test]
fn the_guests_own_memory_stands_beside_the_hosts() {
    let mut state = all();
    let guest =
        InstanceSample { guest_available: Some(4 * GI), guest_usable: Some(GI), ..Default::default() };
    state.apply(sampled(guest));
    let vm = web(&mut state);
    let memory = vm.guest.memory.unwrap();
    assert_eq!((memory.used, memory.of), (3 * GI, 4 * GI));
    assert_eq!(vm.summary.usage.memory.sample().unwrap().used, GI);
    let odd = InstanceSample { guest_available: Some(GI), guest_usable: Some(4 * GI), ..Default::default() };
    state.apply(sampled(odd));
    assert_eq!(web(&mut state).guest.memory, None, "more usable than there is");
}

#[test]
fn of_hugepages_the_pods_working_set_says_nothing() {
    let mut state = all();
    let huge = InstanceFacts { hugepages: true, ..instance("a", "web-vm", "n1") };
    state.apply(Observation::Instances(applied(huge)));
    let vm = web(&mut state);
    let missing = vm.summary.usage.memory.missing().unwrap();
    assert_eq!((missing.reason, missing.last.unwrap().used), (Reason::Hugepages, GI));
    assert_eq!(milli(&vm), Ok(500), "its CPU is known all the same");
    let fix = |vm: &Vm| vm.summary.usage.memory.missing().unwrap().fix.english();
    assert!(fix(&vm).contains("--prometheus-url"), "none has told of it: {}", fix(&vm));
    let guest =
        InstanceSample { guest_available: Some(4 * GI), guest_usable: Some(GI), ..Default::default() };
    state.apply(sampled(guest));
    let vm = web(&mut state);
    assert!(vm.guest.memory.is_some() && fix(&vm).contains("Inside the guest"), "{}", fix(&vm));
}

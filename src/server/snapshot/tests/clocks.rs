//! Clocks that run ahead: no figure stays fresh for longer than its sample is new to us, and none that is alive is blanked.

use super::*;
use crate::model::figure::Figure;

const AHEAD: [Millis; 3] = [NOW + 60 * SECOND, NOW + 3_600_000, 4_102_444_800_000];
/// Of every source here at least: 20 intervals of 60 s.
const EXPIRED: Millis = 1_200 * SECOND;

/// A source whose sample's time lies ahead: how it tells that sample, and how the figure of `a/web` is read.
struct Source {
    name: &'static str,
    tell: fn(&mut World, at: Millis, received: Millis),
    read: fn(&Vm) -> Option<(Millis, bool)>,
}

fn known(figure: &Figure) -> Option<(Millis, bool)> {
    figure.sample().map(|sample| (sample.at, sample.stale))
}

fn prometheus(volumes: Vec<VolumeStats>, at: Millis, received: Millis) -> Observation {
    let instance = InstanceSample {
        namespace: "a".into(),
        name: "web-vm".into(),
        cpu_nanocores: Some(1),
        cpu_window_ms: 15_000,
        memory_bytes: Some(GI),
        guest_available: Some(2 * GI),
        guest_usable: Some(GI),
        at,
    };
    let facts = PrometheusFacts { volumes, instances: vec![instance], warnings: Vec::new() };
    Observation::Prometheus { at: received, result: Ok(facts) }
}

fn claim_stats(at: Millis) -> Vec<VolumeStats> {
    vec![VolumeStats { at: Some(at), ..stats("a", "web-root", 3, 10) }]
}

const SOURCES: [Source; 5] = [
    Source {
        name: "metrics.k8s.io",
        tell: |world, at, received| {
            let sample = PodMetricsFacts { at, ..sample("a", "virt-launcher-web-vm-abc12", 500, GI) };
            world.apply(Observation::PodMetrics { namespace: None, at: received, result: Ok(vec![sample]) });
        },
        read: |vm| known(&vm.summary.usage.cpu),
    },
    Source {
        name: "kubelet",
        tell: |world, at, received| {
            let facts = SummaryFacts { source: figure::KubeletProxy, volumes: claim_stats(at) };
            world.apply(Observation::Summary { node: "n1".into(), at: received, result: Ok(facts) });
        },
        read: |vm| known(&vm.summary.usage.disk),
    },
    Source {
        name: "prometheus, volumes",
        tell: |world, at, received| world.apply(prometheus(claim_stats(at), at, received)),
        read: |vm| known(&vm.summary.usage.disk),
    },
    Source {
        name: "prometheus, instances",
        tell: |world, at, received| world.apply(prometheus(Vec::new(), at, received)),
        read: |vm| known(&vm.summary.usage.memory),
    },
    Source {
        name: "prometheus, guests",
        tell: |world, at, received| world.apply(prometheus(Vec::new(), at, received)),
        read: |vm| vm.guest.memory.map(|sample| (sample.at, sample.stale)),
    },
];
use crate::model::figure::Source as figure;

/// A running `a/web` with one claim, of which no source has said anything yet.
fn world_of_one() -> World {
    let disk_sources = vec![SourceId::Kubelet, SourceId::Prometheus, SourceId::GuestAgent];
    let mut world = World::new(Limits { disk_sources, ..limits() });
    let volume = WukongVolume { name: "root".into(), claim: "web-root".into(), size: "10".into() };
    let wukong = WukongFacts { volumes: vec![volume], ..wukong("a", "web") };
    let instance = InstanceFacts { agent_connected: true, ..instance("a", "web-vm", "n1") };
    let pod = PodFacts { created_by: instance.uid.clone(), ..pod("a", "virt-launcher-web-vm-abc12", "n1") };
    world.apply(Observation::Wukongs(replaced(vec![wukong])));
    world.apply(Observation::VirtualMachines(replaced(vec![])));
    world.apply(Observation::Instances(replaced(vec![instance])));
    world.apply(Observation::Pods(replaced(vec![pod])));
    world.apply(Observation::Claims(replaced(vec![])));
    world.apply(metrics(vec![]));
    world
}

fn read_at(source: &Source, world: &mut World, now: Millis) -> Option<(Millis, bool)> {
    (source.read)(&find(&world.join(now), "a", "web"))
}

#[test]
fn a_sample_of_the_future_ages_from_when_it_was_first_received() {
    for source in SOURCES {
        for at in AHEAD {
            let mut world = world_of_one();
            (source.tell)(&mut world, at, NOW);
            let what = format!("{} at {at}", source.name);
            assert_eq!(read_at(&source, &mut world, NOW), Some((NOW, false)), "{what}");
            // It repeats itself, a minute apart.
            let mut now = NOW;
            while now < NOW + EXPIRED + 60 * SECOND {
                now += 60 * SECOND;
                (source.tell)(&mut world, at, now);
            }
            assert_eq!(read_at(&source, &mut world, now), None, "{what}: it is kept fresh");
        }
    }
}

#[test]
fn a_source_whose_clock_runs_ahead_is_no_less_alive() {
    for source in SOURCES {
        let mut world = world_of_one();
        for minute in 0..60 {
            let now = NOW + minute * 60 * SECOND;
            (source.tell)(&mut world, now + 3_600_000, now);
            assert_eq!(read_at(&source, &mut world, now), Some((now, false)), "{}", source.name);
        }
    }
}

/// What tells no time of its own is as old as its answer, by this program's own clock; that may be set back.
#[test]
fn a_clock_that_is_set_back_keeps_nothing_fresh() {
    for source in SOURCES {
        let mut world = world_of_one();
        (source.tell)(&mut world, NOW, NOW);
        assert_eq!(read_at(&source, &mut world, NOW - 30 * 86_400 * SECOND), None, "{}", source.name);
    }
    let mut world = world_of_one();
    let filesystem =
        Filesystem { mount_point: "/".into(), used: Some(1), total: Some(2), ..Default::default() };
    let instance = Key::new("a", "web-vm");
    world.apply(Observation::Filesystems { instance, at: NOW, result: Ok(vec![filesystem]) });
    let filesystems = |world: &mut World, now| find(&world.join(now), "a", "web").guest.filesystems.len();
    assert_eq!(filesystems(&mut world, NOW), 1);
    assert_eq!(filesystems(&mut world, NOW - 30 * 86_400 * SECOND), 0);
}

#[test]
fn a_pod_created_in_the_future_is_not_new_for_ever() {
    let reason = |created: Millis| {
        let mut world = world_of_one();
        let pod = PodFacts {
            created,
            created_by: "vmi-a-web-vm".into(),
            ..pod("a", "virt-launcher-web-vm-abc12", "n1")
        };
        world.apply(Observation::Pods(replaced(vec![pod])));
        milli(&find(&world.join(NOW), "a", "web"))
    };
    assert_eq!(reason(NOW - 20 * SECOND), Err(Reason::TooNew));
    assert_eq!(reason(NOW + 20 * SECOND), Err(Reason::TooNew), "a clock that is a little off");
    for created in AHEAD.into_iter().skip(1) {
        assert_eq!(reason(created), Err(Reason::NotSampled), "{created}");
    }
}

#[test]
fn a_window_of_days_keeps_nothing_fresh() {
    let mut world = world_of_one();
    let sample =
        PodMetricsFacts { window_ms: 7 * 86_400_000, ..sample("a", "virt-launcher-web-vm-abc12", 500, GI) };
    world.apply(metrics(vec![sample]));
    assert_eq!(milli(&find(&world.join(NOW + 20 * 600 * SECOND), "a", "web")), Err(Reason::Expired));
}

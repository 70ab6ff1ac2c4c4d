//! How old a kubelet's figures may be: it measures once in one to two minutes, however often it is asked.

use super::*;
use crate::model::vm::Volume;

/// Of a kubelet that is asked every 3 s, the VM's one volume as measured then.
fn answered(world: &mut World, at: Millis, measured: Millis) {
    let stats = VolumeStats { at: Some(measured), ..stats("a", "web-root", 5 * GI, 20 * GI) };
    world.apply(summary_at("n1", at, vec![stats]));
}

fn asked_often() -> World {
    let mut world = World::new(Limits { disk_interval: 3 * SECOND, ..limits() });
    add_vm(&mut world, "a", "web", 500, GI);
    let volume = WukongVolume { name: "root".into(), claim: "web-root".into(), size: "20Gi".into() };
    world.apply(Observation::Wukongs(applied(WukongFacts { volumes: vec![volume], ..wukong("a", "web") })));
    world
}

fn stale(world: &mut World, now: Millis) -> Option<bool> {
    let volume: Volume = find(&world.join(now), "a", "web").volumes[0].clone();
    volume.usage.sample().map(|sample| sample.stale)
}

#[test]
fn what_is_asked_for_more_often_than_it_is_measured_is_not_stale() {
    let mut world = asked_often();
    (0..=20).for_each(|n| answered(&mut world, NOW + n * 3 * SECOND, NOW));
    assert_eq!(stale(&mut world, NOW + 60 * SECOND), Some(false), "a minute old, as it should be");
    answered(&mut world, NOW + 63 * SECOND, NOW + 60 * SECOND);
    assert_eq!(stale(&mut world, NOW + 183 * SECOND), Some(false));
    assert_eq!(
        stale(&mut world, NOW + (63 + 360) * SECOND),
        Some(false),
        "its periods are of one to two minutes"
    );
    assert_eq!(stale(&mut world, NOW + (63 + 361) * SECOND), Some(true), "three of the longest");
    assert_eq!(stale(&mut world, NOW + (63 + 20 * 120) * SECOND + 1), None, "and twenty");
}

#[test]
fn a_kubelet_that_measures_more_often_is_held_to_that() {
    let mut world = asked_often();
    (0..4).for_each(|n| answered(&mut world, NOW + n * 3 * SECOND, NOW + n * 3 * SECOND));
    assert_eq!(stale(&mut world, NOW + 27 * SECOND), Some(false));
    assert_eq!(stale(&mut world, NOW + 28 * SECOND), Some(true), "three times 6 s after 9 s");
    // A silence is no period of its own.
    answered(&mut world, NOW + 600 * SECOND, NOW + 600 * SECOND);
    assert_eq!(stale(&mut world, NOW + 619 * SECOND), Some(true));
}

/// As a kubelet could answer that means harm: compared each with each they would take minutes.
#[test]
fn volumes_in_another_order_are_compared_once_each() {
    let answer = |at: Millis, reversed: bool| {
        let name = |n: u32| stats("a", &format!("claim-{n}"), 5 * GI, 20 * GI);
        let mut volumes: Vec<_> = (0..200_000).map(|n| VolumeStats { at: Some(at), ..name(n) }).collect();
        if reversed {
            volumes.reverse();
        }
        summary_at("n1", at, volumes)
    };
    let mut world = world();
    let answers = [answer(NOW, false), answer(NOW + SECOND, true), answer(NOW + 2 * SECOND, false)];
    let begun = std::time::Instant::now();
    answers.into_iter().for_each(|answer| world.apply(answer));
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(world.kubelets["n1"].interval(0), 2 * SECOND, "what they were apart is known all the same");
}

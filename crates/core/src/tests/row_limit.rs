//! A snapshot shows a limited number of VMs, and no namespace loses any to another that has more.

use super::*;
use i18n::Render;
use model::source::{SourceHealth, SourceId};

const MOST: usize = 30;

/// A cluster in which `evil` has a hundred instances, and three other namespaces have five VMs each.
fn crowded() -> ClusterState {
    let mut state = ClusterState::new(Limits { most_vms: MOST, ..limits() });
    for id in [SourceId::Wukongs, SourceId::VirtualMachines] {
        state.apply(Observation::WatchAlive { source: id, namespace: None, at: NOW });
    }
    let evil = (0..100).map(|n| instance("evil", &format!("a-{n:03}"), "n1"));
    let good = (0..15).map(|n| instance(&format!("good-{}", n % 3), &format!("z-{n}"), "n1"));
    for instance in evil.chain(good) {
        let alone = InstanceFacts { owner_vm: String::new(), ..instance };
        state.apply(Observation::Instances(applied(alone)));
    }
    state
}

fn of(snapshot: &Snapshot, namespace: &str) -> usize {
    snapshot.vms.iter().filter(|vm| vm.summary.namespace.starts_with(namespace)).count()
}

fn instances(snapshot: &Snapshot) -> &SourceHealth {
    snapshot.sources.iter().find(|source| source.id == SourceId::Instances).unwrap()
}

#[test]
fn one_namespace_cannot_displace_the_vms_of_others() {
    let mut state = crowded();
    let snapshot = state.join(NOW);
    assert_eq!((snapshot.vms.len(), of(&snapshot, "good"), of(&snapshot, "evil")), (MOST, 15, 15));
    let words = instances(&snapshot).error.english();
    assert!(words.contains("85 VMs") && words.contains("30") && words.contains("evil"), "{words}");
}

#[test]
fn the_vms_are_shown_again_once_they_fit() {
    let mut state = crowded();
    state.join(NOW);
    for n in 0..85 {
        let key = Key::new("evil", &format!("a-{n:03}"));
        state.apply(Observation::Instances(Change::Deleted { key, at: NOW }));
    }
    let snapshot = state.join(NOW);
    assert_eq!((snapshot.vms.len(), of(&snapshot, "evil")), (MOST, 15));
    let words = instances(&snapshot).error.english();
    assert!(!words.contains("left out"), "{words}");
}

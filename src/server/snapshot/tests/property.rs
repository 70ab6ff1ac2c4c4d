//! Whatever the sources say: nothing panics, and no usage comes from another VM's pod.

use proptest::prelude::*;

use super::*;

/// Names that are prefixes of each other, cut alike, or empty.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("web".to_owned()),
        Just("web-db".to_owned()),
        Just("web-db-x7k2p".to_owned()),
        Just(format!("{}1", "long-".repeat(12))),
        Just(format!("{}2", "long-".repeat(12))),
        "[a-z]{1,3}(-[a-z0-9]{1,5}){0,2}",
    ]
}

fn namespace() -> impl Strategy<Value = String> {
    prop_oneof![Just("a".to_owned()), Just("b".to_owned())]
}

prop_compose! {
    fn any_wukong()(namespace in namespace(), name in name(), vm_name in prop_oneof![name(), Just(String::new())],
        phase in prop_oneof![Just("Running"), Just("Stopped"), Just("")], memory in "\\PC{0,6}|[0-9]{1,20}Gi?",
        cpu in any::<Option<u64>>(), claim in name(), size in "\\PC{0,6}") -> WukongFacts {
        WukongFacts { phase: phase.into(), vm_name, memory, cpu,
            volumes: vec![WukongVolume { name: "v".into(), claim, size }], ..wukong(&namespace, &name) }
    }
}

prop_compose! {
    fn any_pod()(namespace in namespace(), vm in name(), suffix in "[a-z0-9]{5}|é{1,3}|[a-z-]{0,7}",
        creator in name(), domain in prop_oneof![name(), Just(String::new())], labelled in any::<bool>(),
        phase in prop_oneof![Just("Running"), Just("Pending"), Just("Succeeded")], node in "n[1-3]") -> PodFacts {
        PodFacts { created_by: if labelled { format!("vmi-{namespace}-{creator}") } else { String::new() }, domain,
            phase: phase.into(), ..pod(&namespace, &format!("virt-launcher-{vm}-{suffix}"), &node) }
    }
}

prop_compose! {
    fn any_stats()(namespace in namespace(), claim in name(), used in any::<Option<u64>>(),
        capacity in any::<Option<u64>>(), at in any::<Option<Millis>>(), named in any::<bool>()) -> VolumeStats {
        let pod = Key::new(&namespace, "virt-launcher-any-aaaaa");
        let of = if named { VolumeRef::Claim(Key::new(&namespace, &claim)) } else { VolumeRef::PodVolume { pod, volume: "disk".into() } };
        VolumeStats { of, used, capacity, at, ..stats(&namespace, &claim, 0, 0) }
    }
}

prop_compose! {
    fn any_world()(wukongs in prop::collection::vec(any_wukong(), 0..6),
        instances in prop::collection::vec((namespace(), name(), "n[1-3]?"), 0..6),
        pods in prop::collection::vec(any_pod(), 0..8), stats in prop::collection::vec(any_stats(), 0..6),
        at in any::<Millis>(), window_ms in any::<u32>(), readable in any::<bool>()) -> World {
        let mut world = if readable { world() } else { silent_world() };
        // Each pod's figure is its place in the list: what a VM shows tells whose it is.
        let samples = pods.iter().enumerate().map(|(index, pod)| PodMetricsFacts {
            at: Some(at), window_ms, created_by: pod.created_by.clone(),
            ..sample(&pod.namespace, &pod.name, index as u64 + 1, u64::MAX - index as u64) });
        world.apply(metrics(samples.collect()));
        world.apply(Observation::Wukongs(replaced(wukongs)));
        if readable {
            world.apply(Observation::Pods(replaced(pods)));
            world.apply(Observation::Instances(replaced(
                instances.iter().map(|(namespace, name, node)| instance(namespace, name, node)).collect())));
        }
        world.apply(summary("n1", stats));
        world
    }
}

prop_compose! {
    /// Few names and uids, so that objects meet.
    fn any_owned()(namespace in namespace(), name in "[xyz]", owner in "(wukong-[ab]-[pq])?", vm_uid in "vm-[ab]-[xyz]")
        -> (VmFacts, InstanceFacts) {
        let vm = VmFacts { uid: format!("vm-{namespace}-{name}"), namespace: namespace.clone(), name: name.clone(),
            owner_wukong: owner, printable_status: "Running".into(), ..Default::default() };
        (vm, InstanceFacts { owner_vm: vm_uid, ..instance(&namespace, &name, "n1") })
    }
}

prop_compose! {
    fn any_naming()(namespace in namespace(), name in "[pq]", vm_name in "[xyz]?", created in 0..3i64) -> WukongFacts {
        WukongFacts { vm_name, created, ..wukong(&namespace, &name) }
    }
}

/// Whether nothing about the pod says that it belongs to somebody else.
fn may_be_of(pod: &PodFacts, vm: &Vm) -> bool {
    let generated = crate::server::snapshot::pods::cut_prefix(&vm.vm_name);
    let by_name = pod.name.len() == generated.len() + 5 && pod.name.starts_with(&generated);
    let uid = format!("vmi-{}-{}", vm.summary.namespace, vm.vm_name);
    pod.namespace == vm.summary.namespace && (pod.created_by == uid || pod.domain == vm.vm_name || by_name)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_input_panics_and_the_answer_is_the_same_twice(mut world in any_world(), now in any::<Millis>()) {
        let first = world.join(now);
        let second = world.join(now);
        prop_assert_eq!(first.vms, second.vms);
        prop_assert_eq!(first.totals, second.totals);
    }

    #[test]
    fn every_vm_is_shown_exactly_once(
        wukongs in prop::collection::vec(any_naming(), 0..5),
        vms in prop::collection::vec(any_owned(), 0..7),
        with_vms in any::<bool>(),
    ) {
        let mut world = world();
        let (vms, instances): (Vec<_>, Vec<_>) = vms.into_iter().unzip();
        let place = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
        let mut all: std::collections::BTreeSet<_> = instances.iter().map(|i| place(&i.namespace, &i.name)).collect();
        world.apply(Observation::Wukongs(replaced(wukongs)));
        world.apply(Observation::Instances(replaced(instances)));
        if with_vms {
            all.extend(vms.iter().map(|vm| place(&vm.namespace, &vm.name)));
            world.apply(Observation::VirtualMachines(replaced(vms)));
        }
        let snapshot = world.join(NOW);
        let mut shown: Vec<_> = snapshot.vms.iter().filter(|vm| !vm.vm_name.is_empty())
            .map(|vm| place(&vm.summary.namespace, &vm.vm_name)).collect();
        shown.sort();
        let count = shown.len();
        shown.dedup();
        prop_assert_eq!(shown.len(), count, "a VM is shown twice: {:?}", shown);
        prop_assert!(all.iter().all(|vm| shown.contains(vm)), "{:?} of {:?}", shown, all);
        let wukongs = snapshot.vms.iter().filter(|vm| vm.summary.kind == crate::model::vm::Kind::Wukong).count();
        prop_assert_eq!(wukongs, world.wukongs.len());
    }

    #[test]
    fn no_usage_comes_from_another_vms_pod(mut world in any_world()) {
        let snapshot = world.join(NOW);
        for vm in &snapshot.vms {
            let Some(pod) = world.pods.values().find(|pod| pod.name == vm.pod && pod.namespace == vm.summary.namespace) else { continue };
            prop_assert!(may_be_of(pod, vm), "{} took {pod:?}", vm.vm_name);
            prop_assert!(pod.phase != "Succeeded");
        }
        let taken: Vec<_> = snapshot.vms.iter().filter(|vm| !vm.pod.is_empty()).map(|vm| (&vm.summary.namespace, &vm.pod, &vm.vm_name)).collect();
        for (index, a) in taken.iter().enumerate() {
            for b in &taken[index + 1..] {
                prop_assert!((a.0, a.1) != (b.0, b.1) || a.2 == b.2, "{a:?} and {b:?} share a pod");
            }
        }
    }
}

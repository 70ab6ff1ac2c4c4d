//! Whatever the sources report: nothing panics, and no usage comes from another VM's pod.

use proptest::{prelude::*, strategy::ValueTree};

use super::*;
use model::figure::{Figure, Unit};

/// Names that are prefixes of each other, cut alike, or empty.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("web".to_owned()),
        4 => Just("web-db".to_owned()),
        2 => Just("web-db-x7k2p".to_owned()),
        2 => Just(format!("{}1", "long-".repeat(12))),
        2 => Just(format!("{}2", "long-".repeat(12))),
        1 => "[a-z]{1,3}(-[a-z0-9]{1,5}){0,2}",
    ]
}

fn namespace() -> impl Strategy<Value = String> {
    prop_oneof![Just("a".to_owned()), Just("b".to_owned())]
}

prop_compose! {
    fn any_wukong()(namespace in namespace(), name in name(), vm_name in prop_oneof![name(), Just(String::new())],
        phase in prop_oneof![3 => Just("Running"), 1 => Just("Stopped"), 1 => Just("")],
        memory in prop_oneof![3 => Just("4Gi".to_owned()), 1 => "\\PC{0,6}|[0-9]{1,20}Gi?"],
        cpu in prop_oneof![3 => Just(Some(2)), 1 => any::<Option<u64>>()], claim in name(), size in "\\PC{0,6}") -> WukongFacts {
        WukongFacts { phase: phase.into(), vm_name, memory, cpu,
            volumes: [WukongVolume { name: "v".into(), claim, size }].into(), ..wukong(&namespace, &name) }
    }
}

prop_compose! {
    fn any_pod()(namespace in namespace(), vm in name(), suffix in prop_oneof![3 => "[a-z0-9]{5}", 1 => "é{1,3}|[a-z-]{0,7}"],
        creator in name(), domain in prop_oneof![name(), Just(String::new())], labelled in any::<bool>(),
        phase in prop_oneof![3 => Just("Running"), 1 => Just("Pending"), 1 => Just("Succeeded")], node in "n[1-3]") -> PodFacts {
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

/// What the sources reported.
#[derive(Clone, Debug)]
struct Reported {
    /// The CPU of each is its place here, from 1 on, in millicores.
    pods: Vec<PodFacts>,
    instances: Vec<InstanceFacts>,
    readable: bool,
}

prop_compose! {
    fn any_state()(wukongs in prop::collection::vec(any_wukong(), 0..6),
        instances in prop::collection::vec((namespace(), name(), "n[1-3]?"), 0..6),
        pods in prop::collection::vec(any_pod(), 0..8), stats in prop::collection::vec(any_stats(), 0..6),
        at in prop_oneof![3 => Just(NOW - 10_000), 1 => any::<Millis>()],
        window_ms in prop_oneof![3 => Just(15_000), 1 => any::<u32>()], readable in any::<bool>()) -> (ClusterState, Reported) {
        let mut state = if readable { state() } else { silent_state() };
        // Each pod's figure is its place in the list, so a VM's figure identifies the pod.
        let samples = pods.iter().enumerate().map(|(index, pod)| PodMetricsFacts {
            at: Some(at), window_ms, created_by: pod.created_by.clone(),
            ..sample(&pod.namespace, &pod.name, index as u64 + 1, (1 << 30) + index as u64) });
        state.apply(metrics(samples.collect()));
        state.apply(Observation::Wukongs(replaced(wukongs)));
        let instances: Vec<_> = instances.iter().map(|(namespace, name, node)| instance(namespace, name, node)).collect();
        if readable {
            state.apply(Observation::Pods(replaced(pods.clone())));
            state.apply(Observation::Instances(replaced(instances.clone())));
        }
        report(&mut state, summary("n1", stats));
        (state, Reported { pods, instances, readable })
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

impl Reported {
    /// The pod that a VM's figure was measured in.
    fn pod_of(&self, figure: &Figure) -> Option<&PodFacts> {
        let Figure::Known(sample) = figure else { return None };
        let index = match sample.unit {
            Unit::Nanocores => sample.used / 1_000_000 - 1,
            Unit::Bytes => sample.used - (1 << 30),
        };
        Some(&self.pods[usize::try_from(index).unwrap()])
    }

    /// Whose a launcher pod is, by KubeVirt's rules: it is labelled with its instance's uid and named by its domain; its
    /// name is `virt-launcher-` and the VM's, of which the API server cuts what is beyond 58 characters, and five more.
    fn is_of(&self, pod: &PodFacts, vm: &Vm, all: &[Arc<Vm>]) -> bool {
        let namespace = &vm.summary.namespace;
        let base = |name: &str| -> String { format!("virt-launcher-{name}-").chars().take(58).collect() };
        let is_alone = || {
            let alike = |other: &&Arc<Vm>| {
                other.summary.namespace == *namespace && base(&other.vm_name) == base(&vm.vm_name)
            };
            all.iter().filter(alike).all(|other| other.vm_name == vm.vm_name)
        };
        let instance =
            |uid: &str| self.instances.iter().find(|instance| self.readable && instance.uid == uid);
        if pod.namespace != *namespace {
            return false;
        }
        if let Some(owner) = instance(&pod.created_by) {
            return owner.name == vm.vm_name && owner.namespace == *namespace;
        }
        if self.readable && !pod.domain.is_empty() {
            return pod.domain == vm.vm_name;
        }
        pod.name.strip_prefix(&base(&vm.vm_name)).is_some_and(|rest| rest.len() == 5) && is_alone()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_input_panics_and_the_answer_is_the_same_twice((mut state, _) in any_state(), now in any::<Millis>()) {
        let first = state.join(now);
        let second = state.join(now);
        prop_assert_eq!(first.vms, second.vms);
        prop_assert_eq!(first.totals, second.totals);
    }

    #[test]
    fn every_vm_is_shown_exactly_once(
        wukongs in prop::collection::vec(any_naming(), 0..5),
        vms in prop::collection::vec(any_owned(), 0..7),
        with_vms in any::<bool>(),
    ) {
        let mut state = state();
        let (vms, instances): (Vec<_>, Vec<_>) = vms.into_iter().unzip();
        let place = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
        let mut all: std::collections::BTreeSet<_> = instances.iter().map(|i| place(&i.namespace, &i.name)).collect();
        state.apply(Observation::Wukongs(replaced(wukongs)));
        state.apply(Observation::Instances(replaced(instances)));
        if with_vms {
            all.extend(vms.iter().map(|vm| place(&vm.namespace, &vm.name)));
            state.apply(Observation::VirtualMachines(replaced(vms)));
        }
        let snapshot = state.join(NOW);
        let mut shown: Vec<_> = snapshot.vms.iter().filter(|vm| !vm.vm_name.is_empty())
            .map(|vm| place(&vm.summary.namespace, &vm.vm_name)).collect();
        shown.sort();
        let count = shown.len();
        shown.dedup();
        prop_assert_eq!(shown.len(), count, "a VM is shown twice: {:?}", shown);
        prop_assert!(all.iter().all(|vm| shown.contains(vm)), "{:?} of {:?}", shown, all);
        let wukongs = snapshot.vms.iter().filter(|vm| vm.summary.kind == model::vm::Kind::Wukong).count();
        prop_assert_eq!(wukongs, state.wukongs.len());
    }

    #[test]
    fn no_usage_comes_from_another_vms_pod((mut state, reported) in any_state()) {
        let snapshot = state.join(NOW);
        let mut users: std::collections::BTreeMap<(&str, &str), &str> = std::collections::BTreeMap::new();
        for vm in &snapshot.vms {
            let usage = &vm.summary.usage;
            for pod in [&usage.cpu, &usage.memory].into_iter().filter_map(|figure| reported.pod_of(figure)) {
                prop_assert!(reported.is_of(pod, vm, &snapshot.vms), "{} shows the usage of {pod:?}", vm.vm_name);
                prop_assert!(!reported.readable || pod.phase != "Succeeded", "{} shows an ended pod's usage", vm.vm_name);
                let user = *users.entry((&pod.namespace, &pod.name)).or_insert(&vm.vm_name);
                prop_assert_eq!(user, &vm.vm_name, "two VMs show the usage of {:?}", pod);
            }
        }
    }
}

/// Otherwise the property above could hold because no VM shows any usage.
#[test]
fn most_generated_states_show_some_usage() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut shown = 0;
    for _ in 0..512 {
        let (mut state, reported) = any_state().new_tree(&mut runner).unwrap().current();
        let snapshot = state.join(NOW);
        shown += usize::from(snapshot.vms.iter().any(|vm| reported.pod_of(&vm.summary.usage.cpu).is_some()));
    }
    assert!(shown > 30, "{shown} of 512");
}

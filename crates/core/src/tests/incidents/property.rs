//! Whatever the cluster is like: incidents and the list agree about who needs attention.

use proptest::prelude::*;

use super::*;

/// Names that are hostile, prefixes of each other, or empty.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("web".to_owned()),
        2 => Just("web-data".to_owned()),
        1 => Just(String::new()),
        1 => Just("<img src=x onerror=alert(1)>\"'".to_owned()),
        1 => Just("\u{1}".to_owned()),
        1 => "\\PC{0,4}",
    ]
}

fn any_figure(unit: Unit) -> impl Strategy<Value = Figure> {
    let reason = prop_oneof![Just(Reason::AgentOff), Just(Reason::NoVolumes), Just(Reason::Unreachable)];
    prop_oneof![
        4 => (0..120_u64, any::<bool>()).prop_map(move |(percent, stale)| match figure(unit, percent) {
            Figure::Known(sample) => Figure::Known(Sample { stale: stale && percent % 4 == 0, ..sample }),
            other => other,
        }),
        1 => reason.prop_map(missing),
    ]
}

prop_compose! {
    fn any_vm()(
        (kind, namespace, name) in (0..2_usize, "[ab]", text()),
        node in prop_oneof![4 => "n[1-4]", 1 => text()],
        status in prop_oneof![4 => Just(Status::Running), 1 => (0..6_usize).prop_map(|at| Status::ALL[at])],
        (cpu, memory, disk) in (any_figure(Unit::Nanocores), any_figure(Unit::Bytes), any_figure(Unit::Bytes)),
        volumes in prop::collection::vec((any_figure(Unit::Bytes), any::<bool>(), text()), 0..3),
        (known, all, guest) in (0..3_u32, 0..3_u32, prop::option::of(0..110_u64)),
        fullness in prop::option::of(0..110_u64),
        contention in prop::option::of(0..30_u32),
        drive in prop::option::of(text()),
        sent in prop::option::of(0..20_u64),
        failure in prop::option::of(text()),
        (fault, unschedulable) in (prop::option::of(text()), any::<bool>()),
    ) -> Vm {
        let mut vm = calm(&namespace, &name);
        vm.summary.kind = [Kind::Wukong, Kind::VirtualMachine][kind];
        (vm.summary.node, vm.summary.status) = (node, status);
        let usage = &mut vm.summary.usage;
        (usage.cpu, usage.memory, usage.disk, usage.guest_memory) = (cpu, memory, disk, guest);
        (usage.disk_known, usage.disk_volumes) = (known, all);
        vm.volumes = volumes.into_iter().map(|(usage, of_agent, class)| {
            let source = if of_agent { SourceId::GuestAgent } else { SourceId::Kubelet };
            Volume { source, usage, storage_class: class, ..volume("root") }
        }).collect();
        if let Some(percent) = fullness {
            vm = with(vm, full(percent));
        }
        if let Some(percent) = contention {
            vm = with(vm, contended(percent));
        }
        if let Some(drive) = drive {
            vm = with(vm, slow(&drive));
        }
        if let Some(sent) = sent {
            vm = with(vm, migrating(sent));
        }
        vm.summary.kubevirt_status = if unschedulable { "ErrorUnschedulable".into() } else { String::new() };
        vm.failure = failure.map(|text| Box::new(Missing { detail: text.into(), ..Missing::from(Reason::NotRunning) }));
        vm.summary.fault = fault.filter(|text| text.len() > 3).map(|text| Box::new(text.into()));
        vm
    }
}

/// Has a slow drive of this name.
fn slow(name: &str) -> impl FnOnce(&mut Vm) + use<> {
    let drives = [crate::tests::problems::drive(name, 9_000, Some(60_000_000))];
    move |vm| {
        if let model::activity::Activity::Missing(_) = vm.activity {
            vm.activity = crate::tests::problems::calm().activity;
        }
        crate::tests::problems::drives(vm, &drives);
    }
}

fn finding(vm: &Vm, days: u32) -> Insight {
    let window = Window { from: 0, to: 1, known: 288, all: 288 };
    let sizing = |unit| Sizing {
        unit,
        p95: 95,
        peak: 99,
        of: 100,
        verdict: Verdict::Undersized,
        by_guest: days.is_multiple_of(2),
        window,
    };
    match days % 3 {
        0 => filling(vm, days),
        1 => insight(vm, Finding::Undersized(sizing(Unit::Nanocores))),
        _ => insight(vm, Finding::Undersized(sizing(Unit::Bytes))),
    }
}

prop_compose! {
    fn any_cluster()(
        vms in prop::collection::vec(any_vm(), 0..24),
        ready in prop::collection::vec(prop_oneof![2 => Just(Some(true)), 1 => Just(Some(false)), 1 => Just(None)], 4),
        days in prop::collection::vec(prop::option::of(0..30_u32), 24),
        (nodes, everything) in (any::<bool>(), any::<bool>()),
    ) -> Visible {
        // No two rows have the same kind, namespace and name.
        let vms: BTreeMap<_, Vm> = vms.into_iter().map(|vm| (vm.summary.row_key(), vm)).collect();
        let vms: Vec<Vm> = vms.into_values().collect();
        let findings = vms.iter().zip(days).filter_map(|(vm, days)| Some(finding(vm, days?))).collect();
        let nodes_of = ready.into_iter().zip(1..).map(|(ready, at)| node(&format!("n{at}"), ready)).collect();
        let mine = Scope::new(Kinds::default(), [("a".into(), Kinds::ALL)].into(), nodes);
        let scope = if everything { Scope::all() } else { mine };
        Visible::new(&cluster(vms, nodes_of), &scope).with_findings(found(findings))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn incidents_and_the_list_agree(visible in any_cluster()) {
        let all = check(&visible);
        let mut causes: Vec<_> = all.rows.iter().map(|row| (row.kind, row.cause.clone())).collect();
        prop_assert!(causes.iter().all(|(_, cause)| !cause.is_empty()));
        causes.sort();
        causes.dedup();
        prop_assert_eq!(causes.len(), all.rows.len(), "two incidents have one address");
        for incident in &all.rows {
            let address = incident.query().address();
            let read = Query::of_address(address.strip_prefix('/').unwrap_or_default());
            prop_assert_eq!(read, Ok(incident.query()), "{}", address);
        }
        for (vm, row) in visible.vms().iter().zip(home(&visible, &identity(), &Query::default(), NOW).vms) {
            let health = crate::view::vm(&visible, &identity(), &row.namespace, &row.name, NOW).health;
            let outlook = crate::outlook::Outlooks::of(&visible);
            let kinds = crate::attention::kinds(vm, &outlook.of_vm(vm));
            let own = crate::problems::health(vm, &outlook.of_vm(vm));
            prop_assert_eq!(own.level > Level::Normal, !kinds.is_empty(), "{:?}", health);
        }
    }

    #[test]
    fn incidents_do_not_depend_on_what_is_hidden(visible in any_cluster(), other in any_cluster()) {
        let mine = Scope::new(Kinds::default(), [("a".into(), Kinds::ALL)].into(), false);
        let of = |vms: Vec<Arc<Vm>>| {
            let mut vms: Vec<Vm> = vms.iter().map(|vm| Vm::clone(vm)).collect();
            vms.dedup_by_key(|vm| vm.summary.row_key());
            incidents(&Visible::new(&cluster(vms, vec![node("n1", None)]), &mine), MOST)
        };
        let is_mine = |vm: &&Arc<Vm>| vm.summary.namespace == "a";
        let own: Vec<Arc<Vm>> = visible.vms().iter().filter(is_mine).cloned().collect();
        let theirs = other.vms().iter().filter(|vm| !is_mine(vm)).cloned();
        let both = own.iter().cloned().chain(theirs).collect();
        prop_assert_eq!(of(both), of(own));
    }
}

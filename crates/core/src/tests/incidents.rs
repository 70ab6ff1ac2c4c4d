//! What needs a person: merged by cause, of what a viewer may see, and each with a query that selects exactly its VMs.

pub(super) mod fixtures;
mod property;

use std::{collections::BTreeMap, sync::Arc};

use self::fixtures::*;
use super::{history::vm_of, *};
use crate::{
    frame::Identity,
    incidents::{Incident, IncidentSubject, Incidents, MOST, incidents},
    insight::Findings,
    scope::Kinds,
    view::home,
};
use i18n::{Lang, Render};
use model::{
    attention::{Attention, AttentionKind},
    details::{Condition, Migration},
    figure::{Basis, Figure, Missing, Sample, Unit},
    groups::Node,
    insight::{Filling, Finding, Insight, Sizing, Verdict, Window},
    instance::InstanceDetails,
    query::Query,
    vm::{GuestFilesystem, Kind, Status, Volume},
    vm_health::Level,
};

#[test]
fn a_lost_node_is_one_incident_with_its_vms() {
    for (ready, why) in [(None, "stopped reporting"), (Some(false), "not ready")] {
        let on_it = (0..23).map(|at| {
            with(calm("a", &format!("vm-{at:02}")), |vm| {
                vm.summary.node = "n2".into();
                // Its figures age, and it is paused: what is known of it does not count any more.
                vm.summary.usage.cpu = missing(Reason::Expired);
                vm.summary.fault = (at == 3).then(|| Box::new("IO error".into()));
            })
        });
        let off = with(calm("a", "off"), |vm| {
            (vm.summary.node, vm.summary.status) = ("n2".into(), Status::Stopped);
        });
        let vms = on_it.chain([off, calm("a", "other")]).collect();
        let snapshot = cluster(vms, vec![node("n1", Some(true)), node("n2", ready)]);
        let visible = Visible::new(&snapshot, &Scope::all());
        let all = check(&visible);
        assert_eq!(titles(&all), ["n2 is not ready: the state of 23 VMs is unknown"]);
        let row = &all.rows[0];
        assert_eq!((row.kind, row.level, row.vms), (AttentionKind::Down, Level::Critical, 23));
        assert_eq!((row.since, row.query().address()), (Some(NOW - 5), "/?attention=down.node.n2".into()));
        assert!(row.why.english().contains(why), "{}", row.why.english());
        let identity = Identity { cluster: "test".into(), demo: false, refresh: 1 };
        let view = home(&visible, &identity, &Query::default(), NOW);
        assert_eq!(view.vms.iter().filter(|vm| vm.lost).count(), 23, "none of them is shown as running");
    }
}

#[test]
fn without_nodes_the_reason_of_each_figure_is_all_that_is_known() {
    let vms = vec![
        with(calm("a", "one"), |vm| vm.summary.usage.cpu = missing(Reason::Unreachable)),
        with(calm("b", "two"), |vm| vm.summary.usage.cpu = missing(Reason::Unreachable)),
    ];
    let snapshot = cluster(vms, vec![node("n1", None)]);
    let of = |nodes| {
        let kinds = [("a".into(), Kinds::ALL)].into();
        let visible = Visible::new(&snapshot, &Scope::new(Kinds::default(), kinds, nodes));
        (titles(&check(&visible)), home(&visible, &identity(), &Query::default(), NOW).vms[0].lost)
    };
    let unknown = "The usage of CPU is unknown for one in a".to_owned();
    assert_eq!(of(false), (vec![unknown], false));
    let lost = "n1 is not ready: the state of 1 VM is unknown".to_owned();
    assert_eq!(of(true), (vec![lost], true), "the VM of another namespace does not count");
}

fn identity() -> Identity {
    Identity { cluster: "test".into(), demo: false, refresh: 1 }
}

#[test]
fn a_vm_with_two_causes_is_in_both_incidents() {
    let vms = vec![with(with(calm("a", "web"), full(96)), contended(6))];
    let all = check(&seen(vms));
    assert_eq!(titles(&all), ["web in a: /srv is 96 % full", "n1: 1 VM waits for CPU"]);
    assert_eq!((all.vms, all.kinds), (1, [0, 1, 0, 1, 0, 0, 0, 0]));
    assert_eq!(all.rows[0].why.english(), "96 Gi of 100 Gi is used.");
    assert!(all.rows.iter().all(|row| !row.fix.is_empty() && row.since.is_none()));
}

#[test]
fn who_waits_for_the_cpu_of_one_node_is_one_incident() {
    let on = |name: &str, node: &str, percent| {
        with(with(calm("a", name), contended(percent)), |vm| vm.summary.node = node.into())
    };
    let uses = |vm: Vm, percent| with(vm, |vm| vm.summary.usage.cpu = figure(Unit::Nanocores, percent));
    let old = |vm: Vm| {
        with(uses(vm, 80), |vm| match &mut vm.summary.usage.cpu {
            Figure::Known(sample) => sample.stale = true,
            Figure::Missing(_) => unreachable!("it is known"),
        })
    };
    let noisy = uses(calm("b", "noisy"), 60);
    let stale = with(old(calm("b", "stale")), |vm| vm.summary.status = Status::Stopped);
    let elsewhere = with(uses(calm("b", "far"), 70), |vm| vm.summary.node = "n3".into());
    let waiting = [on("a", "n1", 6), on("b", "n1", 14), on("c", "n2", 25), on("d", "", 7)];
    let vms = waiting.into_iter().chain([noisy, stale, elsewhere]).collect();
    let all = check(&seen(vms));
    let wanted = ["n2: 1 VM waits for CPU", "n1: 2 VMs wait for CPU", "1 VM waits for CPU"];
    assert_eq!(titles(&all), wanted);
    let why: Vec<_> = all.rows.iter().map(|row| row.why.english()).collect();
    let noisy = "The most CPU on the node is used by noisy in b: 60 cores.";
    assert_eq!(why[1], format!("The vCPUs wait 6.0 to 14.0 % of the time. {noisy}"));
    assert_eq!(why[0], "The vCPUs wait 25.0 % of the time.", "nobody else is known on the node");
    assert_eq!(all.rows[1].query().address(), "/?attention=contended.n1");
}

#[test]
fn the_fullest_disks_stand_alone_and_the_others_are_one_incident() {
    let vms: Vec<Vm> = (0..7).map(|at| with(calm("a", &format!("vm-{at}")), full(85 + at))).collect();
    let all = check(&seen(vms.clone()));
    let wanted = [
        "vm-6 in a: /srv is 91 % full",
        "vm-5 in a: /srv is 90 % full",
        "vm-4 in a: /srv is 89 % full",
        "4 more VMs fill up",
    ];
    assert_eq!(titles(&all), wanted);
    let more = all.rows.iter().find(|row| row.subject == IncidentSubject::Several).unwrap();
    assert_eq!(more.why.english(), "vm-3, vm-2 and 2 more.");
    // One more is not a group.
    assert_eq!(check(&seen(vms[..4].to_vec())).total, 4);
}

#[test]
fn the_history_tells_how_long_a_disk_lasts() {
    let vms = ["soon", "later", "far", "off"].map(|name| calm("a", name));
    let findings = [2, 5, 14, 1].into_iter().zip(&vms).map(|(days, vm)| filling(vm, days)).collect();
    let [soon, later, far, mut off] = vms;
    off.summary.status = Status::Stopped;
    let later = with(later, |vm| vm.volumes = vec![volume("root"), volume("data")]);
    let visible = seen(vec![soon, later, far, off]).with_findings(found(findings));
    let all = check(&visible);
    let wanted = [
        "soon in a: its disk is full in about 2 days",
        "later in a: its disks together are full in about 5 days",
    ];
    assert_eq!(titles(&all), wanted, "14 days are enough, and what is off does not grow");
    let levels: Vec<_> = all.rows.iter().map(|row| (row.level, row.days)).collect();
    assert_eq!(levels, [(Level::Critical, Some(2)), (Level::High, Some(5))]);
    assert_eq!(all.rows[0].why.english(), "93 Gi of 100 Gi is used, and it grows by 1 Gi a day.");
}

fn volume(name: &str) -> Volume {
    Volume {
        backing: 0,
        name: name.into(),
        claim: name.into(),
        size: None,
        block: false,
        storage_class: String::new(),
        source: SourceId::Kubelet,
        usage: figure(Unit::Bytes, 20),
        readings: vec![],
    }
}

#[test]
fn memory_that_the_guest_does_not_use_is_no_problem() {
    let undersized = |vm: &Vm| {
        let window = Window { from: 0, to: 1, known: 288, all: 288 };
        let (unit, verdict) = (Unit::Bytes, Verdict::Undersized);
        insight(
            vm,
            Finding::Undersized(Sizing {
                unit,
                p95: 106,
                peak: 108,
                of: 100,
                verdict,
                by_guest: false,
                window,
            }),
        )
    };
    for (guest, wanted) in [(Some(54), None), (None, Some("web in a may need more memory"))] {
        let vm = with(calm("a", "web"), |vm| vm.summary.usage.guest_memory = guest);
        let visible = seen(vec![vm.clone()]).with_findings(found(vec![undersized(&vm)]));
        assert_eq!(titles(&check(&visible)), Vec::from_iter(wanted), "over a day");
        let now = with(vm, |vm| vm.summary.usage.memory = figure(Unit::Bytes, 106));
        assert_eq!(titles(&check(&seen(vec![now]))), Vec::from_iter(wanted), "at the moment");
    }
}

#[test]
fn what_does_not_start_is_merged_by_what_kubevirt_says() {
    let claim = |name: &str| format!("claim {name}-data of {name} is missing in a");
    let vms = vec![
        with(calm("a", "gpu-1"), waiting("0/4 nodes are available: gpu")),
        with(calm("b", "gpu-2"), waiting("0/4 nodes are available: gpu")),
        with(calm("a", "web-1"), waiting(&claim("web-1"))),
        with(calm("a", "web-2"), waiting(&claim("web-2"))),
        with(calm("a", "web-3"), waiting("0/4 nodes are available: memory")),
        with(calm("a", "web-4"), |vm| vm.summary.status = Status::Creating),
    ];
    let all = check(&seen(vms));
    let mut found = titles(&all);
    found.sort();
    let wanted = [
        "2 VMs do not start",
        "2 VMs do not start",
        "web-3 in a does not start",
        "web-4 in a does not start",
    ];
    assert_eq!(found, wanted);
    let why: Vec<String> = all.rows.iter().map(|row| row.why.english()).collect();
    assert!(why.contains(&"KubeVirt says: 0/4 nodes are available: gpu".to_owned()), "{why:?}");
    assert!(why.contains(&"KubeVirt gives no reason.".to_owned()), "{why:?}");
}

#[test]
fn since_when_is_known_only_if_every_vm_says_so() {
    let paused = |name: &str, since: Option<Millis>| {
        let condition = Condition {
            kind: "Paused".into(),
            status: "True".into(),
            reason: "PausedIOError".into(),
            message: "".into(),
            since,
        };
        let details = InstanceDetails { conditions: [condition].into(), ..InstanceDetails::default() };
        with(with(calm("a", name), fault("low-level IO error")), |vm| vm.instance = Some(details.into()))
    };
    let since = |vms| {
        let all = check(&seen(vms));
        assert_eq!((all.total, titles(&all)), (1, vec!["2 VMs are paused".to_owned()]));
        all.rows[0].since
    };
    assert_eq!(since(vec![paused("one", Some(NOW - 9)), paused("two", Some(NOW - 5))]), Some(NOW - 9));
    assert_eq!(since(vec![paused("one", Some(NOW - 9)), paused("two", None)]), None);
}

#[test]
fn migrations_that_do_not_converge_are_merged_by_their_node() {
    let begun = |name: &str, sent, started: Option<Millis>| {
        let running =
            Migration { phase: "Running".into(), created: NOW - 90, started, ..Migration::default() };
        let before = Migration { phase: "Failed".into(), created: NOW - 900, ..Migration::default() };
        with(with(calm("a", name), migrating(sent)), |vm| vm.migrations = vec![running.into(), before.into()])
    };
    let vms = vec![
        begun("one", 8, None),
        begun("two", 12, Some(NOW - 60)),
        begun("early", 7, None),
        with(begun("three", 8, Some(NOW - 50)), |vm| vm.summary.node = "n3".into()),
    ];
    let all = check(&seen(vms));
    assert_eq!(
        titles(&all),
        ["2 live migrations do not converge", "The live migration of three in a does not converge"]
    );
    let rows: Vec<_> = all.rows.iter().map(|row| (row.cause.as_str(), row.since)).collect();
    assert_eq!(rows, [("n1", Some(NOW - 90)), ("n3", Some(NOW - 50))]);
    let most = "The live migration to n2 does not converge: 12 Gi are sent, and the VM has 4 Gi of memory.";
    assert_eq!(all.rows[0].why.english(), most);
}

#[test]
fn figures_are_merged_by_reason_and_source() {
    let disk = |name: &str, source, reason| {
        with(calm("a", name), |vm| {
            vm.volumes = vec![Volume { source, usage: missing(reason), ..volume("root") }];
            vm.summary.usage.disk = missing(reason);
        })
    };
    let vms = vec![
        disk("one", SourceId::GuestAgent, Reason::AgentOff),
        disk("two", SourceId::GuestAgent, Reason::AgentOff),
        disk("three", SourceId::Kubelet, Reason::Unreachable),
        with(calm("a", "four"), |vm| {
            vm.summary.usage.cpu = missing(Reason::Forbidden);
            vm.summary.usage.memory = missing(Reason::Forbidden);
        }),
        with(calm("a", "five"), |vm| {
            if let Figure::Known(sample) = &mut vm.summary.usage.memory {
                sample.stale = true;
            }
        }),
        // A volume is unknown that the VM does not list.
        with(calm("a", "six"), |vm| vm.summary.usage.disk_volumes = 2),
        with(calm("a", "seven"), |vm| vm.summary.status = Status::Unknown),
    ];
    let all = check(&seen(vms));
    let rows: BTreeMap<_, _> = all.rows.iter().map(|row| (row.cause.clone(), title(row))).collect();
    let wanted = [
        ("guest-agent.agent-off", "The usage of disks is unknown for 2 VMs"),
        ("kubelet.too-large", "The usage of disks is unknown for six in a"),
        ("kubelet.unreachable", "The usage of disks is unknown for three in a"),
        ("metrics.k8s.io.forbidden", "The usage of CPU and memory is unknown for four in a"),
        ("metrics.k8s.io.stale", "The usage of memory is stale for five in a"),
        ("state", "It is unknown whether seven in a runs"),
    ];
    let wanted = wanted.map(|(cause, title)| (cause.to_owned(), title.to_owned()));
    assert_eq!(rows, BTreeMap::from(wanted));
    assert!(all.rows.iter().all(|row| row.kind == AttentionKind::Unknown));
    assert_eq!(all.rows[0].vms, 2, "the largest first");
}

/// Only who sees everything may know more than the reason.
#[test]
fn a_source_that_fails_says_why() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 100, GI);
    state.apply(Observation::PodMetrics {
        namespace: None,
        at: NOW,
        result: Err(refused(Reason::Forbidden)),
    });
    let snapshot = Arc::new(state.join(NOW));
    let why = |scope: &Scope| {
        let all = check(&Visible::new(&snapshot, scope));
        let row = all.rows.iter().find(|row| row.cause == "metrics.k8s.io.forbidden").unwrap();
        (row.why.english(), row.fix.is_empty())
    };
    assert_eq!(why(&Scope::all()), ("metrics.k8s.io: Forbidden, in words.".into(), false));
    let mine = Scope::new(Kinds::default(), [("a".into(), Kinds::ALL)].into(), true);
    assert!(!why(&mine).0.contains("in words"), "{:?}", why(&mine));
}

#[test]
fn what_is_worse_comes_first_then_what_is_sooner_then_what_is_larger() {
    let soon = calm("a", "soon");
    let findings = found(vec![filling(&soon, 1)]);
    let vms = vec![
        soon,
        with(calm("a", "full"), full(99)),
        with(calm("a", "paused"), fault("IO error")),
        with(calm("a", "waits-1"), contended(6)),
        with(calm("a", "waits-2"), contended(6)),
        with(calm("a", "hot"), hot),
        with(calm("a", "unknown"), |vm| vm.summary.usage.cpu = missing(Reason::TimedOut)),
    ];
    let visible = seen(vms).with_findings(findings);
    let all = check(&visible);
    let wanted = [
        "paused in a is paused",
        "soon in a: its disk is full in about 1 day",
        "full in a: /srv is 99 % full",
        "n1: 2 VMs wait for CPU",
        "hot in a may need more CPU",
        "The usage of CPU is unknown for unknown in a",
    ];
    assert_eq!(titles(&all), wanted);
    assert_eq!(incidents(&visible, usize::MAX), all, "the same again");
}

#[test]
fn nothing_is_wrong_if_everything_is_stopped() {
    let off = |name: &str| with(with(calm("a", name), full(99)), |vm| vm.summary.status = Status::Stopped);
    let snapshot = cluster(vec![off("one"), off("two")], vec![node("n1", None)]);
    let all = check(&Visible::new(&snapshot, &Scope::all()));
    assert_eq!(all, Incidents::default());
    assert_eq!(check(&seen(vec![])), Incidents::default());
}

#[test]
fn ten_thousand_vms_without_figures_are_one_row_for_each_reason() {
    let vm = |at: u32| {
        with(calm("a", &format!("vm-{at}")), |vm| {
            vm.summary.usage.cpu = missing(Reason::Forbidden);
            vm.summary.usage.memory = missing(Reason::Forbidden);
            vm.volumes = vec![Volume { usage: missing(Reason::Unreachable), ..volume("root") }];
            vm.summary.usage.disk = missing(Reason::Unreachable);
        })
    };
    let visible = seen((0..10_000).map(vm).collect());
    let all = check(&visible);
    let wanted = [
        "The usage of disks is unknown for 10,000 VMs",
        "The usage of CPU and memory is unknown for 10,000 VMs",
    ];
    assert_eq!(titles(&all), wanted);
    assert_eq!((all.total, all.vms, all.rows[0].named.len()), (2, 10_000, crate::incidents::NAMED));
}

#[test]
fn an_answer_is_bounded_and_counts_the_rest() {
    let vm = |at: u32| with(calm("a", &format!("vm-{at}")), waiting(&format!("cause {at}")));
    let visible = seen((0..300).map(vm).collect());
    let all = incidents(&visible, MOST);
    assert_eq!((all.total, all.rows.len(), all.vms), (300, MOST, 300));
    assert_eq!(check(&visible).rows[..MOST], all.rows);
}

/// Rows of two kinds may have the same names.
#[test]
fn an_incident_of_one_vm_is_not_that_of_another_of_the_same_name() {
    let vms = vec![
        with(calm("a", "web"), full(90)),
        with(with(calm("a", "web"), full(91)), |vm| vm.summary.kind = Kind::VirtualMachine),
    ];
    let all = check(&seen(vms));
    let causes: Vec<_> = all.rows.iter().map(|row| row.cause.as_str()).collect();
    assert_eq!(causes, ["virtualmachine.a.web", "wukong.a.web"]);
}

/// What the documentation says of each threshold is what the code has.
#[test]
fn the_documented_thresholds_are_those_of_the_code() {
    use model::thresholds::{CONTENTION, DAYS, LEAST_OPERATIONS, RESENT, SLOW, SPACE, SWAP, USE};
    let rows: Vec<Vec<&str>> = include_str!("../../../../docs/attention.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix('|'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let levels = |problem: &str| {
        let mut found = rows.iter().filter(|row| row[0].starts_with(problem) && row.len() == 4);
        let row = found.next().unwrap_or_else(|| panic!("{problem} is not documented"));
        assert!(found.next().is_none(), "{problem} is documented twice");
        (row[2].to_owned(), row[3].to_owned())
    };
    let percent = |from: u64| format!("from {from} %");
    let none = String::new;
    let space = (percent(SPACE.high), percent(SPACE.critical));
    let waits = |thousandths: u32| percent(u64::from(thousandths) / 1_000);
    let days = |days: u32| format!("in less than {days} days");
    for (problem, wanted) in [
        ("a file system of the guest, or a volume", space.clone()),
        ("the guest's own memory", space),
        ("a volume will be full", (days(DAYS.high), days(DAYS.critical))),
        ("memory as the host counts it", (percent(USE), none())),
        ("CPU is in use", (percent(USE), none())),
        ("the 95th percentile", (percent(crate::insight::UNDERSIZED / 10), none())),
        ("the guest swaps", (format!("from {} MiB/s", (SWAP.0 / 1_000) >> 20), none())),
        ("vCPUs wait", (waits(CONTENTION.high), waits(CONTENTION.critical))),
        ("the same, while the VM uses at least 90 % of its own CPU", (waits(CONTENTION.high), none())),
        ("a live migration has sent", (format!("from {RESENT} times"), none())),
        ("the mean read or write", (format!("from {} ms", SLOW / 1_000_000), none())),
    ] {
        assert_eq!(levels(problem), wanted, "{problem}");
    }
    assert_eq!((USE, LEAST_OPERATIONS.0), (90, 5_000), "in the texts of two problems");
    for kind in AttentionKind::ALL {
        let code = format!("`{}`", kind.code());
        assert!(rows.iter().any(|row| row.get(1) == Some(&code.as_str())), "{code}");
    }
}

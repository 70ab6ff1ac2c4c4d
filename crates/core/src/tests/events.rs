//! Which Events are those of a VM, how they are counted together, and the timeline that is made of them.

use super::*;
use crate::{
    details::details,
    events::{EventFacts, EventLog, EventsQuery, MOST, ObjectKind, not_allowed, pending, query, unread},
    timeline::timeline,
};
use i18n::{Lang, Localize};
use model::{
    activity::{Activity, GuestActivity, MigrationProgress},
    details::{Migration, VmDetails},
    events::{Event, EventObject, Sign, Timeline, VmEvents},
    figure::Missing,
};

const HOUR: Millis = 3_600_000;

/// The VM `a/web` with its pod and its instance `web-vm`.
fn vm() -> Vm {
    let mut state = state();
    add_vm(&mut state, "a", "web", 100, GI);
    Vm::clone(&web(&mut state))
}

fn migration(name: &str, phase: &str, created: Millis, ended: Option<Millis>) -> Migration {
    Migration {
        name: name.into(),
        phase: phase.into(),
        source_node: "n1".into(),
        target_node: "n2".into(),
        created,
        started: Some(created + 10 * SECOND),
        ended,
        failure: "".into(),
    }
}

fn event(kind: &str, name: &str, message: &str, last: Option<Millis>) -> EventFacts {
    let object = EventObject { kind: kind.into(), name: name.into() };
    let event = Event {
        reason: "Why".into(),
        message: message.into(),
        count: 1,
        first: last,
        last,
        object,
        component: "kubelet".into(),
        ..Event::default()
    };
    EventFacts { namespace: "a".into(), api_version: String::new(), event }
}

fn of_instance(message: &str, last: Millis) -> EventFacts {
    event("VirtualMachineInstance", "web-vm", message, Some(last))
}

/// Returns what is kept of these.
fn read(events: impl IntoIterator<Item = EventFacts>) -> VmEvents {
    let mut log = EventLog::new(query(&vm(), NOW));
    events.into_iter().for_each(|event| log.add(event));
    log.into_events(None, NOW)
}

fn messages(events: &VmEvents) -> Vec<&str> {
    events.events.iter().map(|event| &*event.message).collect()
}

#[test]
fn events_of_all_objects_of_a_vm_are_asked_for_once_a_name() {
    let mut vm = vm();
    let pod = vm.pod.clone();
    vm.migrations = vec![
        Arc::new(migration("m2", "Running", NOW - 60 * SECOND, None)),
        Arc::new(migration("m1", "Failed", NOW - 90 * SECOND, Some(NOW - 70 * SECOND))),
    ];
    assert_eq!(query(&vm, NOW).names(), ["web-vm", "web", &pod, "m2"]);
    vm.migrations.remove(0);
    assert_eq!(query(&vm, NOW).names().last().unwrap(), "m1");
    assert!(!query(&vm, NOW + HOUR).names().contains(&"m1".to_owned()), "Kubernetes keeps no Event of it");
    (vm.vm_name, vm.pod) = (String::new(), String::new());
    let asked = query(&vm, NOW + HOUR);
    assert_eq!(
        (asked.namespace.as_str(), asked.objects),
        ("a", vec![(ObjectKind::Wukong, "web".to_owned())])
    );
}

#[test]
fn only_events_of_the_vms_own_objects_count() {
    let pod = vm().pod;
    let other_group =
        EventFacts { api_version: "example.org/v1".into(), ..of_instance("another group", NOW) };
    let own_group = EventFacts { api_version: "kubevirt.io/v1".into(), ..of_instance("its group", NOW) };
    let elsewhere = EventFacts { namespace: "b".into(), ..of_instance("another namespace", NOW) };
    let events = read([
        of_instance("instance", NOW - 1),
        event("VirtualMachine", "web-vm", "machine", Some(NOW - 2)),
        event("Wukong", "web", "wukong", Some(NOW - 3)),
        event("Pod", &pod, "pod", Some(NOW - 4)),
        own_group,
        event("VirtualMachineInstance", "web-vm2", "another VM", Some(NOW)),
        event("VirtualMachineInstance", "web", "another VM", Some(NOW)),
        event("VirtualMachineInstance", "web-v", "another VM", Some(NOW)),
        event("Wukong", "web2", "another Wukong", Some(NOW)),
        event("Pod", &[&pod, "x"].concat(), "another pod", Some(NOW)),
        event("PersistentVolumeClaim", "web-vm", "another kind", Some(NOW)),
        event("Pod", "web-vm", "another kind", Some(NOW)),
        elsewhere,
        other_group,
    ]);
    assert_eq!(messages(&events), ["its group", "instance", "machine", "wukong", "pod"]);
}

#[test]
fn events_that_say_the_same_of_the_same_object_are_one() {
    let mut counted = of_instance("again", NOW - 5 * SECOND);
    (counted.event.count, counted.event.first) = (3, Some(NOW - 60 * SECOND));
    let mut warning = of_instance("again", NOW - SECOND);
    warning.event.warning = true;
    let events = read([
        counted,
        of_instance("again", NOW - 9 * SECOND),
        of_instance("again", NOW - 2 * SECOND),
        warning,
        event("VirtualMachine", "web-vm", "again", Some(NOW - 7 * SECOND)),
    ]);
    let found: Vec<_> =
        events.events.iter().map(|event| (event.warning, event.count, event.first, event.last)).collect();
    let (second, first) = (Some(NOW - 2 * SECOND), Some(NOW - 60 * SECOND));
    assert_eq!(found[0], (true, 1, Some(NOW - SECOND), Some(NOW - SECOND)));
    assert_eq!(found[1], (false, 5, first, second));
    assert_eq!((found.len(), found[2].1), (3, 1), "of another object");
    let mut many = of_instance("many", NOW);
    many.event.count = u32::MAX;
    assert_eq!(read([many.clone(), many]).events[0].count, u32::MAX);
}

#[test]
fn the_newest_come_first_and_those_without_a_time_last() {
    let events = read([
        event("VirtualMachineInstance", "web-vm", "no time", None),
        of_instance("old", NOW - HOUR),
        of_instance("in the future", NOW + HOUR),
        of_instance("new", NOW),
    ]);
    assert_eq!(messages(&events), ["in the future", "new", "old", "no time"]);
}

#[test]
fn a_flood_of_events_leaves_the_newest_and_is_counted() {
    let flood = (0..100_000).map(|n| of_instance(&format!("message {n}"), NOW + n));
    let events = read(flood);
    assert_eq!((events.events.len(), events.left_out), (MOST, 100_000 - MOST as u32));
    assert_eq!(messages(&events)[..2], ["message 99999", "message 99998"]);
}

#[test]
fn a_former_pod_is_known_by_its_whole_name_alone() {
    let current = vm();
    let asked = query(&current, NOW);
    let is_former = |kind: &str, name: &str| asked.is_of_former_pod(&event(kind, name, "killed", Some(NOW)));
    assert!(is_former("Pod", "virt-launcher-web-vm-aaaaa"));
    for other in [
        &current.pod,
        "virt-launcher-web-vm2-aaaaa",
        "virt-launcher-web-vm-x-aaaaa",
        "virt-launcher-web-aaaaa",
        "virt-launcher-web-vm-AAAAA",
        "virt-launcher-web-vm-",
        "",
    ] {
        assert!(!is_former("Pod", other), "{other}");
    }
    assert!(!is_former("Secret", "virt-launcher-web-vm-aaaaa"));
    let elsewhere =
        EventFacts { namespace: "b".into(), ..event("Pod", "virt-launcher-web-vm-aaaaa", "killed", None) };
    assert!(!asked.is_of_former_pod(&elsewhere));
    // Of a long name only the beginning is in that of the pod: it could be another VM's.
    let vm_name = "v".repeat(60);
    let pod = ["virt-launcher-", &vm_name[..44], "aaaaa"].concat();
    let long = EventsQuery { vm_name, ..asked.clone() };
    assert!(!long.is_of_former_pod(&event("Pod", &pod, "killed", Some(NOW))));
    let mut log = EventLog::new(asked);
    log.ask_for_pod("virt-launcher-web-vm-aaaaa");
    log.add(event("Pod", "virt-launcher-web-vm-aaaaa", "killed", Some(NOW)));
    assert_eq!(log.into_events(None, NOW).events.len(), 1);
}

#[test]
fn a_former_pod_is_looked_for_only_if_there_can_be_events_of_it() {
    let mut vm = vm();
    let started = |at| Some(Arc::new(InstanceDetails { started: Some(at), ..InstanceDetails::default() }));
    for (instance, wanted) in
        [(None, true), (started(NOW - 60 * SECOND), true), (started(NOW - 2 * HOUR), false)]
    {
        vm.instance = instance;
        assert_eq!(query(&vm, NOW).had_former_pod, wanted);
    }
    vm.vm_name = String::new();
    vm.instance = None;
    assert!(!query(&vm, NOW).had_former_pod);
}

fn texts(timeline: Timeline, lang: Lang) -> Vec<(Sign, String, String)> {
    let entries = timeline.localized(lang).entries;
    entries.into_iter().map(|entry| (entry.sign, entry.title.text(), entry.text.text())).collect()
}

#[test]
fn a_timeline_has_events_migrations_and_the_start_in_one_order() {
    let mut vm = vm();
    vm.migrations = [
        migration("m3", "Failed", NOW - 300 * SECOND, Some(NOW - 200 * SECOND)),
        migration("m2", "Succeeded", NOW - 600 * SECOND, Some(NOW - 500 * SECOND)),
    ]
    .map(Arc::new)
    .to_vec();
    let mut failed = Migration::clone(&vm.migrations[0]);
    failed.failure = "target pod is gone".into();
    vm.migrations[0] = failed.into();
    let mut details = details(&vm, &[]);
    details.started = Some(NOW - 2 * HOUR);
    let mut probe = event("Pod", &vm.pod, "Liveness probe failed", Some(NOW - 400 * SECOND));
    (probe.event.warning, probe.event.count) = (true, 3);
    probe.event.first = Some(NOW - 460 * SECOND);
    let events = read([probe, event("VirtualMachine", "web-vm", "no time", None)]);
    let found = texts(timeline(&vm, &details, events.clone()), Lang::English);
    assert_eq!(
        found,
        [
            (
                Sign::Warning,
                "The migration from n1 to n2 failed after 90 s".to_owned(),
                "m3 · target pod is gone".to_owned()
            ),
            (
                Sign::Warning,
                "Liveness probe failed".to_owned(),
                format!("Why · Pod {} · kubelet · 3 times since 2027-01-15 07:52 UTC", vm.pod)
            ),
            (Sign::Migration, "Migrated from n1 to n2 in 90 s".to_owned(), "m2".to_owned()),
            (Sign::Start, "The guest was started".to_owned(), String::new()),
            (Sign::Normal, "no time".to_owned(), "Why · VirtualMachine web-vm · kubelet".to_owned()),
        ]
    );
    let chinese = texts(timeline(&vm, &details, events), Lang::Chinese);
    assert_eq!(chinese[0].1, "从 n1 到 n2 的迁移在 90 秒后失败");
}

#[test]
fn a_migration_under_way_says_how_far_it_is() {
    let progress = MigrationProgress {
        processed: Some(3 << 30),
        remaining: Some(1 << 30),
        dirty_rate: Some(200_000_000),
        transfer_rate: Some(100_000_000),
    };
    let missing = || Box::new(Missing::from(Reason::NotReported));
    let activity = GuestActivity {
        source: Source::VirtHandler,
        at: NOW,
        window_ms: 60_000,
        stale: false,
        memory: Err(missing()),
        swap: Err(missing()),
        major_faults: Err(missing()),
        network: Err(missing()),
        network_from: None,
        storage: Err(missing()),
        contention: Err(missing()),
        migration: Some(Box::new(progress)),
        rates: None,
    };
    let details = |phase: &str| VmDetails {
        activity: Activity::Known(Box::new(activity.clone())),
        migrations: vec![migration("m", phase, NOW - 60 * SECOND, None)],
        ..VmDetails::default()
    };
    let of =
        |phase: &str| texts(timeline(&vm(), &details(phase), VmEvents::default()), Lang::English).remove(0);
    let (_, title, text) = of("Running");
    assert_eq!(title, "Migrating from n1 to n2");
    assert_eq!(text, "m · 3.00 Gi sent, 1.00 Gi remaining; sends 100 MB/s, the guest writes 200 MB/s");
    assert_eq!(of("Scheduling").1, "A migration has not begun yet (phase Scheduling)");
    assert_eq!(of("").1, "A migration was created");
    assert_eq!(of("Succeeded").2, "m", "one that has ended has no progress");
}

#[test]
fn a_timeline_says_what_it_lacks() {
    let details = VmDetails {
        migrations_gap: Some(Box::new(Missing {
            detail: "no migrations".into(),
            ..Reason::Forbidden.into()
        })),
        ..VmDetails::default()
    };
    let of = |events: VmEvents| timeline(&vm(), &details, events).localized(Lang::English);
    let waiting = of(VmEvents::missing(pending()));
    assert!(waiting.pending && waiting.entries.is_empty() && waiting.note.text().is_empty());
    let denied = of(VmEvents::missing(not_allowed("a")));
    let details: Vec<String> = denied.gaps.iter().map(|gap| gap.detail.text()).collect();
    assert_eq!(details, ["you may not list events in namespace a", "no migrations"]);
    assert!(
        !denied.pending
            && denied.gaps[0].fix.text().contains("kubectl -n a create role events-view --verb=list")
    );
    let refused = SourceError { reason: Reason::Forbidden, detail: "list events in namespace a".into() };
    let fix = of(VmEvents::missing(unread(&refused))).gaps[0].fix.text();
    assert_eq!(
        fix,
        "Allow the dashboard's service account to list events: kubectl apply -f deploy/cluster/rbac.yaml"
    );
    for reason in [Reason::Unreachable, Reason::TimedOut, Reason::BadAnswer, Reason::Unauthenticated] {
        let error = SourceError { reason, detail: Default::default() };
        assert!(!unread(&error).fix.is_empty(), "{reason:?}");
    }
    let read = of(VmEvents { left_out: 7, read: Some(NOW), ..VmEvents::default() });
    assert!(read.note.text().starts_with("Older events that are not listed: 7."), "{}", read.note.text());
}

#[test]
fn equal_questions_are_equal() {
    let asked: [EventsQuery; 2] = [query(&vm(), NOW), query(&vm(), NOW + SECOND)];
    assert_eq!(asked[0], asked[1], "two viewers ask one question");
}

#[test]
fn a_restart_after_a_failed_liveness_probe_is_told_at_the_top_of_the_page() {
    let vm = vm();
    let killed = |pod: &str, message: &str, at: Millis| {
        let mut facts = event("Pod", pod, message, Some(at));
        facts.event.reason = "Killing".into();
        facts
    };
    let of = |facts: EventFacts, started: Option<Millis>| {
        let details = VmDetails { started, ..VmDetails::default() };
        let events = VmEvents { events: vec![facts.event], ..VmEvents::default() };
        timeline(&vm, &details, events).localized(Lang::English).restart.map(|text| text.text())
    };
    let (former, words) = ("virt-launcher-web-vm-aaaaa", "Container compute failed liveness probe");
    let at = NOW - 300 * SECOND;
    let told = of(killed(former, words, at), Some(at + 20 * SECOND)).unwrap();
    assert_eq!(
        told,
        "The guest was killed at 2027-01-15 07:55 UTC, since its liveness probe had failed, and started again at 2027-01-15 07:55 UTC."
    );
    assert_eq!(of(killed(&vm.pod, words, at), Some(at + SECOND)), None, "the current pod was not killed");
    assert_eq!(of(killed(former, "Stopping container compute", at), Some(at + SECOND)), None);
    assert_eq!(of(killed(former, words, at), Some(at - SECOND)), None, "it runs since before");
    assert_eq!(of(killed(former, words, at), Some(at + HOUR)), None, "somebody started it later");
    assert_eq!(of(killed(former, words, at), None), None);
}

//! Whatever is observed, in whatever order: a join of what changed is the same as a join of everything.

mod observations;

use proptest::prelude::*;

use super::{
    super::{ClusterState, Limits, last_rows::Rows},
    *,
};
use model::totals::Totals;
use observations::{any_event, at};

/// Something that happens to both states.
#[derive(Clone, Debug)]
pub enum Event {
    /// Its times are relative to the moment at which it is observed.
    Observed(Box<Observation>),
    /// The wall clock is set, so many milliseconds ahead of the steady one.
    ClockSet(Millis),
}

/// What happens until the next join, and how long after it.
#[derive(Clone, Debug)]
struct Round {
    events: Vec<Event>,
    later: Millis,
}

fn any_round() -> impl Strategy<Value = Round> {
    let later = prop_oneof![
        8 => 0..3 * SECOND,
        3 => 10 * SECOND..100 * SECOND,
        2 => 100 * SECOND..1_300 * SECOND,
        1 => 3_000 * SECOND..20_000 * SECOND,
    ];
    (prop::collection::vec(any_event(), 0..4), later).prop_map(|(events, later)| Round { events, later })
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let sources = Just(SourceId::DISK.to_vec()).prop_shuffle();
    let most = prop_oneof![4 => Just(usize::MAX), 1 => 2..6usize];
    (sources, 0..=5usize, most, prop::bool::weighted(0.9)).prop_map(
        |(mut disk_sources, asked, most_vms, virt_handler)| {
            disk_sources.truncate(asked.max(1));
            Limits { disk_sources, virt_handler, most_vms, ..limits() }
        },
    )
}

/// A state in which every source has answered, or none.
fn begun(limits: &Limits, answered: bool) -> ClusterState {
    ClusterState { limits: limits.clone(), ..if answered { state() } else { silent_state() } }
}

/// Two states that observe the same. One joins what changed, the other joins everything as if for the first time.
struct Pair {
    incremental: ClusterState,
    whole: ClusterState,
    now: Millis,
}

impl Pair {
    fn new(limits: &Limits, answered: bool) -> Self {
        let (incremental, mut whole) = (begun(limits, answered), begun(limits, answered));
        whole.names.hasher = incremental.names.hasher.clone();
        Self { incremental, whole, now: NOW }
    }

    fn happen(&mut self, event: &Event) {
        for state in [&mut self.incremental, &mut self.whole] {
            match event {
                Event::Observed(observation) => state.apply(at(self.now, observation)),
                Event::ClockSet(step) => state.set_wall_step(*step),
            }
        }
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let joined = self.incremental.join(self.now);
        self.whole.rows = Rows::default();
        self.whole.targets = Targets::default();
        self.whole.names.changed = true;
        let whole = self.whole.join(self.now);
        prop_assert_eq!(&joined.vms, &whole.vms);
        prop_assert_eq!(joined.totals, whole.totals);
        prop_assert_eq!(joined.totals, Totals::of(joined.vms.iter().map(|vm| &**vm)));
        prop_assert_eq!(joined.nodes, whole.nodes);
        prop_assert_eq!(joined.sources, whole.sources);
        prop_assert_eq!(joined.targets, whole.targets);
        prop_assert_eq!((joined.ready, joined.last_seen), (whole.ready, whole.last_seen));
        self.check_indexes()
    }

    fn check_indexes(&self) -> Result<(), TestCaseError> {
        let state = &self.incremental;
        prop_assert!(state.wukongs.is_index_exact());
        prop_assert!(state.vms.is_index_exact());
        prop_assert!(state.instances.is_index_exact());
        prop_assert!(state.migrations.is_index_exact());
        prop_assert!(state.pods.is_index_exact());
        prop_assert!(state.metrics.is_index_exact());
        prop_assert!(state.longhorn.is_index_exact());
        let kubelets = state.kubelets.iter().map(|(node, kubelet)| (node.as_str(), kubelet.stats()));
        prop_assert!(state.reporters.is_exact(kubelets));
        Ok(())
    }
}

proptest! {
    #[test]
    fn a_join_of_what_changed_is_a_join_of_everything(
        limits in any_limits(),
        answered in prop::bool::weighted(0.85),
        begin in prop::collection::vec(any_event(), 20..60),
        rounds in prop::collection::vec(any_round(), 1..20),
    ) {
        let mut pair = Pair::new(&limits, answered);
        begin.iter().for_each(|event| pair.happen(event));
        pair.check()?;
        for Round { events, later } in &rounds {
            events.iter().for_each(|event| pair.happen(event));
            pair.check()?;
            // Time alone changes figures too.
            pair.now += later;
            pair.check()?;
        }
    }
}

/// Otherwise the property above could hold because everything is joined each time.
#[test]
fn most_generated_changes_join_some_rows_and_not_all() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut some, mut all, mut none) = (0, 0, 0);
    for _ in 0..64 {
        let begin = prop::collection::vec(any_event(), 40).new_tree(&mut runner).unwrap().current();
        let mut pair = Pair::new(&limits(), true);
        begin.iter().for_each(|event| pair.happen(event));
        pair.incremental.join(pair.now);
        for _ in 0..20 {
            pair.happen(&any_event().new_tree(&mut runner).unwrap().current());
            pair.incremental.join(pair.now);
            let rows = &pair.incremental.rows;
            match rows.joined_again {
                0 => none += 1,
                again if again == rows.len() => all += 1,
                _ => some += 1,
            }
        }
    }
    assert!(some > 300, "some rows: {some}, all: {all}, none: {none}");
}

/// Nothing that is not observed costs anything.
#[test]
fn a_second_in_which_nothing_changed_joins_no_row() {
    let mut state = state();
    (0..50).for_each(|n| add_vm(&mut state, "a", &format!("vm-{n}"), 500, GI));
    state.join(NOW);
    assert_eq!(state.rows.joined_again, 100, "each Wukong, and each instance, which is shown by its Wukong");
    state.join(NOW + SECOND);
    assert_eq!(state.rows.joined_again, 0);
    add_vm(&mut state, "a", "vm-7", 700, GI);
    let snapshot = state.join(NOW + 2 * SECOND);
    assert_eq!(milli(&find(&snapshot, "a", "vm-7")), Ok(700));
    assert_eq!(state.rows.joined_again, 1, "only its samples differ");
    let shared = |one: &Snapshot, other: &Snapshot| {
        std::iter::zip(&one.vms, &other.vms).filter(|(a, b)| Arc::ptr_eq(a, b)).count()
    };
    let next = state.join(NOW + 3 * SECOND);
    assert_eq!(shared(&snapshot, &next), 50, "what did not change is shared");
}

/// What exceeds the limit of all guests together is left out of another guest than the one that answered.
#[test]
fn a_guest_that_is_left_out_because_of_another_is_joined_again() {
    let mut state = ClusterState::new(Limits { disk_sources: vec![SourceId::GuestAgent], ..limits() });
    let answer = |name: &str, count: usize| {
        let filesystem = |n: usize| Filesystem {
            disk_name: format!("vd{n}"),
            mount_point: format!("/m{n}"),
            serials: vec!["S1".into()],
            used: Some(GI),
            total: Some(2 * GI),
            ..Default::default()
        };
        let result = Ok((0..count).map(filesystem).collect());
        Observation::Filesystems { instance: Key::new("a", name), at: NOW, result }
    };
    for name in ["web", "other"] {
        let facts = InstanceFacts { agent_connected: true, ..instance("a", name, "n1") };
        state.apply(Observation::Instances(applied(facts)));
    }
    state.apply(answer("web", 9));
    assert_eq!(web(&mut state).guest.filesystems.len(), 9);
    state.guests.most_bytes = 2_000;
    state.apply(answer("other", 1));
    assert_eq!(web(&mut state).guest.filesystems.len(), 0);
}

/// The same of kubelets: what one reports may leave no room for the claims of another.
#[test]
fn a_kubelet_that_is_left_out_because_of_another_is_joined_again() {
    let mut state = silent_state();
    add_vm(&mut state, "a", "web", 500, GI);
    let volumes = [WukongVolume { name: "root".into(), claim: "root".into(), size: "20Gi".into() }].into();
    state.apply(Observation::Wukongs(applied(WukongFacts { volumes, ..wukong("a", "web") })));
    let long = "x".repeat(240);
    let invented = |n: usize| stats(&format!("a-{long}"), &format!("{n}-{long}"), GI, 20 * GI);
    let many = |own: Option<VolumeStats>| (0..8192).map(invented).chain(own).collect();
    state.apply(summary_at("n1", NOW, many(Some(stats("a", "root", GI, 20 * GI)))));
    assert!(web(&mut state).volumes[0].usage.sample().is_some());
    for node in ["n2", "n3"] {
        state.apply(summary_at(node, NOW, (0..8000).map(invented).collect()));
    }
    assert_eq!(used(&web(&mut state).volumes[0].usage), Err(Reason::TooLarge));
}

//! A change, applied to the old view, gives the new view, and contains no more than that needs.

use proptest::prelude::*;

use super::*;
use crate::{
    delta::{self, Outcome},
    frame::Identity,
    view::{home, sources, vm as vm_view},
};
use i18n::{Lang, Localize};
use model::{
    delta::{HomeChange, Slot},
    query::Query,
    source::SourceState,
    view::HomeView,
};

fn identity() -> Identity {
    Identity { cluster: "test".into(), demo: false, refresh: 15_000 }
}

fn view(snapshot: &Snapshot) -> HomeView {
    home(&everything(snapshot), &identity(), &Query::default(), NOW).localized(Lang::English)
}

/// `(name, millicores)` each, all running.
fn state_of(vms: &[(&str, u64)]) -> ClusterState {
    let mut state = state();
    for (name, millis) in vms {
        add_vm(&mut state, "a", name, *millis, GI);
    }
    state
}

fn view_of(vms: &[(&str, u64)]) -> HomeView {
    view(&state_of(vms).join(NOW))
}

fn change(before: &HomeView, after: &HomeView) -> HomeChange {
    match delta::home(before, after) {
        Outcome::Change(change) => change,
        other => panic!("{other:?}"),
    }
}

fn applied_to(before: &HomeView, change: HomeChange) -> HomeView {
    let mut view = before.clone();
    view.apply(change).expect("it is a change of this view");
    view
}

#[test]
fn time_alone_is_no_change() {
    let before = view_of(&[("x", 100), ("y", 200)]);
    let mut after = before.clone();
    after.frame.now += 5_000;
    assert_eq!(delta::home(&before, &after), Outcome::Same);
    after.frame.last_seen = Some(NOW + 5_000);
    assert_eq!(applied_to(&before, change(&before, &after)), after, "only the age of the page differs");
}

#[test]
fn one_figure_is_one_row_and_the_totals() {
    let (before, after) = (view_of(&[("x", 100), ("y", 200)]), view_of(&[("x", 100), ("y", 201)]));
    let delta = change(&before, &after);
    let Some([Slot::Old(0), Slot::New(row, ..)]) = delta.rows.as_deref() else { panic!("{:?}", delta.rows) };
    assert_eq!(row.name, "y");
    assert!(delta.totals.is_some() && delta.extent.is_none() && delta.facets.is_none());
    assert_eq!(applied_to(&before, delta), after);
}

#[test]
fn rows_come_go_and_move() {
    let abc = [("a", 1), ("b", 2), ("c", 3)];
    for (after, slots) in [
        (&[("b", 2), ("c", 3)][..], vec![1, 2]),
        (&[("a", 1), ("b", 2), ("c", 3), ("d", 4)], vec![0, 1, 2, -1]),
        (&[("a", 1), ("b", 9), ("c", 3)], vec![0, -1, 2]),
        (&[("0", 7), ("c", 3)], vec![-1, 2]),
        (&[], vec![]),
    ] {
        let (before, after) = (view_of(&abc), view_of(after));
        let delta = change(&before, &after);
        let places: Vec<i32> = delta.rows.iter().flatten().map(place).collect();
        assert_eq!(places, slots);
        assert_eq!(applied_to(&before, delta), after);
    }
}

fn place(slot: &Slot) -> i32 {
    match slot {
        Slot::Old(place) => i32::from(*place),
        Slot::New(..) => -1,
    }
}

#[test]
fn two_rows_of_the_same_names_are_two() {
    let before = view_of(&[("x", 100)]);
    let mut twins = before.clone();
    twins.vms.push(model::vm::VmSummary { kind: model::vm::Kind::VirtualMachine, ..before.vms[0].clone() });
    assert_eq!(applied_to(&before, change(&before, &twins)), twins);
    let mut changed = twins.clone();
    changed.vms[1].node = "n9".into();
    let delta = change(&twins, &changed);
    assert_eq!(delta.rows.as_deref().map(|slots| slots.iter().map(place).collect()), Some(vec![0, -1]));
    assert_eq!(applied_to(&twins, delta), changed);
}

#[test]
fn the_last_hour_of_a_row_goes_along_with_it() {
    use model::history::{Sparkline, Sparklines};
    let sparkline = |level: u8| Sparklines { cpu: Sparkline(vec![level; 30]), ..Sparklines::default() };
    let mut before = view_of(&[("x", 100), ("y", 200)]);
    before.sparklines = vec![sparkline(1), sparkline(2)];
    let mut after = before.clone();
    after.sparklines[1] = sparkline(3);
    let delta = change(&before, &after);
    assert_eq!(delta.rows.as_deref().map(|slots| slots.iter().map(place).collect()), Some(vec![0, -1]));
    assert_eq!(applied_to(&before, delta), after);
    let mut moved = after.clone();
    moved.vms.reverse();
    moved.sparklines.reverse();
    assert_eq!(applied_to(&after, change(&after, &moved)), moved);
    let mut fewer = view_of(&[("y", 200)]);
    assert_eq!(applied_to(&after, change(&after, &fewer)), fewer, "and none if there are none");
    fewer.sparklines = vec![sparkline(9)];
    assert_eq!(applied_to(&after, change(&after, &fewer)), fewer);
}

#[test]
fn the_activity_of_a_row_goes_along_with_it() {
    use model::activity::{ActivityRow, Amount};
    let row = |network| ActivityRow {
        stale: false,
        guest_memory: Amount::Missing(Reason::NotReported),
        network: Amount::Known(network),
        storage: Amount::Known(0),
        operations: Amount::Known(0),
        latency: Amount::Nothing,
        contention: Amount::Known(1),
    };
    let mut before = view_of(&[("x", 100), ("y", 200)]);
    before.activity = vec![row(1), row(2)];
    let mut after = before.clone();
    after.activity[1] = row(3);
    let delta = change(&before, &after);
    assert_eq!(delta.rows.as_deref().map(|slots| slots.iter().map(place).collect()), Some(vec![0, -1]));
    assert_eq!(applied_to(&before, delta), after);
    let mut moved = after.clone();
    moved.vms.reverse();
    moved.activity.reverse();
    assert_eq!(applied_to(&after, change(&after, &moved)), moved);
}

#[test]
fn a_change_contains_only_the_sources_that_differ() {
    let before = view_of(&[("x", 100)]);
    let mut after = before.clone();
    after.frame.sources[3].state = SourceState::Degraded;
    let delta = change(&before, &after);
    assert_eq!(delta.frame.sources, [after.frame.sources[3].clone()]);
    assert_eq!(applied_to(&before, delta), after);
}

#[test]
fn another_set_of_sources_is_another_view() {
    let before = view_of(&[]);
    let mut after = before.clone();
    after.frame.sources.pop();
    assert_eq!(delta::home(&before, &after), Outcome::Other);
}

#[test]
fn a_change_of_another_view_is_refused() {
    let (before, after) = (view_of(&[("x", 1), ("y", 2)]), view_of(&[("y", 2)]));
    let delta = change(&before, &after);
    assert_eq!(view_of(&[("z", 1)]).apply(delta), None, "there is no second row to keep");
}

#[test]
fn one_vm_changes_comes_and_goes() {
    let of = |vms: &[(&str, u64)]| vm_view(&everything(&state_of(vms).join(NOW)), &identity(), "a", "x", NOW);
    let views = [of(&[("x", 1), ("y", 2)]), of(&[("x", 1), ("y", 3)]), of(&[("x", 5)]), of(&[])];
    assert!(views[0].vm.is_some() && views[3].vm.is_none());
    assert_eq!(delta::vm(&views[0], &views[1]), Outcome::Same, "another VM is nothing to this view");
    for before in &views {
        for after in &views {
            match delta::vm(before, after) {
                Outcome::Same => assert_eq!(before, after),
                Outcome::Change(change) => {
                    let mut made = before.clone();
                    made.apply(change).expect("it is a change of this view");
                    assert_eq!(made, *after);
                }
                Outcome::Other => panic!("the frame is the same"),
            }
        }
    }
}

#[test]
fn the_sources_alone() {
    let snapshot = state_of(&[("x", 1)]).join(NOW);
    let before = sources(&everything(&snapshot), &identity(), NOW);
    let mut after = before.clone();
    after.frame.ready = !before.frame.ready;
    let Outcome::Change(change) = delta::sources(&before, &after) else { panic!("readiness is a change") };
    let mut made = before.clone();
    made.apply(change).expect("it is a change of this view");
    assert_eq!(made, after);
    assert_eq!(delta::sources(&before, &before), Outcome::Same);
}

fn sent(view: &HomeView) -> HomeView {
    postcard::from_bytes(&postcard::to_allocvec(view).unwrap()).unwrap()
}

fn any_vms() -> impl Strategy<Value = Vec<(String, u64)>> {
    prop::collection::btree_map("[a-e]{1,2}", 1_u64..4, 0..12).prop_map(|vms| vms.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_change_makes_the_new_view_out_of_the_old_one(old in any_vms(), new in any_vms(), desc in any::<bool>()) {
        let of = |vms: &[(String, u64)]| {
            let names: Vec<_> = vms.iter().map(|(name, millis)| (name.as_str(), *millis)).collect();
            let mut view = view_of(&names);
            if desc { view.vms.reverse(); }
            view
        };
        let (before, after) = (of(&old), of(&new));
        match delta::home(&before, &after) {
            Outcome::Same => prop_assert_eq!(&before.vms, &after.vms),
            Outcome::Change(change) => {
                let wire = postcard::to_allocvec(&change).unwrap();
                let made = applied_to(&before, postcard::from_bytes(&wire).unwrap());
                // Words as the browser has them: what was filled in is gone.
                prop_assert_eq!(sent(&made), sent(&after));
            }
            Outcome::Other => prop_assert!(false, "the sources are the same"),
        }
    }
}

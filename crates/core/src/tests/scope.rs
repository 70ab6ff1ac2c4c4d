//! What a viewer may see.

use std::collections::BTreeMap;

use super::*;
use crate::{
    frame::Identity,
    groups,
    scope::Kinds,
    view::{self, home},
};
use model::{
    groups::GroupsQuery,
    query::{GroupBy, Query},
    source::SourceState,
    totals::Totals,
    vm::Kind,
};

const KINDS: [Kind; 3] = [Kind::Wukong, Kind::VirtualMachine, Kind::VirtualMachineInstance];

/// A scope of one kind in one namespace.
fn only(kind: Kind, namespace: &str) -> Scope {
    Scope::new(Kinds::default(), BTreeMap::from([(namespace.into(), Kinds::default().with(kind))]), false)
}

fn identity() -> Identity {
    Identity { cluster: "test".into(), demo: false, refresh: 15_000 }
}

/// Two namespaces with a VM each, on a node each; the second VM's kubelet does not answer.
fn two_tenants() -> Arc<Snapshot> {
    let mut state = state();
    add_vm(&mut state, "mine", "web", 500, GI);
    add_vm(&mut state, "theirs", "secret", 900, 4 * GI);
    Arc::new(state.join(NOW))
}

fn names(visible: &Visible) -> Vec<&str> {
    visible.vms().iter().map(|vm| vm.summary.name.as_str()).collect()
}

#[test]
fn a_row_shows_where_its_own_kind_may_be_listed() {
    let snapshot = two_tenants();
    let seen = |scope: Scope| Visible::new(&snapshot, &scope);
    assert_eq!(names(&seen(Scope::all())), ["secret", "web"]);
    assert_eq!(names(&seen(only(Kind::Wukong, "mine"))), ["web"]);
    assert!(names(&seen(only(Kind::VirtualMachine, "mine"))).is_empty(), "another kind");
    assert!(names(&seen(only(Kind::Wukong, "min"))).is_empty(), "another namespace");
    let everywhere = Scope::new(Kinds::default().with(Kind::Wukong), BTreeMap::new(), false);
    assert_eq!(names(&seen(everywhere)), ["secret", "web"]);
}

#[test]
fn a_scope_covers_what_allows_no_more() {
    let kinds = |kinds: &[Kind]| kinds.iter().fold(Kinds::default(), |all, kind| all.with(*kind));
    let of = |places: &[(&str, &[Kind])]| {
        let places = places.iter().map(|(name, of)| ((*name).into(), kinds(of))).collect();
        Scope::new(Kinds::default(), places, false)
    };
    let [wukong, machine, _] = KINDS;
    let both = of(&[("a", &[wukong, machine]), ("b", &[wukong])]);
    let everywhere = Scope::new(kinds(&[wukong]), BTreeMap::new(), false);
    let nodes = Scope::new(Kinds::default(), BTreeMap::new(), true);
    for (scope, other, covers) in [
        (&both, &both, true),
        (&both, &of(&[("a", &[wukong])]), true),
        (&of(&[("a", &[wukong])]), &both, false),
        (&of(&[("a", &[wukong, machine])]), &both, false),
        (&of(&[("a", &[machine]), ("b", &[wukong])]), &both, false),
        (&everywhere, &of(&[("a", &[wukong]), ("z", &[wukong])]), true),
        (&everywhere, &both, false),
        (&both, &everywhere, false),
        (&both, &nodes, false),
        (&Scope::all(), &nodes, true),
        (&Scope::all(), &everywhere, true),
        (&everywhere, &Scope::all(), false),
        (&both, &Scope::none(), true),
        (&Scope::none(), &both, false),
    ] {
        assert_eq!(scope.covers(other), covers, "{scope:?} {other:?}");
    }
}

#[test]
fn whatever_is_counted_or_named_is_of_rows_in_the_scope() {
    let snapshot = two_tenants();
    let visible = Visible::new(&snapshot, &only(Kind::Wukong, "mine"));
    let page = home(&visible, &identity(), &Query::default(), NOW);
    assert_eq!((page.matching, page.totals.counts.total), (1, 1));
    assert_eq!(*visible.totals(), Totals::of(visible.vms().iter().map(|vm| &**vm)));
    assert_eq!(&*page.facets.namespaces.names, ["mine"]);
    assert!(view::find(&visible, "theirs", "secret").is_none());
    let by = |by| GroupsQuery { by, ..GroupsQuery::default() };
    let named: Vec<String> =
        groups::groups(&visible, &by(GroupBy::Namespace)).into_iter().map(|g| g.name).collect();
    assert_eq!(named, ["mine"]);
    assert_eq!(groups::top(&visible, "").memory.len(), 1);
}

#[test]
fn without_nodes_a_viewer_sees_the_names_of_their_own_vms_nodes_alone() {
    let mut state = state();
    add_vm(&mut state, "mine", "web", 500, GI);
    let node = |name: &str| model::groups::Node { name: name.into(), takes_vms: true, ..Default::default() };
    state.apply(Observation::Nodes(replaced(vec![node("node-a"), node("node-of-others")])));
    let snapshot = Arc::new(state.join(NOW));
    let rows = |scope: &Scope| {
        groups::groups(
            &Visible::new(&snapshot, scope),
            &GroupsQuery { by: GroupBy::Node, ..Default::default() },
        )
    };
    assert_eq!(rows(&Scope::all()).iter().filter(|row| row.node.is_some()).count(), 2);
    let own = rows(&only(Kind::Wukong, "mine"));
    assert_eq!(own.len(), 1);
    assert!(own[0].node.is_none() && own[0].cpu.allocatable.is_none());
}

/// A watch answers whenever an object of any namespace changes.
#[test]
fn the_times_of_sources_do_not_tell_when_objects_of_others_change() {
    let times = |changed: bool| {
        let mut state = state();
        add_vm(&mut state, "mine", "web", 500, GI);
        if changed {
            state.apply(Observation::Wukongs(Change::Applied {
                item: wukong("theirs", "new"),
                at: NOW + 300,
            }));
        }
        let snapshot = Arc::new(state.join(NOW + 1_000));
        let of = |scope: Scope| {
            let visible = Visible::new(&snapshot, &scope);
            let times: Vec<_> = visible.sources().iter().map(|source| source.last_success).collect();
            (times, visible.last_seen())
        };
        (of(Scope::all()), of(only(Kind::Wukong, "mine")))
    };
    let ((all, mine), (all_changed, mine_changed)) = (times(false), times(true));
    assert_eq!(mine, mine_changed);
    assert_ne!(all, all_changed, "who sees everything sees it");
}

#[test]
fn sources_are_a_state_without_details_unless_the_viewer_may_see_everything() {
    let mut state = state();
    add_vm(&mut state, "mine", "web", 500, GI);
    state.apply(health::watch_failed(SourceId::Claims, Reason::Forbidden));
    let snapshot = Arc::new(state.join(NOW));
    let claims = |scope: &Scope| {
        let visible = Visible::new(&snapshot, scope);
        visible.sources().iter().find(|source| source.id == SourceId::Claims).cloned().unwrap()
    };
    let whole = claims(&Scope::all());
    assert!(whole.state == SourceState::Forbidden && !whole.error.is_empty() && !whole.fix.is_empty());
    for scope in [
        only(Kind::Wukong, "mine"),
        Scope::new(Kinds::ALL, BTreeMap::new(), false),
        Scope::new(Kinds::default(), BTreeMap::new(), true),
    ] {
        let part = claims(&scope);
        assert_eq!((part.state, part.reason), (whole.state, whole.reason));
        assert!(
            part.error.is_empty() && part.fix.is_empty() && part.warning.is_empty() && part.node.is_empty()
        );
    }
}

#[test]
fn equal_scopes_are_equal_whatever_way_they_were_made() {
    let of = |everywhere: &[Kind], namespaces: &[(&str, &[Kind])], nodes| {
        let kinds = |kinds: &[Kind]| kinds.iter().fold(Kinds::default(), |set, kind| set.with(*kind));
        let namespaces = namespaces.iter().map(|(name, of)| ((*name).into(), kinds(of))).collect();
        Scope::new(kinds(everywhere), namespaces, nodes)
    };
    assert_eq!(of(&KINDS, &[("a", &[Kind::Wukong])], true), Scope::all(), "nothing is left to add");
    assert_eq!(of(&[], &[("a", &[])], false), of(&[], &[], false));
    let scopes = [
        of(&[], &[], false),
        of(&[], &[], true),
        of(&KINDS, &[], false),
        of(&[], &[("a", &[Kind::Wukong])], false),
        of(&[], &[("a", &[Kind::VirtualMachine])], false),
        of(&[], &[("b", &[Kind::Wukong])], false),
        of(&[], &[("a", &[Kind::Wukong]), ("b", &[Kind::Wukong])], false),
    ];
    for (at, scope) in scopes.iter().enumerate() {
        for other in &scopes[at + 1..] {
            assert!(scope != other && scope.digest() != other.digest(), "{scope:?} {other:?}");
        }
    }
}

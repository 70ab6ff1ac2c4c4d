//! Which names are close to one that does not exist.

use super::*;
use crate::{scope::Kinds, similar::similar};

/// Each comparison takes the time of the square of the names' length, and anybody can ask for names that do not exist.
#[test]
fn names_that_are_very_long_are_not_compared() {
    let mut state = state();
    let (longest, long) = ("a".repeat(63), "b".repeat(64));
    for name in [&longest, &long] {
        add_vm(&mut state, "shop", name, 500, GI);
    }
    let snapshot = state.join(NOW);
    let found = |name: &str| similar(&everything(&snapshot), "shop", name).len();
    assert_eq!((found(&longest[1..]), found(&long[1..]), found(&long)), (1, 0, 0));
}

#[test]
fn the_closest_names_come_first_and_far_ones_not_at_all() {
    let mut state = state();
    for (namespace, name) in [
        ("shop", "web-frontend-01"),
        ("shop", "web-frontend-02"),
        ("data", "web-frontend-01"),
        ("shop", "db-postgres-0"),
        ("shop", "db"),
    ] {
        add_vm(&mut state, namespace, name, 500, GI);
    }
    let snapshot = state.join(NOW);
    let of = |namespace: &str, name: &str| {
        let found = similar(&everything(&snapshot), namespace, name);
        found.into_iter().map(|(namespace, name)| [namespace, name].join("/")).collect::<Vec<_>>()
    };
    assert_eq!(of("data", "db-postgres-0"), ["shop/db-postgres-0"], "in another namespace");
    let mistyped = ["data/web-frontend-01", "shop/web-frontend-01", "shop/web-frontend-02"];
    assert_eq!(of("data", "web-fronted-01"), mistyped);
    assert_eq!(of("shop", "web-fronted-01")[0], "shop/web-frontend-01");
    assert_eq!(of("shop", "bd"), ["shop/db"], "swapped characters are one edit");
    assert_eq!(of("shop", "kafka-broker"), [""; 0]);
    let few = Scope::new(Kinds::default(), [("data".into(), Kinds::ALL)].into(), false);
    assert_eq!(
        similar(&Visible::new(&Arc::new(snapshot), &few), "shop", "db-postgres-1"),
        [],
        "what others have is not told"
    );
}

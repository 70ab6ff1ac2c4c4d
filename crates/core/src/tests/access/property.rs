//! Random histories of rights, bindings and views.

use proptest::prelude::*;

use super::*;

/// A program that computes only the access statuses of the users to refresh has the same access statuses as one that
/// computes all of them.
#[test]
fn no_standing_changes_of_a_user_who_is_not_to_refresh() {
    let mut cluster = Cluster::new(&["a", "b", "c"], &[("ann", Some("a")), ("bob", None)]);
    let mut kept: BTreeMap<&str, Option<AccessStatus>> = BTreeMap::new();
    cluster.latency = 300;
    for round in 0..4_000 {
        match round {
            400 => drop(cluster.rights.insert(("ann".into(), Some("c".into())))),
            900 => cluster.book.observe(&snapshot(&["a", "b", "c", "d"])),
            1_500 => cluster.book.hint(Some(BindingHints::default()), cluster.now),
            2_200 => cluster.away = true,
            3_000 => cluster.rights.clear(),
            3_500 => cluster.away = false,
            _ => {}
        }
        cluster.run(if (500..3_800).contains(&round) { &["ann"] } else { &["ann", "bob"] }, TICK);
        let names = cluster.users_to_refresh();
        for name in ["ann", "bob"] {
            // Computing an access status marks it as fresh, so it is computed in a copy of the book.
            let of = |book: &mut AccessBook| book.access_status(&user(name), cluster.now);
            if names.iter().any(|of| of == name) {
                kept.insert(name, of(&mut cluster.book));
            }
            let without_until = |access_status: Option<AccessStatus>| {
                access_status.map(|of| AccessStatus { until: None, ..of })
            };
            let fresh = without_until(of(&mut cluster.book.clone()));
            assert_eq!(without_until(kept[name].clone()), fresh, "{name} in round {round}");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Grant(usize, usize),
    Revoke(usize, usize),
    Away(bool),
    Look(usize, Millis),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3usize, 0..5usize).prop_map(|(who, of)| Step::Grant(who, of)),
        (0..3usize, 0..5usize).prop_map(|(who, of)| Step::Revoke(who, of)),
        any::<bool>().prop_map(Step::Away),
        (0..3usize, 1..90_000i64).prop_map(|(who, time)| Step::Look(who, time)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens, nobody sees a namespace that they had no right to in the last five minutes, or in
    /// the last minute while the API server answers.
    #[test]
    fn no_scope_outlives_its_right(steps in prop::collection::vec(step(), 1..20)) {
        const USERS: [&str; 3] = ["ann", "bob", "eve"];
        const NAMESPACES: [&str; 4] = ["a", "b", "c", "d"];
        let mut cluster = Cluster::new(&NAMESPACES, &[]);
        let mut revoked: BTreeMap<Right, Millis> = BTreeMap::new();
        let mut away = NOW - ALLOW_ENDS_WAITING;
        for step in steps {
            let right = |who: usize, of: usize| (USERS[who].to_owned(), NAMESPACES.get(of).map(|name| (*name).to_owned()));
            match step {
                Step::Grant(who, of) => drop(cluster.rights.insert(right(who, of))),
                Step::Revoke(who, of) => {
                    if cluster.rights.remove(&right(who, of)) {
                        revoked.insert(right(who, of), cluster.now);
                    }
                }
                Step::Away(is) => cluster.away = is,
                Step::Look(who, time) => cluster.run(&[USERS[who]], time / 1_000 * 1_000 + 1_000),
            }
            if cluster.away {
                away = cluster.now;
            }
            for name in USERS {
                let Some(access_status) = cluster.book.access_status(&user(name), cluster.now) else { continue };
                for namespace in NAMESPACES {
                    if !access_status.scope.allows(Kind::Wukong, namespace) {
                        continue;
                    }
                    let limit = if cluster.now - away < ALLOW_ENDS_WAITING { ALLOW_ENDS_WAITING } else { ALLOW_ENDS };
                    let had = [Some(namespace.to_owned()), None].into_iter().any(|of| {
                        let right = (name.to_owned(), of);
                        cluster.rights.contains(&right)
                            || revoked.get(&right).is_some_and(|at| cluster.now - at <= limit + TICK + cluster.latency)
                    });
                    prop_assert!(had, "{name} sees {namespace}");
                }
            }
        }
    }
}

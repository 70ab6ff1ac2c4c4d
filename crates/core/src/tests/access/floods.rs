//! Bindings that change without end, and API servers that do not answer, leave what is known as it is.

use super::*;

/// Binds these users in these namespaces.
fn bound(bindings: &[(&str, &[&str])], role: &str) -> Option<BindingHints> {
    let mut hints = BindingHints::default();
    for (namespace, users) in bindings {
        let subjects = users.iter().map(|name| Subject::User((*name).into()));
        hints.add(Some((*namespace).into()), subjects, role);
    }
    Some(hints)
}

#[test]
fn what_was_answered_stays_checked_while_it_is_asked_again() {
    let mut cluster = Cluster::new(&["a", "b"], &[("ann", Some("a"))]);
    let both: [(&str, &[&str]); 2] = [("a", &["ann"]), ("b", &["ann"])];
    cluster.book.hint(bound(&both, "1"), cluster.now);
    cluster.run(&["ann"], 2_000);
    cluster.latency = 500;
    for role in ["2", "3", "4"] {
        cluster.book.hint(bound(&both, role), cluster.now);
        for _ in 0..20 {
            assert!(cluster.access_status("ann").is_complete(), "{:?}", cluster.access_status("ann"));
            cluster.run(&["ann"], TICK);
        }
    }
    assert!(cluster.asked(6_000) > 6, "it is asked again");
}

/// A list would have a gap that nobody asked about.
#[test]
fn what_was_never_answered_is_not_checked_once_a_binding_hints_at_it() {
    let mut cluster = Cluster::new(&["a", "b"], &[("ann", Some("b"))]);
    cluster.book.hint(Some(BindingHints::default()), cluster.now);
    cluster.book.see(&user("ann"), cluster.now);
    cluster.latency = 300;
    while !cluster.access_status("ann").is_complete() {
        cluster.run(&["ann"], TICK);
    }
    cluster.book.observe(&snapshot(&["a", "b", "c"]));
    cluster.rights.insert(("ann".into(), Some("c".into())));
    cluster.book.hint(bound(&[("c", &["ann"])], "1"), cluster.now);
    for _ in 0..30 {
        assert_eq!(cluster.access_status("ann").is_complete(), cluster.sees("ann", "c"));
        cluster.run(&["ann"], TICK);
    }
    assert!(cluster.sees("ann", "c"));
}

#[test]
fn known_users_stay_complete_for_five_minutes_while_the_api_server_does_not_answer() {
    for hints in [None, Some(BindingHints::default()), bound(&[("a", &["ann"]), ("b", &["ann"])], "1")] {
        let mut cluster = Cluster::new(&["a", "b", "c"], &[("ann", Some("a"))]);
        cluster.book.hint(hints, cluster.now);
        cluster.run(&["ann"], 5_000);
        cluster.away = true;
        let end = cluster.now + ALLOW_ENDS_WAITING - 45_000;
        while cluster.now < end {
            cluster.run(&["ann"], TICK);
            let access_status = cluster.access_status("ann");
            assert!(access_status.is_complete() && cluster.sees("ann", "a"), "{access_status:?}");
        }
    }
}

/// A binding that concerned the user changed just before the API server went away.
#[test]
fn an_allow_that_waits_to_be_asked_again_stands_while_the_api_server_does_not_answer() {
    let names: Vec<String> = (0..40).map(|n| format!("user-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rights: Vec<_> = names.iter().map(|name| (*name, Some("a"))).collect();
    let mut cluster = Cluster::new(&["a"], &rights);
    cluster.book.hint(bound(&[("a", &names)], "1"), cluster.now);
    cluster.run(&names, 5_000);
    cluster.away = true;
    cluster.book.hint(bound(&[("a", &names)], "2"), cluster.now);
    cluster.run(&names, 200_000);
    for name in names {
        assert!(cluster.sees(name, "a") && cluster.access_status(name).is_complete(), "{name}");
    }
}

/// 300 users of one namespace each, who are all bound in another that changes four times a second.
#[test]
fn a_right_is_revoked_in_two_seconds_while_bindings_of_everybody_change() {
    let names: Vec<String> = (0..300).map(|n| format!("user-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let of_all = names.iter().flat_map(|name| [(*name, Some("all")), (*name, Some("own"))]);
    let mut cluster = Cluster::new(&["all", "own"], &of_all.collect::<Vec<_>>());
    cluster.book.hint(bound(&[("all", &names), ("own", &names)], "1"), cluster.now);
    cluster.run(&names, 120_000);
    let without: Vec<&str> = names.iter().copied().filter(|name| *name != "user-7").collect();
    for change in 0..120 {
        let of_own = if change < 80 { &names } else { &without };
        if change == 80 {
            cluster.rights.remove(&("user-7".into(), Some("own".into())));
        }
        let of_all: &[&str] = if change % 2 == 0 { &[] } else { &names };
        cluster.book.hint(bound(&[("all", of_all), ("own", of_own)], "1"), cluster.now);
        cluster.run(&names, 300);
        let incomplete = names.iter().filter(|name| !cluster.access_status(name).is_complete()).count();
        assert_eq!(incomplete, 0, "after {change} changes");
        assert!(change < 87 || !cluster.sees("user-7", "own"), "revoked {change}");
    }
}

/// A tenant may make any number of service accounts.
#[test]
fn accounts_of_one_namespace_push_nobody_else_out() {
    let mut book = AccessBook::default();
    let account = |n: usize| user(&format!("system:serviceaccount:greedy:{n}"));
    let others = ["ann".to_owned(), "system:serviceaccount:shop:robot".to_owned()];
    others.iter().for_each(|name| book.see(&user(name), NOW));
    for n in 0..MOST_VIEWERS + 10 {
        book.see(&account(n), NOW + 1 + n as Millis);
    }
    for name in &others {
        assert!(book.access_status(&user(name), NOW).is_some(), "{name}");
    }
    assert!(book.access_status(&account(0), NOW).is_none());
    // People do not count together: the one who looked first makes room.
    let mut book = AccessBook::default();
    for n in 0..=MOST_VIEWERS {
        book.see(&user(&format!("person-{n}")), NOW + n as Millis);
    }
    assert!(book.access_status(&user("person-0"), NOW).is_none());
    assert!(book.access_status(&user("person-1"), NOW).is_some());
}

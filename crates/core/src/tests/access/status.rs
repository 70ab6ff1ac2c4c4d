//! What is told of a user's access status: how much of it is known, and when it is to be computed again.

use super::*;

/// The last questions are under way while nothing is left to ask.
#[test]
fn a_place_counts_as_checked_when_its_review_is_answered() {
    let mut cluster = Cluster::new(&["a", "b"], &[("ann", Some("b"))]);
    cluster.latency = 500;
    for _ in 0..30 {
        cluster.run(&["ann"], TICK);
        assert_eq!(cluster.access_status("ann").is_complete(), cluster.sees("ann", "b"));
    }
    assert!(cluster.sees("ann", "b"));
}

/// The sweep asks again about what was denied, and a denial may be old.
#[test]
fn a_standing_stays_complete_while_the_sweep_asks() {
    let names: Vec<String> = (0..100).map(|n| format!("ns-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for hints in [None, Some(BindingHints::default())] {
        let mut cluster = Cluster::new(&names, &[("ann", Some("ns-3"))]);
        cluster.book.hint(hints, cluster.now);
        cluster.latency = 150;
        cluster.run(&["ann"], 4_000);
        for _ in 0..100 {
            cluster.run(&["ann"], TICK);
            assert!(cluster.access_status("ann").is_complete(), "{:?}", cluster.access_status("ann"));
        }
        assert!(cluster.asked(5_000) > 0, "the sweep goes on");
    }
}

/// What was checked before the API server went away counts until it is back.
#[test]
fn a_standing_stays_complete_while_the_sweep_is_not_answered() {
    let names: Vec<String> = (0..100).map(|n| format!("ns-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for hints in [None, Some(BindingHints::default())] {
        let mut cluster = Cluster::new(&names, &[("ann", None)]);
        cluster.rights.clear();
        cluster.book.hint(hints, cluster.now);
        cluster.run(&["ann"], 4_000);
        cluster.away = true;
        for _ in 0..300 {
            cluster.run(&["ann"], TICK);
            assert!(cluster.access_status("ann").is_complete(), "{:?}", cluster.access_status("ann"));
        }
    }
}

#[test]
fn without_hints_every_namespace_is_asked_about_once_and_progress_is_told() {
    let namespaces: Vec<String> = (0..600).map(|n| format!("ns-{n}")).collect();
    let namespaces: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    let mut cluster = Cluster::new(&namespaces, &[("ann", Some("ns-599"))]);
    cluster.latency = 5;
    cluster.run(&["ann"], 2_000);
    let begun = cluster.access_status("ann");
    assert!(begun.checked > 0 && begun.checked < 600 && begun.places == 600, "{begun:?}");
    cluster.run(&["ann"], 8_000);
    assert!(cluster.access_status("ann").is_complete() && cluster.sees("ann", "ns-599"));
}

#[test]
fn a_user_is_refreshed_when_they_are_new_answered_urged_or_forgotten() {
    let mut cluster = Cluster::new(&["a"], &[("ann", Some("a"))]);
    let bound = |version: &str| {
        let mut hints = BindingHints::default();
        hints.add(Some("a".into()), [Subject::User("ann".into())], version);
        Some(hints)
    };
    cluster.book.hint(bound("1"), cluster.now);
    assert!(cluster.users_to_refresh().is_empty());
    cluster.book.see(&user("ann"), cluster.now);
    cluster.book.see(&user("bob"), cluster.now);
    assert_eq!(cluster.users_to_refresh(), ["ann", "bob"], "new");
    assert_eq!(
        cluster.users_to_refresh(),
        ["ann", "bob"],
        "as long as their access statuses are not computed"
    );
    cluster.access_status("ann");
    assert_eq!(cluster.users_to_refresh(), ["bob"]);
    cluster.run(&["ann", "bob"], 4_000);
    assert_eq!(cluster.users_to_refresh(), ["ann", "bob"], "answered");
    cluster.access_status("ann");
    cluster.access_status("bob");
    assert!(cluster.users_to_refresh().is_empty());
    cluster.book.hint(bound("2"), cluster.now);
    assert_eq!(cluster.users_to_refresh(), ["ann"], "urged");
    cluster.access_status("ann");
    cluster.book.observe(&snapshot(&["a", "b"]));
    assert_eq!(cluster.users_to_refresh(), ["ann", "bob"], "another place");
    cluster.access_status("ann");
    cluster.access_status("bob");
    cluster.book.observe(&snapshot(&["a", "b"]));
    assert!(cluster.users_to_refresh().is_empty(), "the same places");
    cluster.book.hint(None, cluster.now);
    assert_eq!(cluster.users_to_refresh(), ["ann", "bob"], "no hints");
    cluster.run(&["ann"], FORGET_AFTER);
    cluster.access_status("ann");
    assert!(cluster.book.access_status(&user("bob"), cluster.now).is_none());
    assert_eq!(cluster.users_to_refresh(), ["bob"], "forgotten");
    assert!(cluster.users_to_refresh().is_empty());
}

#[test]
fn a_user_is_refreshed_when_an_allow_ends_or_becomes_late() {
    let mut cluster = Cluster::new(&["a"], &[("ann", Some("a"))]);
    cluster.run(&["ann"], 2_000);
    cluster.access_status("ann");
    cluster.away = true;
    // Its renewal begins to wait, and changes nothing yet.
    cluster.run(&["ann"], 50_000);
    assert!(!cluster.access_status("ann").is_late);
    let mut changes = Vec::new();
    while cluster.now < NOW + ALLOW_ENDS_WAITING + 10_000 {
        cluster.run(&["ann"], 1_000);
        // Answers that failed are not what is tested here.
        cluster.latency = Millis::MAX / 4;
        if !cluster.users_to_refresh().is_empty() {
            let access_status = cluster.access_status("ann");
            changes.push((access_status.is_late, access_status.scope.allows(Kind::Wukong, "a")));
        }
    }
    changes.dedup();
    assert_eq!(changes, [(false, true), (true, true), (false, false)]);
}

/// Who may make service accounts in a namespace can make many.
#[test]
fn service_accounts_of_one_namespace_share_a_turn() {
    let namespaces: Vec<String> = (0..300).map(|n| format!("ns-{n}")).collect();
    let namespaces: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    let mut cluster = Cluster::new(&namespaces, &[("ann", Some("ns-7"))]);
    let accounts: Vec<String> = (0..100).map(|n| format!("system:serviceaccount:evil:a-{n}")).collect();
    let mut users: Vec<&str> = accounts.iter().map(String::as_str).collect();
    cluster.run(&users, 10_000);
    users.push("ann");
    cluster.run(&users, 10_000);
    assert!(cluster.access_status("ann").is_complete() && cluster.sees("ann", "ns-7"));
    let other = "system:serviceaccount:good:web";
    users.push(other);
    cluster.run(&users, 10_000);
    assert!(cluster.access_status(other).is_complete());
    cluster.run(&users, 300_000);
    assert!(users.iter().all(|user| cluster.access_status(user).is_complete()), "each has its turn");
}

#[test]
fn it_counts_what_waits_and_who_is_late() {
    let mut cluster = Cluster::new(&["a", "b"], &[("ann", Some("a")), ("bob", Some("b"))]);
    let counts = |cluster: &Cluster| cluster.book.counts(cluster.now);
    assert_eq!((counts(&cluster).users, counts(&cluster).namespaces), (0, 2));
    for name in ["ann", "bob"] {
        cluster.book.see(&user(name), cluster.now);
    }
    // The four questions about the whole cluster, and the two namespaces.
    assert_eq!((counts(&cluster).users, counts(&cluster).waiting), (2, 12));
    cluster.run(&["ann", "bob"], 2_000);
    assert_eq!((counts(&cluster).waiting, counts(&cluster).late), (0, 0));
    cluster.away = true;
    cluster.run(&["ann"], 61_000);
    let away = counts(&cluster);
    assert!(away.late == 2 && away.waiting > 0, "{away:?}");
    cluster.away = false;
    cluster.run(&["ann"], 70_000);
    assert_eq!((counts(&cluster).waiting, counts(&cluster).late, counts(&cluster).users), (0, 0, 1));
}

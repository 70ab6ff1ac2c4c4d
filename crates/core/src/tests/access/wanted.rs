//! The right to list Events, which is asked about only for one VM's page.

use super::*;

impl Cluster {
    fn may_list_events(&mut self, name: &str, namespace: &str) -> Option<bool> {
        self.book.may_list_events(&user(name), namespace, self.now)
    }

    /// Questions about Events that were asked so far.
    fn asked_about_events(&self) -> usize {
        self.log.iter().filter(|(_, question)| question.resource == ReviewedResource::Events).count()
    }
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::new(&["a", "b"], &[("ann", None), ("bob", Some("a"))]);
    cluster.run(&["ann", "bob"], 2_000);
    cluster
}

#[test]
fn a_right_is_asked_about_only_when_it_is_needed() {
    let mut cluster = cluster();
    cluster.events_of("ann", "a");
    assert_eq!(cluster.asked_about_events(), 0);
    assert_eq!(cluster.may_list_events("ann", "a"), None);
    assert_eq!(cluster.may_list_events("bob", "a"), None);
    cluster.run(&["ann", "bob"], 500);
    assert_eq!(cluster.may_list_events("ann", "a"), Some(true));
    assert_eq!(cluster.may_list_events("bob", "a"), Some(false), "who sees the VMs need not see Events");
    cluster.run(&["ann", "bob"], 30_000);
    assert_eq!((cluster.may_list_events("ann", "a"), cluster.asked_about_events()), (Some(true), 2));
    assert_eq!(cluster.may_list_events("carl", "a"), None, "one who did not look");
}

#[test]
fn an_answer_ends_after_a_minute_and_a_revoked_right_with_it() {
    let mut cluster = cluster();
    cluster.events_of("ann", "a");
    cluster.may_list_events("ann", "a");
    cluster.run(&["ann"], 500);
    cluster.events.clear();
    assert_eq!(cluster.may_list_events("ann", "a"), Some(true));
    cluster.run(&["ann"], ALLOW_ENDS);
    assert_eq!(cluster.may_list_events("ann", "a"), None, "what is not answered is not allowed");
    cluster.run(&["ann"], 500);
    assert_eq!(cluster.may_list_events("ann", "a"), Some(false));
    cluster.run(&["ann"], 3 * ALLOW_ENDS);
    assert_eq!(cluster.asked_about_events(), 2, "nobody needs it any more");
}

#[test]
fn a_binding_that_changes_is_asked_about_at_once() {
    let mut cluster = cluster();
    let bind = |role: &str| {
        let mut hints = BindingHints::default();
        hints.add(Some("a".into()), [Subject::User("ann".into())], role);
        Some(hints)
    };
    cluster.book.hint(bind("one"), cluster.now);
    cluster.events_of("ann", "a");
    cluster.may_list_events("ann", "a");
    cluster.run(&["ann"], 500);
    cluster.events.clear();
    cluster.book.hint(bind("other"), cluster.now);
    assert_eq!(cluster.may_list_events("ann", "a"), None);
    cluster.run(&["ann"], 500);
    assert_eq!(cluster.may_list_events("ann", "a"), Some(false));
}

#[test]
fn while_the_api_server_is_away_nothing_is_allowed_and_it_is_asked_again() {
    let mut cluster = cluster();
    cluster.events_of("ann", "a");
    cluster.away = true;
    cluster.may_list_events("ann", "a");
    cluster.run(&["ann"], 5_000);
    assert_eq!(cluster.may_list_events("ann", "a"), None);
    cluster.away = false;
    cluster.run(&["ann"], 3_000);
    assert_eq!(cluster.may_list_events("ann", "a"), Some(true));
}

#[test]
fn a_script_that_opens_every_vm_stays_within_its_budget_and_its_memory() {
    let names: Vec<String> = (0..200).map(|n| format!("n{n}")).collect();
    let namespaces: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut cluster = Cluster::new(&namespaces, &[("script", None)]);
    cluster.run(&["script"], 2_000);
    let before = cluster.log.len();
    for namespace in &namespaces {
        cluster.now += 1;
        cluster.may_list_events("script", namespace);
    }
    cluster.run(&["script"], 10_000);
    assert_eq!(cluster.asked_about_events(), 32, "the last of them");
    assert!(cluster.log.len() - before < 60, "{}", cluster.log.len() - before);
    let first = cluster.log.iter().position(|(_, of)| of.resource == ReviewedResource::Events).unwrap();
    let within = cluster.log[first..].iter().take_while(|(at, _)| *at < cluster.log[first].0 + 1_000);
    assert!(within.count() <= 2 * 20 + 8, "a second's worth, and what was saved");
    assert_eq!(cluster.may_list_events("script", "n0"), None, "forgotten, and asked again");
}

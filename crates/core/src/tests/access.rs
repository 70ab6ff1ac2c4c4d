//! Reviews and what they let people see: a model of an API server answers, and time is an argument.

mod floods;
mod property;
mod status;
mod wanted;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;
use crate::access::{
    ACTIVE_FOR, ALLOW_ENDS, ALLOW_ENDS_WAITING, AccessBook, AccessStatus, BindingHints, Decision,
    FORGET_AFTER, MOST_VIEWERS, Question, REVIEWS_A_SECOND, REVIEWS_AT_ONCE, Review, ReviewedResource,
    SWEEP_A_SECOND, Subject, UserInfo,
};
use model::vm::Kind;

/// A right: of a user, to list rows of Wukongs in a namespace, or in all.
type Right = (String, Option<String>);

/// An API server that answers within `latency`, and the program that asks it every tenth of a second.
struct Cluster {
    book: AccessBook,
    rights: BTreeSet<Right>,
    /// Who may list the Events of which namespace.
    events: BTreeSet<(String, String)>,
    away: bool,
    latency: Millis,
    now: Millis,
    under_way: VecDeque<(Millis, Review)>,
    /// Every review that was asked, by time.
    log: Vec<(Millis, Question)>,
}

const TICK: Millis = 100;

fn user(name: &str) -> Arc<UserInfo> {
    Arc::new(UserInfo { name: name.into(), ..UserInfo::default() })
}

/// A snapshot with a Wukong in each namespace.
fn snapshot(namespaces: &[&str]) -> Snapshot {
    let mut cluster = state();
    for namespace in namespaces {
        cluster.apply(Observation::Wukongs(applied(wukong(namespace, "vm"))));
    }
    cluster.join(NOW)
}

impl Cluster {
    fn new(namespaces: &[&str], rights: &[(&str, Option<&str>)]) -> Self {
        let mut book = AccessBook::default();
        book.observe(&snapshot(namespaces));
        let rights = rights.iter().map(|(user, of)| ((*user).to_owned(), of.map(str::to_owned)));
        Self {
            book,
            rights: rights.collect(),
            events: BTreeSet::new(),
            away: false,
            latency: 20,
            now: NOW,
            under_way: VecDeque::new(),
            log: Vec::new(),
        }
    }

    fn decision(&self, review: &Review) -> Decision {
        let namespace = review.question.namespace.as_ref().map(|name| name.to_string());
        let has = |of: Option<String>| self.rights.contains(&(review.user.name.clone(), of));
        let may =
            review.question.resource == ReviewedResource::Rows(Kind::Wukong) && (has(None) || has(namespace));
        let may = match (review.question.resource, &review.question.namespace) {
            (ReviewedResource::Events, Some(namespace)) => {
                self.events.contains(&(review.user.name.clone(), namespace.to_string()))
            }
            _ => may,
        };
        match (self.away, may) {
            (true, _) => Decision::Failed,
            (false, true) => Decision::Allowed,
            (false, false) => Decision::Denied,
        }
    }

    /// Lets a user list the Events of a namespace.
    fn events_of(&mut self, user: &str, namespace: &str) {
        self.events.insert((user.to_owned(), namespace.to_owned()));
    }

    /// Lets time pass while these users look once a second.
    fn run(&mut self, users: &[&str], time: Millis) {
        let end = self.now + time;
        while self.now < end {
            if (self.now - NOW) % 1_000 == 0 {
                users.iter().for_each(|name| self.book.see(&user(name), self.now));
            }
            for review in self.book.next(self.now) {
                self.log.push((self.now, review.question.clone()));
                self.under_way.push_back((self.now + self.latency, review));
                assert!(self.under_way.len() <= REVIEWS_AT_ONCE);
            }
            self.now += TICK;
            while self.under_way.front().is_some_and(|(at, _)| *at <= self.now) {
                let Some((_, review)) = self.under_way.pop_front() else { break };
                let decision = self.decision(&review);
                self.book.answered(review, decision, self.now);
            }
        }
    }

    fn access_status(&mut self, name: &str) -> AccessStatus {
        self.book.access_status(&user(name), self.now).expect("the user looked")
    }

    fn sees(&mut self, name: &str, namespace: &str) -> bool {
        self.access_status(name).scope.allows(Kind::Wukong, namespace)
    }

    /// Returns the users to refresh, by name.
    fn users_to_refresh(&mut self) -> Vec<String> {
        let users = self.book.users_to_refresh(self.now);
        let mut names: Vec<_> = users.iter().map(|user| user.name.clone()).collect();
        names.sort();
        names
    }

    /// Reviews that were asked in the last `time`.
    fn asked(&self, time: Millis) -> usize {
        self.log.iter().filter(|(at, _)| *at >= self.now - time).count()
    }
}

#[test]
fn nobody_sees_anything_before_kubernetes_has_allowed_it() {
    let mut cluster = Cluster::new(&["a"], &[("ann", Some("a"))]);
    cluster.book.see(&user("ann"), cluster.now);
    let access_status = cluster.access_status("ann");
    assert!(!access_status.scope.allows(Kind::Wukong, "a") && !access_status.is_complete());
    cluster.run(&["ann"], 2_000);
    assert!(cluster.sees("ann", "a") && cluster.access_status("ann").is_complete());
    assert!(cluster.book.access_status(&user("bob"), cluster.now).is_none());
}

#[test]
fn a_user_sees_the_namespaces_that_they_may_list_and_no_other() {
    let mut cluster =
        Cluster::new(&["a", "b", "c"], &[("ann", Some("a")), ("ann", Some("c")), ("bob", Some("b"))]);
    cluster.run(&["ann", "bob"], 3_000);
    let mut seen = |name: &str| ["a", "b", "c"].map(|namespace| cluster.sees(name, namespace));
    assert_eq!(seen("ann"), [true, false, true]);
    assert_eq!(seen("bob"), [false, true, false]);
}

#[test]
fn one_who_may_list_everything_of_a_kind_costs_a_review_per_resource_and_minute() {
    let namespaces: Vec<String> = (0..500).map(|n| format!("ns-{n}")).collect();
    let namespaces: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    let mut cluster = Cluster::new(&namespaces, &[("root", None)]);
    cluster.run(&["root"], 120_000);
    assert!(cluster.sees("root", "ns-7") && cluster.access_status("root").is_complete());
    assert!(cluster.asked(60_000) <= 8, "{} reviews in a minute", cluster.asked(60_000));
}

#[test]
fn an_allow_ends_after_a_minute_when_the_right_is_gone() {
    let mut cluster = Cluster::new(&["a"], &[("ann", Some("a"))]);
    cluster.run(&["ann"], 2_000);
    cluster.rights.clear();
    cluster.run(&["ann"], ALLOW_ENDS);
    assert!(!cluster.sees("ann", "a"));
}

#[test]
fn a_changed_binding_is_asked_about_within_two_seconds() {
    let mut cluster = Cluster::new(&["a", "b"], &[("ann", Some("a"))]);
    let bound = |namespaces: &[&str]| {
        let mut hints = BindingHints::default();
        for name in namespaces {
            hints.add(Some((*name).into()), [Subject::User("ann".into())], name);
        }
        Some(hints)
    };
    cluster.book.hint(bound(&["a"]), cluster.now);
    cluster.run(&["ann"], 2_000);
    assert!(cluster.sees("ann", "a"));
    cluster.rights.clear();
    cluster.book.hint(bound(&[]), cluster.now);
    cluster.run(&["ann"], 2_000);
    assert!(!cluster.sees("ann", "a"), "revoked");
    cluster.rights.insert(("ann".into(), Some("b".into())));
    cluster.book.hint(bound(&["b"]), cluster.now);
    cluster.run(&["ann"], 2_000);
    assert!(cluster.sees("ann", "b"), "granted");
}

#[test]
fn a_binding_of_a_group_and_of_the_whole_cluster_hints_too() {
    let ann = Arc::new(UserInfo { name: "ann".into(), groups: vec!["team".into()], ..UserInfo::default() });
    let mut cluster = Cluster::new(&["a"], &[("ann", None)]);
    cluster.book.hint(Some(BindingHints::default()), cluster.now);
    cluster.book.see(&ann, cluster.now);
    cluster.run(&[], 2_000);
    assert!(cluster.book.access_status(&ann, cluster.now).unwrap().scope.allows(Kind::Wukong, "a"));
    cluster.rights.clear();
    let mut hints = BindingHints::default();
    hints.add(None, [Subject::Group("team".into())], "1");
    cluster.book.hint(Some(hints), cluster.now);
    cluster.run(&[], 2_000);
    assert!(!cluster.book.access_status(&ann, cluster.now).unwrap().scope.allows(Kind::Wukong, "a"));
}

#[test]
fn while_the_api_server_is_away_allows_stand_for_five_minutes_and_it_is_asked_once_a_second() {
    let mut cluster = Cluster::new(&["a"], &[("ann", Some("a"))]);
    cluster.run(&["ann"], 2_000);
    cluster.away = true;
    cluster.run(&["ann"], ALLOW_ENDS + 10_000);
    assert!(cluster.sees("ann", "a") && cluster.access_status("ann").is_late);
    assert!(cluster.asked(10_000) <= 11, "{} probes in ten seconds", cluster.asked(10_000));
    cluster.run(&["ann"], ALLOW_ENDS_WAITING - ALLOW_ENDS);
    assert!(!cluster.sees("ann", "a"), "it closes");
    cluster.away = false;
    cluster.run(&["ann"], 5_000);
    assert!(cluster.sees("ann", "a") && !cluster.access_status("ann").is_late, "it opens again");
}

/// A review that was sent before the binding changed says what held before.
#[test]
fn a_binding_that_changes_while_it_is_asked_about_is_asked_about_again() {
    for place in [None, Some("a")] {
        let mut cluster = Cluster::new(&["a"], &[("ann", place)]);
        let bound = |version: &str| {
            let mut hints = BindingHints::default();
            hints.add(place.map(Into::into), [Subject::User("ann".into())], version);
            Some(hints)
        };
        cluster.book.hint(bound("1"), cluster.now);
        cluster.run(&["ann"], 2_000);
        cluster.book.hint(bound("2"), cluster.now);
        let asked = cluster.book.next(cluster.now);
        assert!(!asked.is_empty(), "{place:?}");
        cluster.rights.clear();
        cluster.book.hint(bound("3"), cluster.now);
        for review in asked {
            cluster.book.answered(review, Decision::Allowed, cluster.now);
        }
        cluster.run(&["ann"], 2_000);
        assert!(!cluster.sees("ann", "a"), "{place:?}");
    }
}

#[test]
fn a_question_that_is_urged_while_it_is_asked_is_renewed_once_a_period() {
    let mut cluster = Cluster::new(&["a"], &[("ann", Some("a"))]);
    cluster.run(&["ann"], 2_000);
    cluster.latency = 500;
    for version in 0..20 {
        let mut hints = BindingHints::default();
        hints.add(Some("a".into()), [Subject::User("ann".into())], &version.to_string());
        cluster.book.hint(Some(hints), cluster.now);
        // Every second change comes while the review of the one before is under way.
        cluster.run(&["ann"], if version % 2 == 0 { TICK } else { 2_000 });
    }
    cluster.run(&["ann"], 120_000);
    let of_a = cluster
        .log
        .iter()
        .filter(|(at, question)| *at > cluster.now - 80_000 && question.namespace.is_some());
    assert!(of_a.clone().count() <= 3, "{} renewals in 80 s", of_a.count());
}

#[test]
fn nobody_is_asked_about_who_does_not_look_and_their_allows_end() {
    let mut cluster = Cluster::new(&["a"], &[("ann", Some("a"))]);
    cluster.run(&["ann"], 2_000);
    cluster.run(&[], ACTIVE_FOR + ALLOW_ENDS);
    assert_eq!(cluster.asked(50_000), 0);
    cluster.book.see(&user("ann"), cluster.now);
    let access_status = cluster.access_status("ann");
    assert!(!access_status.scope.allows(Kind::Wukong, "a"), "it is asked again before anything shows");
    cluster.run(&["ann"], 1_000);
    assert!(cluster.sees("ann", "a"));
}

#[test]
fn an_allow_that_ended_counts_as_not_checked_until_it_is_answered_again() {
    for (place, checked) in [(None, 0), (Some("a"), 1)] {
        for hints in [None, Some(BindingHints::default())] {
            let mut cluster = Cluster::new(&["a", "b"], &[("ann", place)]);
            cluster.book.hint(hints, cluster.now);
            cluster.run(&["ann"], 2_000);
            assert!(cluster.sees("ann", "a") && cluster.access_status("ann").is_complete(), "{place:?}");
            cluster.run(&[], ACTIVE_FOR + ALLOW_ENDS);
            cluster.book.see(&user("ann"), cluster.now);
            let access_status = cluster.access_status("ann");
            assert!(!access_status.is_complete(), "{place:?} {access_status:?}");
            assert_eq!((access_status.checked, access_status.places), (checked, 2), "{place:?}");
            cluster.run(&["ann"], 1_000);
            assert!(cluster.sees("ann", "a") && cluster.access_status("ann").is_complete(), "{place:?}");
        }
    }
}

#[test]
fn one_who_loses_a_right_everywhere_keeps_their_namespaces() {
    let names: Vec<String> = (0..200).map(|n| format!("ns-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut bound = BindingHints::default();
    bound.add(Some("ns-150".into()), [Subject::User("ann".into())], "1");
    for (hints, limit) in [(Some(bound), 1_000), (None, 4_000)] {
        let mut cluster = Cluster::new(&names, &[("ann", None), ("ann", Some("ns-150"))]);
        cluster.book.hint(hints, cluster.now);
        cluster.run(&["ann"], 4_000);
        assert!(cluster.sees("ann", "ns-150"));
        cluster.rights.remove(&("ann".into(), None));
        while cluster.sees("ann", "ns-7") {
            cluster.run(&["ann"], TICK);
            assert_eq!(cluster.access_status("ann").is_complete(), cluster.sees("ann", "ns-150"));
        }
        cluster.run(&["ann"], limit);
        assert!(cluster.sees("ann", "ns-150") && cluster.access_status("ann").is_complete(), "{limit}");
    }
}

#[test]
fn a_namespace_that_comes_later_is_asked_about_without_a_binding() {
    let mut cluster = Cluster::new(&["a"], &[("ann", Some("later"))]);
    cluster.run(&["ann"], 2_000);
    cluster.book.observe(&snapshot(&["a", "later"]));
    cluster.run(&["ann"], 2_000);
    assert!(cluster.sees("ann", "later"));
}

#[test]
fn many_users_in_many_namespaces_stay_within_the_budget_and_all_get_their_turn() {
    let namespaces: Vec<String> = (0..200).map(|n| format!("ns-{n}")).collect();
    let names: Vec<String> = (0..50).map(|n| format!("user-{n}")).collect();
    let rights: Vec<(&str, Option<&str>)> =
        names.iter().zip(&namespaces).map(|(name, of)| (name.as_str(), Some(of.as_str()))).collect();
    let namespaces: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    let mut cluster = Cluster::new(&namespaces, &rights);
    let mut hints = BindingHints::default();
    for (name, of) in &rights {
        hints.add(Some(of.unwrap().into()), [Subject::User((*name).into())], "1");
    }
    cluster.book.hint(Some(hints), cluster.now);
    let users: Vec<&str> = names.iter().map(String::as_str).collect();
    cluster.run(&users, 10_000);
    assert!(rights.iter().all(|(name, of)| cluster.sees(name, of.unwrap())), "hinted rights come first");
    cluster.run(&users, 60_000);
    for second in (NOW..cluster.now).step_by(1_000) {
        let within = cluster.log.iter().filter(|(at, _)| (second..second + 1_000).contains(at)).count();
        assert!(within <= 2 * REVIEWS_A_SECOND as usize, "{within} in a second");
    }
    // 250 renewals a minute, and the sweep.
    let most = 350 * 60 / 40 + 60 * SWEEP_A_SECOND as usize;
    assert!(cluster.asked(60_000) <= most, "{} of {most}", cluster.asked(60_000));
}

/// 200 users of 30 namespaces each are more renewals than the budget has.
#[test]
fn one_who_comes_late_or_loses_a_right_waits_for_nobodys_renewals() {
    let namespaces: Vec<String> = (0..31).map(|n| format!("ns-{n}")).collect();
    let names: Vec<String> = (0..200).map(|n| format!("user-{n}")).collect();
    let of_each = names
        .iter()
        .flat_map(|name| namespaces[..30].iter().map(move |of| (name.as_str(), Some(of.as_str()))));
    let rights: Vec<_> = of_each.chain([("late", Some("ns-30")), ("late", Some("ns-0"))]).collect();
    let namespaces: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    let mut cluster = Cluster::new(&namespaces, &rights);
    let mut users: Vec<&str> = names.iter().map(String::as_str).collect();
    cluster.run(&users, 180_000);
    users.push("late");
    cluster.run(&users, 5_000);
    assert!(cluster.access_status("late").is_complete() && cluster.sees("late", "ns-30"));
    let mut hints = BindingHints::default();
    hints.add(Some("ns-0".into()), [Subject::User("late".into())], "1");
    cluster.book.hint(Some(hints), cluster.now);
    cluster.run(&users, 2_000);
    cluster.rights.remove(&("late".into(), Some("ns-0".into())));
    cluster.book.hint(Some(BindingHints::default()), cluster.now);
    cluster.run(&users, 2_000);
    assert!(!cluster.sees("late", "ns-0"));
    cluster.run(&users, 120_000);
    let all = names.iter().all(|name| namespaces[..30].iter().all(|of| cluster.sees(name, of)));
    assert!(all, "nobody loses a right for lack of budget");
}

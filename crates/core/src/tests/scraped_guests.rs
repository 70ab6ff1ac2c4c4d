//! What guests do according to Prometheus, where their virt-handler cannot be asked.

use super::*;
use i18n::Render;
use model::{
    activity::{Activity, GuestActivity, Traffic},
    figure::Missing,
    rates::{DriveRates, GuestRates, InterfaceRates, OperationRates, Rate, TrafficRates},
};

use crate::choose;

const MINUTE: Millis = 60 * SECOND;

fn rates(bytes: u64) -> GuestRates {
    let traffic = TrafficRates { bytes: Some(Rate(bytes)), ..TrafficRates::default() };
    let operations =
        OperationRates { bytes: Some(Rate(bytes)), operations: Some(Rate(1000)), latency: Some(7) };
    GuestRates {
        window_ms: 45_000,
        contention: Some(12_500),
        interfaces: [InterfaceRates { name: "default".into(), receive: traffic, transmit: traffic }].into(),
        drives: [DriveRates { name: "root".into(), read: operations, write: operations }].into(),
        ..GuestRates::default()
    }
}

/// What Prometheus says of `a/web` on this node.
fn scraped(node: &str, at: Millis, bytes: u64) -> Observation {
    let guest = ScrapedGuest {
        instance: Key::new("a", "web-vm"),
        node: node.into(),
        at,
        trusted_time: true,
        rates: Some(rates(bytes).into()),
    };
    let guests = ScrapedGuests { guests: [guest].into(), ..ScrapedGuests::default() };
    let sample = InstanceSample {
        namespace: "a".into(),
        name: "web-vm".into(),
        guest_available: Some(4 * GI),
        guest_usable: Some(3 * GI),
        at,
        ..InstanceSample::default()
    };
    let facts = PrometheusFacts { guests, instances: vec![sample], ..PrometheusFacts::default() };
    Observation::Prometheus { at, result: Ok(facts) }
}

/// What the virt-handler of `n1` says of `a/web`: it receives 3 bytes a second.
fn counted(at: Millis, seconds: u64) -> Observation {
    let traffic = TrafficCounters { bytes: Some(seconds * 3), ..TrafficCounters::default() };
    let interface = InterfaceCounters { name: "default".into(), receive: traffic, transmit: traffic };
    let counters = GuestCounters { interfaces: vec![interface], ..GuestCounters::default() };
    let instance = Key::new("a", "web-vm");
    let guest = GuestFacts { instance, memory: GuestMemory::default(), migration: None, counters };
    let facts = GuestsFacts { guests: vec![guest], contention_since: None };
    Observation::Guests { node: "n1".into(), at, result: Ok(facts) }
}

fn with_web() -> ClusterState {
    let mut state = state();
    state.limits.virt_handler = true;
    add_vm(&mut state, "a", "web", 100, GI);
    state
}

fn at(state: &mut ClusterState, now: Millis) -> Result<GuestActivity, Missing> {
    match &find(&state.join(now), "a", "web").activity {
        Activity::Known(known) => Ok((**known).clone()),
        Activity::Missing(missing) => Err((**missing).clone()),
    }
}

/// The nodes that Prometheus is asked for.
fn asked(state: &mut ClusterState, now: Millis) -> Vec<String> {
    state.join(now).targets.uncounted.iter().map(ToString::to_string).collect()
}

fn traffic(rate: u64) -> Result<Traffic, Box<Missing>> {
    Ok(Traffic { receive: Rate(rate), transmit: Rate(rate), uncounted: 0 })
}

#[test]
fn prometheus_stands_in_for_a_virt_handler_that_cannot_be_asked() {
    let mut state = with_web();
    let refusal = SourceError { reason: Reason::Unreachable, detail: "closed".into() };
    state.apply(Observation::Guests { node: "n1".into(), at: NOW, result: Err(refusal) });
    assert_eq!(at(&mut state, NOW).unwrap_err().reason, Reason::Unreachable);
    state.apply(scraped("n1", NOW, 5_000));
    let known = at(&mut state, NOW).unwrap();
    assert_eq!((known.source, known.at, known.window_ms), (Source::Prometheus, NOW, 45_000));
    assert_eq!((known.network, known.network_from), (traffic(5_000), None));
    assert_eq!((known.contention, known.memory.map(|of| of.used)), (Ok(12_500), Ok(GI)));
    assert_eq!(known.storage.unwrap().read.latency, Some(7));
    assert_eq!(known.swap.unwrap_err().reason, Reason::NotReported);
    let snapshot = state.join(NOW);
    assert_eq!(asked(&mut state, NOW), ["n1"]);
    let details = crate::details::details(&find(&snapshot, "a", "web"), &[]);
    assert!(details.drives.iter().any(|drive| drive.name == "root" && drive.rates.is_ok()));
}

#[test]
fn a_virt_handler_that_answers_decides_and_prometheus_is_not_asked() {
    let mut state = with_web();
    assert_eq!(asked(&mut state, NOW), ["n1"], "nobody has answered yet");
    for minute in 0..=4 {
        let at = NOW + minute * MINUTE;
        state.apply(scraped("n1", at, 5_000));
        if minute < 2 {
            state.apply(counted(at, 60 * minute as u64));
        }
    }
    let known = at(&mut state, NOW + 4 * MINUTE).unwrap();
    assert_eq!((known.source, known.network), (Source::VirtHandler, traffic(3_000)));
    assert!(known.storage.is_err(), "nothing of another source is mixed in");
    assert!(asked(&mut state, NOW + 4 * MINUTE).is_empty());
    let old = at(&mut state, NOW + 4 * MINUTE + SECOND).unwrap();
    assert_eq!((old.source, old.stale, old.network), (Source::Prometheus, false, traffic(5_000)));
    assert_eq!(asked(&mut state, NOW + 4 * MINUTE + SECOND), ["n1"]);
    let older = at(&mut state, NOW + 9 * MINUTE).unwrap();
    assert_eq!((older.source, older.stale), (Source::VirtHandler, true), "both are old");
    state.apply(counted(NOW + 9 * MINUTE, 60 * 9));
    let again = at(&mut state, NOW + 9 * MINUTE).unwrap();
    assert_eq!((again.source, again.stale), (Source::VirtHandler, false));
}

#[test]
fn the_series_of_another_node_say_nothing_about_this_run() {
    let mut state = with_web();
    state.limits.virt_handler = false;
    state.apply(scraped("n2", NOW, 5_000));
    assert_eq!(at(&mut state, NOW).unwrap_err().reason, Reason::NotReported);
    state.apply(scraped("n1", NOW, 5_000));
    assert!(at(&mut state, NOW).is_ok());
    state.apply(Observation::Instances(applied(instance("a", "web-vm", "n2"))));
    assert_eq!(at(&mut state, NOW).unwrap_err().reason, Reason::NotReported, "it has moved");
}

#[test]
fn without_any_source_the_reason_is_that_of_the_first_configured_one() {
    let mut state = with_web();
    state.limits.virt_handler = false;
    let missing = at(&mut state, NOW).unwrap_err();
    assert_eq!(missing.reason, Reason::NotConfigured);
    assert!(missing.fix.english().contains("--kubevirt-namespace"), "{}", missing.fix.english());
    state.apply(Observation::Prometheus { at: NOW, result: Err(refused(Reason::TimedOut)) });
    let missing = at(&mut state, NOW).unwrap_err();
    assert_eq!(missing.reason, Reason::TimedOut);
    assert!(missing.fix.english().contains("Prometheus"), "{}", missing.fix.english());
    let gap = ScrapedGuests { gap: Some(refused(Reason::TooLarge)), ..ScrapedGuests::default() };
    let facts = PrometheusFacts { guests: gap, ..PrometheusFacts::default() };
    state.apply(Observation::Prometheus { at: NOW, result: Ok(facts) });
    assert_eq!(at(&mut state, NOW).unwrap_err().reason, Reason::TooLarge);
    state.apply(scraped("n1", NOW, 5_000));
    state.apply(Observation::Prometheus { at: NOW, result: Err(refused(Reason::TimedOut)) });
    for (minutes, want) in [(3, Ok(false)), (4, Ok(true)), (20, Ok(true)), (21, Err(Reason::TimedOut))] {
        let known = at(&mut state, NOW + minutes * MINUTE);
        assert_eq!(known.map(|known| known.stale).map_err(|missing| missing.reason), want, "{minutes}");
    }
}

/// Each source of a guest: its traffic and whether that is old, or why it has none.
#[test]
fn the_first_fresh_source_counts_then_the_first_old_one() {
    let known = |rate: u64, stale: bool| {
        let mut state = with_web();
        state.apply(scraped("n1", NOW, rate));
        Ok(GuestActivity { stale, ..at(&mut state, NOW).unwrap() })
    };
    let fails = |reason: Reason| Err(Missing::from(reason));
    let chosen = |sources: &[&Result<GuestActivity, Missing>]| {
        let chosen = choose::first(sources.iter().map(|source| (*source).clone()));
        chosen.map(|known| known.network.unwrap().receive.0).map_err(|missing| missing.reason)
    };
    let (one, two) = (known(1, false), known(2, false));
    let (old_one, old_two) = (known(1, true), known(2, true));
    let (silent, off) = (fails(Reason::TimedOut), fails(Reason::NotConfigured));
    assert_eq!(chosen(&[&one, &two]), Ok(1));
    assert_eq!(chosen(&[&old_one, &two]), Ok(2), "an old figure loses to a fresh one");
    assert_eq!(chosen(&[&old_one, &old_two]), Ok(1));
    assert_eq!(chosen(&[&silent, &old_two]), Ok(2));
    assert_eq!(chosen(&[&silent, &two]), Ok(2));
    assert_eq!(chosen(&[&old_one, &silent]), Ok(1));
    assert_eq!(chosen(&[&silent, &off]), Err(Reason::TimedOut));
    assert_eq!(chosen(&[&off, &silent]), Err(Reason::TimedOut));
    assert_eq!(chosen(&[&off, &off]), Err(Reason::NotConfigured));
    let fresh = std::iter::once(one.clone()).chain(std::iter::from_fn(|| panic!("it is not needed")));
    assert!(choose::first(fresh).is_ok());
}

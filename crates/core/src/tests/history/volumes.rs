//! What is kept of each volume: only of the volume itself, and of one layer.

use super::*;
use crate::history::MOST_VOLUMES;
use model::{activity_history::AmountPoint, vm::Volume};

fn kept(amount: u64) -> Option<u64> {
    AmountPoint::of(amount).amount()
}

/// A volume called `data`, of this claim, that the kubelet measured at `at`.
pub fn volume(claim: &str, at: Millis, used: u64) -> Volume {
    let sample = model::figure::Sample {
        unit: Unit::Bytes,
        used,
        of: 100 * GI,
        at,
        window_ms: 0,
        source: Source::KubeletProxy,
        basis: Basis::Own,
        stale: false,
    };
    Volume {
        name: "data".into(),
        claim: claim.into(),
        size: None,
        block: false,
        storage_class: String::new(),
        backing: 0,
        source: SourceId::Kubelet,
        usage: Figure::Known(sample),
        readings: Vec::new(),
    }
}

fn with_sample(volume: Volume, change: impl FnOnce(&mut model::figure::Sample)) -> Volume {
    let mut sample = *volume.usage.sample().unwrap();
    change(&mut sample);
    Volume { usage: Figure::Known(sample), ..volume }
}

fn vm(uid: &str, volumes: Vec<Volume>) -> Arc<Vm> {
    Arc::new(Vm { volumes, ..vm_of(uid, missing(), missing(), missing()) })
}

fn record_volumes(store: &HistoryStore, volumes: Vec<Volume>, now: Millis) {
    store.record(&[vm("u", volumes)], &limits(), now);
}

/// The last points of the day of this volume; nothing if it has no history.
fn last_of(store: &HistoryStore, volume: &Volume, count: usize, now: Millis) -> Vec<Option<u64>> {
    let histories = store.history("u", std::slice::from_ref(volume), Span::Day, now).volumes;
    let Some(history) = histories.first() else { return Vec::new() };
    assert_eq!((&history.name, &history.claim), (&volume.name, &volume.claim));
    let points = &history.used.series.points;
    points[points.len() - count..].iter().map(|point| point.amount()).collect()
}

const FIVE: Millis = 5 * MINUTE;

#[test]
fn each_volume_has_its_own_day_and_its_last_point_is_what_usage_says() {
    let store = HistoryStore::default();
    let mut now = START;
    for step in 0..3 {
        now = START + step * FIVE;
        let used = 40 * GI + step as u64 * GI;
        record_volumes(&store, vec![volume("root", now, used / 2), volume("data", now, used)], now);
    }
    assert_eq!(
        last_of(&store, &volume("data", now, 1), 4, now),
        [None, kept(40 * GI), kept(41 * GI), kept(42 * GI)]
    );
    assert_eq!(last_of(&store, &volume("root", now, 1), 1, now), [kept(21 * GI)]);
    let hour = store.history("u", &[volume("data", now, 1)], Span::Hour, now).volumes.remove(0);
    assert_eq!((hour.used.series.points.len(), hour.used.series.step), (12, 300_000));
    assert_eq!((hour.used.source, hour.used.series.newest()), (Some(Source::KubeletProxy), kept(42 * GI)));
}

#[test]
fn a_claim_that_is_created_again_is_another_volume() {
    let store = HistoryStore::default();
    let backed = |backing, at, used| Volume { backing, ..volume("data", at, used) };
    record_volumes(&store, vec![backed(7, START, 80 * GI)], START);
    // For a moment claims cannot be read.
    record_volumes(&store, vec![backed(0, START + FIVE, 81 * GI)], START + FIVE);
    let now = START + 2 * FIVE;
    assert_eq!(last_of(&store, &backed(7, now, 0), 2, START + FIVE), [kept(80 * GI), kept(81 * GI)]);
    record_volumes(&store, vec![backed(8, now, GI)], now);
    assert_eq!(last_of(&store, &backed(8, now, GI), 3, now), [None, None, kept(GI)]);
}

#[test]
fn a_volume_of_another_claim_under_the_same_name_begins_anew() {
    let store = HistoryStore::default();
    record_volumes(&store, vec![volume("old", START, 80 * GI)], START);
    let now = START + FIVE;
    record_volumes(&store, vec![volume("new", now, GI)], now);
    assert_eq!(last_of(&store, &volume("new", now, GI), 2, now), [None, kept(GI)]);
}

#[test]
fn two_layers_are_never_one_line() {
    let store = HistoryStore::default();
    let of = |source, at, used| with_sample(volume("data", at, used), |sample| sample.source = source);
    let at = |step: Millis| START + step * FIVE;
    record_volumes(&store, vec![of(Source::KubeletDirect, at(0), 90 * GI)], at(0));
    record_volumes(&store, vec![of(Source::GuestAgent, at(1), 30 * GI)], at(1));
    let inside = of(Source::GuestAgent, at(1), 0);
    assert_eq!(last_of(&store, &inside, 2, at(1)), [None, kept(30 * GI)]);
    record_volumes(&store, vec![of(Source::KubeletProxy, at(2), 91 * GI)], at(2));
    let outside = of(Source::KubeletProxy, at(2), 0);
    assert_eq!(last_of(&store, &outside, 3, at(2)), [kept(90 * GI), None, kept(91 * GI)]);
    let unknown = Volume { usage: missing(), ..outside };
    assert_eq!(last_of(&store, &unknown, 1, at(2)), [kept(91 * GI)], "what was measured last");
}

#[test]
fn a_time_in_which_the_figure_was_missing_or_stale_is_not_bridged() {
    for interrupted in [Some(missing()), None] {
        let store = HistoryStore::default();
        record_volumes(&store, vec![volume("data", START, GI)], START);
        let between = match interrupted {
            Some(usage) => Volume { usage, ..volume("data", START, GI) },
            None => with_sample(volume("data", START, GI), |sample| sample.stale = true),
        };
        record_volumes(&store, vec![between], START + FIVE);
        let now = START + 2 * FIVE;
        record_volumes(&store, vec![volume("data", now, 2 * GI)], now);
        assert_eq!(last_of(&store, &volume("data", now, 0), 3, now), [kept(GI), None, kept(2 * GI)]);
    }
    let store = HistoryStore::default();
    record_volumes(&store, vec![volume("data", START, GI)], START);
    let now = START + 2 * FIVE;
    record_volumes(&store, vec![volume("data", now, 2 * GI)], now);
    let bridged = [kept(GI), kept(2 * GI), kept(2 * GI)];
    assert_eq!(last_of(&store, &volume("data", now, 0), 3, now), bridged, "the interval was a little longer");
}

#[test]
fn the_first_volumes_of_a_vm_have_a_history_and_what_is_gone_makes_room() {
    let store = HistoryStore::default();
    let many =
        |prefix: &str, now| (0..20).map(|n| volume(&format!("{prefix}-{n}"), now, GI)).collect::<Vec<_>>();
    record_volumes(&store, many("a", START), START);
    let histories = store.history("u", &many("a", START), Span::Day, START).volumes;
    assert_eq!(histories.len(), MOST_VOLUMES);
    let bytes = store.bytes();
    for round in 1..50 {
        let now = START + round * MINUTE;
        record_volumes(&store, many(&format!("b{round}"), now), now);
    }
    let now = START + 49 * MINUTE;
    assert_eq!(store.history("u", &many("b49", now), Span::Day, now).volumes.len(), MOST_VOLUMES);
    assert_eq!(store.history("u", &many("a", now), Span::Day, now).volumes.len(), 0);
    assert!(store.bytes() < bytes + 1_000, "{} and before {bytes}", store.bytes());
}

/// Each VM is assured of two volumes; the rest comes out of one pool.
#[test]
fn vms_with_many_volumes_take_none_of_the_others() {
    let store = HistoryStore::default();
    let volumes = |now| (0..8).map(|n| volume(&format!("c{n}"), now, GI)).collect::<Vec<_>>();
    let vms: Vec<_> = (0..4_000).map(|n| vm(&format!("u{n}"), volumes(START))).collect();
    store.record(&vms, &limits(), START);
    let kept = |uid: &str, now| store.history(uid, &volumes(now), Span::Day, now).volumes.len();
    let all: usize = (0..4_000).map(|n| kept(&format!("u{n}"), START)).sum();
    assert_eq!(all, 4_000 * 2 + 20_000);
    assert_eq!((kept("u0", START), kept("u3999", START)), (8, 2));
    let now = START + 25 * HOUR;
    let next = vm("next", volumes(now));
    store.record(std::slice::from_ref(&next), &limits(), now);
    assert_eq!(kept("next", now), 2);
    store.forget(now);
    store.record(&[next], &limits(), now + MINUTE);
    assert_eq!(kept("next", now + MINUTE), 8, "those that are gone leave their places");
}

//! What a long-term history's answer says of a VM, and in which pieces it is asked for.

use super::{
    history::{HOUR, MINUTE, START, figure, missing, vm_of},
    *,
};
use crate::{
    backfill::{BackfillPlan, fill},
    history::HistoryStore,
    long_term::{
        LongTermAnswer, Times, VmSelection, empty_history, history, not_configured, select_vm, times,
    },
    observation::SourceError,
};
use model::{
    activity_history::AmountPoint,
    figure::{Basis, Figure, Unit},
    history::{Series, Span},
    vm::Volume,
};

const TIMES: Times = Times { from: START, step: 30 * MINUTE, count: 3 };

fn volume(claim: &str, source: Source) -> Volume {
    let sample = model::figure::Sample {
        unit: Unit::Bytes,
        used: 1,
        of: 2,
        at: START,
        window_ms: 0,
        source,
        basis: Basis::Own,
        stale: false,
    };
    Volume {
        name: claim.into(),
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

fn vm(volumes: Vec<Volume>) -> Vm {
    Vm {
        volumes,
        vm_name: "web-vm".into(),
        ..vm_of("web", figure(START, 1, 0), figure(START, 1, 0), missing())
    }
}

fn key(name: &str) -> Key {
    Key::new("a", name)
}

fn recording() -> LongTermAnswer {
    LongTermAnswer {
        cpu: [(key("web-vm"), vec![Some(500), None, Some(1_500)])].into(),
        memory: [(key("web-vm"), vec![Some(0), Some(10), Some(20)])].into(),
        used: [
            (key("root"), vec![Some(10), Some(20), Some(30)]),
            (key("data"), vec![None, Some(30), Some(20)]),
        ]
        .into(),
        capacity: [(key("root"), vec![Some(100); 3]), (key("data"), vec![Some(100), Some(100), Some(0)])]
            .into(),
        activity: std::array::from_fn(|figure| {
            [(key("web-vm"), vec![Some(figure as u64), None, Some(1_000 * figure as u64)])].into()
        }),
        failures: Vec::new(),
    }
}

fn tenths(series: &Series) -> Vec<Option<u32>> {
    series.points.iter().map(|point| point.tenths()).collect()
}

#[test]
fn amounts_become_shares_of_what_is_allocated_today() {
    let vm = vm(vec![volume("root", Source::KubeletProxy)]);
    let reported = history(&vm, Span::Week, TIMES, &Ok(recording()));
    assert_eq!(tenths(&reported.cpu), [Some(500), None, Some(1_500)]);
    assert_eq!(tenths(&reported.memory), [Some(0), Some(10), Some(20)]);
    assert_eq!(tenths(&reported.disk), [Some(100), Some(200), Some(300)]);
    assert_eq!((reported.cpu.start, reported.cpu.step), (START - 30 * MINUTE, 1_800_000));
    assert_eq!(reported.lacks, None);
}

#[test]
fn a_sum_of_disks_is_known_only_where_each_of_them_is() {
    let both = vm(vec![volume("root", Source::KubeletProxy), volume("data", Source::Prometheus)]);
    assert_eq!(tenths(&history(&both, Span::Week, TIMES, &Ok(recording())).disk), [None, Some(250), None]);
    let backend = vm(vec![volume("root", Source::KubeletProxy), volume("data", Source::Longhorn)]);
    let reported = history(&backend, Span::Week, TIMES, &Ok(recording()));
    assert_eq!(tenths(&reported.disk), [None; 3], "a layer that has no past here");
    let VmSelection::One { claims, instance, namespace } = select_vm(&backend) else { panic!() };
    assert_eq!((claims, instance, namespace), (vec!["root".to_owned()], "web-vm".into(), "a".into()));
}

#[test]
fn what_an_earlier_vm_of_the_name_did_is_not_this_ones() {
    let vm = Vm { created: START + 1, ..vm(Vec::new()) };
    assert_eq!(tenths(&history(&vm, Span::Week, TIMES, &Ok(recording())).cpu), [None, None, Some(1_500)]);
}

#[test]
fn a_vm_created_in_the_future_has_its_past() {
    let vm = Vm { created: START + 86_400_000, ..vm(Vec::new()) };
    let reported = history(&vm, Span::Week, TIMES, &Ok(recording()));
    assert_eq!(tenths(&reported.cpu), [Some(500), None, Some(1_500)]);
}

#[test]
fn hugepages_and_an_unreadable_allocation_have_no_past() {
    let mut vm = vm(Vec::new());
    vm.summary.usage.memory = Figure::Missing(Reason::Hugepages.into());
    vm.summary.cpu = None;
    let reported = history(&vm, Span::Week, TIMES, &Ok(recording()));
    assert_eq!((reported.cpu.stats(), reported.memory.stats()), (None, None));
}

#[test]
fn an_empty_chart_says_why() {
    let vm = vm(Vec::new());
    let failed = Err(SourceError { reason: Reason::TimedOut, detail: "late".into() });
    let reasons = [
        (history(&vm, Span::Week, TIMES, &failed), Reason::TimedOut),
        (history(&vm, Span::Week, TIMES, &Ok(LongTermAnswer::default())), Reason::NotReported),
        (empty_history(Span::Month, START, not_configured()), Reason::NotConfigured),
    ];
    for (reported, reason) in reasons {
        let lacks = reported.lacks.unwrap();
        assert_eq!(lacks.reason, reason);
        assert!(!lacks.fix.is_empty() && !lacks.detail.is_empty(), "{lacks:?}");
        assert!(reported.cpu.points.len() > 2 && reported.cpu.stats().is_none());
    }
}

#[test]
fn what_a_guest_did_and_its_images_have_a_past_in_their_own_units() {
    let volumes = vec![volume("root", Source::KubeletProxy), volume("data", Source::Longhorn)];
    let vm = Vm { created: START + MINUTE, ..vm(volumes) };
    let reported = history(&vm, Span::Week, TIMES, &Ok(recording()));
    for (figure, of) in reported.activity.iter().enumerate() {
        let amounts: Vec<_> = of.series.points.iter().map(|point| point.amount()).collect();
        let kept = AmountPoint::of(1_000 * figure as u64).amount();
        assert_eq!(amounts, [None, None, kept], "the first is another VM's");
        assert_eq!((of.source, of.series.step), (Some(Source::Prometheus), 1_800_000));
    }
    let [root] = &reported.volumes[..] else { panic!("the other layer has no past: {:?}", reported.volumes) };
    assert_eq!((root.claim.as_str(), root.used.series.newest()), ("root", Some(30)));
    let empty = empty_history(Span::Week, START, not_configured());
    assert!(empty.activity.iter().all(|of| of.source.is_none() && of.series.points.len() == 336));
}

#[test]
fn a_span_ends_at_its_last_whole_step() {
    for span in Span::ALL {
        let times = times(span, START + 1);
        assert_eq!(times.count as Millis * span.step(), span.millis());
        assert!(
            times.last() <= START && times.last() > START - span.step() && times.last() % span.step() == 0
        );
    }
}

#[test]
fn a_day_is_asked_for_in_pieces_the_newest_first() {
    let now = START + 7 * MINUTE + 3_000;
    for (vms, most) in [(1, 96), (10_000, 12), (1_000_000, 4)] {
        let mut plan = BackfillPlan::new(now, vms);
        let (mut hour, mut day, mut before) = (Vec::new(), Vec::new(), now);
        while let Some(times) = plan.next_piece() {
            assert!(times.count <= most && times.last() <= before, "{times:?}");
            before = times.from - times.step;
            let kept = if times.step == MINUTE { &mut hour } else { &mut day };
            kept.extend((0..times.count).map(|n| times.at(n)));
        }
        hour.sort_unstable();
        day.sort_unstable();
        let end = START + 5 * MINUTE;
        let minutes: Vec<Millis> = (1..=62).map(|n| end - HOUR + n * MINUTE).collect();
        assert_eq!(hour, minutes, "up to the last whole minute");
        let fives: Vec<Millis> = (1..=276).map(|n| end - 24 * HOUR + n * 5 * MINUTE).collect();
        assert_eq!(day, fives);
    }
}

#[test]
fn a_piece_that_failed_is_asked_for_again_and_smaller_if_it_was_too_much() {
    let mut plan = BackfillPlan::new(START, 1);
    let first = plan.next_piece().unwrap();
    plan.again(first, false);
    assert_eq!(plan.next_piece(), Some(first));
    plan.again(first, true);
    let half = plan.next_piece().unwrap();
    assert_eq!((half.count, half.last(), half.step), (48, first.last(), first.step));
    let rest = plan.next_piece().unwrap();
    assert_eq!(rest.last(), half.from - half.step);
    assert_eq!(rest.from, first.from);
}

#[test]
fn all_vms_are_filled_at_once() {
    let store = HistoryStore::default();
    let vms = vec![Arc::new(vm(vec![volume("root", Source::KubeletProxy)]))];
    store.record(&vms, &limits(), START);
    let snapshot = Snapshot { vms, ..Snapshot::default() };
    let times = Times { from: START - HOUR, step: 5 * MINUTE, count: 3 };
    fill(&store, &snapshot, &recording(), times);
    let reported = store.history("web", &[], Span::Day, START);
    let at = |series: &Series, n: usize| series.points[287 - 13 + n].tenths();
    assert_eq!([0, 1, 2].map(|n| at(&reported.cpu, n)), [Some(500), None, Some(1_500)]);
    assert_eq!([0, 1, 2].map(|n| at(&reported.disk, n)), [Some(100), Some(200), Some(300)]);
}

//! Which VMs are forgotten, and how much memory the history takes.

use super::*;

#[test]
fn a_vm_that_is_gone_is_forgotten_after_a_day_and_its_successor_begins_again() {
    let store = HistoryStore::default();
    record(&store, START, 100, 15_000, START);
    let next = Arc::new(vm_of("next", figure(START + MINUTE, 700, 15_000), missing(), missing()));
    store.record(std::slice::from_ref(&next), &limits(), START + MINUTE);
    assert_eq!(store.history("next", &[], Span::Hour, START + MINUTE).cpu.stats().unwrap().known, 1);
    store.record(std::slice::from_ref(&next), &limits(), START + 23 * HOUR);
    store.forget(START + 23 * HOUR);
    assert_eq!(store.len(), 2);
    store.record(&[next], &limits(), START + 24 * HOUR);
    store.forget(START + 24 * HOUR);
    assert_eq!(store.len(), 1);
    assert_eq!(store.history("u", &[], Span::Day, START + HOUR).cpu.stats(), None);
}

#[test]
fn vms_that_are_made_and_deleted_in_a_loop_leave_a_bounded_past() {
    let store = HistoryStore::default();
    let vm = |n: usize| Arc::new(vm_of(&format!("vm-{n}"), missing(), missing(), missing()));
    let churn: Vec<_> = (0..10_000).map(vm).collect();
    store.record(&churn[..5000], &limits(), START);
    store.record(&churn[5000..], &limits(), START + MINUTE);
    let lives = [vm(10_000)];
    store.record(&lives, &limits(), START + HOUR);
    store.forget(START + HOUR);
    assert_eq!(store.len(), 1 + 5000, "what went last is kept");
    store.record(&lives, &limits(), START + 2 * HOUR);
    store.forget(START + 3 * HOUR);
    assert!(store.len() > 1, "the newest snapshot counts: this program may have been suspended");
}

#[test]
fn vms_that_are_present_are_kept_however_many_they_are() {
    let store = HistoryStore::default();
    assert!(store.is_empty());
    // Each was seen at some time within the last minute, so none counts as deleted.
    for n in 0..4_500 {
        let vm = vm_of(&format!("u{n}"), figure(START, 100, 0), missing(), missing());
        store.record(&[Arc::new(vm)], &limits(), START + n);
    }
    store.forget(START + MINUTE);
    assert_eq!((store.len(), store.is_empty()), (4_500, false));
}

/// VMs whose grids of CPU, memory and disk are full, each recorded with what `vm` gives it.
fn full_store(vms: &[Arc<Vm>]) -> HistoryStore {
    let store = HistoryStore::default();
    store.record(vms, &limits(), START);
    let points: Vec<(Millis, Point)> =
        (0..600).map(|n| (START - n * 5 * MINUTE, Point::from_tenths(n as u64))).collect();
    let fine: Vec<(Millis, Point)> =
        (0..60).map(|n| (START - n * MINUTE, Point::from_tenths(n as u64))).collect();
    for vm in vms {
        store.fill(&vm.uid, Resource::Disk, MINUTE, &fine);
        store.fill(&vm.uid, Resource::Disk, 5 * MINUTE, &points);
    }
    store
}

#[test]
fn cpu_memory_and_disk_of_ten_thousand_vms_fit_into_forty_megabytes() {
    let vms: Vec<Arc<Vm>> = (0..100)
        .map(|n| Arc::new(vm_of(&format!("{n:036}"), figure(START, 1, 0), missing(), missing())))
        .collect();
    let store = HistoryStore::default();
    store.record(&vms, &limits(), START);
    let young = store.bytes();
    assert!(young < 100 * 1_500, "a young VM holds {} bytes", young / 100);
    let store = full_store(&vms);
    let each = store.bytes() / vms.len();
    // The newest five minutes have just begun: CPU alone is known of them.
    assert_eq!(store.history(&vms[0].uid, &[], Span::Day, START).disk.stats().unwrap().known, 287);
    println!("{each} bytes a VM");
    assert!((3_168..3_800).contains(&each), "{each} bytes a VM");
}

#[test]
fn all_figures_and_two_volumes_of_ten_thousand_vms_fit_into_120_megabytes() {
    let vm = |n: usize, at: Millis| {
        let volumes = ["root", "data"].map(|claim| super::volumes::volume(claim, at, GI)).to_vec();
        let activity = model::activity::Activity::Known(Box::new(super::activity::guest(at, 60, 1_000)));
        let vm = vm_of(&format!("{n:036}"), figure(START, 1, 0), missing(), missing());
        Arc::new(Vm { activity, volumes, ..vm })
    };
    let vms: Vec<Arc<Vm>> = (0..20).map(|n| vm(n, START)).collect();
    let store = full_store(&vms);
    let now = START + 25 * HOUR;
    for at in (START..=now).step_by(MINUTE as usize) {
        let vms: Vec<Arc<Vm>> = (0..20).map(|n| vm(n, at)).collect();
        store.record(&vms, &limits(), at);
    }
    let history = store.history(&vms[0].uid, &vms[0].volumes, Span::Day, now);
    let known = |of: &model::activity_history::AmountHistory| of.series.stats().unwrap().known;
    assert_eq!((known(&history.activity[0]), known(&history.volumes[1].used)), (288, 288));
    let each = store.bytes() / vms.len();
    println!("{each} bytes a VM");
    assert!((10_000..11_500).contains(&each), "{each} bytes a VM");
}

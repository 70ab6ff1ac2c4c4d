//! What a VM's own page shows of its devices.

use super::*;
use crate::{details::details, frame::Identity, view};
use i18n::{Lang, Localize};
use model::{
    activity::{Activity, GuestActivity, Part},
    details::{Condition, GuestSystem, Migration},
    figure::Missing,
    rates::{DriveRates, GuestRates, InterfaceRates, OperationRates, Rate, TrafficRates},
};

fn interface(name: &str, is_sriov: bool) -> InstanceInterface {
    InstanceInterface {
        name: name.into(),
        guest_name: "eth0".into(),
        mac: "02:00:00:00:00:01".into(),
        addresses: ["10.0.0.5".into(), "fd00::5".into()].into(),
        is_sriov,
    }
}

fn disk(name: &str, claim: &str) -> InstanceDisk {
    InstanceDisk { name: name.into(), claim: claim.into(), ..InstanceDisk::default() }
}

fn received(name: &str, bytes: Option<u64>) -> InterfaceRates {
    let receive = TrafficRates { bytes: bytes.map(Rate), ..TrafficRates::default() };
    InterfaceRates { name: name.into(), receive, transmit: TrafficRates::default() }
}

fn read(name: &str, bytes: Option<u64>) -> DriveRates {
    let read = OperationRates { bytes: bytes.map(Rate), ..OperationRates::default() };
    DriveRates { name: name.into(), read, write: OperationRates::default() }
}

fn known(rates: Option<GuestRates>) -> Activity {
    let reason = if rates.is_some() { Reason::NotReported } else { Reason::FirstSample };
    let missing = || Box::new(Missing::from(reason));
    Activity::Known(Box::new(GuestActivity {
        source: Source::VirtHandler,
        at: NOW,
        window_ms: 60_000,
        stale: false,
        memory: Err(missing()),
        swap: Err(missing()),
        major_faults: Err(missing()),
        network: Err(missing()),
        network_from: None,
        storage: Err(missing()),
        contention: Err(missing()),
        migration: None,
        rates: rates.map(Arc::new),
    }))
}

/// The VM `a/web` with a bridge, an SR-IOV card, a root disk and a cloud-init disk.
fn vm_with(activity: Activity) -> Vm {
    let mut state = state();
    add_vm(&mut state, "a", "web", 100, GI);
    let mut vm = Vm::clone(&web(&mut state));
    let details = InstanceDetails {
        disks: [disk("root", "web-root"), disk("init", "")].into(),
        interfaces: [interface("default", false), interface("fast", true)].into(),
        ..InstanceDetails::default()
    };
    (vm.activity, vm.instance) = (activity, Some(details.into()));
    vm
}

/// Each device by its name, with what was received or read of it, or why that is missing.
fn devices(activity: Activity) -> Vec<(String, Result<Option<u64>, Reason>)> {
    fn of<T>(rates: &Part<T>, bytes: impl Fn(&T) -> Option<Rate>) -> Result<Option<u64>, Reason> {
        rates.as_ref().map(|rates| bytes(rates).map(|rate| rate.0)).map_err(|missing| missing.reason)
    }
    let details = details(&vm_with(activity), &[]);
    let interfaces = details
        .interfaces
        .iter()
        .map(|device| (device.name.clone(), of(&device.rates, |of| of.receive.bytes)));
    let drives =
        details.drives.iter().map(|device| (device.name.clone(), of(&device.rates, |of| of.read.bytes)));
    interfaces.chain(drives).collect()
}

fn named(all: &[(&str, Result<Option<u64>, Reason>)]) -> Vec<(String, Result<Option<u64>, Reason>)> {
    all.iter().map(|(name, rate)| ((*name).to_owned(), *rate)).collect()
}

#[test]
fn each_device_has_its_rates_or_says_why_not() {
    use Reason::*;
    let rates = GuestRates {
        interfaces: [received("default", Some(7)), received("hot", Some(8))].into(),
        drives: [read("init", None), read("root", Some(0))].into(),
        ..GuestRates::default()
    };
    for (activity, wanted) in [
        (
            Activity::Missing(Box::new(Forbidden.into())),
            [
                ("default", Err(Forbidden)),
                ("fast", Err(NotReported)),
                ("root", Err(Forbidden)),
                ("init", Err(Forbidden)),
            ]
            .to_vec(),
        ),
        (
            known(None),
            [
                ("default", Err(FirstSample)),
                ("fast", Err(NotReported)),
                ("root", Err(FirstSample)),
                ("init", Err(FirstSample)),
            ]
            .to_vec(),
        ),
        (
            known(Some(rates)),
            [
                ("default", Ok(Some(7))),
                ("fast", Err(NotReported)),
                ("hot", Ok(Some(8))),
                ("root", Ok(Some(0))),
                ("init", Err(FirstSample)),
            ]
            .to_vec(),
        ),
        (
            known(Some(GuestRates { interfaces_left_out: true, ..GuestRates::default() })),
            [
                ("default", Err(TooLarge)),
                ("fast", Err(NotReported)),
                ("root", Err(NotReported)),
                ("init", Err(NotReported)),
            ]
            .to_vec(),
        ),
    ] {
        assert_eq!(devices(activity), named(&wanted));
    }
}

#[test]
fn a_card_that_is_passed_through_says_so() {
    let mut details = details(&vm_with(known(None)), &[]);
    details.localize(Lang::English);
    let [bridge, card] = details.interfaces.as_slice() else { panic!("{:?}", details.interfaces) };
    assert_eq!((bridge.is_sriov, card.is_sriov), (false, true));
    assert!(card.rates.as_ref().unwrap_err().detail.text().contains("SR-IOV"));
    assert_eq!((&*card.mac, &*card.guest_name), ("02:00:00:00:00:01", "eth0"));
    assert_eq!(card.addresses, ["10.0.0.5", "fd00::5"], "its addresses are known");
    assert_eq!((&*details.drives[0].claim, &*details.drives[1].claim), ("web-root", ""));
}

#[test]
fn the_page_shows_what_the_instance_says() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 100, GI);
    let system = GuestSystem { name: "Debian".into(), version: "12".into(), kernel: "6.1".into() };
    let condition = Condition { kind: "Ready".into(), status: "True".into(), ..Condition::default() };
    let details = Arc::new(InstanceDetails {
        system: Some(Box::new(system.clone())),
        hostname: "web".into(),
        started: Some(NOW - SECOND),
        conditions: [condition.clone()].into(),
        ..InstanceDetails::default()
    });
    let instance = InstanceFacts { details: details.clone(), ..instance("a", "web-vm", "n1") };
    state.apply(Observation::Instances(applied(instance)));
    let snapshot = state.join(NOW);
    assert!(Arc::ptr_eq(find(&snapshot, "a", "web").instance.as_ref().unwrap(), &details), "no copy");
    let identity = Identity { cluster: "test".into(), demo: false, refresh: 15_000 };
    let page = view::vm(&everything(&snapshot), &identity, "a", "web", NOW);
    assert_eq!((&page.details.system, &*page.details.hostname), (&Some(system), "web"));
    assert_eq!((page.details.started, page.details.conditions), (Some(NOW - SECOND), vec![condition]));
    let gone = view::vm(&everything(&snapshot), &identity, "a", "other", NOW);
    assert_eq!(gone.details, model::details::VmDetails::default());
}

#[test]
fn a_change_of_the_details_alone_is_a_change_of_the_page() {
    use crate::delta::{self, Outcome};
    let mut state = state();
    add_vm(&mut state, "a", "web", 100, GI);
    let identity = Identity { cluster: "test".into(), demo: false, refresh: 15_000 };
    let before = view::vm(&everything(&state.join(NOW)), &identity, "a", "web", NOW);
    let mut after = before.clone();
    after.details.hostname = "other".into();
    let Outcome::Change(change) = delta::vm(&before, &after) else { panic!("the host name is a change") };
    assert_eq!(change.vm, None);
    let mut made = before.clone();
    made.apply(change).expect("it is a change of this view");
    assert_eq!(made, after);
}

fn migration(name: &str, phase: &str, age: Millis) -> MigrationFacts {
    let created = NOW - age;
    let migration = Migration { name: name.into(), phase: phase.into(), created, ..Migration::default() };
    MigrationFacts { namespace: "a".into(), instance: "web-vm".into(), migration: migration.into() }
}

fn migrations(state: &mut ClusterState) -> Vec<String> {
    web(state).migrations.iter().map(|migration| migration.name.to_string()).collect()
}

#[test]
fn a_vm_has_the_last_migrations_of_its_instance() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 100, GI);
    let other = MigrationFacts { instance: "db-vm".into(), ..migration("other", "Running", 0) };
    let elsewhere = MigrationFacts { namespace: "b".into(), ..migration("elsewhere", "Running", 0) };
    let nothing = MigrationFacts { instance: "".into(), ..migration("nothing", "Running", 0) };
    let own = (0..10).map(|number| migration(&format!("m{number}"), "Succeeded", Millis::from(number)));
    let all = own.chain([other, elsewhere, nothing]).collect();
    state.apply(Observation::Migrations(replaced(all)));
    assert_eq!(migrations(&mut state), ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7"]);
    let first = web(&mut state);
    assert!(Arc::ptr_eq(&first, &web(&mut state)), "what did not change is shared");
    state.apply(Observation::Migrations(applied(migration("m9", "Running", -1))));
    assert_eq!(migrations(&mut state)[..2], ["m9", "m0"], "it began again");
    let key = Key::new("a", "m9");
    state.apply(Observation::Migrations(Change::Deleted { key, at: NOW }));
    assert_eq!(migrations(&mut state)[..2], ["m0", "m1"]);
}

#[test]
fn migrations_that_cannot_be_read_say_why() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 100, GI);
    let gap = |state: &mut ClusterState| {
        let snapshot = state.join(NOW);
        let visible = everything(&snapshot);
        details(&find(&snapshot, "a", "web"), visible.sources()).migrations_gap.map(|gap| gap.reason)
    };
    assert_eq!(gap(&mut state), None);
    let error = refused(Reason::Forbidden);
    let source = SourceId::Migrations;
    state.apply(Observation::WatchFailed { source, namespace: None, error });
    assert_eq!(gap(&mut state), Some(Reason::Forbidden));
    let mut silent = silent_state();
    add_vm(&mut silent, "a", "web", 100, GI);
    assert_eq!(gap(&mut silent), Some(Reason::Starting));
}

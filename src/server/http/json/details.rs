//! The JSON of what only the answer about one VM has: its interfaces and drives with their rates, its guest's system,
//! its conditions and migrations.

use serde::Serialize;

use super::{
    activity::{PartJson, StorageJson, per_second},
    figure::{Denominator, MissingJson},
};
use model::{
    Millis,
    activity::{Activity, MigrationProgress},
    details::{Condition, Drive, GuestSystem, Interface, Migration, VmDetails},
    rates::{DriveRates, InterfaceRates},
};

/// The fields beside those of a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DetailsJson<'a> {
    interfaces: Vec<InterfaceJson<'a>>,
    drives: Vec<DriveJson<'a>>,
    conditions: Vec<ConditionJson<'a>>,
    /// The newest first.
    migrations: Vec<MigrationJson<'a>>,
    /// Why migrations are not known, or not all of them; null if they are.
    migrations_missing: Option<MissingJson>,
}

impl<'a> DetailsJson<'a> {
    pub fn new(details: &'a VmDetails) -> Self {
        Self {
            interfaces: details.interfaces.iter().map(|of| InterfaceJson::new(details, of)).collect(),
            drives: details.drives.iter().map(|of| DriveJson::new(details, of)).collect(),
            conditions: details.conditions.iter().map(ConditionJson::new).collect(),
            migrations: details.migrations.iter().map(|of| MigrationJson::new(details, of)).collect(),
            migrations_missing: details
                .migrations_gap
                .as_ref()
                .map(|gap| MissingJson::new(gap, Denominator::Allocated)),
        }
    }
}

/// The guest's system. A text is empty if it is not reported.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemJson<'a> {
    os_name: &'a str,
    os_version: &'a str,
    kernel: &'a str,
    /// The host name that KubeVirt gives to the guest.
    hostname: &'a str,
    /// When the instance began to run.
    started_at: Option<Millis>,
}

impl<'a> SystemJson<'a> {
    pub fn new(details: &'a VmDetails) -> Self {
        let (os_name, os_version, kernel) = match &details.system {
            Some(GuestSystem { name, version, kernel }) => (&**name, &**version, &**kernel),
            None => ("", "", ""),
        };
        Self { os_name, os_version, kernel, hostname: &details.hostname, started_at: details.started }
    }
}

/// One network interface.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InterfaceJson<'a> {
    name: &'a str,
    /// What the guest's system calls it.
    interface: &'a str,
    mac_address: &'a str,
    ip_addresses: &'a [String],
    sriov: bool,
    #[serde(flatten)]
    rates: PartJson<InterfaceRatesJson>,
}

/// Rates per second. A rate is null if it is not known.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InterfaceRatesJson {
    receive: Option<f64>,
    transmit: Option<f64>,
    receive_packets: Option<f64>,
    transmit_packets: Option<f64>,
    receive_errors: Option<f64>,
    transmit_errors: Option<f64>,
    receive_drops: Option<f64>,
    transmit_drops: Option<f64>,
}

impl<'a> InterfaceJson<'a> {
    fn new(details: &VmDetails, interface: &'a Interface) -> Self {
        let Interface { name, guest_name, mac, addresses, is_sriov, rates } = interface;
        Self {
            name,
            interface: guest_name,
            mac_address: mac,
            ip_addresses: addresses,
            sriov: *is_sriov,
            rates: PartJson::new(&details.activity, "bytes/second", rates, InterfaceRatesJson::new),
        }
    }
}

impl InterfaceRatesJson {
    fn new(InterfaceRates { name: _, receive, transmit }: &InterfaceRates) -> Self {
        Self {
            receive: per_second(receive.bytes),
            transmit: per_second(transmit.bytes),
            receive_packets: per_second(receive.packets),
            transmit_packets: per_second(transmit.packets),
            receive_errors: per_second(receive.errors),
            transmit_errors: per_second(transmit.errors),
            receive_drops: per_second(receive.drops),
            transmit_drops: per_second(transmit.drops),
        }
    }
}

/// One drive.
#[derive(Serialize)]
struct DriveJson<'a> {
    name: &'a str,
    /// Empty if no claim backs it.
    claim: &'a str,
    #[serde(flatten)]
    rates: PartJson<StorageJson>,
}

impl<'a> DriveJson<'a> {
    fn new(details: &VmDetails, Drive { name, claim, rates }: &'a Drive) -> Self {
        let json = |DriveRates { name: _, read, write }: &DriveRates| StorageJson::new(read, write);
        Self { name, claim, rates: PartJson::new(&details.activity, "bytes/second", rates, json) }
    }
}

/// A condition of the instance, as Kubernetes writes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConditionJson<'a> {
    r#type: &'a str,
    status: &'a str,
    reason: &'a str,
    message: &'a str,
    last_transition_at: Option<Millis>,
}

impl<'a> ConditionJson<'a> {
    fn new(Condition { kind, status, reason, message, since }: &'a Condition) -> Self {
        Self { r#type: kind, status, reason, message, last_transition_at: *since }
    }
}

/// One migration.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MigrationJson<'a> {
    name: &'a str,
    phase: &'a str,
    source_node: &'a str,
    target_node: &'a str,
    created_at: Millis,
    started_at: Option<Millis>,
    ended_at: Option<Millis>,
    /// Why it failed, or why it waits.
    failure: &'a str,
    /// Null if it has ended, or if virt-handler reports none.
    progress: Option<PartJson<ProgressJson>>,
}

/// Bytes, and bytes per second.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProgressJson {
    processed: Option<u64>,
    remaining: Option<u64>,
    dirty_rate: Option<u64>,
    transfer_rate: Option<u64>,
}

impl<'a> MigrationJson<'a> {
    fn new(details: &VmDetails, migration: &'a Migration) -> Self {
        let Migration { name, phase, source_node, target_node, created, started, ended, failure } = migration;
        Self {
            name,
            phase,
            source_node,
            target_node,
            created_at: *created,
            started_at: *started,
            ended_at: *ended,
            failure,
            progress: progress(&details.activity).filter(|_| !migration.has_ended()),
        }
    }
}

fn progress(activity: &Activity) -> Option<PartJson<ProgressJson>> {
    let Activity::Known(known) = activity else { return None };
    let progress = Ok(**known.migration.as_ref()?);
    Some(PartJson::new(activity, "bytes", &progress, |progress: &MigrationProgress| {
        let MigrationProgress { processed, remaining, dirty_rate, transfer_rate } = *progress;
        ProgressJson { processed, remaining, dirty_rate, transfer_rate }
    }))
}

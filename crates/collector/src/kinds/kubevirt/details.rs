//! Reads what only a VM's own page shows of its instance.

use std::sync::Arc;

use super::super::texts;
use crate::k8s::{
    kubevirt::{self, InstanceSpec, InstanceStatus, SpecInterface},
    lenient::Identifier,
    time,
};
use model::details::{Condition, GuestSystem};
use wukong_core::observation::{InstanceDetails, InstanceDisk, InstanceInterface};

/// The details of an instance with this name.
pub fn details(
    name: &str,
    spec: &InstanceSpec,
    status: &InstanceStatus,
    disks: Arc<[InstanceDisk]>,
) -> InstanceDetails {
    let interfaces = spec.domain.devices.interfaces.iter().filter(|interface| !interface.name.is_empty());
    InstanceDetails {
        disks,
        interfaces: interfaces.map(|interface| join_interface(interface, status)).collect(),
        system: system(&status.guest_os_info).map(Box::new),
        hostname: hostname(&spec.hostname, name).into(),
        started: started(status),
        conditions: status.conditions.iter().map(condition).collect(),
    }
}

/// Interfaces that only the guest's agent knows, such as a container's, have no name and are left out: a guest may
/// have many of them, and nobody counts their traffic.
fn join_interface(spec: &SpecInterface, status: &InstanceStatus) -> InstanceInterface {
    let mut known = status.interfaces.iter();
    let known = known.find(|interface| *interface.name == *spec.name).cloned().unwrap_or_default();
    let mut addresses: Vec<Box<str>> = known.ip_addresses.0.iter().map(|of| of.as_str().into()).collect();
    if addresses.is_empty() && !known.ip_address.is_empty() {
        addresses.push((*known.ip_address).into());
    }
    InstanceInterface {
        name: (*spec.name).into(),
        guest_name: (*known.interface_name).into(),
        mac: (*known.mac).into(),
        addresses: addresses.into(),
        is_sriov: spec.sriov.is_some(),
    }
}

fn system(os: &kubevirt::GuestOs) -> Option<GuestSystem> {
    let system = GuestSystem {
        name: (*os.name).into(),
        version: (*os.version).into(),
        kernel: (*os.kernel_release).into(),
    };
    (system != GuestSystem::default()).then_some(system)
}

/// The host name that KubeVirt chooses: that of the spec, else the first label of the instance's name, with at most 63
/// characters (`SanitizeHostname` of kubevirt pkg/util/net/dns).
fn hostname<'a>(wanted: &'a str, name: &'a str) -> &'a str {
    let label = name.split('.').next().unwrap_or_default();
    if wanted.is_empty() { label.get(..63).unwrap_or(label) } else { wanted }
}

/// When the instance began to run.
fn started(status: &InstanceStatus) -> Option<model::Millis> {
    let transitions = status.phase_transition_timestamps.iter();
    let mut running = transitions.filter(|transition| &*transition.phase == "Running");
    running.next_back().and_then(|transition| time::rfc3339(&transition.phase_transition_timestamp))
}

fn condition(condition: &kubevirt::Condition) -> Condition {
    let text = |of: &Identifier| Box::<str>::from(&**of);
    Condition {
        kind: text(&condition.r#type),
        status: text(&condition.status),
        reason: text(&condition.reason),
        message: (*condition.message).into(),
        since: time::rfc3339(&condition.last_transition_time),
    }
}

/// Roughly how many bytes these details take in memory, without the disks.
pub fn weight(details: &InstanceDetails) -> usize {
    let interfaces = details.interfaces.iter().map(|of| {
        let addresses = of.addresses.iter().map(|address| size_of::<Box<str>>() + address.len());
        size_of_val(of) + texts(&[&of.name, &of.guest_name, &of.mac]) + addresses.sum::<usize>()
    });
    let conditions = details
        .conditions
        .iter()
        .map(|of| size_of_val(of) + texts(&[&of.kind, &of.status, &of.reason, &of.message]));
    let system =
        details.system.iter().map(|of| size_of_val(&**of) + texts(&[&of.name, &of.version, &of.kernel]));
    size_of_val(details) + details.hostname.len() + interfaces.chain(conditions).chain(system).sum::<usize>()
}

//! Compares the figures of the REST API with those of a stub's guest.

use serde_json::Value;

use super::V1_0;
use crate::real_cluster::harness::{
    guest::{Figure, Guest},
    program::Program,
    wait::check,
};

/// Error of a rate.
const RATE: f64 = 0.01;
/// A rate above this many times the known one is a spike.
const SPIKE: f64 = 1.5;

/// What each figure of `usage` should be, in its unit.
fn wanted(guest: &Guest) -> Vec<(&'static str, f64)> {
    let interfaces = |name: &str| Guest::sum(guest.interface_figures(), name);
    let drives = |name: &str| Guest::sum(guest.drive_figures(), name);
    let latency = |of: &str| drives(&format!("{of}.times")) / drives(&format!("{of}.reqs")) / 1e9;
    let delay = Guest::sum(guest.vcpu_figures(), "vcpu.delay") / guest.vcpus.len() as f64;
    vec![
        ("/network/receive", interfaces("rx.bytes")),
        ("/network/transmit", interfaces("tx.bytes")),
        ("/storage/read", drives("rd.bytes")),
        ("/storage/write", drives("wr.bytes")),
        ("/storage/readOperations", drives("rd.reqs")),
        ("/storage/writeOperations", drives("wr.reqs")),
        ("/storage/readLatency", latency("rd")),
        ("/storage/writeLatency", latency("wr")),
        ("/swap/in", guest.figure("swap_in") * 1024.0),
        ("/swap/out", guest.figure("swap_out") * 1024.0),
        ("/majorFaults/rate", guest.figure("major_fault")),
        ("/contention/percent", delay / 1e9 * 100.0),
    ]
}

/// Whether every figure of `usage` is that of the guest, as far as the version has it.
pub fn usage(vm: &Value, guest: &Guest, template: &str) -> Result<(), String> {
    let usage = &vm["usage"];
    let has = |part: &str| part != "/contention/percent" || template != V1_0;
    for (part, wanted) in wanted(guest).into_iter().filter(|(part, _)| has(part)) {
        check_near(usage.pointer(part).unwrap_or(&Value::Null), wanted)
            .map_err(|why| format!("{}{part}: {why}; {usage}", guest.name))?;
    }
    let (total, usable) = (guest.figure("available") as u64 * 1024, guest.figure("usable") as u64 * 1024);
    let memory = &usage["guestMemory"];
    check(memory["total"] == total && memory["used"] == total - usable, || {
        format!("{}: {memory}, not {} of {total}", guest.name, total - usable)
    })?;
    for part in ["network", "storage", "guestMemory"] {
        let of = &usage[part];
        check(of["source"] == "virt-handler" && of["stale"] == false, || format!("{part}: {of}"))?;
    }
    Ok(())
}

fn check_near(found: &Value, wanted: f64) -> Result<(), String> {
    let is_near = found.as_f64().is_some_and(|found| (found - wanted).abs() <= RATE * wanted);
    check(is_near, || format!("{found}, not {wanted}"))
}

/// Whether the VM's own answer has the rates of each interface and drive, and the progress of its migration, which KubeVirt
/// 1.0 prints under other names.
pub async fn own_answer(program: &Program, guest: &Guest, template: &str) -> Result<(), String> {
    const INTERFACE: [(&str, &str); 8] = [
        ("receive", "rx.bytes"),
        ("transmit", "tx.bytes"),
        ("receivePackets", "rx.pkts"),
        ("transmitPackets", "tx.pkts"),
        ("receiveErrors", "rx.errs"),
        ("transmitErrors", "tx.errs"),
        ("receiveDrops", "rx.drop"),
        ("transmitDrops", "tx.drop"),
    ];
    const DRIVE: [(&str, &str); 4] = [
        ("read", "rd.bytes"),
        ("write", "wr.bytes"),
        ("readOperations", "rd.reqs"),
        ("writeOperations", "wr.reqs"),
    ];
    let path = format!("/api/vms/{}?namespace={}", guest.name, guest.namespace);
    let vm = program.get(&path).await.json();
    for device in &guest.interfaces {
        rates(&vm["interfaces"], device.name, &device.figures, &INTERFACE)?;
    }
    for device in &guest.drives {
        rates(&vm["drives"], device.name, &device.figures, &DRIVE)?;
    }
    progress(&vm["migrations"][0], guest, template)
}

fn progress(migration: &Value, guest: &Guest, template: &str) -> Result<(), String> {
    let found = &migration["progress"];
    if template == V1_0 {
        return check(migration.is_object() && found.is_null(), || format!("{}: {migration}", guest.name));
    }
    for (field, figure) in [
        ("processed", "migration.data_processed"),
        ("remaining", "migration.data_remaining"),
        ("dirtyRate", "migration.dirty_memory_rate"),
        ("transferRate", "migration.memory_transfer_rate"),
    ] {
        let wanted = guest.figure(figure);
        check(found[field].as_f64() == Some(wanted), || {
            format!("{}: {field}: {migration}, not {wanted}", guest.name)
        })?;
    }
    Ok(())
}

fn rates(list: &Value, name: &str, figures: &[Figure], pairs: &[(&str, &str)]) -> Result<(), String> {
    let found = list.as_array().into_iter().flatten().find(|device| device["name"] == name);
    let found = found.ok_or_else(|| format!("no {name} in {list}"))?;
    for (field, figure) in pairs {
        check_near(&found[field], Guest::sum([figures], figure))
            .map_err(|why| format!("{name}.{field}: {why}"))?;
    }
    Ok(())
}

/// Panics if a rate that is shown is negative or far above the known one.
pub fn no_spike(vm: &Value, guest: &Guest) {
    for (part, wanted) in wanted(guest) {
        let shown = vm["usage"].pointer(part).and_then(Value::as_f64);
        let is_sane = shown.is_none_or(|shown| (0.0..=SPIKE * wanted).contains(&shown));
        assert!(is_sane, "{}{part}: {shown:?}, not {wanted}", guest.name);
    }
}

/// Whether no figure of the guest is known, each for this reason.
pub fn is_missing(vm: &Value, reason: &str) -> Result<(), String> {
    for part in ["network", "storage", "swap", "majorFaults", "contention", "guestMemory"] {
        let of = &vm["usage"][part];
        check(of["missing"]["reason"] == reason, || format!("{}: {part}: {of}", vm["name"]))?;
    }
    Ok(())
}

//! The demo shows what other people's clusters hold: each case as a VM to look at.

use std::net::SocketAddr;

use serde_json::Value;

use crate::{
    program::{Running, get, program},
    wait::eventually,
};

fn vm(address: SocketAddr, name: &str) -> Value {
    let answer = get(address, &format!("/api/vms/{name}"));
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).unwrap_or(Value::Null)
}

/// Waits until the API shows a VM for which this holds.
fn wait_until_vm(address: SocketAddr, name: &str, holds: impl Fn(&Value) -> bool) {
    eventually(|| {
        let found = vm(address, name);
        if holds(&found) { Ok(()) } else { Err(format!("{name}: {found:#}")) }
    });
}

/// Returns the guest agent's figure of a claim, whether it is the volume's figure or another reading.
fn by_agent<'a>(vm: &'a Value, claim: &str) -> Option<&'a Value> {
    let volume = vm["volumes"].as_array()?.iter().find(|volume| volume["claim"] == claim)?;
    let readings = volume["readings"].as_array().into_iter().flatten();
    [&volume["usage"]].into_iter().chain(readings).find(|figure| figure["source"] == "guest-agent")
}

#[test]
fn the_demo_shows_each_known_case_as_a_vm() {
    let (_running, address) = Running::start(&mut program(&["demo", "--listen=127.0.0.1:0"]));
    // Windows with volumes that are not mounted, on a bus that pads serials.
    wait_until_vm(address, "legacy-erp", |vm| {
        by_agent(vm, "legacy-erp-root").is_some_and(|known| known["used"].as_u64() > Some(1 << 30))
    });
    // A disk that was hot-plugged on the SCSI bus.
    wait_until_vm(address, "billing-archive", |vm| by_agent(vm, "billing-archive-archive-2025").is_some());
    wait_until_vm(address, "pos-gateway-01", |vm| {
        vm["status"] == "Running" && vm["kubevirtStatus"] == "Stopping" && vm["usage"]["cpu"]["used"].is_u64()
    });
    wait_until_vm(address, "build-cache-01", |vm| {
        let message = "VMI was paused, low-level IO error detected";
        vm["status"] == "Running" && vm["kubevirtStatus"] == "Paused" && vm["kubevirtMessage"] == message
    });
    wait_until_vm(address, "template-check-01", |vm| {
        vm["status"] == "Stopped" && vm["cpu"] == 1 && vm["memoryBytes"] == 4u64 << 30
    });
    let attention = get(address, "/?attention=1");
    assert!(attention.contains("build-cache-01") && !attention.contains("template-check-01"), "{attention}");
}

//! Volumes and their sources: each takes the first that knows it, layers are never added up, and what nobody knows has a
//! reason.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{
    ceph::PASSWORD,
    machine::GI,
    program::Program,
    storage::{Storage, WRITTEN, on_the_storage_cluster},
    wait::{check, within},
};

const FIRST_FIGURES: Duration = Duration::from_secs(20);

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn four_volumes_of_one_vm_take_four_sources() {
    on_the_storage_cluster(async |storage| {
        let program = everything(storage, "four").await;
        within(FIRST_FIGURES, async || {
            let vm = program.vm("prod", "four").await?;
            known(&vm, "four-image", "kubelet-direct", "own", 7 * GI + 12_345, 20 * GI)?;
            known(&vm, "four-guest", "guest-agent", "own", 3 * GI + 777, 9 * GI)?;
            known(&vm, "four-longhorn", "longhorn", "backend", 6 * GI + 4096, 8 * GI)?;
            known(&vm, "four-rbd", "ceph", "backend", WRITTEN, 10 * GI)?;
            let disk = &vm["usage"]["disk"];
            let used = 7 * GI + 12_345 + 3 * GI + 777 + 6 * GI + 4096 + WRITTEN;
            check(disk["used"] == used && disk["capacity"] == 47 * GI, || disk.to_string())?;
            check(vm["usage"]["diskKnown"] == 4 && vm["usage"]["diskVolumes"] == 4, || {
                vm["usage"].to_string()
            })
        })
        .await
        .unwrap();
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_volume_that_three_sources_disagree_on_takes_the_first_and_shows_the_rest() {
    on_the_storage_cluster(async |storage| {
        let program = everything(storage, "three").await;
        within(FIRST_FIGURES, async || {
            let vm = program.vm("prod", "three").await?;
            known(&vm, "three-root", "kubelet-direct", "own", 5 * GI, 10 * GI)?;
            reading(&vm, "three-root", "guest-agent", "guest", 4 * GI + 1)?;
            reading(&vm, "three-root", "ceph", "backend", WRITTEN)?;
            check(vm["usage"]["disk"]["used"] == 5 * GI, || format!("added up? {}", vm["usage"]["disk"]))
        })
        .await
        .unwrap();
        let order = ["--disk-sources=ceph,guest-agent,kubelet"];
        let (_access, program) =
            storage.program("three-order", "nodes-stats", &with_ceph(storage, "order", &order)).await;
        within(FIRST_FIGURES, async || {
            let vm = program.vm("prod", "three").await?;
            known(&vm, "three-root", "guest-agent", "own", 4 * GI + 1, 9 * GI)
        })
        .await
        .unwrap();
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_guest_reports_disks_in_the_spelling_of_its_own() {
    on_the_storage_cluster(async |storage| {
        let program = everything(storage, "spelling").await;
        within(FIRST_FIGURES, async || {
            let windows = program.vm("prod", "windows").await?;
            known(&windows, "windows-root", "guest-agent", "own", 40 * GI, 79 * GI)?;
            let plugged = program.vm("prod", "plugged").await?;
            known(&plugged, "plugged-data", "guest-agent", "own", 3 * GI, 9 * GI)
        })
        .await
        .unwrap();
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn what_no_source_knows_is_missing_with_a_reason() {
    on_the_storage_cluster(async |storage| {
        let program = everything(storage, "nobody").await;
        within(FIRST_FIGURES, async || {
            let vm = program.vm("prod", "nobody").await?;
            let volume = volume(&vm, "nobody-root")?;
            check(volume["usage"]["missing"]["reason"].is_string(), || volume.to_string())?;
            let text = volume.to_string();
            check(text.contains("no-fast-diff") || text.contains("agent-off"), || text)?;
            check(vm["metrics"]["diskUsage"] == 0, || vm["metrics"].to_string())
        })
        .await
        .unwrap();
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_static_image_is_found_and_a_pool_is_no_vms_own() {
    on_the_storage_cluster(async |storage| {
        let program = everything(storage, "others").await;
        within(FIRST_FIGURES, async || {
            let vm = program.vm("prod", "static").await?;
            known(&vm, "static-data", "ceph", "backend", WRITTEN, 10 * GI)?;
            let vm = program.vm("prod", "pool").await?;
            known(&vm, "pool-root", "kubelet-direct", "shared-filesystem", 30 * GI, 39 * GI)?;
            check(vm["metrics"]["diskUsage"] == 76, || vm["metrics"].to_string())
        })
        .await
        .unwrap();
    });
}

/// A clock that is off is reported, and changes no figure.
#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_node_whose_clock_is_behind_keeps_its_figures() {
    on_the_storage_cluster(async |storage| {
        storage.kubelets["node-b"].set_clock(-420);
        let program = everything(storage, "clock").await;
        let result = within(FIRST_FIGURES, async || {
            let vm = program.vm("prod", "quiet").await?;
            known(&vm, "quiet-root", "kubelet-direct", "own", 2 * GI, 10 * GI)?;
            let warning = program.source("kubelet").await["warning"].to_string();
            check(warning.contains("node-b") && warning.contains("7 min behind"), || warning)
        });
        let result = result.await;
        storage.kubelets["node-b"].set_clock(0);
        result.unwrap();
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn only_guests_with_an_agent_are_asked() {
    on_the_storage_cluster(async |storage| {
        let (_access, program) =
            storage.program("agents-only", "cluster", &["--disk-sources=guest-agent"]).await;
        within(FIRST_FIGURES, async || {
            let vm = program.vm("prod", "three").await?;
            known(&vm, "three-root", "guest-agent", "own", 4 * GI + 1, 9 * GI)?;
            let quiet = program.vm("prod", "quiet").await?;
            let reason = &volume(&quiet, "quiet-root")?["usage"]["missing"]["reason"];
            check(*reason == "agent-off", || quiet.to_string())
        })
        .await
        .unwrap();
        let requests = storage.agents.requests();
        assert!(requests.iter().any(|guest| guest == "prod/nobody"), "{requests:?}");
        assert!(!requests.iter().any(|guest| guest == "prod/quiet"), "{requests:?}");
    });
}

/// Starts the program with all sources except Prometheus, which repeats the kubelets' figures.
async fn everything(storage: &Storage, test: &str) -> Program {
    let name = format!("layers-{test}");
    let flags = with_ceph(storage, &name, &[]);
    let (_access, program) = storage.program(&name, "nodes-stats", &flags).await;
    program
}

fn with_ceph(storage: &Storage, test: &str, more: &[&str]) -> Vec<String> {
    let more = more.iter().map(|flag| (*flag).to_owned());
    storage.ceph_flags(test, PASSWORD).into_iter().chain(more).collect()
}

pub fn volume<'a>(vm: &'a Value, claim: &str) -> Result<&'a Value, String> {
    let volumes = vm["volumes"].as_array().ok_or_else(|| vm.to_string())?;
    volumes.iter().find(|volume| volume["claim"] == claim).ok_or_else(|| format!("no {claim} in {vm}"))
}

/// Returns whether the volume has this figure.
pub fn known(vm: &Value, claim: &str, source: &str, basis: &str, used: u64, of: u64) -> Result<(), String> {
    let usage = &volume(vm, claim)?["usage"];
    let found = (&usage["source"], &usage["basis"], &usage["used"], &usage["capacity"]);
    let wanted = (&json!(source), &json!(basis), &json!(used), &json!(of));
    check(found == wanted, || format!("{claim}: {usage}, not {wanted:?}"))?;
    check(usage["stale"] == false, || format!("{claim}: {usage}"))
}

/// Returns whether another source has this reading of the volume.
fn reading(vm: &Value, claim: &str, source: &str, layer: &str, used: u64) -> Result<(), String> {
    let volume = volume(vm, claim)?;
    let mut readings = volume["readings"].as_array().into_iter().flatten();
    let found = readings.find(|reading| reading["source"] == source);
    let found = found.ok_or_else(|| format!("{claim} has no reading of {source}: {volume}"))?;
    check(found["layer"] == layer && found["used"] == used, || format!("{claim}: {found}"))
}

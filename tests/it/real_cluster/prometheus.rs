//! Figures out of a real Prometheus: with no permission on any node, and with no metrics API.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{
    harness::{
        access::Access,
        control_plane::ControlPlane,
        kubelet::Kubelet,
        machine::{Disk, GI, Machine},
        program::Program,
        prometheus::Prometheus,
        shared::{namespaces, run_alone},
        storage::{Storage, on_the_storage_cluster},
        wait::{check, within},
    },
    layers::{known, volume},
};

const FIRST_FIGURES: Duration = Duration::from_secs(20);
/// CPU is a rate over some scrapes.
const RATE: f64 = 0.05;

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn disks_come_from_prometheus_where_no_node_may_be_asked() {
    on_the_storage_cluster(async |storage| {
        let (_access, program) = with_prometheus(storage, "prometheus", &[]).await;
        within(FIRST_FIGURES, async || {
            let vm = program.vm("prod", "four").await?;
            known(&vm, "four-image", "prometheus", "own", 7 * GI + 12_345, 20 * GI)?;
            let block = &volume(&vm, "four-rbd")?["usage"]["missing"];
            check(block["reason"].is_string(), || format!("a block volume's 0 is no figure: {vm}"))?;
            let source = program.source("prometheus").await;
            check(source["state"] == "healthy", || source.to_string())
        })
        .await
        .unwrap();
    });
}

/// The age of a figure is its sample's: what Prometheus repeats after its target has gone does not stay fresh, and what
/// it has dropped is missing rather than 0.
#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_kubelet_that_prometheus_cannot_scrape_takes_its_claims_away() {
    on_the_storage_cluster(async |storage| {
        let (_access, program) = with_prometheus(storage, "unscraped", &["--disk-sources=prometheus"]).await;
        let fresh = async || {
            let vm = program.vm("prod", "quiet").await?;
            known(&vm, "quiet-root", "prometheus", "own", 2 * GI, 10 * GI)
        };
        within(FIRST_FIGURES, &fresh).await.unwrap();
        storage.kubelets["node-b"].break_down(true);
        let gone = within(FIRST_FIGURES, async || {
            let quiet = program.vm("prod", "quiet").await?;
            let usage = &volume(&quiet, "quiet-root")?["usage"];
            check(usage["missing"].is_object() || usage["stale"] == true, || usage.to_string())?;
            let four = program.vm("prod", "four").await?;
            known(&four, "four-image", "prometheus", "own", 7 * GI + 12_345, 20 * GI)
        });
        let gone = gone.await;
        storage.kubelets["node-b"].break_down(false);
        gone.unwrap();
        within(FIRST_FIGURES, &fresh).await.unwrap();
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_prometheus_that_refuses_is_forbidden_and_costs_its_own_figures() {
    on_the_storage_cluster(async |storage| {
        let wrong = storage.plane.dir().join("wrong-basic-auth");
        std::fs::write(&wrong, "dashboard:guessed\n").unwrap();
        let mut flags = storage.prometheus_flags();
        flags.pop();
        flags.push(format!("--prometheus-basic-auth-file={}", wrong.display()));
        let (_access, program) = storage.program("prometheus-refused", "nodes-stats", &flags).await;
        within(FIRST_FIGURES, async || {
            let source = program.source("prometheus").await;
            check(source["state"] == "forbidden", || source.to_string())?;
            check(!source.to_string().contains("guessed"), || "it shows the password".to_owned())?;
            let vm = program.vm("prod", "four").await?;
            known(&vm, "four-image", "kubelet-direct", "own", 7 * GI + 12_345, 20 * GI)
        })
        .await
        .unwrap();
        // The file is read again for each round.
        std::fs::copy(&storage.prometheus.basic_auth_file, &wrong).unwrap();
        let recovered = within(FIRST_FIGURES, async || {
            let source = program.source("prometheus").await;
            check(source["state"] == "healthy", || source.to_string())
        });
        recovered.await.unwrap();
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn without_a_metrics_api_cpu_and_memory_come_from_prometheus() {
    run_alone(async {
        let plane = ControlPlane::start(4).await;
        plane.install_crds().await;
        let machine = Machine {
            cores: 2,
            memory: "2Gi",
            nanocores: 750_000_000,
            bytes: GI + 4096,
            disks: vec![Disk::new("only-root", 10 * GI, 3 * GI)],
            ..Machine::new("prod", "only")
        };
        let kubelets = BTreeMap::from([("node-a", Kubelet::start(&plane, "node-a", 11).await)]);
        namespaces(&plane, std::slice::from_ref(&machine)).await;
        machine.install(&plane.api, &kubelets).await;
        let prometheus = Prometheus::start(&plane, &[11]).await;
        let access = Access::of_tier(&plane, "no-metrics-api", "cluster", &[]).await;
        let program = Program::start_with_flags(
            &access.kubeconfig,
            "no-metrics-api",
            plane.dir(),
            &[
                format!("--prometheus-url={}", prometheus.url()),
                format!("--prometheus-ca={}", plane.authority_file().display()),
                format!("--prometheus-basic-auth-file={}", prometheus.basic_auth_file.display()),
            ],
        );
        within(Duration::from_secs(45), async || {
            let vm = program.vm("prod", "only").await?;
            measured(&vm, &machine)?;
            known(&vm, "only-root", "prometheus", "own", 3 * GI, 10 * GI)?;
            check(vm["metrics"]["memoryUsage"] == 50, || vm["metrics"].to_string())
        })
        .await
        .unwrap();
        // What memory cannot hold is asked of Prometheus, whose answer is short: it is a minute old.
        for span in ["7d", "30d"] {
            let answer = program.get(&format!("/api/vms/only/history?namespace=prod&span={span}")).await;
            let history = answer.json();
            let lacks = &history["lacks"];
            assert!(history["origin"] == "prometheus", "{history}");
            assert!(lacks.is_null() || lacks["reason"] == "not-reported", "{span}: {lacks}");
        }
    });
}

fn measured(vm: &Value, machine: &Machine) -> Result<(), String> {
    let (cpu, memory) = (&vm["usage"]["cpu"], &vm["usage"]["memory"]);
    check(cpu["source"] == "prometheus" && memory["source"] == "prometheus", || vm["usage"].to_string())?;
    check(memory["used"] == machine.bytes, || memory.to_string())?;
    let share = cpu["used"].as_f64().ok_or_else(|| cpu.to_string())? / machine.nanocores as f64;
    check((share - 1.0).abs() < RATE, || format!("{share} of the load: {cpu}"))
}

/// The cluster tier, which may ask no node.
async fn with_prometheus(storage: &Storage, test: &str, more: &[&str]) -> (Access, Program) {
    let more = more.iter().map(|flag| (*flag).to_owned());
    let flags: Vec<String> = storage.prometheus_flags().into_iter().chain(more).collect();
    storage.program(test, "cluster", &flags).await
}

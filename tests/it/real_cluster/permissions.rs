//! A missing permission costs only its own figures, and the program names it. When it is granted, the figures come back
//! without a restart.

use std::time::Duration;

use serde_json::Value;

use super::{
    figures::{FIRST_FIGURES, all_right, settled},
    harness::{
        access::Access,
        machine::{Machine, Owner},
        program::Program,
        shared::{Cluster, on_the_cluster},
        wait::{check, within},
    },
};

/// One cycle and its request, on a busy machine. A watch asks for its permission within 5 s.
const POLLED: Duration = Duration::from_secs(5);
const WATCHED: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn without_metrics_cpu_and_memory_alone_are_missing() {
    on_the_cluster(async |cluster| {
        let (access, program) = cluster.program("no-metrics").await;
        settled(&program, cluster).await;
        access.revoke("metrics.k8s.io", "pods").await;
        wait_until_forbidden(&program, "metrics.k8s.io", "pods.metrics.k8s.io", POLLED).await;
        let vm = program.vm("prod", "web").await.unwrap();
        assert_eq!(vm["metrics"], Value::Null);
        for figure in ["cpu", "memory"] {
            assert_names_permission(&vm["usage"][figure]["missing"], "pods.metrics.k8s.io");
            assert!(vm["usage"][figure]["missing"]["last"]["used"].is_u64(), "the last value stays: {vm}");
        }
        assert_eq!(vm["usage"]["disk"]["used"], cluster.machine("prod", "web").disks[0].used);
        access.restore().await;
        wait_until_recovered(&program, cluster, POLLED).await;
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn without_nodes_proxy_disk_alone_is_missing() {
    on_the_cluster(async |cluster| {
        let (access, program) = cluster.program("no-proxy").await;
        settled(&program, cluster).await;
        access.revoke("", "nodes/proxy").await;
        wait_until_forbidden(&program, "kubelet", "nodes/proxy", POLLED).await;
        let vm = program.vm("prod", "web").await.unwrap();
        assert_names_permission(&vm["usage"]["disk"]["missing"], "nodes/proxy");
        assert_eq!(vm["metrics"]["diskUsage"], 0);
        assert_eq!(vm["usage"]["memory"]["used"], cluster.machine("prod", "web").bytes);
        access.restore().await;
        wait_until_recovered(&program, cluster, POLLED).await;
    });
}

/// A watch that is open is not cut when its permission goes, so the program starts without it.
async fn started_without(cluster: &Cluster, test: &str, group: &str, resource: &str) -> (Access, Program) {
    let access = Access::install(&cluster.plane, test).await;
    access.revoke(group, resource).await;
    let program = Program::start(&access.kubeconfig, test, cluster.plane.dir());
    (access, program)
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn without_kubevirt_the_wukongs_keep_their_figures() {
    on_the_cluster(async |cluster| {
        let (access, program) = started_without(cluster, "no-kubevirt", "kubevirt.io", "*").await;
        let all: Vec<&Machine> = cluster.machines.iter().filter(needs_no_kubevirt).collect();
        all_right(&program, &all, FIRST_FIGURES).await.unwrap();
        wait_until_forbidden(&program, "virtualmachines", "virtualmachines.kubevirt.io", POLLED).await;
        wait_until_forbidden(
            &program,
            "virtualmachineinstances",
            "virtualmachineinstances.kubevirt.io",
            POLLED,
        )
        .await;
        access.restore().await;
        wait_until_recovered(&program, cluster, WATCHED).await;
    });
}

/// Returns whether a machine is complete with only Wukong, pods and metrics: a Wukong with the name of its VM.
fn needs_no_kubevirt(machine: &&Machine) -> bool {
    machine.owner == Owner::Wukong && machine.vm_name == machine.name
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn without_pods_nobody_gets_anothers_figures() {
    on_the_cluster(async |cluster| {
        let (access, program) = started_without(cluster, "no-pods", "", "pods").await;
        wait_until_forbidden(&program, "pods", "pods", FIRST_FIGURES).await;
        // PodMetrics carry the label that tells whose pod it is, and claims are known by reference.
        let web = cluster.machine("prod", "web");
        all_right(&program, &[web, cluster.machine("prod", "hot")], FIRST_FIGURES).await.unwrap();
        for vm in program.vms().await {
            no_more_than_its_own(&vm, cluster);
        }
        access.restore().await;
        wait_until_recovered(&program, cluster, WATCHED).await;
    });
}

/// Checks that all known figures are right, and that all others have a reason.
fn no_more_than_its_own(vm: &Value, cluster: &Cluster) {
    let machine = cluster.machine(text(&vm["namespace"]), text(&vm["name"]));
    let memory = &vm["usage"]["memory"];
    match memory["used"].as_u64() {
        Some(used) => assert_eq!(used, machine.bytes, "{vm}"),
        None => assert!(memory["missing"]["reason"].is_string(), "{vm}"),
    }
}

/// Waits until a source says that it is forbidden, and by which permission.
async fn wait_until_forbidden(program: &Program, id: &str, permission: &str, limit: Duration) {
    let forbidden = within(limit, async || {
        let source = program.source(id).await;
        check(source["state"] == "forbidden" && source["reason"] == "forbidden", || source.to_string())?;
        check(text(&source["error"]).contains(permission), || {
            format!("{permission} is not named: {source}")
        })?;
        check(!text(&source["fix"]).is_empty(), || format!("no fix: {source}"))
    });
    forbidden.await.unwrap();
}

fn assert_names_permission(missing: &Value, permission: &str) {
    assert_eq!(missing["reason"], "forbidden", "{missing}");
    assert!(text(&missing["detail"]).contains(permission), "{permission} is not named: {missing}");
    assert!(!text(&missing["fix"]).is_empty(), "{missing}");
}

/// Waits until every figure is right again and every source healthy.
async fn wait_until_recovered(program: &Program, cluster: &Cluster, limit: Duration) {
    let machines: Vec<&Machine> = cluster.machines.iter().collect();
    all_right(program, &machines, limit).await.unwrap();
    // No figure needs some of the sources, so that these may be a moment later.
    let well = within(limit, async || {
        let ill = program.unhealthy_sources().await;
        check(ill.is_empty(), || format!("{ill:?}"))
    });
    well.await.unwrap();
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

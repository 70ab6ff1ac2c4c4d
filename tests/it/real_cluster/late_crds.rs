//! The program starts in a cluster that has none of the CRDs.

use std::{collections::BTreeMap, time::Duration};

use super::harness::{
    access::Access,
    control_plane::ControlPlane,
    kubelet::Kubelet,
    machine::{Disk, GI, Machine},
    program::Program,
    shared::{namespaces, run_alone},
    wait::{check, within},
};

/// From the installation to the VMs on the page.
const PICKED_UP: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn crds_that_are_installed_later_are_picked_up() {
    run_alone(async {
        let plane = ControlPlane::start(1).await;
        let access = Access::install(&plane, "late").await;
        let program = Program::start(&access.kubeconfig, "late", plane.dir());
        for id in ["wukongs", "virtualmachines", "virtualmachineinstances", "metrics.k8s.io"] {
            within(PICKED_UP, async || check_absent(&program, id).await).await.unwrap();
        }
        assert_eq!(program.get("/").await.status, 200);
        assert_eq!(program.get("/readyz").await.status, 200, "every source was tried");
        assert!(program.vms().await.is_empty());

        plane.install_crds().await;
        let machine = Machine {
            nanocores: 100_000_000,
            bytes: 300_000_000,
            disks: vec![Disk::new("late-root", 10 * GI, 3 * GI)],
            ..Machine::new("prod", "late")
        };
        let kubelets = BTreeMap::from([("node-a", Kubelet::start(&plane, "node-a", 11).await)]);
        namespaces(&plane, std::slice::from_ref(&machine)).await;
        machine.install(&plane.api, &kubelets).await;
        within(PICKED_UP, async || {
            let vm = program.vm("prod", "late").await?;
            check(vm["usage"]["disk"]["used"] == 3 * GI, || vm.to_string())?;
            check(vm["kubevirtStatus"] == "Running", || vm.to_string())?;
            check(vm["usage"]["cpu"]["missing"]["reason"] == "api-absent", || vm.to_string())
        })
        .await
        .unwrap();
    });
}

async fn check_absent(program: &Program, id: &str) -> Result<(), String> {
    let source = program.source(id).await;
    check(source["state"] == "absent" && source["reason"] == "api-absent", || source.to_string())?;
    check(source["fix"].as_str().is_some_and(|fix| !fix.is_empty()), || source.to_string())
}

//! Kubelets that are asked directly: with `nodes/stats` alone, with a certificate that can be verified, and else through the
//! API server.

use std::{collections::BTreeMap, time::Duration};

use super::{
    harness::{
        access::Access,
        control_plane::ControlPlane,
        kubelet::Kubelet,
        machine::{Disk, GI, Machine},
        pki::Authority,
        program::{DISK_INTERVAL, Program},
        shared::{namespaces, run_alone},
        storage::{Storage, on_the_storage_cluster},
        wait::{check, within},
    },
    layers::{known, volume},
};

const FIRST_FIGURES: Duration = Duration::from_secs(20);
const USED: u64 = 7 * GI + 12_345;

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn with_nodes_stats_alone_kubelets_are_asked_direct() {
    on_the_storage_cluster(async |storage| {
        let (access, program) = storage.program::<&str>("direct", "nodes-stats", &[]).await;
        within(FIRST_FIGURES, async || from(&program, "kubelet-direct").await).await.unwrap();
        assert_eq!(proxied(storage, &access), 0, "the proxy is not needed");
        let before = count_answered(storage, &access);
        let window = 5 * DISK_INTERVAL;
        tokio::time::sleep(window).await;
        let more = count_answered(storage, &access) - before;
        assert!((3..=6).contains(&more), "{more} requests to node-a in {window:?}");
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn with_nodes_proxy_alone_kubelets_are_asked_through_the_api_server() {
    on_the_storage_cluster(async |storage| {
        let (access, program) = storage.program::<&str>("proxied", "nodes-proxy", &[]).await;
        within(FIRST_FIGURES, async || from(&program, "kubelet").await).await.unwrap();
        assert!(proxied(storage, &access) > 0);
        let offered = storage.kubelets["node-a"].requests();
        let offered = offered.iter().filter(|direct| direct.user == access.user()).count();
        assert_eq!(offered, 0, "a token that may exec is offered to no kubelet");
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn direct_alone_does_not_fall_back() {
    on_the_storage_cluster(async |storage| {
        let flags = ["--kubelet-access=direct"];
        let (access, program) = storage.program("direct-alone", "nodes-proxy", &flags).await;
        within(FIRST_FIGURES, async || {
            let vm = program.vm("prod", "four").await?;
            let missing = &volume(&vm, "four-image")?["usage"]["missing"];
            check(missing["reason"] == "forbidden", || vm.to_string())
        })
        .await
        .unwrap();
        assert_eq!(proxied(storage, &access), 0);
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_token_goes_only_to_a_kubelet_whose_certificate_can_be_verified() {
    run_alone(async {
        let plane = ControlPlane::start(5).await;
        plane.install_crds().await;
        let other = Authority::new();
        let pair = other.issue("node-a", None, &[plane.address(11, 0).ip().to_string()]);
        let kubelet = Kubelet::with_certificate(&plane, "node-a", 11, &pair).await;
        let kubelets = BTreeMap::from([("node-a", kubelet)]);
        let disks = vec![Disk::new("four-image", 20 * GI, USED)];
        let machine =
            Machine { nanocores: 125_000_000, bytes: GI / 4, disks, ..Machine::new("prod", "four") };
        namespaces(&plane, std::slice::from_ref(&machine)).await;
        machine.install(&plane.api, &kubelets).await;
        let access = Access::of_tier(&plane, "certificates", "nodes-stats", &[]).await;

        let program = start(&plane, &access, "unverified", &[]);
        within(FIRST_FIGURES, async || {
            let vm = program.vm("prod", "four").await?;
            let missing = &volume(&vm, "four-image")?["usage"]["missing"];
            check(missing["reason"].is_string() && missing["reason"] != "starting", || vm.to_string())?;
            check(missing.to_string().contains("certificate"), || format!("it does not say why: {missing}"))
        })
        .await
        .unwrap();
        assert!(kubelets["node-a"].requests().is_empty(), "no request, no token");

        let authority = plane.dir().join("kubelets.crt");
        std::fs::write(&authority, other.pem()).unwrap();
        let flag = format!("--kubelet-ca={}", authority.display());
        for (test, flag) in [("named", flag.as_str()), ("insecure", "--kubelet-insecure-tls")] {
            let program = start(&plane, &access, test, &[flag]);
            within(FIRST_FIGURES, async || from(&program, "kubelet-direct").await).await.unwrap();
        }
    });
}

fn start(plane: &ControlPlane, access: &Access, test: &str, flags: &[&str]) -> Program {
    let flags = [&["--kubelet-access=direct"], flags].concat();
    Program::start_with_flags(&access.kubeconfig, test, plane.dir(), &flags)
}

async fn from(program: &Program, source: &str) -> Result<(), String> {
    let vm = program.vm("prod", "four").await?;
    known(&vm, "four-image", source, "own", USED, 20 * GI)
}

/// Requests through the API server to any kubelet.
fn proxied(storage: &Storage, access: &Access) -> usize {
    let requests = storage.plane.audit().of(&access.user());
    requests.iter().filter(|request| request.summary_of().is_some()).count()
}

/// Requests directly to node-a's kubelet that were answered.
fn count_answered(storage: &Storage, access: &Access) -> usize {
    let requests = storage.kubelets["node-a"].requests();
    requests.iter().filter(|direct| direct.user == access.user() && direct.status == 200).count()
}

//! A cluster without IPv4, and a machine without IPv6: the program listens wherever it can be reached.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::Command,
    time::Duration,
};

use serde_json::json;

use super::harness::{
    access::Access,
    control_plane::{ControlPlane, Network},
    program::{Program, Start},
    shared::run_alone,
    wait::{check, within},
};

/// Set for a test that runs once more in a network of its own.
const INSIDE: &str = "WUKONG_TEST_NETWORK";
const FIRST: Duration = Duration::from_secs(20);

/// Runs the test of this name again, in a network namespace that `setup` has made; true for the one that is in it.
fn is_inside(test: &str, setup: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let status = Command::new("unshare")
        .args(["--net", "sh", "-c", &format!("ip link set lo up && {setup} && exec \"$@\""), "sh"])
        .arg(std::env::current_exe().expect("this test"))
        .args([&format!("real_cluster::ipv6::{test}"), "--exact", "--ignored", "--nocapture"])
        .env(INSIDE, test)
        .status()
        .expect("unshare");
    assert!(status.success(), "{test} in a network of its own: {status}");
    false
}

fn port(program: &Program) -> u16 {
    program.url.rsplit_once(':').expect("a port").1.parse().expect("a port")
}

fn listening_on(listen: &str, name: &str) -> Start {
    let flags = vec!["--sign-in=none".into()];
    Start { name: name.to_owned(), listen: listen.to_owned(), flags, ..Start::default() }
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn without_ipv4_a_port_alone_is_listened_on() {
    let setup = "ip -4 address flush dev lo && ip -6 address add fd00:90::1/112 dev lo nodad";
    if !is_inside("without_ipv4_a_port_alone_is_listened_on", setup) {
        return;
    }
    run_alone(async {
        let plane = ControlPlane::start_on(Network::V6).await;
        plane.install_crds().await;
        let wukong = json!({"apiVersion": "vm.novasphere.dev/v1alpha1", "kind": "Wukong",
            "metadata": {"name": "six", "namespace": "default"},
            "spec": {"cpu": 1, "memory": "1Gi", "osImage": "debian", "networks": [], "disks": []}});
        plane.api.create(&wukong).await;
        let access = Access::install(&plane, "ipv6").await;
        let start = |listen, name| Start {
            kubeconfig: Some(access.kubeconfig.clone()),
            ..listening_on(listen, name)
        };
        let program = start(":0", "ipv6").run(plane.dir());
        within(FIRST, async || program.vm("default", "six").await.map(drop)).await.unwrap();
        let (port, pod) = (port(&program), plane.address(1, 0).ip());
        // As its kubelet probes it.
        for host in [pod, Ipv6Addr::LOCALHOST.into()] {
            assert_eq!(probe((host, port).into()).await, 200, "{host}");
        }
        let healthcheck = [":", "[::]:"].map(|any| Start::healthcheck(&format!("{any}{port}")));
        assert_eq!(healthcheck, [0, 0]);

        let four = start("0.0.0.0:0", "ipv4-alone").run(plane.dir());
        assert!(TcpStream::connect((pod, self::port(&four))).is_err(), "0.0.0.0 means IPv4");
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn without_ipv6_a_port_alone_is_listened_on_too() {
    let setup = "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6";
    if !is_inside("without_ipv6_a_port_alone_is_listened_on_too", setup) {
        return;
    }
    run_alone(async {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("config");
        // Nobody is there, which keeps no page from being served.
        let nobody = "current-context: a\ncontexts: [{name: a, context: {cluster: a}}]\n\
                      clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]\n";
        std::fs::write(&kubeconfig, nobody).unwrap();
        for listen in [":0", "[::]:0", "0.0.0.0:0"] {
            let start = Start { kubeconfig: Some(kubeconfig.clone()), ..listening_on(listen, "no-ipv6") };
            let program = start.run(folder.path());
            let reached = within(FIRST, async || {
                let status = probe((Ipv4Addr::LOCALHOST, port(&program)).into()).await;
                check(status == 200, || status.to_string())
            });
            reached.await.unwrap_or_else(|why| panic!("{listen}: {why}"));
            assert_eq!(Start::healthcheck(&format!(":{}", port(&program))), 0, "{listen}");
        }
    });
}

async fn probe(address: SocketAddr) -> u16 {
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().unwrap();
    let answer = http.get(format!("http://{address}/healthz")).send().await;
    answer.map_or(0, |answer| answer.status().as_u16())
}

//! The API server behind a real HTTP proxy and a real SOCKS proxy.

use std::{ffi::OsString, time::Duration};

use serde_json::json;

use super::harness::{
    access::Access,
    program::{Program, Start},
    proxy::{PASSWORD, Proxy},
    shared::{Cluster, on_the_cluster},
    wait::{check, within},
};

const FIRST: Duration = Duration::from_secs(20);
/// Of the proxies on the shared cluster: its nodes have 11 to 14.
const HTTP: u8 = 60;
const SOCKS: u8 = 61;

/// Waits until the API server is asked with success.
async fn wait_until_healthy(program: &Program) {
    let well = within(FIRST, async || {
        let source = program.source("wukongs").await;
        check(source["state"] == "healthy", || source.to_string())?;
        let source = program.source("metrics.k8s.io").await;
        check(source["state"] == "healthy", || source.to_string())
    });
    well.await.unwrap_or_else(|why| panic!("{why}; {}", program.log()));
}

fn start(access: &Access, name: &str, variables: &[(&'static str, String)]) -> Start {
    let variables = variables.iter().map(|(name, value)| (*name, OsString::from(value)));
    Start {
        name: name.to_owned(),
        kubeconfig: Some(access.kubeconfig.clone()),
        variables: variables.collect(),
        flags: vec!["--kubelet-access=direct".into()],
        ..Start::default()
    }
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn the_environments_proxy_leads_to_the_api_server_and_never_to_a_kubelet() {
    on_the_cluster(async |cluster| {
        let access = Access::of_tier(&cluster.plane, "proxied", "nodes-stats", &[]).await;
        let mut proxy = Proxy::http(&cluster.plane, HTTP).await;
        let by_proxy = [("HTTPS_PROXY", proxy.url()), ("NO_PROXY", ".corp,10.91.0.0/16".to_owned())];
        let program = start(&access, "proxied", &by_proxy).run(cluster.plane.dir());
        wait_until_healthy(&program).await;
        let direct = within(FIRST, async || {
            let source = program.source("kubelet").await;
            check(source["state"] == "healthy", || source.to_string())
        });
        direct.await.unwrap();
        let log = proxy.log();
        assert!(log.contains("10.90.0.1:6443"), "{log}");
        assert!(!log.contains(":10250"), "a kubelet was asked through the proxy: {log}");
        assert!(!program.log().contains(PASSWORD), "{}", program.log());

        let (_, text) = start(&access, "proxied", &by_proxy).check("text");
        for line in ["√ context: tests", "√ address: https://10.90.0.1:6443", "√ credentials: token"] {
            assert!(text.contains(&format!("{line}\n")), "{line} is not in {text}");
        }
        assert!(text.contains(&format!("√ proxy: {}\n", proxy.shown())), "{text}");
        assert!(!text.contains(PASSWORD) && !text.contains(&access.token), "{text}");

        // Where it is not to be used, it is not missed.
        proxy.stop();
        let around = [("HTTPS_PROXY", proxy.url()), ("NO_PROXY", ".corp,10.90.0.0/16".to_owned())];
        wait_until_healthy(&start(&access, "around-the-proxy", &around).run(cluster.plane.dir())).await;
        wait_until_proxy_is_unreachable(&program).await;
    });
}

/// The program says what is wrong: its proxy is no more.
async fn wait_until_proxy_is_unreachable(program: &Program) {
    let result = within(FIRST, async || {
        let source = program.source("metrics.k8s.io").await;
        let error = "the proxy to the API server cannot be reached";
        check(source.to_string().contains(error), || source.to_string())
    });
    result.await.unwrap();
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn the_kubeconfigs_proxy_leads_to_the_api_server_and_is_waited_for() {
    on_the_cluster(async |cluster| {
        let access = Access::install(&cluster.plane, "socks").await;
        let mut proxy = Proxy::socks(&cluster.plane, SOCKS).await;
        let kubeconfig = by_way_of(cluster, &access, &proxy);
        let program = Start {
            // Its own proxy counts, whatever the environment excepts.
            variables: vec![("NO_PROXY", "*".into())],
            kubeconfig: Some(kubeconfig),
            // A watch that was cut counts as well again with its next line: here that is soon.
            flags: vec!["--watch-idle=6s".into()],
            ..start(&access, "socks", &[])
        };
        let program = program.run(cluster.plane.dir());
        wait_until_healthy(&program).await;
        proxy.stop();
        wait_until_proxy_is_unreachable(&program).await;
        let proxy = Proxy::socks(&cluster.plane, SOCKS).await;
        wait_until_healthy(&program).await;
        let log = proxy.log();
        assert!(log.contains("10.90.0.1:6443"), "{log}");
    });
}

fn by_way_of(cluster: &Cluster, access: &Access, proxy: &Proxy) -> std::path::PathBuf {
    let url = proxy.url().replace("socks5:", "socks5h:");
    cluster.plane.kubeconfig_of("socks", json!({"token": access.token}), json!({"proxy-url": url}))
}

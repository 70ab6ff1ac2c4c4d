//! The fault matrix's smoke part: a few sources × what can be done to real peers. Each fails alone, says why, and is
//! there again soon after.

use std::{fs, path::PathBuf, time::Duration};

use serde_json::Value;

use super::{
    harness::{
        access::Access,
        kubelet::KubeletState,
        machine::GI,
        pki::Authority,
        program::Program,
        storage::{Storage, on_the_storage_cluster},
        wait::{check, within},
    },
    layers::known,
};

const FIRST_FIGURES: Duration = Duration::from_secs(20);
/// Until a failure shows: a deadline, a cycle, and a busy machine.
const SHOWN: Duration = Duration::from_secs(15);
/// Longest time until a failed source has recovered.
const RECOVERY: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailureMode {
    MetricsBackendFails,
    MetricsForbidden,
    KubeletFails,
    KubeletHangs,
    KubeletsOfAStranger,
    AgentsHang,
    PrometheusStopped,
}

/// What is done, the source that says so, and its reason.
const CELLS: [(FailureMode, &str, &str); 7] = [
    (FailureMode::MetricsBackendFails, "metrics.k8s.io", "unreachable"),
    (FailureMode::MetricsForbidden, "metrics.k8s.io", "forbidden"),
    (FailureMode::KubeletFails, "kubelet", "unreachable"),
    (FailureMode::KubeletHangs, "kubelet", "timed-out"),
    (FailureMode::KubeletsOfAStranger, "kubelet", "unreachable"),
    (FailureMode::AgentsHang, "guest-agent", "timed-out"),
    (FailureMode::PrometheusStopped, "prometheus", "timed-out"),
];

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn each_source_fails_alone_and_comes_back() {
    on_the_storage_cluster(async |storage| {
        for (failure, source, reason) in CELLS {
            let cell = Cell::start(storage, failure, source).await;
            let outcome = cell.run(source, reason).await;
            outcome.unwrap_or_else(|why| panic!("{failure:?}: {why}"));
        }
        eprintln!("faults of real peers: {} cells", CELLS.len());
    });
}

struct Cell<'a> {
    storage: &'a Storage,
    failure: FailureMode,
    source: &'static str,
    access: Access,
    program: Program,
    /// The file of the kubelets' authority.
    authority: PathBuf,
}

impl<'a> Cell<'a> {
    async fn start(storage: &'a Storage, failure: FailureMode, source: &'static str) -> Self {
        let name = format!("fault-{failure:?}").to_lowercase();
        let authority = storage.plane.dir().join(format!("{name}-kubelets.crt"));
        fs::copy(storage.plane.authority_file(), &authority).unwrap();
        let mut flags = storage.prometheus_flags();
        flags.extend([
            format!("--kubelet-ca={}", authority.display()),
            "--kubelet-access=direct".to_owned(),
            "--kubelet-deadline=2s".to_owned(),
            "--guest-agent-deadline=2s".to_owned(),
            "--prometheus-deadline=2s".to_owned(),
        ]);
        let (access, program) = storage.program(&name, "nodes-stats", &flags).await;
        Self { storage, failure, source, access, program, authority }
    }

    async fn run(&self, source: &str, reason: &str) -> Result<(), String> {
        within(FIRST_FIGURES, async || self.figures("").await)
            .await
            .map_err(|why| format!("at first {why}"))?;
        self.strike(true).await;
        let shown = within(SHOWN, async || {
            let health = self.program.source(source).await;
            check(health["reason"] == reason && health["state"] != "healthy", || health.to_string())?;
            check(!health["error"].as_str().unwrap_or_default().is_empty(), || health.to_string())?;
            self.figures(self.source).await
        });
        let shown = shown.await;
        self.strike(false).await;
        shown?;
        within(RECOVERY, async || {
            let health = self.program.source(source).await;
            // Of one guest the agent is always off.
            check(health["reason"].is_null() || health["reason"] == "agent-off", || health.to_string())?;
            self.figures("").await
        })
        .await
        .map_err(|why| format!("recovery {why}"))
    }

    /// Does it, or undoes it.
    async fn strike(&self, on: bool) {
        let Storage { plane, kubelets, agents, prometheus, metrics, .. } = self.storage;
        let set_state = |state| kubelets["node-b"].set_state(if on { state } else { KubeletState::Normal });
        match self.failure {
            FailureMode::MetricsBackendFails => metrics.break_down(on),
            FailureMode::MetricsForbidden if on => self.access.revoke("metrics.k8s.io", "pods").await,
            FailureMode::MetricsForbidden => self.access.restore().await,
            FailureMode::KubeletFails => set_state(KubeletState::Broken),
            FailureMode::KubeletHangs => set_state(KubeletState::Hangs),
            FailureMode::KubeletsOfAStranger if on => {
                fs::write(&self.authority, Authority::new().pem()).unwrap()
            }
            FailureMode::KubeletsOfAStranger => {
                fs::copy(plane.authority_file(), &self.authority).map(|_| ()).unwrap()
            }
            FailureMode::AgentsHang => agents.hang(on),
            FailureMode::PrometheusStopped => prometheus.stop(on),
        }
    }

    /// Whether each figure that is not of this source is right and fresh. The kubelet that fails is node-b's: what
    /// node-a's says stays. A kubelet's stranger is a stranger to both.
    async fn figures(&self, but: &str) -> Result<(), String> {
        let vm = self.program.vm("prod", "four").await?;
        if but != "metrics.k8s.io" {
            let cpu = &vm["usage"]["cpu"];
            check(cpu["used"].is_number() && cpu["stale"] == false, || cpu.to_string())?;
        }
        if !(but == "kubelet" && self.failure == FailureMode::KubeletsOfAStranger) {
            known(&vm, "four-image", "kubelet-direct", "own", 7 * GI + 12_345, 20 * GI)?;
        }
        if but != "guest-agent" {
            known(&vm, "four-guest", "guest-agent", "own", 3 * GI + 777, 9 * GI)?;
        }
        known(&vm, "four-longhorn", "longhorn", "backend", 6 * GI + 4096, 8 * GI)?;
        nothing_invented(&self.program.vm("prod", "quiet").await?)
    }
}

/// Of node-b: what is shown is what the kubelet, or a Prometheus that asked it, once said.
fn nothing_invented(quiet: &Value) -> Result<(), String> {
    let usage = &quiet["volumes"][0]["usage"];
    let used = if usage["missing"].is_object() { &usage["missing"]["last"]["used"] } else { &usage["used"] };
    check(used.is_null() || *used == 2 * GI, || quiet.to_string())
}

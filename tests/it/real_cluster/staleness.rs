//! A figure that is not measured any more grows old, then goes missing; it is never shown as fresh.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    figures::settled,
    harness::{
        access::Access,
        control_plane::ControlPlane,
        kubelet::Kubelet,
        machine::Machine,
        metrics_stub::MetricsStub,
        program::Program,
        shared::{namespaces, on_the_cluster, run_alone},
        wait::{check, within},
    },
};

/// The window of the stub's samples, and the poll's interval: 1 s each.
const STALE: Duration = Duration::from_secs(3);
const MISSING: Duration = Duration::from_secs(20);
/// Whole-second sample times, a poll, a snapshot, a look, on a busy machine.
const SLACK: Duration = Duration::from_secs(5);

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_figure_that_is_not_measured_any_more_is_stale_then_missing() {
    run_alone(async {
        let plane = ControlPlane::start(2).await;
        plane.install_crds().await;
        let stub = MetricsStub::start(&plane).await;
        let machines = ["stuck", "lively"].map(machine);
        install(&plane, &machines, &stub).await;
        let access = Access::install(&plane, "staleness").await;
        let program = Program::start(&access.kubeconfig, "staleness", plane.dir());
        for name in ["stuck", "lively"] {
            within(Duration::from_secs(20), async || check_fresh(&program, name).await).await.unwrap();
        }
        stub.freeze(&machines[0].pod());
        assert_figure_ages(&program, "stuck", "expired", async || check_fresh(&program, "lively").await)
            .await;
        drop(stub);
        assert_figure_ages(&program, "lively", "", async || Ok(())).await;
    });
}

fn machine(name: &'static str) -> Machine {
    Machine { nanocores: 125_000_000, bytes: 256 << 20, ..Machine::new("prod", name) }
}

async fn install(plane: &ControlPlane, machines: &[Machine], stub: &MetricsStub) {
    let kubelets = BTreeMap::from([("node-a", Kubelet::start(plane, "node-a", 11).await)]);
    namespaces(plane, machines).await;
    for machine in machines {
        machine.install(&plane.api, &kubelets).await;
        stub.add(machine.namespace, machine.pod());
    }
    plane.served("/apis/metrics.k8s.io/v1beta1/pods", Duration::from_secs(30)).await;
}

/// Follows a figure from its last measurement on: fresh for 3 intervals at most, stale, then missing after 20.
async fn assert_figure_ages(
    program: &Program,
    name: &str,
    reason: &str,
    meanwhile: impl AsyncFn() -> Result<(), String>,
) {
    let start = Instant::now();
    within(STALE + SLACK, async || check(state(program, name).await == "stale", || "not stale".to_owned()))
        .await
        .unwrap();
    assert!(start.elapsed() + Duration::from_secs(2) > STALE, "stale after {:?} already", start.elapsed());
    within(Duration::from_secs(3), &meanwhile).await.unwrap();
    while start.elapsed() < MISSING + SLACK {
        match state(program, name).await.as_str() {
            "missing" => break,
            state => assert_eq!(state, "stale", "{:?} after its last measurement", start.elapsed()),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let vm = program.vm("prod", name).await.unwrap();
    let missing = &vm["usage"]["cpu"]["missing"];
    assert!(missing["reason"].is_string(), "not missing after {:?}: {vm}", start.elapsed());
    assert!(start.elapsed() + Duration::from_secs(2) > MISSING, "after {:?} already: {vm}", start.elapsed());
    assert!(reason.is_empty() || missing["reason"] == reason, "{vm}");
    assert!(missing["last"]["used"].is_u64() && missing["last"]["sampledAt"].is_i64(), "{vm}");
    assert_eq!(vm["metrics"], Value::Null);
}

async fn state(program: &Program, name: &str) -> String {
    let vm = program.vm("prod", name).await.unwrap_or_default();
    let cpu = &vm["usage"]["cpu"];
    match (cpu["missing"].is_object(), cpu["stale"].as_bool()) {
        (true, _) => "missing".to_owned(),
        (false, Some(true)) => "stale".to_owned(),
        (false, Some(false)) => "fresh".to_owned(),
        (false, None) => format!("no figure: {vm}"),
    }
}

async fn check_fresh(program: &Program, name: &str) -> Result<(), String> {
    let state = state(program, name).await;
    check(state == "fresh", || format!("{name} is {state}"))
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn figures_of_a_stopped_metrics_server_are_stale_after_three_of_its_windows() {
    on_the_cluster(async |cluster| {
        let (_access, program) = cluster.program("stopped").await;
        settled(&program, cluster).await;
        cluster.plane.stop_metrics_server();
        let outcome = grows_stale(&program).await;
        cluster.plane.start_metrics_server();
        cluster.measured().await;
        outcome.unwrap();
        settled(&program, cluster).await;
    });
}

/// metrics-server's windows are its resolution, 10 s, or a little more.
async fn grows_stale(program: &Program) -> Result<(), String> {
    let sample = program.vm("prod", "web").await?["usage"]["cpu"].clone();
    let window = sample["windowSeconds"].as_f64().ok_or("no window")?;
    check((9.0..15.0).contains(&window), || format!("a window of {window} s"))?;
    let stale = within(Duration::from_secs(50), async || {
        let cpu = program.vm("prod", "web").await?["usage"]["cpu"].clone();
        check(cpu["stale"] == true, || cpu.to_string())?;
        Ok(cpu)
    });
    let cpu = stale.await?;
    let age = jiff::Timestamp::now().as_millisecond() - cpu["sampledAt"].as_i64().ok_or("no time")?;
    let window = cpu["windowSeconds"].as_f64().ok_or("no window")?;
    check(age as f64 >= 3000.0 * window, || format!("stale at {age} ms already, of {window} s windows"))?;
    check(age as f64 <= 3000.0 * window + 8000.0, || format!("fresh until {age} ms"))
}

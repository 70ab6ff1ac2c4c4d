//! The API server stops and comes back while the program runs.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{
    figures::{all_right, settled},
    harness::{
        machine::Machine,
        program::{DISK_INTERVAL, Program},
        shared::on_the_cluster,
        wait::{check, within},
    },
};

/// Long enough for the disk figures to be stale: more than three of their intervals, each twice as long as the kubelet was seen to
/// take.
const OUTAGE: Duration = Duration::from_secs(6 * DISK_INTERVAL.as_secs() + 4);
/// Longest time until figures are fresh again, after the API server is ready.
const RECOVERY: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn the_page_outlives_the_api_server_and_is_fresh_again_soon_after_it() {
    on_the_cluster(async |cluster| {
        let (_access, program) = cluster.program("outage").await;
        settled(&program, cluster).await;
        // Two measurements of each kubelet: until then it is taken to measure once a minute, as kubelets do.
        tokio::time::sleep(3 * DISK_INTERVAL).await;
        cluster.plane.stop_api_server();
        let outcome = stays_up_and_ages(&program).await;
        cluster.plane.start_api_server();
        cluster.plane.ready().await;
        let ready = Instant::now();
        let machines: Vec<&Machine> = cluster.machines.iter().collect();
        let fresh = all_right(&program, &machines, RECOVERY).await;
        let healthy = within(RECOVERY.saturating_sub(ready.elapsed()), async || {
            let ill = program.unhealthy_sources().await;
            check(ill.is_empty(), || format!("{ill:?}"))
        });
        let healthy = healthy.await;
        cluster.measured().await;
        outcome.and(fresh).and(healthy).unwrap();
    });
}

/// Through the whole outage: pages are answered, nothing new is claimed to be heard, old figures say that they are.
async fn stays_up_and_ages(program: &Program) -> Result<(), String> {
    let stopped = Instant::now();
    let mut last_seen = None;
    while stopped.elapsed() < OUTAGE {
        for path in ["/", "/vms/prod/web", "/api/vms", "/healthz"] {
            let status = program.try_get(path).await.map(|answer| answer.status);
            check(matches!(status, Ok(200)), || format!("GET {path}: {status:?}"))?;
        }
        // An answer that was on its way when the server was killed may still have been read.
        if stopped.elapsed() > Duration::from_secs(2) {
            let last = read_last_seen(program).await;
            let before = *last_seen.get_or_insert(last);
            check(last == before, || format!("last_seen at {before}, now {last}, from a dead server"))?;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let web = program.vm("prod", "web").await?;
    check(web["usage"]["disk"]["stale"] == true, || format!("not stale after {OUTAGE:?}: {web}"))
}

async fn read_last_seen(program: &Program) -> i64 {
    let sources = program.get("/api/sources").await.json();
    let times = |source: &Value| source["lastSuccess"].as_i64().max(source["lastBytes"].as_i64());
    sources.as_array().into_iter().flatten().filter_map(times).max().unwrap_or_default()
}

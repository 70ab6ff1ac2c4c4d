//! A real Ceph that refuses logins, forgets tokens or hangs: only its own figures are missing, and its account is never locked.

use std::time::Duration;

use super::{
    harness::{
        ceph::PASSWORD,
        machine::GI,
        program::Program,
        storage::{Storage, WRITTEN, on_the_storage_cluster},
        wait::{check, within},
    },
    layers::known,
};

const FIRST_FIGURES: Duration = Duration::from_secs(20);
/// Several of the tests' intervals of 2 s.
const ROUNDS: Duration = Duration::from_secs(12);

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn one_login_lasts_for_many_rounds() {
    on_the_storage_cluster(async |storage| {
        let before = storage.ceph.logins().await;
        let program = with_ceph(storage, "ceph-rounds", PASSWORD).await;
        within(FIRST_FIGURES, async || figures(&program).await).await.unwrap();
        tokio::time::sleep(ROUNDS).await;
        figures(&program).await.unwrap();
        let after = storage.ceph.logins().await;
        assert_eq!((after.accepted - before.accepted, after.refused - before.refused), (1, 0));
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_token_that_has_expired_is_renewed() {
    on_the_storage_cluster(async |storage| {
        storage.ceph.token_lifetime(5);
        let before = storage.ceph.logins().await;
        let program = with_ceph(storage, "ceph-expiry", PASSWORD).await;
        let outcome = stays_fresh(&program).await;
        storage.ceph.token_lifetime(28_800);
        outcome.unwrap();
        let after = storage.ceph.logins().await;
        let logins = after.accepted - before.accepted;
        assert!((2..=6).contains(&logins), "{logins} logins");
        assert_eq!(after.refused, before.refused);
    });
}

async fn stays_fresh(program: &Program) -> Result<(), String> {
    within(FIRST_FIGURES, async || figures(program).await).await?;
    let end = tokio::time::Instant::now() + ROUNDS;
    while tokio::time::Instant::now() < end {
        figures(program).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_wrong_password_does_not_lock_the_account() {
    on_the_storage_cluster(async |storage| {
        let before = storage.ceph.logins().await;
        let program = with_ceph(storage, "ceph-refused", "guessed").await;
        within(FIRST_FIGURES, async || {
            let source = program.source("ceph").await;
            check(source["state"] == "forbidden" && source["reason"] == "forbidden", || source.to_string())?;
            check(!source.to_string().contains("guessed"), || "it shows the password".to_owned())
        })
        .await
        .unwrap();
        tokio::time::sleep(ROUNDS).await;
        let refused = storage.ceph.logins().await.refused - before.refused;
        assert!((1..=2).contains(&refused), "{refused} logins in {ROUNDS:?}");
        assert!(storage.ceph.account_is_open());
        drop(program);
        let program = with_ceph(storage, "ceph-right", PASSWORD).await;
        within(FIRST_FIGURES, async || figures(&program).await).await.unwrap();
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_stopped_osd_costs_cephs_figures_alone() {
    on_the_storage_cluster(async |storage| {
        let program = with_ceph(storage, "ceph-hangs", PASSWORD).await;
        within(FIRST_FIGURES, async || figures(&program).await).await.unwrap();
        storage.ceph.stop_osd();
        let outcome = within(Duration::from_secs(60), async || {
            let vm = program.vm("prod", "four").await?;
            // The kubelet's figure is fresh in any case.
            known(&vm, "four-image", "kubelet-direct", "own", 7 * GI + 12_345, 20 * GI)?;
            let source = program.source("ceph").await;
            check(source["state"] == "degraded" && source["reason"] == "timed-out", || source.to_string())
        });
        let outcome = outcome.await;
        storage.ceph.continue_osd();
        outcome.unwrap();
        within(Duration::from_secs(60), async || figures(&program).await).await.unwrap();
    });
}

async fn with_ceph(storage: &Storage, test: &str, password: &str) -> Program {
    let (_access, program) = storage.program(test, "nodes-stats", &storage.ceph_flags(test, password)).await;
    program
}

async fn figures(program: &Program) -> Result<(), String> {
    let vm = program.vm("prod", "four").await?;
    known(&vm, "four-rbd", "ceph", "backend", WRITTEN, 10 * GI)
}

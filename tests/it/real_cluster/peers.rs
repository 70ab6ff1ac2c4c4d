//! The ground under the tests of the sources: each peer alone, without the program, answers as its makers' software does.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{
    access::Access,
    ceph::PASSWORD,
    kubelet::Direct,
    machine::GI,
    shared::on_the_cluster,
    storage::{Storage, WRITTEN, on_the_storage_cluster},
    wait::{check, within},
};
use crate::deploy;

const SCRAPED: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(20);

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_real_api_server_takes_every_object_of_every_tier() {
    on_the_cluster(async |cluster| {
        // A dry run makes nothing, the namespace neither.
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "wukong-dashboard"}});
        let vms = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "vms"}});
        for object in [namespace, vms] {
            cluster.plane.api.create(&object).await;
        }
        for tier in deploy::TIERS {
            for object in deploy::objects(tier).iter().filter(|object| object["kind"] != "Namespace") {
                let taken = cluster.plane.api.would_take(object).await;
                assert!(taken.is_ok(), "{tier}: {}: {object}", taken.unwrap_err());
            }
        }
        let mut wrong = deploy::objects("cluster").remove(1);
        wrong["automountNothing"] = json!(true);
        assert!(cluster.plane.api.would_take(&wrong).await.is_err(), "an unknown field is refused");
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_stub_kubelet_judges_tokens_as_a_kubelet_does() {
    on_the_storage_cluster(async |storage| {
        let with = Access::of_tier(&storage.plane, "may-stats", "nodes-stats", &[]).await;
        let without = Access::of_tier(&storage.plane, "may-not", "cluster", &[]).await;
        assert_eq!(status_of(storage, "/stats/summary", Some(&with.token)).await, 200);
        assert_eq!(status_of(storage, "/stats/summary", Some(&without.token)).await, 403);
        assert_eq!(status_of(storage, "/stats/summary", Some("nobodys")).await, 401);
        assert_eq!(status_of(storage, "/stats/summary", None).await, 401);
        // nodes/stats opens statistics alone.
        assert_eq!(status_of(storage, "/metrics", Some(&with.token)).await, 403);
        assert_eq!(status_of(storage, "/pods", Some(&with.token)).await, 403);
        let direct = Direct { user: with.user(), path: "/stats/summary".to_owned(), status: 200 };
        assert!(storage.kubelets["node-a"].requests().contains(&direct));
    });
}

/// The status of what node-a's kubelet answers.
async fn status_of(storage: &Storage, path: &str, token: Option<&str>) -> u16 {
    let authority = reqwest::Certificate::from_der(&storage.plane.authority()).unwrap();
    let http = reqwest::Client::builder().add_root_certificate(authority).build().unwrap();
    let mut request = http.get(format!("https://{}{path}", storage.plane.address(11, 10250)));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request.send().await.expect("an answer").status().as_u16()
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_real_prometheus_has_what_the_kubelets_say() {
    on_the_storage_cluster(async |storage| {
        let prometheus = &storage.prometheus;
        assert_eq!(prometheus.anonymous().await, 401);
        let used = r#"kubelet_volume_stats_used_bytes{namespace="prod"}"#;
        within(SCRAPED, async || {
            let all = prometheus.query(used).await?;
            let of = |claim: &str| value(&all, "persistentvolumeclaim", claim);
            check(of("four-image") == (7 * GI + 12_345).to_string(), || all.to_string())?;
            check(of("four-guest") == "0", || format!("a block volume's 0 is exported: {all}"))
        })
        .await
        .unwrap();
        let nothing = prometheus.query("kubelet_volume_stats_of_nobody").await.unwrap();
        assert_eq!(nothing, json!([]));
        assert!(prometheus.query("kubelet_volume_stats{").await.unwrap_err().contains("bad_data"));
    });
}

/// A rate over a window that is longer than the series divides by the window, not by what there is of it: a VM that
/// has just started would seem to do nothing.
#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_prometheus_rate_of_a_young_series_is_too_small_over_a_long_window() {
    on_the_storage_cluster(async |storage| {
        let rate = async |window: &str| {
            let query = format!(r#"rate(kubevirt_vmi_cpu_usage_seconds_total{{name="quiet"}}[{window}])"#);
            let all = storage.prometheus.query(&query).await?;
            value(&all, "name", "quiet").parse::<f64>().map_err(|error| format!("{error}: {all}"))
        };
        let near = within(SCRAPED, async || {
            let cores = rate("5s").await?;
            check((cores / 0.125 - 1.0).abs() < 0.05, || format!("{cores} cores of 0.125"))
        });
        near.await.unwrap();
        assert!(rate("1d").await.unwrap() < 0.01, "over a day it seems to idle");
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_real_ceph_says_what_its_images_take() {
    on_the_storage_cluster(async |storage| {
        let login = storage.ceph.login(PASSWORD).await;
        assert_eq!(login.status, 201, "{}", login.body);
        let token = login.body["token"].as_str().expect("a token");
        let images = storage.ceph.images(token, ANSWER).await.unwrap();
        assert_eq!(images.status, 200, "{}", images.body);
        let image = |name: &str| {
            let all = images.body[0]["value"].as_array().expect("images");
            all.iter().find(|image| image["name"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
        };
        assert_eq!(image("plain")["total_disk_usage"], WRITTEN);
        assert_eq!(image("slow")["total_disk_usage"], Value::Null);
        assert_eq!(image("snapped")["disk_usage"], 0, "nothing since the snapshot");
        assert_eq!(image("snapped")["total_disk_usage"], WRITTEN);
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_real_ceph_locks_an_account_out() {
    on_the_storage_cluster(async |storage| {
        let ceph = &storage.ceph;
        let before = ceph.logins().await;
        for _ in 0..12 {
            assert_eq!(ceph.login("guessed").await.status, 400);
        }
        assert!(!ceph.account_is_open());
        assert_eq!(ceph.login(PASSWORD).await.status, 400, "the right password is refused, too");
        ceph.open_account();
        assert_eq!(ceph.login(PASSWORD).await.status, 201);
        let after = ceph.logins().await;
        assert_eq!(after.refused - before.refused, 13, "the log counts them: {after:?}");
        assert!(after.accepted > before.accepted);
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_real_ceph_without_its_osd_does_not_answer() {
    on_the_storage_cluster(async |storage| {
        let ceph = &storage.ceph;
        let login = ceph.login(PASSWORD).await;
        let token = login.body["token"].as_str().expect("a token").to_owned();
        assert_eq!(ceph.images(&token, ANSWER).await.unwrap().status, 200);
        ceph.stop_osd();
        let hung = within(Duration::from_secs(40), async || {
            // What the manager has cached, it answers still.
            check(ceph.images(&token, Duration::from_secs(3)).await.is_err(), || "it answers".to_owned())
        });
        let hung = hung.await;
        ceph.continue_osd();
        hung.unwrap();
        let recovered = within(ANSWER, async || {
            let images = ceph.images(&token, ANSWER).await?;
            check(images.body[0]["value"][0]["size"].is_u64(), || images.body.to_string())
        });
        recovered.await.unwrap();
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn a_tokens_lifetime_in_ceph_ends() {
    on_the_storage_cluster(async |storage| {
        let ceph = &storage.ceph;
        ceph.token_lifetime(2);
        let login = ceph.login(PASSWORD).await;
        ceph.token_lifetime(28_800);
        let token = login.body["token"].as_str().expect("a token").to_owned();
        let ended = within(Duration::from_secs(10), async || {
            let status = ceph.images(&token, ANSWER).await?.status;
            check(status == 401, || format!("{status}"))
        });
        ended.await.unwrap();
    });
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn agents_and_longhorn_answer_through_the_real_api_server() {
    on_the_storage_cluster(async |storage| {
        let access = Access::of_tier(&storage.plane, "agents", "cluster", &[]).await;
        let api = storage.plane.api_as(&access.token);
        let of = |name: &str| {
            format!(
                "/apis/subresources.kubevirt.io/v1/namespaces/prod/virtualmachineinstances/{name}/filesystemlist"
            )
        };
        let four = api.get(&of("four")).await.expect("the tier may ask agents");
        assert_eq!(four["items"][0]["usedBytes"], 3 * GI + 777);
        assert_eq!(api.status(&of("nobody")).await, 409);
        let volumes = api.get("/apis/longhorn.io/v1beta2/volumes").await.expect("the tier may list volumes");
        assert_eq!(volumes["items"][0]["status"]["actualSize"], 6 * GI + 4096);
        assert_eq!(volumes["items"][0]["spec"]["size"], (8 * GI).to_string());
        let persistent = api.get("/api/v1/persistentvolumes").await.expect("the tier may list volumes");
        assert_eq!(persistent["items"].as_array().map(Vec::len), Some(6));
    });
}

/// The value of the series with this label; empty for none.
fn value<'a>(result: &'a Value, label: &str, is: &str) -> &'a str {
    let series = result.as_array().into_iter().flatten().find(|series| series["metric"][label] == is);
    series.and_then(|series| series["value"][1].as_str()).unwrap_or_default()
}

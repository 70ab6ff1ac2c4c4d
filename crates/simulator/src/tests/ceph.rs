//! The Ceph dashboard: logins, and pages of images.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::empty;
use crate::{Backend, Clock, Disk, Fault, Guest, Handle, Options, Target, start};

/// A client of the dashboard.
pub struct Client<'a> {
    sim: &'a Handle,
    token: String,
}

impl Client<'_> {
    pub async fn login(sim: &Handle, user: &str, password: &str) -> (u16, Value) {
        let request = reqwest::Client::new().post(format!("{}/api/auth", sim.ceph_url()));
        let request = request.header("accept", "application/vnd.ceph.api.v1.0+json");
        let body = json!({"username": user, "password": password}).to_string();
        let response = request.header("content-type", "application/json").body(body).send().await.unwrap();
        (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }

    pub async fn new(sim: &Handle) -> Client<'_> {
        let (code, answer) = Self::login(sim, &sim.ceph().user, &sim.ceph().password).await;
        assert_eq!(code, 201, "{answer}");
        Client { sim, token: answer["token"].as_str().unwrap().to_owned() }
    }

    pub async fn get(&self, path: &str, version: &str) -> (u16, Option<usize>, Value) {
        let request = reqwest::Client::new().get(format!("{}{path}", self.sim.ceph_url()));
        let request = request.header("accept", format!("application/vnd.ceph.api.v{version}+json"));
        let response = request.bearer_auth(&self.token).send().await.unwrap();
        let total =
            response.headers().get("x-total-count").map(|total| total.to_str().unwrap().parse().unwrap());
        let code = response.status().as_u16();
        (code, total, serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }
}

async fn with_images(count: usize, clock: Clock) -> Handle {
    let sim = start(Options { clock, ..Options::empty() }).await.unwrap();
    for n in 0..count {
        let name = format!("vm-{n}");
        let disk = Disk::new(&name, "root", "10Gi").on(Backend::Rbd { fast_diff: n > 0 });
        sim.world()
            .put(Guest::new("a", &name).disks(vec![disk.holds(1 << 30, 10 << 30)]).running_on("n1", 0));
    }
    sim
}

#[tokio::test]
async fn images_come_in_pages_and_one_by_one() {
    let sim = with_images(7, Clock::system()).await;
    let client = Client::new(&sim).await;
    let (code, total, page) = client.get("/api/block/image?pool_name=vms", "2.0").await;
    assert_eq!((code, total, &page[0]["pool_name"]), (200, Some(7), &json!("vms")));
    let first = page[0]["value"].as_array().unwrap();
    assert_eq!(first.len(), 5, "unless reported otherwise");
    let (.., rest) = client.get("/api/block/image?pool_name=vms&offset=5&limit=5", "2.0").await;
    assert_eq!(rest[0]["value"].as_array().unwrap().len(), 2);
    let (.., all) = client.get("/api/block/image?limit=-1", "2.0").await;
    assert_eq!(all[0]["value"].as_array().unwrap().len(), 7);
    assert_eq!(client.get("/api/block/image?offset=7", "2.0").await.2, json!([]));
    let id = first[0]["id"].as_str().unwrap();
    assert_eq!(first[0]["unique_id"], format!("vms/{id}"), "the pool and the image's id, as Ceph has it");
    let size = first[0].to_string().len();
    assert!((4_000..8_000).contains(&size), "{size}");

    let unknown =
        all[0]["value"].as_array().unwrap().iter().filter(|image| image["total_disk_usage"].is_null());
    assert_eq!(unknown.count(), 1, "without fast-diff");
    let name = first[0]["name"].as_str().unwrap();
    let (code, _, one) = client.get(&format!("/api/block/image/vms%2F{name}"), "1.0").await;
    assert_eq!((code, &one), (200, &first[0]));
}

#[tokio::test]
async fn errors_have_the_status_that_ceph_uses() {
    let clock = Clock::fixed(1_700_049_600_000);
    let sim = with_images(1, clock.clone()).await;
    let client = Client::new(&sim).await;
    for (path, version, code) in [
        ("/api/block/image", "1.0", 415),
        ("/api/block/image/vms%2Fnone", "1.0", 404),
        ("/api/block/image/vms%2Fnone", "2.0", 415),
        ("/api/block/image?pool_name=none", "2.0", 400),
        ("/api/block/image?limit=many", "2.0", 400),
        ("/api/pool", "1.0", 404),
    ] {
        assert_eq!(client.get(path, version).await.0, code, "{path} {version}");
    }
    sim.ceph().expire_tokens();
    assert_eq!(client.get("/api/block/image", "2.0").await.0, 401);
    sim.ceph().set_token_ttl(Duration::from_secs(2));
    let client = Client::new(&sim).await;
    assert_eq!(client.get("/api/block/image", "2.0").await.0, 200);
    clock.advance(Duration::from_secs(2));
    assert_eq!(client.get("/api/block/image", "2.0").await.0, 401);
    sim.faults().add_times(Target::Ceph, Fault::status(503), 1);
    assert_eq!(client.get("/api/block/image", "2.0").await.0, 503);
}

#[tokio::test]
async fn too_many_bad_logins_lock_the_account() {
    let sim = empty().await;
    let (user, password) = (sim.ceph().user.clone(), sim.ceph().password.clone());
    for _ in 0..9 {
        let (code, answer) = Client::login(&sim, &user, "wrong").await;
        assert_eq!((code, &answer["code"]), (400, &json!("invalid_credentials")));
    }
    assert!(!sim.ceph().is_locked());
    assert_eq!(Client::login(&sim, &user, &password).await.0, 201, "a login starts the count again");
    for _ in 0..10 {
        Client::login(&sim, &user, "wrong").await;
    }
    assert!(sim.ceph().is_locked());
    let (code, answer) = Client::login(&sim, &user, &password).await;
    assert_eq!((code, &answer["code"]), (400, &json!("invalid_credentials")), "the same answer");
    sim.ceph().unlock();
    assert_eq!(Client::login(&sim, &user, &password).await.0, 201);
}

//! Guest agents: asked one by one, bounded, spread, and not at all where nobody may.

use super::*;
use i18n::Render;
use wukong_core::observation::{Filesystem, Key};

const PREFIX: &str = "/apis/subresources.kubevirt.io/v1/namespaces/";

/// `prod/web`
fn guest_of(asked: &RecordedRequest) -> Option<String> {
    let (namespace, rest) = asked.path.strip_prefix(PREFIX)?.split_once("/virtualmachineinstances/")?;
    Some(format!("{namespace}/{}", rest.strip_suffix("/filesystemlist")?))
}

fn guests(names: &[&str]) -> Targets {
    let key = |name: &&str| {
        let (namespace, name) = name.split_once('/').unwrap();
        Key::new(namespace, name)
    };
    Targets { guests: names.iter().map(key).collect(), ..Targets::default() }
}

fn filesystems() -> Response {
    json(
        r#"{"items":[{"diskName":"vda1","mountPoint":"/","fileSystemType":"ext4","usedBytes":5,"totalBytes":9,"disk":[{"serial":"S1","busType":"virtio"}]}]}"#,
    )
}

/// A cluster whose guests answer like this.
fn serve(answer: impl Fn(&str, usize) -> Response + Send + Sync + 'static) -> Server {
    Server::start(move |asked, n| match guest_of(asked) {
        Some(guest) => answer(&guest, n),
        None => quiet(asked),
    })
}

impl Server {
    /// When which guest was asked.
    fn guests_asked(&self) -> Vec<(Instant, String)> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter_map(|asked| Some((asked.at, guest_of(asked)?))).collect()
    }
}

impl Collector {
    async fn guest(&mut self, of: &str) -> Result<Vec<Filesystem>, SourceError> {
        self.next(|observation| match observation {
            Observation::Filesystems { instance, result, .. } => {
                (format!("{}/{}", instance.namespace, instance.name) == of).then_some(result)
            }
            _ => None,
        })
        .await
    }

    async fn follow_guests(server: &Server, config: CollectConfig, names: &[&str]) -> Self {
        let collector = Self::start(server, config, &[]).await;
        collector.targets.send_replace(guests(names));
        collector
    }
}

fn each(millis: u64) -> CollectConfig {
    CollectConfig { disk_interval: Duration::from_millis(millis), ..config() }
}

#[tokio::test]
async fn a_connected_guest_is_asked_soon_and_then_once_an_interval() {
    let server = serve(|_, _| filesystems());
    let started = Instant::now();
    let mut collector = Collector::follow_guests(&server, each(800), &["prod/web"]).await;
    let found = collector.guest("prod/web").await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(2));
    let want = Filesystem {
        disk_name: "vda1".into(),
        mount_point: "/".into(),
        kind: "ext4".into(),
        used: Some(5),
        total: Some(9),
        serials: vec!["S1".into()],
        hidden: false,
    };
    assert_eq!(found, [want]);
    collector.during(Duration::from_millis(4000)).await;
    let asked = server.guests_asked().len();
    assert!((5..=7).contains(&asked), "{asked}");
}

#[tokio::test]
async fn guests_are_asked_one_after_another_and_spread_over_the_interval() {
    let server = serve(|_, _| filesystems());
    let names: Vec<String> = (0..40).map(|n| format!("prod/vm-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut collector = Collector::follow_guests(&server, each(2000), &names).await;
    collector.during(Duration::from_millis(6500)).await;
    let asked = server.guests_asked();
    assert!((100..=140).contains(&asked.len()), "about three rounds of forty: {}", asked.len());
    // 40 in 2 s are 20 a second: no quarter of a second has more than a few.
    let start = asked[0].0;
    let mut quarters = HashMap::<u128, usize>::new();
    asked.iter().for_each(|(at, _)| *quarters.entry((*at - start).as_millis() / 250).or_default() += 1);
    assert!(quarters.values().all(|count| *count <= 12), "{quarters:?}");
    let late = quarters.iter().filter(|(quarter, _)| **quarter < 24).count();
    assert!(late >= 20, "no long gap: {quarters:?}");
}

#[tokio::test]
async fn no_more_are_asked_at_once_than_is_allowed() {
    let server = serve(|_, _| hang());
    let config = CollectConfig { guest_concurrency: 2, ..config() };
    let names = ["a/a", "a/b", "a/c", "a/d"];
    let mut collector = Collector::follow_guests(&server, config, &names).await;
    collector.during(Duration::from_millis(900)).await;
    assert_eq!(server.guests_asked().len(), 2);
}

#[tokio::test]
async fn a_guest_that_hangs_delays_no_other_and_is_not_asked_more_often() {
    let server = serve(|guest, _| if guest == "prod/dead" { hang() } else { filesystems() });
    let config =
        CollectConfig { guest_deadline: Duration::from_millis(300), guest_concurrency: 2, ..each(1000) };
    let mut collector = Collector::follow_guests(&server, config, &["prod/dead", "prod/well"]).await;
    let late = collector.guest("prod/dead").await.unwrap_err();
    assert_eq!(late.reason, Reason::TimedOut);
    assert_eq!(late.detail.english(), "no answer from the guest agent of prod/dead within 0.3 s");
    let seen = collector.during(Duration::from_millis(5000)).await;
    let well = seen
        .iter()
        .filter(|observation| matches!(observation, Observation::Filesystems { result: Ok(_), .. }));
    assert!((4..=6).contains(&well.count()));
    let dead = server.guests_asked().iter().filter(|(_, guest)| guest == "prod/dead").count();
    assert!((4..=9).contains(&dead), "{dead}");
}

#[tokio::test]
async fn after_a_denial_one_guest_is_asked_an_interval_and_all_report_the_reason() {
    let allowed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let now_allowed = allowed.clone();
    let server = serve(move |_, _| {
        let allowed = now_allowed.load(std::sync::atomic::Ordering::Relaxed);
        if allowed { filesystems() } else { status(403, "Forbidden") }
    });
    let names = ["a/one", "a/two", "b/three", "b/four"];
    let mut collector = Collector::follow_guests(&server, each(1000), &names).await;
    let mut errors = HashMap::new();
    while errors.len() < names.len() {
        let (guest, result) = collector.next_guest().await;
        errors.insert(guest, result.unwrap_err());
    }
    let words = "get virtualmachineinstances/filesystemlist.subresources.kubevirt.io at cluster scope";
    for error in errors.values() {
        assert_eq!((error.reason, &*error.detail.english()), (Reason::Forbidden, words));
    }
    collector.during(Duration::from_millis(3600)).await;
    let asked = server.guests_asked().len();
    assert!((3..=6).contains(&asked), "one an interval, and what was under way at first: {asked}");
    // A newcomer is told at once, without a request.
    let mut more = names.to_vec();
    more.push("c/five");
    collector.targets.send_replace(guests(&more));
    assert_eq!(collector.guest("c/five").await.unwrap_err().reason, Reason::Forbidden);

    allowed.store(true, std::sync::atomic::Ordering::Relaxed);
    let healed = Instant::now();
    let mut well = std::collections::HashSet::new();
    while well.len() < more.len() {
        let (guest, result) = collector.next_guest().await;
        well.extend(result.is_ok().then_some(guest));
    }
    assert!(healed.elapsed() < Duration::from_millis(2200), "{:?}", healed.elapsed());
}

#[tokio::test]
async fn a_denial_in_one_namespace_does_not_affect_another() {
    let server = Server::start(|asked, _| match guest_of(asked) {
        Some(guest) if guest.starts_with("dev/") => status(403, "Forbidden"),
        Some(_) => filesystems(),
        None => quiet(asked),
    });
    let config = CollectConfig { namespaces: Some(vec!["prod".into(), "dev".into()]), ..each(1000) };
    let names = ["dev/one", "dev/two", "dev/three", "prod/web"];
    let mut collector = Collector::follow_guests(&server, config, &names).await;
    let denied = collector.guest("dev/three").await.unwrap_err();
    assert!(
        denied.detail.english().ends_with("subresources.kubevirt.io in namespace dev"),
        "{}",
        denied.detail.english()
    );
    collector.guest("prod/web").await.unwrap();
    collector.during(Duration::from_millis(3000)).await;
    let dev = server.guests_asked().iter().filter(|(_, guest)| guest.starts_with("dev/")).count();
    assert!(dev <= 6, "{dev}");
}

#[tokio::test]
async fn an_agent_that_is_off_costs_itself_alone() {
    let server = serve(|guest, _| {
        match guest {
        "prod/off" => status(409, "Conflict"),
        "prod/old" => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io: VMI does not have guest agent connected",
        )
            .into_response(),
        "prod/gone" => {
            (StatusCode::NOT_FOUND, r#"virtualmachineinstance.kubevirt.io "gone" not found"#).into_response()
        }
        "prod/big" => json(format!(r#"{{"items":[],"x":"{}"}}"#, "y".repeat(2 << 20))),
        "prod/odd" => json("{\"items\":[{"),
        _ => filesystems(),
    }
    });
    let names = ["prod/off", "prod/old", "prod/gone", "prod/big", "prod/odd", "prod/well"];
    let mut collector = Collector::follow_guests(&server, config(), &names).await;
    let mut results = HashMap::new();
    while results.len() < names.len() {
        let (guest, result) = collector.next_guest().await;
        results.insert(guest, result.map_err(|error| error.reason).map(|found| found.len()));
    }
    for (guest, want) in [
        ("prod/off", Err(Reason::AgentOff)),
        ("prod/old", Err(Reason::AgentOff)),
        ("prod/gone", Err(Reason::NotRunning)),
        ("prod/big", Err(Reason::TooLarge)),
        ("prod/odd", Err(Reason::BadAnswer)),
        ("prod/well", Ok(1)),
    ] {
        assert_eq!(results[guest], want, "{guest}");
    }
}

#[tokio::test]
async fn an_absent_api_is_asked_for_once_an_interval() {
    let server = serve(|_, _| (StatusCode::NOT_FOUND, "404 page not found\n").into_response());
    let mut collector = Collector::follow_guests(&server, each(1000), &["a/one", "a/two", "a/three"]).await;
    assert_eq!(collector.guest("a/three").await.unwrap_err().reason, Reason::ApiAbsent);
    collector.during(Duration::from_millis(2500)).await;
    assert!(server.guests_asked().len() <= 6);
}

#[tokio::test]
async fn a_server_that_asks_for_patience_gets_it() {
    let server = serve(|_, n| match n {
        0 => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "2")], "slow down").into_response(),
        _ => filesystems(),
    });
    let mut collector = Collector::follow_guests(&server, each(300), &["a/one"]).await;
    collector.guest("a/one").await.unwrap_err();
    collector.guest("a/one").await.unwrap();
    let asked = server.guests_asked();
    assert!(asked[1].0 - asked[0].0 >= Duration::from_secs(2));
}

#[tokio::test]
async fn a_guest_that_is_no_target_is_not_asked_and_a_name_chooses_no_path() {
    let server = serve(|_, _| filesystems());
    let mut collector = Collector::follow_guests(&server, each(500), &["a/old"]).await;
    collector.guest("a/old").await.unwrap();
    collector.targets.send_replace(guests(&["a/new", "a/../../../../../api/v1/secrets"]));
    collector.guest("a/new").await.unwrap();
    collector.during(Duration::from_millis(1500)).await;
    let asked = server.guests_asked();
    assert_eq!(asked.iter().filter(|(_, guest)| guest == "a/old").count(), 1);
    assert!(asked.iter().filter(|(_, guest)| guest == "a/new").count() >= 3);
    assert!(!server.asked.lock().unwrap().iter().any(|asked| asked.path.contains("secrets")));
}

#[tokio::test]
async fn nobody_is_asked_where_the_source_is_not_named() {
    let server = serve(|_, _| filesystems());
    let config = CollectConfig { disk_sources: vec![SourceId::Kubelet], ..config() };
    let mut collector = Collector::follow_guests(&server, config, &["a/one"]).await;
    collector.during(Duration::from_millis(700)).await;
    assert!(server.guests_asked().is_empty());
}

#[tokio::test]
async fn an_api_server_that_comes_back_is_asked_again() {
    let answer = |asked: &RecordedRequest, _| guest_of(asked).map_or_else(|| quiet(asked), |_| filesystems());
    let server = Server::start(answer);
    let names = ["a/one", "a/two", "a/three"];
    let mut collector = Collector::follow_guests(&server, each(1000), &names).await;
    collector.guest("a/three").await.unwrap();
    let address = server.stop().await;
    let seen = collector.during(Duration::from_secs(4)).await;
    let failed =
        |observation: &&Observation| matches!(observation, Observation::Filesystems { result: Err(_), .. });
    let failures = seen.iter().filter(failed).count();
    assert!((2..=12).contains(&failures), "{failures}");
    let back = Instant::now();
    let _server = Server::listen(&address, answer);
    for name in names {
        while collector.guest(name).await.is_err() {}
    }
    assert!(back.elapsed() < Duration::from_secs(8), "{:?}", back.elapsed());
}

impl Collector {
    async fn next_guest(&mut self) -> (String, Result<Vec<Filesystem>, SourceError>) {
        self.next(|observation| match observation {
            Observation::Filesystems { instance, result, .. } => {
                Some((format!("{}/{}", instance.namespace, instance.name), result))
            }
            _ => None,
        })
        .await
    }
}

//! Streams: of events, and of the pieces of a download. What a stream sends is checked as other answers are, also after
//! its viewer has lost a right.

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream, Bytes},
    http::Request,
};
use futures::{FutureExt, StreamExt};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tower::ServiceExt;

use super::{
    cluster::{Cluster, Report, SignInMethod, User, users},
    objects::{KINDS, NODES, Row, name, namespace, node_name, vm},
    scan::Facts,
    world::{CanaryCluster, Rights},
};
use crate::server::http::{events::PIECE, tests::fixture::eventually};
use model::vm::{Status, VmSummary};

/// Longer than an allow is valid.
const RIGHTS_END: Duration = Duration::from_secs(65);

/// A body that is read as far as it is there.
struct Stream {
    body: BodyDataStream,
    rest: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    /// In JSON.
    kind: String,
    data: String,
}

impl Stream {
    async fn open(cluster: &Cluster, user: &User, url: &str, last: &str) -> Self {
        let mut request =
            Request::get(url).header("host", "localhost").header("cookie", cluster.session(user));
        if !last.is_empty() {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = cluster.gated.server.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200, "{} {url}", user.name);
        Self { body: response.into_body().into_data_stream(), rest: String::new() }
    }

    /// Returns the next bytes if they are there.
    fn piece(&mut self) -> Option<Result<Bytes, axum::Error>> {
        self.body.next().now_or_never()?
    }

    /// Returns the text of everything that is there. An event is whole.
    fn read(&mut self) -> String {
        let mut text = std::mem::take(&mut self.rest);
        while let Some(bytes) = self.piece() {
            text.push_str(std::str::from_utf8(&bytes.unwrap()).unwrap());
        }
        assert!(text.is_empty() || text.ends_with("\n\n"), "{text}");
        text
    }
}

fn fields<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Returns the events of a text; signs of life are none.
fn events(text: &str) -> Vec<Event> {
    let blocks = text.split("\n\n").filter(|block| block.contains("id: "));
    let field = |block: &str, name: &str| fields(block, name).next().unwrap_or_default().to_owned();
    blocks.map(|block| Event { kind: field(block, "event"), data: field(block, "data") }).collect()
}

/// Whether an event has a whole view. Postcard writes the number of the variant first: 0, and 1 for a change.
fn is_whole(event: &Event) -> bool {
    let first = || event.data.as_bytes().get(1).copied();
    event.kind == "state"
        || event.kind.is_empty() && first().is_some_and(|byte| (b'A'..=b'P').contains(&byte))
}

/// Waits until every view that is followed is of the newest snapshot.
async fn settle(cluster: &Cluster) {
    eventually("all views are cut", async || cluster.gated.server.app.events.uncut() == 0).await;
}

/// Returns views of every kind in both formats, of VMs that some users see.
fn views(world: &CanaryCluster, rng: &mut StdRng) -> Vec<String> {
    let mut views = vec![
        "/api/events".to_owned(),
        "/api/events?sort=cpu-used&order=desc&status=running".to_owned(),
        "/api/events?only=sources".to_owned(),
        "/at/h1/en/api/events?format=postcard".to_owned(),
        "/at/h1/zh-CN/api/events?format=postcard&view=map&by=namespace".to_owned(),
        "/at/h1/zh-CN/api/events?format=postcard&view=table&attention=1".to_owned(),
        "/at/h1/en/api/events?format=postcard&only=sources".to_owned(),
    ];
    for format in ["json", "postcard"] {
        let row = &world.rows[rng.random_range(0..world.rows.len())];
        let vm = format!("{}/{}", namespace(row.namespace), name(row));
        views.push(format!("/at/h1/en/api/events?format={format}&vm={vm}"));
        let node = node_name(rng.random_range(0..NODES));
        views.push(format!("/at/h1/zh-CN/api/events?format={format}&only=node&node={node}"));
        views.push(format!("/at/h1/en/api/events?format={format}&namespace={}", namespace(row.namespace)));
    }
    views
}

#[tokio::test(start_paused = true)]
async fn no_event_tells_of_what_is_hidden() {
    let mut rng = StdRng::seed_from_u64(11);
    let world = CanaryCluster::random(&mut rng, 40);
    let users = users(&mut rng);
    let mut cluster = Cluster::serve(&world, &users, SignInMethod::Token).await;
    let views = views(&world, &mut rng);
    let mut twins = Vec::new();
    let mut streams = Vec::new();
    for (at, user) in users.iter().enumerate() {
        twins.push(
            Cluster::serve(&world.twin(&user.rights), std::slice::from_ref(user), SignInMethod::Token).await,
        );
        for url in &views {
            let stream = Stream::open(&cluster, user, url, "").await;
            streams.push((at, url, stream, Stream::open(&twins[at], user, url, "").await, String::new()));
        }
    }
    let mut report = Report::default();
    let (mut now, mut seen) = (world.clone(), 0);
    for step in 0..8 {
        // One VM changes, then all of them, and so on.
        let one = &world.rows[rng.random_range(0..world.rows.len())];
        if step > 0 {
            let changes = |id: usize| step % 2 == 0 || id == one.id;
            now = now.changed(step, |row| changes(row.id));
            cluster.publish(step as u64 + 1, &now);
            cluster.expect(&now, &users);
            for (user, twin) in users.iter().zip(&twins) {
                // Where the VM is hidden, nothing happens.
                if step % 2 == 0 || user.rights.sees(one) {
                    twin.publish(step as u64 + 1, &now.twin(&user.rights));
                }
            }
        }
        settle(&cluster).await;
        for twin in &twins {
            settle(twin).await;
        }
        for (at, url, stream, twin, id) in &mut streams {
            let (user, text) = (&users[*at], stream.read());
            report.canary(user, url, &Facts::of(text.as_bytes()), &cluster.hidden[*at]);
            let (one, other) = (events(&text), events(&twin.read()));
            report.same(user, url, &format!("{one:?}"), &format!("{other:?}"));
            seen += one.len();
            if let Some(last) = fields(&text, "id").last() {
                *id = last.to_owned();
            }
        }
    }
    assert!(seen > users.len() * views.len(), "{seen} events");
    // The event that somebody else received last is no place to go on from.
    for url in &views {
        let own: Vec<(usize, &String)> =
            streams.iter().filter(|(_, of, ..)| *of == url).map(|(at, .., id)| (*at, id)).collect();
        for (at, id) in &own {
            for (other, foreign) in &own {
                let mut stream = Stream::open(&cluster, &users[*at], url, foreign).await;
                settle(&cluster).await;
                let text = stream.read();
                report.canary(&users[*at], url, &Facts::of(text.as_bytes()), &cluster.hidden[*at]);
                let begins_whole = events(&text).first().is_some_and(is_whole);
                report.same(&users[*at], url, &begins_whole.to_string(), &(at != other).to_string());
                assert!(!id.is_empty());
            }
        }
    }
    report.assert_empty();
}

/// The tenant loses the first of two namespaces.
fn before_and_after() -> (User, User) {
    let all = |id: usize| KINDS.map(|kind| (id, kind)).to_vec();
    let user = |places| User { name: "tenant", rights: Rights { places, ..Rights::default() } };
    (user([all(0), all(1)].concat()), user(all(1)))
}

#[tokio::test(start_paused = true)]
async fn after_a_right_is_lost_no_event_tells_of_it() {
    let mut rng = StdRng::seed_from_u64(12);
    let world = CanaryCluster::random(&mut rng, 60);
    let (before, after) = before_and_after();
    let mut cluster = Cluster::serve(&world, std::slice::from_ref(&before), SignInMethod::Token).await;
    let fresh =
        Cluster::serve(&world.twin(&after.rights), std::slice::from_ref(&after), SignInMethod::Token).await;
    let is_a_consumer = |row: &&Row| {
        let VmSummary { status, node, usage, .. } = &vm(row).summary;
        row.namespace == 0
            && (*status, node.is_empty()) == (Status::Running, false)
            && [&usage.cpu, &usage.memory].iter().any(|figure| figure.sample().is_some())
    };
    let lost = world.rows.iter().find(is_a_consumer).unwrap();
    let views = [
        "/api/events".to_owned(),
        "/at/h1/en/api/events?format=postcard".to_owned(),
        format!("/api/events?vm={}/{}", namespace(0), name(lost)),
        format!("/api/events?only=node&node={}", vm(lost).summary.node),
        "/at/h1/en/api/events?format=postcard&view=map".to_owned(),
    ];
    let mut report = Report::default();
    let mut streams = Vec::new();
    for url in &views {
        streams.push((url, Stream::open(&cluster, &before, url, "").await));
    }
    // This client reads the beginning of an event.
    let mut slow = Stream::open(&cluster, &before, &views[0], "").await;
    settle(&cluster).await;
    let lost_facts = world.facts(&before.rights).without(&world.facts(&after.rights));
    for (url, stream) in &mut streams {
        let found = Facts::of(stream.read().as_bytes()).among(&lost_facts);
        assert!(!found.is_empty(), "{url} showed it before");
    }
    slow.piece().unwrap().unwrap();
    assert_eq!(slow.piece().unwrap().unwrap().len(), PIECE, "more is to come");

    cluster.gated.kubernetes.revoke("tenant", &namespace(0));
    tokio::time::sleep(RIGHTS_END).await;
    let changed = world.changed(1, |row| row.namespace == 0);
    cluster.publish(2, &changed);
    cluster.expect(&changed, std::slice::from_ref(&after));
    // The same VMs before the change.
    let mut hidden = cluster.hidden[0].clone();
    hidden.owners.extend(lost_facts.owners);
    hidden.numbers.extend(lost_facts.numbers);
    for (url, stream) in &mut streams {
        let mut text = String::new();
        for _ in 0..3 {
            // Asks for the session, and for the view of the new scope.
            text += &stream.read();
            settle(&cluster).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        report.canary(&after, url, &Facts::of(text.as_bytes()), &hidden);
        let mut twin = Stream::open(&fresh, &after, url, "").await;
        settle(&fresh).await;
        report.same(&after, url, &format!("{:?}", events(&text)), &format!("{:?}", events(&twin.read())));
    }
    let rest: Vec<Bytes> = std::iter::from_fn(|| slow.piece()).map_while(Result::ok).collect();
    let rest = Facts::of(&rest.concat());
    report.canary(&after, "the rest of an event", &rest, &hidden);
    report.assert_empty();
}

#[tokio::test(start_paused = true)]
async fn after_a_right_is_lost_nothing_more_of_a_download_leaves() {
    let mut rng = StdRng::seed_from_u64(13);
    let world = CanaryCluster::random(&mut rng, 1_200);
    let (before, after) = before_and_after();
    let lost_facts = world.facts(&before.rights).without(&world.facts(&after.rights));
    let mut report = Report::default();
    for url in ["/api/vms.csv", "/api/vms.json"] {
        let cluster = Cluster::serve(&world, std::slice::from_ref(&before), SignInMethod::Token).await;
        let mut stream = Stream::open(&cluster, &before, url, "").await;
        let first = stream.body.next().await.unwrap().unwrap();
        assert!(!Facts::of(&first).among(&lost_facts).is_empty(), "{url} showed it before");
        cluster.gated.kubernetes.revoke("tenant", &namespace(0));
        tokio::time::sleep(RIGHTS_END).await;
        // Two pieces were made while the right stood: one waits to be sent, and one for its place.
        let end = stream.body.next().await.unwrap();
        assert!(end.is_err(), "{url} looks broken: {end:?}");
        let mut again = Stream::open(&cluster, &after, url, "").await;
        let mut whole = Vec::new();
        while let Some(bytes) = again.body.next().await {
            whole.extend(bytes.unwrap());
        }
        assert!(Facts::of(&whole).owners.len() > 50, "{url} is there without it");
        report.canary(&after, url, &Facts::of(&whole), &lost_facts);
    }
    report.assert_empty();
}

//! Nobody learns anything of what they may not see. Every text and number of a cluster is marked with its object, many
//! users with different rights ask for everything, and three checks look at each answer:
//!
//! - *canary*: no mark and no number of a hidden object is in any byte of it;
//! - *twin*: it is the same as in a cluster whose hidden objects are others, so that not even a sum, a colour, an
//!   order or a tag depends on them;
//! - *model*: it says what the test computes from its own list of the user's VMs.

mod cluster;
mod lists;
mod model;
mod objects;
mod routes;
mod scan;
mod streams;
mod world;

use std::collections::BTreeSet;

use ::model::{
    attention::AttentionKind,
    groups::{GroupsQuery, GroupsView, Node},
    insight::{Finding, Insight},
    nodes::NodeView,
    params::percent_decode,
    query::Query,
    view::{HomeView, InsightsView},
    vm::Vm,
};
use axum::http::StatusCode;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde::de::DeserializeOwned;

use self::model::AttentionFacts;
use super::super::fixture::Answer;
use cluster::{Cluster, Report, SignInMethod, User, users};
use routes::RouteRequest;
use scan::{Facts, plain};
use world::CanaryCluster;

const ROWS: usize = 54;
/// Users who ask for the same thing: enough for each order of two users to occur.
const USERS_PER_REQUEST: usize = 5;

/// Lets users ask for everything, in changing order, so that each finds in the caches what others left.
async fn compare_all_answers(seed: u64, method: SignInMethod) {
    let mut rng = StdRng::seed_from_u64(seed);
    let world = CanaryCluster::random(&mut rng, ROWS);
    let users = users(&mut rng);
    let cluster = Cluster::serve(&world, &users, method).await;
    let mut twins = Vec::new();
    for user in &users {
        twins.push(Cluster::serve(&world.twin(&user.rights), std::slice::from_ref(user), method).await);
    }
    let mut report = Report::default();
    let mut found: Vec<Facts> = users.iter().map(|_| Facts::default()).collect();
    for request in routes::requests(&world, &mut rng) {
        let mut order: Vec<usize> = (0..users.len()).collect();
        order.shuffle(&mut rng);
        for at in order.into_iter().take(USERS_PER_REQUEST) {
            let user = &users[at];
            let (answer, twin) = tokio::join!(cluster.send(user, &request), twins[at].send(user, &request));
            let facts = Facts::of_answer(&answer);
            report.canary(user, &request.url, &facts, &cluster.hidden[at]);
            report.twin(user, &request.url, &answer, &twin);
            report.model(user, &request.url, || check(&world, user, &request, &answer));
            found[at].owners.extend(facts.owners);
            found[at].numbers.extend(facts.numbers);
        }
    }
    report.assert_empty();
    // What is allowed was there to be found.
    for (user, found) in users.iter().zip(found) {
        let allowed = world.facts(&user.rights);
        let mut missed = allowed.clone().without(&found);
        // A node that holds no VM and takes none is shown nowhere; Events are shown only of the VMs that were asked for.
        missed.owners.retain(|owner| !owner.starts_with(['k', 'e']));
        if user.rights.sees_all() {
            assert!(found.owners.iter().any(|owner| owner.starts_with('e')), "no Events are found");
        }
        assert_eq!(missed.owners, BTreeSet::new(), "{} does not find these", user.name);
        assert!(missed.numbers.len() * 2 <= allowed.numbers.len(), "{} finds few numbers", user.name);
    }
}

#[tokio::test]
async fn nobody_learns_anything_of_what_they_may_not_see() {
    compare_all_answers(1, SignInMethod::Token).await;
}

#[tokio::test]
async fn nobody_learns_anything_of_another_cluster() {
    compare_all_answers(2, SignInMethod::Token).await;
}

#[tokio::test]
async fn nobody_who_signs_in_at_a_provider_learns_anything_of_what_they_may_not_see() {
    compare_all_answers(3, SignInMethod::Provider).await;
}

#[tokio::test]
async fn nobody_who_comes_through_a_proxy_with_assertions_learns_anything_of_what_they_may_not_see() {
    compare_all_answers(4, SignInMethod::Assertion).await;
}

#[tokio::test]
async fn nobody_whom_a_proxy_names_learns_anything_of_what_they_may_not_see() {
    compare_all_answers(7, SignInMethod::Headers).await;
}

/// Compares an answer with what the test knows.
fn check(world: &CanaryCluster, user: &User, request: &RouteRequest, answer: &Answer) {
    let seen = world.seen(&user.rights);
    match request.route {
        "/fn/home" => {
            let query = Query::of_address(&asked_query(request)).unwrap();
            let view = decode::<HomeView>(answer);
            model::check_home(&view, &seen, &query, &attention_facts(world, user));
        }
        "/fn/groups" => {
            let query = GroupsQuery::of_address(&asked_query(request)).unwrap();
            let nodes = world.node_objects().into_iter().filter(|node| user.rights.nodes && node.takes_vms);
            let nodes = nodes.map(|node| node.name).collect();
            model::check_groups(&decode::<GroupsView>(answer), &seen, &nodes, &query);
        }
        "/fn/node" => {
            let name = request.url.trim_start_matches("/fn/node?name=");
            let object = world.node_objects().into_iter().find(|node| user.rights.nodes && node.name == name);
            model::check_node(&decode::<NodeView>(answer), &seen, name, object.as_ref());
        }
        "/api/nodes/{name}" if !request.url.contains("NOT") => {
            let name = request.url.trim_start_matches("/api/nodes/");
            let is_there =
                |vm: &&Vm| [&vm.summary.node, &vm.summary.migrating_to].iter().any(|of| *of == name);
            let is_known = user.rights.nodes && world.node_objects().iter().any(|node| node.name == name)
                || seen.iter().any(|vm| is_there(&vm));
            let status = if is_known { StatusCode::OK } else { StatusCode::NOT_FOUND };
            assert_eq!(answer.status, status);
        }
        "/fn/insights" if asked_query(request).is_empty() => {
            let findings = world.findings().into_iter().filter(|(row, _)| user.rights.sees(row));
            let findings: Vec<Insight> = findings.map(|(_, finding)| finding).collect();
            model::check_insights(&decode::<InsightsView>(answer), &seen, &findings);
        }
        "/api/stats" => {
            let (stats, totals) = (json(answer), model::totals(&seen.iter().collect::<Vec<_>>()));
            let amounts = [&stats["total"], &stats["totalMemoryBytes"], &stats["usage"]["disk"]["used"]];
            let wanted = [totals.counts.total.into(), totals.memory, totals.disk_used.used];
            assert_eq!(amounts.map(|amount| amount.as_u64().unwrap()), wanted);
        }
        "/api/vms" => {
            let vms = json(answer);
            let listed = vms.as_array().unwrap().iter().map(|vm| vm["id"].as_str().unwrap());
            let listed: BTreeSet<&str> = listed.collect();
            let all: BTreeSet<&str> = seen.iter().map(|vm| vm.uid.as_str()).collect();
            // A query selects some of them.
            assert!(
                listed.is_subset(&all) && (request.url.contains('?') || listed == all),
                "{listed:?} of {all:?}"
            );
        }
        "/api/attention" => check_attention(&json(answer), &seen, &attention_facts(world, user)),
        "/api/vms/{name}" if !request.url.contains("NOT") => check_one(&seen, request, answer),
        "/api/sources" => {
            let sources = json(answer);
            for source in sources.as_array().unwrap() {
                let has_details = !source["error"].as_str().unwrap_or_default().is_empty();
                assert_eq!(has_details, user.rights.sees_all(), "{source}");
            }
        }
        _ => {}
    }
}

/// What the user may know of VMs beside their own figures.
fn attention_facts(world: &CanaryCluster, user: &User) -> AttentionFacts {
    let is_lost = |node: &Node| user.rights.nodes && node.ready != Some(true);
    let lost = world.node_objects().into_iter().filter(is_lost).map(|node| node.name).collect();
    let seen = world.findings().into_iter().filter(|(row, _)| user.rights.sees(row));
    let undersized = seen.filter(|(_, of)| matches!(of.finding, Finding::Undersized(_)));
    let names = undersized.map(|(_, of)| (of.kind, of.namespace, of.name));
    AttentionFacts { lost, undersized: names.collect() }
}

/// The incidents name and count VMs that the user sees.
fn check_attention(answer: &serde_json::Value, seen: &[Vm], facts: &AttentionFacts) {
    let kinds: Vec<_> = seen.iter().map(|vm| (vm, model::kinds(vm, facts))).collect();
    let with = |kind: AttentionKind| kinds.iter().filter(|(_, of)| of.contains(&kind)).count() as u64;
    assert_eq!(answer["vms"], kinds.iter().filter(|(_, of)| !of.is_empty()).count() as u64);
    for kind in AttentionKind::ALL {
        assert_eq!(answer["kinds"][kind.code()], with(kind), "{kind:?}");
    }
    let names: BTreeSet<_> = seen.iter().map(Vm::key).collect();
    for incident in answer["incidents"].as_array().unwrap() {
        for vm in incident["named"].as_array().unwrap() {
            let name = (vm["namespace"].as_str().unwrap(), vm["name"].as_str().unwrap());
            assert!(names.contains(&name), "{incident}");
        }
    }
}

/// A name is ambiguous only between namespaces that the user may see.
fn check_one(seen: &[Vm], request: &RouteRequest, answer: &Answer) {
    let (name, namespace) =
        request.url.trim_start_matches("/api/vms/").split_once('?').unwrap_or((&request.url[9..], ""));
    let namespace = namespace.trim_start_matches("namespace=");
    let named = seen.iter().filter(|vm| vm.summary.name == name);
    let named = named.filter(|vm| namespace.is_empty() || vm.summary.namespace == namespace);
    let namespaces: BTreeSet<&str> = named.map(|vm| vm.summary.namespace.as_str()).collect();
    let status = match namespaces.len() {
        0 => StatusCode::NOT_FOUND,
        1 => StatusCode::OK,
        _ => StatusCode::CONFLICT,
    };
    assert_eq!(answer.status, status);
    if status == StatusCode::CONFLICT {
        let listed = json(answer);
        let listed = listed["namespaces"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        assert_eq!(listed.collect::<BTreeSet<_>>(), namespaces);
    }
}

/// Returns the query of the page whose view a server function returns.
fn asked_query(request: &RouteRequest) -> String {
    percent_decode(request.url.split_once("query=").unwrap_or_default().1).unwrap()
}

fn decode<T: DeserializeOwned>(answer: &Answer) -> T {
    postcard::from_bytes(&plain(answer)).unwrap()
}

fn json(answer: &Answer) -> serde_json::Value {
    serde_json::from_slice(&plain(answer)).unwrap()
}

/// A tag is of a scope, even where two scopes show the same bytes.
#[tokio::test]
async fn no_tag_of_another_scope_is_known() {
    let mut rng = StdRng::seed_from_u64(5);
    let world = CanaryCluster::random(&mut rng, 20);
    let users = users(&mut rng);
    let cluster = Cluster::serve(&world, &users, SignInMethod::Token).await;
    let list = async |user: &User, known: &str| {
        let known = if known.is_empty() { vec![] } else { vec![("if-none-match", known)] };
        cluster.get(user, "/api/vms", &known).await
    };
    let mut tags = Vec::new();
    for user in &users {
        tags.push(list(user, "").await.header("etag").to_owned());
    }
    assert_eq!(tags.iter().collect::<BTreeSet<_>>().len(), users.len(), "{tags:?}");
    for (user, own) in users.iter().zip(&tags) {
        assert_eq!(list(user, own).await.status, 304);
        for other in tags.iter().filter(|tag| *tag != own) {
            assert_eq!(list(user, other).await.status, 200, "{}", user.name);
        }
    }
    let answer = cluster.get(&users[1], "/api/vms", &[]).await;
    let vary: Vec<_> = answer.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(vary.join(",").contains("cookie, authorization"), "{vary:?}");
}

/// Prometheus and the API server are asked about a VM only for those who may see the VM, and its Events.
#[tokio::test]
async fn nobody_has_the_archive_asked_about_what_they_may_not_see() {
    let mut rng = StdRng::seed_from_u64(6);
    let world = CanaryCluster::random(&mut rng, 30);
    let tenant = users(&mut rng).swap_remove(1);
    let cluster = Cluster::serve(&world, std::slice::from_ref(&tenant), SignInMethod::Token).await;
    for row in &world.rows {
        let (namespace, name) = (objects::namespace(row.namespace), objects::name(row));
        for url in [
            format!("/vms/{namespace}/{name}?span=7d"),
            format!("/fn/history?namespace={namespace}&name={name}&span=30d"),
            format!("/api/vms/{name}/history?namespace={namespace}&span=7d"),
        ] {
            cluster.get(&tenant, &url, &[]).await;
        }
    }
    let seen: BTreeSet<String> = world.seen(&tenant.rights).into_iter().map(|vm| vm.vm_name).collect();
    assert_eq!(*cluster.asked.lock(), seen);
    let with_events = world.rows.iter().filter(|row| tenant.rights.sees_events(row));
    let with_events: BTreeSet<String> = with_events.map(|row| objects::vm(row).vm_name).collect();
    assert!(!with_events.is_empty() && with_events.len() < seen.len());
    assert_eq!(*cluster.listed.lock(), with_events, "Events of another namespace or VM");
}

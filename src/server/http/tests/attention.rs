//! `GET /api/attention`, the filter for what it lists, and the markup of the home page.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    fixture::*,
    html::{Page, mark},
};
use i18n::Lang;
use model::{groups::Node, reason::Reason, vm::Status};
use wukong_core::{Scope, scope::Kinds};

/// A lost node with two VMs, a VM that a fault paused, one without a figure of CPU, and one that needs nothing.
fn server() -> Server {
    let of = |namespace: &str, name: &str, node: &str| {
        let mut vm = vm(namespace, name);
        vm.summary.node = node.into();
        vm
    };
    let mut paused = of("shop", "paused", "node-1");
    paused.summary.fault = Some(Box::new("IO error".into()));
    let mut unknown = of("shop", "unknown", "node-1");
    unknown.summary.usage.cpu = missing(Reason::TooNew);
    let mut off = of("shop", "off", "node-2");
    off.summary.status = Status::Stopped;
    let vms = vec![of("ops", "db", "node-2"), of("shop", "web", "node-2"), paused, unknown, off];
    let server = Server::new([vms, vec![of("shop", "calm", "node-1")]].concat());
    server.snapshots.send_modify(|snapshot| {
        let node = |name: &str, ready| Node { name: name.into(), ready, ..Node::default() };
        Arc::make_mut(snapshot).nodes = [node("node-1", Some(true)), node("node-2", None)].into();
    });
    server
}

fn incidents(answer: &Value) -> Vec<(String, u64)> {
    let all = answer["incidents"].as_array().unwrap().iter();
    all.map(|of| (of["what"].as_str().unwrap().to_owned(), of["vms"].as_u64().unwrap())).collect()
}

/// The names of an array of VMs, in its order.
async fn names(server: &Server, url: &str) -> Vec<Value> {
    let vms = server.get(url).await.json();
    vms.as_array().unwrap().iter().map(|vm| vm["name"].clone()).collect()
}

#[tokio::test]
async fn what_needs_a_person_is_merged_by_cause() {
    let answer = server().get("/api/attention").await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"));
    let answer = answer.json();
    let wanted = [
        ("node-2 is not ready: the state of 2 VMs is unknown", 2),
        ("paused in shop is paused", 1),
        ("The usage of CPU is unknown for unknown in shop", 1),
    ];
    assert_eq!(incidents(&answer), wanted.map(|(what, vms)| (what.to_owned(), vms)));
    assert_eq!((&answer["total"], &answer["vms"]), (&json!(3), &json!(4)));
    assert_eq!((&answer["kinds"]["down"], &answer["kinds"]["filling"]), (&json!(3), &json!(0)));
    let node = &answer["incidents"][0];
    let named = json!([{"namespace": "ops", "name": "db"}, {"namespace": "shop", "name": "web"}]);
    assert_eq!((&node["node"], &node["named"]), (&json!("node-2"), &named));
    assert_eq!(
        (&node["level"], &node["kind"], &node["since"]),
        (&json!("critical"), &json!("down"), &json!(null))
    );
    assert_eq!(node["query"], "?attention=down.node.node-2");
}

#[tokio::test]
async fn the_query_of_an_incident_selects_exactly_its_vms_everywhere() {
    let server = server();
    let answer = server.get("/api/attention").await.json();
    for incident in answer["incidents"].as_array().unwrap() {
        let query = incident["query"].as_str().unwrap();
        let found = names(&server, &format!("/api/vms{query}")).await;
        assert_eq!(found, names(&server, &format!("/api/vms.json{query}")).await, "{query}");
        let named = incident["named"].as_array().unwrap().iter();
        assert_eq!(found, named.map(|vm| vm["name"].clone()).collect::<Vec<_>>(), "{query}");
        let csv = server.get(&format!("/api/vms.csv{query}")).await.body;
        let rows = String::from_utf8(csv.to_vec()).unwrap().matches("\r\n").count() - 1;
        let page = server.get(&format!("/{query}")).await.body;
        let cards = std::str::from_utf8(&page).unwrap().matches("<article").count();
        assert_eq!((found.len(), rows, cards), (found.len(), found.len(), found.len()), "{query}");
    }
    for (query, vms) in [("1", 4), ("down", 3), ("unknown", 1), ("filling", 0), ("down.node.gone", 0)] {
        for path in ["/api/vms", "/api/vms.json"] {
            assert_eq!(
                names(&server, &format!("{path}?attention={query}")).await.len(),
                vms,
                "{path} {query}"
            );
        }
    }
    for path in ["/api/vms", "/api/vms.json", "/api/vms.csv"] {
        let wrong = server.get(&format!("{path}?attention=up")).await;
        assert_eq!((wrong.status, &wrong.json()["field"]), (StatusCode::BAD_REQUEST, &json!("attention")));
    }
}

#[tokio::test]
async fn a_lost_node_leads_to_its_page() {
    let page = server().get("/").await.body;
    assert!(std::str::from_utf8(&page).unwrap().contains(r#"<a href="/nodes/node-2">node-2</a>"#));
}

#[tokio::test]
async fn known_attention_is_not_sent_again() {
    let server = server();
    let tag = server.get("/api/attention").await.header("etag").to_owned();
    let ask = async || server.send(Method::GET, "/api/attention", &[("if-none-match", &tag)]).await;
    let again = ask().await;
    assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(again.header("cache-control"), "private, no-cache");
    server.publish(2, vec![vm("shop", "web")]);
    let other = ask().await;
    assert_eq!((other.status, &other.json()["total"]), (StatusCode::OK, &json!(0)));
}

/// Each open page has it, and keeps it.
#[tokio::test]
async fn markup_that_says_the_same_is_the_same_memory() {
    let server = server();
    let reader = &server.app.reader;
    let of = |scope: &Scope, lang| reader.attention(&reader.visible(scope), lang);
    let first = of(&Scope::all(), Lang::English);
    assert!(Arc::ptr_eq(&first, &of(&Scope::all(), Lang::English)));
    server.snapshots.send_modify(|snapshot| Arc::make_mut(snapshot).seq += 1);
    assert!(Arc::ptr_eq(&first, &of(&Scope::all(), Lang::English)), "nothing has happened");
    assert!(of(&Scope::all(), Lang::Chinese).contains("需要关注"));
    let tenant = Scope::new(Kinds::default(), [("ops".into(), Kinds::ALL)].into(), false);
    let theirs = of(&tenant, Lang::English);
    assert!(theirs.contains("Nothing needs attention in the VMs that you can see."), "{theirs}");
    server.publish(9, vec![vm("shop", "web")]);
    assert!(of(&Scope::all(), Lang::English).contains("Nothing needs attention."));
}

#[tokio::test]
async fn what_others_have_written_is_text_in_each_incident() {
    let hostile = |name: &str, change: fn(&mut model::vm::Vm, &str)| {
        let mut vm = vm(&mark("namespace"), &mark(name));
        vm.summary.node = mark("node");
        change(&mut vm, &mark("text"));
        vm
    };
    let vms = vec![
        hostile("paused", |vm, text| vm.summary.fault = Some(Box::new(text.into()))),
        hostile("failed", |vm, text| {
            vm.summary.status = Status::Error;
            vm.failure = Some(Box::new(model::figure::Missing {
                detail: text.into(),
                fix: text.into(),
                ..Reason::NotRunning.into()
            }));
        }),
        hostile("full", |vm, text| {
            vm.volumes[0].name = text.into();
            vm.volumes[0].usage = known(model::figure::Unit::Bytes, 99, 100);
        }),
        hostile("unknown", |vm, text| {
            vm.summary.usage.cpu = model::figure::Figure::Missing(model::figure::Missing {
                fix: text.into(),
                ..Reason::NoPod.into()
            });
        }),
    ];
    let server = Server::new(vms);
    for lost in [false, true] {
        for lang in [Lang::English, Lang::Chinese] {
            let reader = &server.app.reader;
            let markup = reader.attention(&reader.visible(&Scope::all()), lang);
            let page = Page::read(&format!("<!DOCTYPE html><title>x</title>{markup}"));
            assert_eq!(page.leaks, Vec::<String>::new(), "{markup}");
            let shown = if lost {
                vec!["node", "failed"]
            } else {
                vec!["paused", "failed", "full", "unknown", "text"]
            };
            assert!(shown.iter().all(|name| page.marks().contains(*name)), "{markup}");
        }
        server.snapshots.send_modify(|snapshot| {
            let snapshot = Arc::make_mut(snapshot);
            snapshot.seq += 1;
            snapshot.nodes = [Node { name: mark("node"), ready: Some(false), ..Node::default() }].into();
        });
    }
}

#[tokio::test]
async fn a_page_has_a_bounded_number_of_rows() {
    let vms = (0..100).map(|at| {
        let mut vm = vm("shop", &format!("vm-{at}"));
        vm.summary.fault = Some(Box::new(format!("fault {at}").into()));
        vm
    });
    let server = Server::new(vms.collect());
    let reader = &server.app.reader;
    let markup = reader.attention(&reader.visible(&Scope::all()), Lang::English);
    assert_eq!(markup.matches("<p class=\"what\">").count(), 24);
    assert!(markup.contains("94 more") && markup.contains("76 more are not listed here."), "{markup}");
    assert!(markup.len() < 24_000, "{} bytes", markup.len());
}

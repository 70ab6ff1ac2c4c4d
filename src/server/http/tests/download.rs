//! Downloads contain the whole requested view, with exact figures.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{Method, Request},
    response::Response,
};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::fixture::*;
use crate::server::http::{limits::WorkLimits, peer::Peer};
use model::{
    activity::Activity,
    figure::Unit,
    reason::Reason,
    vm::{Status, Vm},
};

fn many() -> Vec<Vm> {
    let mut vms: Vec<Vm> = (0..600).map(|n| vm("shop", &format!("vm-{n:03}"))).collect();
    vms[7].summary.usage.cpu = known(Unit::Nanocores, 1_999_999_999, 2_000_000_000);
    vms[8].summary.usage.cpu = missing(Reason::TimedOut);
    vms[9].summary.status = Status::Stopped;
    vms
}

fn records(text: &[u8]) -> Vec<csv::StringRecord> {
    csv::Reader::from_reader(text).into_records().map(Result::unwrap).collect()
}

fn column(text: &[u8], name: &str) -> usize {
    let mut reader = csv::Reader::from_reader(text);
    reader.headers().unwrap().iter().position(|head| head == name).unwrap_or_else(|| panic!("no {name}"))
}

#[tokio::test]
async fn the_csv_is_the_whole_view_in_its_order() {
    let server = Server::new(many());
    let answer = server.get("/api/vms.csv?status=Running&sort=cpu&page=2").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8; header=present");
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"vms.csv\"");
    assert_eq!(answer.header("cache-control"), "no-store");
    let records = records(&answer.body);
    let at = |name| column(&answer.body, name);
    assert_eq!(records.len(), 599, "all pages, without the one that is stopped");
    assert_eq!(&records[0][at("name")], "vm-007");
    assert_eq!(&records[0][at("cpu_used")], "1999999999");
    assert_eq!(&records[0][at("cpu_percent")], "99.999");
    assert_eq!(&records[0][at("needs_attention")], "true");
    let last = &records[598];
    assert_eq!(&last[at("name")], "vm-008", "a missing figure sorts last");
    assert_eq!((&last[at("cpu_used")], &last[at("cpu_percent")]), ("", ""), "missing is never zero");
    assert_eq!(&last[at("cpu_missing")], "timed-out");
    assert_eq!(&last[at("memory_used")], (1_u64 << 30).to_string());
}

#[tokio::test]
async fn the_csv_has_what_guests_do_and_sorts_by_it() {
    let mut vms = many();
    let mut known = activity();
    known.network.as_mut().unwrap().uncounted = 1;
    vms[3].activity = Activity::Known(Box::new(known));
    let server = Server::new(vms);
    let answer = server.get("/api/vms.csv?sort=network").await;
    let records = records(&answer.body);
    let cells =
        |row: usize, names: [&str; 6]| names.map(|name| records[row][column(&answer.body, name)].to_owned());
    assert_eq!(&records[0][column(&answer.body, "name")], "vm-003");
    let rates = [
        "network_bytes_per_second",
        "storage_bytes_per_second",
        "storage_operations_per_second",
        "storage_latency_seconds",
        "contention_percent",
        "activity_window_seconds",
    ];
    assert_eq!(cells(0, rates), ["12.000", "4096.000", "2.000", "0.001500000", "12.500", "60.000"]);
    assert_eq!(cells(1, rates), [""; 6], "missing is never zero");
    let network = ["network_source", "network_uncounted_interfaces"];
    let of_network = |row: usize| network.map(|name| records[row][column(&answer.body, name)].to_owned());
    assert_eq!((of_network(0), of_network(1)), (["virt-handler".into(), "1".into()], Default::default()));
    assert_eq!(&records[1][column(&answer.body, "activity_missing")], "starting");
    assert_eq!(&records[0][column(&answer.body, "activity_missing")], "");
}

#[tokio::test]
async fn names_are_quoted_and_never_run() {
    let mut odd = vm("shop", "web");
    odd.os_image = "=HYPERLINK(\"http://x\",\"a;@b\")\r\nnext".into();
    let server = Server::new(vec![odd]);
    let answer = server.get("/api/vms.csv").await;
    let at = column(&answer.body, "os_image");
    assert_eq!(&records(&answer.body)[0][at], "'=HYPERLINK(\"http://x\",\"a;'@b\")  next");
}

#[tokio::test]
async fn the_json_is_a_part_of_the_api_s_array() {
    let server = Server::new(many());
    let all = server.get("/api/vms").await.json();
    let answer = server.get("/api/vms.json?q=vm-00&order=desc&view=table").await;
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"vms.json\"");
    let wanted: Vec<_> = all.as_array().unwrap()[..10].iter().rev().cloned().collect();
    assert_eq!(answer.json(), serde_json::Value::from(wanted));
    assert_eq!(server.get("/api/vms.json?q=nothing").await.json(), serde_json::json!([]));
    assert_eq!(records(&server.get("/api/vms.csv?q=nothing").await.body).len(), 0);
}

#[tokio::test]
async fn a_bad_query_is_a_problem_that_names_its_field() {
    let server = Server::new(many());
    for path in ["/api/vms.csv?sort=size", "/api/vms.json?sort=size"] {
        let answer = server.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (400, "application/problem+json")
        );
        assert_eq!(answer.json()["field"], "sort");
    }
}

/// Starts a download that is not read.
async fn begin(server: &Server, url: &str, peer: IpAddr) -> Response {
    let mut request = Request::get(url).body(Body::empty()).unwrap();
    request.extensions_mut().insert(Peer::new(peer));
    server.router.clone().oneshot(request).await.unwrap()
}

/// 10,000 VMs take about 30 MB.
#[tokio::test]
async fn a_download_that_is_not_read_keeps_no_snapshot() {
    let server = Server::new(many());
    let old: Vec<_> = server.snapshots.borrow().vms.iter().map(Arc::downgrade).collect();
    let peer = IpAddr::from([203, 0, 113, 5]);
    let (json, csv) =
        (begin(&server, "/api/vms.json", peer).await, begin(&server, "/api/vms.csv", peer).await);
    let mut later = many();
    later.retain(|vm| vm.summary.name != "vm-599");
    server.publish(2, later);
    let held = || old.iter().filter(|vm| vm.upgrade().is_some()).count();
    eventually("no VM of the old snapshot is held", async || held() == 0).await;
    let read = async |answer: Response| answer.into_body().collect().await.unwrap().to_bytes();
    let json: serde_json::Value = serde_json::from_slice(&read(json).await).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 599, "all that are there when their turn comes");
    assert_eq!(records(&read(csv).await).len(), 599);
}

#[tokio::test]
async fn a_download_whose_vms_all_vanish_is_still_well_formed() {
    let server = Server::new(many());
    let peer = IpAddr::from([203, 0, 113, 5]);
    let json = begin(&server, "/api/vms.json?sort=name&order=desc", peer).await;
    server.publish(2, Vec::new());
    let json = json.into_body().collect().await.unwrap().to_bytes();
    let rows: serde_json::Value = serde_json::from_slice(&json).unwrap_or_else(|e| panic!("{e}: {json:?}"));
    assert!(rows.as_array().unwrap().len() < 600);
}

#[tokio::test(start_paused = true)]
async fn downloads_that_are_not_read_leave_room_for_others_and_for_all_else() {
    let server = Server::new(many()).with_limits(WorkLimits::new(8, 4, 1 << 20));
    let [one, two, three] = [5, 6, 7].map(|last| IpAddr::from([203, 0, 113, last]));
    let mut held =
        vec![begin(&server, "/api/vms.csv", one).await, begin(&server, "/api/vms.json", one).await];
    let refused = begin(&server, "/api/vms.csv", one).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"5".parse().unwrap()));
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    held.extend([begin(&server, "/api/vms.csv", two).await, begin(&server, "/api/vms.csv", two).await]);
    assert!(held.iter().all(|answer| answer.status() == 200));
    let begun = tokio::time::Instant::now();
    let third = begin(&server, "/api/vms.csv", three).await;
    assert_eq!(third.status(), 200, "one that nobody reads gives way");
    assert!(begun.elapsed() <= Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(server.get("/api/stats").await.status, 200, "nobody else is refused");
    held.push(third);
    let mut ended = 0;
    for answer in held {
        ended += usize::from(answer.into_body().collect().await.is_err());
    }
    assert_eq!(ended, 1, "and fails, so that it does not look complete");
    for _ in 0..5 {
        assert_eq!(records(&server.get("/api/vms.csv").await.body).len(), 600, "and so is one that is read");
        assert_eq!(server.send(Method::HEAD, "/api/vms.csv", &[]).await.status, 200);
    }
}

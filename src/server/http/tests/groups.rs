//! `GET /api/groups` and `/api/nodes/{name}`, and the server functions of the map and of the groups page.

use serde_json::{Value, json};

use super::fixture::*;
use model::{
    activity::Activity,
    figure::{Basis, Figure, Sample, Source, Unit},
    groups::{Node, NodePressure, NodeUse},
    map::MapNames,
    reason::Reason,
    vm::Status,
};

const GI: u64 = 1 << 30;

fn known(unit: Unit, used: u64, of: u64) -> Figure {
    let (source, basis) = (Source::KubeletDirect, Basis::Own);
    Figure::Known(Sample { unit, used, of, at: 1, window_ms: 0, source, basis, stale: false })
}

fn server() -> Server {
    let mut blind = vm("shop", "blind");
    blind.summary.usage.cpu = missing(Reason::TooNew);
    let mut stopped = vm("shop", "stopped");
    stopped.summary.status = Status::Stopped;
    stopped.summary.node = String::new();
    let server = Server::new(vec![vm("shop", "web"), blind, stopped, vm("ops", "db")]);
    server.snapshots.send_modify(|snapshot| {
        let node = Node {
            name: "node-1".into(),
            cpu: Some(4_000_000_000),
            memory: None,
            ready: Some(true),
            ready_since: None,
            unschedulable: true,
            takes_vms: true,
            schedulable: true,
            address: Some([10, 0, 0, 1].into()),
            pressure: NodePressure { memory: Some(false), disk: Some(true), pids: None },
            kubelet_version: "v1.34.1".into(),
            used: Some(Box::new(NodeUse {
                cpu: known(Unit::Nanocores, 3_800_000_000, 4_000_000_000),
                memory: missing(Reason::NoAllocation),
            })),
        };
        std::sync::Arc::make_mut(snapshot).nodes = [node].into();
    });
    server
}

#[tokio::test]
async fn nodes_show_the_allocated_part_of_their_allocatable_resources() {
    let answer = server().get("/api/groups?by=node").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    let groups = answer.json();
    assert_eq!(groups["by"], "node");
    let [node, none] = [&groups["groups"][0], &groups["groups"][1]];
    assert_eq!((&node["name"], &node["total"], &node["running"]), (&json!("node-1"), &json!(3), &json!(3)));
    let cpu = json!({"given": 6_000_000_000_u64, "allocatable": 4_000_000_000_u64, "unit": "nanocores", "percent": 150.0, "unreadable": 0});
    assert_eq!(node["node"]["cpu"], cpu);
    assert_eq!(
        (&node["node"]["memory"]["given"], &node["node"]["memory"]["percent"]),
        (&json!(12 * GI), &Value::Null)
    );
    let used = &node["node"]["used"];
    assert_eq!(
        (&used["cpu"]["used"], &used["cpu"]["allocatable"]),
        (&json!(3_800_000_000_u64), &json!(4_000_000_000_u64))
    );
    assert_eq!((&used["cpu"]["percent"], &used["cpu"]["source"]), (&json!(95.0), &json!("kubelet-direct")));
    assert_eq!(used["memory"]["missing"]["reason"], "no-allocation");
    assert_eq!((&node["node"]["ready"], &node["node"]["unschedulable"]), (&json!(true), &json!(true)));
    assert_eq!(node["usage"]["cpu"]["measuredVms"], 2, "who is not measured is not counted as 0");
    assert_eq!((&none["name"], &none["stopped"], none.get("node")), (&Value::Null, &json!(1), None));
}

#[tokio::test]
async fn a_node_has_what_its_row_has_and_what_is_wrong_with_it() {
    let server = server();
    let answer = server.get("/api/nodes/node-1").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.header("cache-control"), "no-store");
    let node = answer.json();
    let row = &server.get("/api/groups?by=node").await.json()["groups"][0];
    for (field, of_row) in row.as_object().unwrap() {
        assert_eq!(&node[field], of_row, "{field}");
    }
    assert_eq!(node["node"]["pressure"], json!({"memory": false, "disk": true, "pids": null}));
    assert_eq!(
        (&node["node"]["kubeletVersion"], &node["node"]["readySince"]),
        (&json!("v1.34.1"), &Value::Null)
    );
    assert_eq!((&node["level"], &node["findings"]), (&json!("critical"), &json!(0)));
    let texts: Vec<_> = node["problems"].as_array().unwrap().iter().map(|of| of["text"].clone()).collect();
    let wanted = [
        "The kubelet reports disk pressure, and evicts pods.",
        "Cordoned: no new VM is placed on the node.",
        "3.8 vCPU of 4 vCPU are used, 95 %.",
    ];
    assert_eq!(texts, wanted);
    assert_eq!(node["usedByVms"], json!({"cpu": null, "memory": null}), "one VM is not measured");
    let cpu = &node["top"]["cpu"];
    assert_eq!((cpu["vms"].as_array().unwrap().len(), &cpu["more"]), (2, &json!(1)));
    assert_eq!((&cpu["vms"][0]["name"], &cpu["vms"][0]["unit"]), (&json!("db"), &json!("nanocores")));
    assert_eq!(node["top"]["diskIo"]["more"], json!(3));
}

#[tokio::test]
async fn traffic_is_in_bytes_per_second() {
    let mut busy = vm("shop", "web");
    busy.activity = Activity::Known(Box::new(activity()));
    let top = &Server::new(vec![busy]).get("/api/nodes/node-1").await.json()["top"];
    let network = &top["network"]["vms"][0];
    assert_eq!((&network["used"], &network["unit"]), (&json!(12.0), &json!("bytes/second")));
    assert_eq!((&network["stale"], &top["network"]["more"]), (&json!(true), &json!(0)));
}

#[tokio::test]
async fn an_unknown_node_is_a_problem() {
    for (name, field) in [("node-9", None), ("Node-1", Some("name"))] {
        let answer = server().get(&format!("/api/nodes/{name}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (404, "application/problem+json")
        );
        assert_eq!(answer.json()["field"].as_str(), field);
    }
}

#[tokio::test]
async fn the_largest_consumers_are_those_of_the_namespace() {
    let groups = server().get("/api/groups?by=namespace&namespace=ops").await.json();
    assert_eq!(groups["groups"].as_array().unwrap().len(), 2, "the rows are all there");
    let top = groups["top"]["cpu"].as_array().unwrap();
    assert_eq!(top.len(), 1);
    assert_eq!((&top[0]["name"], &top[0]["used"]), (&json!("db"), &json!(500_000_000)));
    assert_eq!(groups["nodes"], Value::Null);
}

#[tokio::test]
async fn a_bad_parameter_is_named() {
    for (query, field) in [("by=pod", "by"), ("sort=x", "sort"), ("page=0", "page")] {
        let answer = server().get(&format!("/api/groups?{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.json()["field"].as_str()), (400, Some(field)), "{query}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let encoded = query.replace('=', "%3D");
        assert_eq!(server().get(&format!("/fn/groups?query={encoded}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn the_names_of_map_cells_are_answered_by_group_and_block() {
    let server = server();
    let names = async |query: &str| {
        let answer = server.get(&format!("/fn/map-names?{query}")).await;
        assert_eq!(answer.status, 200, "{query}");
        postcard::from_bytes::<Result<MapNames, crate::server_fns::Failure>>(&answer.body)
            .map_or_else(|_| postcard::from_bytes::<MapNames>(&answer.body).unwrap(), Result::unwrap)
    };
    let group = names("query=%3Fview%3Dmap&group=node-1&block=0").await;
    let keys: Vec<_> = group.vms.iter().map(|vm| (vm.namespace.as_str(), vm.name.as_str())).collect();
    assert_eq!(keys, [("ops", "db"), ("shop", "blind"), ("shop", "web")]);
    assert_eq!(group.vms[1].figure, Err(Reason::TooNew));
    assert!(names("query=%3Fview%3Dmap&group=elsewhere&block=7").await.vms.is_empty());
    assert_eq!(server.get("/fn/map-names?query=page%3D0").await.status, 400);
    assert_eq!(server.get("/fn/map-names?block=-1").await.status, 400);
}

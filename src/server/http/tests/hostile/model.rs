//! Every text of the model, through every page. The tests walk the types, so that they try new fields too.

use std::sync::Arc;

use axum::{Router, http::StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::sync::watch;

use super::{PAGES, absent, page};
use crate::server::{
    config::HttpConfig,
    http::{
        App,
        history::HistoryReader,
        reader::Reader,
        router,
        tests::{fixture, html::mark},
    },
};
use model::{
    activity::{Activity, GuestActivity},
    details::{Condition, GuestSystem},
    figure::{Figure, Missing, Unit},
    groups::{Node, NodeUse},
    insight::{Filling, Finding, Insight, Window},
    instance::{InstanceDetails, InstanceDisk, InstanceInterface},
    reason::Reason,
    source::{SourceHealth, SourceId, SourceState},
    vm::{Guest, GuestFilesystem, Kind, Reading, Status, Vm},
};
use wukong_core::{
    Snapshot,
    frame::Identity,
    insight::{Findings, Running},
};

/// Replaces each text of `value`, except those in `kept`, by a mark that names its place. A text without which `T` cannot
/// be read is a code, and stays.
fn hostile<T: Serialize + DeserializeOwned>(value: &T, prefix: &str, kept: &[&str]) -> (T, Vec<String>) {
    let mut json = serde_json::to_value(value).unwrap();
    let mut marks = Vec::new();
    for pointer in texts(&json, "") {
        let name = [prefix, &pointer.replace('/', ".")].concat();
        let Some(place) = json.pointer_mut(&pointer) else { continue };
        if kept.contains(&pointer.as_str()) {
            continue;
        }
        let before = std::mem::replace(place, mark(&name).into());
        if serde_json::from_value::<T>(json.clone()).is_ok() {
            marks.push(name);
        } else if let Some(place) = json.pointer_mut(&pointer) {
            *place = before;
        }
    }
    (serde_json::from_value(json).unwrap(), marks)
}

fn texts(value: &Value, pointer: &str) -> Vec<String> {
    match value {
        Value::String(_) => vec![pointer.to_owned()],
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.flat_map(|(at, item)| texts(item, &format!("{pointer}/{at}"))).collect()
        }
        Value::Object(fields) => {
            fields.iter().flat_map(|(key, item)| texts(item, &format!("{pointer}/{key}"))).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns a VM with everything that a page can show.
fn whole(status: Status) -> Vm {
    let mut vm = fixture::vm("shop", "web");
    let missing = |reason| {
        let (detail, fix) = ("detail".into(), "fix: kubectl get nodes; after".into());
        Missing { reason, detail, fix, last: Some(fixture::sample(Unit::Bytes, 1, 2)) }
    };
    vm.summary.status = status;
    vm.summary.migrating_to = "node-2".into();
    vm.summary.usage.memory = Figure::Missing(missing(Reason::Hugepages));
    vm.failure = (status == Status::Error).then(|| Box::new(missing(Reason::NotRunning)));
    vm.summary.fault = (status == Status::Running).then(|| Box::new("fault".into()));
    vm.allocation_gap = Some(Box::new(missing(Reason::NoAllocation)));
    vm.conflict = Some(Box::new("conflict".into()));
    let reading = |reason| Reading { source: SourceId::GuestAgent, figure: Figure::Missing(missing(reason)) };
    let mut unknown = vm.volumes[0].clone();
    unknown.usage = Figure::Missing(missing(Reason::BlockVolume));
    unknown.readings = vec![reading(Reason::AgentOff)];
    vm.volumes.push(unknown);
    vm.guest = Guest {
        memory: None,
        filesystems: [GuestFilesystem {
            disk: "vda1".into(),
            mount_point: "/".into(),
            kind: "ext4".into(),
            used: Some(1),
            total: Some(2),
            claim: "web-root".into(),
        }]
        .into(),
        filesystems_left_out: 3,
        at: Some(1),
    };
    vm
}

/// Gives the VM what its page shows as details: all texts are marks. Returns their names.
fn with_details(vm: Vm) -> (Vm, Vec<String>) {
    let mut marks = Vec::new();
    let mut text = |name: &str| {
        marks.push(["vm.details.", name].concat());
        mark(&["vm.details.", name].concat())
    };
    let missing = Missing {
        detail: text("figure.detail").into(),
        fix: text("figure.fix").into(),
        ..Missing::from(Reason::NotReported)
    };
    let interface = InstanceInterface {
        name: text("interface.name").into(),
        guest_name: text("interface.guest_name").into(),
        mac: text("interface.mac").into(),
        addresses: [text("interface.address").into()].into(),
        is_sriov: false,
    };
    let disk = InstanceDisk {
        name: text("drive.name").into(),
        claim: text("drive.claim").into(),
        ..InstanceDisk::default()
    };
    let system = GuestSystem {
        name: text("system.name").into(),
        version: text("system.version").into(),
        kernel: text("system.kernel").into(),
    };
    let condition = Condition {
        kind: text("condition.kind").into(),
        status: text("condition.status").into(),
        reason: text("condition.reason").into(),
        message: text("condition.message").into(),
        since: Some(1),
    };
    let instance = InstanceDetails {
        disks: [disk].into(),
        interfaces: [interface].into(),
        system: Some(Box::new(system)),
        hostname: text("hostname").into(),
        started: Some(1),
        conditions: [condition].into(),
    };
    let activity = GuestActivity { swap: Err(Box::new(missing)), ..fixture::activity() };
    let activity = Activity::Known(Box::new(activity));
    (Vm { activity, instance: Some(Arc::new(instance)), ..vm }, marks)
}

/// Returns a node with everything that its page can show.
fn whole_node() -> Node {
    let missing = Missing {
        detail: "detail".into(),
        fix: "fix: kubectl get nodes; after".into(),
        ..Missing::from(Reason::Unreachable)
    };
    let used = NodeUse { cpu: fixture::known(Unit::Nanocores, 1, 2), memory: Figure::Missing(missing) };
    Node {
        name: "node-1".into(),
        ready: Some(true),
        unschedulable: true,
        kubelet_version: "v1.34.1".into(),
        used: Some(Box::new(used)),
        ..Node::default()
    }
}

fn source(id: SourceId, state: SourceState) -> SourceHealth {
    SourceHealth {
        id,
        state,
        reason: Some(Reason::Unreachable),
        error: "error".into(),
        warning: "warning".into(),
        fix: "fix: kubectl get nodes; after".into(),
        last_success: Some(1),
        last_bytes: None,
        latency: None,
        reviews: None,
        vms: 1,
        volumes: 1,
        vms_missing: 2,
        vms_stale: 1,
        node: "node-1".into(),
    }
}

struct Cluster {
    router: Router,
    /// The parts of the model with marks in place of their texts.
    vm: Vec<String>,
    source: Vec<String>,
    node: Vec<String>,
    /// Those of the node that the VM is on.
    own_node: Vec<String>,
    insight: Vec<String>,
    _findings: watch::Sender<Arc<Findings>>,
}

/// Keeps the VM's names if `kept` says so, since its page is found by them.
fn cluster(status: Status, kept: &[&str]) -> Cluster {
    let (vm, mut vm_marks) = hostile(&whole(status), "vm", kept);
    let (vm, details_marks) = with_details(vm);
    vm_marks.extend(details_marks);
    let (source, source_marks) = hostile(&source(SourceId::Nodes, SourceState::Degraded), "source", &[]);
    let (node, own_node_marks) = hostile(&whole_node(), "own-node", &["/name"]);
    let node = Node { name: vm.summary.node.clone(), ..node };
    let (idle, node_marks) = hostile(
        &Node { name: "idle".into(), takes_vms: true, schedulable: true, ..Node::default() },
        "node",
        &[],
    );
    let filling = Filling {
        volume: Some("data".into()),
        used: 9,
        of: 10,
        per_day: 1,
        days: 1,
        earliest: 1,
        latest: 2,
        window: Window { from: 0, to: 86_400_000, known: 280, all: 288 },
    };
    let insight = Insight {
        kind: Kind::Wukong,
        namespace: "shop".into(),
        name: "web".into(),
        finding: Finding::FillingUp(filling),
    };
    let (insight, insight_marks) = hostile(&insight, "insight", &[]);
    let running = [((Kind::Wukong, "shop".into()), Running { vms: 1, judged: 1 })].into();
    let drawn = Findings { at: Some(5), running, findings: vec![insight] };
    let (findings, receiver) = watch::channel(Arc::new(drawn));
    let snapshot =
        Snapshot { nodes: [node, idle].into(), sources: vec![source], ..fixture::snapshot(1, vec![vm]) };
    let identity = Identity { cluster: mark("cluster"), demo: true, refresh: 1000 };
    let reader = Reader::new(watch::channel(Arc::new(snapshot)).1, identity, || 86_400_000);
    let reader = reader.with_history(HistoryReader::new(Arc::default(), receiver, None));
    let app = App::new(reader, fixture::site(), &HttpConfig::default());
    Cluster {
        router: router(app),
        vm: vm_marks,
        source: source_marks,
        node: node_marks,
        own_node: own_node_marks,
        insight: insight_marks,
        _findings: findings,
    }
}

const NAMES: [&str; 2] = ["/summary/namespace", "/summary/name"];

#[tokio::test]
async fn every_text_of_a_vm_is_text_on_its_page() {
    // The page does not show the uid; for a running VM, it does not show why a VM does not run.
    for (status, elsewhere) in [(Status::Running, &["vm.uid"][..]), (Status::Error, &["vm.uid"])] {
        let cluster = cluster(status, &NAMES);
        for span in ["", "?span=24h", "?span=7d"] {
            let page = page(&cluster.router, &["/vms/shop/web", span].concat(), StatusCode::OK).await;
            let wanted = cluster.vm.iter().map(String::as_str).filter(|mark| !elsewhere.contains(mark));
            // A VM that does not run has no figures.
            let is_figure = |mark: &&str| [".usage.", ".figure."].iter().any(|part| mark.contains(part));
            let wanted = wanted.filter(|mark| status == Status::Running || !is_figure(mark));
            assert_eq!(absent(&page, wanted.chain(["cluster"])), Vec::<&str>::new(), "{status:?} {span}");
            assert!(page.title().starts_with("web · shop"), "{}", page.title());
        }
    }
}

#[tokio::test]
async fn every_text_of_a_node_is_text_on_its_page() {
    let cluster = cluster(Status::Running, &["/summary/node"]);
    assert!(cluster.own_node.len() > 2, "{:?}", cluster.own_node);
    for top in ["", "?top=cpu", "?top=network", "?top=disk-io"] {
        let page = page(&cluster.router, &["/nodes/node-1", top].concat(), StatusCode::OK).await;
        let of_vm = if top == "?top=cpu" { vec!["vm.summary.name", "vm.summary.namespace"] } else { vec![] };
        let wanted = cluster.own_node.iter().map(String::as_str).chain(of_vm).chain(["cluster"]);
        assert_eq!(absent(&page, wanted), Vec::<&str>::new(), "{top}");
        assert!(page.title().starts_with("node-1"), "{}", page.title());
    }
}

#[tokio::test]
async fn every_name_is_text_on_every_page() {
    let cluster = cluster(Status::Running, &[]);
    let shown: [(&str, &[&str]); 8] = [
        (
            "/",
            &[
                "vm.summary.name",
                "vm.summary.namespace",
                "vm.summary.node",
                "vm.summary.migrating_to",
                "vm.summary.ip_address",
            ],
        ),
        (
            "/?view=table",
            &["vm.summary.name", "vm.summary.namespace", "vm.summary.node", "vm.summary.ip_address"],
        ),
        ("/?view=map", &["vm.summary.node"]),
        ("/?view=map&by=namespace", &["vm.summary.namespace"]),
        (
            "/groups",
            &[
                "vm.summary.node",
                "vm.summary.name",
                "vm.summary.namespace",
                "node.name",
                "source.error",
                "source.fix",
            ],
        ),
        ("/groups?by=namespace", &["vm.summary.namespace", "vm.summary.name"]),
        ("/insights", &["insight.name", "insight.namespace"]),
        ("/sources", &["source.error", "source.fix"]),
    ];
    for (url, wanted) in shown {
        let page = page(&cluster.router, url, StatusCode::OK).await;
        assert_eq!(absent(&page, wanted.iter().copied().chain(["cluster"])), Vec::<&str>::new(), "{url}");
    }
    let title = page(&cluster.router, "/", StatusCode::OK).await.title().to_owned();
    assert!(title.contains(&mark("cluster")), "{title}");
    // Marks that the table does not list are checked too.
    for url in PAGES {
        let status = if url == "/nope" { StatusCode::NOT_FOUND } else { StatusCode::OK };
        page(&cluster.router, url, status).await;
    }
    for marks in [&cluster.vm, &cluster.source, &cluster.node, &cluster.insight] {
        assert!(!marks.is_empty());
    }
}

#[tokio::test]
async fn a_vm_in_error_is_text_on_every_list() {
    let cluster = cluster(Status::Error, &[]);
    for (url, wanted) in [
        ("/", &["vm.summary.name", "vm.summary.kubevirt_status", "vm.failure.detail", "vm.failure.fix"][..]),
        ("/?view=table", &["vm.summary.name"]),
        ("/?attention=1", &["vm.summary.name"]),
    ] {
        let page = page(&cluster.router, url, StatusCode::OK).await;
        assert_eq!(absent(&page, wanted.iter().copied()), Vec::<&str>::new(), "{url}");
    }
}

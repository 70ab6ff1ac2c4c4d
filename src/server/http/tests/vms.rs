//! The contract of the REST API for VMs.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fixture::*;
use i18n::{Lang, reason, text_in};
use model::{
    activity::{Activity, GuestActivity, MigrationProgress, Origin, Traffic},
    details::Migration,
    figure::{Figure, Missing, Source, Unit},
    pressure::{Pressure, PressureSample, Stall, WINDOW_MS},
    rates::Rate,
    reason::Reason,
    vm::{Kind, Status, Vm},
};

const GI: u64 = 1 << 30;

async fn one(vm: Vm) -> Value {
    Server::new(vec![vm]).get("/api/vms").await.json()[0].clone()
}

#[tokio::test]
async fn a_vm_has_the_contract_s_fields_and_exact_ones_beside_them() {
    let sample = |used: u64, key: &str, of: u64, unit: &str, percent: f64, source: &str| {
        json!({"used": used, key: of, "unit": unit, "percent": percent, "source": source, "sampledAt": 7000,
               "windowSeconds": 15.5, "stale": false, "basis": "own"})
    };
    let unknown = json!({"missing": {
        "reason": "starting", "text": text_in(Lang::English, reason(Reason::Starting)), "detail": "", "fix": "", "last": null,
    }});
    let mut disk = sample(GI, "capacity", 10 * GI, "bytes", 10.0, "kubelet");
    disk["layer"] = json!("image");
    let want = json!({
        "id": "uid-shop-web", "name": "web", "namespace": "shop", "status": "Running", "cpu": 2, "memory": "4Gi",
        "nodeName": "node-1", "ipAddress": "10.0.0.5", "osImage": "debian-13", "createdAt": 1_700_000_000_000_u64,
        "networks": [{"name": "default", "interface": "eth0", "ipAddress": "10.0.0.5",
                      "macAddress": "02:00:00:00:00:01", "mode": "bridge"}],
        "disks": [{"name": "root", "size": "10Gi", "storageClassName": "fast", "boot": true, "image": "debian-13"}],
        "metrics": {"cpuUsage": 25, "memoryUsage": 25, "diskUsage": 10},
        "kind": "Wukong", "kubevirtStatus": "Running", "kubevirtMessage": "", "migratingTo": "", "vmName": "web-vm",
        "pod": "virt-launcher-web-vm-abcde", "memoryBytes": 4 * GI, "cpuMillicores": 2000, "allocationMissing": null,
        "usage": {
            "cpu": sample(500_000_000, "allocated", 2_000_000_000, "nanocores", 25.0, "metrics.k8s.io"),
            "memory": sample(GI, "allocated", 4 * GI, "bytes", 25.0, "kubelet"),
            "disk": disk, "diskKnown": 1, "diskVolumes": 1, "fullestDiskPercent": null,
            "guestMemory": unknown, "swap": unknown, "majorFaults": unknown, "network": unknown, "storage": unknown,
            "pressure": unknown, "contention": unknown,
        },
        "volumes": [{"name": "root", "claim": "web-root", "sizeBytes": 10 * GI, "block": false,
                     "storageClass": "fast", "from": "kubelet", "usage": disk, "readings": []}],
        "guest": {"memory": null, "filesystems": [], "filesystemsLeftOut": 0, "sampledAt": null},
    });
    assert_eq!(one(vm("shop", "web")).await, want);
}

#[tokio::test]
async fn what_a_guest_does_has_units_a_source_and_a_window() {
    let progress = MigrationProgress {
        processed: Some(3 * GI),
        remaining: Some(GI),
        dirty_rate: Some(7),
        transfer_rate: None,
    };
    let known = GuestActivity { migration: Some(Box::new(progress)), ..activity() };
    let (activity, instance) = (Activity::Known(Box::new(known)), Some(instance().into()));
    let migration = |name: &str, phase: &str| Migration {
        name: name.into(),
        phase: phase.into(),
        source_node: "node-1".into(),
        target_node: "node-2".into(),
        created: 3000,
        started: Some(3500),
        ended: (phase == "Failed").then_some(3600),
        failure: "why".into(),
    };
    let migrations = vec![Arc::new(migration("m-2", "Running")), Arc::new(migration("m-1", "Failed"))];
    let server = Server::new(vec![Vm { activity, instance, migrations, ..vm("shop", "web") }]);
    let list = server.get("/api/vms").await.json();
    let vm = server.get("/api/vms/web").await.json();
    assert_eq!(list[0]["usage"], vm["usage"]);
    for key in ["interfaces", "drives", "conditions"] {
        assert_eq!(list[0][key], Value::Null, "a list has no details");
    }
    assert_eq!(list[0]["guest"]["osName"], Value::Null);
    let measured = |unit: &str, window: f64, mut value: Value| {
        let common = json!({"unit": unit, "source": "virt-handler", "sampledAt": 7000, "windowSeconds": window, "stale": true});
        value.as_object_mut().unwrap().extend(common.as_object().unwrap().clone());
        value
    };
    let storage = json!({"read": 4096.0, "write": 0.0, "readOperations": 2.0, "writeOperations": 0.0,
                         "readLatency": 0.0015, "writeLatency": null});
    let usage = &vm["usage"];
    assert_eq!(
        usage["guestMemory"],
        measured("bytes", 0.0, json!({"used": GI, "total": 4 * GI, "percent": 25.0}))
    );
    assert_eq!(usage["majorFaults"], measured("1/second", 60.0, json!({"rate": 0.5})));
    let traffic = json!({"receive": 7.0, "transmit": 5.0, "uncountedInterfaces": 0});
    assert_eq!(usage["network"], measured("bytes/second", 60.0, traffic));
    assert_eq!(usage["storage"], measured("bytes/second", 60.0, storage.clone()));
    assert_eq!(usage["contention"], measured("percent", 60.0, json!({"percent": 12.5})));
    assert_eq!(usage["swap"]["missing"]["reason"], "not-reported");
    let mut drive = measured("bytes/second", 60.0, storage);
    drive
        .as_object_mut()
        .unwrap()
        .extend([("name".into(), json!("root")), ("claim".into(), json!("web-root"))]);
    assert_eq!(vm["drives"], json!([drive]));
    let interface = measured(
        "bytes/second",
        60.0,
        json!({"name": "default", "interface": "eth0", "macAddress": "02:00:00:00:00:01", "ipAddresses": ["10.0.0.5"], "sriov": false,
               "receive": 7.0, "transmit": 5.0, "receivePackets": 3.0, "transmitPackets": 3.0, "receiveErrors": 0.0,
               "transmitErrors": 0.0, "receiveDrops": null, "transmitDrops": null}),
    );
    assert_eq!(vm["interfaces"][0], interface);
    let card = &vm["interfaces"][1];
    assert_eq!(
        (&card["name"], &card["sriov"], &card["receive"]),
        (&json!("fast"), &json!(true), &Value::Null)
    );
    assert_eq!(card["missing"]["reason"], "not-reported");
    assert!(card["missing"]["detail"].as_str().unwrap().contains("SR-IOV"));
    let guest = json!({"memory": null, "filesystems": [], "filesystemsLeftOut": 0, "sampledAt": null, "osName": "Debian",
                       "osVersion": "13", "kernel": "6.12", "hostname": "web", "startedAt": 4000});
    assert_eq!(vm["guest"], guest);
    let condition = json!({"type": "Ready", "status": "False", "reason": "GuestNotRunning", "message": "not yet", "lastTransitionAt": 5000});
    assert_eq!(vm["conditions"], json!([condition]));
    let progress = measured(
        "bytes",
        0.0,
        json!({"processed": 3 * GI, "remaining": GI, "dirtyRate": 7, "transferRate": null}),
    );
    let migration = |name: &str, phase: &str, ended: Value, progress: Value| {
        json!({"name": name, "phase": phase, "sourceNode": "node-1", "targetNode": "node-2", "createdAt": 3000, "startedAt": 3500,
               "endedAt": ended, "failure": "why", "progress": progress})
    };
    let over = migration("m-1", "Failed", json!(3600), Value::Null);
    assert_eq!(vm["migrations"], json!([migration("m-2", "Running", Value::Null, progress), over]));
    assert_eq!((&vm["migrationsMissing"], &list[0]["migrations"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn the_network_can_be_of_another_source_and_says_what_it_does_not_count() {
    let from = Origin { source: Source::KubeletDirect, at: 9000, window_ms: 45_000, stale: false };
    let traffic = Traffic { receive: Rate(7000), transmit: Rate(5000), uncounted: 2 };
    let known = GuestActivity { network: Ok(traffic), network_from: Some(from), ..activity() };
    let vm = one(Vm { activity: Activity::Known(Box::new(known)), ..vm("shop", "web") }).await;
    let network = json!({"receive": 7.0, "transmit": 5.0, "uncountedInterfaces": 2, "unit": "bytes/second",
                         "source": "kubelet-direct", "sampledAt": 9000, "windowSeconds": 45.0, "stale": false});
    assert_eq!(vm["usage"]["network"], network);
    assert_eq!(vm["usage"]["storage"]["source"], "virt-handler");
}

#[tokio::test]
async fn pressure_is_in_percent_over_a_minute_or_says_why_it_is_unknown() {
    let stall = |some, full| Some(Stall { some, full });
    let pressure = Pressure { cpu: stall(33_250, 11_040), memory: stall(0, 0), io: None };
    let origin = Origin { source: Source::KubeletProxy, at: 9000, window_ms: WINDOW_MS, stale: true };
    let shown = one(Vm { pressure: Ok(PressureSample { pressure, origin }), ..vm("shop", "web") }).await;
    let wanted = json!({"cpu": {"some": 33.25, "full": 11.04}, "memory": {"some": 0.0, "full": 0.0}, "io": null,
                        "unit": "percent", "source": "kubelet", "sampledAt": 9000, "windowSeconds": 60.0, "stale": true});
    assert_eq!(shown["usage"]["pressure"], wanted);
    let unknown = one(vm("shop", "web")).await;
    assert_eq!(unknown["usage"]["pressure"]["missing"]["reason"], "starting");
}

#[tokio::test]
async fn metrics_are_null_unless_cpu_and_memory_are_both_known() {
    for (missing_figure, part) in [(0, "cpu"), (1, "memory")] {
        let mut vm = vm("shop", "web");
        let usage = &mut vm.summary.usage;
        *[&mut usage.cpu, &mut usage.memory][missing_figure] = missing(Reason::Forbidden);
        let vm = one(vm).await;
        assert_eq!(vm["metrics"], Value::Null, "{part}");
        assert_eq!(vm["usage"][part]["missing"]["reason"], "forbidden");
    }
    let mut stopped = vm("shop", "web");
    stopped.summary.status = Status::Stopped;
    assert_eq!(one(stopped).await["metrics"], Value::Null);
}

#[tokio::test]
async fn an_unknown_disk_is_0_in_the_contract_and_says_why_beside_it() {
    let mut vm = vm("shop", "web");
    let last = Some(sample(Unit::Bytes, GI, 10 * GI));
    let (detail, fix) = ("get nodes/proxy".into(), "kubectl create …".into());
    vm.summary.usage.disk = Figure::Missing(Missing { reason: Reason::Expired, detail, fix, last });
    let vm = one(vm).await;
    assert_eq!(vm["metrics"], json!({"cpuUsage": 25, "memoryUsage": 25, "diskUsage": 0}));
    let missing = &vm["usage"]["disk"]["missing"];
    assert_eq!(missing["reason"], "expired");
    assert_eq!(missing["detail"], "get nodes/proxy");
    assert_eq!(missing["fix"], "kubectl create …");
    assert_eq!((&missing["last"]["used"], &missing["last"]["sampledAt"]), (&json!(GI), &json!(7000)));
    assert!(missing["text"].as_str().is_some_and(|text| !text.is_empty()));
}

#[tokio::test]
async fn contract_percentages_are_held_to_100_and_the_exact_ones_are_not() {
    let mut vm = vm("shop", "web");
    vm.summary.usage.memory = known(Unit::Bytes, 5 * GI, 4 * GI);
    let vm = one(vm).await;
    assert_eq!(vm["metrics"]["memoryUsage"], 100);
    assert_eq!(vm["usage"]["memory"]["percent"], 125.0);
}

#[tokio::test]
async fn cores_are_whole_numbers_where_they_are_whole_and_null_where_unreadable() {
    for (cpu, cores, milli) in [
        (Some(4_000_000_000), json!(4), json!(4000)),
        (Some(500_000_000), json!(0.5), json!(500)),
        (None, Value::Null, Value::Null),
    ] {
        let mut vm = vm("shop", "web");
        vm.summary.cpu = cpu;
        let vm = one(vm).await;
        assert_eq!((&vm["cpu"], &vm["cpuMillicores"]), (&cores, &milli), "{cpu:?}");
    }
}

#[tokio::test]
async fn a_name_in_two_namespaces_is_decided_by_the_namespace() {
    let server = Server::new(vec![vm("a", "web"), vm("b", "web"), vm("a", "db")]);
    let both = server.get("/api/vms/web").await;
    assert_eq!((both.status.as_u16(), both.header("content-type")), (409, "application/problem+json"));
    assert_eq!(both.json()["namespaces"], json!(["a", "b"]));
    assert_eq!(server.get("/api/vms/web?namespace=b").await.json()["id"], "uid-b-web");
    assert_eq!(server.get("/api/vms/db").await.json()["id"], "uid-a-db");
    for unknown in ["/api/vms/nope", "/api/vms/db?namespace=b", "/api/vms/%F0%9F%98%80"] {
        assert_eq!(server.get(unknown).await.status, 404, "{unknown}");
    }
}

#[tokio::test]
async fn a_wukong_goes_before_a_virtual_machine_of_its_name() {
    let mut other = vm("a", "web");
    (other.uid, other.summary.kind) = ("other".into(), Kind::VirtualMachine);
    let server = Server::new(vec![other, vm("a", "web")]);
    assert_eq!(server.get("/api/vms/web").await.json()["id"], "uid-a-web");
}

#[tokio::test]
async fn a_bad_namespace_is_named() {
    let server = Server::new(vec![vm("a", "web")]);
    for bad in ["A", "a_b", "a&namespace=b", "a%2Fb", "a.b", "a%00"] {
        let answer = server.get(&format!("/api/vms/web?namespace={bad}")).await;
        assert_eq!(answer.status, 400, "{bad}");
        assert_eq!(answer.json()["field"], "namespace", "{bad}");
    }
    // An empty parameter counts as absent, as in a form.
    for same in ["", "+", "a%20"] {
        assert_eq!(server.get(&format!("/api/vms/web?namespace={same}")).await.status, 200, "{same}");
    }
    let long = server.get(&format!("/api/vms/{}", "x".repeat(254))).await;
    assert_eq!((long.status.as_u16(), &long.json()["field"]), (404, &json!("name")));
}

#[tokio::test]
async fn a_vm_called_stats_is_reachable() {
    let server = Server::new(vec![vm("a", "stats"), vm("a", "web")]);
    assert_eq!(server.get("/api/vms/stats").await.json()["total"], 2);
    assert_eq!(server.get("/api/vms/stats?namespace=a").await.json()["id"], "uid-a-stats");
}

#[tokio::test]
async fn totals_are_exact() {
    let mut vms = vec![vm("a", "web"), vm("a", "db"), vm("b", "old"), vm("b", "new"), vm("b", "odd")];
    (vms[1].summary.cpu, vms[1].summary.memory) = (Some(500_000_000), Some(3 << 29));
    vms[1].summary.usage.cpu = missing(Reason::TooNew);
    for (vm, status) in [(2, Status::Stopped), (3, Status::Creating), (4, Status::Error)] {
        let summary = &mut vms[vm].summary;
        (summary.status, summary.usage.cpu) = (status, missing(Reason::NotRunning));
        summary.usage.memory = missing(Reason::NotRunning);
    }
    vms[4].summary.memory = None;
    let server = Server::new(vms);
    let stats = server.get("/api/stats").await.json();
    assert_eq!(stats, server.get("/api/vms/stats").await.json());
    for (key, want) in [
        ("total", json!(5)),
        ("running", json!(2)),
        ("stopped", json!(1)),
        ("error", json!(1)),
        ("pending", json!(1)),
        ("totalCpu", json!(8.5)),
        ("totalMemory", json!("13.5Gi")),
        ("unknown", json!(0)),
        ("migrating", json!(0)),
        ("totalCpuMillicores", json!(8500)),
        ("totalMemoryBytes", json!(27 * (GI / 2))),
        ("memoryUnreadable", json!(1)),
    ] {
        assert_eq!(stats[key], want, "{key}");
    }
    let cpu = json!({"used": 500_000_000, "allocated": 2_000_000_000_u64, "unit": "nanocores", "percent": 25.0,
                     "measuredVms": 1});
    assert_eq!(stats["usage"]["cpu"], cpu);
    assert_eq!(stats["usage"]["disk"]["capacity"], json!(20 * GI));
}

#[tokio::test]
async fn nothing_measured_has_no_percentage() {
    let stats = Server::new(vec![]).get("/api/stats").await.json();
    assert_eq!(stats["usage"]["memory"]["percent"], Value::Null);
    assert_eq!((&stats["totalMemory"], &stats["totalCpu"]), (&json!("0Gi"), &json!(0)));
}

//! What KubeVirt and Kubernetes report about guests: Events, migrations, and the status of instances.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use super::support::{WatchStream, ask, brief, demo, get, items, names};
use crate::{Clock, Guest, Handle, Network, Options, Resource, Scenario, start};

const NOW: i64 = 1_700_049_600_000;
const EVENTS: &str = "/api/v1/namespaces/a/events";
const MIGRATIONS: &str = "/apis/kubevirt.io/v1/namespaces/a/virtualmachineinstancemigrations";
const INSTANCE: &str = "/apis/kubevirt.io/v1/namespaces/a/virtualmachineinstances/one-vm";

/// A cluster with a guest that has been running for a day, and its clock.
async fn cluster() -> (Handle, Clock) {
    let clock = Clock::fixed(NOW);
    let sim = start(Options { clock: clock.clone(), ..Options::exactly(Scenario::empty()) }).await.unwrap();
    sim.world().put(Guest::new("a", "one").running_on("n1", NOW - 86_400_000));
    (sim, clock)
}

async fn reasons(sim: &Handle, selector: &str) -> Vec<String> {
    let list = get(sim, &format!("{EVENTS}?fieldSelector={selector}")).await;
    let mut told: Vec<_> = items(&list)
        .iter()
        .map(|event| (event["metadata"]["creationTimestamp"].to_string(), event["reason"].as_str().unwrap()))
        .collect();
    told.sort();
    told.into_iter().map(|(_, reason)| reason.to_owned()).collect()
}

#[tokio::test]
async fn a_failed_liveness_probe_is_told_by_events_of_the_pod_the_instance_and_the_machine() {
    let (sim, clock) = cluster().await;
    let old = get(&sim, INSTANCE).await;
    clock.advance(Duration::from_secs(60));
    sim.world().change("a", "one", |guest| guest.fail_probe("n2", clock.now()));
    let instance = get(&sim, INSTANCE).await;
    assert_ne!(instance["metadata"]["uid"], old["metadata"]["uid"]);
    assert_eq!(instance["metadata"]["creationTimestamp"], "2023-11-15T12:01:00Z");

    let of =
        async |uid: &Value| reasons(&sim, &format!("involvedObject.uid={}", uid.as_str().unwrap())).await;
    assert_eq!(of(&old["metadata"]["uid"]).await[3..], ["ShuttingDown", "Stopped"]);
    let told: BTreeSet<_> = of(&instance["metadata"]["uid"]).await.into_iter().collect();
    assert_eq!(told, ["Created", "Started", "SuccessfulCreate"].map(str::to_owned).into());
    let machine = reasons(&sim, "involvedObject.kind=VirtualMachine,involvedObject.name=one-vm").await;
    assert_eq!(machine[1..], ["SuccessfulCreate", "SuccessfulDelete"]);

    let list =
        get(&sim, &format!("{EVENTS}?fieldSelector=reason=Unhealthy,type=Warning,source=kubelet")).await;
    let event = &items(&list)[0];
    assert_eq!(
        event["involvedObject"],
        json!({
            "kind": "Pod", "namespace": "a", "apiVersion": "v1", "resourceVersion": "1",
            "name": event["involvedObject"]["name"], "uid": event["involvedObject"]["uid"],
            "fieldPath": "spec.containers{compute}",
        })
    );
    assert!(event["message"].as_str().unwrap().starts_with("Liveness probe failed: Get"));
    assert_eq!((&event["count"], &event["lastTimestamp"]), (&json!(3), &json!("2023-11-15T12:01:00Z")));
    assert_eq!(event["firstTimestamp"], "2023-11-15T12:00:40Z");
    let pod = event["involvedObject"]["name"].as_str().unwrap();
    let killed = get(&sim, &format!("{EVENTS}?fieldSelector=involvedObject.name={pod},reason=Killing")).await;
    assert_eq!(items(&killed)[0]["message"], "Container compute failed liveness probe");
}

#[tokio::test]
async fn the_scheduler_reports_with_the_newer_fields() {
    let (sim, _) = cluster().await;
    let list = get(&sim, &format!("{EVENTS}?fieldSelector=reason=Scheduled")).await;
    let event = &items(&list)[0];
    assert_eq!((&event["firstTimestamp"], &event["lastTimestamp"]), (&Value::Null, &Value::Null));
    assert_eq!(
        (&event["eventTime"], &event["action"]),
        (&json!("2023-11-14T12:00:00.000000Z"), &json!("Binding"))
    );
    assert_eq!((event.get("count"), &event["source"]), (None, &json!({})));
    let demo = demo().await;
    let query = "reason=FailedScheduling,reportingComponent=default-scheduler";
    let list = get(&demo, &format!("/api/v1/events?fieldSelector={query}")).await;
    assert_eq!(items(&list)[0]["series"]["count"], 36);
}

#[tokio::test]
async fn events_are_selected_paged_watched_and_expire() {
    let (sim, clock) = cluster().await;
    assert_eq!(ask(&sim, &format!("{EVENTS}?fieldSelector=involvedObject.color=red")).await.0, 400);
    assert_eq!(ask(&sim, "/api/v1/pods?fieldSelector=involvedObject.name=one-vm").await.0, 400);
    let nobody = "involvedObject.namespace=b";
    assert!(items(&get(&sim, &format!("{EVENTS}?fieldSelector={nobody}")).await).is_empty());
    let selector = "fieldSelector=involvedObject.name=one-vm,type!=Warning";
    let all = names(&get(&sim, &format!("{EVENTS}?{selector}")).await);
    let first = get(&sim, &format!("{EVENTS}?{selector}&limit=3")).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let rest = get(&sim, &format!("{EVENTS}?{selector}&limit=3&continue={token}")).await;
    assert_eq!([names(&first), names(&rest)].concat(), all);
    assert_eq!(all.len(), 4);

    let revision = sim.world().revision();
    let watch = format!("{EVENTS}?watch=true&resourceVersion={revision}&fieldSelector=reason=Migrating");
    let mut watch = WatchStream::open(&sim, &watch).await;
    sim.world().start_migration("a", "one", "n2");
    assert_eq!(watch.event().await["object"]["message"], "VirtualMachineInstance is migrating.");
    clock.advance(Duration::from_secs(3_601));
    crate::life::take_step(sim.world(), 7, 1);
    assert_eq!(brief(&watch.event().await).0, "DELETED");
    assert!(!names(&get(&sim, EVENTS).await).iter().any(|name| all.contains(name)), "they are a day old");
}

#[tokio::test]
async fn a_migration_has_an_object_and_a_state_in_its_instance() {
    let (sim, clock) = cluster().await;
    let revision = sim.world().revision();
    let mut watch =
        WatchStream::open(&sim, &format!("{MIGRATIONS}?watch=true&resourceVersion={revision}")).await;
    sim.world().start_migration("a", "one", "n2");
    let running = watch.event().await;
    assert_eq!(
        (&running["type"], &running["object"]["status"]["phase"]),
        (&json!("ADDED"), &json!("Running"))
    );
    clock.advance(Duration::from_secs(40));
    sim.world().finish_migration("a", "one", false);
    let done = watch.event().await;
    let (object, status) = (&done["object"], &done["object"]["status"]);
    assert_eq!((&object["spec"], &status["phase"]), (&json!({"vmiName": "one-vm"}), &json!("Succeeded")));
    let phases: Vec<_> = status["phaseTransitionTimestamps"].as_array().unwrap().iter().collect();
    assert_eq!((&phases[0]["phase"], phases.len()), (&json!("Pending"), 7));
    assert_eq!(phases[6]["phaseTransitionTimestamp"], "2023-11-15T12:00:40Z");

    let state = &get(&sim, INSTANCE).await["status"]["migrationState"];
    assert_eq!(state, &status["migrationState"]);
    assert_eq!((&state["sourceNode"], &state["targetNode"]), (&json!("n1"), &json!("n2")));
    assert_eq!((&state["completed"], state.get("failed")), (&json!(true), None));
    assert_eq!(state["migrationUid"], object["metadata"]["uid"]);
    let uid = object["metadata"]["uid"].as_str().unwrap();
    let told: BTreeSet<_> = reasons(&sim, &format!("involvedObject.uid={uid}")).await.into_iter().collect();
    assert_eq!(
        told,
        ["SuccessfulCreate", "SuccessfulHandOver", "SuccessfulMigration"].map(str::to_owned).into()
    );

    sim.world().start_migration("a", "one", "n1");
    sim.world().finish_migration("a", "one", true);
    let list = get(&sim, &format!("{MIGRATIONS}?labelSelector=kubevirt.io%2Fvmi-name%3Done-vm")).await;
    let phases: BTreeSet<_> = items(&list).iter().map(|item| item["status"]["phase"].to_string()).collect();
    assert_eq!(phases, ["\"Failed\"", "\"Succeeded\""].map(str::to_owned).into());
    let failed = &get(&sim, INSTANCE).await["status"]["migrationState"];
    assert_eq!(failed["failed"], true);
    assert!(failed["failureReason"].as_str().unwrap().contains("stuck"));
}

#[tokio::test]
async fn the_status_of_an_instance_has_its_system_its_addresses_and_why_it_cannot_move() {
    let (sim, _) = cluster().await;
    let mut guest = Guest::new("a", "one").network(Network::sriov(7)).running_on("n1", NOW);
    guest.disks[0] = guest.disks[0].clone().on(crate::Backend::LocalPath(20 << 30));
    sim.world().put(guest.clone());
    let status = &get(&sim, INSTANCE).await["status"];
    let system = &status["guestOSInfo"];
    assert_eq!(
        (&system["prettyName"], &system["versionId"]),
        (&json!("Ubuntu 24.04.3 LTS"), &json!("24.04"))
    );
    let interfaces = status["interfaces"].as_array().unwrap();
    assert_eq!(interfaces.len(), 2);
    let addresses = interfaces[0]["ipAddresses"].as_array().unwrap();
    assert_eq!((addresses.len(), &addresses[0]), (3, &interfaces[0]["ipAddress"]));
    assert!(addresses[2].as_str().unwrap().starts_with("fe80::5054:ff:fe"));
    assert!(addresses.iter().all(|address| address.as_str().unwrap().parse::<std::net::IpAddr>().is_ok()));
    assert_eq!(interfaces[1]["infoSource"], "domain, guest-agent, multus-status");
    assert_eq!((interfaces[1].get("queueCount"), &interfaces[1]["name"]), (None, &json!("fast-path")));
    let conditions = status["conditions"].as_array().unwrap();
    let movable = conditions.iter().find(|condition| condition["type"] == "LiveMigratable").unwrap();
    assert_eq!((&movable["status"], &movable["reason"]), (&json!("False"), &json!("DisksNotLiveMigratable")));
    assert!(movable["message"].as_str().unwrap().contains("PVC one-root is not shared"));
    let spec = &get(&sim, INSTANCE).await["spec"]["domain"]["devices"]["interfaces"];
    assert_eq!((&spec[0]["bridge"], &spec[1]["sriov"]), (&json!({}), &json!({})));

    sim.world().put(guest.without_agent());
    let status = &get(&sim, INSTANCE).await["status"];
    assert_eq!(status["guestOSInfo"], json!({}));
    let interfaces = status["interfaces"].as_array().unwrap();
    assert_eq!(interfaces[0]["ipAddresses"].as_array().unwrap().len(), 1);
    assert_eq!(interfaces[1].get("ipAddress"), None, "only the agent knows it");
}

#[tokio::test]
async fn a_viewer_may_list_the_events_and_migrations_of_their_namespaces() {
    let sim = demo().await;
    let client = reqwest::Client::new();
    let may = async |group: &str, resource: &str, namespace: &str| {
        let attributes =
            json!({"verb": "list", "group": group, "resource": resource, "namespace": namespace});
        let body = json!({"spec": {"user": "ana.ruiz@example.com", "resourceAttributes": attributes}});
        let url = format!("{}/apis/authorization.k8s.io/v1/subjectaccessreviews", sim.url());
        let text = client.post(url).body(body.to_string()).send().await.unwrap().text().await.unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["status"]["allowed"] == true
    };
    for resource in [Resource::Events, Resource::Migrations] {
        let api = resource.api();
        assert!(may(api.group, api.plural, "shop").await, "{resource:?}");
        assert!(!may(api.group, api.plural, "data").await && !may(api.group, api.plural, "").await);
    }
    assert!(!may("kubevirt.io", "events", "shop").await, "there is no such resource");
}

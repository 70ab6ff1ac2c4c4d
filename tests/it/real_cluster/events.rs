//! Events of a VM: listed by a real API server, when somebody looks at the VM.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    figures::settled,
    harness::{
        shared::on_the_cluster,
        wait::{check, within},
    },
};

const EVENTS: &str = "/api/v1/namespaces/prod/events";

/// An Event about an instance, as KubeVirt reports it.
fn event(instance: &str, reason: &str, message: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"generateName": format!("{instance}."), "namespace": "prod"},
        "involvedObject": {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "namespace": "prod", "name": instance},
        "reason": reason, "message": message, "type": "Warning", "count": 3, "source": {"component": "virt-handler"},
        "firstTimestamp": "2026-03-04T09:10:00Z", "lastTimestamp": "2026-03-04T09:12:00Z"
    })
}

#[test]
#[ignore = "needs a network namespace: end2end/cluster/run-tests.sh"]
fn events_of_a_vm_are_listed_when_somebody_looks_at_it() {
    on_the_cluster(async |cluster| {
        let (access, program) = cluster.program("events").await;
        settled(&program, cluster).await;
        let instance = program.vm("prod", "hot").await.unwrap()["vmName"].as_str().unwrap().to_owned();
        let api = &cluster.plane.api;
        api.post(EVENTS, &event(&instance, "IOerror", "VM Paused due to IO error")).await;
        api.post(EVENTS, &event(&format!("{instance}2"), "IOerror", "of another VM")).await;
        let lists = || {
            let asked = cluster.plane.audit().of(&access.user()).into_iter();
            asked
                .filter(|asked| asked.uri.contains("/events"))
                .map(|asked| (asked.verb, asked.uri))
                .collect::<Vec<_>>()
        };
        assert_eq!(lists(), [], "nobody has looked");
        let one = within(Duration::from_secs(10), async || {
            let one = program.get("/api/vms/hot?namespace=prod").await.json();
            check(one["eventsMissing"].is_null(), || one["eventsMissing"].to_string())?;
            Ok(one)
        })
        .await
        .unwrap();
        let found: Vec<_> =
            one["events"].as_array().unwrap().iter().map(|event| event["message"].clone()).collect();
        assert_eq!(found, ["VM Paused due to IO error"]);
        assert_eq!((&one["events"][0]["count"], &one["events"][0]["type"]), (&json!(3), &json!("Warning")));
        let page = program.get("/vms/prod/hot").await.text;
        assert!(page.contains("VM Paused due to IO error") && !page.contains("of another VM"), "{page}");
        tokio::time::sleep(Duration::from_millis(500)).await;
        let asked = lists();
        assert!(!asked.is_empty() && asked.len() <= 7, "one set of lists: {asked:?}");
        let of_names =
            |(verb, uri): &(String, String)| verb == "list" && uri.contains("fieldSelector=involvedObject.");
        assert!(asked.iter().all(of_names), "{asked:?}");
        access.revoke("", "events").await;
        let denied = within(Duration::from_secs(60), async || {
            let denied = program.get("/api/vms/hot?namespace=prod").await.json()["eventsMissing"].clone();
            check(denied["reason"] == "forbidden", || denied.to_string())?;
            Ok(denied)
        })
        .await
        .unwrap();
        assert_eq!(denied["detail"], "list events in namespace prod");
        access.restore().await;
    });
}

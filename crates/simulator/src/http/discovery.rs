//! API discovery: enough for kubectl and for clients that check what is served before they use it.

use axum::response::Response;
use serde_json::{Value, json};

use super::status;
use crate::{
    resource::{Api, POD_METRICS, REVIEW_GROUP, Resource, SUBRESOURCE_GROUP, TOKEN_GROUP},
    world::SimulatedCluster,
};

pub fn version() -> Response {
    object(json!({
        "major": "1",
        "minor": "34",
        "emulationMajor": "1",
        "emulationMinor": "34",
        "gitVersion": "v1.34.1",
        "gitCommit": "93248f9ae092f571eb870b7664c534bfc7d00f03",
        "gitTreeState": "clean",
        "buildDate": "2025-09-09T19:37:19Z",
        "goVersion": "go1.24.6",
        "compiler": "gc",
        "platform": "linux/amd64",
    }))
}

/// Answers `/api`.
pub fn core_versions() -> Response {
    object(json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [],
    }))
}

/// Answers `/apis` with the installed groups.
pub fn groups(world: &SimulatedCluster) -> Response {
    let groups: Vec<Value> = served()
        .filter(|(group, _)| world.is_installed(group))
        .map(|(group, version)| group_object(group, version))
        .collect();
    object(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
}

pub fn group(name: &str) -> Response {
    match served().find(|(group, _)| *group == name) {
        Some((group, version)) => {
            let mut found = group_object(group, version);
            (found["kind"], found["apiVersion"]) = ("APIGroup".into(), "v1".into());
            object(found)
        }
        None => status::no_such_path(),
    }
}

/// Answers with the resources of a group and version.
pub fn resources(group: &str, version: &str) -> Response {
    let of_group = |api: &&Api| api.group == group && api.version == version;
    let mut list: Vec<Value> = Resource::ALL
        .iter()
        .map(|resource| resource.api())
        .filter(of_group)
        .map(|api| resource(api, &["get", "list", "watch"]))
        .collect();
    list.extend(Some(&POD_METRICS).filter(of_group).map(|api| resource(api, &["get", "list"])));
    let reviews = REVIEWS.iter().filter(|(of, _)| (*of, "v1") == (group, version));
    list.extend(reviews.map(|(_, kind)| {
        let singular = kind.to_lowercase();
        json!({
            "name": format!("{singular}s"),
            "singularName": singular,
            "namespaced": false,
            "kind": kind,
            "verbs": ["create"],
        })
    }));
    if (group, version) == (SUBRESOURCE_GROUP, "v1") {
        list.push(json!({
            "name": "virtualmachineinstances/filesystemlist",
            "singularName": "",
            "namespaced": true,
            "kind": "VirtualMachineInstanceFileSystemList",
            "verbs": ["get"],
        }));
    }
    if list.is_empty() {
        return status::no_such_path();
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    object(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": list,
    }))
}

/// The reviews, which are created and never kept, by group and kind.
const REVIEWS: [(&str, &str); 3] = [
    (REVIEW_GROUP, "SelfSubjectAccessReview"),
    (REVIEW_GROUP, "SubjectAccessReview"),
    (TOKEN_GROUP, "TokenReview"),
];

/// The named API groups, each with its only version.
fn served() -> impl Iterator<Item = (&'static str, &'static str)> {
    let apis = [
        Resource::VirtualMachines,
        Resource::Wukongs,
        Resource::LonghornVolumes,
        Resource::ClusterInstancetypes,
    ];
    let apis = apis.into_iter().map(|resource| resource.api()).chain([&POD_METRICS]);
    let others = [SUBRESOURCE_GROUP, REVIEW_GROUP, TOKEN_GROUP].map(|group| (group, "v1"));
    apis.map(|api| (api.group, api.version)).chain(others)
}

fn group_object(group: &str, version: &str) -> Value {
    let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
    json!({"name": group, "versions": [version], "preferredVersion": version})
}

fn resource(api: &Api, verbs: &[&str]) -> Value {
    json!({
        "name": api.plural,
        "singularName": api.singular,
        "namespaced": api.namespaced,
        "kind": api.kind,
        "shortNames": api.short,
        "verbs": verbs,
    })
}

fn object(value: Value) -> Response {
    status::json(200, value.to_string())
}

//! Reviews: what the caller may do, whose a token is, and what a user may do.

use axum::response::Response;
use serde_json::{Value, json};

use super::{
    path::{ApiRequest, Review, parse},
    status,
};
use crate::{
    cluster::Cluster,
    faults::Class,
    resource::{POD_METRICS, Resource, SUBRESOURCE_GROUP},
    users,
};

/// Answers a review.
pub fn review(cluster: &Cluster, kind: Review, body: &[u8]) -> Response {
    let Ok(mut review) = serde_json::from_slice::<Value>(body) else {
        // Newer clients send protobuf first.
        let message = "the body of the request was in an unknown format - accepted media types include: application/json";
        return status::status(415, "UnsupportedMediaType", message);
    };
    let spec = &review["spec"];
    let answer = match kind {
        Review::OwnAccess => json!({"allowed": !forbidden(cluster, &spec["resourceAttributes"])}),
        Review::Access => json!({"allowed": may_list(cluster, spec)}),
        Review::Token => token_status(cluster, spec),
    };
    review["metadata"] = json!({"creationTimestamp": null});
    review["status"] = answer;
    status::json(201, review.to_string())
}

fn token_status(cluster: &Cluster, spec: &Value) -> Value {
    let token = spec["token"].as_str().unwrap_or_default();
    if let Some(viewer) = cluster.world.viewer(token).filter(|viewer| viewer.token == token) {
        let groups: Vec<&str> =
            viewer.groups.iter().map(String::as_str).chain(["system:authenticated"]).collect();
        return json!({
            "authenticated": true,
            "user": {"username": viewer.name, "uid": viewer.name, "groups": groups},
            "audiences": spec["audiences"],
        });
    }
    match users::of_token(token, cluster.world.clock.now()) {
        Some(user) => json!({
            "authenticated": true,
            "user": {"username": user.name, "uid": user.uid, "groups": user.groups},
            "audiences": spec["audiences"],
        }),
        None => json!({"user": {}, "error": "invalid bearer token"}),
    }
}

fn may_list(cluster: &Cluster, spec: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let attributes = &spec["resourceAttributes"];
    let (user, namespace) = (text(&spec["user"]), text(&attributes["namespace"]));
    let viewer = cluster.world.viewer(&user).filter(|viewer| viewer.name == user);
    let may = match viewer {
        Some(viewer) => viewer.namespaces.contains(&namespace),
        None => users::may_list(&user, &namespace),
    };
    let mut groups = spec["groups"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let may = may || groups.any(|group| cluster.world.may_group_list(group, &namespace));
    let (group, plural) = (text(&attributes["group"]), text(&attributes["resource"]));
    may && text(&attributes["verb"]) == "list" && is_listed(&group, &plural)
}

/// Whether there is a resource of this name that can be listed.
fn is_listed(group: &str, plural: &str) -> bool {
    let mut all = Resource::ALL.iter().map(|resource| resource.api()).chain([&POD_METRICS]);
    all.any(|api| (api.group, api.plural) == (group, plural))
}

/// Returns whether a fault forbids what the caller asks about. Everything else is allowed.
fn forbidden(cluster: &Cluster, attributes: &Value) -> bool {
    let text = |name: &str| attributes[name].as_str().unwrap_or_default();
    let (group, plural, namespace) = (text("group"), text("resource"), text("namespace"));
    let scope = if namespace.is_empty() { String::new() } else { format!("namespaces/{namespace}/") };
    let (path, class) = match (group, plural, text("subresource")) {
        ("", "nodes", "proxy") => {
            let node = text("name");
            (format!("/api/v1/nodes/{node}/proxy/stats/summary"), Some(Class::Summary(node.to_owned())))
        }
        (SUBRESOURCE_GROUP, "virtualmachineinstances", "filesystemlist") => {
            let path =
                format!("/apis/{group}/v1/{scope}virtualmachineinstances/{}/filesystemlist", text("name"));
            (path, Some(Class::Filesystems))
        }
        _ => {
            let version =
                if group == POD_METRICS.group { POD_METRICS.version } else { version(group, plural) };
            let root = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
            let path = format!("{root}/{version}/{scope}{plural}");
            let class = class_of(&parse(&path), text("verb") == "watch");
            (path, class)
        }
    };
    class.is_some_and(|class| cluster.faults.forbids(&class, &path))
}

fn version(group: &str, plural: &str) -> &'static str {
    let found = Resource::ALL.iter().map(|resource| resource.api());
    found.into_iter().find(|api| api.group == group && api.plural == plural).map_or("v1", |api| api.version)
}

fn class_of(api_request: &ApiRequest<'_>, watch: bool) -> Option<Class> {
    match api_request {
        ApiRequest::Objects { resource, .. } if watch => Some(Class::Watch(*resource)),
        ApiRequest::Objects { resource, .. } => Some(Class::List(*resource)),
        ApiRequest::PodMetrics { .. } => Some(Class::Metrics),
        _ => None,
    }
}

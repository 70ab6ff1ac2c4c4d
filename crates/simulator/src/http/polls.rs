//! Endpoints that are polled: PodMetrics, summaries, file systems of guests, and access reviews.

use axum::response::Response;
use serde_json::{Value, json};

use super::{
    list::chunked,
    path::{Ask, parse},
    query::ListQuery,
    status,
};
use crate::{
    cluster::Cluster,
    faults::Class,
    guest::State,
    node::Kubelet,
    objects::{self, PodSample, list_head, pod_metrics},
    resource::{KUBEVIRT_GROUP, POD_METRICS, Resource, SUBRESOURCE_GROUP},
};

/// Answers with PodMetrics. metrics-server supports selectors, but neither pages nor watches.
pub fn metrics(cluster: &Cluster, namespace: Option<&str>, query: &ListQuery) -> Response {
    let mut items = cluster.world.pod_metrics(namespace);
    items.retain(|item| query.selector.matches(&item.namespace, &item.name, || item.labels.clone()));
    let mut head = String::new();
    list_head(&mut head, &POD_METRICS, "{}");
    status::json(200, chunked(head, items, "]}\n", |out, item: &PodSample| pod_metrics(out, item, false)))
}

/// Answers with the PodMetrics of one pod, or 404.
pub fn one_metrics(cluster: &Cluster, namespace: &str, name: &str) -> Response {
    let Some(found) = cluster.world.pod_metrics(Some(namespace)).into_iter().find(|item| item.name == name)
    else {
        return status::not_found("podmetrics.metrics.k8s.io", &format!("{namespace}/{name}"));
    };
    let mut out = String::new();
    pod_metrics(&mut out, &found, true);
    status::json(200, out)
}

/// Answers as the API server's proxy to a kubelet: a stopped kubelet is a 503, a lost machine never answers.
pub async fn summary(cluster: &Cluster, name: &str) -> Response {
    let Some(node) = cluster.world.node(name) else { return status::not_found("nodes", name) };
    match node.kubelet {
        Kubelet::Answers => status::json(200, cluster.world.summary(&node)),
        Kubelet::Hangs => std::future::pending().await,
        Kubelet::Refuses => {
            let message = format!(
                "error trying to reach service: dial tcp {}:10250: connect: connection refused",
                node.ip()
            );
            status::status(503, "ServiceUnavailable", &message)
        }
    }
}

/// Answers with a guest's file systems. virt-api asks virt-handler on the guest's node, which answers with
/// what it last received from the agent.
pub async fn filesystems(cluster: &Cluster, namespace: &str, name: &str) -> Response {
    const QUALIFIED: &str = "virtualmachineinstance.kubevirt.io";
    if !cluster.world.is_installed(KUBEVIRT_GROUP) {
        return status::no_such_path();
    }
    let Some(guest) = cluster.world.instance(namespace, name) else {
        return status::not_found(QUALIFIED, name);
    };
    let off = |why: &str| {
        let message = format!("Operation cannot be fulfilled on {QUALIFIED} \"{name}\": {why}");
        status::status(409, "Conflict", &message)
    };
    let Some(holder) = guest.holder().filter(|_| guest.state == State::Running) else {
        return off("VMI is not running");
    };
    if !guest.agent {
        return off("VMI does not have guest agent connected");
    }
    match cluster.world.node(&holder.node).map_or(Kubelet::Answers, |node| node.kubelet) {
        Kubelet::Answers => {
            let mut out = String::new();
            objects::filesystems(&mut out, &guest, cluster.world.clock.now());
            status::json(200, out)
        }
        Kubelet::Hangs => std::future::pending().await,
        // No pod answers on a node whose kubelet is gone.
        Kubelet::Refuses => {
            let message =
                format!("Cannot GET request https://{}:8186: connect: connection refused", holder.node);
            status::status(500, "InternalError", &message)
        }
    }
}

/// Answers an access review: allowed unless a fault forbids this request.
pub fn review(cluster: &Cluster, body: &[u8]) -> Response {
    let Ok(mut review) = serde_json::from_slice::<Value>(body) else {
        // Newer clients send protobuf first.
        let message = "the body of the request was in an unknown format - accepted media types include: application/json";
        return status::status(415, "UnsupportedMediaType", message);
    };
    let allowed = !forbidden(cluster, &review["spec"]["resourceAttributes"]);
    review["metadata"] = json!({"creationTimestamp": null});
    review["status"] = json!({"allowed": allowed});
    status::json(201, review.to_string())
}

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

fn class_of(ask: &Ask<'_>, watch: bool) -> Option<Class> {
    match ask {
        Ask::Objects { resource, .. } if watch => Some(Class::Watch(*resource)),
        Ask::Objects { resource, .. } => Some(Class::List(*resource)),
        Ask::PodMetrics { .. } => Some(Class::Metrics),
        _ => None,
    }
}

//! Endpoints that are polled: PodMetrics, summaries and file systems of guests.

use axum::response::Response;

use super::{list::chunked, query::ListQuery, status};
use crate::{
    cluster::Cluster,
    guest::State,
    node::Kubelet,
    objects::{self, PodSample, list_head, pod_metrics},
    resource::{KUBEVIRT_GROUP, POD_METRICS},
};

/// Answers with PodMetrics. metrics-server supports selectors, but neither pages nor watches.
pub fn metrics(cluster: &Cluster, namespace: Option<&str>, query: &ListQuery) -> Response {
    let mut items = cluster.world.pod_metrics(namespace);
    items.retain(|item| {
        query.selector.matches((&item.namespace, &item.name), || item.labels.clone(), |_| String::new())
    });
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

//! One path of a process on a node, such as a kubelet or a virt-handler, which answers as its node does.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Method, Request},
    response::Response,
};

use super::{
    cluster::{Caller, Cluster, apply_faults},
    faults::Class,
    http::{corrupt::corrupt_body, status},
    node::Kubelet,
    serve::ResetSwitch,
};

/// Whose path it is, and which faults it has.
pub struct ServedNode {
    pub cluster: Arc<Cluster>,
    pub node: String,
    pub class: Class,
    /// What an injected refusal says is forbidden.
    pub resource: &'static str,
}

/// Writes the answer of a node that is well.
type Respond = fn(&Cluster, &str) -> Response;

impl ServedNode {
    /// Serves GET of the path.
    pub fn router(self, path: &'static str, respond: Respond) -> Router {
        let served = Arc::new(self);
        let answer = move |State(served): State<Arc<Self>>, request: Request<Body>| async move {
            served.answer(request, path, respond).await
        };
        Router::new().fallback(answer).with_state(served)
    }

    async fn answer(&self, request: Request<Body>, path: &str, respond: Respond) -> Response {
        let is_served = request.method() == Method::GET && request.uri().path() == path;
        let reset = request.extensions().get::<ResetSwitch>().cloned();
        let faults = match apply_faults(&self.cluster, &self.class, Caller::of(&request)).await {
            Ok(faults) => faults,
            Err(answer) => {
                return answer
                    .response(|code, retry_after| status::injected(code, retry_after, "get", self.resource));
            }
        };
        drop(request);
        let kubelet = self.cluster.world.node(&self.node).map_or(Kubelet::Answers, |node| node.kubelet);
        let response = match kubelet {
            _ if !is_served => status::no_such_path(),
            Kubelet::Answers => respond(&self.cluster, &self.node),
            Kubelet::Hangs => std::future::pending().await,
            // Nothing listens on a node that is down; resetting the connection comes closest.
            Kubelet::Refuses => {
                reset.iter().for_each(ResetSwitch::trigger);
                status::text("")
            }
        };
        corrupt_body(response, &faults).await
    }
}

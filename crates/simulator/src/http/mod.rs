//! The Kubernetes HTTP API of the simulated cluster. Each request is counted, its faults are applied, and it
//! is answered.

pub mod corrupt;
mod discovery;
mod list;
mod path;
mod polls;
mod query;
mod reviews;
mod selector;
pub mod status;
mod watch;

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{Method, Request},
    response::Response,
};

use super::{
    cluster::{Caller, Cluster, apply_faults},
    faults::{Class, Fault},
};
use path::ApiRequest;
use query::ListQuery;
use watch::WatchFaults;

/// The largest request body that is read, in bytes: reviews are small.
const BODY_LIMIT: usize = 1 << 20;

pub fn router(cluster: Arc<Cluster>) -> Router {
    Router::new().fallback(answer).with_state(cluster)
}

async fn answer(State(cluster): State<Arc<Cluster>>, request: Request<Body>) -> Response {
    let path = request.uri().path().to_owned();
    let api_request = path::parse(&path);
    let query = ListQuery::parse(request.uri(), api_request.resource());
    let class = classify(&api_request, query.as_ref().is_ok_and(|query| query.watch));
    let faults = match apply_faults(&cluster, &class, Caller::of(&request)).await {
        Ok(faults) => faults,
        Err(answer) => return answer.response(|code, retry_after| injected(code, retry_after, &class)),
    };
    let has = |fault: &Fault| faults.contains(fault);
    let (dropped, silent, gone) = (has(&Fault::Drop), has(&Fault::Silence), has(&Fault::Gone));
    let watch_faults = WatchFaults { dropped, silent, gone };
    let response = match query {
        Ok(query) => dispatch(&cluster, &api_request, query, request, &path, watch_faults).await,
        Err(refusal) => *refusal,
    };
    corrupt::corrupt_body(response, &faults).await
}

async fn dispatch(
    cluster: &Arc<Cluster>,
    api_request: &ApiRequest<'_>,
    query: ListQuery,
    request: Request<Body>,
    path: &str,
    watch_faults: WatchFaults,
) -> Response {
    if !cluster.world.is_installed(api_request.group()) || *api_request == ApiRequest::Unknown {
        return status::no_such_path();
    }
    if let ApiRequest::Review(kind) = *api_request
        && request.method() == Method::POST
    {
        let body = to_bytes(request.into_body(), BODY_LIMIT).await.unwrap_or_default();
        return reviews::review(cluster, kind, &body);
    }
    if request.method() != Method::GET {
        return status::method_not_allowed();
    }
    match *api_request {
        ApiRequest::Version => discovery::version(),
        ApiRequest::Health => status::text("ok"),
        ApiRequest::CoreVersions => discovery::core_versions(),
        ApiRequest::Groups => discovery::groups(&cluster.world),
        ApiRequest::Group(name) => discovery::group(name),
        ApiRequest::Resources { group, version } => discovery::resources(group, version),
        ApiRequest::Objects { resource, namespace } if query.watch => {
            watch::watch(cluster, resource, namespace, query, path, watch_faults)
        }
        ApiRequest::Objects { resource, namespace } => {
            list::list(&cluster.world, resource, namespace, &query)
        }
        ApiRequest::Object { resource, namespace, name } => {
            list::get(&cluster.world, resource, namespace, name)
        }
        ApiRequest::PodMetrics { .. } if query.watch => status::method_not_allowed(),
        ApiRequest::PodMetrics { namespace } => polls::metrics(cluster, namespace, &query),
        ApiRequest::OnePodMetrics { namespace, name } => polls::one_metrics(cluster, namespace, name),
        ApiRequest::Summary { node } => polls::summary(cluster, node).await,
        ApiRequest::Filesystems { namespace, name } => polls::filesystems(cluster, namespace, name).await,
        ApiRequest::Review(_) | ApiRequest::Unknown => status::method_not_allowed(),
    }
}

fn classify(api_request: &ApiRequest<'_>, watch: bool) -> Class {
    match api_request {
        ApiRequest::Objects { resource, .. } if watch => Class::Watch(*resource),
        ApiRequest::Objects { resource, .. } => Class::List(*resource),
        ApiRequest::Object { resource, .. } => Class::Get(*resource),
        ApiRequest::PodMetrics { .. } | ApiRequest::OnePodMetrics { .. } => Class::Metrics,
        ApiRequest::Summary { node } => Class::Summary((*node).to_owned()),
        ApiRequest::Filesystems { .. } => Class::Filesystems,
        ApiRequest::Review(_) => Class::Review,
        ApiRequest::Version
        | ApiRequest::CoreVersions
        | ApiRequest::Groups
        | ApiRequest::Group(_)
        | ApiRequest::Resources { .. } => Class::Discovery,
        ApiRequest::Health | ApiRequest::Unknown => Class::Other,
    }
}

fn injected(code: u16, retry_after: Option<u64>, class: &Class) -> Response {
    let (verb, qualified) = match class {
        Class::List(resource) => ("list", resource.api().qualified()),
        Class::Watch(resource) => ("watch", resource.api().qualified()),
        Class::Get(resource) => ("get", resource.api().qualified()),
        Class::Metrics => ("list", "pods.metrics.k8s.io".to_owned()),
        Class::Summary(_) => ("get", "nodes/proxy".to_owned()),
        Class::Filesystems => {
            ("get", "virtualmachineinstances/filesystemlist.subresources.kubevirt.io".to_owned())
        }
        Class::Review => ("create", "selfsubjectaccessreviews.authorization.k8s.io".to_owned()),
        Class::Prometheus | Class::Ceph | Class::VirtHandler(_) | Class::Discovery | Class::Other => {
            ("get", "path".to_owned())
        }
    };
    status::injected(code, retry_after, verb, &qualified)
}

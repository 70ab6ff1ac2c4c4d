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
use path::Ask;
use query::ListQuery;
use watch::WatchFaults;

/// The largest request body that is read, in bytes: reviews are small.
const BODY_LIMIT: usize = 1 << 20;

pub fn router(cluster: Arc<Cluster>) -> Router {
    Router::new().fallback(answer).with_state(cluster)
}

async fn answer(State(cluster): State<Arc<Cluster>>, request: Request<Body>) -> Response {
    let path = request.uri().path().to_owned();
    let ask = path::parse(&path);
    let query = ListQuery::parse(request.uri(), ask.resource());
    let class = classify(&ask, query.as_ref().is_ok_and(|query| query.watch));
    let faults = match apply_faults(&cluster, &class, Caller::of(&request)).await {
        Ok(faults) => faults,
        Err(answer) => return answer.response(|code, retry_after| injected(code, retry_after, &class)),
    };
    let has = |fault: &Fault| faults.contains(fault);
    let (dropped, silent, gone) = (has(&Fault::Drop), has(&Fault::Silence), has(&Fault::Gone));
    let watch_faults = WatchFaults { dropped, silent, gone };
    let response = match query {
        Ok(query) => dispatch(&cluster, &ask, query, request, &path, watch_faults).await,
        Err(refusal) => *refusal,
    };
    corrupt::corrupt_body(response, &faults).await
}

async fn dispatch(
    cluster: &Arc<Cluster>,
    ask: &Ask<'_>,
    query: ListQuery,
    request: Request<Body>,
    path: &str,
    watch_faults: WatchFaults,
) -> Response {
    if !cluster.world.is_installed(ask.group()) || *ask == Ask::Unknown {
        return status::no_such_path();
    }
    if let Ask::Review(kind) = *ask
        && request.method() == Method::POST
    {
        let body = to_bytes(request.into_body(), BODY_LIMIT).await.unwrap_or_default();
        return reviews::review(cluster, kind, &body);
    }
    if request.method() != Method::GET {
        return status::method_not_allowed();
    }
    match *ask {
        Ask::Version => discovery::version(),
        Ask::Health => status::text("ok"),
        Ask::CoreVersions => discovery::core_versions(),
        Ask::Groups => discovery::groups(&cluster.world),
        Ask::Group(name) => discovery::group(name),
        Ask::Resources { group, version } => discovery::resources(group, version),
        Ask::Objects { resource, namespace } if query.watch => {
            watch::watch(cluster, resource, namespace, query, path, watch_faults)
        }
        Ask::Objects { resource, namespace } => list::list(&cluster.world, resource, namespace, &query),
        Ask::Object { resource, namespace, name } => list::get(&cluster.world, resource, namespace, name),
        Ask::PodMetrics { .. } if query.watch => status::method_not_allowed(),
        Ask::PodMetrics { namespace } => polls::metrics(cluster, namespace, &query),
        Ask::OnePodMetrics { namespace, name } => polls::one_metrics(cluster, namespace, name),
        Ask::Summary { node } => polls::summary(cluster, node).await,
        Ask::Filesystems { namespace, name } => polls::filesystems(cluster, namespace, name).await,
        Ask::Review(_) | Ask::Unknown => status::method_not_allowed(),
    }
}

fn classify(ask: &Ask<'_>, watch: bool) -> Class {
    match ask {
        Ask::Objects { resource, .. } if watch => Class::Watch(*resource),
        Ask::Objects { resource, .. } => Class::List(*resource),
        Ask::Object { resource, .. } => Class::Get(*resource),
        Ask::PodMetrics { .. } | Ask::OnePodMetrics { .. } => Class::Metrics,
        Ask::Summary { node } => Class::Summary((*node).to_owned()),
        Ask::Filesystems { .. } => Class::Filesystems,
        Ask::Review(_) => Class::Review,
        Ask::Version | Ask::CoreVersions | Ask::Groups | Ask::Group(_) | Ask::Resources { .. } => {
            Class::Discovery
        }
        Ask::Health | Ask::Unknown => Class::Other,
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

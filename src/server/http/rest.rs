//! The handlers of the REST API. Every answer is read from the snapshot; [`json`](super::json) defines its
//! fields.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Extension, Path, State, rejection::PathRejection},
    http::{Extensions, HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use serde::Serialize;

use super::{
    address,
    error::{ApiError, ApiResult},
    etag, history,
    history_figures::HistoryFigures,
    json,
    limits::{RenderPermit, SharedGzip},
    params::{self, QueryParams},
    sign_in::Viewer,
    state::App,
    vm_events::{EventsViewer, REQUEST_WAITS},
};
use model::{
    bad_param::Expected,
    groups::GroupsQuery,
    insight::InsightQuery,
    name::is_dns_subdomain,
    query::{MAX_TEXT, Query},
    vm::{Kind, Vm},
};
use wukong_core::{Visible, details::details, incidents};

mod cell;
mod download;

pub use download::{csv, json};

/// `GET /api/vms`, with the parameters of the list. Requests without a filter share one answer.
pub async fn vms(
    State(app): State<App>,
    viewer: Viewer,
    uri: Uri,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let query = Query::of_address(address::query(&uri))?;
    let listing = match query.selects_all_by_name() {
        true => app.listings.listing_for(viewer.scope()).await?,
        false => app.listings.selected(viewer.scope(), query).await?,
    };
    let mut response = listing.respond(&headers).await?;
    if !response.headers().contains_key(header::CONTENT_ENCODING) {
        response.extensions_mut().insert(SharedGzip::new(move || listing.clone().gzip().boxed()));
    }
    Ok(response)
}

/// `GET /api/vms/{name}`, with `?namespace=` if the name alone is ambiguous.
pub async fn vm(
    State(app): State<App>,
    viewer: Viewer,
    extensions: Extensions,
    name: Result<Path<String>, PathRejection>,
    QueryParams(params): QueryParams,
) -> ApiResult<Response> {
    let name = vm_name(name)?;
    let namespace = params::namespace(&params)?;
    one(&app, &viewer, &extensions, &name, namespace.as_deref()).await
}

/// `GET /api/vms/{name}/history`, with `?span=`, `?namespace=` and `?figures=`.
pub async fn history(
    State(app): State<App>,
    viewer: Viewer,
    extensions: Extensions,
    permit: Option<Extension<RenderPermit>>,
    name: Result<Path<String>, PathRejection>,
    QueryParams(params): QueryParams,
) -> ApiResult<Response> {
    let name = vm_name(name)?;
    let (span, namespace) = (params::span(&params)?, params::namespace(&params)?);
    let figures = HistoryFigures::of_params(&params)?;
    let visible = app.reader.visible(viewer.scope());
    let vm = find(&visible, &name, namespace.as_deref())?;
    let history = app.reader.history_of(history::requester(&extensions), vm, span);
    let history = match permit.filter(|_| span.is_long()) {
        Some(Extension(permit)) => permit.release_during(history).await,
        None => history.await,
    };
    Ok(fresh(&json::HistoryJson::new(vm, &history, &figures)))
}

/// `GET /api/insights`
pub async fn insights(State(app): State<App>, viewer: Viewer, uri: Uri) -> ApiResult<Response> {
    let query = InsightQuery::of_address(address::query(&uri))?;
    Ok(fresh(&json::InsightsJson::new(&app.reader.insights(viewer.scope(), &query))))
}

/// `GET /api/vms/stats`, which answers like `/api/stats`. A VM that is itself named `stats` is at
/// `/api/vms/stats?namespace=NAMESPACE`.
pub async fn stats(
    State(app): State<App>,
    viewer: Viewer,
    extensions: Extensions,
    QueryParams(params): QueryParams,
) -> ApiResult<Response> {
    match params::namespace(&params)? {
        Some(namespace) => one(&app, &viewer, &extensions, "stats", Some(&namespace)).await,
        None => totals(State(app), viewer).await,
    }
}

/// `GET /api/stats`
pub async fn totals(State(app): State<App>, viewer: Viewer) -> ApiResult<Response> {
    Ok(fresh(&json::StatsJson::new(app.reader.visible(viewer.scope()).totals())))
}

/// `GET /api/sources`
pub async fn sources(State(app): State<App>, viewer: Viewer) -> Response {
    fresh(&app.reader.visible(viewer.scope()).sources().iter().map(json::SourceJson::new).collect::<Vec<_>>())
}

/// `GET /api/groups`: every node or namespace, sorted, and the largest consumers.
pub async fn groups(State(app): State<App>, viewer: Viewer, uri: Uri) -> ApiResult<Response> {
    let query = GroupsQuery::of_address(address::query(&uri))?;
    let visible = app.reader.visible(viewer.scope());
    let groups = wukong_core::groups::groups(&visible, &query);
    let top = wukong_core::groups::top(&visible, &query.namespace);
    Ok(fresh(&json::GroupsJson::new(&query, &groups, &top, visible.sources())))
}

/// `GET /api/nodes/{name}`: one node and its largest consumers.
pub async fn node(
    State(app): State<App>,
    viewer: Viewer,
    name: Result<Path<String>, PathRejection>,
) -> ApiResult<Response> {
    let name = name.ok().map(|Path(name)| name).filter(|name| is_dns_subdomain(name));
    let name = name.ok_or(ApiError::NoNodeName)?;
    let visible = app.reader.visible(viewer.scope());
    let report = wukong_core::nodes::report(&visible, &name);
    let report = report.ok_or_else(|| unknown("node", visible.is_ready()))?;
    Ok(fresh(&json::NodeAnswerJson::new(&report, visible.sources())))
}

/// `GET /api/search`: the names that contain `?q=`.
pub async fn search(
    State(app): State<App>,
    viewer: Viewer,
    QueryParams(params): QueryParams,
) -> ApiResult<Response> {
    let text = params.get("q").unwrap_or_default();
    if text.len() > MAX_TEXT {
        return Err(params::bad("q", Expected::Text));
    }
    let visible = app.reader.visible(viewer.scope());
    Ok(fresh(&json::SearchJson::new(&wukong_core::search::search(&visible, &text))))
}

/// `GET /api/attention`: what needs a person, merged by cause.
pub async fn attention(State(app): State<App>, viewer: Viewer, headers: HeaderMap) -> ApiResult<Response> {
    let visible = app.reader.visible(viewer.scope());
    let incidents = incidents::incidents(&visible, incidents::MOST);
    let answer = serde_json::to_vec(&json::AttentionJson::new(&incidents)).map_err(|_| ApiError::Internal)?;
    let tag = etag::of_scope(visible.scope(), &answer);
    let (status, body) = match etag::matches(&headers, &tag) {
        true => (StatusCode::NOT_MODIFIED, Vec::new()),
        false => (StatusCode::OK, answer),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
        (header::ETAG, tag),
    ];
    Ok((status, headers, body).into_response())
}

/// Answers unknown paths that only programs ask for.
pub async fn not_found() -> ApiError {
    ApiError::NotFound("nothing exists at this address".into())
}

/// Returns the decoded name in the path. Fails if no VM can have it.
fn vm_name(name: Result<Path<String>, PathRejection>) -> ApiResult<String> {
    let Ok(Path(name)) = name else { return Err(ApiError::NoName) };
    if is_dns_subdomain(&name) { Ok(name) } else { Err(ApiError::NoName) }
}

/// Answers for one VM, whose Events are waited for without the permit.
async fn one(
    app: &App,
    viewer: &Viewer,
    extensions: &Extensions,
    name: &str,
    namespace: Option<&str>,
) -> ApiResult<Response> {
    let visible = app.reader.visible(viewer.scope());
    let vm = find(&visible, name, namespace)?;
    let events = EventsViewer {
        requester: history::requester(extensions),
        rights: viewer.user().map(|user| &user.rights),
        waits: REQUEST_WAITS,
    };
    let events = app.reader.events_of(events, vm);
    let events = match extensions.get::<RenderPermit>() {
        Some(permit) => permit.release_during(events).await,
        None => events.await,
    };
    Ok(fresh(&json::VmJson::with_details(vm, &details(vm, visible.sources())).with_events(&events)))
}

/// Finds a VM. A Wukong precedes a VirtualMachine of the same name in the same namespace that it does not
/// own. Fails if there is none, or if VMs of several namespaces have this name.
fn find<'a>(visible: &'a Visible, name: &str, namespace: Option<&str>) -> ApiResult<&'a Vm> {
    let mut found: BTreeMap<&str, &Vm> = BTreeMap::new();
    let named = visible.vms().iter().filter(|vm| vm.summary.name == name);
    for vm in named.filter(|vm| namespace.is_none_or(|wanted| vm.summary.namespace == wanted)) {
        let first = found.entry(&vm.summary.namespace).or_insert(vm);
        if vm.summary.kind == Kind::Wukong {
            *first = vm;
        }
    }
    match found.len() {
        1 => found.into_values().next().ok_or(ApiError::Internal),
        0 => Err(unknown("virtual machine", visible.is_ready())),
        _ => Err(ApiError::Ambiguous {
            name: name.to_owned(),
            namespaces: found.into_keys().map(str::to_owned).collect(),
        }),
    }
}

fn unknown(what: &str, ready: bool) -> ApiError {
    let so_far = if ready { "" } else { " so far: the cluster is still being read" };
    ApiError::NotFound(format!("no such {what}{so_far}").into())
}

/// Returns JSON that must not be stored, since it is of the current moment.
fn fresh(value: &impl Serialize) -> Response {
    let mut response = Json(value).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

//! Routes `/at/BUILD/LANGUAGE/…`, by which the browser's half calls server functions and follows events.
//!
//! The answers have no field names, so a page cannot read those of another build: if the build differs, the
//! answer is 409 with `Failure::OtherBuild`, and the page reloads itself. LANGUAGE is the language of the
//! page, in which the server writes its texts.

use std::convert::Infallible;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{Method, StatusCode, Uri, header, uri::PathAndQuery},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::stream;
use leptos::server_fn::error::FromServerFnError;
use tower::ServiceExt;

use super::{
    address::{OF_BUILD, SERVER_FUNCTIONS},
    error::ApiError,
};
use crate::server_fns::Failure;
use i18n::Lang;

/// Returns `routes`, and the same routes below the address of this build.
pub fn add_build_address(routes: Router, build: &str) -> Router {
    let own = OwnBuild { routes: routes.clone(), build: build.into() };
    routes.route("/at/{build}/{lang}/{*path}", get(answer).with_state(own))
}

#[derive(Clone)]
struct OwnBuild {
    routes: Router,
    build: std::sync::Arc<str>,
}

async fn answer(
    State(own): State<OwnBuild>,
    Path((build, lang, _)): Path<(String, String, String)>,
    mut request: Request,
) -> Response {
    if build != *own.build {
        let headers = [(header::CACHE_CONTROL, "no-store")];
        return (StatusCode::CONFLICT, headers, Failure::OtherBuild.ser()).into_response();
    }
    let known = Lang::of_tag(&lang).zip(address_within(request.uri(), &[&build, "/", &lang].concat()));
    let Some((lang, uri)) = known else {
        return ApiError::NotFound("nothing exists at this address".into()).into_response();
    };
    let is_head = request.method() == Method::HEAD;
    *request.uri_mut() = uri;
    request.extensions_mut().insert(lang);
    match own.routes.oneshot(request).await {
        Ok(response) if is_head => keep_length(response),
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The paths that the browser's half requests below its build's address. Pages and files have one address
/// each.
const ASKED: [&str; 2] = [SERVER_FUNCTIONS, "/api/events"];

/// Keeps the length of an answer to HEAD. The inner router has removed the body and set the length if it was
/// known; without this stream the outer router would set the length to 0.
fn keep_length(response: Response) -> Response {
    response.map(|_| Body::from_stream(stream::empty::<Result<Bytes, Infallible>>()))
}

/// Returns the path after the build and the language, whatever they are; for any other path the path itself.
pub fn inner_path(path: &str) -> &str {
    let inner = path.strip_prefix(OF_BUILD).and_then(|rest| {
        let (build, rest) = rest.split_once('/')?;
        let lang = rest.find('/')?;
        (!build.is_empty()).then_some(&rest[lang..])
    });
    inner.unwrap_or(path)
}

/// Returns the address after the build and the language, if it is one of `ASKED`.
fn address_within(uri: &Uri, build: &str) -> Option<Uri> {
    let address = uri.path_and_query()?.as_str().strip_prefix(OF_BUILD)?.strip_prefix(build)?;
    if !ASKED.iter().any(|start| address.starts_with(start)) {
        return None;
    }
    Some(Uri::from(address.parse::<PathAndQuery>().ok()?))
}

//! `/at/BUILD/LANGUAGE/…`: what the browser's half of a build asks. It reads answers without names, so that those of
//! another build would make no sense to it: a page that stayed open while the program was replaced is told so, and loads
//! itself anew. What the server says to people comes in the language that the page is in.

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

use super::{address::SERVER_FUNCTIONS, error::ApiError};
use crate::server_fns::Failure;
use i18n::Lang;

pub const PREFIX: &str = "/at/";

/// Serves `routes`, and the same below the address of this build.
pub fn beside(routes: Router, build: &str) -> Router {
    let own = Own { routes: routes.clone(), build: build.into() };
    routes.route("/at/{build}/{lang}/{*path}", get(answer).with_state(own))
}

#[derive(Clone)]
struct Own {
    routes: Router,
    build: std::sync::Arc<str>,
}

async fn answer(
    State(own): State<Own>,
    Path((build, lang, _)): Path<(String, String, String)>,
    mut request: Request,
) -> Response {
    if build != *own.build {
        let headers = [(header::CACHE_CONTROL, "no-store")];
        return (StatusCode::CONFLICT, headers, Failure::OtherBuild.ser()).into_response();
    }
    let known = Lang::of_tag(&lang).zip(below(request.uri(), &[&build, "/", &lang].concat()));
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

/// What the browser's half asks for. Pages and files have one address each.
const ASKED: [&str; 2] = [SERVER_FUNCTIONS, "/api/events"];

/// The inner router has cut the body off an answer to HEAD, and said how long it was if that was known. The outer one would
/// say of what is left that it is nothing long.
fn keep_length(response: Response) -> Response {
    response.map(|_| Body::from_stream(stream::empty::<Result<Bytes, Infallible>>()))
}

/// The path behind a build's and its language, whichever they are; else the path itself.
pub fn inner_path(path: &str) -> &str {
    let inner = path.strip_prefix(PREFIX).and_then(|rest| {
        let (build, rest) = rest.split_once('/')?;
        let lang = rest.find('/')?;
        (!build.is_empty()).then_some(&rest[lang..])
    });
    inner.unwrap_or(path)
}

/// The address behind the build's and its language.
fn below(uri: &Uri, build: &str) -> Option<Uri> {
    let address = uri.path_and_query()?.as_str().strip_prefix(PREFIX)?.strip_prefix(build)?;
    if !ASKED.iter().any(|start| address.starts_with(start)) {
        return None;
    }
    Some(Uri::from(address.parse::<PathAndQuery>().ok()?))
}

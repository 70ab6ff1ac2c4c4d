//! `GET /api/events`: the changes of one view, as server-sent events.
//!
//! Equal views are one [`channel::Channel`]: cut, compared and written once for all who follow it. A client holds its
//! place in the sequence and nothing else, so that slow ones cost nothing: they are skipped forward.

mod ask;
mod channel;
mod cut;
mod hub;
#[cfg(test)]
mod tests;

use axum::{
    body::Body,
    extract::{Extension, State},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use futures::StreamExt;

use super::{error::ApiResult, state::App};
use crate::{model::params::Params, words::Lang};

pub use hub::{Hub, Pace};

/// `GET /api/events`
pub async fn events(
    State(app): State<App>,
    lang: Option<Extension<Lang>>,
    headers: HeaderMap,
    params: Params,
) -> ApiResult<Response> {
    let lang = lang.map(|Extension(lang)| lang).unwrap_or_default();
    let asked = ask::read(&params, &headers, lang)?;
    let follower = app.events.follow(&asked, app.scope())?;
    let mut response =
        Response::new(Body::from_stream(follower.events().map(Ok::<_, std::convert::Infallible>)));
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would hold events back until its buffer is full.
    out.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

//! `GET /api/events`: the changes of one view, as server-sent events.
//!
//! Equal views share one [`channel::Channel`], which is cut, compared and written once for all followers. A
//! client holds only its position in the sequence and a piece of an event, so slow clients cost little: they
//! skip changes, and are disconnected if an event takes them too long ([`event::EventBuffer`]).

mod ask;
mod channel;
mod channels;
mod cut;
mod event;
mod follower;
mod hub;
mod room;
mod rounds;
mod size;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::{Extension, State},
    http::{HeaderMap, HeaderValue, Method, header},
    response::Response,
};
use futures::stream;

use super::{error::ApiResult, language::last_view, params::QueryParams, peer::Peer, sign_in::Viewer};
use i18n::Lang;

use ask::{Format, View};
use follower::Follower;
pub use hub::{Hub, Pace};
#[cfg(test)]
pub use {
    event::PIECE,
    hub::{BUFFERED_BYTES, CHANNEL_BYTES},
};

/// Handles `GET /api/events`. HEAD gets the same headers, and takes neither a permit nor a channel, since it
/// has no stream.
pub async fn events(
    State(hub): State<Arc<Hub>>,
    viewer: Viewer,
    method: Method,
    lang: Option<Extension<Lang>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    QueryParams(params): QueryParams,
) -> ApiResult<Response> {
    let lang = lang.map(|Extension(lang)| lang).unwrap_or_default();
    let mut query = ask::read(&params, &headers, lang)?;
    if let (View::List(list), Format::Postcard(_)) = (&mut query.view, query.format) {
        list.default_view = last_view(&headers);
    }
    let body = if method == Method::HEAD {
        // An empty stream, so that the answer has no length, as for GET.
        Body::from_stream(stream::empty::<Result<Bytes, Infallible>>())
    } else {
        let follower = Follower::new(hub, query, viewer, peer.map(|Extension(peer)| peer))?;
        Body::from_stream(follower.events())
    };
    let mut response = Response::new(body);
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Without this, nginx would hold events back until its buffer is full.
    out.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

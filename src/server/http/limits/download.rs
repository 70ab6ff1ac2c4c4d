//! Limits downloads. Each holds a permit until it is sent or dropped, however slowly it is read.
//! `http::router` adds this layer to the routes of downloads.
//!
//! Pieces are made ahead of the client. So what their viewer may see is compared when a piece leaves: a download ends
//! early, and so looks broken, if its viewer has lost a right since the request, or if the session has ended.

use std::{io, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use futures::stream;
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use super::{LONGEST_WAIT, PeerPermit, RETRY_AFTER, WorkLimits};
use crate::server::http::{
    error::{ApiError, ApiResult},
    peer::Peer,
    sign_in::Viewer,
};

/// Sends an answer in pieces once there is a permit for it. Fails with 503 if there is none within
/// `LONGEST_WAIT`.
pub async fn send_download(
    State(limits): State<Arc<WorkLimits>>,
    request: Request,
    next: Next,
) -> ApiResult<Response> {
    let peer = request.extensions().get::<Peer>().copied();
    let permit = limits.downloads.acquire_within(LONGEST_WAIT, peer).await;
    let permit = permit.ok_or(ApiError::Busy(RETRY_AFTER))?;
    let viewer = request.extensions().get().cloned();
    let answer = limits.render(request, async move |request| Ok(next.run(request).await)).await?;
    Ok(answer.map(|body| limits.send_pieces(body, viewer, permit)))
}

impl WorkLimits {
    /// Sends the body in pieces. They are written and compressed on the render threads, one piece ahead of
    /// the client.
    fn send_pieces(&self, body: Body, viewer: Option<Viewer>, permit: PeerPermit) -> Body {
        let (sender, pieces) = mpsc::channel(1);
        self.spawn(write_pieces(body, sender));
        let held = (pieces, viewer, permit);
        Body::from_stream(stream::try_unfold(held, async |(mut pieces, viewer, permit)| {
            // A download that ends early fails, so that it does not look complete.
            let early = || axum::Error::new(io::Error::other("the download ended early"));
            let Some(piece) = pieces.recv().await.unwrap_or_else(|| Err(early()))? else { return Ok(None) };
            match may_still_see(viewer.as_ref()).await {
                true => Ok(Some((piece, (pieces, viewer, permit)))),
                false => Err(early()),
            }
        }))
    }
}

/// Returns whether the viewer may see now what they might see at the request.
async fn may_still_see(viewer: Option<&Viewer>) -> bool {
    // Who was not let in gets an error, which shows nothing.
    let Some(viewer) = viewer else { return true };
    viewer.renewed().await.is_ok_and(|now| now.scope().covers(viewer.scope()))
}

/// Sends the pieces, then `None` for the end. Stops if the client is gone.
async fn write_pieces(mut body: Body, pieces: mpsc::Sender<Result<Option<Bytes>, axum::Error>>) {
    while let Some(frame) = body.frame().await {
        let piece = match frame.map(Frame::into_data) {
            Ok(Ok(piece)) => Ok(Some(piece)),
            // No answer of this program has trailers.
            Ok(Err(_)) => continue,
            Err(error) => Err(error),
        };
        if pieces.send(piece).await.is_err() {
            return;
        }
    }
    let _ = pieces.send(Ok(None)).await;
}

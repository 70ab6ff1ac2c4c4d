//! Limits downloads. Each holds a permit until it is sent or dropped, however slowly it is read.
//! `http::router` adds this layer to the routes of downloads.

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
    let answer = limits.render(request, async move |request| Ok(next.run(request).await)).await?;
    Ok(answer.map(|body| limits.send_pieces(body, permit)))
}

impl WorkLimits {
    /// Sends the body in pieces. They are written and compressed on the render threads, one piece ahead of
    /// the client.
    fn send_pieces(&self, body: Body, permit: PeerPermit) -> Body {
        let (sender, pieces) = mpsc::channel(1);
        self.spawn(write_pieces(body, sender));
        Body::from_stream(stream::try_unfold((pieces, permit), async |(mut pieces, permit)| {
            // A download that ends early fails, so that it does not look complete.
            let early = || Err(axum::Error::new(io::Error::other("the download ended early")));
            let piece = pieces.recv().await.unwrap_or_else(early)?;
            Ok::<_, axum::Error>(piece.map(|piece| (piece, (pieces, permit))))
        }))
    }
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

//! Limits downloads. Each holds a permit until it is sent or dropped. While others wait, one that is read too slowly
//! gives its permit to them.
//! `http::router` adds this layer to the routes of downloads.
//!
//! Pieces are made ahead of the client. So what their viewer may see is compared when a piece leaves: a download ends
//! early, and so looks broken, if its viewer has lost a right since the request, or if the session has ended.

use std::{
    io,
    sync::{Arc, Weak},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use futures::stream;
use http_body::Frame;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::{sync::mpsc, time::sleep};

use super::{LONGEST_WAIT, RETRY_AFTER, WorkLimits, waiting::WaitingDownloads};
use crate::server::http::{
    error::{ApiError, ApiResult},
    peer::Peer,
    semaphore::{PeerPermit, PermitError},
    sign_in::Viewer,
};

/// How long a reader may take for a piece, some 20 kB, while others wait. Shorter than they wait.
const PIECE_WITHIN: Duration = Duration::from_secs(1);

/// Sends an answer in pieces once there is a permit for it. Fails with 503 if there is none within
/// `LONGEST_WAIT`.
pub async fn send_download(
    State(limits): State<Arc<WorkLimits>>,
    request: Request,
    next: Next,
) -> ApiResult<Response> {
    let peer = request.extensions().get::<Peer>().copied();
    let permit = match limits.downloads.try_acquire(peer) {
        Ok(permit) => Some(permit),
        Err(exhausted) => {
            let _waits = (exhausted == PermitError::AllTaken).then(|| limits.waiting_downloads.begin());
            limits.downloads.acquire_within(LONGEST_WAIT, peer).await
        }
    };
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
        let permit = Arc::new(Mutex::new(Some(permit)));
        self.spawn(write_pieces(body, sender, Arc::downgrade(&permit), self.waiting_downloads.clone()));
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

/// Sends the pieces, then `None` for the end. Stops if the client is gone, or if its permit goes to another.
async fn write_pieces(
    mut body: Body,
    pieces: mpsc::Sender<Result<Option<Bytes>, axum::Error>>,
    permit: Weak<Mutex<Option<PeerPermit>>>,
    waiting: WaitingDownloads,
) {
    while let Some(frame) = body.frame().await {
        let piece = match frame.map(Frame::into_data) {
            Ok(Ok(piece)) => Ok(Some(piece)),
            // No answer of this program has trailers.
            Ok(Err(_)) => continue,
            Err(error) => Err(error),
        };
        let sent = pieces.send(piece);
        tokio::pin!(sent);
        loop {
            tokio::select! {
                biased;
                sent = &mut sent => match sent {
                    Ok(()) => break,
                    Err(_) => return,
                },
                () = sleep(PIECE_WITHIN) => if waiting.take_one() {
                    drop(permit.upgrade().and_then(|permit| permit.lock().take()));
                    return;
                },
            }
        }
    }
    let _ = pieces.send(Ok(None)).await;
}

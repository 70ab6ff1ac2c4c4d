//! An answer that is larger than one peer's share of its pool. It is held compressed, and unpacked piece by piece as
//! it is read: otherwise a few slow readers would hold more than the pool, or one of them would keep all others out.

use std::{
    io::{self, Cursor, Read},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Bytes;
use flate2::read::GzDecoder;
use futures::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use tokio::task::spawn_blocking;

use crate::server::http::encoding;

/// Bytes that are unpacked at once.
const PIECE: usize = 32 << 10;
/// What a reader takes besides the compressed bytes: the decoder with its window, its input, and a piece.
pub const UNPACKING: usize = 128 << 10;

/// Compresses an answer by gzip, once for all who are sent it. An extension of the response.
#[derive(Clone)]
pub struct SharedGzip(Arc<dyn Fn() -> BoxFuture<'static, Option<Bytes>> + Send + Sync>);

impl SharedGzip {
    pub fn new(compress: impl Fn() -> BoxFuture<'static, Option<Bytes>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(compress))
    }
}

/// Returns the bytes compressed by gzip. `None` if that panicked.
pub async fn pack(bytes: Bytes, shared: Option<SharedGzip>) -> Option<Bytes> {
    match shared {
        Some(SharedGzip(compress)) => compress().await,
        None => spawn_blocking(move || encoding::gzip(&bytes)).await.ok(),
    }
}

/// The body of an answer that is held compressed.
pub struct UnpackedBody {
    decoder: GzDecoder<Cursor<Bytes>>,
    left: usize,
}

impl UnpackedBody {
    /// The body of `length` bytes that [`pack`] compressed.
    pub fn new(packed: Bytes, length: usize) -> Self {
        Self { decoder: GzDecoder::new(Cursor::new(packed)), left: length }
    }
}

impl Body for UnpackedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut piece = vec![0; PIECE.min(self.left)];
        self.left -= piece.len();
        let read = self.decoder.read_exact(&mut piece);
        Poll::Ready(Some(read.map(|()| Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

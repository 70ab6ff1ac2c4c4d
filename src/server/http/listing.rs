//! `GET /api/vms`: the list is serialized once per snapshot, and compressed once if a client wants it
//! compressed. `rest::vms` calls it.

use std::{
    collections::HashMap,
    io::Write,
    sync::{Arc, OnceLock},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use parking_lot::Mutex;
use tokio::task::spawn_blocking;

use super::json;
use crate::server::http::{
    encoding::{self, Encoding},
    error::{ApiError, ApiResult},
    etag,
};
use wukong_core::{Scope, Visible};

/// A value that is computed once on a blocking thread, even if all waiting clients leave; `None` if that
/// panicked.
type Once<T> = Shared<BoxFuture<'static, Option<T>>>;

/// Level 4 of brotli and of gzip compress about as fast as the list is serialized.
const BROTLI_LEVEL: u32 = 4;
const BROTLI_WINDOW: u32 = 22;
const BUFFER: usize = 1 << 16;
const GZIP_LEVEL: flate2::Compression = flate2::Compression::new(4);

/// The newest listing of each scope. Nothing expires: a newer snapshot replaces its listing, and the previous one is
/// compared with it first, which a cache such as moka does not offer. The work goes on if its first client leaves.
#[derive(Default)]
pub struct Listings {
    newest: Mutex<HashMap<Scope, Entry>>,
}

struct Entry {
    seq: u64,
    listing: Once<Arc<Listing>>,
}

impl Listings {
    /// Returns the listing of this snapshot, or of a newer one that another client asked for meanwhile.
    /// Fails if making it panicked.
    pub async fn of(&self, visible: Visible) -> ApiResult<Arc<Listing>> {
        self.entry(visible).await.ok_or(ApiError::Internal)
    }

    fn entry(&self, visible: Visible) -> Once<Arc<Listing>> {
        let mut newest = self.newest.lock();
        let known = newest.get(visible.scope());
        if let Some(entry) = known.filter(|entry| entry.seq >= visible.seq()) {
            return entry.listing.clone();
        }
        let before = known.and_then(|entry| entry.listing.peek().cloned().flatten());
        let (seq, scope) = (visible.seq(), visible.scope().clone());
        let listing = once(move || Listing::new(&visible, before));
        newest.insert(scope, Entry { seq, listing: listing.clone() });
        listing
    }
}

/// All VMs as JSON, plain and compressed.
pub struct Listing {
    etag: HeaderValue,
    plain: Bytes,
    brotli: OnceLock<Once<Bytes>>,
    gzip: OnceLock<Once<Bytes>>,
}

impl Listing {
    /// Makes a listing, or returns the previous one if it is equal, so that its compressed bytes are kept.
    fn new(visible: &Visible, before: Option<Arc<Self>>) -> Arc<Self> {
        let size = before.as_ref().map_or(0, |listing| listing.plain.len());
        let plain = json::vms(visible, size);
        if let Some(before) = before.filter(|listing| listing.plain == plain) {
            return before;
        }
        Arc::new(Self {
            etag: etag::of_scope(visible.scope(), &plain),
            plain: plain.into(),
            brotli: OnceLock::new(),
            gzip: OnceLock::new(),
        })
    }

    /// Answers one request: 304 if the client has the listing already, else the bytes in the coding that it
    /// prefers.
    pub async fn respond(&self, headers: &HeaderMap) -> ApiResult<Response> {
        if etag::matches(headers, &self.etag) {
            return Ok(self.response(StatusCode::NOT_MODIFIED, Encoding::Identity, Bytes::new()));
        }
        let encoding = encoding::negotiate(headers);
        let body = self.bytes(encoding).await.ok_or(ApiError::Internal)?;
        Ok(self.response(StatusCode::OK, encoding, body))
    }

    async fn bytes(&self, encoding: Encoding) -> Option<Bytes> {
        let plain = self.plain.clone();
        match encoding {
            Encoding::Identity => Some(plain),
            Encoding::Brotli => self.brotli.get_or_init(|| once(move || brotli(&plain))).clone().await,
            Encoding::Gzip => self.gzip.get_or_init(|| once(move || gzip(&plain))).clone().await,
        }
    }

    /// Returns the bytes compressed by gzip, for a client that takes them plain, but cannot be sent all of them at
    /// once.
    pub async fn gzip(self: Arc<Self>) -> Option<Bytes> {
        self.bytes(Encoding::Gzip).await
    }

    fn response(&self, status: StatusCode, encoding: Encoding, body: Bytes) -> Response {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding, cookie, authorization"));
        headers.insert(header::ETAG, self.etag.clone());
        if let Some(coding) = encoding.header() {
            headers.insert(header::CONTENT_ENCODING, coding);
        }
        response
    }
}

fn once<T: Clone + Send + Sync + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Once<T> {
    spawn_blocking(work).map(Result::ok).boxed().shared()
}

fn brotli(plain: &[u8]) -> Bytes {
    let mut writer = brotli::CompressorWriter::new(Vec::new(), BUFFER, BROTLI_LEVEL, BROTLI_WINDOW);
    // A Vec takes every write.
    let _ = writer.write_all(plain);
    writer.into_inner().into()
}

fn gzip(plain: &[u8]) -> Bytes {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), GZIP_LEVEL);
    // A Vec takes every write.
    let _ = writer.write_all(plain);
    writer.finish().unwrap_or_default().into()
}

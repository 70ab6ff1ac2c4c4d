//! `GET /api/vms`: the list is serialized once per snapshot, and compressed once if a client wants it
//! compressed. What a query selects of it is serialized for each request. `rest::vms` calls it.

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
use tokio::{sync::Mutex as AsyncMutex, task::spawn_blocking};

use super::json;
use crate::server::http::{
    encoding::{self, Encoding},
    error::{ApiError, ApiResult},
    etag,
    limits::LIST_BYTES,
    reader::Reader,
};
use model::query::Query;
use wukong_core::{Scope, Visible, select::Selection};

/// A value that is computed once on a blocking thread, even if all waiting clients leave; `None` if that
/// panicked.
type Once<T> = Shared<BoxFuture<'static, Option<T>>>;

/// Level 4 of brotli compresses about as fast as the list is serialized.
const BROTLI_LEVEL: u32 = 4;
const BROTLI_WINDOW: u32 = 22;
const BUFFER: usize = 1 << 16;

/// Most bytes of one listing. Longer ones are only downloaded, which is done in pieces: 10,000 VMs take 34 MB.
pub const LONGEST_LISTING: usize = 48 << 20;
/// Most bytes of a listing that a query selects. It is made for one request and shared by nobody: this many bytes are
/// one peer's share of the pool of lists, so that it is never compressed only to be held.
pub const LONGEST_SELECTION: usize = LIST_BYTES / 2;
/// Most bytes of all listings. The one that was used last is kept even if it alone is larger.
pub const LISTING_BYTES: usize = 32 << 20;

const TOO_LONG: ApiError =
    ApiError::Unavailable("the list is too long to be sent at once: download /api/vms.json");

/// The newest listing of each scope, those that were used last within [`LISTING_BYTES`]. (A cache such as moka keeps
/// no entry that is larger than the cache, and nobody could then share the largest listing while it is made.)
pub struct Listings {
    reader: Reader,
    bytes: usize,
    longest: usize,
    /// Held while a listing is made: one at a time takes its bytes beside those of [`Self::slots`].
    making: Arc<AsyncMutex<()>>,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    of: HashMap<Scope, Slot>,
    /// Counts uses.
    clock: u64,
}

struct Slot {
    newest: Arc<Newest>,
    used: u64,
}

/// The newest listing of a scope, `None` if it is too long, and the number of its snapshot. It is locked while
/// a newer one is made, so that
/// there is one under way for each scope.
type Newest = AsyncMutex<Option<(u64, Option<Arc<Listing>>)>>;

impl Listings {
    pub fn new(reader: Reader) -> Self {
        Self::with_bytes(reader, LISTING_BYTES)
    }

    /// Returns listings that take at most this many bytes.
    pub fn with_bytes(reader: Reader, bytes: usize) -> Self {
        Self { reader, bytes, longest: LONGEST_LISTING, making: Arc::default(), slots: Mutex::default() }
    }

    /// Returns listings, each of at most this many bytes.
    #[cfg(test)]
    pub fn up_to(reader: Reader, longest: usize) -> Self {
        Self { longest, ..Self::new(reader) }
    }

    /// Returns the listing of the newest snapshot. Fails if it is too long, or if making it panicked.
    pub async fn listing_for(&self, scope: &Scope) -> ApiResult<Arc<Listing>> {
        let listing = self.newest(scope).await.ok_or(ApiError::Internal);
        self.trim();
        listing?.ok_or(TOO_LONG)
    }

    /// Returns a listing of the VMs that the query selects, in its order. It is not kept. Fails if it is too long, or if
    /// making it panicked.
    pub async fn selected(&self, scope: &Scope, query: Query) -> ApiResult<Arc<Listing>> {
        let (reader, scope, longest) =
            (self.reader.clone(), scope.clone(), self.longest.min(LONGEST_SELECTION));
        let making = self.making.clone().lock_owned().await;
        let made = spawn_blocking(move || {
            let _making = making;
            let visible = reader.visible(&scope);
            let mut selection = Selection::of(&visible, &query);
            selection.sort(&query);
            Some(Arc::new(Listing::of(&scope, json::vms(selection.vms, 0, longest)?)))
        });
        made.await.map_err(|_| ApiError::Internal)?.ok_or(TOO_LONG)
    }

    /// Returns the newest listing, `Some(None)` if it is too long.
    async fn newest(&self, scope: &Scope) -> Option<Option<Arc<Listing>>> {
        let wanted = self.reader.seq();
        let mut newest = self.slot(scope).lock_owned().await;
        if let Some((_, listing)) = newest.as_ref().filter(|(seq, _)| *seq >= wanted) {
            return Some(listing.clone());
        }
        let (reader, scope, longest) = (self.reader.clone(), scope.clone(), self.longest);
        let making = self.making.clone().lock_owned().await;
        // The work goes on, and stays the only one, if its client leaves.
        let made = spawn_blocking(move || {
            let _making = making;
            let visible = reader.visible(&scope);
            let before = newest.take().and_then(|(_, listing)| listing);
            let listing = Listing::new(&visible, before, longest);
            *newest = Some((visible.seq(), listing.clone()));
            listing
        });
        made.await.ok()
    }

    /// Returns the place of the scope's listing, which counts as used.
    fn slot(&self, scope: &Scope) -> Arc<Newest> {
        let slots = &mut *self.slots.lock();
        slots.clock += 1;
        if let Some(slot) = slots.of.get_mut(scope) {
            slot.used = slots.clock;
            return slot.newest.clone();
        }
        let newest = Arc::<Newest>::default();
        slots.of.insert(scope.clone(), Slot { newest: newest.clone(), used: slots.clock });
        newest
    }

    /// Forgets the listings that were not used for the longest time, while all take too many bytes.
    fn trim(&self) {
        let slots = &mut self.slots.lock().of;
        while slots.len() > 1 && bytes_of(slots) > self.bytes {
            // A slot that is locked has a listing under way, which is not to be made twice.
            let idle = slots.iter().filter(|(_, slot)| slot.newest.try_lock().is_ok());
            let oldest = idle.min_by_key(|(_, slot)| slot.used).map(|(scope, _)| scope.clone());
            let Some(oldest) = oldest else { return };
            slots.remove(&oldest);
        }
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        bytes_of(&self.slots.lock().of)
    }

    /// Returns the number of scopes that have a listing.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.slots.lock().of.len()
    }
}

/// Returns the bytes of all listings. One that is being made counts once it is there.
fn bytes_of(slots: &HashMap<Scope, Slot>) -> usize {
    let bytes = |(scope, slot): (&Scope, &Slot)| {
        let newest = slot.newest.try_lock().ok();
        let listing = newest.and_then(|newest| Some(newest.as_ref()?.1.as_ref()?.size()));
        scope.bytes() + size_of::<Slot>() + size_of::<Newest>() + listing.unwrap_or_default()
    };
    slots.iter().map(bytes).sum()
}

/// VMs as JSON, plain and compressed.
pub struct Listing {
    etag: HeaderValue,
    plain: Bytes,
    brotli: OnceLock<Once<Bytes>>,
    gzip: OnceLock<Once<Bytes>>,
}

impl Listing {
    /// Makes a listing, or returns the previous one if it is equal, so that its compressed bytes are kept. `None` if
    /// it is longer than `longest`.
    fn new(visible: &Visible, before: Option<Arc<Self>>, longest: usize) -> Option<Arc<Self>> {
        let size = before.as_ref().map_or(0, |listing| listing.plain.len());
        let plain = json::vms(visible.vms(), size, longest)?;
        if let Some(before) = before.filter(|listing| listing.plain == plain) {
            return Some(before);
        }
        Some(Arc::new(Self::of(visible.scope(), plain)))
    }

    /// Returns a listing of these bytes, which are what the scope may see.
    fn of(scope: &Scope, plain: Vec<u8>) -> Self {
        Self {
            etag: etag::of_scope(scope, &plain),
            plain: plain.into(),
            brotli: OnceLock::new(),
            gzip: OnceLock::new(),
        }
    }

    /// Returns the bytes that it takes. Compressed ones count once they are there.
    fn size(&self) -> usize {
        let compressed =
            [&self.brotli, &self.gzip].into_iter().filter_map(|once| once.get()?.peek()?.as_ref());
        self.plain.len() + compressed.map(Bytes::len).sum::<usize>()
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
            Encoding::Gzip => self.gzip.get_or_init(|| once(move || encoding::gzip(&plain))).clone().await,
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

//! Limits the bytes of answers that are whole in memory. An answer counts until its last byte is sent,
//! however slowly it is read. `http::router` adds these layers to lists and files.
//!
//! Without the limit, some hundred slow clients that each read the list of another snapshot would hold as
//! many lists.

use std::sync::Arc;

use super::{
    LONGEST_WAIT, RETRY_AFTER, UNIT, WorkLimits,
    paced::{PacedBody, Pieces},
    packed::{SharedGzip, UNPACKING, UnpackedBody, pack},
    render::collect,
};
use crate::server::http::{
    error::{ApiError, ApiResult},
    peer::Peer,
    semaphore::{PeerPermit, PeerSemaphore},
};
use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};

/// Answers up to this size are not counted: one for every connection takes 12 MiB, as much as
/// `ANSWER_BYTES`.
const SMALL: usize = 4 << 10;

/// Sends the list of all VMs once there is room for it. Fails with 503 if there is none within
/// `LONGEST_WAIT`.
pub async fn send_list(
    State(limits): State<Arc<WorkLimits>>,
    request: Request,
    next: Next,
) -> ApiResult<Response> {
    let peer = request.extensions().get::<Peer>().copied();
    let turn = limits.list_turns.acquire_within(LONGEST_WAIT, peer).await;
    let _turn = turn.ok_or(ApiError::Busy(RETRY_AFTER))?;
    let (head, body) = collect(next.run(request).await).await?;
    let shared = head.extensions.get().cloned();
    Ok(Response::from_parts(head, hold(&limits.lists, peer, body, shared).await?))
}

/// Sends a file once there is room for it. The program holds the file once, and the kernel a part of it for
/// each reader. Fails with 503 if there is none within `LONGEST_WAIT`.
pub async fn send_file(
    State(limits): State<Arc<WorkLimits>>,
    request: Request,
    next: Next,
) -> ApiResult<Response> {
    let peer = request.extensions().get::<Peer>().copied();
    let (head, body) = collect(next.run(request).await).await?;
    Ok(Response::from_parts(head, hold(&limits.files, peer, body, None).await?))
}

/// Returns a body of these bytes with a permit for what is held of them: all, or, if that is more than one peer may
/// have, the compressed bytes. Fails if even these are more.
async fn hold(
    pool: &Arc<PeerSemaphore>,
    peer: Option<Peer>,
    bytes: Bytes,
    shared: Option<SharedGzip>,
) -> ApiResult<Body> {
    let length = bytes.len();
    if length <= SMALL {
        return Ok(Body::from(bytes));
    }
    if length.div_ceil(UNIT) <= pool.share_size() {
        let pieces = Pieces::new(with_permit(pool, peer, bytes, 0).await?);
        return Ok(Body::new(PacedBody::new(pieces, pool)));
    }
    let packed = pack(bytes, shared).await.ok_or(ApiError::Internal)?;
    if (packed.len() + UNPACKING).div_ceil(UNIT) > pool.share_size() {
        return Err(ApiError::Unavailable("the answer is larger than what one client may be sent"));
    }
    let packed = with_permit(pool, peer, packed, UNPACKING).await?;
    Ok(Body::new(PacedBody::new(UnpackedBody::new(packed, length), pool)))
}

/// Returns the same bytes with a permit for them and for `beside` more.
async fn with_permit(
    pool: &Arc<PeerSemaphore>,
    peer: Option<Peer>,
    bytes: Bytes,
    beside: usize,
) -> ApiResult<Bytes> {
    let permits = (bytes.len() + beside).div_ceil(UNIT);
    let permit = pool.acquire_many_within(LONGEST_WAIT, peer, permits).await;
    let permit = permit.ok_or(ApiError::Busy(RETRY_AFTER))?;
    Ok(Bytes::from_owner(BytesWithPermit { bytes, _permit: permit }))
}

impl WorkLimits {
    /// Returns a body of these bytes with a permit from the pool of answers.
    pub(super) async fn hold_answer(&self, peer: Option<Peer>, bytes: Bytes) -> ApiResult<Body> {
        hold(&self.answers, peer, bytes, None).await
    }
}

/// Bytes with their permit. The permit belongs to the bytes and not to the body: hyper drops the body when
/// it has its last bytes, and keeps the bytes until they are sent.
struct BytesWithPermit {
    bytes: Bytes,
    _permit: PeerPermit,
}

impl AsRef<[u8]> for BytesWithPermit {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use axum::{Router, http::Method, middleware, routing::get};
    use futures::FutureExt;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    const SIZE: usize = 50 << 10;

    struct Rig {
        limits: Arc<WorkLimits>,
        router: Router,
    }

    /// Room for six answers of `/large`.
    fn rig() -> Rig {
        let limits = Arc::new(WorkLimits::new(1, 1, 6 * SIZE));
        let router = Router::new()
            .route("/large", get(async || vec![b'x'; SIZE]))
            .route("/huge", get(async || vec![b'x'; 20 * SIZE]))
            .route("/shared", get(shared))
            .route("/random", get(async || random(20 * SIZE)))
            .route("/small", get(async || vec![b'x'; SMALL]))
            .layer(middleware::from_fn_with_state(limits.clone(), send_list));
        let files = Router::new()
            .route("/file", get(async || vec![b'x'; SIZE]))
            .layer(middleware::from_fn_with_state(limits.clone(), send_file));
        let router = router.merge(files);
        Rig { limits, router }
    }

    impl Rig {
        async fn ask(&self, path: &str, last: u8) -> Response {
            let mut request = Request::get(path).body(Body::empty()).unwrap();
            request.extensions_mut().insert(Peer::new(IpAddr::from([203, 0, 113, last])));
            self.router.clone().oneshot(request).await.unwrap()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn unread_answers_are_limited() {
        let rig = rig();
        let mut unread = Vec::new();
        for (peer, want) in [(5, 200), (5, 200), (5, 200), (5, 503), (6, 200), (6, 200), (6, 200), (7, 503)] {
            let answer = rig.ask("/large", peer).await;
            assert_eq!(answer.status(), want, "{peer}");
            unread.push(answer);
        }
        assert_eq!(rig.ask("/small", 7).await.status(), 200);
        unread.remove(0);
        assert_eq!(rig.ask("/large", 7).await.status(), 200);
        drop(unread);
        assert_eq!(rig.limits.lists.held(), 0);
    }

    /// A reader that acknowledges nothing leaves a part of the file with the kernel.
    #[tokio::test(start_paused = true)]
    async fn unread_files_are_limited() {
        let rig = rig();
        let mut unread = Vec::new();
        for (peer, want) in [(5, 200), (5, 200), (5, 200), (5, 503), (6, 200)] {
            let answer = rig.ask("/file", peer).await;
            assert_eq!(answer.status(), want, "{peer}");
            unread.push(answer);
        }
        drop(unread);
        assert_eq!(rig.ask("/file", 5).await.status(), 200);
    }

    /// A request that waits for its peer's share holds its turn meanwhile.
    #[tokio::test(start_paused = true)]
    async fn a_peer_that_waits_for_its_share_blocks_no_other_peer() {
        let rig = rig();
        let mut unread = Vec::new();
        for _ in 0..3 {
            unread.push(rig.ask("/large", 5).await);
        }
        let begun = tokio::time::Instant::now();
        let other = async {
            tokio::task::yield_now().await;
            (rig.ask("/large", 6).await.status(), begun.elapsed())
        };
        let (waiting, more, (status, took)) = tokio::join!(rig.ask("/large", 5), rig.ask("/large", 5), other);
        assert_eq!((waiting.status().as_u16(), more.status().as_u16(), status.as_u16()), (503, 503, 200));
        assert!(took < LONGEST_WAIT, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_count_until_the_last_byte_is_sent() {
        let rig = rig();
        let body = rig.ask("/large", 5).await.into_body();
        let mut bytes = body.collect().await.unwrap().to_bytes();
        let rest = bytes.split_off(SIZE / 2);
        assert_eq!((bytes.len(), rest.len()), (SIZE / 2, SIZE / 2));
        drop(bytes);
        assert_eq!(rig.limits.lists.held(), SIZE / UNIT);
        drop(rest);
        assert_eq!(rig.limits.lists.held(), 0);
    }

    /// A list of 20 MB takes a core for 0.3 s.
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_many_are_sent_is_compressed_once() {
        let rig = rig();
        for peer in 5..8 {
            let shared = rig.ask("/shared", peer).await;
            assert_eq!(shared.status(), 200);
            let body = shared.into_body().collect().await.unwrap().to_bytes();
            assert!(body == vec![b'y'; 20 * SIZE], "what was compressed before is sent");
        }
    }

    /// An answer of `x`, with the same length of `y` as its compressed bytes, so that one can tell which is sent.
    async fn shared() -> Response {
        let mut response = Response::new(Body::from(vec![b'x'; 20 * SIZE]));
        let compress = || pack(vec![b'y'; 20 * SIZE].into(), None).boxed();
        response.extensions_mut().insert(SharedGzip::new(compress));
        response
    }

    /// Two readers of a list that is larger than the pool held twice its size.
    #[tokio::test(start_paused = true)]
    async fn an_answer_larger_than_a_share_is_held_compressed_and_read_whole() {
        let rig = rig();
        let mut unread = Vec::new();
        for (peer, want) in [(5, 200), (5, 503), (6, 200), (7, 503)] {
            let huge = rig.ask("/huge", peer).await;
            assert_eq!(huge.status(), want, "{peer}");
            unread.push(huge);
        }
        assert!(rig.limits.lists.held() >= 2 * UNPACKING / UNIT);
        let huge = unread.remove(0);
        assert_eq!(huge.headers()["content-length"], (20 * SIZE).to_string());
        let body = huge.into_body();
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(20 * SIZE as u64));
        assert!(body.collect().await.unwrap().to_bytes() == vec![b'x'; 20 * SIZE]);
        assert_eq!(rig.ask("/huge", 7).await.status(), 200, "what is read is free again");
        drop(unread);
        assert_eq!(rig.limits.lists.held(), 0);
    }

    /// 40 addresses that read a byte now and then held all lists for hours.
    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_gives_way_to_those_that_wait() {
        let rig = rig();
        let mut slow = rig.ask("/huge", 5).await.into_body();
        let mut other = rig.ask("/huge", 6).await.into_body();
        for body in [&mut slow, &mut other] {
            body.frame().await.unwrap().unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_secs(600)).await;
        slow.frame().await.unwrap().expect("nobody waits");
        assert_eq!(rig.ask("/huge", 7).await.status(), 503);
        assert!(slow.frame().await.unwrap().is_err() && other.frame().await.unwrap().is_err());
        drop((slow, other));
        let quick = rig.ask("/huge", 7).await;
        assert_eq!(rig.ask("/huge", 8).await.status(), 200);
        quick.into_body().collect().await.expect("a reader that keeps pace");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_fit_a_share_even_compressed_is_refused() {
        let rig = rig();
        assert_eq!(rig.ask("/random", 5).await.status(), 503);
        assert_eq!(rig.limits.lists.held(), 0);
    }

    fn random(bytes: usize) -> Vec<u8> {
        (0..bytes / 8).flat_map(|_| rand::random::<u64>().to_ne_bytes()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn slow_readers_of_lists_do_not_block_pages() {
        let rig = rig();
        let _lists = [rig.ask("/huge", 5).await, rig.ask("/huge", 6).await];
        assert_eq!(rig.ask("/huge", 7).await.status(), 503);
        let page = rig.limits.hold_answer(None, vec![b'x'; SIZE].into()).await;
        assert!(page.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn head_gets_the_length_and_holds_no_permit() {
        let rig = rig();
        let request = Request::builder().method(Method::HEAD).uri("/large").body(Body::empty()).unwrap();
        let answer = rig.router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.headers()["content-length"], SIZE.to_string());
        assert_eq!(rig.limits.lists.held(), 0);
    }
}

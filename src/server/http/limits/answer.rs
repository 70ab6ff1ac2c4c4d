//! Limits the bytes of answers that are whole in memory. An answer counts until its last byte is sent,
//! however slowly it is read. `http::router` adds these layers to lists and files.
//!
//! Without the limit, some hundred slow clients that each read the list of another snapshot would hold as
//! many lists.

use std::sync::Arc;

use super::{
    LONGEST_WAIT, RETRY_AFTER, UNIT, WorkLimits,
    counted::{CountedBody, Pieces},
    packed::{SharedGzip, UNPACKING, UnpackedBody, pack},
};
use crate::server::http::{
    connection::ConnectionEnd,
    error::{ApiError, ApiResult},
    peer::Peer,
    semaphore::{PeerPermit, PeerSemaphore},
};
use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::response::Parts,
    middleware::Next,
    response::Response,
};
use http_body_util::BodyExt;

/// Answers up to this size are not counted: one for every connection takes 12 MiB, as much as
/// `ANSWER_BYTES`.
const SMALL: usize = 4 << 10;

/// Who receives an answer.
pub struct Recipient {
    peer: Option<Peer>,
    connection: Option<ConnectionEnd>,
}

/// An answer that is whole in memory, before there is room for it.
pub struct WholeAnswer {
    bytes: Bytes,
    /// Its length, if the bytes are compressed until they are read.
    unpacked: Option<usize>,
}

/// Sends the list of all VMs once there is room for it. Fails with 503 if there is none within
/// `LONGEST_WAIT`.
pub async fn send_list(
    State(limits): State<Arc<WorkLimits>>,
    request: Request,
    next: Next,
) -> ApiResult<Response> {
    let recipient = Recipient::of(&request);
    let turn = limits.list_turns.acquire_within(LONGEST_WAIT, recipient.peer).await;
    let turn = turn.ok_or(ApiError::Busy(RETRY_AFTER))?;
    let (head, body) = collect(next.run(request).await).await?;
    let shared = head.extensions.get().cloned();
    let answer = WholeAnswer::new(&limits.lists, body, shared).await?;
    // The room that it waits for is that of other clients, who may wait for a turn.
    drop(turn);
    Ok(Response::from_parts(head, answer.send(&limits.lists, recipient).await?))
}

/// Sends a file once there is room for it. The program holds the file once, and the kernel a part of it for
/// each reader. Fails with 503 if there is none within `LONGEST_WAIT`.
pub async fn send_file(
    State(limits): State<Arc<WorkLimits>>,
    request: Request,
    next: Next,
) -> ApiResult<Response> {
    let recipient = Recipient::of(&request);
    let (head, body) = collect(next.run(request).await).await?;
    let answer = WholeAnswer::new(&limits.files, body, None).await?;
    Ok(Response::from_parts(head, answer.send(&limits.files, recipient).await?))
}

/// Returns the head of an answer and all bytes of its body.
pub async fn collect(answer: Response) -> ApiResult<(Parts, Bytes)> {
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(|_| ApiError::Internal)?;
    Ok((head, body.to_bytes()))
}

impl Recipient {
    /// Returns who sent a request.
    pub fn of(request: &Request) -> Self {
        let extensions = request.extensions();
        Self { peer: extensions.get().copied(), connection: extensions.get().cloned() }
    }
}

impl WholeAnswer {
    /// Makes an answer of these bytes. If they are more than one peer may have of the pool, they are compressed. Fails if
    /// even the compressed bytes are more.
    pub async fn new(pool: &PeerSemaphore, bytes: Bytes, shared: Option<SharedGzip>) -> ApiResult<Self> {
        let length = bytes.len();
        if length.div_ceil(UNIT) <= pool.share_size() {
            return Ok(Self { bytes, unpacked: None });
        }
        let packed = pack(bytes, shared).await.ok_or(ApiError::Internal)?;
        let answer = Self { bytes: packed, unpacked: Some(length) };
        if answer.permits() > pool.share_size() {
            return Err(ApiError::Unavailable("the answer is larger than what one client may be sent"));
        }
        Ok(answer)
    }

    /// Returns the permits for what is held of it.
    fn permits(&self) -> usize {
        (self.bytes.len() + self.unpacked.map_or(0, |_| UNPACKING)).div_ceil(UNIT)
    }

    /// Returns the body once there is room for it in the pool. Fails with 503 if there is none within `LONGEST_WAIT`. A
    /// caller that holds a permit which others wait for must release it before.
    pub async fn send(self, pool: &Arc<PeerSemaphore>, recipient: Recipient) -> ApiResult<Body> {
        if self.bytes.len() <= SMALL && self.unpacked.is_none() {
            return Ok(Body::from(self.bytes));
        }
        let permit = pool.acquire_many_within(LONGEST_WAIT, recipient.peer, self.permits()).await;
        let mut permit = permit.ok_or(ApiError::Busy(RETRY_AFTER))?;
        let read = recipient.connection.map(|ConnectionEnd(end)| permit.send_on(end)).unwrap_or_default();
        let bytes = Bytes::from_owner(BytesWithPermit { bytes: self.bytes, _permit: permit });
        Ok(match self.unpacked {
            None => Body::new(CountedBody::new(Pieces::new(bytes), read)),
            Some(length) => Body::new(CountedBody::new(UnpackedBody::new(bytes, length), read)),
        })
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
    use tokio::{task::JoinHandle, time::Instant};
    use tokio_util::sync::CancellationToken;
    use tower::ServiceExt;

    use super::*;

    const SIZE: usize = 50 << 10;

    struct LimitedServer {
        limits: Arc<WorkLimits>,
        router: Router,
    }

    /// Room for six answers of `/large`.
    fn limited_server() -> LimitedServer {
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
        LimitedServer { limits, router }
    }

    impl LimitedServer {
        async fn ask(&self, path: &str, last: u8) -> Response {
            let mut request = Request::get(path).body(Body::empty()).unwrap();
            request.extensions_mut().insert(Peer::new(IpAddr::from([203, 0, 113, last])));
            self.router.clone().oneshot(request).await.unwrap()
        }

        /// Asks on a connection that reads nothing of its answer. The task is finished when the connection was ended.
        async fn ask_unread(&self, path: &str, last: u8) -> JoinHandle<()> {
            let end = CancellationToken::new();
            let mut request = Request::get(path).body(Body::empty()).unwrap();
            request.extensions_mut().insert(Peer::new(IpAddr::from([203, 0, 113, last])));
            request.extensions_mut().insert(ConnectionEnd(end.clone()));
            let answer = self.router.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), 200, "{last}");
            tokio::spawn(async move {
                end.cancelled().await;
                drop(answer);
            })
        }
    }

    fn ended(connections: &[JoinHandle<()>]) -> usize {
        connections.iter().filter(|connection| connection.is_finished()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn unread_answers_are_limited() {
        let server = limited_server();
        let mut unread = Vec::new();
        for (peer, want) in [(5, 200), (5, 200), (5, 200), (5, 503), (6, 200), (6, 200), (6, 200), (7, 503)] {
            let answer = server.ask("/large", peer).await;
            assert_eq!(answer.status(), want, "{peer}");
            unread.push(answer);
        }
        assert_eq!(server.ask("/small", 7).await.status(), 200);
        unread.remove(0);
        assert_eq!(server.ask("/large", 7).await.status(), 200);
        drop(unread);
        assert_eq!(server.limits.lists.held(), 0);
    }

    /// A reader that acknowledges nothing leaves a part of the file with the kernel.
    #[tokio::test(start_paused = true)]
    async fn unread_files_are_limited() {
        let server = limited_server();
        let mut unread = Vec::new();
        for (peer, want) in [(5, 200), (5, 200), (5, 200), (5, 503), (6, 200)] {
            let answer = server.ask("/file", peer).await;
            assert_eq!(answer.status(), want, "{peer}");
            unread.push(answer);
        }
        drop(unread);
        assert_eq!(server.ask("/file", 5).await.status(), 200);
    }

    /// A list that waits for its peer's share holds no turn.
    #[tokio::test(start_paused = true)]
    async fn peers_that_wait_for_their_shares_do_not_delay_others() {
        let server = limited_server();
        let mut unread = Vec::new();
        for peer in [5, 5, 5, 6, 6] {
            unread.push(server.ask("/large", peer).await);
        }
        let begun = Instant::now();
        let others = async {
            tokio::task::yield_now().await;
            let small = server.ask("/small", 7).await.status();
            (small, server.ask("/large", 7).await.status(), begun.elapsed())
        };
        let (own, more, theirs, (small, large, took)) =
            tokio::join!(server.ask("/large", 5), server.ask("/large", 5), server.ask("/huge", 6), others);
        assert_eq!([own.status(), more.status(), theirs.status()], [503; 3]);
        assert_eq!([small, large], [200; 2]);
        assert!(took < LONGEST_WAIT / 10, "{took:?}");
    }

    /// Two addresses kept all room, all turns, and with them all lists.
    #[tokio::test(start_paused = true)]
    async fn two_slow_peers_give_way_to_a_third() {
        let server = limited_server();
        let mut slow = Vec::new();
        for n in 0..6 {
            slow.push(server.ask_unread("/large", 5 + n % 2).await);
        }
        tokio::time::sleep(LONGEST_WAIT).await;
        assert_eq!(ended(&slow), 0, "nobody waits");
        let crowd = (0..8).map(|n| server.ask("/large", 5 + n % 2));
        let begun = Instant::now();
        let third = async {
            tokio::task::yield_now().await;
            let first = server.ask("/large", 7).await;
            let took = begun.elapsed();
            (first, server.ask("/large", 7).await, took)
        };
        let (refused, (first, second, took)) = tokio::join!(futures::future::join_all(crowd), third);
        assert_eq!([first.status(), second.status()], [200; 2]);
        assert!(took < LONGEST_WAIT / 10, "{took:?}");
        assert!(refused.iter().all(|answer| answer.status() == 503));
        assert_eq!(ended(&slow), 2, "one of each");
        assert_eq!(server.ask("/large", 7).await.status(), 503, "equal shares are kept");
        assert_eq!(ended(&slow), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_count_until_the_last_byte_is_sent() {
        let server = limited_server();
        let body = server.ask("/large", 5).await.into_body();
        let mut bytes = body.collect().await.unwrap().to_bytes();
        let rest = bytes.split_off(SIZE / 2);
        assert_eq!((bytes.len(), rest.len()), (SIZE / 2, SIZE / 2));
        drop(bytes);
        assert_eq!(server.limits.lists.held(), SIZE / UNIT);
        drop(rest);
        assert_eq!(server.limits.lists.held(), 0);
    }

    /// A list of 20 MB takes a core for 0.3 s.
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_many_are_sent_is_compressed_once() {
        let server = limited_server();
        for peer in 5..8 {
            let shared = server.ask("/shared", peer).await;
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
        let server = limited_server();
        let mut unread = Vec::new();
        for (peer, want) in [(5, 200), (5, 503), (6, 200), (7, 503)] {
            let huge = server.ask("/huge", peer).await;
            assert_eq!(huge.status(), want, "{peer}");
            unread.push(huge);
        }
        assert!(server.limits.lists.held() >= 2 * UNPACKING / UNIT);
        let huge = unread.remove(0);
        assert_eq!(huge.headers()["content-length"], (20 * SIZE).to_string());
        let body = huge.into_body();
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(20 * SIZE as u64));
        assert!(body.collect().await.unwrap().to_bytes() == vec![b'x'; 20 * SIZE]);
        assert_eq!(server.ask("/huge", 7).await.status(), 200, "what is read is free again");
        drop(unread);
        assert_eq!(server.limits.lists.held(), 0);
    }

    /// 40 addresses that read a byte now and then held all lists for hours.
    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_gives_way_to_those_that_wait() {
        let server = limited_server();
        let slow = [server.ask_unread("/huge", 5).await, server.ask_unread("/huge", 6).await];
        tokio::time::sleep(std::time::Duration::from_secs(600)).await;
        assert_eq!(ended(&slow), 0, "nobody waits");
        let quick = server.ask("/huge", 7).await;
        assert_eq!((quick.status().as_u16(), ended(&slow)), (200, 1));
        quick.into_body().collect().await.expect("a whole answer");
    }

    #[tokio::test(start_paused = true)]
    async fn read_bytes_are_counted_piece_by_piece() {
        let read = Arc::default();
        let mut body = CountedBody::new(Pieces::new(vec![b'x'; 150 << 10].into()), Arc::clone(&read));
        for want in [0, 64 << 10, 128 << 10, 150 << 10] {
            let _piece = body.frame().await;
            assert_eq!(read.load(std::sync::atomic::Ordering::Relaxed), want);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_fit_a_share_even_compressed_is_refused() {
        let server = limited_server();
        assert_eq!(server.ask("/random", 5).await.status(), 503);
        assert_eq!(server.limits.lists.held(), 0);
    }

    fn random(bytes: usize) -> Vec<u8> {
        (0..bytes / 8).flat_map(|_| rand::random::<u64>().to_ne_bytes()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn slow_readers_of_lists_do_not_block_pages() {
        let server = limited_server();
        let _lists = [server.ask("/huge", 5).await, server.ask("/huge", 6).await];
        assert_eq!(server.ask("/huge", 7).await.status(), 503);
        let pool = &server.limits.answers;
        let page = WholeAnswer::new(pool, vec![b'x'; SIZE].into(), None).await.unwrap();
        assert!(page.send(pool, Recipient { peer: None, connection: None }).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn head_gets_the_length_and_holds_no_permit() {
        let server = limited_server();
        let request = Request::builder().method(Method::HEAD).uri("/large").body(Body::empty()).unwrap();
        let answer = server.router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.headers()["content-length"], SIZE.to_string());
        assert_eq!(server.limits.lists.held(), 0);
    }
}

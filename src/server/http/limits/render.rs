//! Computes answers under a permit, which is released while the answer waits for another task.
//! `http::router` and `pages` add it as a layer.
//!
//! The work runs on threads of its own, as many as cores: a thread that computes does not poll sockets.

use std::{panic::resume_unwind, sync::Arc};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use parking_lot::Mutex;
use tokio::time::timeout;
use tracing::Instrument;

use super::{
    ANSWER_TIMEOUT, LONGEST_WAIT, RETRY_AFTER, WorkLimits,
    answer::{Recipient, WholeAnswer, collect},
};
use crate::server::http::{
    error::{ApiError, ApiResult},
    peer::Peer,
    semaphore::{PeerPermit, PeerSemaphore},
};

/// Computes an answer once there is a permit for it, and sends it once there is room for it. The answer is
/// completed first: a page is whole anyway, and compressed it takes a tenth of the room. Fails with 503 if
/// there is no permit within `LONGEST_WAIT`, or no answer within `ANSWER_TIMEOUT`.
pub async fn render_answer(
    State(limits): State<Arc<WorkLimits>>,
    request: Request,
    next: Next,
) -> ApiResult<Response> {
    let recipient = Recipient::of(&request);
    let pool = limits.answers.clone();
    let compute = async move |request| {
        let (head, body) = collect(next.run(request).await).await?;
        Ok((head, WholeAnswer::new(&pool, body, None).await?))
    };
    let (head, answer) = limits.render(request, compute).await?;
    // The permit is released by now: the room that the answer waits for is that of other clients.
    Ok(Response::from_parts(head, answer.send(&limits.answers, recipient).await?))
}

impl WorkLimits {
    /// Runs `work` under a permit. It runs to its end even if the client leaves: Leptos continues what it
    /// has begun anyway, and that work would then have no permit.
    pub(super) async fn render<T, F>(
        &self,
        mut request: Request,
        work: impl FnOnce(Request) -> F,
    ) -> ApiResult<T>
    where
        T: Send + 'static,
        F: Future<Output = ApiResult<T>> + Send + 'static,
    {
        let peer = request.extensions().get::<Peer>().copied();
        let semaphore = self.renders.clone();
        let permit = semaphore.acquire_within(LONGEST_WAIT, peer).await.ok_or(ApiError::Busy(RETRY_AFTER))?;
        let guard = PermitGuard(RenderPermit { semaphore, peer, permit: Arc::new(Mutex::new(Some(permit))) });
        request.extensions_mut().insert(guard.0.clone());
        let work = work(request);
        let rendering = async move {
            let _guard = guard;
            timeout(ANSWER_TIMEOUT, work).await
        };
        match self.spawn(rendering.in_current_span()).await {
            Ok(rendered) => rendered.map_err(|_| ApiError::Unavailable("no answer was ready in time"))?,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            // The program is stopping.
            Err(_) => Err(ApiError::Internal),
        }
    }
}

/// The permit under which a request is computed, for code that must wait meanwhile.
#[derive(Clone)]
pub struct RenderPermit {
    semaphore: Arc<PeerSemaphore>,
    peer: Option<Peer>,
    permit: Arc<Mutex<Option<PeerPermit>>>,
}

impl RenderPermit {
    /// Waits without the permit, which another request can use meanwhile. Takes a permit again before it
    /// returns.
    pub async fn release_during<T>(&self, waiting: impl Future<Output = T>) -> T {
        self.put(None);
        let result = waiting.await;
        self.put(self.semaphore.acquire(self.peer).await);
        result
    }

    fn put(&self, permit: Option<PeerPermit>) {
        *self.permit.lock() = permit;
    }
}

/// Releases the permit with the answer, even if a Leptos context still holds a clone.
struct PermitGuard(RenderPermit);

impl Drop for PermitGuard {
    fn drop(&mut self) {
        self.0.put(None);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{Router, body::Body, extract::Extension, http::StatusCode, middleware, routing::get};
    use tokio::sync::Notify;
    use tower::ServiceExt;

    use super::*;
    use crate::server::http::limits::RenderThreads;

    /// `/work` computes until `done` is notified; `/wait` waits for `told` without its permit.
    struct LimitedServer {
        limits: Arc<WorkLimits>,
        router: Router,
        done: Arc<Notify>,
        release: Arc<Notify>,
    }

    /// Half of the room for answers.
    const PAGE: usize = 64 << 10;

    fn limited_server(renders: usize) -> LimitedServer {
        let limits = Arc::new(WorkLimits::new(renders, 1, 2 * PAGE));
        let (done, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let work = |done: Arc<Notify>| async move { done.notified().await };
        let wait = |permit: RenderPermit, release: Arc<Notify>| async move {
            permit.release_during(release.notified()).await;
        };
        let (work_done, wait_release) = (done.clone(), release.clone());
        let router = Router::new()
            .route("/work", get(move || work(work_done.clone())))
            .route("/wait", get(move |Extension(permit)| wait(permit, wait_release.clone())))
            .route("/page", get(async || vec![b'x'; PAGE]))
            .route("/bug", get(async || -> String { panic!("a bug") }))
            .layer(middleware::from_fn_with_state(limits.clone(), render_answer));
        LimitedServer { limits, router, done, release }
    }

    impl LimitedServer {
        fn ask(&self, path: &str, peer: &str) -> tokio::task::JoinHandle<StatusCode> {
            let mut request = Request::get(path).body(Body::empty()).unwrap();
            request.extensions_mut().insert(Peer::new(peer.parse().unwrap()));
            let router = self.router.clone();
            tokio::spawn(async move { router.oneshot(request).await.unwrap().status() })
        }

        fn held(&self) -> usize {
            self.limits.renders.held()
        }
    }

    /// Waits, on paused time, long enough for all tasks to get as far as they can.
    async fn settle() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_beyond_the_limit_waits_and_is_then_refused() {
        let server = limited_server(2);
        let first = server.ask("/work", "203.0.113.5");
        let second = server.ask("/work", "203.0.113.6");
        settle().await;
        assert_eq!(server.held(), 2);
        let begun = tokio::time::Instant::now();
        assert_eq!(server.ask("/work", "203.0.113.7").await.unwrap(), 503);
        assert!(begun.elapsed() < LONGEST_WAIT * 2);
        let third = server.ask("/work", "203.0.113.7");
        settle().await;
        server.done.notify_one();
        assert_eq!(first.await.unwrap(), 200);
        settle().await;
        server.done.notify_waiters();
        assert_eq!((second.await.unwrap(), third.await.unwrap()), (StatusCode::OK, StatusCode::OK));
        assert_eq!(server.held(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_peer_does_not_get_every_permit() {
        let server = limited_server(4);
        let _first = [(); 3].map(|()| server.ask("/work", "203.0.113.5"));
        settle().await;
        assert_eq!(server.held(), 2);
        let _other = server.ask("/work", "203.0.113.6");
        settle().await;
        assert_eq!(server.held(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_waits_for_another_task_holds_no_permit() {
        let server = limited_server(1);
        let waiting = [(); 3].map(|()| server.ask("/wait", "203.0.113.5"));
        settle().await;
        assert_eq!(server.held(), 0);
        let working = server.ask("/work", "203.0.113.6");
        settle().await;
        server.release.notify_waiters();
        settle().await;
        assert!(waiting.iter().all(|waiting| !waiting.is_finished()), "they go on when it is their turn");
        server.done.notify_one();
        assert_eq!(working.await.unwrap(), 200);
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), 200);
        }
        assert_eq!(server.held(), 0);
    }

    /// Two addresses that read slowly kept everybody from being answered at all.
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_waits_for_room_holds_no_permit() {
        let server = limited_server(2);
        let mut unread = Vec::new();
        for peer in ["203.0.113.5", "203.0.113.6"] {
            let mut request = Request::get("/page").body(Body::empty()).unwrap();
            request.extensions_mut().insert(Peer::new(peer.parse().unwrap()));
            unread.push(server.router.clone().oneshot(request).await.unwrap());
        }
        let waiting = ["203.0.113.5", "203.0.113.6"].map(|peer| server.ask("/page", peer));
        settle().await;
        assert_eq!(server.held(), 0);
        let small = server.ask("/work", "203.0.113.7");
        settle().await;
        server.done.notify_one();
        assert_eq!(small.await.unwrap(), 200);
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), 503, "its share is taken");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_leaves_does_not_free_the_permit_of_running_work() {
        let server = limited_server(1);
        let left = server.ask("/work", "203.0.113.5");
        settle().await;
        left.abort();
        settle().await;
        assert_eq!(server.held(), 1);
        server.done.notify_one();
        settle().await;
        assert_eq!(server.held(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_and_a_timeout_release_their_permits() {
        let server = limited_server(1);
        assert!(
            server.ask("/bug", "203.0.113.5").await.unwrap_err().is_panic(),
            "the layer above catches it"
        );
        assert_eq!(server.held(), 0);
        assert_eq!(server.ask("/work", "203.0.113.5").await.unwrap(), 503);
        assert_eq!(server.held(), 0);
    }

    #[tokio::test]
    async fn answers_are_computed_on_render_threads() {
        let threads = RenderThreads::start().unwrap();
        let limits = Arc::new(WorkLimits::new(4, 1, 1 << 20).on(&threads));
        let thread = async || std::thread::current().name().unwrap_or_default().to_owned();
        // Leptos spawns what a page waits for in the same way.
        let spawned = async move || tokio::spawn(thread()).await.unwrap();
        let router = Router::new()
            .route("/", get(thread))
            .route("/spawned", get(spawned))
            .layer(middleware::from_fn_with_state(limits, render_answer));
        for path in ["/", "/spawned"] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let (_, thread) = collect(router.clone().oneshot(request).await.unwrap()).await.unwrap();
            assert_eq!(thread, "render", "{path}");
        }
    }
}

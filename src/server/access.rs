//! What signed-in users may see: asks Kubernetes, as `core::access` decides, and tells the readers of each user when
//! the answer changes. `http::sign_in` makes one [`Rights`] for each request of a user.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::log::AUDIT;
use collector::{
    QueuedObservation,
    access::{ReviewRecord, Reviewer, TokenError},
    clock,
};
use model::{Millis, hidden::escape_hidden};
use wukong_core::{
    Scope, Snapshot,
    access::{AccessBook, AccessStatus, BindingHints, Decision, Review, UserInfo},
    observation::Observation,
};

/// Time between two looks at what has changed. An answer waits that long for its readers at most, but for the last one
/// of those that a first page waits for.
const TICK: Duration = Duration::from_millis(250);

/// Time between two reports of how reviews are answered.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// What the API server is asked. Tests answer themselves.
pub trait Reviews: Send + Sync {
    /// Returns whose token this is.
    fn review_token(&self, token: String) -> BoxFuture<'static, Result<UserInfo, TokenError>>;
    /// Returns whether a user may list something.
    fn review_access(&self, review: Review) -> BoxFuture<'static, Decision>;
}

impl Reviews for Reviewer {
    fn review_token(&self, token: String) -> BoxFuture<'static, Result<UserInfo, TokenError>> {
        let reviewer = self.clone();
        async move { Self::review_token(&reviewer, &token).await }.boxed()
    }

    fn review_access(&self, review: Review) -> BoxFuture<'static, Decision> {
        let reviewer = self.clone();
        async move { Self::review_access(&reviewer, &review).await }.boxed()
    }
}

/// The rights of all users who looked in the last minutes.
pub struct Access {
    started: Instant,
    inner: Mutex<Inner>,
    /// Wakes the task for a user who was not there before, or for a right that is needed now.
    newcomer: Notify,
    /// Wakes those who wait for such a right, with every answer.
    answered: Notify,
}

#[derive(Default)]
struct Inner {
    book: AccessBook,
    access_statuses: HashMap<Arc<UserInfo>, watch::Sender<AccessStatus>>,
    /// The snapshot whose namespaces the book knows.
    observed: Option<u64>,
}

/// What one user may see, now and later.
#[derive(Clone)]
pub struct Rights {
    access: Arc<Access>,
    user: Arc<UserInfo>,
    access_status: watch::Receiver<AccessStatus>,
}

impl Access {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            inner: Mutex::default(),
            newcomer: Notify::new(),
            answered: Notify::new(),
        })
    }

    /// Notes that the user looks, and returns their rights. Those of a new user are empty until Kubernetes
    /// has answered.
    pub fn watch_rights(self: &Arc<Self>, user: &Arc<UserInfo>) -> Rights {
        let now = self.now();
        let mut inner = self.inner.lock();
        let is_new = !inner.access_statuses.contains_key(user);
        inner.book.see(user, now);
        let known = inner.access_statuses.get(user).filter(|known| !has_ended(&known.borrow(), now));
        let access_status = match known {
            Some(known) => known.subscribe(),
            None => inner.publish(user, now),
        };
        drop(inner);
        if is_new {
            self.newcomer.notify_one();
        }
        Rights { access: self.clone(), user: user.clone(), access_status }
    }

    /// Asks reviews until `shutdown`.
    pub async fn run(
        self: Arc<Self>,
        reviews: Arc<dyn Reviews>,
        mut snapshots: watch::Receiver<Arc<Snapshot>>,
        mut hints: watch::Receiver<Option<BindingHints>>,
        shutdown: CancellationToken,
    ) {
        let mut asked: JoinSet<(Review, Decision)> = JoinSet::new();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.hint(hints.borrow_and_update().clone());
        loop {
            for review in self.next(&snapshots) {
                let answer = reviews.review_access(review.clone());
                asked.spawn(async move { (review, answer.await) });
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(answered) = asked.join_next() => match answered {
                    Ok((review, decision)) => {
                        self.inner.lock().take_answer(review, decision, self.now());
                        self.answered.notify_waiters();
                    }
                    // A review cannot be taken back from a task that panicked: nothing is known any more.
                    Err(error) => {
                        tracing::error!(%error, "an access review task panicked, asking for all rights again");
                        *self.inner.lock() = Inner::default();
                        self.hint(hints.borrow().clone());
                    }
                },
                Ok(()) = snapshots.changed() => drop(snapshots.borrow_and_update()),
                Ok(()) = hints.changed() => {
                    let hints = hints.borrow_and_update().clone();
                    self.hint(hints);
                }
                () = self.newcomer.notified() => {}
                _ = tick.tick() => self.inner.lock().publish_changed(self.now()),
            }
        }
    }

    /// Tells the writer of snapshots how reviews are answered, until `shutdown`.
    pub async fn report(
        self: Arc<Self>,
        record: ReviewRecord,
        observations: mpsc::Sender<QueuedObservation>,
        shutdown: CancellationToken,
    ) {
        let mut tick = interval(REPORT_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = tick.tick() => {}
            }
            let counts = self.inner.lock().book.counts(self.now());
            let facts = record.facts(counts, clock::steady());
            if last.as_ref() != Some(&facts) {
                last = Some(facts.clone());
                let sent = observations.send(Observation::AccessReviews(facts).into());
                if shutdown.run_until_cancelled(sent).await.is_none_or(|sent| sent.is_err()) {
                    return;
                }
            }
        }
    }

    fn hint(&self, hints: Option<BindingHints>) {
        self.inner.lock().book.hint(hints, self.now());
    }

    /// Returns the reviews to ask now.
    fn next(&self, snapshots: &watch::Receiver<Arc<Snapshot>>) -> Vec<Review> {
        let now = self.now();
        let mut inner = self.inner.lock();
        if inner.book.is_empty() {
            return Vec::new();
        }
        let snapshot = snapshots.borrow().clone();
        if inner.observed != Some(snapshot.seq) {
            inner.book.observe(&snapshot);
            inner.observed = Some(snapshot.seq);
        }
        inner.book.next(now)
    }

    fn now(&self) -> Millis {
        self.started.elapsed().as_millis() as Millis
    }
}

impl Inner {
    /// Takes over an answer. If it is the last one that the user's first page waits for, readers are told at once.
    fn take_answer(&mut self, review: Review, decision: Decision, now: Millis) {
        let user = review.user.clone();
        self.book.answered(review, decision, now);
        let is_waited_for =
            self.access_statuses.get(&user).is_some_and(|known| !known.borrow().is_complete());
        if is_waited_for && self.book.is_complete(&user, now) {
            self.publish(&user, now);
        }
    }

    /// Tells readers what has changed since the last tick. Not with each answer: each change of a scope costs its
    /// readers a whole view.
    fn publish_changed(&mut self, now: Millis) {
        for user in self.book.users_to_refresh(now) {
            self.publish(&user, now);
        }
    }

    /// Computes what the user may see, tells their readers, and returns a reader. A user who was forgotten may see
    /// nothing.
    fn publish(&mut self, user: &Arc<UserInfo>, now: Millis) -> watch::Receiver<AccessStatus> {
        let Some(access_status) = self.book.access_status(user, now) else {
            let nothing = AccessStatus {
                scope: Scope::none(),
                until: Some(now),
                is_late: false,
                checked: 0,
                places: 1,
            };
            let forgotten =
                self.access_statuses.remove(user).unwrap_or_else(|| watch::Sender::new(nothing.clone()));
            forgotten.send_replace(nothing);
            return forgotten.subscribe();
        };
        match self.access_statuses.get(user) {
            Some(known) => {
                known.send_if_modified(|last| {
                    if (&last.scope, last.is_late) != (&access_status.scope, access_status.is_late) {
                        let (namespaces, late) = (access_status.scope.namespaces(), access_status.is_late);
                        let user = &*escape_hidden(&user.name);
                        tracing::info!(target: AUDIT, event = "scope_changed", user, namespaces, late);
                    }
                    let is_new = *last != access_status;
                    *last = access_status;
                    is_new
                });
                known.subscribe()
            }
            None => {
                let (sender, receiver) = watch::channel(access_status);
                self.access_statuses.insert(user.clone(), sender);
                receiver
            }
        }
    }
}

/// Returns whether a right of the access status has ended by the clock.
fn has_ended(access_status: &AccessStatus, now: Millis) -> bool {
    access_status.until.is_some_and(|until| until <= now)
}

impl Rights {
    pub fn user(&self) -> &Arc<UserInfo> {
        &self.user
    }

    /// Returns what the user may see now.
    pub fn access_status(&self) -> AccessStatus {
        let access_status = self.access_status.borrow().clone();
        // A right ends by the clock, even if the task is late.
        if has_ended(&access_status, self.access.now()) {
            return self.access.watch_rights(&self.user).access_status.borrow().clone();
        }
        access_status
    }

    /// Returns the scope of now.
    pub fn scope(&self) -> Scope {
        self.access_status().scope
    }

    /// Returns whether the user may list the Events of a namespace. `None` if that is not known: Kubernetes is asked.
    pub fn may_list_events(&self, namespace: &str) -> Option<bool> {
        let now = self.access.now();
        let known = self.access.inner.lock().book.may_list_events(&self.user, namespace, now);
        if known.is_none() {
            self.access.newcomer.notify_one();
        }
        known
    }

    /// The same, once it is known; `None` if that is not so until `deadline`.
    pub async fn may_list_events_by(&self, namespace: &str, deadline: Instant) -> Option<bool> {
        loop {
            // Made before it is looked for, so that no answer is missed in between.
            let answered = self.access.answered.notified();
            if let Some(known) = self.may_list_events(namespace) {
                return Some(known);
            }
            tokio::time::timeout_at(deadline, answered).await.ok()?;
        }
    }

    /// Waits until the access status has changed.
    pub async fn changed(&mut self) {
        if self.access_status.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until every namespace was asked about, at most for `time`. Returns the access status of then.
    pub async fn complete_within(&mut self, time: Duration) -> AccessStatus {
        // The last access status is taken whether it is complete or not.
        let _ = tokio::time::timeout(time, self.access_status.wait_for(AccessStatus::is_complete)).await;
        self.access_status()
    }
}

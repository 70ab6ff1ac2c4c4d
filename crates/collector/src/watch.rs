//! One watched collection: list, then watch, relist when the watch has lost its place.

use std::{marker::PhantomData, pin::pin, sync::Arc, time::Duration};

use http::StatusCode;
use k8s_openapi::api::authorization::v1::ResourceAttributes;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, timeout};

use super::{
    Cluster,
    client::may,
    error::{Access, Failure, FollowError, Stage},
    kept_objects::Event,
    kinds::Kind,
    list_watch::ListWatch,
    poll::Backoff,
    transport::LastActivity,
};
use crate::config::CollectConfig;
use crate::{
    clock::steady,
    observation_sender::{Closed, ObservationSender},
};
use i18n::Render;
use model::Millis;
use wukong_core::observation::{Change, Observation};

/// Bytes on a watch are told of no more often than this.
const ALIVE_EVERY: Duration = Duration::from_secs(1);
/// A watch that has not failed for this long is well again.
const CALM: Duration = Duration::from_secs(10);
/// What is refused is asked for again after the first of these, then after twice that, up to the second: each of them
/// is a 403 in the audit log. A permission that is granted shows sooner, since the API server is asked for it.
const REFUSED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// For one answer to whether a permission is there.
const REVIEW: Duration = Duration::from_secs(5);
/// Objects that there was no room for are looked at again this often: others may have left.
const CROWDED: Duration = Duration::from_secs(300);

/// Follows a collection for ever, or until nobody listens.
pub async fn follow<K: Kind>(
    cluster: Cluster,
    namespace: Option<String>,
    config: CollectConfig,
    outlet: ObservationSender,
) -> Result<(), Closed> {
    let mut follower = Follower::<K>::new(&cluster, namespace, outlet);
    let mut source = ListWatch::<K>::new(&cluster, follower.access.clone(), &config);
    loop {
        let crowded = source.omissions().0.is_crowded();
        let next = match follower.attend(source.next(), crowded).await? {
            None => Next::Relist,
            Some(Ok(event)) => follower.take(event).await?,
            Some(Err(error)) => follower.failed(&error).await?,
        };
        follower.report_omissions(&mut source).await?;
        if next == Next::Relist {
            tracing::debug!(resource = K::PLURAL, namespace = follower.access.namespace, "listing again");
            source.relist();
        }
    }
}

struct Follower<K: Kind> {
    client: kube::Client,
    access: Access,
    outlet: ObservationSender,
    pulse: Arc<LastActivity>,
    /// The last byte that was told of.
    last_reported: Millis,
    ticks: Interval,
    backoff: Backoff,
    patience: Backoff,
    /// The API server said that it may, and refused all the same: its word is worth nothing until it does as it says.
    doubted: bool,
    /// The last failure, and how many there were in a row.
    failed_at: Option<Instant>,
    failures: u32,
    last_failure: Option<FailureKind>,
    listed_at: Instant,
    kind: PhantomData<K>,
}

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailureKind {
    /// No answer.
    Away,
    /// An answer that is an error.
    Refused,
    /// What is watched from is forgotten, as it is after the API server started anew.
    LostPlace,
}

/// What to do after an error.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    Relist,
}

impl<K: Kind> Follower<K> {
    fn new(cluster: &Cluster, namespace: Option<String>, outlet: ObservationSender) -> Self {
        let mut ticks = interval(ALIVE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            client: cluster.client.clone(),
            pulse: cluster.pulses.of(&K::path(namespace.as_deref())),
            access: Access { resource: K::resource(), namespace },
            outlet,
            last_reported: 0,
            ticks,
            backoff: Backoff::default(),
            patience: Backoff::between(REFUSED.0, REFUSED.1),
            doubted: false,
            failed_at: None,
            failures: 0,
            last_failure: None,
            listed_at: Instant::now(),
            kind: PhantomData,
        }
    }

    /// Waits for what happens next, and says meanwhile that the watch is alive. None: there was no room for some objects, and
    /// it is time to list again.
    async fn attend<T>(&mut self, next: impl Future<Output = T>, crowded: bool) -> Result<Option<T>, Closed> {
        let mut next = pin!(next);
        loop {
            tokio::select! {
                next = &mut next => return Ok(Some(next)),
                _ = self.ticks.tick() => self.tell_alive().await?,
            }
            if crowded && self.listed_at.elapsed() > CROWDED {
                return Ok(None);
            }
        }
    }

    async fn take(&mut self, event: Event<K::Facts>) -> Result<Next, Closed> {
        let at = steady();
        let change = match event {
            Event::Listed(items) => {
                self.listed_at = Instant::now();
                Change::Replaced { namespace: self.access.namespace.clone(), items, at }
            }
            Event::Applied(item) => Change::Applied { item, at },
            Event::Deleted(key) => Change::Deleted { key, at },
        };
        self.send(change).await?;
        Ok(Next::GoOn)
    }

    async fn report_omissions(&self, source: &mut ListWatch<K>) -> Result<(), Closed> {
        let (largest, (omissions, quota)) = (source.largest(), source.omissions());
        let scope = (K::SOURCE, self.access.namespace.as_deref());
        omissions.report(&self.outlet, scope, largest, quota).await
    }

    async fn failed(&mut self, error: &FollowError) -> Result<Next, Closed> {
        self.count_failure();
        let kind = FailureKind::of(error);
        let before = self.last_failure.replace(kind);
        match (before, kind) {
            // To have lost one's place is nothing wrong, and is recovered by the list that follows: unless it goes on.
            (before, FailureKind::LostPlace) if before != Some(FailureKind::LostPlace) => {
                return Ok(after(error));
            }
            // The server is back and its parts start up, authorisation and storage among them: that takes a second
            // or two, so the long waits of the outage are over.
            (Some(FailureKind::Away), FailureKind::Refused) => self.backoff.reset(),
            _ => {}
        }
        if kind != FailureKind::LostPlace || self.failures > 2 {
            let error = self.access.follow_error(error);
            tracing::debug!(resource = K::PLURAL, reason = ?error.reason, detail = error.detail.english(), "watch failed");
            self.last_reported = self.pulse.last();
            let namespace = self.access.namespace.clone();
            self.outlet.send(Observation::WatchFailed { source: K::SOURCE, namespace, error }).await?;
        }
        match denied(error).filter(|_| before == Some(FailureKind::Refused)) {
            Some(verb) => self.until_allowed(verb).await,
            None => sleep(self.backoff.wait()).await,
        }
        Ok(after(error))
    }

    /// Until the permission is there, as far as the API server tells, or until it is time to try all the same.
    async fn until_allowed(&mut self, verb: &str) {
        let until = Instant::now() + self.patience.wait();
        while Instant::now() < until {
            sleep(self.backoff.wait().min(until - Instant::now())).await;
            if !self.doubted && self.may(verb).await == Some(true) {
                self.doubted = true;
                break;
            }
        }
        // All this time is of the same failure.
        self.failed_at = Some(Instant::now());
    }

    /// None where there is no answer.
    async fn may(&self, verb: &str) -> Option<bool> {
        let attributes = ResourceAttributes {
            group: Some(K::GROUP.to_owned()),
            resource: Some(K::PLURAL.to_owned()),
            verb: Some(verb.to_owned()),
            namespace: self.access.namespace.clone(),
            ..ResourceAttributes::default()
        };
        timeout(REVIEW, may(&self.client, attributes)).await.ok()?.ok()
    }

    /// It is followed.
    fn note_bytes(&mut self) {
        self.patience.reset();
        self.doubted = false;
    }

    async fn tell_alive(&mut self) -> Result<(), Closed> {
        let at = self.pulse.last();
        if at <= self.last_reported {
            return Ok(());
        }
        self.last_reported = at;
        self.note_bytes();
        let namespace = self.access.namespace.clone();
        self.outlet.send(Observation::WatchAlive { source: K::SOURCE, namespace, at }).await
    }

    /// Failures are in a row while less than [`CALM`] lies between them: a list that succeeds before each watch
    /// that fails is no recovery, and must not be asked for in a hot loop.
    fn count_failure(&mut self) {
        if self.failed_at.is_none_or(|at| at.elapsed() > CALM) {
            self.backoff.reset();
            self.failures = 0;
            self.last_failure = None;
        }
        self.failed_at = Some(Instant::now());
        self.failures = self.failures.saturating_add(1);
    }

    async fn send(&self, change: Change<K::Facts>) -> Result<(), Closed> {
        self.outlet.send(K::observation(change)).await
    }
}

impl FailureKind {
    fn of(FollowError { failure, .. }: &FollowError) -> Self {
        match failure {
            Failure::Status { code: StatusCode::GONE, .. } => Self::LostPlace,
            Failure::Status { .. } => Self::Refused,
            _ => Self::Away,
        }
    }
}

/// The verb that is refused, for want of a permission.
fn denied(FollowError { stage, failure }: &FollowError) -> Option<&'static str> {
    let refused = matches!(failure, Failure::Status { code: StatusCode::FORBIDDEN, .. });
    (refused && *stage != Stage::Read).then_some(stage.verb())
}

/// A watch goes on from where it was, which is wrong where that place is gone: one that starts with 410 or 404 would be
/// tried for ever, and an event that could not be read would be missing for ever.
fn after(FollowError { stage, failure }: &FollowError) -> Next {
    match (stage, failure) {
        (Stage::List, _) => Next::GoOn,
        (Stage::Open, Failure::Status { code, .. }) => match code.as_u16() {
            403 | 429 | 500.. => Next::GoOn,
            _ => Next::Relist,
        },
        (_, Failure::Transport(_) | Failure::Late(_)) => Next::GoOn,
        _ => Next::Relist,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(stage: Stage, code: u16) -> FollowError {
        let code = StatusCode::from_u16(code).unwrap();
        FollowError { stage, failure: Failure::Status { code, retry_after: None } }
    }

    #[test]
    fn a_watch_that_lost_its_place_lists_anew() {
        for (code, next) in [
            (410, Next::Relist),
            (404, Next::Relist),
            (403, Next::GoOn),
            (429, Next::GoOn),
            (503, Next::GoOn),
        ] {
            assert_eq!(after(&status(Stage::Open, code)), next, "{code}");
            assert_eq!(after(&status(Stage::Read, code)), Next::Relist, "{code}");
        }
        let failed = |failure| after(&FollowError { stage: Stage::Read, failure });
        assert_eq!(failed(Failure::Undecodable), Next::Relist);
        assert_eq!(failed(Failure::Transport("gone".into())), Next::GoOn);
    }
}

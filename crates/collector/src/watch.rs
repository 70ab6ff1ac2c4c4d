//! Follows one watched collection and reports its changes: list, then watch, and list again when the watch lost
//! its place.

use std::{marker::PhantomData, pin::pin, sync::Arc, time::Duration};

use http::StatusCode;
use k8s_openapi::api::authorization::v1::ResourceAttributes;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, timeout};

use super::{
    Cluster,
    client::may,
    error::{Access, Failure, FollowError, Stage},
    kept_objects::Event,
    kinds::{Kind, ObservedKind},
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
use wukong_core::observation::{Change, Observation, SourceError};

/// The minimum time between two reports that a watch is alive.
const ALIVE_EVERY: Duration = Duration::from_secs(1);
/// A watch that has not failed for this long has recovered.
const CALM: Duration = Duration::from_secs(10);
/// The first and the longest wait before a refused request is tried again; the waits double in between. Each
/// try is a 403 in the audit log. A permission that is granted shows sooner, since the API server is asked
/// about it.
const REFUSED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// The deadline for asking whether a permission was granted.
const REVIEW: Duration = Duration::from_secs(5);
/// How often to list again while objects are over the quota: others may have been deleted.
const CROWDED: Duration = Duration::from_secs(300);

/// What is reported about a collection that is followed.
#[derive(Debug)]
pub enum Report<T> {
    Changed(Change<T>),
    /// Bytes arrived at this time, such as a bookmark, or the watch was opened. It ends a [`Self::Failed`]
    /// after which nothing was listed.
    Alive(Millis),
    Failed(SourceError),
    /// Which objects are not known, because there are more than are read or kept; empty once all are known.
    Omitted(Vec<SourceError>),
}

/// Takes the reports about collections of one kind.
pub trait Reporter<K: Kind>: Send + Sync {
    /// The name of the source in the log.
    fn source(&self) -> &'static str;

    /// Takes a report about the collection of one namespace, or of all. Waits while the receiver is busy;
    /// fails if nobody receives any more.
    fn report(
        &self,
        namespace: Option<&str>,
        report: Report<K::Facts>,
    ) -> impl Future<Output = Result<(), Closed>> + Send;
}

impl<K: ObservedKind> Reporter<K> for ObservationSender {
    fn source(&self) -> &'static str {
        K::SOURCE.code()
    }

    async fn report(&self, namespace: Option<&str>, report: Report<K::Facts>) -> Result<(), Closed> {
        let (source, namespace) = (K::SOURCE, namespace.map(str::to_owned));
        let observation = match report {
            Report::Changed(change) => K::observation(change),
            Report::Alive(at) => Observation::WatchAlive { source, namespace, at },
            Report::Failed(error) => Observation::WatchFailed { source, namespace, error },
            Report::Omitted(errors) => Observation::Omitted { source, namespace, errors },
        };
        self.send(observation).await
    }
}

/// Follows a collection until nobody takes its reports.
pub async fn follow<K: Kind, R: Reporter<K>>(
    cluster: Cluster,
    namespace: Option<String>,
    config: CollectConfig,
    reporter: R,
) -> Result<(), Closed> {
    let mut follower = Follower::<K, R>::new(&cluster, namespace, reporter);
    let mut source = ListWatch::<K>::new(&cluster, follower.access.clone(), &config);
    loop {
        let crowded = source.omissions().0.is_crowded();
        let next = match follower.wait_and_report_alive(source.next(), crowded).await? {
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

struct Follower<K: Kind, R: Reporter<K>> {
    client: kube::Client,
    access: Access,
    reporter: R,
    activity: Arc<LastActivity>,
    /// The time of the last byte that was reported.
    last_reported: Millis,
    ticks: Interval,
    backoff: Backoff,
    refusal_backoff: Backoff,
    /// The API server said that the request is permitted, and refused it all the same. Its word is not
    /// trusted until the watch works again.
    doubted: bool,
    /// When the last failure was; `failures` is how many there were in a row.
    failed_at: Option<Instant>,
    failures: u32,
    last_failure: Option<FailureKind>,
    listed_at: Instant,
    kind: PhantomData<K>,
}

/// A kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailureKind {
    /// The API server did not answer.
    Away,
    /// The API server answered with an error.
    Refused,
    /// The version to watch from is gone, as it is after the API server restarted.
    LostPlace,
}

/// What to do after an error.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    Relist,
}

impl<K: Kind, R: Reporter<K>> Follower<K, R> {
    fn new(cluster: &Cluster, namespace: Option<String>, reporter: R) -> Self {
        let mut ticks = interval(ALIVE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            client: cluster.client.clone(),
            activity: cluster.watch_activity.of(&K::path(namespace.as_deref())),
            access: Access { resource: K::resource(), namespace },
            reporter,
            last_reported: 0,
            ticks,
            backoff: Backoff::default(),
            refusal_backoff: Backoff::between(REFUSED.0, REFUSED.1),
            doubted: false,
            failed_at: None,
            failures: 0,
            last_failure: None,
            listed_at: Instant::now(),
            kind: PhantomData,
        }
    }

    /// Waits for `next`, and reports meanwhile that the watch is alive. `None` if objects are over the quota
    /// and it is time to list again.
    async fn wait_and_report_alive<T>(
        &mut self,
        next: impl Future<Output = T>,
        crowded: bool,
    ) -> Result<Option<T>, Closed> {
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
        self.report(Report::Changed(change)).await?;
        Ok(Next::GoOn)
    }

    async fn report_omissions(&self, source: &mut ListWatch<K>) -> Result<(), Closed> {
        let (largest, (omissions, quota)) = (source.largest(), source.omissions());
        let place = (self.reporter.source(), self.access.namespace.as_deref());
        match omissions.take_errors(place, largest, quota) {
            Some(errors) => self.report(Report::Omitted(errors)).await,
            None => Ok(()),
        }
    }

    async fn failed(&mut self, error: &FollowError) -> Result<Next, Closed> {
        self.count_failure();
        let kind = FailureKind::of(error);
        let before = self.last_failure.replace(kind);
        match (before, kind) {
            // A lost place is no error: the list that follows recovers it. It is one if it happens again and
            // again.
            (before, FailureKind::LostPlace) if before != Some(FailureKind::LostPlace) => {
                return Ok(after(error));
            }
            // The server is back and its parts start up, such as authorisation and storage. That takes a
            // second or two, so the long waits of the outage end.
            (Some(FailureKind::Away), FailureKind::Refused) => self.backoff.reset(),
            _ => {}
        }
        if kind != FailureKind::LostPlace || self.failures > 2 {
            let error = self.access.follow_error(error);
            tracing::debug!(resource = K::PLURAL, reason = ?error.reason, detail = error.detail.english(), "watch failed");
            self.last_reported = self.activity.last();
            self.report(Report::Failed(error)).await?;
        }
        match denied(error).filter(|_| before == Some(FailureKind::Refused)) {
            Some(verb) => self.until_allowed(verb).await,
            None => sleep(self.backoff.wait()).await,
        }
        Ok(after(error))
    }

    /// Until the permission is there, as far as the API server tells, or until it is time to try all the
    /// same.
    async fn until_allowed(&mut self, verb: &str) {
        let until = Instant::now() + self.refusal_backoff.wait();
        while Instant::now() < until {
            sleep(self.backoff.wait().min(until - Instant::now())).await;
            if !self.doubted && self.may(verb).await == Some(true) {
                self.doubted = true;
                break;
            }
        }
        // The whole wait belongs to the same failure.
        self.failed_at = Some(Instant::now());
    }

    /// Whether the verb is permitted; `None` without an answer.
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

    /// Records that the collection is followed again.
    fn note_bytes(&mut self) {
        self.refusal_backoff.reset();
        self.doubted = false;
    }

    async fn tell_alive(&mut self) -> Result<(), Closed> {
        let at = self.activity.last();
        if at <= self.last_reported {
            return Ok(());
        }
        self.last_reported = at;
        self.note_bytes();
        self.report(Report::Alive(at)).await
    }

    /// Counts a failure. Failures are in a row while less than [`CALM`] lies between them: a list that
    /// succeeds before each failing watch is no recovery, and must not lead to a hot loop of lists.
    fn count_failure(&mut self) {
        if self.failed_at.is_none_or(|at| at.elapsed() > CALM) {
            self.backoff.reset();
            self.failures = 0;
            self.last_failure = None;
        }
        self.failed_at = Some(Instant::now());
        self.failures = self.failures.saturating_add(1);
    }

    async fn report(&self, report: Report<K::Facts>) -> Result<(), Closed> {
        self.reporter.report(self.access.namespace.as_deref(), report).await
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

/// The verb for which permission is missing.
fn denied(FollowError { stage, failure }: &FollowError) -> Option<&'static str> {
    let refused = matches!(failure, Failure::Status { code: StatusCode::FORBIDDEN, .. });
    (refused && *stage != Stage::Read).then_some(stage.verb())
}

/// What to do after an error. A watch normally continues from its version. That is wrong if the version is
/// gone: a watch that starts with 410 or 404 would be retried for ever, and an event that could not be read
/// would be missing for ever.
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
    fn a_watch_that_lost_its_place_lists_again() {
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

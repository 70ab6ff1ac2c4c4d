//! One watched collection: list, then watch, relist when the watch has lost its place.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use kube::{
    Api,
    runtime::watcher::{self, Event, watcher},
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, timeout};

use k8s_openapi::api::authorization::v1::ResourceAttributes;

use super::{
    Closed, Cluster, Outlet,
    client::may,
    error::Access,
    kinds::{Kind, Watched},
    now,
    poll::Backoff,
    transport::Pulse,
};
use crate::{
    model::Millis,
    server::snapshot::facts::{Change, Observation},
};

/// Objects to a page of a list: 6 MB of pods.
const PAGE: u32 = 500;
/// kube-runtime allows watches of under 295 s.
const LONGEST_WATCH: u64 = 290;
/// Bytes on a watch are told of no more often than this.
const ALIVE_EVERY: Duration = Duration::from_secs(1);
/// A watch that has not failed for this long is well again.
const CALM: Duration = Duration::from_secs(10);
/// What is refused is asked for again after the first of these, then after twice that, up to the second: each of them
/// is a 403 in the audit log. A permission that is granted shows sooner, since the API server is asked for it.
const REFUSED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// For one answer to whether a permission is there.
const REVIEW: Duration = Duration::from_secs(5);

/// Follows a collection for ever, or until nobody listens.
pub async fn follow<K: Kind>(
    cluster: Cluster,
    namespace: Option<String>,
    watch_idle: Duration,
    outlet: Outlet,
) -> Result<(), Closed> {
    let mut follower = Follower::<K>::new(&cluster, namespace, outlet);
    let config = watch_config::<K>(watch_idle);
    loop {
        let api = follower.api(&cluster);
        follower.run(pin!(watcher(api, config.clone()))).await?;
        tracing::debug!(resource = K::PLURAL, namespace = follower.access.namespace, "listing anew");
    }
}

/// The server is asked to end each watch well before the client would call it dead. So a quiet watch on a server
/// without bookmarks is not taken for a dead one, and a permission that was taken away shows within this time.
fn watch_config<K: Kind>(watch_idle: Duration) -> watcher::Config {
    let seconds = (watch_idle * 2 / 3).as_secs().clamp(1, LONGEST_WATCH);
    let config = watcher::Config::default().page_size(PAGE).timeout(seconds as u32);
    match K::LABELS {
        Some(labels) => config.labels(labels),
        None => config,
    }
}

struct Follower<K: Kind> {
    client: kube::Client,
    access: Access,
    outlet: Outlet,
    pulse: Arc<Pulse>,
    /// The last byte that was told of.
    told: Millis,
    ticks: Interval,
    backoff: Backoff,
    patience: Backoff,
    /// The API server said that it may, and refused all the same: its word is worth nothing until it does as it says.
    doubted: bool,
    /// The last failure, and how many there were in a row.
    failed_at: Option<Instant>,
    failures: u32,
    trouble: Option<Trouble>,
    /// The list that is being read.
    listed: Vec<K::Facts>,
    warned: bool,
}

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
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
    fn new(cluster: &Cluster, namespace: Option<String>, outlet: Outlet) -> Self {
        let mut ticks = interval(ALIVE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            client: cluster.client.clone(),
            pulse: cluster.pulses.of(&K::path(namespace.as_deref())),
            access: Access { resource: K::resource(), namespace },
            outlet,
            told: 0,
            ticks,
            backoff: Backoff::default(),
            patience: Backoff::between(REFUSED.0, REFUSED.1),
            doubted: false,
            failed_at: None,
            failures: 0,
            trouble: None,
            listed: Vec::new(),
            warned: false,
        }
    }

    fn api(&self, cluster: &Cluster) -> Api<Watched<K>> {
        match &self.access.namespace {
            Some(namespace) => Api::namespaced(cluster.client.clone(), namespace),
            None => Api::all(cluster.client.clone()),
        }
    }

    /// Until only a new list will help.
    async fn run(
        &mut self,
        mut events: impl StreamExt<Item = Result<Event<Watched<K>>, watcher::Error>> + Unpin,
    ) -> Result<(), Closed> {
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                _ = self.ticks.tick() => {
                    self.tell_alive().await?;
                    continue;
                }
            };
            let next = match event {
                Some(Ok(event)) => self.take(event).await?,
                Some(Err(error)) => self.failed(&error).await?,
                None => Next::Relist,
            };
            if next == Next::Relist {
                return Ok(());
            }
        }
    }

    async fn take(&mut self, event: Event<Watched<K>>) -> Result<Next, Closed> {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(object) => {
                let facts = self.usable(object);
                self.listed.extend(facts);
            }
            Event::InitDone => {
                let (items, namespace) = (std::mem::take(&mut self.listed), self.access.namespace.clone());
                self.send(Change::Replaced { namespace, items, at: now() }).await?;
            }
            Event::Apply(object) => {
                if let Some(item) = self.usable(object) {
                    self.send(Change::Applied { item, at: now() }).await?;
                }
            }
            Event::Delete(object) => {
                if let Some(facts) = self.usable(object) {
                    self.send(Change::Deleted { key: K::key(&facts), at: now() }).await?;
                }
            }
        }
        Ok(Next::GoOn)
    }

    /// None, and one warning, for an object that has no name or namespace.
    fn usable(&mut self, object: Watched<K>) -> Option<K::Facts> {
        if object.facts.is_none() && !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(
                resource = K::PLURAL,
                "dropped an object without name or namespace; more go unsaid"
            );
        }
        object.facts
    }

    async fn failed(&mut self, error: &watcher::Error) -> Result<Next, Closed> {
        self.count_failure();
        let trouble = Trouble::of(error);
        let before = self.trouble.replace(trouble);
        match (before, trouble) {
            // To have lost one's place is nothing wrong, and is mended by the list that follows: unless it goes on.
            (before, Trouble::LostPlace) if before != Some(Trouble::LostPlace) => return Ok(after(error)),
            // The server is back and its parts start up, authorisation and storage among them: that takes a second
            // or two, so the long waits of the outage are over.
            (Some(Trouble::Away), Trouble::Refused) => self.backoff.reset(),
            _ => {}
        }
        if trouble != Trouble::LostPlace || self.failures > 2 {
            let error = self.access.watch_error(error);
            tracing::debug!(resource = K::PLURAL, reason = ?error.reason, detail = %error.detail, "watch failed");
            self.told = self.pulse.last();
            let namespace = self.access.namespace.clone();
            self.outlet.send(Observation::WatchFailed { source: K::SOURCE, namespace, error }).await?;
        }
        match denied(error).filter(|_| before == Some(Trouble::Refused)) {
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
    fn heard(&mut self) {
        self.patience.reset();
        self.doubted = false;
    }

    async fn tell_alive(&mut self) -> Result<(), Closed> {
        let at = self.pulse.last();
        if at <= self.told {
            return Ok(());
        }
        self.told = at;
        self.heard();
        let namespace = self.access.namespace.clone();
        self.outlet.send(Observation::WatchAlive { source: K::SOURCE, namespace, at }).await
    }

    /// Failures are in a row while less than [`CALM`] lies between them: a list that succeeds before each watch
    /// that fails is no recovery, and must not be asked for in a hot loop.
    fn count_failure(&mut self) {
        if self.failed_at.is_none_or(|at| at.elapsed() > CALM) {
            self.backoff.reset();
            self.failures = 0;
            self.trouble = None;
        }
        self.failed_at = Some(Instant::now());
        self.failures = self.failures.saturating_add(1);
    }

    async fn send(&self, change: Change<K::Facts>) -> Result<(), Closed> {
        self.outlet.send(K::observation(change)).await
    }
}

impl Trouble {
    fn of(error: &watcher::Error) -> Self {
        let status = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status,
            watcher::Error::WatchError(status) => status,
            _ => return Self::Away,
        };
        if status.code == 410 { Self::LostPlace } else { Self::Refused }
    }
}

/// The verb that is refused, for want of a permission.
fn denied(error: &watcher::Error) -> Option<&'static str> {
    let (verb, error) = match error {
        watcher::Error::InitialListFailed(error) => ("list", error),
        watcher::Error::WatchStartFailed(error) => ("watch", error),
        _ => return None,
    };
    matches!(error, kube::Error::Api(status) if status.code == 403).then_some(verb)
}

/// kube-runtime goes on from where it was, which is wrong where that place is gone: a watch that starts with 410
/// or 404 would be tried for ever, and an event that could not be read would be missing for ever.
fn after(error: &watcher::Error) -> Next {
    match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => {
            if status.code == 403 || status.code == 429 || status.code >= 500 {
                Next::GoOn
            } else {
                Next::Relist
            }
        }
        watcher::Error::WatchFailed(kube::Error::SerdeError(_) | kube::Error::Api(_)) => Next::Relist,
        watcher::Error::WatchError(_) => Next::Relist,
        _ => Next::GoOn,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::kinds::Pods, *};
    use kube::core::Status;

    fn api(code: u16) -> kube::Error {
        kube::Error::Api(Status::default().with_code(code).boxed())
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
            assert_eq!(after(&watcher::Error::WatchStartFailed(api(code))), next, "{code}");
        }
        let unread = serde_json::from_str::<u8>("x").unwrap_err();
        assert_eq!(after(&watcher::Error::WatchFailed(kube::Error::SerdeError(unread))), Next::Relist);
    }

    #[test]
    fn the_server_ends_a_watch_before_the_client_gives_it_up() {
        for (idle, want) in [(90, 60), (3, 2), (1, 1), (0, 1), (3600, 290)] {
            assert_eq!(watch_config::<Pods>(Duration::from_secs(idle)).timeout, Some(want), "{idle}");
        }
    }
}

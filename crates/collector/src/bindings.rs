//! Follows RoleBindings and ClusterRoleBindings, which hint at the namespaces that could matter to a user.
//!
//! Roles are not followed. If the rules of a role change, its bindings do not: an allow then ends within a
//! minute at the latest, and what is granted is found by the sweep.

use std::{collections::HashMap, time::Duration};

use tokio::{
    sync::{mpsc, watch as published},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    client::Cluster,
    config::CollectConfig,
    kinds::{Binding, ClusterRoleBindings, Kind, RoleBindings},
    observation_sender::Closed,
    watch::{self, Report, Reporter},
};
use i18n::Render;
use model::reason::Reason;
use wukong_core::{
    access::BindingHints,
    observation::{Change, Key},
};

/// How often changed hints are published. A changed binding should show within a second.
const PUBLISH_EVERY: Duration = Duration::from_millis(250);
/// How long the last hints stand while the API server does not answer: as long as the rights themselves. Without
/// hints every user is asked about every namespace, and nothing counts as checked until then.
const STAND_FOR: Duration = Duration::from_secs(300);
/// The most bytes that the bindings of one kind may take, with the hints that are made of them: some 30,000
/// bindings of one subject each. One namespace may take half of it.
const MOST_BYTES: usize = 32 << 20;
/// Reports that wait to be taken.
const REPORTS: usize = 64;

/// Follows the bindings until `shutdown`, or until nobody receives. The hints are `None` while the bindings
/// cannot be read; then every namespace is asked about in turn. If `config` names namespaces, only their
/// RoleBindings are followed.
pub fn follow_bindings(
    cluster: &Cluster,
    config: &CollectConfig,
    shutdown: CancellationToken,
) -> published::Receiver<Option<BindingHints>> {
    let (hints, receiver) = published::channel(None);
    let (sender, reports) = mpsc::channel(REPORTS);
    let config =
        CollectConfig { collection_limit: config.collection_limit.min(MOST_BYTES), ..config.clone() };
    let mut watches = Watches { tasks: JoinSet::new(), cluster: cluster.clone(), config, sender };
    match watches.config.namespaces.clone() {
        Some(namespaces) => {
            namespaces.into_iter().for_each(|namespace| watches.add::<RoleBindings>(Some(namespace)));
        }
        None => {
            watches.add::<RoleBindings>(None);
            watches.add::<ClusterRoleBindings>(None);
        }
    }
    let collections = watches.tasks.len();
    tokio::spawn(async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = publish(collections, reports, &hints) => {}
            () = hints.closed() => {}
        }
        watches.tasks.shutdown().await;
    });
    receiver
}

struct Watches {
    tasks: JoinSet<Result<(), Closed>>,
    cluster: Cluster,
    config: CollectConfig,
    sender: mpsc::Sender<BindingReport>,
}

/// The number of the collection, and what is reported about it.
type BindingReport = (usize, Report<Binding>);

impl Watches {
    fn add<K: Kind<Facts = Binding>>(&mut self, namespace: Option<String>) {
        let sender = BindingSender { collection: self.tasks.len(), sender: self.sender.clone() };
        self.tasks.spawn(watch::follow::<K, _>(self.cluster.clone(), namespace, self.config.clone(), sender));
    }
}

struct BindingSender {
    collection: usize,
    sender: mpsc::Sender<BindingReport>,
}

impl<K: Kind<Facts = Binding>> Reporter<K> for BindingSender {
    fn source(&self) -> &'static str {
        K::PLURAL
    }

    async fn report(&self, _: Option<&str>, report: Report<Binding>) -> Result<(), Closed> {
        self.sender.send((self.collection, report)).await.map_err(|_| Closed)
    }
}

/// Publishes the hints of all collections whenever they have changed. Ends if no collection is followed any more.
async fn publish(
    collections: usize,
    mut reports: mpsc::Receiver<BindingReport>,
    hints: &published::Sender<Option<BindingHints>>,
) {
    let mut bindings = FollowedBindings::new(collections);
    let mut ticks = interval(PUBLISH_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            report = reports.recv() => match report {
                Some((collection, report)) => bindings.take(collection, report, Instant::now()),
                None => return,
            },
            _ = ticks.tick() => {
                if let Some(new) = bindings.changed_hints(Instant::now()) {
                    hints.send_if_modified(|old| {
                        let differs = *old != new;
                        *old = new;
                        differs
                    });
                }
            }
        }
    }
}

/// The bindings of all collections that are followed.
#[derive(Debug)]
struct FollowedBindings {
    collections: Vec<Collection>,
    /// Whether a binding has changed since the hints were last made.
    changed: bool,
    /// Whether the hints that were last made are not `None`.
    were_readable: bool,
}

#[derive(Debug, Default)]
struct Collection {
    /// `None` until they are listed for the first time, which comes before every other change.
    bindings: Option<HashMap<Key, Binding>>,
    /// Until when its bindings count although it cannot be read; `None` while it can.
    stands_until: Option<Instant>,
}

impl FollowedBindings {
    fn new(collections: usize) -> Self {
        let collections = (0..collections).map(|_| Collection::default()).collect();
        Self { collections, changed: false, were_readable: false }
    }

    fn take(&mut self, collection: usize, report: Report<Binding>, now: Instant) {
        let Some(collection) = self.collections.get_mut(collection) else { return };
        self.changed |= matches!(report, Report::Changed(_));
        collection.take(report, now);
    }

    /// Returns the hints if they may differ from those before.
    fn changed_hints(&mut self, now: Instant) -> Option<Option<BindingHints>> {
        let readable = self.collections.iter().all(|collection| collection.is_readable(now));
        if !std::mem::take(&mut self.changed) && readable == self.were_readable {
            return None;
        }
        self.were_readable = readable;
        let bindings = self.collections.iter().filter_map(|collection| collection.bindings.as_ref());
        let mut hints = BindingHints::default();
        for binding in bindings.filter(|_| readable).flat_map(HashMap::values) {
            hints.add(binding.namespace.clone(), binding.subjects.iter().cloned(), &binding.role);
        }
        Some(readable.then_some(hints))
    }
}

impl Collection {
    fn take(&mut self, report: Report<Binding>, now: Instant) {
        match report {
            Report::Failed(error) => {
                let is_refused =
                    matches!(error.reason, Reason::Forbidden | Reason::Unauthenticated | Reason::ApiAbsent);
                let until = if is_refused { now } else { now + STAND_FOR };
                if self.stands_until.is_none() {
                    tracing::info!(detail = error.detail.english(), "cannot read role bindings");
                }
                self.stands_until = Some(self.stands_until.map_or(until, |before| before.min(until)));
            }
            // The log has them. They are hints that are missing, and the sweep finds what they would hint at.
            Report::Omitted(_) => {}
            Report::Alive(_) => self.stands_until = None,
            Report::Changed(change) => {
                self.stands_until = None;
                self.apply(change);
            }
        }
    }

    fn apply(&mut self, change: Change<Binding>) {
        let bindings = self.bindings.get_or_insert_default();
        match change {
            Change::Replaced { items, .. } => {
                *bindings = items.into_iter().map(|binding| (binding.key(), binding)).collect();
            }
            Change::Applied { item, .. } => drop(bindings.insert(item.key(), item)),
            Change::Deleted { key, .. } => drop(bindings.remove(&key)),
        }
    }

    fn is_readable(&self, now: Instant) -> bool {
        self.bindings.is_some() && self.stands_until.is_none_or(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wukong_core::{access::Subject, observation::SourceError};

    fn binding(name: &str, role: &str) -> Binding {
        Binding {
            namespace: Some("shop".into()),
            name: name.into(),
            role: role.into(),
            subjects: [Subject::User("ann".into())].into(),
        }
    }

    fn listed(items: Vec<Binding>) -> Report<Binding> {
        Report::Changed(Change::Replaced { namespace: None, items, at: 0 })
    }

    fn failed(reason: Reason) -> Report<Binding> {
        Report::Failed(SourceError { reason, detail: "why".to_owned().into() })
    }

    fn hints(bindings: &[Binding]) -> BindingHints {
        let mut hints = BindingHints::default();
        for binding in bindings {
            hints.add(binding.namespace.clone(), binding.subjects.iter().cloned(), &binding.role);
        }
        hints
    }

    #[test]
    fn there_are_hints_once_every_collection_is_listed() {
        let (mut bindings, now) = (FollowedBindings::new(2), Instant::now());
        assert_eq!(bindings.changed_hints(now), None);
        bindings.take(0, listed(vec![binding("a", "1")]), now);
        assert_eq!(bindings.changed_hints(now), Some(None));
        bindings.take(1, listed(Vec::new()), now);
        assert_eq!(bindings.changed_hints(now), Some(Some(hints(&[binding("a", "1")]))));
        assert_eq!(bindings.changed_hints(now), None, "nothing has changed");
    }

    #[test]
    fn hints_stand_five_minutes_while_nobody_answers_and_end_at_once_when_refused() {
        for (reason, stands) in [
            (Reason::Unreachable, STAND_FOR),
            (Reason::TimedOut, STAND_FOR),
            (Reason::Forbidden, Duration::ZERO),
            (Reason::ApiAbsent, Duration::ZERO),
            (Reason::Unauthenticated, Duration::ZERO),
        ] {
            let (mut bindings, now) = (FollowedBindings::new(1), Instant::now());
            bindings.take(0, listed(vec![binding("a", "1")]), now);
            assert!(bindings.changed_hints(now).unwrap().is_some());
            bindings.take(0, failed(reason), now);
            if !stands.is_zero() {
                bindings.take(0, failed(reason), now + stands / 2);
                assert_eq!(bindings.changed_hints(now + stands - PUBLISH_EVERY), None, "{reason:?}");
            }
            assert_eq!(bindings.changed_hints(now + stands), Some(None), "{reason:?}");
            bindings.take(0, Report::Alive(0), now + stands);
            assert_eq!(bindings.changed_hints(now + stands), Some(Some(hints(&[binding("a", "1")]))));
        }
    }
}

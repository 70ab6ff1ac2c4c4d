//! Watches: a stream with one JSON object per line, until the client or the timeout ends it.

use std::{io, sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::stream;
use tokio::{
    sync::{broadcast, watch},
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until},
};

use super::{
    list::{prefix, selected},
    query::ListQuery,
    status,
};
use crate::{
    cluster::Cluster,
    faults::{Class, Target},
    objects::{self, Body as Stored, put},
    resource::Resource,
    store::Event,
    world::Object,
};

/// The faults that apply to this watch.
#[derive(Clone, Copy, Debug, Default)]
pub struct WatchFaults {
    pub dropped: bool,
    pub silent: bool,
    pub gone: bool,
}

/// Answers a watch with a stream of its events.
pub fn watch(
    cluster: &Arc<Cluster>,
    resource: Resource,
    namespace: Option<&str>,
    query: ListQuery,
    path: &str,
    watch_faults: WatchFaults,
) -> Response {
    let feed = Feed::new(cluster.clone(), resource, namespace, query, path, watch_faults);
    let stream = stream::unfold(feed, |mut feed| async move {
        let next = feed.next().await?;
        Some((next, feed))
    });
    status::json(200, Body::from_stream(stream))
}

struct Feed {
    cluster: Arc<Cluster>,
    resource: Resource,
    prefix: String,
    query: ListQuery,
    path: String,
    watch_faults: WatchFaults,
    changed: watch::Receiver<u64>,
    cuts: broadcast::Receiver<Target>,
    silenced: broadcast::Receiver<Target>,
    bookmarks: Interval,
    deadline: Instant,
    stage: Stage,
    /// All changes up to this revision have been sent.
    cursor: u64,
}

enum Stage {
    Initial(std::vec::IntoIter<Object>),
    Live,
    Over,
}

/// Why a wait ended.
enum WakeReason {
    Changed,
    Bookmark,
    Deadline,
    Cut,
    Silenced,
}

type Chunk = Result<Bytes, io::Error>;

impl Feed {
    fn new(
        cluster: Arc<Cluster>,
        resource: Resource,
        namespace: Option<&str>,
        query: ListQuery,
        path: &str,
        watch_faults: WatchFaults,
    ) -> Self {
        let (stage, cursor) = begin(&cluster, resource, namespace, &query);
        let period = cluster.bookmark_interval.max(Duration::from_millis(1));
        let mut bookmarks = interval_at(Instant::now() + period, period);
        bookmarks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        cluster.requests.watch_opened();
        Self {
            changed: cluster.world.subscribe(),
            cuts: cluster.faults.cuts(),
            silenced: cluster.faults.silenced(),
            deadline: Instant::now() + query.timeout,
            prefix: prefix(namespace),
            path: path.to_owned(),
            cluster,
            resource,
            query,
            watch_faults,
            bookmarks,
            stage,
            cursor,
        }
    }

    /// Returns the next bytes. `None` ends the watch in good order, an error breaks the connection.
    async fn next(&mut self) -> Option<Chunk> {
        loop {
            self.take_fault_signals();
            if self.watch_faults.silent {
                std::future::pending::<()>().await;
            }
            if self.watch_faults.dropped {
                // The head of the response is sent first, so that the watch was open when it broke.
                tokio::time::sleep(Duration::from_millis(10)).await;
                return self.end(Some(Err(io::ErrorKind::ConnectionReset.into())));
            }
            if self.watch_faults.gone {
                return self.end(Some(Ok(self.expired())));
            }
            if let Some(text) = self.pending()? {
                return Some(Ok(text));
            }
            match self.wait().await {
                WakeReason::Changed => {}
                WakeReason::Bookmark => return Some(Ok(self.bookmark(false))),
                WakeReason::Deadline => return None,
                WakeReason::Cut => self.watch_faults.dropped = true,
                WakeReason::Silenced => self.watch_faults.silent = true,
            }
        }
    }

    /// Applies faults before any change that came after them.
    fn take_fault_signals(&mut self) {
        let class = Class::Watch(self.resource);
        while let Some(target) = next_signal(&mut self.cuts) {
            self.watch_faults.dropped |= is_affected(target, &class, &self.path);
        }
        while let Some(target) = next_signal(&mut self.silenced) {
            self.watch_faults.silent |= is_affected(target, &class, &self.path);
        }
    }

    /// Returns what can be sent at once: `Some(None)` if there is nothing, `None` if the watch is over.
    fn pending(&mut self) -> Option<Option<Bytes>> {
        if !self.cluster.world.is_installed(self.resource.api().group) {
            return None;
        }
        match &mut self.stage {
            Stage::Over => None,
            Stage::Initial(objects) => {
                let text = initial(self.resource, &self.query, objects);
                if !text.is_empty() {
                    return Some(Some(text.into()));
                }
                self.stage = Stage::Live;
                Some(self.query.initial_events.then(|| self.bookmark(true)))
            }
            Stage::Live => Some(self.news()),
        }
    }

    /// Returns the changes since the cursor, one per line; `None` if there are none.
    fn news(&mut self) -> Option<Bytes> {
        // Marked as seen before it looks, so that a change in between is not missed.
        self.changed.borrow_and_update();
        let Ok((events, upto)) = self.cluster.world.since(self.resource, self.cursor) else {
            self.stage = Stage::Over;
            return Some(self.expired());
        };
        self.cursor = self.cursor.max(upto);
        let mut out = String::new();
        events.iter().for_each(|event| self.write(&mut out, event));
        (!out.is_empty()).then(|| out.into())
    }

    /// Writes one change. An object that starts or stops matching the selector is ADDED to or DELETED from
    /// this watch.
    fn write(&self, out: &mut String, event: &Event<Stored>) {
        let visible = |object: &&Object| {
            object.key.starts_with(&self.prefix) && selected(&self.query.selector, self.resource, object)
        };
        let (before, after) = (event.before.as_ref().filter(visible), event.after.as_ref().filter(visible));
        match (before, after) {
            (None, None) => {}
            (None, Some(object)) => line(out, "ADDED", self.resource, object, event.revision),
            (Some(_), Some(object)) => line(out, "MODIFIED", self.resource, object, event.revision),
            (Some(object), None) => line(out, "DELETED", self.resource, object, event.revision),
        }
    }

    fn bookmark(&mut self, ends_initial: bool) -> Bytes {
        let api = self.resource.api();
        let annotations = match ends_initial {
            true => r#","annotations":{"k8s.io/initial-events-end":"true"}"#,
            false => "",
        };
        let (version, cursor) = (api.api_version(), self.cursor);
        format!(
            "{{\"type\":\"BOOKMARK\",\"object\":{{\"kind\":\"{}\",\"apiVersion\":\"{version}\",\"metadata\":{{\"resourceVersion\":\"{cursor}\",\"creationTimestamp\":null{annotations}}}}}}}\n",
            api.kind
        )
        .into()
    }

    fn expired(&self) -> Bytes {
        let message =
            format!("too old resource version: {} ({})", self.cursor, self.cluster.world.revision());
        let object = status::status_object(410, "Expired", &message);
        format!("{{\"type\":\"ERROR\",\"object\":{object}}}\n").into()
    }

    fn end(&mut self, last: Option<Chunk>) -> Option<Chunk> {
        self.watch_faults = WatchFaults::default();
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Over => None,
            _ => last,
        }
    }

    async fn wait(&mut self) -> WakeReason {
        let class = Class::Watch(self.resource);
        loop {
            tokio::select! {
                target = self.cuts.recv() => if is_affected(target, &class, &self.path) { return WakeReason::Cut },
                target = self.silenced.recv() => if is_affected(target, &class, &self.path) { return WakeReason::Silenced },
                () = sleep_until(self.deadline) => return WakeReason::Deadline,
                _ = self.changed.changed() => return WakeReason::Changed,
                _ = self.bookmarks.tick(), if self.query.bookmarks => return WakeReason::Bookmark,
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.cluster.requests.watch_closed();
    }
}

/// Returns how a watch starts: without a revision, or with revision 0, it starts with all existing objects.
fn begin(cluster: &Cluster, resource: Resource, namespace: Option<&str>, query: &ListQuery) -> (Stage, u64) {
    if let (Some(revision @ 1..), false) = (query.revision, query.initial_events) {
        return (Stage::Live, revision);
    }
    // The newest revision cannot have expired.
    let (objects, revision) = cluster.world.list(resource, &prefix(namespace), "", None).unwrap_or_default();
    (Stage::Initial(objects.into_iter()), revision)
}

/// Returns the next part of the initial objects; empty if there are no more.
fn initial(resource: Resource, query: &ListQuery, objects: &mut std::vec::IntoIter<Object>) -> String {
    const CHUNK: usize = 64 << 10;
    let mut out = String::new();
    while out.len() < CHUNK {
        let Some(object) = objects.find(|object| selected(&query.selector, resource, object)) else { break };
        line(&mut out, "ADDED", resource, &object, object.revision);
    }
    out
}

fn line(out: &mut String, kind: &str, resource: Resource, object: &Object, revision: u64) {
    put!(out, r#"{{"type":"{kind}","object":"#);
    objects::render(out, resource, &object.body, revision, true);
    out.push_str("}\n");
}

/// Returns the next signal if one has been sent.
fn next_signal(
    signals: &mut broadcast::Receiver<Target>,
) -> Option<Result<Target, broadcast::error::RecvError>> {
    use broadcast::error::{RecvError, TryRecvError};
    match signals.try_recv() {
        Ok(target) => Some(Ok(target)),
        Err(TryRecvError::Lagged(missed)) => Some(Err(RecvError::Lagged(missed))),
        Err(TryRecvError::Empty | TryRecvError::Closed) => None,
    }
}

/// Whether a signal is for this watch. A receiver that lagged behind may have missed it, so that counts as a
/// hit.
fn is_affected(target: Result<Target, broadcast::error::RecvError>, class: &Class, path: &str) -> bool {
    match target {
        Ok(target) => target.matches(class, path),
        Err(error) => matches!(error, broadcast::error::RecvError::Lagged(_)),
    }
}

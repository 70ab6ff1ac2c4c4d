//! Follows one collection as a stream of changes: a list in pages, then a watch from the version of the list.
//!
//! kube-runtime's watcher is not used: it reads and decodes each page whole, on a thread that others wait
//! for, and can neither leave out one object nor ask for smaller pages, so a few large objects can end the
//! program. Here each object is decoded as it arrives, and of an object that is too large only the name is
//! read.

use std::{marker::PhantomData, time::Duration};

use http::{HeaderValue, Request, Response, StatusCode, header};
use kube::{
    api::{ListParams, WatchParams},
    client::Body,
};
use tokio::time::timeout;

use super::{
    Cluster,
    budget::Budget,
    error::{Access, Failure, FollowError, Stage},
    items::{Item, ListMeta, ReadLimits, read_items},
    kept_objects::{Event, KeptObjects},
    kinds::Kind,
    lines::WatchLines,
    omissions::Omissions,
    poll::{read_error, retry_after},
    quota::Quota,
    transport::OwnLimit,
};
use crate::config::CollectConfig;

/// Objects per page of a list: 6 MB for pods.
const PAGE: u32 = 500;
/// The deadline for one page. The API server itself ends a list after a minute (`--request-timeout`).
const PAGE_DEADLINE: Duration = Duration::from_secs(60);
/// The longest watch, in seconds. The API server allows longer ones, but every few minutes each watch should
/// give back the places that it holds.
const LONGEST_WATCH: u64 = 290;
/// How long to wait for the server to end a watch that is over: after this it has forgotten the watch.
const OVERDUE: Duration = Duration::from_secs(5);

/// One collection, and how far it was followed.
pub struct ListWatch<K: Kind> {
    client: kube::Client,
    access: Access,
    budget: Budget,
    limits: ReadLimits,
    /// The length of a watch that is requested from the server, in seconds.
    seconds: u32,
    /// Objects per page, adapted to the size of the answers so far.
    page: u32,
    state: State,
    kept: KeptObjects,
    kind: PhantomData<K>,
}

enum State {
    Unlisted,
    /// Listed or watched up to this version.
    At(String),
    Watching(Box<WatchLines>, String),
}

/// A list that is being read.
struct Listing<K: Kind> {
    items: Vec<K::Facts>,
    kept: KeptObjects,
}

impl<K: Kind> ListWatch<K> {
    pub fn new(cluster: &Cluster, access: Access, config: &CollectConfig) -> Self {
        let budget = cluster.budgets.objects.clone();
        let item = config.answer_limit.min(budget.largest());
        Self {
            client: cluster.client.clone(),
            access,
            limits: ReadLimits { answer: config.answer_limit, item },
            budget,
            seconds: watch_seconds(config.watch_idle),
            page: PAGE,
            state: State::Unlisted,
            kept: KeptObjects::new(config.collection_limit, &cluster.kept),
            kind: PhantomData,
        }
    }

    /// Makes the next call of [`Self::next`] list again.
    pub fn relist(&mut self) {
        self.state = State::Unlisted;
    }

    /// The omissions of the collection, and its quota.
    pub fn omissions(&mut self) -> (&mut Omissions, &Quota) {
        (&mut self.kept.omissions, &self.kept.quota)
    }

    /// Bytes of the largest object that is read.
    pub fn largest(&self) -> usize {
        self.limits.item
    }

    /// The next change. After a failed list the next call lists again; after a failed watch it watches again
    /// from the last version, unless [`Self::relist`] is called. If a call is dropped before it returns, the
    /// next call lists again.
    pub async fn next(&mut self) -> Result<Event<K::Facts>, FollowError> {
        loop {
            self.state = match std::mem::replace(&mut self.state, State::Unlisted) {
                State::Unlisted => {
                    let (items, version) =
                        self.list().await.map_err(|failure| failed(Stage::List, failure))?;
                    self.state = State::At(version);
                    return Ok(Event::Listed(items));
                }
                State::At(version) => match self.open(&version).await {
                    Ok(lines) => State::Watching(Box::new(lines), version),
                    Err(failure) => {
                        self.state = State::At(version);
                        return Err(failed(Stage::Open, failure));
                    }
                },
                State::Watching(lines, version) => {
                    let (state, event) = self.watched(lines, version).await;
                    self.state = state;
                    match event {
                        Ok(Some(event)) => return Ok(event),
                        Ok(None) => continue,
                        Err(failure) => return Err(failed(Stage::Read, failure)),
                    }
                }
            };
        }
    }

    async fn list(&mut self) -> Result<(Vec<K::Facts>, String), Failure> {
        let mut listing = Listing { items: Vec::new(), kept: self.kept.successor() };
        let mut token = None;
        loop {
            let meta = self.page(token.as_deref(), &mut listing).await?;
            match (meta.r#continue.filter(|token| !token.is_empty()), meta.resource_version) {
                (Some(next), _) => token = Some(next),
                (None, Some(version)) if !version.is_empty() => {
                    let before = std::mem::replace(&mut self.kept, listing.kept);
                    self.kept.replace(before);
                    return Ok((listing.items, version));
                }
                (None, _) => return Err(self.access.no_version()),
            }
        }
    }

    /// Reads one page, with smaller and smaller pages until it fits into one answer.
    async fn page(&mut self, token: Option<&str>, listing: &mut Listing<K>) -> Result<ListMeta, Failure> {
        loop {
            let before = listing.items.len();
            let page = timeout(PAGE_DEADLINE, self.read_page(token, listing)).await;
            match page.unwrap_or(Err(Failure::Late(PAGE_DEADLINE))) {
                Ok((meta, received)) => {
                    if received < self.limits.answer / 4 {
                        self.page = self.page.saturating_mul(2).min(PAGE);
                    }
                    return Ok(meta);
                }
                Err(failure) if self.page == 1 || !failure.is_of_size() => return Err(failure),
                Err(failure) => {
                    self.page /= 2;
                    tracing::debug!(resource = K::PLURAL, page = self.page, "asking for smaller pages");
                    // A timeout has other causes too, so it is reported before the next attempt.
                    let Failure::TooLarge(_) = failure else { return Err(failure) };
                    listing.items.truncate(before);
                }
            }
        }
    }

    async fn read_page(
        &mut self,
        token: Option<&str>,
        listing: &mut Listing<K>,
    ) -> Result<(ListMeta, usize), Failure> {
        let params = ListParams {
            label_selector: K::LABELS.map(str::to_owned),
            limit: Some(self.page),
            continue_token: token.map(str::to_owned),
            ..ListParams::default()
        };
        let request = self.request().list(&params).map_err(|_| Failure::BadName)?;
        let response = self.send(request).await?;
        // A page of one object is read to its end whatever its size, because the continue token comes after
        // the object.
        let answer = if self.page > 1 { self.limits.answer } else { usize::MAX };
        let limits = ReadLimits { answer, ..self.limits };
        let Listing { items, kept } = listing;
        let take = |item: Item<'_>| items.extend(kept.item::<K>(item));
        let (head, received) = read_items(response.into_body(), limits, self.budget.lease(), take).await?;
        Ok((head.metadata.0, received))
    }

    async fn open(&mut self, version: &str) -> Result<WatchLines, Failure> {
        let params = WatchParams {
            label_selector: K::LABELS.map(str::to_owned),
            timeout: Some(self.seconds),
            ..WatchParams::default()
        };
        let request = self.request().watch(&params, version).map_err(|_| Failure::BadName)?;
        let response = self.send(request).await?;
        Ok(WatchLines::new(response.into_body(), self.budget.lease(), self.limits.item))
    }

    fn request(&self) -> kube::core::Request {
        kube::core::Request::new(K::path(self.access.namespace.as_deref()))
    }

    async fn send(&mut self, request: Request<Vec<u8>>) -> Result<Response<Body>, Failure> {
        let mut request = request.map(Body::from);
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        request.extensions_mut().insert(OwnLimit);
        let response = self.client.send(request).await.map_err(|error| Failure::Transport(error.into()))?;
        let code = response.status();
        if code == StatusCode::OK {
            return Ok(response);
        }
        let retry_after = retry_after(response.headers());
        // The body is read to its end, so that the connection can be reused.
        read_error(response.into_body()).await;
        Err(Failure::Status { code, retry_after })
    }

    /// Reads the next line of a watch. `None` for a line that is not about an object, and for the end of the
    /// watch.
    async fn watched(
        &mut self,
        mut lines: Box<WatchLines>,
        version: String,
    ) -> (State, Result<Option<Event<K::Facts>>, Failure>) {
        let overdue = Duration::from_secs(self.seconds.into()) + OVERDUE;
        let line = match timeout(overdue, lines.next()).await {
            Ok(Ok(Some(line))) => line,
            Ok(Ok(None)) | Err(_) => return (State::At(version), Ok(None)),
            Ok(Err(failure)) => return (State::At(version), Err(failure)),
        };
        match self.kept.event::<K>(line, &self.access) {
            Ok((event, next)) => (State::Watching(lines, next), Ok(event)),
            Err(failure) => (State::At(version), Err(failure)),
        }
    }
}

fn failed(stage: Stage, failure: Failure) -> FollowError {
    FollowError { stage, failure }
}

/// The length of a watch that is requested: well below the time after which the client considers a watch
/// dead. So a quiet watch on a server without bookmarks is not considered dead, and a revoked permission
/// shows within this time.
fn watch_seconds(watch_idle: Duration) -> u32 {
    (watch_idle * 2 / 3).as_secs().clamp(1, LONGEST_WATCH) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_ends_a_watch_before_the_client_gives_it_up() {
        for (idle, want) in [(90, 60), (3, 2), (1, 1), (0, 1), (3600, 290)] {
            assert_eq!(watch_seconds(Duration::from_secs(idle)), want, "{idle}");
        }
    }
}

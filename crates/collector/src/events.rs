//! Lists the Events of a VM when somebody looks at it. The application asks through a queue ([`VmEventsAsker`]), which
//! asks a question of several viewers once and takes viewers in turn; [`EventLists`] answers, with at most
//! [`LISTS_A_SECOND`] lists whatever is asked. An API server that keeps many Events reads all of a namespace for each.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    client::Cluster,
    clock,
    error::{Access, FollowError, Stage, source_error},
    items::Item,
    k8s::{core::Event as ListedEvent, time},
    poll::BoundedClient,
    queue,
};
use i18n::msg;
use model::{
    events::{Event, EventObject, VmEvents},
    name::is_dns_subdomain,
    reason::Reason,
};
use wukong_core::{
    events::{EventFacts, EventLog, EventsQuery, unread},
    observation::SourceError,
};

/// Lists in any second, of all VMs together.
pub const LISTS_A_SECOND: usize = 5;
/// Events of one list. Those of one object are ordered by their age: beyond it the newest are missing.
const LIST_LENGTH: usize = 500;
/// Bytes of one list that are read.
const LARGEST_LIST: usize = 8 << 20;
const DEADLINE: Duration = Duration::from_secs(5);

/// The Events of a VM, or why none could be read.
pub type EventsAnswer = Result<VmEvents, SourceError>;
/// The asking end of the queue.
pub type VmEventsAsker = queue::Asker<EventsQuery, EventsAnswer>;
/// The answering end of the queue.
pub type EventsQuestions = queue::Questions<EventsQuery, EventsAnswer>;

/// Creates the queue and returns both of its ends.
pub fn events_queue() -> (VmEventsAsker, EventsQuestions) {
    queue::queue()
}

/// Answers questions about Events.
#[derive(Clone)]
pub struct EventLists {
    client: BoundedClient,
    rate: Arc<ListRate>,
}

impl EventLists {
    pub fn new(cluster: &Cluster) -> Self {
        let client = BoundedClient {
            client: cluster.client.clone(),
            deadline: DEADLINE,
            limit: LARGEST_LIST,
            budget: cluster.budgets.events.clone(),
        };
        Self { client, rate: Arc::default() }
    }

    /// The same with another deadline.
    #[cfg(test)]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.client.deadline = deadline;
        self
    }

    /// Answers questions until `shutdown`, as many at a time as their queue has places.
    pub async fn run(self, mut questions: EventsQuestions, shutdown: CancellationToken) {
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                queue::Question { about, reply, .. } = questions.next() => {
                    let lists = self.clone();
                    tasks.spawn(async move {
                        tokio::select! {
                            // Nobody waits for the answer any more.
                            () = reply.closed() => None,
                            answer = lists.answer(about) => Some((reply, answer)),
                        }
                    });
                }
                Some(answered) = tasks.join_next() => {
                    if let Ok(Some((reply, answer))) = answered {
                        reply.send(answer);
                    }
                }
            }
        }
    }

    /// Lists the Events of each object of a VM, and of the launcher pod before the current one. What was read before a list
    /// failed is kept. A refusal is for all of them.
    async fn answer(&self, query: EventsQuery) -> EventsAnswer {
        let mut log = EventLog::new(query.clone());
        let mut error = None;
        for name in query.names() {
            match self.list_of(&query.namespace, &name, &mut log).await {
                Ok(()) => {}
                Err(denial) if denial.is_denial() => return Err(denial),
                Err(failure) => error = Some(failure),
            }
        }
        if query.had_former_pod
            && let Some(pod) = self.find_former_pod(&query).await
        {
            log.ask_for_pod(&pod);
            error = self.list_of(&query.namespace, &pod, &mut log).await.err().or(error);
        }
        let events = log.into_events(error.as_ref().map(unread), clock::now());
        match error {
            Some(error) if events.events.is_empty() => Err(error),
            _ => Ok(events),
        }
    }

    /// Returns the launcher pod of the VM that was killed last, but for the current one. Of that pod the kubelet says why it
    /// killed the guest; nothing else names it once it is gone.
    async fn find_former_pod(&self, query: &EventsQuery) -> Option<String> {
        let mut last = None;
        let take = |facts: EventFacts| {
            if query.is_of_former_pod(&facts) {
                last = last.take().max(Some((facts.event.last, facts.event.object.name)));
            }
        };
        // A list that fails, or is not complete, only leaves the pod unknown.
        let listed = self.list(&query.namespace, "involvedObject.kind%3DPod,reason%3DKilling", take).await;
        listed.inspect_err(|error| tracing::debug!(?error, "killed pods are not all known")).ok();
        last.map(|(_, pod)| pod.to_string())
    }

    /// Lists the Events about the objects of one name.
    async fn list_of(&self, namespace: &str, name: &str, log: &mut EventLog) -> Result<(), SourceError> {
        // It may not become another selector.
        if !is_dns_subdomain(name) {
            return Err(source_error(Reason::BadAnswer, msg!(collect.bad_name)));
        }
        let selector = format!("involvedObject.name%3D{name}");
        self.list(namespace, &selector, |facts| log.add(facts)).await
    }

    /// Lists Events of a namespace. Fails if some of them were not read; `add` gets the others.
    async fn list(
        &self,
        namespace: &str,
        selector: &str,
        mut add: impl FnMut(EventFacts) + Send,
    ) -> Result<(), SourceError> {
        if !is_dns_subdomain(namespace) {
            return Err(source_error(Reason::BadAnswer, msg!(collect.bad_name)));
        }
        let path =
            format!("/api/v1/namespaces/{namespace}/events?fieldSelector={selector}&limit={LIST_LENGTH}");
        self.rate.turn().await;
        let (mut read, mut unreadable) = (0, 0_u32);
        let take = |item: Item<'_>| match item {
            // The API server need not keep to the limit.
            Item::Whole(_) if read >= LIST_LENGTH => read += 1,
            Item::Whole(bytes) => {
                read += 1;
                match serde_json::from_slice(bytes) {
                    Ok(event) => add(facts(event)),
                    Err(_) => unreadable += 1,
                }
            }
            Item::TooLarge(_) => unreadable += 1,
        };
        let access = || Access { resource: "events".into(), namespace: Some(namespace.into()) };
        let listed = self.client.ask_items(&path, take).await;
        let head =
            listed.map_err(|failure| access().follow_error(&FollowError { stage: Stage::List, failure }))?;
        let more = head.metadata.0.r#continue.is_some_and(|token| !token.is_empty());
        match unreadable {
            _ if more || read > LIST_LENGTH => Err(source_error(Reason::TooLarge, msg!(events.more))),
            0 => Ok(()),
            _ => Err(source_error(
                Reason::TooLarge,
                msg!(events.some_left_out, count = unreadable.to_string()),
            )),
        }
    }
}

/// Decodes a list that is complete, as the fuzz targets do.
#[cfg(any(test, feature = "fuzzing"))]
pub fn decode(list: &[u8]) -> Option<Vec<EventFacts>> {
    let mut found = Vec::new();
    super::items::split_items(list, |item| {
        if let Item::Whole(bytes) = item
            && let Ok(event) = serde_json::from_slice(bytes)
        {
            found.push(facts(event));
        }
    })?;
    Some(found)
}

/// Takes over what is used of an Event. The times of the newer API precede, as in kubectl.
fn facts(event: ListedEvent) -> EventFacts {
    let (object, series) = (event.involved_object.0, event.series.0);
    let time = |texts: &[&str]| texts.iter().find_map(|text| time::rfc3339(text).filter(|time| *time > 0));
    let created = &*event.metadata.0.creation_timestamp;
    let last = [&*series.last_observed_time, &*event.last_timestamp, &*event.event_time];
    let first = [&*event.first_timestamp, &*event.event_time];
    let last = time(&last).or_else(|| time(&[&*event.first_timestamp, created]));
    let count = series.count.0.or(event.count.0).unwrap_or(1);
    let component = if event.reporting_component.is_empty() {
        event.source.0.component.0
    } else {
        event.reporting_component.0
    };
    EventFacts {
        namespace: object.namespace.0,
        api_version: object.api_version.0,
        event: Event {
            warning: &*event.r#type == "Warning",
            reason: event.reason.0.into(),
            message: event.message.0.into(),
            count: u32::try_from(count).unwrap_or(u32::MAX).max(1),
            first: time(&first).or_else(|| time(&[created])).or(last),
            last,
            object: EventObject { kind: object.kind.0.into(), name: object.name.0.into() },
            component: component.into(),
        },
    }
}

/// Spreads lists: at most [`LISTS_A_SECOND`] begin in any second. Remembers when the last ones began or will begin.
#[derive(Debug, Default)]
struct ListRate(Mutex<VecDeque<Instant>>);

impl ListRate {
    async fn turn(&self) {
        sleep_until(self.next()).await;
    }

    fn next(&self) -> Instant {
        let mut begun = self.0.lock();
        let free = match begun.len() {
            0..LISTS_A_SECOND => None,
            _ => begun.pop_front().map(|first| first + Duration::from_secs(1)),
        };
        let now = Instant::now();
        let begin = free.map_or(now, |free| free.max(now));
        begun.push_back(begin);
        begin
    }
}

//! Sends one request to one virt-handler, and describes why it failed.

use std::{net::SocketAddr, sync::Arc};

use tokio::time::Instant;

use super::answer::{AnswerReader, MOST_BYTES};
use crate::{
    budget::Budgets,
    clock::steady,
    config::{CollectConfig, VirtHandlerConfig},
    error::{Failure, fewer, is_tls, late, peer_error, source_error, useless},
    observation_sender::{Closed, ObservationRoom, ObservationSender, QueueRoom},
    poll::BoundedClient,
};
use i18n::msg;
use model::{message::Message, reason::Reason, source::SourceId};
use wukong_core::observation::{GuestsFacts, Observation, SourceError};

/// The result of asking one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    Failed,
    Late,
    /// Its certificate was not accepted.
    Distrusted,
}

/// A client for virt-handlers, and whose guests are read.
#[derive(Clone)]
pub struct VirtHandlerClient {
    client: BoundedClient,
    namespaces: Option<Arc<[String]>>,
    /// The room of all answers that wait to be applied.
    room: QueueRoom,
}

/// Bytes of all answers that wait to be applied: four of the largest.
const ROOM: usize = 4 * MOST_BYTES;

impl VirtHandlerClient {
    pub fn new(
        client: kube::Client,
        virt_handler: &VirtHandlerConfig,
        config: &CollectConfig,
        budgets: &Budgets,
    ) -> Self {
        let (deadline, limit) = (virt_handler.deadline, config.answer_limit);
        let client = BoundedClient { client, deadline, limit, budget: budgets.handlers.clone() };
        let namespaces = config.namespaces.as_deref().map(Arc::from);
        Self { client, namespaces, room: QueueRoom::new(ROOM) }
    }

    /// Sends all requests from now on through another client.
    pub fn replace(&mut self, client: kube::Client) {
        self.client.client = client;
    }

    /// Asks the virt-handler of a node and sends the observation. Fails if nobody receives any more.
    pub async fn ask(
        &self,
        node: &str,
        address: Option<SocketAddr>,
        sender: &ObservationSender,
    ) -> Result<Outcome, Closed> {
        // The guests are asked when the request arrives: that is the time of their counters.
        let (started, at) = (Instant::now(), steady());
        let (outcome, result, room) = match address {
            None => (Outcome::Failed, Err(no_pod(node)), None),
            Some(address) => match self.guests(node, address).await {
                Ok((facts, room)) => (Outcome::Answered, Ok(facts), Some(room)),
                Err(failure) => (outcome(&failure), Err(describe(node, &failure)), None),
            },
        };
        if outcome == Outcome::Answered {
            sender.send_latency(SourceId::VirtHandler, started).await?;
        }
        sender.send_with(Observation::Guests { node: node.to_owned(), at, result }, room).await?;
        Ok(outcome)
    }

    /// Returns the facts, and the room that they take until they are applied. A request keeps its place of the budget
    /// while it waits for room, so that all answers under way take no more than the budget.
    async fn guests(
        &self,
        node: &str,
        address: SocketAddr,
    ) -> Result<(GuestsFacts, ObservationRoom), Failure> {
        let mut reader = AnswerReader::new(node, self.namespaces.clone(), self.client.limit);
        let take = |piece: &[u8]| reader.read(piece).map(|()| reader.bytes());
        let lease = self.client.ask_text(&format!("https://{address}/metrics"), take).await?;
        let bytes = reader.bytes();
        let answered = (reader.finish()?, self.room.take(bytes).await);
        drop(lease);
        Ok(answered)
    }
}

fn outcome(failure: &Failure) -> Outcome {
    match failure {
        Failure::Late(_) => Outcome::Late,
        Failure::Transport(error) if is_tls(error.as_ref()) => Outcome::Distrusted,
        _ => Outcome::Failed,
    }
}

fn describe(node: &str, failure: &Failure) -> SourceError {
    match failure {
        Failure::Late(deadline) => late(handler(node), *deadline),
        Failure::Transport(error) if is_tls(error.as_ref()) => {
            source_error(Reason::Unreachable, msg!(collect.handler_tls, peer = handler(node)))
        }
        Failure::Transport(error) => peer_error(handler(node), error.as_ref()),
        Failure::Status { code, .. } => status(node, code.as_u16()),
        Failure::Own(error) => error.clone(),
        other => useless(msg!(collect.of_handler, node = node), other),
    }
}

fn status(node: &str, code: u16) -> SourceError {
    let (peer, number) = (handler(node), code.to_string());
    match code {
        429 => fewer(peer),
        // It answers so if it is asked by more than three at the same time.
        503 => source_error(Reason::Busy, msg!(collect.handler_busy, peer = peer)),
        500..=599 => source_error(Reason::Unreachable, msg!(collect.unavailable, peer = peer, code = number)),
        _ => source_error(Reason::BadAnswer, msg!(collect.answers, peer = peer, code = number)),
    }
}

fn no_pod(node: &str) -> SourceError {
    source_error(Reason::Unreachable, msg!(collect.no_handler, node = node))
}

fn handler(node: &str) -> Message {
    msg!(collect.handler, node = node)
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use bytes::Bytes;
    use futures::{StreamExt, stream};
    use http::{Request, Response, StatusCode};
    use http_body::Frame;
    use http_body_util::StreamBody;
    use tokio::{sync::Notify, time::timeout};

    use super::*;
    use crate::{budget::Budget, tests::is_translated};
    use i18n::Render;

    #[test]
    fn every_failure_names_its_node_and_has_a_reason() {
        let status =
            |code: u16| Failure::Status { code: StatusCode::from_u16(code).unwrap(), retry_after: None };
        for (failure, reason) in [
            (status(401), Reason::BadAnswer),
            (status(302), Reason::BadAnswer),
            (status(404), Reason::BadAnswer),
            (status(429), Reason::Unreachable),
            (status(500), Reason::Unreachable),
            (status(503), Reason::Busy),
            (Failure::Late(Duration::from_secs(15)), Reason::TimedOut),
            (Failure::TooLarge(5), Reason::TooLarge),
            (Failure::TooMany(5), Reason::TooLarge),
            (Failure::Undecodable, Reason::BadAnswer),
            (
                Failure::Transport(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into()),
                Reason::Unreachable,
            ),
            (Failure::Transport(rustls::Error::DecryptError.into()), Reason::Unreachable),
        ] {
            let error = describe("n7", &failure);
            assert_eq!(error.reason, reason, "{failure:?}");
            assert!(error.detail.english().contains("n7") && is_translated(&error), "{error:?}");
        }
        assert!(no_pod("n7").detail.english().contains("n7") && is_translated(&no_pod("n7")));
    }

    const STALLS: u16 = 1;
    const SMALL: u16 = 2;
    const LARGE: u16 = 3;

    /// A client for virt-handlers, which answer by their port. The answer of `STALLS` never ends, and this is told
    /// when all that it says was read.
    fn client(was_read: &Arc<Notify>) -> VirtHandlerClient {
        let was_read = was_read.clone();
        let peer = tower::service_fn(move |request: Request<kube::client::Body>| {
            let port = request.uri().port_u16().unwrap_or_default();
            let guests = if port == SMALL { 1 } else { 500 };
            let line = |guest: usize| {
                format!(
                    "kubevirt_vmi_memory_unused_bytes{{name=\"vm-{guest}\",namespace=\"a\",node=\"n\"}} 1\n"
                )
            };
            let text: String = (0..guests).map(line).collect();
            let was_read = was_read.clone();
            let end = stream::once(async move {
                if port == STALLS {
                    was_read.notify_one();
                    std::future::pending::<()>().await;
                }
                Bytes::new()
            });
            let pieces = stream::iter([Bytes::from(text)]).chain(end);
            let body = StreamBody::new(pieces.map(|piece| Ok::<_, Infallible>(Frame::data(piece))));
            async move { Ok::<_, Infallible>(Response::new(body)) }
        });
        let budgets = Budgets { handlers: Budget::new(&[(1, MOST_BYTES)]), ..Budgets::default() };
        let config =
            VirtHandlerConfig { deadline: Duration::from_secs(3600), ..VirtHandlerConfig::default() };
        VirtHandlerClient::new(
            kube::Client::new(peer, "default"),
            &config,
            &CollectConfig::default(),
            &budgets,
        )
    }

    /// Otherwise 32 nodes that never end their answers hold 2 MiB each.
    #[tokio::test(start_paused = true)]
    async fn large_answers_that_are_being_read_wait_for_one_another() {
        let was_read = Arc::new(Notify::new());
        let client = client(&was_read);
        let ask = |port| {
            let client = client.clone();
            async move {
                client.guests("n", ([127, 0, 0, 1], port).into()).await.map(|(facts, _)| facts.guests.len())
            }
        };
        let stalls = tokio::spawn(ask(STALLS));
        was_read.notified().await;
        assert!(timeout(Duration::from_secs(60), ask(LARGE)).await.is_err(), "there is one place");
        assert_eq!(ask(SMALL).await.unwrap(), 1, "a small answer needs none");
        stalls.abort();
        assert!(stalls.await.is_err());
        assert_eq!(ask(LARGE).await.unwrap(), 500);
    }
}

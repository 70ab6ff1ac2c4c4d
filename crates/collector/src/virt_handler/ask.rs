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
        // Answers are read in pieces, and need no place of a budget.
        let client = BoundedClient { client, deadline, limit, budget: budgets.kubelets.clone() };
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

    /// Returns the facts, and the room that they take until they are applied. A request keeps its slot while it
    /// waits for room, so that no more answers than slots are read meanwhile.
    async fn guests(
        &self,
        node: &str,
        address: SocketAddr,
    ) -> Result<(GuestsFacts, ObservationRoom), Failure> {
        let mut reader = AnswerReader::new(node, self.namespaces.clone(), self.client.limit);
        self.client.ask_text(&format!("https://{address}/metrics"), |piece| reader.read(piece)).await?;
        let bytes = reader.bytes();
        Ok((reader.finish()?, self.room.take(bytes).await))
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
    use std::time::Duration;

    use http::StatusCode;

    use super::*;
    use crate::tests::is_translated;
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
}

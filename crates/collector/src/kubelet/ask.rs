//! Sends one request to one kubelet: directly, through the API server's node proxy, or through it after a
//! direct request has failed.

use std::{net::IpAddr, sync::Arc};

use tokio::time::Instant;

use super::answer::{self, MOST_BYTES, MOST_VOLUMES, Volumes};
use crate::{
    client::DirectClient,
    clock::steady,
    config::KubeletAccess,
    error::{Failure, fewer, is_tls, late, peer_error, source_error, transport_error, unauthorized, useless},
    observation_sender::{Closed, ObservationRoom, ObservationSender, QueueRoom},
    poll::{BoundedClient, decode_apart},
};
use i18n::{key, msg};
use model::{figure::Source, message::Message, name::is_dns_subdomain, reason::Reason, source::SourceId};
use wukong_core::observation::{Observation, SourceError, SummaryFacts};

/// The result of asking one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    /// The node, or the API server on its behalf, returned no figures.
    Failed,
    Late,
    /// The API server could not be reached.
    Away,
}

/// Bytes of all summaries that are being decoded or wait to be applied: eight of the largest.
pub const ROOM: usize = 8 * MOST_BYTES;

/// The permission for requests through the API server.
const PROXY: &str = "get nodes/proxy";

/// How a kubelet is reached this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    Proxy {
        /// The result of the last direct request. If the proxy is denied too, the error text says that fixing
        /// direct requests would be enough.
        direct: Option<Direct>,
    },
    Direct(IpAddr),
    /// Directly, and through the API server if that fails.
    Either(IpAddr),
    /// Only direct requests are configured, and the node's address is not known.
    Nowhere,
}

/// The result of a direct request to a kubelet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direct {
    Answered,
    Denied,
    Failed,
}

/// The clients and settings that all requests share.
#[derive(Clone)]
pub struct KubeletClients {
    pub proxy: BoundedClient,
    /// `None` if kubelets are only asked through the API server.
    pub direct: Option<DirectClient>,
    pub access: KubeletAccess,
    pub port: u16,
    pub namespaces: Option<Arc<[String]>>,
    /// The room of all summaries, from before they are decoded until they are applied.
    pub room: QueueRoom,
}

/// The result of asking one node, after one or two requests.
pub struct PollOutcome {
    pub started: Instant,
    pub outcome: Outcome,
    /// Whether the outcome is that of a request through the API server.
    pub proxied: bool,
    /// `None` if the node was not asked directly.
    pub direct: Option<Direct>,
}

impl KubeletClients {
    /// Asks one node and sends the observation. Fails if nobody receives any more.
    pub async fn ask(
        &self,
        node: &str,
        route: Route,
        sender: &ObservationSender,
    ) -> Result<PollOutcome, Closed> {
        let started = Instant::now();
        let (direct, answer) = match route {
            Route::Proxy { direct } => (None, self.proxied(node, direct).await),
            Route::Direct(address) => self.direct(node, address).await,
            Route::Either(address) => match self.direct(node, address).await {
                (direct, answer) if answer.outcome == Outcome::Answered => (direct, answer),
                (direct, _) => (direct, self.proxied(node, direct).await),
            },
            Route::Nowhere => (None, RequestOutcome::failed(no_address(node))),
        };
        let RequestOutcome { outcome, result, proxied, room } = answer;
        if outcome == Outcome::Answered {
            sender.send_latency(SourceId::Kubelet, started).await?;
        }
        sender.send_with(Observation::Summary { node: node.to_owned(), at: steady(), result }, room).await?;
        Ok(PollOutcome { started, outcome, proxied, direct })
    }

    async fn proxied(&self, node: &str, direct: Option<Direct>) -> RequestOutcome {
        let Some(path) = path(node) else { return RequestOutcome::failed(bad_name()) };
        let outcome = |failure: &Failure| match failure {
            Failure::Late(_) => Outcome::Late,
            failure if failure.is_transport() => Outcome::Away,
            _ => Outcome::Failed,
        };
        let volumes = self.volumes(&self.proxy, &path).await;
        RequestOutcome::of(node, Source::KubeletProxy, volumes, outcome, |failure| {
            describe_proxied(node, direct, failure)
        })
    }

    async fn direct(&self, node: &str, address: IpAddr) -> (Option<Direct>, RequestOutcome) {
        let Some(DirectClient { client, .. }) = &self.direct else {
            return (None, RequestOutcome::failed(no_address(node)));
        };
        let client = BoundedClient { client: client.clone(), ..self.proxy.clone() };
        let volumes = self.volumes(&client, &url(address, self.port)).await;
        let direct = match &volumes {
            Ok(_) => Direct::Answered,
            Err(Failure::Status { code, .. }) if matches!(code.as_u16(), 401 | 403) => Direct::Denied,
            Err(_) => Direct::Failed,
        };
        // A kubelet that does not answer says nothing about the API server.
        let outcome = |failure: &Failure| match failure {
            Failure::Late(_) => Outcome::Late,
            _ => Outcome::Failed,
        };
        let describe = |failure: &Failure| describe_direct(node, failure);
        (Some(direct), RequestOutcome::of(node, Source::KubeletDirect, volumes, outcome, describe))
    }

    /// Asks for a summary and decodes it once there is room for the largest. The rest of the room is given back
    /// at once, so that small summaries keep nobody waiting.
    async fn volumes(
        &self,
        client: &BoundedClient,
        url: &str,
    ) -> Result<(Volumes, ObservationRoom), Failure> {
        let namespaces = self.namespaces.clone();
        let answer = client.read(url).await?;
        let mut room = self.room.take(MOST_BYTES).await;
        let decode = move |answer: &[u8]| answer::decode(answer, namespaces.as_deref());
        let volumes = decode_apart(answer, decode).await.ok_or(Failure::Undecodable)?;
        room.shrink_to(volumes.bytes);
        Ok((volumes, room))
    }
}

/// The result of one request, for the join and for the next round.
struct RequestOutcome {
    outcome: Outcome,
    result: Result<SummaryFacts, SourceError>,
    proxied: bool,
    room: Option<ObservationRoom>,
}

impl RequestOutcome {
    fn of(
        node: &str,
        source: Source,
        answer: Result<(Volumes, ObservationRoom), Failure>,
        outcome: impl Fn(&Failure) -> Outcome,
        describe: impl Fn(&Failure) -> SourceError,
    ) -> Self {
        let proxied = source == Source::KubeletProxy;
        match answer {
            Ok((Volumes { stats, pods, node_filesystems, node_usage, is_incomplete, .. }, room)) => {
                let left_out = is_incomplete.then(|| source_error(Reason::TooLarge, too_many_volumes(node)));
                let facts =
                    SummaryFacts { source, volumes: stats, pods, node_filesystems, node_usage, left_out };
                Self { outcome: Outcome::Answered, result: Ok(facts), proxied, room: Some(room) }
            }
            Err(failure) => {
                Self { outcome: outcome(&failure), result: Err(describe(&failure)), proxied, room: None }
            }
        }
    }

    /// The result if no request was sent.
    fn failed(error: SourceError) -> Self {
        Self { outcome: Outcome::Failed, result: Err(error), proxied: false, room: None }
    }
}

/// The path of the request. `None` unless this is a valid node name. Names come from objects that users
/// write, such as the status of a Wukong: a name with slashes would choose another path for this program's
/// credentials.
fn path(node: &str) -> Option<String> {
    is_dns_subdomain(node).then(|| format!("/api/v1/nodes/{node}/proxy/stats/summary"))
}

fn url(address: IpAddr, port: u16) -> String {
    format!("https://{}/stats/summary", std::net::SocketAddr::new(address, port))
}

fn bad_name() -> SourceError {
    source_error(Reason::NoNode, msg!(collect.node_name))
}

fn no_address(node: &str) -> SourceError {
    source_error(Reason::NoNode, msg!(collect.no_address, node = node))
}

fn describe_proxied(node: &str, direct: Option<Direct>, failure: &Failure) -> SourceError {
    match failure {
        Failure::Transport(error) => transport_error(error.as_ref()),
        Failure::Status { code, .. } => proxied_status(node, direct, code.as_u16()),
        other => describe(node, other),
    }
}

fn describe_direct(node: &str, failure: &Failure) -> SourceError {
    match failure {
        Failure::Transport(error) if is_tls(error.as_ref()) => {
            source_error(Reason::Unreachable, msg!(collect.kubelet_tls, peer = kubelet(node)))
        }
        Failure::Transport(error) => peer_error(kubelet(node), error.as_ref()),
        Failure::Status { code, .. } => direct_status(node, code.as_u16()),
        other => describe(node, other),
    }
}

/// Describes failures that are the same for both routes.
fn describe(node: &str, failure: &Failure) -> SourceError {
    match failure {
        Failure::Late(deadline) => late(kubelet(node), *deadline),
        Failure::BadName => bad_name(),
        Failure::Own(error) => error.clone(),
        other => useless(msg!(collect.of_kubelet, node = node), other),
    }
}

fn too_many_volumes(node: &str) -> Message {
    let (count, bytes) = (MOST_VOLUMES.to_string(), MOST_BYTES.to_string());
    msg!(collect.too_many_volumes, node = node, count = count, bytes = bytes)
}

fn kubelet(node: &str) -> Message {
    msg!(collect.kubelet, node = node)
}

fn proxied_status(node: &str, direct: Option<Direct>, code: u16) -> SourceError {
    let peer = kubelet(node);
    match code {
        401 => unauthorized(msg!(collect.api_server)),
        403 if direct == Some(Direct::Denied) => denied(key!(permission.kubelet), node),
        // For example if kubelets sign their own certificates.
        403 if direct == Some(Direct::Failed) => {
            let words = vec![denied(PROXY, node).detail, msg!(collect.not_direct)];
            source_error(Reason::Forbidden, Message::List(words))
        }
        403 => denied(PROXY, node),
        404 => source_error(Reason::Unreachable, msg!(collect.no_node, node = node)),
        504 => source_error(Reason::TimedOut, msg!(collect.timed_out, peer = peer)),
        429 => fewer(msg!(collect.api_server)),
        500..=599 => {
            source_error(Reason::Unreachable, msg!(collect.not_reached, peer = peer, code = code.to_string()))
        }
        _ => odd_status(peer, code),
    }
}

fn direct_status(node: &str, code: u16) -> SourceError {
    let peer = kubelet(node);
    match code {
        401 => unauthorized(peer),
        403 => denied("get nodes/stats", node),
        404 => source_error(Reason::Unreachable, msg!(collect.no_summary, peer = peer)),
        429 => fewer(peer),
        504 => source_error(Reason::TimedOut, msg!(collect.timed_out, peer = peer)),
        500..=599 => {
            let words = msg!(collect.unavailable, peer = peer, code = code.to_string());
            source_error(Reason::Unreachable, words)
        }
        _ => odd_status(peer, code),
    }
}

fn denied(permission: impl Into<Message>, node: &str) -> SourceError {
    source_error(Reason::Forbidden, msg!(collect.on_node, permission = permission, node = node))
}

fn odd_status(peer: Message, code: u16) -> SourceError {
    source_error(Reason::BadAnswer, msg!(collect.answers, peer = peer, code = code.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::is_translated;
    use i18n::Render;

    #[test]
    fn a_name_cannot_choose_another_path() {
        assert_eq!(
            path("node-1.example.org").unwrap(),
            "/api/v1/nodes/node-1.example.org/proxy/stats/summary"
        );
        for name in
            ["", ".", "..", "../../secrets", "a/b", "a?b", "a%2fb", "a b", "A", "-a", "a.", "a..b", "a#"]
        {
            assert_eq!(path(name), None, "{name}");
        }
        assert_eq!(path(&"a".repeat(254)), None);
    }

    #[test]
    fn an_address_of_either_kind_makes_a_url() {
        for (address, want) in [
            ("10.0.0.7", "https://10.0.0.7:10250/stats/summary"),
            ("fd00::7", "https://[fd00::7]:10250/stats/summary"),
            ("::ffff:10.0.0.7", "https://[::ffff:10.0.0.7]:10250/stats/summary"),
        ] {
            let url = url(address.parse().unwrap(), 10250);
            assert_eq!(url, want);
            assert!(url.parse::<http::Uri>().is_ok(), "{url}");
        }
    }

    #[test]
    fn every_failure_names_its_node() {
        for code in [403, 404, 418, 500, 502, 503, 504] {
            for error in [proxied_status("n7", None, code), direct_status("n7", code)] {
                assert!(error.detail.english().contains("n7"), "{error:?}");
                assert!(is_translated(&error), "{error:?}");
            }
        }
        let details = [
            proxied_status("n7", None, 403),
            proxied_status("n7", Some(Direct::Denied), 403),
            direct_status("n7", 403),
            proxied_status("n7", Some(Direct::Failed), 403),
        ]
        .map(|error| (error.reason, error.detail.english()));
        let want = [
            "get nodes/proxy (node n7)",
            "get nodes/stats or nodes/proxy (node n7)",
            "get nodes/stats (node n7)",
            "get nodes/proxy (node n7); direct connection failed: check port 10250 and --kubelet-ca",
        ]
        .map(|words| (Reason::Forbidden, words.to_owned()));
        assert_eq!(details, want);
    }
}

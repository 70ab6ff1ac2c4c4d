//! Turns failures into a closed reason and a plain text. The text names the resource, the node and the
//! permission, but no addresses, credentials or texts of libraries.

use std::{
    error::Error as StdError,
    io::{self, ErrorKind},
    time::Duration,
};

use http::StatusCode;

use super::{
    connect::{CredentialError, ProxyError, TooManyInterim, TooMuchOverhead},
    transport::{NoWatch, Silent},
};
use crate::{duration::seconds, k8s::peer_error::PeerError};
use i18n::msg;
use model::{message::Message, reason::Reason};
use wukong_core::observation::SourceError;

/// A collection and the scope that it is requested in.
#[derive(Clone, Debug)]
pub struct Access {
    /// `wukongs.vm.novasphere.dev`
    pub resource: String,
    /// `None` means cluster scope.
    pub namespace: Option<String>,
}

impl Access {
    /// The permission as text: `list wukongs.vm.novasphere.dev at cluster scope`.
    pub fn permission(&self, verb: &str) -> Message {
        let resource = self.resource.as_str();
        match &self.namespace {
            Some(namespace) => {
                msg!(collect.in_namespace, verb = verb, resource = resource, namespace = namespace.as_str())
            }
            None => msg!(collect.everywhere, verb = verb, resource = resource),
        }
    }

    /// The failure for a list without a resource version that a watch could start from.
    pub fn no_version(&self) -> Failure {
        let words = msg!(collect.no_version, resource = self.resource.as_str());
        Failure::Own(source_error(Reason::BadAnswer, words))
    }

    /// The error for a list or watch of this collection that failed.
    pub fn follow_error(&self, FollowError { stage, failure }: &FollowError) -> SourceError {
        let (verb, resource) = (stage.verb(), self.resource.as_str());
        match failure {
            Failure::Status { code, .. } | Failure::Refused { code, .. } => {
                self.status_error(code.as_u16(), verb)
            }
            Failure::Transport(error) => transport_error(error.as_ref()),
            Failure::Late(deadline) => late(msg!(collect.api_server), *deadline),
            Failure::TooLarge(_) | Failure::TooMany(_) => useless(resource, failure),
            Failure::Undecodable | Failure::BadName => {
                source_error(Reason::BadAnswer, msg!(collect.broken, verb = verb, resource = resource))
            }
            Failure::Own(error) => error.clone(),
        }
    }

    /// The error for an unsuccessful answer of the API server.
    pub fn status_error(&self, code: u16, verb: &str) -> SourceError {
        let (resource, number) = (self.resource.as_str(), code.to_string());
        let (reason, words) = match code {
            401 => return unauthorized(msg!(collect.api_server)),
            403 => (Reason::Forbidden, self.permission(verb)),
            404 => (Reason::ApiAbsent, msg!(collect.not_served, resource = resource)),
            504 => (Reason::TimedOut, msg!(collect.slow_resource, resource = resource)),
            429 => return fewer(msg!(collect.api_server)),
            500..=599 => (Reason::Unreachable, msg!(collect.no_resource, resource = resource, code = number)),
            _ => {
                let words = msg!(collect.answers_to, verb = verb, resource = resource, code = number);
                (Reason::BadAnswer, words)
            }
        };
        source_error(reason, words)
    }
}

/// An error with this reason and this text for readers.
pub fn source_error(reason: Reason, detail: Message) -> SourceError {
    SourceError { reason, detail }
}

/// The error for a peer that does not accept the credentials (401).
pub fn unauthorized(peer: Message) -> SourceError {
    source_error(Reason::Unauthenticated, msg!(collect.unauthorized, peer = peer))
}

/// The error for a peer that is asked too often (429).
pub fn fewer(peer: Message) -> SourceError {
    source_error(Reason::Unreachable, msg!(collect.fewer, peer = peer))
}

/// The error for a peer that did not answer within the deadline.
pub fn late(peer: impl Into<Message>, deadline: Duration) -> SourceError {
    source_error(Reason::TimedOut, msg!(collect.late, peer = peer, seconds = seconds(deadline)))
}

/// The error for an answer that cannot be used, or a request that cannot be sent.
pub fn useless(peer: impl Into<Message>, failure: &Failure) -> SourceError {
    let (reason, words) = match failure {
        Failure::TooLarge(limit) => (Reason::TooLarge, msg!(collect.too_large, bytes = limit.to_string())),
        Failure::TooMany(limit) => (Reason::TooLarge, msg!(collect.too_many, count = limit.to_string())),
        Failure::BadName => (Reason::BadAnswer, msg!(collect.bad_name)),
        _ => (Reason::BadAnswer, msg!(collect.undecodable)),
    };
    source_error(reason, msg!(collect.about, peer = peer, words = words))
}

/// Why a request failed.
#[derive(Debug)]
pub enum Failure {
    /// The deadline passed.
    Late(Duration),
    /// The connection failed, or the answer broke off.
    Transport(Box<dyn StdError + Send + Sync>),
    Status {
        code: StatusCode,
        retry_after: Option<Duration>,
    },
    /// The same from a peer outside the cluster, with what its answer says.
    Refused {
        code: StatusCode,
        retry_after: Option<Duration>,
        says: PeerError,
    },
    TooLarge(usize),
    /// The answer contains more items than this.
    TooMany(usize),
    /// The answer is not in the expected form.
    Undecodable,
    /// The name to ask for, or something else of the request, is not valid, so that it was not sent.
    BadName,
    /// All or part of the work was not done, for a reason that is already known.
    Own(SourceError),
}

/// The stage at which following a collection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    List,
    /// Opening a watch.
    Open,
    /// Reading a watch.
    Read,
    /// Creating a review.
    Create,
    /// Reading one object.
    Get,
}

impl Stage {
    /// The RBAC verb of this stage.
    pub fn verb(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Open | Self::Read => "watch",
            Self::Create => "create",
            Self::Get => "get",
        }
    }
}

/// Why following a collection failed.
#[derive(Debug)]
pub struct FollowError {
    pub stage: Stage,
    pub failure: Failure,
}

/// Whether a connection was cut, as usually happens to a watch after some minutes. If a chunk broke off, only
/// the text of hyper's error tells.
pub fn is_cut(error: &(dyn StdError + 'static)) -> bool {
    let cut = |error: &(dyn StdError + 'static)| {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        kind == Some(ErrorKind::UnexpectedEof) || error.to_string().contains("unexpected EOF during chunk")
    };
    causes(error).any(cut)
}

impl Failure {
    /// Whether a smaller answer might succeed: this one was too large or took too long.
    pub fn is_of_size(&self) -> bool {
        match self {
            Self::TooLarge(_) | Self::Late(_) => true,
            Self::Transport(error) => causes(error.as_ref()).any(|error| error.is::<Silent>()),
            _ => false,
        }
    }

    /// The status of an unsuccessful answer, and how long to wait before the next request.
    pub fn status(&self) -> Option<(StatusCode, Option<Duration>)> {
        match self {
            Self::Status { code, retry_after } | Self::Refused { code, retry_after, .. } => {
                Some((*code, *retry_after))
            }
            _ => None,
        }
    }

    /// Whether the API server itself could not be reached, whatever was requested.
    pub fn is_transport(&self) -> bool {
        matches!(self, Self::Transport(_))
    }
}

impl From<http::Error> for Failure {
    fn from(_: http::Error) -> Self {
        Self::BadName
    }
}

/// Describes why a request to the API server failed.
pub fn transport_error(error: &(dyn StdError + 'static)) -> SourceError {
    peer_error(msg!(collect.api_server), error)
}

/// Describes why a request to this peer failed.
pub fn peer_error(peer: impl Into<Message>, error: &(dyn StdError + 'static)) -> SourceError {
    let peer = peer.into();
    let known = causes(error).find_map(|error| known_cause(&peer, error));
    let (reason, words) =
        known.unwrap_or_else(|| (Reason::Unreachable, msg!(collect.unreachable, peer = peer)));
    source_error(reason, words)
}

/// Whether the error is about certificates, or about anything else in TLS.
pub fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    causes(error).any(|error| error.is::<rustls::Error>())
}

/// The error and its causes. An `io::Error` hides the error that it wraps from `source`, so that one is
/// unwrapped too.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    // Deeper than any chain that was seen; it also ends a chain with a cycle.
    std::iter::successors(Some(error), |error| below(*error)).take(16)
}

fn below<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// The TLS error in the chain, if there is one.
pub fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    causes(error).find_map(|error| error.downcast_ref::<rustls::Error>())
}

fn known_cause(peer: &Message, error: &(dyn StdError + 'static)) -> Option<(Reason, Message)> {
    let peer = || peer.clone();
    if error.is::<Silent>() {
        return Some((Reason::TimedOut, msg!(collect.silent, peer = peer())));
    }
    if error.is::<NoWatch>() {
        return Some((Reason::BadAnswer, msg!(collect.no_watch, peer = peer())));
    }
    if error.is::<rustls::Error>() {
        return Some((Reason::Unreachable, msg!(collect.tls, peer = peer())));
    }
    if let Some(error) = error.downcast_ref::<CredentialError>() {
        return Some(error.describe());
    }
    if let Some(error) = error.downcast_ref::<ProxyError>() {
        return Some(error.describe(peer()));
    }
    if error.is::<TooMuchOverhead>() {
        return Some((Reason::BadAnswer, msg!(collect.overhead, peer = peer())));
    }
    if error.is::<TooManyInterim>() {
        return Some((Reason::BadAnswer, msg!(collect.interim, peer = peer())));
    }
    if let Some(known) = error.downcast_ref().and_then(|error| http_cause(peer(), error)) {
        return Some(known);
    }
    io_cause(peer(), error.downcast_ref::<io::Error>()?.kind())
}

fn http_cause(peer: Message, error: &hyper::Error) -> Option<(Reason, Message)> {
    match error {
        _ if error.is_incomplete_message() => Some((Reason::Unreachable, msg!(collect.closed, peer = peer))),
        _ if error.is_parse_too_large() => Some((Reason::BadAnswer, msg!(collect.large_head, peer = peer))),
        _ => None,
    }
}

fn io_cause(peer: Message, kind: ErrorKind) -> Option<(Reason, Message)> {
    Some(match kind {
        ErrorKind::ConnectionRefused => (Reason::Unreachable, msg!(collect.refused, peer = peer)),
        ErrorKind::TimedOut => (Reason::TimedOut, msg!(collect.unanswered, peer = peer)),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            (Reason::Unreachable, msg!(collect.no_route, peer = peer))
        }
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => (Reason::Unreachable, msg!(collect.closed, peer = peer)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::is_translated;
    use i18n::Render;

    fn wukongs(namespace: Option<&str>) -> Access {
        Access { resource: "wukongs.vm.novasphere.dev".into(), namespace: namespace.map(Into::into) }
    }

    fn api(stage: Stage, code: u16) -> FollowError {
        let code = StatusCode::from_u16(code).unwrap();
        FollowError { stage, failure: Failure::Status { code, retry_after: None } }
    }

    fn broken(error: impl StdError + Send + Sync + 'static) -> FollowError {
        FollowError { stage: Stage::Read, failure: Failure::Transport(Box::new(error)) }
    }

    #[test]
    fn a_denial_names_the_permission() {
        let error = wukongs(None).follow_error(&api(Stage::List, 403));
        let want = (Reason::Forbidden, "list wukongs.vm.novasphere.dev at cluster scope".to_owned());
        assert_eq!((error.reason, error.detail.english()), want);
        let error = wukongs(Some("prod")).follow_error(&api(Stage::Open, 403));
        assert_eq!(error.detail.english(), "watch wukongs.vm.novasphere.dev in namespace prod");
    }

    #[test]
    fn every_status_has_a_reason() {
        for (code, reason) in [
            (401, Reason::Unauthenticated),
            (403, Reason::Forbidden),
            (404, Reason::ApiAbsent),
            (429, Reason::Unreachable),
            (500, Reason::Unreachable),
            (503, Reason::Unreachable),
            (504, Reason::TimedOut),
            (302, Reason::BadAnswer),
            (418, Reason::BadAnswer),
        ] {
            let error = wukongs(None).follow_error(&api(Stage::List, code));
            assert_eq!(error.reason, reason, "{code}");
            let words = error.detail.english();
            assert!(!words.is_empty());
            assert!(is_translated(&error), "{error:?}");
        }
    }

    #[test]
    fn causes_are_found_however_deep() {
        for (error, reason) in [
            (io::Error::from(ErrorKind::ConnectionRefused), Reason::Unreachable),
            (io::Error::other(Silent(Duration::from_secs(1))), Reason::TimedOut),
            (io::Error::other(io::Error::other(io::Error::from(ErrorKind::TimedOut))), Reason::TimedOut),
            (io::Error::other("what"), Reason::Unreachable),
        ] {
            let words = format!("{error:?}");
            let error = wukongs(None).follow_error(&broken(kube::Error::ReadEvents(error)));
            assert_eq!(error.reason, reason, "{words}");
            assert!(is_translated(&error), "{error:?}");
        }
    }

    #[test]
    fn a_failure_without_a_status_has_a_message_too() {
        for failure in [
            Failure::Late(Duration::from_secs(60)),
            Failure::TooLarge(4096),
            Failure::TooMany(7),
            Failure::Undecodable,
        ] {
            let error = wukongs(None).follow_error(&FollowError { stage: Stage::List, failure });
            assert!(is_translated(&error), "{error:?}");
        }
    }

    #[test]
    fn a_connection_that_is_cut_is_known_however_deep() {
        for (error, cut) in [
            (io::Error::from(ErrorKind::UnexpectedEof), true),
            (io::Error::other(io::Error::from(ErrorKind::UnexpectedEof)), true),
            (io::Error::other("unexpected EOF during chunk size line"), true),
            (io::Error::from(ErrorKind::ConnectionReset), false),
            (io::Error::other(Silent(Duration::from_secs(1))), false),
        ] {
            assert_eq!(is_cut(&error), cut, "{error:?}");
        }
    }
}

//! What went wrong, as a closed reason and in plain words: resource, node and permission are named; addresses,
//! credentials and the words of libraries are not.

use std::{
    error::Error as StdError,
    io::{self, ErrorKind},
    time::Duration,
};

use http::StatusCode;
use kube::runtime::watcher;

use super::{
    connect::{CredentialError, ProxyError},
    transport::{NoWatch, Silent},
};
use crate::{
    model::{message::Message, reason::Reason},
    server::snapshot::facts::SourceError,
    words::msg,
};

/// A collection, and where it is asked for.
#[derive(Clone, Debug)]
pub struct Access {
    /// `wukongs.vm.novasphere.dev`
    pub resource: String,
    /// None: at cluster scope.
    pub namespace: Option<String>,
}

impl Access {
    /// `list wukongs.vm.novasphere.dev at cluster scope`
    pub fn permission(&self, verb: &str) -> Message {
        let resource = self.resource.as_str();
        match &self.namespace {
            Some(namespace) => {
                msg!(collect.in_namespace, verb = verb, resource = resource, namespace = namespace.as_str())
            }
            None => msg!(collect.everywhere, verb = verb, resource = resource),
        }
    }

    pub fn watch_error(&self, error: &watcher::Error) -> SourceError {
        match error {
            watcher::Error::InitialListFailed(error) => self.kube_error(error, "list"),
            watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
                self.kube_error(error, "watch")
            }
            watcher::Error::WatchError(status) => self.status_error(status.code, "watch"),
            watcher::Error::NoResourceVersion => {
                source_error(Reason::BadAnswer, msg!(collect.no_version, resource = self.resource.as_str()))
            }
        }
    }

    fn kube_error(&self, error: &kube::Error, verb: &str) -> SourceError {
        match error {
            kube::Error::Api(status) => self.status_error(status.code, verb),
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
                let words = msg!(collect.broken, verb = verb, resource = self.resource.as_str());
                source_error(Reason::BadAnswer, words)
            }
            other => transport_error(other),
        }
    }

    /// An answer of the API server that is no success.
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

pub fn source_error(reason: Reason, detail: Message) -> SourceError {
    SourceError { reason, detail }
}

/// It does not take the credentials (401).
pub fn unauthorized(peer: Message) -> SourceError {
    source_error(Reason::Unauthenticated, msg!(collect.unauthorized, peer = peer))
}

/// It is asked too often (429).
pub fn fewer(peer: Message) -> SourceError {
    source_error(Reason::Unreachable, msg!(collect.fewer, peer = peer))
}

/// It did not answer within the deadline.
pub fn late(peer: impl Into<Message>, deadline: Duration) -> SourceError {
    source_error(Reason::TimedOut, msg!(collect.late, peer = peer, seconds = seconds(deadline)))
}

/// What came of it cannot be used, or it cannot be asked.
pub fn useless(peer: impl Into<Message>, failure: &Failure) -> SourceError {
    let words = match failure {
        Failure::TooLarge(limit) => msg!(collect.too_large, bytes = limit.to_string()),
        Failure::BadName => msg!(collect.bad_name),
        _ => msg!(collect.undecodable),
    };
    source_error(Reason::BadAnswer, msg!(collect.about, peer = peer, words = words))
}

/// Why one polled request gave nothing.
#[derive(Debug)]
pub enum Failure {
    /// The deadline passed.
    Late(Duration),
    /// No HTTP answer, or it broke off.
    Transport(Box<dyn StdError + Send + Sync>),
    Status {
        code: StatusCode,
        retry_after: Option<Duration>,
    },
    TooLarge(usize),
    /// The answer is not what was asked for.
    Undecodable,
    /// What should be asked for is not askable.
    BadName,
    /// Nothing was asked, or not all: why is known already.
    Own(SourceError),
}

impl Failure {
    /// Whether the API server itself could not be reached, whatever was asked of it.
    pub fn is_transport(&self) -> bool {
        matches!(self, Self::Transport(_))
    }
}

/// `5`, `0.5`.
pub fn seconds(time: Duration) -> String {
    time.as_secs_f64().to_string()
}

/// What kept a request to the API server from being answered.
pub fn transport_error(error: &(dyn StdError + 'static)) -> SourceError {
    peer_error(msg!(collect.api_server), error)
}

/// What kept a request to this peer from being answered.
pub fn peer_error(peer: impl Into<Message>, error: &(dyn StdError + 'static)) -> SourceError {
    let peer = peer.into();
    let known = causes(error).find_map(|error| known_cause(&peer, error));
    let (reason, words) =
        known.unwrap_or_else(|| (Reason::Unreachable, msg!(collect.unreachable, peer = peer)));
    source_error(reason, words)
}

/// Whether it is about certificates, or whatever else keeps TLS from being spoken.
pub fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    causes(error).any(|error| error.is::<rustls::Error>())
}

/// The error and what lies under it. An `io::Error` hides what it wraps from `source`, so it is opened too.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    // Deeper than any chain that was seen, and an end to one that goes round.
    std::iter::successors(Some(error), |error| below(*error)).take(16)
}

fn below<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
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
        return Some(error.describe());
    }
    if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message) {
        return Some((Reason::Unreachable, msg!(collect.closed, peer = peer())));
    }
    io_cause(peer(), error.downcast_ref::<io::Error>()?.kind())
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
    use crate::server::collect::tests::is_translated;
    use kube::core::Status;

    fn wukongs(namespace: Option<&str>) -> Access {
        Access { resource: "wukongs.vm.novasphere.dev".into(), namespace: namespace.map(Into::into) }
    }

    fn api(code: u16) -> kube::Error {
        kube::Error::Api(
            Status::failure("token abc123 at https://10.0.0.1", "Secret").with_code(code).boxed(),
        )
    }

    #[test]
    fn a_denial_names_the_permission() {
        let listed = watcher::Error::InitialListFailed(api(403));
        let error = wukongs(None).watch_error(&listed);
        let want = (Reason::Forbidden, "list wukongs.vm.novasphere.dev at cluster scope".to_owned());
        assert_eq!((error.reason, error.detail.to_string()), want);
        let error = wukongs(Some("prod")).watch_error(&watcher::Error::WatchStartFailed(api(403)));
        assert_eq!(error.detail.to_string(), "watch wukongs.vm.novasphere.dev in namespace prod");
    }

    #[test]
    fn every_status_has_a_reason_and_leaks_nothing() {
        for (code, reason) in [
            (401, Reason::Unauthenticated),
            (403, Reason::Forbidden),
            (404, Reason::ApiAbsent),
            (429, Reason::Unreachable),
            (500, Reason::Unreachable),
            (503, Reason::Unreachable),
            (504, Reason::TimedOut),
            (0, Reason::BadAnswer),
            (418, Reason::BadAnswer),
        ] {
            let error = wukongs(None).watch_error(&watcher::Error::InitialListFailed(api(code)));
            assert_eq!(error.reason, reason, "{code}");
            let words = error.detail.to_string();
            assert!(!words.is_empty());
            assert!(!words.contains("abc123") && !words.contains("10.0.0.1"), "{words}");
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
            let error = watcher::Error::WatchFailed(kube::Error::ReadEvents(error));
            let error = wukongs(None).watch_error(&error);
            assert_eq!(error.reason, reason, "{words}");
            assert!(is_translated(&error), "{error:?}");
        }
    }
}

//! What went wrong, as a closed reason and in plain words: resource, node and permission are named; addresses,
//! credentials and the words of libraries are not.

use std::{
    error::Error as StdError,
    fmt,
    io::{self, ErrorKind},
    time::Duration,
};

use http::StatusCode;
use kube::runtime::watcher;

use super::transport::{NoWatch, Silent};
use crate::{model::reason::Reason, server::snapshot::facts::SourceError};

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
    pub fn permission(&self, verb: &str) -> String {
        match &self.namespace {
            Some(namespace) => format!("{verb} {} in namespace {namespace}", self.resource),
            None => format!("{verb} {} at cluster scope", self.resource),
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
                source_error(Reason::BadAnswer, format!("{} came without a resourceVersion", self.resource))
            }
        }
    }

    fn kube_error(&self, error: &kube::Error, verb: &str) -> SourceError {
        match error {
            kube::Error::Api(status) => self.status_error(status.code, verb),
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
                source_error(Reason::BadAnswer, format!("the answer to {verb} {} is broken", self.resource))
            }
            other => transport_error(other),
        }
    }

    /// An answer of the API server that is no success.
    pub fn status_error(&self, code: u16, verb: &str) -> SourceError {
        match code {
            401 => source_error(Reason::Forbidden, UNAUTHORIZED),
            403 => source_error(Reason::Forbidden, self.permission(verb)),
            404 => source_error(Reason::ApiAbsent, format!("this cluster does not serve {}", self.resource)),
            504 => {
                source_error(Reason::TimedOut, format!("the API server timed out on {} (504)", self.resource))
            }
            429 => source_error(Reason::Unreachable, "the API server asks for fewer requests (429)"),
            500..=599 => source_error(
                Reason::Unreachable,
                format!("the API server says {} is unavailable ({code})", self.resource),
            ),
            _ => source_error(
                Reason::BadAnswer,
                format!("the API server answers {verb} {} with {code}", self.resource),
            ),
        }
    }
}

const API_SERVER: &str = "the API server";
pub const UNAUTHORIZED: &str = "the API server does not accept this dashboard's credentials (401)";

pub fn source_error(reason: Reason, detail: impl Into<String>) -> SourceError {
    SourceError { reason, detail: detail.into() }
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

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late(deadline) => write!(f, "no answer within {}", seconds(*deadline)),
            Self::Transport(error) => f.write_str(&transport_words(API_SERVER, error.as_ref()).1),
            Self::Status { code, .. } => write!(f, "answered {}", code.as_u16()),
            Self::TooLarge(limit) => write!(f, "the answer is over the limit of {limit} bytes"),
            Self::Undecodable => f.write_str("the answer cannot be decoded"),
            Self::BadName => f.write_str("not a valid name"),
            Self::Own(error) => f.write_str(&error.detail),
        }
    }
}

impl Failure {
    /// Whether the API server itself could not be reached, whatever was asked of it.
    pub fn is_transport(&self) -> bool {
        matches!(self, Self::Transport(_))
    }
}

/// `5 s`, `0.5 s`.
pub fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// What kept a request to the API server from being answered.
pub fn transport_error(error: &(dyn StdError + 'static)) -> SourceError {
    peer_error(API_SERVER, error)
}

/// What kept a request to this peer from being answered.
pub fn peer_error(peer: &str, error: &(dyn StdError + 'static)) -> SourceError {
    let (reason, words) = transport_words(peer, error);
    source_error(reason, words)
}

fn transport_words(peer: &str, error: &(dyn StdError + 'static)) -> (Reason, String) {
    let known = causes(error).find_map(|error| known_cause(peer, error));
    known.unwrap_or_else(|| (Reason::Unreachable, format!("{peer} cannot be reached")))
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

fn known_cause(peer: &str, error: &(dyn StdError + 'static)) -> Option<(Reason, String)> {
    if error.is::<Silent>() {
        return Some((Reason::TimedOut, format!("{peer} has gone silent")));
    }
    if error.is::<NoWatch>() {
        return Some((Reason::BadAnswer, format!("{peer} ends watches before their first line")));
    }
    if error.is::<rustls::Error>() {
        let words = format!("the TLS handshake with {peer} failed: check its CA and name");
        return Some((Reason::Unreachable, words));
    }
    if error.is::<kube::client::AuthError>() {
        return Some((Reason::Forbidden, "this dashboard's credentials cannot be read".to_owned()));
    }
    if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message) {
        return Some((Reason::Unreachable, format!("{peer} closed the connection")));
    }
    io_cause(peer, error.downcast_ref::<io::Error>()?.kind())
}

fn io_cause(peer: &str, kind: ErrorKind) -> Option<(Reason, String)> {
    Some(match kind {
        ErrorKind::ConnectionRefused => (Reason::Unreachable, format!("{peer} refuses connections")),
        ErrorKind::TimedOut => (Reason::TimedOut, format!("{peer} does not answer")),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            (Reason::Unreachable, format!("there is no route to {peer}"))
        }
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => (Reason::Unreachable, format!("{peer} closed the connection")),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
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
        assert_eq!(error, source_error(Reason::Forbidden, "list wukongs.vm.novasphere.dev at cluster scope"));
        let error = wukongs(Some("prod")).watch_error(&watcher::Error::WatchStartFailed(api(403)));
        assert_eq!(error.detail, "watch wukongs.vm.novasphere.dev in namespace prod");
    }

    #[test]
    fn every_status_has_a_reason_and_leaks_nothing() {
        for (code, reason) in [
            (401, Reason::Forbidden),
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
            assert!(!error.detail.is_empty());
            assert!(
                !error.detail.contains("abc123") && !error.detail.contains("10.0.0.1"),
                "{}",
                error.detail
            );
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
            assert_eq!(wukongs(None).watch_error(&error).reason, reason, "{words}");
        }
    }
}

//! The audit log: who signed in, and what they asked for. Each event is one line of JSON with its own target, never
//! with a token, a cookie or a query.

use std::time::Duration;

use axum::http::StatusCode;

use super::{Credential, SignedIn};
use crate::server::{http::peer::Peer, log::AUDIT};
use wukong_core::access::UserInfo;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    SignIn,
    /// A provider said again who it is.
    Renewed,
    Refused,
    SignOut,
    Expired,
    Download,
    Api,
}

impl Event {
    fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Renewed => "renewed",
            Self::Refused => "refused",
            Self::SignOut => "sign_out",
            Self::Expired => "expired",
            Self::Download => "download",
            Self::Api => "api",
        }
    }
}

/// A request as the audit log names it.
pub struct AuditedRequest<'a> {
    pub peer: Option<Peer>,
    /// The route's template, without names and queries.
    pub route: &'a str,
    pub status: StatusCode,
    pub took: Duration,
}

/// Notes what somebody who is signed in asked for.
pub fn asked(event: Event, viewer: &SignedIn, asked: &AuditedRequest<'_>) {
    let user = viewer.user();
    let mode = match &*viewer.credential {
        Credential::Session(session) => session.mode().code(),
        Credential::Bearer(_) => "bearer",
    };
    tracing::info!(
        target: AUDIT,
        event = event.name(),
        user = user.name,
        uid = user.uid,
        groups = user.groups.len(),
        mode,
        session = viewer.credential.hash_text(),
        peer = asked.peer.map(tracing::field::display),
        route = asked.route,
        status = asked.status.as_u16(),
        namespaces = viewer.standing.scope.namespaces(),
        late = viewer.standing.is_late,
        ms = asked.took.as_millis() as u64,
    );
}

/// Notes that somebody signed in or out, or that their session has ended.
pub fn session(event: Event, user: Option<&UserInfo>, session: Option<&str>, peer: Option<Peer>) {
    tracing::info!(
        target: AUDIT,
        event = event.name(),
        user = user.map(|user| user.name.as_str()),
        uid = user.map(|user| user.uid.as_str()),
        groups = user.map(|user| user.groups.len()),
        session,
        peer = peer.map(tracing::field::display),
    );
}

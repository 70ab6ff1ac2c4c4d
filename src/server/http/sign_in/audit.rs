//! The audit log: who signed in, and what they asked for. Each event is one line of JSON with its own target, never
//! with a token, a cookie or a query. Names of users are written with [`escape_hidden`].

use std::time::Duration;

use axum::http::StatusCode;

use crate::server::{http::peer::Peer, log::AUDIT};
use model::hidden::escape_hidden;
use wukong_core::access::UserInfo;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    SignIn,
    /// A provider said again who it is.
    Renewed,
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

/// Somebody who is signed in, as the audit log names them.
pub struct AuditedViewer<'a> {
    pub user: &'a UserInfo,
    /// How they prove who they are.
    pub mode: &'static str,
    /// The hash of their session.
    pub session: String,
    /// How many namespaces they may see; `None` for all.
    pub namespaces: Option<usize>,
    /// Whether a part of that is valid only because its renewal is delayed.
    pub is_late: bool,
}

/// Notes what somebody who is signed in asked for.
pub fn asked(event: Event, viewer: &AuditedViewer<'_>, asked: &AuditedRequest<'_>) {
    let (user, uid) = (escape_hidden(&viewer.user.name), escape_hidden(&viewer.user.uid));
    tracing::info!(
        target: AUDIT,
        event = event.name(),
        user = &*user,
        uid = &*uid,
        groups = viewer.user.groups.len(),
        mode = viewer.mode,
        session = viewer.session,
        peer = asked.peer.map(tracing::field::display),
        route = asked.route,
        status = asked.status.as_u16(),
        namespaces = viewer.namespaces,
        late = viewer.is_late,
        ms = asked.took.as_millis() as u64,
    );
}

/// Notes how many lines about a user were not written. `user` is the group of service accounts if these count together,
/// and `None` if these are several users.
pub fn left_out(event: Event, user: Option<&str>, left_out: u64) {
    let user = user.map(escape_hidden);
    tracing::info!(target: AUDIT, event = event.name(), user = user.as_deref(), left_out);
}

/// Why somebody was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The API server does not know the token, or does not say whose it is.
    Token,
    /// The identity provider does not say who it is, or says somebody who may not sign in.
    Provider,
    /// What the authenticating proxy sends is not accepted.
    Proxy,
    /// The address has reached a limit.
    Limit,
    /// There are enough lines about the peer: this one counts the others.
    LeftOut,
}

/// Notes that nobody was signed in. `left_out` counts the lines that were not written.
pub fn refused(why: Refusal, peer: Option<Peer>, left_out: u64) {
    let why = match why {
        Refusal::Token => "token",
        Refusal::Provider => "provider",
        Refusal::Proxy => "proxy",
        Refusal::Limit => "limit",
        Refusal::LeftOut => "left_out",
    };
    let peer = peer.map(tracing::field::display);
    let left_out = (left_out > 0).then_some(left_out);
    tracing::info!(target: AUDIT, event = "refused", why, left_out, peer);
}

/// Notes that somebody signed in or out, or that their session has ended.
pub fn session(event: Event, user: Option<&UserInfo>, session: Option<&str>, peer: Option<Peer>) {
    let (name, uid) = (user.map(|user| escape_hidden(&user.name)), user.map(|user| escape_hidden(&user.uid)));
    tracing::info!(
        target: AUDIT,
        event = event.name(),
        user = name.as_deref(),
        uid = uid.as_deref(),
        groups = user.map(|user| user.groups.len()),
        session,
        peer = peer.map(tracing::field::display),
    );
}

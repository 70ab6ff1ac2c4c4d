//! What of a sign-in goes into the audit log, and about whom.

use std::sync::Arc;

use axum::http::{Method, request::Parts};

use super::{
    audit,
    auth_proxy::ProvenIdentity,
    credential::{Credential, NoViewer},
    paths::SIGN_IN,
    service::SignIn,
    session::{Proof, Session},
};
use crate::server::http::peer::Peer;
use wukong_core::access::UserInfo;

impl SignIn {
    /// Notes a form that was not read because its address sent too many requests.
    pub fn note_form_refused(&self, path: &str, request: &Parts) {
        if path == SIGN_IN && request.method == Method::POST {
            self.refusals.note(audit::Refusal::Limit, request.extensions.get().copied());
        }
    }

    /// Notes a token or an assertion that opens nothing.
    pub fn note_token_refused(&self, is_token: bool, no_viewer: &NoViewer, request: &Parts) {
        let refusal = match no_viewer {
            NoViewer::Refused(_) => audit::Refusal::Proxy,
            NoViewer::TooMany => audit::Refusal::Limit,
            NoViewer::Ended | NoViewer::NoTokens if is_token => audit::Refusal::Token,
            _ => return,
        };
        let is_line = self.refusals.note(refusal, request.extensions.get().copied());
        if let (NoViewer::Refused(why), Some(proxy), true) = (no_viewer, &self.auth_proxy, is_line) {
            proxy.log_refusal(why, request);
        }
    }

    /// Notes in the log that a request proves nothing, where only the authenticating proxy can prove anything.
    pub fn note_missing_assertion(&self, request: &Parts) {
        if let (Some(why), Some(proxy)) = (self.missing_assertion(request), &self.auth_proxy) {
            proxy.log_missing(&why, request.extensions.get().copied());
        }
    }

    /// Notes that a session is not valid any more. A cookie that nobody sealed was no session.
    pub fn note_expired(&self, request: &Parts) {
        if let Some(session) = self.session(request) {
            self.note_session(audit::Event::Expired, session, request.extensions.get().copied());
        }
    }

    /// Notes what happened to a session, and whose it was.
    pub fn note_session(&self, event: audit::Event, session: Session, peer: Option<Peer>) {
        let user = self.user_of(&session);
        let hash = Credential::Session(session).hash_text();
        audit::session(event, user.as_deref(), Some(&hash), peer);
    }

    /// Returns whose session it is or was. `None` if this process has not seen it while it was valid.
    fn user_of(&self, session: &Session) -> Option<Arc<UserInfo>> {
        match &session.proof {
            Proof::Identity(identity) => Some(identity.user.clone()),
            Proof::Token(token) => self.tokens.last_user(token),
        }
    }
}

/// Notes that somebody has signed out whom the authenticating proxy named.
pub fn note_proxy_sign_out(proven: &ProvenIdentity, peer: Option<Peer>) {
    let session = Credential::Proxy(proven.clone()).hash_text();
    audit::session(audit::Event::SignOut, Some(&proven.user), Some(&session), peer);
}

//! What a request proves about who makes it.

use std::sync::Arc;

use axum::http::{header, request::Parts};
use sha2::{Digest, Sha256};

use super::{
    auth_proxy::{AuthProxyFault, ProvenIdentity},
    service::SignIn,
    session::{Proof, Session, seconds_now, short_hash},
    tokens::{Identity, bearer},
};
use crate::server::{
    config::SignInMode,
    http::{address::is_api, error::ApiError, peer::Peer},
};
use i18n::msg;
use model::message::Message;
use wukong_core::access::UserInfo;

/// What proves who makes a request.
#[derive(Clone, Debug)]
pub enum Credential {
    Session(Session),
    /// The token of an `Authorization` header.
    Bearer(String),
    /// What the authenticating proxy proves.
    Proxy(ProvenIdentity),
}

/// Why nobody is known for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoViewer {
    /// The request proves nothing.
    SignedOut,
    /// The proof is not valid any more, or never was.
    Ended,
    /// The API server does not say whose token it is.
    Unanswered,
    /// The peer presented too many unknown tokens, or assertions that were refused.
    TooMany,
    /// What the authenticating proxy sends is not accepted.
    Refused(Message),
    /// What the authenticating proxy sends cannot be checked now.
    Unchecked(Message),
    /// It is a token, and nobody signs in with one.
    NoTokens,
    /// The request is older than what its proxy proved in it. The next one proves it again.
    Lapsed,
}

impl SignIn {
    /// Returns what to do about a request that proves nothing, if only an authenticating proxy can prove anything.
    pub fn missing_assertion(&self, request: &Parts) -> Option<Message> {
        let has_others = self.modes.has(SignInMode::Token) || self.oidc.is_some();
        self.auth_proxy.as_ref().filter(|_| !has_others).map(|proxy| proxy.missing(request))
    }

    /// Returns what to do about a program's request that proves nothing. `None` if a token would.
    pub fn missing_proof(&self, request: &Parts) -> Option<Message> {
        let browser = self.oidc.as_ref().filter(|_| !self.modes.has(SignInMode::Token));
        self.missing_assertion(request).or_else(|| browser.map(|_| msg!(sign_in.browsers_only)))
    }

    /// Returns whom the authenticating proxy asks for. `None` if the request proves nothing of it.
    pub async fn proven_by_proxy(&self, request: &Parts) -> Option<Result<ProvenIdentity, NoViewer>> {
        let takes_tokens = self.modes.has(SignInMode::Token);
        let proven = self.auth_proxy.as_ref()?.identify(request, takes_tokens).await?;
        Some(proven.map_err(|fault| match fault {
            AuthProxyFault::TooMany => NoViewer::TooMany,
            fault if fault.is_passing() => NoViewer::Unchecked(fault.message()),
            fault => NoViewer::Refused(fault.message()),
        }))
    }

    /// Returns what a request proves: a token in its header, for programs, or the session in its cookies.
    pub fn credential(&self, request: &Parts) -> Option<Result<Credential, NoViewer>> {
        if has_token(request)
            && let Some(header) = request.headers.get(header::AUTHORIZATION)
        {
            let token = header.to_str().ok().and_then(bearer);
            if !self.modes.has(SignInMode::Token) {
                return Some(Err(NoViewer::NoTokens));
            }
            return Some(token.map(|token| Credential::Bearer(token.to_owned())).ok_or(NoViewer::Ended));
        }
        let sealed = self.cookies(&request.headers)?.read(&request.headers)?;
        let session = self.keys.read().open(&sealed);
        Some(session.map(Credential::Session).ok_or(NoViewer::Ended))
    }

    /// Returns whom the credential proves now.
    pub async fn user(&self, credential: &Credential, peer: Option<Peer>) -> Result<Arc<UserInfo>, NoViewer> {
        match credential {
            Credential::Session(session) if self.has_ended(session) => Err(NoViewer::Ended),
            Credential::Session(Session { proof: Proof::Identity(identity), .. }) => {
                Ok(identity.user.clone())
            }
            Credential::Session(Session { proof: Proof::Token(token), .. }) => {
                self.user_of_token(token, peer, true).await
            }
            Credential::Proxy(proven) if self.is_signed_out(proven) => Err(NoViewer::Ended),
            Credential::Proxy(proven) if seconds_now() >= proven.until => Err(NoViewer::Lapsed),
            Credential::Proxy(proven) => Ok(proven.user.clone()),
            Credential::Bearer(token) => self.user_of_token(token, peer, false).await,
        }
    }

    fn is_signed_out(&self, proven: &ProvenIdentity) -> bool {
        proven.id.is_some_and(|id| self.signed_out.contains_key(&id))
    }

    async fn user_of_token(
        &self,
        token: &str,
        peer: Option<Peer>,
        is_proven: bool,
    ) -> Result<Arc<UserInfo>, NoViewer> {
        match self.tokens.identify(token, peer, is_proven).await {
            Identity::User(user) => Ok(user),
            Identity::Rejected => Err(NoViewer::Ended),
            Identity::Unanswered => Err(NoViewer::Unanswered),
            Identity::TooMany => Err(NoViewer::TooMany),
        }
    }

    /// Returns whether an address may present this token now. An unknown one counts as a request of nobody, before
    /// the API server is asked: beyond the limit, no answer tells whether the guess was right. `None` is no token.
    pub fn may_guess(&self, token: Option<&Credential>, peer: Option<Peer>) -> bool {
        let is_known = matches!(token, Some(Credential::Bearer(token)) if !self.tokens.is_unknown(token));
        is_known || self.limits.allow_unsigned(peer)
    }
}

impl Credential {
    /// Returns the kind of the proof, as the audit log names it.
    pub fn mode_code(&self) -> &'static str {
        match self {
            Self::Session(session) => session.mode().code(),
            Self::Bearer(_) => "bearer",
            Self::Proxy(_) => SignInMode::Proxy.code(),
        }
    }

    /// Returns a number by which the audit log tells sessions apart, and which tells nothing of them.
    pub fn hash_text(&self) -> String {
        let digest = match self {
            Self::Session(session) => Sha256::digest(session.id),
            Self::Bearer(token) => Sha256::digest(token),
            Self::Proxy(proven) => return proven.session.clone(),
        };
        format!("{:016x}", short_hash(&digest))
    }
}

/// Seconds after which a peer may present another unknown token.
const UNKNOWN_RETRY: u32 = 10;

impl From<NoViewer> for ApiError {
    fn from(no_viewer: NoViewer) -> Self {
        match no_viewer {
            NoViewer::SignedOut => Self::SignedOut,
            NoViewer::Ended | NoViewer::Lapsed => Self::SessionEnded,
            NoViewer::NoTokens => Self::NotProven(msg!(sign_in.browsers_only)),
            NoViewer::Unanswered => Self::IdentityUnknown,
            NoViewer::TooMany => Self::TooMany(UNKNOWN_RETRY),
            NoViewer::Refused(why) => Self::NotProven(why),
            NoViewer::Unchecked(why) => Self::NotCheckable(why),
        }
    }
}

/// Returns whether a request is a program's: its token counts, not its cookies.
pub fn has_token(request: &Parts) -> bool {
    is_api(request.uri.path()) && request.headers.contains_key(header::AUTHORIZATION)
}

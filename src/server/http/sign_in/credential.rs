//! What a request proves about who makes it.

use std::sync::Arc;

use axum::http::{header, request::Parts};
use sha2::{Digest, Sha256};

use super::{
    service::SignIn,
    session::{Proof, Session},
    tokens::Identity,
};
use crate::server::{
    config::SignInMode,
    http::{address::is_api, error::ApiError, peer::Peer},
};
use wukong_core::access::UserInfo;

/// What proves who makes a request.
#[derive(Clone, Debug)]
pub enum Credential {
    Session(Session),
    /// The token of an `Authorization` header.
    Bearer(String),
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
    /// The peer presented too many unknown tokens.
    TooMany,
}

impl SignIn {
    /// Returns what a request proves: a token in its header, for programs, or the session in its cookies.
    pub fn credential(&self, request: &Parts) -> Option<Result<Credential, NoViewer>> {
        if has_token(request)
            && let Some(header) = request.headers.get(header::AUTHORIZATION)
        {
            let token = header.to_str().ok().and_then(bearer);
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
            Credential::Bearer(_) if !self.modes.has(SignInMode::Token) => Err(NoViewer::Ended),
            Credential::Bearer(token) => self.user_of_token(token, peer, false).await,
        }
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
        }
    }

    /// Returns a number by which the audit log tells sessions apart, and which tells nothing of them.
    pub fn hash_text(&self) -> String {
        let digest = match self {
            Self::Session(session) => Sha256::digest(session.id),
            Self::Bearer(token) => Sha256::digest(token),
        };
        format!("{:016x}", short_hash(&digest))
    }
}

/// Returns a number of a digest, by which it is told apart from others.
pub fn short_hash(digest: &[u8]) -> u64 {
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Seconds after which a peer may present another unknown token.
const UNKNOWN_RETRY: u32 = 10;

impl From<NoViewer> for ApiError {
    fn from(no_viewer: NoViewer) -> Self {
        match no_viewer {
            NoViewer::SignedOut => Self::SignedOut,
            NoViewer::Ended => Self::SessionEnded,
            NoViewer::Unanswered => Self::IdentityUnknown,
            NoViewer::TooMany => Self::TooMany(UNKNOWN_RETRY),
        }
    }
}

/// Returns whether a request is a program's: its token counts, not its cookies.
pub fn has_token(request: &Parts) -> bool {
    is_api(request.uri.path()) && request.headers.contains_key(header::AUTHORIZATION)
}

/// Returns the token of an `Authorization` header (RFC 6750, 2.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

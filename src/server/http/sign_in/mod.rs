//! Who makes a request, and what they may see. [`admit()`] makes a [`Viewer`] for every request; handlers get it as an
//! extractor, and can read nothing without it.

mod admit;
mod audit;
mod claims;
mod cookie;
mod forms;
mod key_file;
mod limits;
pub mod oidc;
mod page;
mod refusals;
mod session;
mod tokens;

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use moka::sync::Cache;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    address,
    error::{ApiError, ApiResult},
    hosts,
    peer::Peer,
};
use crate::{
    server::{
        access::{Access, Reviews, Rights},
        config::{PublicUrl, SignInConfig, SignInMode, SignInModes},
    },
    ui::address::BasePath,
};
use collector::clock;
use cookie::CookieKind;
use limits::Limits;
use refusals::Refusals;
use tokens::{Identity, Tokens};
use wukong_core::{
    Scope,
    access::{Standing, UserInfo},
};

pub use admit::admit;
pub use claims::ProviderHttp;
pub use forms::{sign_in, sign_in_form, sign_out};
use oidc::Oidc;
use session::SESSION_ENDS;
pub use session::{ClaimedIdentity, Proof, Session, SessionKeys};

/// Time between two looks at the file of session keys.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long a page waits. It then shows what is known, and how much that is.
const PAGE_WAITS: Duration = Duration::from_secs(1);
/// How long a sign-in waits, so that the first page is complete for most.
const WAITS: Duration = PAGE_WAITS.saturating_mul(3);
/// Path prefix of signing in and out.
pub const PREFIX: &str = "/auth/";
pub const SIGN_IN: &str = "/auth/sign-in";
pub const SIGN_OUT: &str = "/auth/sign-out";
/// What everybody may ask for, to sign in or out.
const FORMS: [&str; 4] = [SIGN_IN, SIGN_OUT, oidc::START, oidc::CALLBACK];

/// What signing in needs. Without it, everybody sees everything.
pub struct SignIn {
    modes: SignInModes,
    tokens: Tokens,
    access: Arc<Access>,
    keys: RwLock<SessionKeys>,
    /// Sessions that were signed out, until they would have ended.
    signed_out: Cache<[u8; 16], ()>,
    public_url: Option<PublicUrl>,
    /// Whether the listener speaks TLS itself.
    over_tls: bool,
    limits: Limits,
    refusals: Refusals,
    /// The provider at which people sign in, if there is one.
    oidc: Option<Arc<Oidc>>,
}

/// What proves who makes a request.
#[derive(Clone, Debug)]
enum Credential {
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

/// Who makes a request, and what they may see at its moment.
#[derive(Clone)]
pub struct Viewer {
    scope: Scope,
    user: Option<SignedIn>,
}

/// A viewer who is signed in.
#[derive(Clone)]
pub struct SignedIn {
    sign_in: Arc<SignIn>,
    credential: Arc<Credential>,
    pub rights: Rights,
    pub standing: Standing,
}

impl Viewer {
    /// Returns the viewer of a server without sign-in, who sees everything.
    pub fn everybody() -> Self {
        Self { scope: Scope::all(), user: None }
    }

    /// Returns what the viewer might see at the moment of the request.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Returns the user, if there is sign-in.
    pub fn user(&self) -> Option<&SignedIn> {
        self.user.as_ref()
    }

    /// Returns what the viewer may see now, which may be less than at the moment of the request.
    pub fn scope_now(&self) -> Scope {
        self.user.as_ref().map_or_else(|| self.scope.clone(), |user| user.rights.scope())
    }

    /// Returns the viewer as of now. Fails if the session has ended.
    pub async fn renewed(&self) -> Result<Self, NoViewer> {
        match &self.user {
            None => Ok(self.clone()),
            Some(user) => user.sign_in.viewer(user.credential.clone(), None).await,
        }
    }

    /// Waits until what the viewer may see has changed. Never, without sign-in.
    pub async fn changed(&mut self) {
        match &mut self.user {
            None => std::future::pending().await,
            Some(user) => user.rights.changed().await,
        }
    }

    /// Waits until every namespace was asked about, at most for `time`.
    async fn complete_within(&mut self, time: Duration) {
        let Some(user) = &mut self.user else { return };
        user.standing = user.rights.complete_within(time).await;
        self.scope = user.standing.scope.clone();
    }

    /// Returns whether every namespace was asked about.
    fn is_complete(&self) -> bool {
        self.user.as_ref().is_none_or(|user| user.standing.is_complete())
    }
}

impl<S: Sync> FromRequestParts<S> for Viewer {
    type Rejection = ApiError;

    /// Fails where [`admit`] has not let the request in, so that a route outside of it shows nothing.
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> ApiResult<Self> {
        parts.extensions.get().cloned().ok_or(ApiError::SignedOut)
    }
}

impl SignIn {
    pub fn new(
        reviews: Arc<dyn Reviews>,
        access: Arc<Access>,
        keys: SessionKeys,
        config: &SignInConfig,
    ) -> Self {
        let ends = Duration::from_secs(SESSION_ENDS.unsigned_abs());
        Self {
            modes: config.modes.clone(),
            tokens: Tokens::new(reviews),
            access,
            keys: RwLock::new(keys),
            signed_out: Cache::builder().max_capacity(100_000).time_to_live(ends).build(),
            public_url: config.public_url.clone(),
            over_tls: false,
            limits: Limits::default(),
            refusals: Refusals::default(),
            oidc: None,
        }
    }

    /// Returns the same for a listener that speaks TLS itself, or does not.
    pub fn over_tls(self, over_tls: bool) -> Self {
        Self { over_tls, ..self }
    }

    /// Returns the same for people who sign in at a provider.
    pub fn with_oidc(self, oidc: Oidc) -> Self {
        Self { oidc: Some(Arc::new(oidc)), ..self }
    }

    /// Returns the same without limits for each user.
    #[cfg(test)]
    pub fn without_limits(self) -> Self {
        Self { limits: Limits::lifted(), ..self }
    }

    /// Forgets what is not needed any more, and takes over the keys of the file when it changes, until `shutdown`. A
    /// file that cannot be used changes nothing.
    pub async fn look_after(self: Arc<Self>, key_file: Option<PathBuf>, shutdown: CancellationToken) {
        let mut before = None;
        if let Some(oidc) = &self.oidc {
            oidc.look().await;
        }
        while timeout(LOOK_EVERY, shutdown.cancelled()).await.is_err() {
            self.tokens.tidy();
            self.limits.tidy();
            self.refusals.tidy();
            if let Some(oidc) = &self.oidc {
                oidc.look().await;
            }
            let Some(path) = &key_file else { continue };
            let read = SessionKeys::read(path).await.map_err(|error| format!("{error:#}"));
            let failed = read.as_ref().err().cloned();
            match read {
                Ok(Some(keys)) => *self.keys.write() = keys,
                Ok(None) => {}
                Err(error) if before.as_ref() != Some(&error) => {
                    tracing::warn!(error, "cannot use the session key file, keeping the previous keys");
                }
                Err(_) => {}
            }
            before = failed;
        }
    }

    /// Returns the origin of `--public-url`, as browsers name it.
    pub fn public_origin(&self) -> Option<String> {
        self.public_url.as_ref().map(PublicUrl::origin)
    }

    fn base(&self) -> BasePath {
        BasePath(self.public_url.as_ref().map(PublicUrl::base_path).unwrap_or_default().into())
    }

    /// Returns how a request's cookies are set; `None` where a session would travel unprotected. `--public-url`
    /// decides, since it says how browsers come here; without it, the listener does.
    fn cookies(&self, headers: &HeaderMap) -> Option<CookieKind> {
        if self.public_url.as_ref().map_or(self.over_tls, PublicUrl::is_https) {
            return Some(CookieKind::secure(self.base()));
        }
        hosts::is_this_machine(headers).then(|| CookieKind::local(self.base()))
    }

    /// Returns the session in a request's cookies, even one that is over.
    fn session(&self, request: &Parts) -> Option<Session> {
        let sealed = self.cookies(&request.headers)?.read(&request.headers)?;
        self.keys.read().open(&sealed)
    }

    /// Returns the headers that set a session. `None` if it does not fit into its cookies.
    fn seal(&self, session: &Session, kind: &CookieKind) -> Option<Vec<HeaderValue>> {
        let keys = self.keys.read();
        let whole = keys.seal(session)?;
        // Beside a long session nothing is kept that it can do without.
        let sealed = match CookieKind::is_short(&whole) {
            true => whole,
            false => keys.seal(&session.clone().shortened())?,
        };
        kind.set(&sealed, SESSION_ENDS)
    }

    /// Returns who makes a request.
    async fn viewer_of(self: &Arc<Self>, request: &Parts) -> Result<Viewer, NoViewer> {
        let credential = self.credential(request).ok_or(NoViewer::SignedOut)?;
        let peer = request.extensions.get().copied();
        if has_token(request) && !self.may_guess(credential.as_ref().ok(), peer) {
            return Err(NoViewer::TooMany);
        }
        self.viewer(Arc::new(credential?), peer).await
    }

    /// Returns what a request proves: a token in its header, for programs, or the session in its cookies.
    fn credential(&self, request: &Parts) -> Option<Result<Credential, NoViewer>> {
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

    async fn viewer(
        self: &Arc<Self>,
        credential: Arc<Credential>,
        peer: Option<Peer>,
    ) -> Result<Viewer, NoViewer> {
        let user = self.user(&credential, peer).await?;
        let rights = self.access.look(&user);
        let standing = rights.standing();
        let user = SignedIn { sign_in: self.clone(), credential, rights, standing: standing.clone() };
        Ok(Viewer { scope: standing.scope, user: Some(user) })
    }

    /// Returns whom the credential proves now.
    async fn user(&self, credential: &Credential, peer: Option<Peer>) -> Result<Arc<UserInfo>, NoViewer> {
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

    /// Returns whether a session is over, was ended by its user, or began in a way that is off now.
    fn has_ended(&self, session: &Session) -> bool {
        let is_off = !self.modes.has(session.mode());
        is_off || session.is_over(seconds_now()) || self.signed_out.contains_key(&session.id)
    }
}

impl Credential {
    /// Returns a number by which the audit log tells sessions apart, and which tells nothing of them.
    fn hash_text(&self) -> String {
        let digest = match self {
            Self::Session(session) => Sha256::digest(session.id),
            Self::Bearer(token) => Sha256::digest(token),
        };
        format!("{:016x}", number(&digest))
    }
}

impl SignedIn {
    /// Returns after how many seconds the user's identity is due for renewal. `None` if it needs none.
    pub fn renewal_in(&self) -> Option<i64> {
        match &*self.credential {
            Credential::Session(session) => session.renewal_in(seconds_now()),
            Credential::Bearer(_) => None,
        }
    }

    pub fn user(&self) -> &Arc<UserInfo> {
        self.rights.user()
    }

    /// Returns a number by which limits and pages tell users apart.
    pub fn hash(&self) -> u64 {
        let user = self.user();
        // No name or uid of Kubernetes holds a zero byte.
        number(&Sha256::digest([user.name.as_bytes(), &[0], user.uid.as_bytes()].concat()))
    }
}

fn number(digest: &[u8]) -> u64 {
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
fn has_token(request: &Parts) -> bool {
    address::is_api(request.uri.path()) && request.headers.contains_key(header::AUTHORIZATION)
}

/// Returns the token of an `Authorization` header (RFC 6750, 2.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn seconds_now() -> i64 {
    clock::now() / 1000
}

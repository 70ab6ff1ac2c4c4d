//! Who makes a request, and what they may see. [`admit`] makes a [`Viewer`] for every request; handlers get it as an
//! extractor, and can read nothing without it.

mod audit;
mod cookie;
mod forms;
mod key_file;
mod limits;
mod page;
mod session;
mod tokens;

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequestParts, MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use moka::sync::Cache;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    address, build,
    error::{ApiError, ApiResult},
    hosts, layers,
    peer::{Client, Peer},
    state::App,
};
use crate::{
    server::{
        access::{Access, Reviews, Rights},
        config::PublicUrl,
    },
    ui::address::BasePath,
};
use collector::clock;
use cookie::CookieKind;
use limits::{Limits, UserPermit};
use tokens::{Identity, Tokens};
use wukong_core::{
    Scope,
    access::{Standing, UserInfo},
};

pub use forms::{sign_in, sign_in_form, sign_out};
pub use session::{Session, SessionKeys};

/// Time between two looks at the file of session keys.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Absolute end of a session, in seconds after the sign-in.
const SESSION_ENDS: i64 = 10 * 60 * 60;
/// How long an answer for programs waits until every namespace was asked about; a list with gaps would be wrong.
const PROGRAM_WAITS: Duration = Duration::from_secs(5);
/// How long a page waits. It then shows what is known, and how much that is.
const PAGE_WAITS: Duration = Duration::from_secs(1);
/// Path prefix of signing in and out.
pub const PREFIX: &str = "/auth/";
pub const SIGN_IN: &str = "/auth/sign-in";
pub const SIGN_OUT: &str = "/auth/sign-out";

/// What signing in needs. Without it, everybody sees everything.
pub struct SignIn {
    tokens: Tokens,
    access: Arc<Access>,
    keys: RwLock<SessionKeys>,
    /// Sessions that were signed out, until they would have ended.
    signed_out: Cache<[u8; 16], ()>,
    public_url: Option<PublicUrl>,
    /// Whether the listener speaks TLS itself.
    over_tls: bool,
    limits: Limits,
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
        public_url: Option<PublicUrl>,
    ) -> Self {
        let ends = Duration::from_secs(SESSION_ENDS.unsigned_abs());
        Self {
            tokens: Tokens::new(reviews),
            access,
            keys: RwLock::new(keys),
            signed_out: Cache::builder().max_capacity(100_000).time_to_live(ends).build(),
            public_url,
            over_tls: false,
            limits: Limits::default(),
        }
    }

    /// Returns the same for a listener that speaks TLS itself, or does not.
    pub fn over_tls(self, over_tls: bool) -> Self {
        Self { over_tls, ..self }
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
        while timeout(LOOK_EVERY, shutdown.cancelled()).await.is_err() {
            self.tokens.tidy();
            self.limits.tidy();
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

    /// Returns who makes a request.
    async fn viewer_of(self: &Arc<Self>, request: &Parts) -> Result<Viewer, NoViewer> {
        let credential = self.credential(request).ok_or(NoViewer::SignedOut)??;
        let peer = request.extensions.get().copied();
        self.viewer(Arc::new(credential), peer).await
    }

    /// Returns what a request proves: a token in its header, for programs, or the session in its cookies.
    fn credential(&self, request: &Parts) -> Option<Result<Credential, NoViewer>> {
        if layers::is_api(request.uri.path())
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
        let (token, is_proven) = match &*credential {
            Credential::Session(session) if self.has_ended(session) => return Err(NoViewer::Ended),
            Credential::Session(session) => (&session.token, true),
            Credential::Bearer(token) => (token, false),
        };
        let user = match self.tokens.identify(token, peer, is_proven).await {
            Identity::User(user) => user,
            Identity::Rejected => return Err(NoViewer::Ended),
            Identity::Unanswered => return Err(NoViewer::Unanswered),
            Identity::TooMany => return Err(NoViewer::TooMany),
        };
        let rights = self.access.look(&user);
        let standing = rights.standing();
        let user = SignedIn { sign_in: self.clone(), credential, rights, standing: standing.clone() };
        Ok(Viewer { scope: standing.scope, user: Some(user) })
    }

    fn has_ended(&self, session: &Session) -> bool {
        seconds_now() >= session.began + SESSION_ENDS || self.signed_out.contains_key(&session.id)
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

/// Seconds after which a user who has all their streams or downloads may ask for another.
const CROWD_RETRY: u32 = 5;
/// Seconds after which a peer may present another unknown token.
const UNKNOWN_RETRY: u32 = 10;

/// Lets a request in if somebody is signed in, and puts the [`Viewer`] into its extensions. Files and probes are for
/// everybody.
pub async fn admit(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Some(sign_in) = &app.sign_in else {
        parts.extensions.insert(Viewer::everybody());
        return next.run(Request::from_parts(parts, body)).await;
    };
    let path = build::inner_path(parts.uri.path()).to_owned();
    let is_form = path.starts_with(PREFIX);
    if is_form && !sign_in.limits.allow_unsigned(parts.extensions.get().copied()) {
        return ApiError::TooMany(1).into_response();
    }
    if app.assets.contain(&path) || address::is_probe(&path) || is_form {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let viewer = match sign_in.viewer_of(&parts).await {
        Ok(viewer) => viewer,
        Err(no_viewer) => return vary(turn_away(sign_in, &parts, &path, no_viewer)),
    };
    vary(answer(sign_in, viewer, &path, Request::from_parts(parts, body), next).await.into_response())
}

/// Answers a request of somebody who is signed in, within the limits of their user.
async fn answer(
    sign_in: &SignIn,
    mut viewer: Viewer,
    path: &str,
    mut request: Request,
    next: Next,
) -> ApiResult<Response> {
    let begun = Instant::now();
    let Some(user) = viewer.user().map(SignedIn::hash) else { return Err(ApiError::SignedOut) };
    // From here on limits count by user: behind an ingress everybody has one address.
    let peer = request.extensions().get().map(|peer: &Peer| peer.signed_in(user));
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    if !sign_in.limits.allow_signed(Some(Client::User(user).into())) {
        return Err(ApiError::TooMany(1));
    }
    let at_once = match path {
        "/api/events" if request.method() != Method::HEAD => Some(&sign_in.limits.streams),
        "/api/vms.csv" | "/api/vms.json" => Some(&sign_in.limits.downloads),
        _ => None,
    };
    let permit = at_once.map(|most| most.begin(Client::User(user)).ok_or(ApiError::TooMany(CROWD_RETRY)));
    let permit = permit.transpose()?;
    let is_program = layers::is_api(path) && path != "/api/events";
    viewer.complete_within(if is_program { PROGRAM_WAITS } else { PAGE_WAITS }).await;
    if is_program && !viewer.is_complete() {
        return Err(ApiError::StillChecking);
    }
    let signed_in = viewer.user().cloned();
    request.extensions_mut().insert(viewer);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    if layers::is_api(path)
        && let Some(user) = signed_in
    {
        let is_download = ["/api/vms.csv", "/api/vms.json"].contains(&path);
        let event = if is_download { audit::Event::Download } else { audit::Event::Api };
        let route = route.as_ref().map_or("", MatchedPath::as_str);
        audit::asked(
            event,
            &user,
            &audit::AuditedRequest { peer, route, status: response.status(), took: begun.elapsed() },
        );
    }
    Ok(match permit {
        Some(permit) => response.map(|body| hold(body, permit)),
        None => response,
    })
}

/// Returns the body, which holds its user's permit until it is sent or dropped.
fn hold(body: Body, permit: UserPermit) -> Body {
    Body::new(body.map_frame(move |frame| {
        let _held = &permit;
        frame
    }))
}

/// Answers a request of nobody: pages lead to the sign-in, programs get an error.
fn turn_away(sign_in: &SignIn, request: &Parts, path: &str, no_viewer: NoViewer) -> Response {
    let peer = request.extensions.get().copied();
    if !sign_in.limits.allow_unsigned(peer) {
        return ApiError::TooMany(1).into_response();
    }
    if no_viewer == NoViewer::Ended {
        let is_token = request.headers.contains_key(header::AUTHORIZATION);
        let event = if is_token { audit::Event::Refused } else { audit::Event::Expired };
        audit::session(event, None, None, peer);
    }
    let is_page = !layers::is_machine(request.uri.path());
    let leads_to_sign_in = matches!(no_viewer, NoViewer::SignedOut | NoViewer::Ended);
    let mut response = match no_viewer {
        _ if is_page && leads_to_sign_in => forms::to_sign_in(&request.uri, no_viewer == NoViewer::Ended),
        NoViewer::SignedOut | NoViewer::Ended if path.starts_with(address::SERVER_FUNCTIONS) => {
            forms::session_ended()
        }
        no_viewer => ApiError::from(no_viewer).into_response(),
    };
    // A session that has ended would be opened and refused again with each request.
    let cookies = sign_in.cookies(&request.headers).filter(|kind| kind.read(&request.headers).is_some());
    if leads_to_sign_in && let Some(kind) = cookies {
        cookie::add(&mut response, kind.clear());
    }
    response
}

/// Notes that the answer depends on who asks.
fn vary(mut response: Response) -> Response {
    response.headers_mut().append(header::VARY, HeaderValue::from_static("cookie, authorization"));
    response
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

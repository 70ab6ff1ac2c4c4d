//! What signing in needs, and what looks after it while the program runs.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::http::{HeaderMap, HeaderName, HeaderValue, request::Parts};
use moka::sync::Cache;
use parking_lot::RwLock;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    auth_proxy::AuthProxy,
    cookie::CookieKind,
    limits::Limits,
    oidc::Oidc,
    refusals::Refusals,
    requests::Requests,
    session::{SESSION_ENDS, Session, SessionKeys, seconds_now},
    tokens::Tokens,
};
use crate::{
    server::{
        access::{Access, Reviews},
        config::{PublicUrl, SignInConfig, SignInModes},
        http::hosts,
    },
    ui::address::BasePath,
};

/// Time between two checks of the file of session keys.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// What signing in needs. Without it, everybody sees everything.
pub struct SignIn {
    pub modes: SignInModes,
    pub tokens: Tokens,
    pub access: Arc<Access>,
    pub keys: RwLock<SessionKeys>,
    /// Sessions that were signed out, until they would have ended.
    pub signed_out: Cache<[u8; 16], ()>,
    public_url: Option<PublicUrl>,
    /// Whether the listener speaks TLS itself.
    over_tls: bool,
    pub limits: Limits,
    pub refusals: Refusals,
    pub requests: Requests,
    /// The provider at which people sign in, if there is one.
    pub oidc: Option<Arc<Oidc>>,
    /// The proxy through which people come, if there is one.
    pub auth_proxy: Option<AuthProxy>,
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
            requests: Requests::default(),
            oidc: None,
            auth_proxy: None,
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

    /// Returns the same for people who come through a proxy.
    pub fn with_auth_proxy(self, proxy: AuthProxy) -> Self {
        Self { auth_proxy: Some(proxy), ..self }
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
        self.check_peers().await;
        while timeout(CHECK_INTERVAL, shutdown.cancelled()).await.is_err() {
            self.tokens.tidy();
            self.limits.tidy();
            self.refusals.tidy();
            self.requests.tidy();
            self.check_peers().await;
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

    /// Asks who vouches for people, so that nobody has to wait for it.
    async fn check_peers(&self) {
        if let Some(oidc) = &self.oidc {
            oidc.check_provider().await;
        }
        if let Some(proxy) = &self.auth_proxy {
            proxy.check_keys().await;
        }
    }

    /// Returns the headers on which answers depend.
    pub fn vary(&self) -> HeaderValue {
        let headers = self.auth_proxy.iter().flat_map(AuthProxy::identity_headers);
        let names = ["cookie", "authorization"].into_iter().chain(headers.map(HeaderName::as_str));
        let names: Vec<&str> = names.collect();
        HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static("*"))
    }

    /// Returns the origin of `--public-url`, as browsers name it.
    pub fn public_origin(&self) -> Option<String> {
        self.public_url.as_ref().map(PublicUrl::origin)
    }

    /// Returns whether a request names another host than `--public-url`.
    pub fn is_elsewhere(&self, request: &Parts) -> bool {
        self.public_url.as_ref().is_some_and(|url| !hosts::is_for(request, url.host()))
    }

    pub fn base(&self) -> BasePath {
        BasePath(self.public_url.as_ref().map(PublicUrl::base_path).unwrap_or_default().into())
    }

    /// Returns how a request's cookies are set; `None` where a session would travel unprotected. `--public-url`
    /// decides, since it says how browsers come here; without it, the listener does.
    pub fn cookies(&self, headers: &HeaderMap) -> Option<CookieKind> {
        if self.public_url.as_ref().map_or(self.over_tls, PublicUrl::is_https) {
            return Some(CookieKind::secure(self.base()));
        }
        hosts::is_this_machine(headers).then(|| CookieKind::local(self.base()))
    }

    /// Returns the session in a request's cookies, even one that is over.
    pub fn session(&self, request: &Parts) -> Option<Session> {
        let sealed = self.cookies(&request.headers)?.read(&request.headers)?;
        self.keys.read().open(&sealed)
    }

    /// Returns the headers that set a session. `None` if it does not fit into its cookies.
    pub fn seal(&self, session: &Session, kind: &CookieKind) -> Option<Vec<HeaderValue>> {
        let keys = self.keys.read();
        let whole = keys.seal(session)?;
        // Beside a long session nothing is kept that it can do without.
        let sealed = match CookieKind::is_short(&whole) {
            true => whole,
            false => keys.seal(&session.clone().shortened())?,
        };
        kind.set(&sealed, SESSION_ENDS)
    }

    /// Returns whether a session is over, was ended by its user, or began in a way that is off now.
    pub fn has_ended(&self, session: &Session) -> bool {
        let is_off = !self.modes.has(session.mode());
        is_off || session.is_over(seconds_now()) || self.signed_out.contains_key(&session.id)
    }
}

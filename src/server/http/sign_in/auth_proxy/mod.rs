//! People who come through an authenticating proxy, which proves in each request who asks: by a signed assertion
//! ([`assertion`]), or by a client certificate on its connections, on which [`headers`] name the user. There is no
//! session here: the proxy has one.

mod assertion;
mod guard;
mod headers;
mod identity;

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderMap, HeaderName, header, request::Parts};
use moka::sync::Cache;

use super::{
    claims::{ClaimFault, ProviderHttp, user_of},
    session::seconds_now,
    tokens::bearer,
};
use crate::server::{
    config::{AuthProxyConfig, ClaimMappings, ProxyProof},
    http::{connection::Origin, peer::Peer},
};
pub use assertion::AssertionSource;
use assertion::{AssertionFault, AssertionParties, issuer_of};
use guard::{AssertionGuard, PresentedAssertion};
use i18n::{Render, msg};
pub use identity::ProvenIdentity;
use model::{hidden::escape_hidden, message::Message};

/// Seconds for which headers on the proxy's connection prove something. A stream that they began ends then, and the
/// browser begins another, which the proxy lets through or not.
const HEADERS_STAND: i64 = 5 * 60;

/// How long the log does not repeat that the assertions of a user have no groups claim: each request has one.
const REPEATED_AFTER: Duration = Duration::from_secs(60 * 60);

/// How long the log does not repeat that requests prove nothing of the proxy.
const MISSING_REPEATED_AFTER: Duration = Duration::from_secs(60);

/// Why a request of the proxy is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthProxyFault {
    Assertion(AssertionFault),
    Claims(ClaimFault),
    /// Its address has sent too many that were refused.
    TooMany,
}

impl AuthProxyFault {
    /// Returns what is wrong and how to fix it, for people.
    pub fn message(&self) -> Message {
        match self {
            Self::Assertion(fault) => fault.message(),
            Self::Claims(fault) => fault.message("proxy"),
            Self::TooMany => msg!(sign_in.too_many),
        }
    }

    /// Returns whether it may be over in a moment, and nothing was said about the person.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Assertion(fault) if fault.is_passing())
    }
}

/// The proxy, and what it proves itself by.
pub struct AuthProxy {
    pub config: AuthProxyConfig,
    /// `None` if the proxy shows a client certificate.
    assertions: Option<AssertionSource>,
    guard: AssertionGuard,
    /// Users whose assertions have no groups claim, as the log has said.
    without_groups: Cache<String, ()>,
    /// What was missing in requests that proved nothing, as the log has said.
    missing: Cache<String, ()>,
}

impl AuthProxy {
    /// Takes what fetches the keys of assertions. Fails if an address is none.
    pub fn new(config: &AuthProxyConfig, http: Arc<dyn ProviderHttp>) -> anyhow::Result<Self> {
        let assertions = match &config.proof {
            ProxyProof::Assertion(assertion) => Some(AssertionSource::new(assertion, http)?),
            ProxyProof::Certificate(_) => None,
        };
        let without_groups = Cache::builder().max_capacity(1_000).time_to_live(REPEATED_AFTER).build();
        let missing = Cache::builder().max_capacity(10).time_to_live(MISSING_REPEATED_AFTER).build();
        let guard = AssertionGuard::default();
        Ok(Self { config: config.clone(), assertions, guard, without_groups, missing })
    }

    /// Returns what verifies assertions. `None` if the proxy shows a client certificate.
    pub fn assertions(&self) -> Option<&AssertionSource> {
        self.assertions.as_ref()
    }

    /// Returns the headers that say who asks.
    pub fn identity_headers(&self) -> Vec<&HeaderName> {
        match &self.config.proof {
            ProxyProof::Assertion(assertion) => vec![&assertion.header],
            ProxyProof::Certificate(certificate) => {
                vec![&certificate.user_header, &certificate.groups_header]
            }
        }
    }

    /// Returns the header that says who asks in a way that two programs can read differently.
    pub fn ambiguous_header(&self, sent: &HeaderMap) -> Option<&HeaderName> {
        let groups = self.config.client_certificate().map(|certificate| &certificate.groups_header);
        let own = self.identity_headers();
        own.into_iter().find(|name| headers::is_ambiguous(name, Some(*name) == groups, sent))
    }

    /// Returns whom the proxy asks for. `None` if the request proves nothing of the proxy. If programs send tokens of
    /// Kubernetes too, an `Authorization` header counts only if its token is of the proxy's issuer.
    pub async fn identify(
        &self,
        request: &Parts,
        takes_tokens: bool,
    ) -> Option<Result<ProvenIdentity, AuthProxyFault>> {
        match (&self.config.proof, &self.assertions) {
            (ProxyProof::Assertion(config), Some(assertions)) => {
                let token = token_of(&request.headers, &config.header)?;
                let is_other = takes_tokens && issuer_of(token).as_deref() != Some(config.issuer.as_str());
                if config.header == header::AUTHORIZATION && is_other {
                    return None;
                }
                let presented = PresentedAssertion::new(token, request.extensions.get().copied());
                if !self.guard.admits(&presented) {
                    return Some(Err(AuthProxyFault::TooMany));
                }
                let identity = self.of_assertion(assertions, token).await;
                match &identity {
                    Ok(_) => self.guard.note_genuine(&presented),
                    Err(AuthProxyFault::Assertion(fault)) if !fault.is_passing() => {
                        self.guard.note_refused(&presented);
                    }
                    // Genuine, but of somebody who may not come in, or not checked.
                    Err(_) => {}
                }
                Some(identity)
            }
            (ProxyProof::Certificate(config), _) => {
                let named = headers::named_user(config, &request.headers).filter(|_| is_of_proxy(request))?;
                Some(self.of_headers(named))
            }
            _ => None,
        }
    }

    async fn of_assertion(
        &self,
        assertions: &AssertionSource,
        token: &str,
    ) -> Result<ProvenIdentity, AuthProxyFault> {
        let found = assertions.verify(token, seconds_now()).await.map_err(AuthProxyFault::Assertion)?;
        let user = user_of(&found.claims, &self.config.mappings).map_err(AuthProxyFault::Claims)?;
        let claim = self.config.mappings.groups_claim.as_str();
        if !found.claims.contains_key(claim)
            && self.without_groups.entry(user.name.clone()).or_insert(()).is_fresh()
        {
            tracing::info!(
                claim,
                user = &*escape_hidden(&user.name),
                "the proxy's assertion has no groups claim: this user has no groups. Let the proxy ask the \
                 provider for it (scope), or set --proxy-groups-claim"
            );
        }
        Ok(ProvenIdentity::new(user, found.until, Some(token), &found.session))
    }

    /// The names make the same users as the claims of an assertion would.
    fn of_headers(&self, named: headers::NamedUser) -> Result<ProvenIdentity, AuthProxyFault> {
        let mappings = ClaimMappings {
            username_claim: headers::USER.to_owned(),
            groups_claim: headers::GROUPS.to_owned(),
            ..self.config.mappings.clone()
        };
        let user = user_of(&named.claims(), &mappings).map_err(AuthProxyFault::Claims)?;
        let until = seconds_now() + HEADERS_STAND;
        let session = user.name.clone();
        Ok(ProvenIdentity::new(user, until, None, &session))
    }

    /// Writes into the log why a request was refused, and whom its assertion names.
    pub fn log_refusal(&self, why: &Message, request: &Parts) {
        let why = why.english();
        let token = match &self.config.proof {
            ProxyProof::Assertion(config) => token_of(&request.headers, &config.header),
            ProxyProof::Certificate(_) => None,
        };
        match token.map(AssertionParties::of) {
            Some(AssertionParties { issuer, audience }) => {
                tracing::warn!(why, iss = issuer, aud = audience, "an assertion of the proxy was refused");
            }
            None => tracing::warn!(why, "a user whom the proxy names was refused"),
        }
    }

    /// Writes into the log that a request proves nothing of the proxy, once a minute.
    pub fn log_missing(&self, why: &Message, peer: Option<Peer>) {
        let why = why.english();
        if self.missing.entry(why.clone()).or_insert(()).is_fresh() {
            let peer = peer.map(tracing::field::display);
            tracing::warn!(why, peer, "a request was refused");
        }
    }

    /// Returns what to do if a request proves nothing of the proxy.
    pub fn missing(&self, request: &Parts) -> Message {
        match &self.config.proof {
            ProxyProof::Assertion(config) => {
                if config.header != header::AUTHORIZATION {
                    return msg!(sign_in.proxy_no_assertion, header = headers::title_case(&config.header));
                }
                match request.headers.get(header::AUTHORIZATION).is_some_and(|sent| !sent.is_empty()) {
                    true => msg!(sign_in.proxy_other_scheme),
                    false => msg!(sign_in.proxy_no_bearer),
                }
            }
            ProxyProof::Certificate(config) => {
                if is_of_proxy(request) {
                    let header = headers::title_case(&config.user_header);
                    return msg!(sign_in.proxy_no_user, header = header);
                }
                msg!(sign_in.proxy_no_certificate, name = config.name.as_str())
            }
        }
    }

    /// Returns the address at which people sign out at the proxy, and its host.
    pub fn sign_out(&self) -> Option<(String, String)> {
        let url = self.config.sign_out_url.as_ref()?;
        Some((url.to_string(), url.host().unwrap_or_default().to_owned()))
    }

    /// Asks for the keys of assertions, so that the first request finds them. Notes in the log when that changes. Forgets
    /// who has sent none for a while.
    pub async fn check_keys(&self) {
        self.guard.tidy();
        if let Some(assertions) = &self.assertions {
            assertions.check_keys().await;
        }
    }
}

/// Returns whether the proxy has shown its certificate on the connection.
fn is_of_proxy(request: &Parts) -> bool {
    request.extensions.get::<Origin>().is_some_and(|origin| origin.is_auth_proxy)
}

/// Returns the token of the header. In `Authorization`, it follows `Bearer`.
fn token_of<'a>(sent: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value = sent.get(name)?;
    // What is no text is no token: the verifier says so.
    let text = value.to_str().unwrap_or_default();
    if name == header::AUTHORIZATION { bearer(text) } else { Some(text.trim()) }
}

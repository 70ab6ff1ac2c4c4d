//! Signed assertions: whether they are genuine, and where the keys that sign them are.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use openidconnect::{ClientId, IssuerUrl};
use parking_lot::Mutex;

use super::super::{
    claims::{
        Claims, HttpFault, KeySource, LEEWAY, ProviderHttp, TokenFault, TokenVerifier, unverified_claims,
    },
    oidc::{Provider, ProviderFault},
};
use crate::server::config::AssertionConfig;
use i18n::{Render, msg};
use model::{hidden::escape_hidden, message::Message};

/// How old the issuer's answer about its keys may be.
const RECENT: Duration = Duration::from_secs(60 * 60);

/// Why an assertion is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssertionFault {
    Token(TokenFault),
    /// The issuer does not say where its keys are, or they cannot be fetched.
    NoKeys(ProviderFault),
}

impl AssertionFault {
    /// Returns what is wrong and how to fix it, for people.
    pub fn message(&self) -> Message {
        match self {
            Self::NoKeys(ProviderFault::OtherIssuer(issuer)) => {
                let why = msg!(sign_in.proxy_other_issuer, issuer = issuer.as_str());
                msg!(sign_in.proxy_no_keys, why = why)
            }
            Self::NoKeys(fault) => msg!(sign_in.proxy_no_keys, why = fault.message()),
            Self::Token(fault) => match fault {
                TokenFault::Unreadable | TokenFault::Nonce => msg!(sign_in.proxy_unreadable),
                TokenFault::Algorithm => msg!(sign_in.proxy_algorithm),
                TokenFault::UnknownKey => msg!(sign_in.proxy_unknown_key),
                TokenFault::Signature => msg!(sign_in.proxy_signature),
                TokenFault::Issuer => msg!(sign_in.proxy_issuer),
                TokenFault::Audience => msg!(sign_in.proxy_audience),
                TokenFault::SeveralAudiences => msg!(sign_in.proxy_audiences),
                TokenFault::Expired => msg!(sign_in.proxy_expired),
                TokenFault::Early => msg!(sign_in.proxy_early),
                TokenFault::NoKeys(fault) => msg!(sign_in.proxy_no_keys, why = fault.message()),
            },
        }
    }
}

impl AssertionFault {
    /// Returns whether it may be over in a moment, and nothing was said about the assertion.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::NoKeys(_))
    }
}

impl From<TokenFault> for AssertionFault {
    fn from(fault: TokenFault) -> Self {
        match fault {
            TokenFault::NoKeys(fault) => Self::NoKeys(ProviderFault::Http(fault)),
            fault => Self::Token(fault),
        }
    }
}

/// What a genuine assertion says.
pub struct VerifiedAssertion {
    pub claims: Claims,
    /// When it proves nothing any more, in seconds since 1970. Clocks may differ as far as for its check.
    pub until: i64,
    /// What stays the same in each assertion of one session at the proxy, where the proxy says so.
    pub session: String,
}

/// Verifies assertions by the keys of their issuer.
pub struct AssertionSource {
    keys: Keys,
    /// Why the keys could not be fetched the last time.
    logged: Mutex<Option<AssertionFault>>,
    issuer: String,
}

enum Keys {
    /// At `--proxy-jwks-url`.
    Known(TokenVerifier),
    /// Where the issuer says.
    Discovered(Provider),
}

impl AssertionSource {
    /// Fails if the issuer's address is none.
    pub fn new(config: &AssertionConfig, http: Arc<dyn ProviderHttp>) -> anyhow::Result<Self> {
        let issuer = IssuerUrl::new(config.issuer.clone()).context("--proxy-issuer is not a URL")?;
        let audience = ClientId::new(config.audience.clone());
        let keys = match &config.jwks_url {
            Some(url) => {
                let keys = Arc::new(KeySource::new(http, url.to_string()));
                Keys::Known(TokenVerifier::new(issuer, audience, keys))
            }
            None => Keys::Discovered(Provider::of_keys(http, issuer, audience)),
        };
        Ok(Self { keys, logged: Mutex::default(), issuer: config.issuer.clone() })
    }

    /// Returns what an assertion says, if it is genuine and valid at `now`, in seconds since 1970.
    pub async fn verify(&self, token: &str, now: i64) -> Result<VerifiedAssertion, AssertionFault> {
        let claims = match &self.keys {
            Keys::Known(verifier) => verifier.verify(token, None, now).await?,
            Keys::Discovered(issuer) => {
                // The last answer serves while the issuer is away; `look` asks for the next one.
                let found = match issuer.last() {
                    Some(found) => found,
                    None => issuer.discover(RECENT).await.map_err(AssertionFault::NoKeys)?,
                };
                found.verifier.verify(token, None, now).await?
            }
        };
        let seconds = |name: &str| claims.get(name).and_then(serde_json::Value::as_f64);
        let until = seconds("exp").map_or(now, |until| until as i64) + LEEWAY;
        let session = claims.get("sid").and_then(serde_json::Value::as_str).unwrap_or(token).to_owned();
        Ok(VerifiedAssertion { claims, until, session })
    }

    /// Returns the address that is asked for the keys, or where they are.
    pub fn url(&self) -> String {
        match &self.keys {
            Keys::Known(verifier) => verifier.keys().url().to_owned(),
            Keys::Discovered(issuer) => issuer.url(),
        }
    }

    /// Returns how many keys there are, and asks the issuer where they are if it was not asked for an hour.
    pub async fn count_keys(&self) -> Result<usize, AssertionFault> {
        let keys = match &self.keys {
            Keys::Known(verifier) => verifier.keys().clone(),
            Keys::Discovered(issuer) => {
                issuer.discover(RECENT).await.map_err(AssertionFault::NoKeys)?.verifier.keys().clone()
            }
        };
        let keys = keys.keys().await.map_err(|fault: HttpFault| TokenFault::NoKeys(fault))?;
        Ok(keys.keys().len())
    }

    /// Looks for the keys. Notes in the log when it becomes known whether they are there.
    pub async fn check_keys(&self) {
        let fault = self.count_keys().await.err();
        let mut logged = self.logged.lock();
        if *logged == fault {
            return;
        }
        match &fault {
            Some(fault) => {
                let error = fault.message().english();
                tracing::warn!(url = self.url(), error, "cannot verify the proxy's assertions; trying again");
            }
            None => tracing::info!(issuer = self.issuer, "the keys of the proxy's assertions are there"),
        }
        *logged = fault;
    }
}

/// Characters of a claim that the log shows.
const SHOWN: usize = 200;

/// Whom an assertion that was refused names. Nothing of it is checked.
pub struct AssertionParties {
    pub issuer: String,
    pub audience: String,
}

impl AssertionParties {
    /// Returns what a token says, as it can be shown. Both are empty if it cannot be read.
    pub fn of(token: &str) -> Self {
        let claims = unverified_claims(token).unwrap_or_default();
        let text = |claim: &str| match claims.get(claim) {
            Some(serde_json::Value::String(text)) => readable(text),
            Some(other) => readable(&other.to_string()),
            None => String::new(),
        };
        Self { issuer: text("iss"), audience: text("aud") }
    }
}

fn readable(text: &str) -> String {
    escape_hidden(text).chars().take(SHOWN).collect()
}

/// Returns the issuer that a token names. Nothing of the token is checked: the issuer decides only who is asked whether it
/// is genuine.
pub fn issuer_of(token: &str) -> Option<String> {
    unverified_claims(token)?.get("iss")?.as_str().map(str::to_owned)
}

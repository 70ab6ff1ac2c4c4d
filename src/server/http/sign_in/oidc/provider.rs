//! What a provider says about itself (OpenID Connect Discovery 1.0), and whether it can be used.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderMap, Request};
use openidconnect::{
    AdditionalProviderMetadata, ClientId, IssuerUrl, ProviderMetadata,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
        CoreSubjectIdentifierType,
    },
    url::Url,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::super::claims::{HttpFault, KeySource, ProviderHttp, TokenVerifier, get_json};
use i18n::msg;
use model::message::Message;

/// Pause after a failure. People who sign in meanwhile are told the same.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The parts of the configuration that the crate does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoreMetadata {
    /// OpenID Connect RP-Initiated Logout 1.0.
    pub end_session_endpoint: Option<Url>,
    /// RFC 8414. Many providers support S256 and do not say so.
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// RFC 9207.
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for MoreMetadata {}

pub type Metadata = ProviderMetadata<
    MoreMetadata,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// Why a provider cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderFault {
    Http(HttpFault),
    /// It calls itself so.
    OtherIssuer(String),
    NoCodeFlow,
    NoPkce,
    NoTokenEndpoint,
    /// This endpoint has no https address.
    Insecure(&'static str),
}

impl ProviderFault {
    /// Returns what is wrong and how to fix it, for people.
    pub fn message(&self) -> Message {
        match self {
            Self::Http(fault) => fault.message(),
            Self::OtherIssuer(issuer) => msg!(sign_in.provider_issuer, issuer = issuer.as_str()),
            Self::NoCodeFlow => msg!(sign_in.provider_no_code),
            Self::NoPkce => msg!(sign_in.provider_no_pkce),
            Self::NoTokenEndpoint => msg!(sign_in.provider_no_token),
            Self::Insecure(endpoint) => msg!(sign_in.provider_insecure, endpoint = *endpoint),
        }
    }
}

/// A provider that can be used.
pub struct Discovered {
    pub metadata: Metadata,
    pub verifier: TokenVerifier,
}

/// The provider of an issuer, which is asked when it is needed.
pub struct Provider {
    http: Arc<dyn ProviderHttp>,
    issuer: IssuerUrl,
    client_id: ClientId,
    /// Whether people are led to it. Else its keys alone matter.
    is_client: bool,
    state: Mutex<State>,
    /// Held while the provider is asked: those who need it wait for one answer.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    found: Option<(Instant, Arc<Discovered>)>,
    failed: Option<(Instant, ProviderFault)>,
}

impl Provider {
    pub fn new(http: Arc<dyn ProviderHttp>, issuer: IssuerUrl, client_id: ClientId) -> Self {
        let (state, turn) = Default::default();
        Self { http, issuer, client_id, is_client: true, state, turn }
    }

    /// Returns the issuer of tokens for this audience, which others get.
    pub fn of_keys(http: Arc<dyn ProviderHttp>, issuer: IssuerUrl, audience: ClientId) -> Self {
        Self { is_client: false, ..Self::new(http, issuer, audience) }
    }

    /// Returns what the provider said at most `age` ago, or says now.
    pub async fn discover(&self, age: Duration) -> Result<Arc<Discovered>, ProviderFault> {
        let _turn = self.turn.lock().await;
        if let Some(known) = self.known(age) {
            return known;
        }
        let fetched = self.fetch().await;
        let mut state = self.state.lock();
        match &fetched {
            Ok(found) => *state = State { found: Some((Instant::now(), found.clone())), failed: None },
            Err(fault) => state.failed = Some((Instant::now(), fault.clone())),
        }
        fetched
    }

    /// Returns what the provider last said. `None` if it never answered.
    pub fn last(&self) -> Option<Arc<Discovered>> {
        self.state.lock().found.as_ref().map(|(_, found)| found.clone())
    }

    /// Returns why the provider could not be used when it was last asked.
    pub fn fault(&self) -> Option<ProviderFault> {
        self.state.lock().failed.as_ref().map(|(_, fault)| fault.clone())
    }

    /// Returns the headers of an answer now, for `check`.
    pub async fn headers(&self) -> Option<HeaderMap> {
        let request = Request::get(self.url()).body(Vec::new()).ok()?;
        Some(self.http.send(request).await.ok()?.headers().clone())
    }

    /// Returns the address of what the provider says about itself.
    pub fn url(&self) -> String {
        [self.issuer.as_str().trim_end_matches('/'), "/.well-known/openid-configuration"].concat()
    }

    fn known(&self, age: Duration) -> Option<Result<Arc<Discovered>, ProviderFault>> {
        let state = self.state.lock();
        let failed = state.failed.as_ref().filter(|(at, _)| at.elapsed() < RETRY_AFTER);
        let found = state.found.as_ref().filter(|(at, _)| at.elapsed() < age);
        let fault = failed.map(|(_, fault)| Err(fault.clone()));
        found.map(|(_, found)| Ok(found.clone())).or(fault)
    }

    async fn fetch(&self) -> Result<Arc<Discovered>, ProviderFault> {
        let metadata: Metadata = get_json(&*self.http, &self.url()).await.map_err(ProviderFault::Http)?;
        check(&metadata, &self.issuer)?;
        if self.is_client {
            check_flow(&metadata, &self.issuer)?;
        }
        let url = metadata.jwks_uri().as_str();
        // The keys stay if they are at the same address.
        let keys = self.last().map(|last| last.verifier.keys().clone()).filter(|keys| keys.url() == url);
        let keys = keys.unwrap_or_else(|| Arc::new(KeySource::new(self.http.clone(), url.to_owned())));
        let verifier = TokenVerifier::new(self.issuer.clone(), self.client_id.clone(), keys);
        Ok(Arc::new(Discovered { metadata, verifier }))
    }
}

/// Checks that the provider is the configured one, and has its keys at a safe address.
fn check(metadata: &Metadata, issuer: &IssuerUrl) -> Result<(), ProviderFault> {
    if metadata.issuer() != issuer {
        return Err(ProviderFault::OtherIssuer(metadata.issuer().as_str().chars().take(200).collect()));
    }
    check_safe(issuer, &[("jwks_uri", metadata.jwks_uri().url())])
}

/// Checks that the provider offers what a sign-in needs.
fn check_flow(metadata: &Metadata, issuer: &IssuerUrl) -> Result<(), ProviderFault> {
    let has_code =
        metadata.response_types_supported().iter().any(|of| of.iter().eq([&CoreResponseType::Code]));
    if !has_code {
        return Err(ProviderFault::NoCodeFlow);
    }
    let methods = metadata.additional_metadata().code_challenge_methods_supported.as_ref();
    if methods.is_some_and(|methods| methods.iter().all(|method| method != "S256")) {
        return Err(ProviderFault::NoPkce);
    }
    let token = metadata.token_endpoint().ok_or(ProviderFault::NoTokenEndpoint)?;
    let end = metadata.additional_metadata().end_session_endpoint.as_ref();
    let endpoints = [
        ("authorization_endpoint", metadata.authorization_endpoint().url()),
        ("token_endpoint", token.url()),
        ("end_session_endpoint", end.unwrap_or(token.url())),
    ];
    check_safe(issuer, &endpoints)
}

/// Checks that addresses of the provider are https. A provider on this machine may do without TLS as a whole.
fn check_safe(issuer: &IssuerUrl, endpoints: &[(&'static str, &Url)]) -> Result<(), ProviderFault> {
    let is_plain = issuer.url().scheme() == "http";
    let insecure = endpoints.iter().find(|(_, url)| !is_plain && url.scheme() != "https");
    insecure.map_or(Ok(()), |(name, _)| Err(ProviderFault::Insecure(name)))
}

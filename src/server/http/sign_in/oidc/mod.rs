//! Signing in at an OpenID Connect provider: authorization code flow with PKCE, `state` and `nonce`. Nothing is kept
//! of what the provider answers but the identity: no access token and no refresh token.

mod exchange;
mod flow;
mod login;
mod provider;
mod sign_out;

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use openidconnect::{
    AuthType, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl,
    Nonce, PkceCodeChallenge, RedirectUrl, Scope,
    core::{CoreAuthPrompt, CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod},
};

use super::{
    claims::ProviderHttp,
    paths::{OIDC_CALLBACK, SIGN_IN},
    session::SessionKeys,
};
use crate::server::config::{OidcConfig, PublicUrl};
pub use flow::{callback, start};
use login::{Login, LoginState};
pub use provider::{Discovered, Provider, ProviderFault};
pub use sign_out::leave_url;

/// How old the provider's answer may be when a person is led there: one that is away would keep them.
const FRESH: Duration = Duration::from_secs(20);
/// How old it may be when they come back.
const RECENT: Duration = Duration::from_secs(60 * 60);

/// The provider, and this program as its client.
pub struct Oidc {
    pub config: OidcConfig,
    pub provider: Provider,
    http: Arc<dyn ProviderHttp>,
    redirect: RedirectUrl,
    public_url: PublicUrl,
    /// The page that the provider leads to after a sign-out there.
    home: String,
}

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

impl Oidc {
    /// Fails if an address is none.
    pub fn new(
        config: &OidcConfig,
        public_url: &PublicUrl,
        http: Arc<dyn ProviderHttp>,
    ) -> anyhow::Result<Self> {
        let issuer = IssuerUrl::new(config.issuer.clone()).context("--oidc-issuer is not a URL")?;
        let redirect = RedirectUrl::new(public_url.at(OIDC_CALLBACK)).context("--public-url is not a URL")?;
        Ok(Self {
            provider: Provider::new(http.clone(), issuer, ClientId::new(config.client_id.clone())),
            home: public_url.at(&[SIGN_IN, "?signed-out=1"].concat()),
            config: config.clone(),
            public_url: public_url.clone(),
            http,
            redirect,
        })
    }

    /// Returns the address to which the provider leads people back, which it must know.
    pub fn redirect_uri(&self) -> &str {
        self.redirect.as_str()
    }

    /// Returns the address to which the provider leads people after a sign-out there.
    pub fn post_logout_redirect_uri(&self) -> &str {
        &self.home
    }

    /// Returns the host of the provider, by which people know it.
    pub fn host(&self) -> &str {
        let rest = self.config.issuer.split_once("://").map_or("", |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }

    /// Returns the address at the provider to which a sign-in leads, and the sign-in for the browser's cookie.
    /// Fails if the provider cannot be used.
    async fn begin(
        &self,
        state: LoginState,
        keys: &parking_lot::RwLock<SessionKeys>,
    ) -> Result<(String, Login), ProviderFault> {
        let found = self.provider.discover(FRESH).await?;
        let sealed = keys.read().seal(&state).unwrap_or_default();
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let client = self.client(&found, None);
        let scopes = self.config.scopes.iter().cloned().map(Scope::new);
        let renews = state.renews;
        let request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                || CsrfToken::new(sealed),
                Nonce::new_random,
            )
            .add_scopes(scopes)
            .set_pkce_challenge(challenge);
        let request = if renews { request.add_prompt(CoreAuthPrompt::None) } else { request };
        let (url, _, nonce) = request.url();
        let login = Login { state, nonce: nonce.secret().clone(), verifier: verifier.into_secret() };
        Ok((url.into(), login))
    }

    fn client(&self, found: &Discovered, secret: Option<ClientSecret>) -> Client {
        let client_id = ClientId::new(self.config.client_id.clone());
        let methods = found.metadata.token_endpoint_auth_methods_supported();
        let takes_basic =
            methods.is_none_or(|methods| methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
        let client = CoreClient::from_provider_metadata(found.metadata.clone(), client_id, secret);
        let kind = if takes_basic { AuthType::BasicAuth } else { AuthType::RequestBody };
        client.set_redirect_uri(self.redirect.clone()).set_auth_type(kind)
    }

    /// Asks the provider for the first time, so that the sign-in page can say that it is away. Notes in the log
    /// when that changes.
    pub async fn check_provider(&self) {
        if self.provider.last().is_some() && self.provider.fault().is_none() {
            return;
        }
        let before = self.provider.fault();
        match self.provider.discover(Duration::ZERO).await {
            Ok(_) => tracing::info!(
                issuer = self.config.issuer,
                redirect_uri = self.redirect_uri(),
                "people can sign in at the provider, if it knows this redirect URI"
            ),
            Err(fault) if before.as_ref() != Some(&fault) => {
                let error = i18n::Render::english(&fault.message());
                tracing::warn!(
                    url = self.provider.url(),
                    redirect_uri = self.redirect_uri(),
                    error,
                    "nobody can sign in at the provider; trying again"
                );
            }
            Err(_) => {}
        }
    }
}

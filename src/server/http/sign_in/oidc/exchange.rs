//! Redeems a code for an ID token at the provider's token endpoint.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use openidconnect::{
    AsyncHttpClient, AuthorizationCode, ClientSecret, HttpRequest, HttpResponse, Nonce, PkceCodeVerifier,
    RequestTokenError, TokenResponse, core::CoreErrorResponseType,
};

use super::{
    super::claims::{Claims, HttpFault, ProviderHttp, TokenFault},
    Discovered, Login, Oidc, ProviderFault,
};
use i18n::{Render, msg};
use model::{hidden::escape_hidden, message::Message};

/// Why a code led to no identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExchangeFault {
    Provider(ProviderFault),
    /// The file of the client's secret cannot be read.
    NoSecret(String),
    /// The provider does not know the client, or its secret is another.
    Client,
    /// The code has expired, was used before, or belongs to another sign-in.
    Code,
    /// Another error of the token endpoint, by its code.
    Other(String),
    /// The answer has no ID token.
    NoToken,
    Token(TokenFault),
}

impl ExchangeFault {
    /// Returns what is wrong and how to fix it, for people.
    pub fn message(&self) -> Message {
        match self {
            Self::Provider(fault) => msg!(sign_in.provider_away, why = fault.message()),
            Self::NoSecret(why) => msg!(sign_in.no_secret, why = why.as_str()),
            Self::Client => msg!(sign_in.exchange_client),
            Self::Code => msg!(sign_in.exchange_code),
            Self::Other(code) => msg!(sign_in.login_error, code = code.as_str()),
            Self::NoToken => msg!(sign_in.exchange_no_token),
            Self::Token(fault) => fault.message(),
        }
    }

    /// Returns whether it may be over in a moment, and nothing was said about the person.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Provider(_) | Self::NoSecret(_) | Self::Token(TokenFault::NoKeys(_)))
    }
}

impl Oidc {
    /// Returns the claims of the person who comes back with a code, and their ID token.
    pub(super) async fn redeem(
        &self,
        found: Arc<Discovered>,
        login: Login,
        code: String,
        now: i64,
    ) -> Result<(Claims, String), ExchangeFault> {
        let secret = self.secret().await?;
        let client = self.client(&found, secret);
        let request = client.exchange_code(AuthorizationCode::new(code));
        let request = request.map_err(|_| ExchangeFault::Provider(ProviderFault::NoTokenEndpoint))?;
        let request = request.set_pkce_verifier(PkceCodeVerifier::new(login.verifier));
        let answer =
            request.request_async(&TokenEndpoint(self.http.clone())).await.map_err(ExchangeFault::from)?;
        let token = answer.id_token().ok_or(ExchangeFault::NoToken)?.to_string();
        let nonce = Nonce::new(login.nonce);
        let claims = found.verifier.verify(&token, Some(&nonce), now).await.map_err(ExchangeFault::Token)?;
        Ok((claims, token))
    }

    /// Fails if the client's secret cannot be read.
    pub async fn check_secret(&self) -> anyhow::Result<()> {
        self.secret().await.map(|_| ()).map_err(|fault| anyhow::anyhow!(fault.message().english()))
    }

    async fn secret(&self) -> Result<Option<ClientSecret>, ExchangeFault> {
        let Some(path) = &self.config.client_secret_file else { return Ok(None) };
        let text = tokio::fs::read_to_string(path).await;
        let text = text.map_err(|error| ExchangeFault::NoSecret(error.kind().to_string()))?;
        Ok(Some(ClientSecret::new(text.trim().to_owned())))
    }
}

/// Asks the token endpoint by the program's own client.
struct TokenEndpoint(Arc<dyn ProviderHttp>);

impl<'c> AsyncHttpClient<'c> for TokenEndpoint {
    type Error = HttpFault;
    type Future = BoxFuture<'c, Result<HttpResponse, HttpFault>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        let (sent, name) = (self.0.send(request), self.0.name());
        let answer = sent.map(move |sent| match sent {
            // No answer of the provider itself, but of something in front of it.
            Ok(answer) if answer.status().is_server_error() => Err(HttpFault::Status(name, answer.status())),
            Ok(answer) => Ok(answer),
            Err(error) => Err(HttpFault::Unanswered(error)),
        });
        answer.boxed()
    }
}

type TokenError = RequestTokenError<HttpFault, openidconnect::StandardErrorResponse<CoreErrorResponseType>>;

impl From<TokenError> for ExchangeFault {
    fn from(error: TokenError) -> Self {
        match error {
            RequestTokenError::ServerResponse(answer) => match answer.error() {
                CoreErrorResponseType::InvalidClient | CoreErrorResponseType::UnauthorizedClient => {
                    Self::Client
                }
                CoreErrorResponseType::InvalidGrant => Self::Code,
                other => Self::Other(error_code(other.as_ref())),
            },
            RequestTokenError::Request(fault) => Self::Provider(ProviderFault::Http(fault)),
            // The answer may hold tokens: nothing of it is repeated.
            RequestTokenError::Parse(..) => Self::Token(TokenFault::Unreadable),
            RequestTokenError::Other(_) => Self::Provider(ProviderFault::Http(HttpFault::Unreadable(
                "OIDC provider",
                "the token endpoint".to_owned(),
            ))),
        }
    }
}

/// Returns an error code as it can be shown: RFC 6749 has lower case words with underscores.
pub fn error_code(text: &str) -> String {
    escape_hidden(text).chars().take(60).collect()
}

//! Redeems a code for an ID token at the provider's token endpoint.

use std::{io, sync::Arc};

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
    /// The file of the client's secret cannot be used.
    NoSecret(SecretFault),
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
            Self::NoSecret(why) => msg!(sign_in.no_secret, why = why.message()),
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
        let answer = request.request_async(&TokenEndpoint(self.http.clone())).await;
        let answer = answer.inspect_err(log_description).map_err(ExchangeFault::from)?;
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
        let text = tokio::fs::read_to_string(path).await.map_err(SecretFault::from);
        let secret = text.and_then(|text| parse_secret(&text)).map_err(ExchangeFault::NoSecret)?;
        Ok(Some(ClientSecret::new(secret)))
    }
}

/// Why the file of the client's secret cannot be used. It stands on the sign-in page, so it names no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretFault {
    Absent,
    Denied,
    NoText,
    Empty,
    SeveralLines,
    /// It has a character that is no `VSCHAR` of RFC 6749, A.2, such as a byte order mark.
    Invalid,
    Other(io::ErrorKind),
}

impl SecretFault {
    fn message(&self) -> Message {
        match self {
            Self::Absent => msg!(sign_in.secret_absent),
            Self::Denied => msg!(sign_in.secret_denied),
            Self::NoText => msg!(sign_in.secret_binary),
            Self::Empty => msg!(sign_in.secret_empty),
            Self::SeveralLines => msg!(sign_in.secret_lines),
            Self::Invalid => msg!(sign_in.secret_invalid),
            Self::Other(kind) => kind.to_string().into(),
        }
    }
}

impl From<io::Error> for SecretFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Absent,
            io::ErrorKind::PermissionDenied => Self::Denied,
            io::ErrorKind::InvalidData => Self::NoText,
            kind => Self::Other(kind),
        }
    }
}

/// Returns the secret of a file, without the spaces and line ends around it.
fn parse_secret(text: &str) -> Result<String, SecretFault> {
    let secret = text.trim();
    match secret {
        "" => Err(SecretFault::Empty),
        _ if secret.contains(['\n', '\r']) => Err(SecretFault::SeveralLines),
        _ if secret.bytes().all(|byte| matches!(byte, b' '..=b'~')) => Ok(secret.to_owned()),
        _ => Err(SecretFault::Invalid),
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

/// Writes into the log why the token endpoint refused a code, in its own words: they stand on no page.
fn log_description(error: &TokenError) {
    let RequestTokenError::ServerResponse(answer) = error else { return };
    let Some(description) = answer.error_description() else { return };
    let (code, description) = (error_code(answer.error().as_ref()), shortened(description, 300));
    tracing::warn!(error = code, error_description = description, "the token endpoint refused a code");
}

/// Returns an error code as it can be shown: RFC 6749 has lower case words with underscores.
pub fn error_code(text: &str) -> String {
    shortened(text, 60)
}

fn shortened(text: &str, most: usize) -> String {
    escape_hidden(text).chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line_that_a_client_can_send() {
        for text in ["s3cret", "s3cret\n", "  s3cret \r\n", "two words"] {
            assert_eq!(parse_secret(text).as_deref(), Ok(text.trim()), "{text:?}");
        }
        for (text, want) in [
            ("", SecretFault::Empty),
            (" \n\t\n", SecretFault::Empty),
            ("s3cret\nother\n", SecretFault::SeveralLines),
            ("\u{feff}s3cret\n", SecretFault::Invalid),
            ("s3\0cret", SecretFault::Invalid),
            ("schlüssel", SecretFault::Invalid),
        ] {
            assert_eq!(parse_secret(text), Err(want), "{text:?}");
        }
    }
}

//! How the provider is asked. Tests answer themselves.

use std::fmt;

use axum::http::{Request, Response, StatusCode, header};
use futures::{FutureExt, future::BoxFuture};
use serde::de::DeserializeOwned;

use collector::identity_provider::IdentityProvider;
use i18n::{Render, msg};
use model::{hidden::escape_hidden, message::Message};
use wukong_core::observation::SourceError;

/// Sends requests to the provider.
pub trait ProviderHttp: Send + Sync {
    /// Returns what people know the provider by, with the flag of its address.
    fn name(&self) -> &'static str;
    /// Returns the answer, whatever its status.
    fn send(&self, request: Request<Vec<u8>>) -> BoxFuture<'_, Result<Response<Vec<u8>>, SourceError>>;
}

impl ProviderHttp for IdentityProvider {
    fn name(&self) -> &'static str {
        Self::name(self)
    }

    fn send(&self, request: Request<Vec<u8>>) -> BoxFuture<'_, Result<Response<Vec<u8>>, SourceError>> {
        Self::send(self, request).boxed()
    }
}

/// Why the provider gave no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpFault {
    /// It did not answer.
    Unanswered(SourceError),
    /// Whose answer has which status.
    Status(&'static str, StatusCode),
    /// Whose answer is not what it should be. The text names the place in the JSON.
    Unreadable(&'static str, String),
}

impl HttpFault {
    /// Returns what happened, for people.
    pub fn message(&self) -> Message {
        match self {
            Self::Unanswered(error) => error.detail.clone(),
            Self::Status(peer, status) => {
                msg!(sign_in.provider_status, peer = *peer, code = status.as_str())
            }
            Self::Unreadable(peer, why) => {
                msg!(sign_in.provider_unreadable, peer = *peer, why = why.as_str())
            }
        }
    }
}

impl fmt::Display for HttpFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message().english())
    }
}

impl std::error::Error for HttpFault {}

/// Characters of the longest reason why an answer cannot be read.
const LONGEST_WHY: usize = 200;

/// Fetches a JSON document.
pub async fn get_json<T: DeserializeOwned>(http: &dyn ProviderHttp, url: &str) -> Result<T, HttpFault> {
    let request = Request::get(url).header(header::ACCEPT, "application/json").body(Vec::new());
    let unreadable = |why: String| {
        // It may repeat what the provider says, and stands on a page for everybody.
        let why = escape_hidden(&why).chars().take(LONGEST_WHY).collect();
        HttpFault::Unreadable(http.name(), why)
    };
    let request = request.map_err(|error| unreadable(error.to_string()))?;
    let answer = http.send(request).await.map_err(HttpFault::Unanswered)?;
    if answer.status() != StatusCode::OK {
        return Err(HttpFault::Status(http.name(), answer.status()));
    }
    serde_json::from_slice(answer.body()).map_err(|error| unreadable(error.to_string()))
}

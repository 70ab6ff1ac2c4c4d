//! Adds the current credentials to each request of the cluster's clients, and retries once with new ones
//! after a 401.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use http::{Request, Response, StatusCode, header};
use kube::client::Body;
use tower::{BoxError, Service, ServiceExt};

use super::{
    credentials::{Credential, Credentials},
    dial::Connections,
    overhead::AnswerBody,
};

/// What to do about a 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRefusal {
    /// Replace the credentials: the API server decides whether they have expired.
    Replace,
    /// Keep the credentials: a single kubelet may be wrong, or lie.
    Ignore,
}

/// A service that sends requests with a whole URL, authenticated as this program's user.
#[derive(Clone)]
pub struct Authenticated {
    pub credentials: Credentials,
    pub connections: Arc<Connections>,
    pub on_refusal: OnRefusal,
}

impl Authenticated {
    async fn send(self, mut request: Request<Body>) -> Result<Response<AnswerBody>, BoxError> {
        let credential = self.credentials.current().await?;
        let again = match self.on_refusal {
            OnRefusal::Replace => copy(&request),
            OnRefusal::Ignore => None,
        };
        authorize(&mut request, &credential);
        let response = self.connections.with_identity(&credential.identity)?.oneshot(request).await?;
        match again {
            Some(again) if response.status() == StatusCode::UNAUTHORIZED => {
                self.send_again(again, response, credential.generation).await
            }
            _ => Ok(response),
        }
    }

    async fn send_again(
        self,
        mut request: Request<Body>,
        refusal: Response<AnswerBody>,
        generation: u64,
    ) -> Result<Response<AnswerBody>, BoxError> {
        let Some(credential) = self.credentials.replace(generation).await else {
            return match self.credentials.explain_refusal() {
                Some(why) => Err(why.into()),
                None => Ok(refusal),
            };
        };
        tracing::debug!("the API server refused the credentials, retrying once with renewed ones");
        authorize(&mut request, &credential);
        let response = self.connections.with_identity(&credential.identity)?.oneshot(request).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            self.credentials.accepted();
        }
        Ok(response)
    }
}

impl Service<Request<Body>> for Authenticated {
    type Response = Response<AnswerBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<AnswerBody>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}

fn authorize(request: &mut Request<Body>, credential: &Credential) {
    if let Some(value) = &credential.authorization {
        request.headers_mut().insert(header::AUTHORIZATION, value.clone());
    }
}

/// Copies a request. `None` for a body that can be sent only once; this program sends no such body.
fn copy(request: &Request<Body>) -> Option<Request<Body>> {
    let mut copy = Request::new(request.body().try_clone()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}

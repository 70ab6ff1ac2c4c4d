//! Answers with the sign-in page, in the language of the request.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{StatusCode, header, request::Parts},
    response::{Html, IntoResponse, Response},
};

use super::{
    page::{Notice, Page, ProviderLink, UpstreamSignOut},
    service::SignIn,
};
use crate::server::{
    config::SignInMode,
    http::{
        assets::Assets,
        error::{ApiError, ApiResult},
    },
};
use i18n::Lang;

/// What the handlers under `/auth/` answer with. Without sign-in, nothing exists there.
pub struct Responder {
    pub sign_in: Arc<SignIn>,
    assets: Arc<Assets>,
    lang: Lang,
}

impl<S> FromRequestParts<S> for Responder
where
    S: Sync,
    Option<Arc<SignIn>>: FromRef<S>,
    Arc<Assets>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let sign_in = Option::<Arc<SignIn>>::from_ref(state).ok_or_else(not_found)?;
        let lang = parts.extensions.get().copied().unwrap_or_default();
        Ok(Self { sign_in, assets: Arc::from_ref(state), lang })
    }
}

impl Responder {
    /// Answers what did not sign anybody in.
    pub fn refuse(&self, notice: Notice, next: String) -> Response {
        self.page(notice.status(), Some(notice), next)
    }

    /// Answers with the page, which leads to `next` afterwards.
    pub fn page(&self, status: StatusCode, notice: Option<Notice>, next: String) -> Response {
        self.html(status, self.content(notice, next))
    }

    /// Answers that somebody has signed out here, and leads them to this address, where they sign out too.
    pub fn signed_out_page(&self, leave: UpstreamSignOut) -> Response {
        // At a proxy, people are signed in until they have left there.
        let notice = (!leave.is_proxy).then_some(Notice::SignedOut);
        let content = self.content(notice, "/".to_owned());
        self.html(StatusCode::OK, Page { leave: Some(leave), ..content })
    }

    fn content(&self, notice: Option<Notice>, next: String) -> Page {
        let provider = self.sign_in.oidc.as_ref().map(|oidc| ProviderLink {
            host: oidc.host().to_owned(),
            fault: oidc.provider.fault().map(|fault| fault.message()),
        });
        Page {
            base: self.sign_in.base(),
            notice,
            takes_tokens: self.sign_in.modes.has(SignInMode::Token),
            provider,
            has_proxy: self.sign_in.auth_proxy.is_some(),
            leave: None,
            next,
        }
    }

    fn html(&self, status: StatusCode, page: Page) -> Response {
        let html = page.html(self.assets.bundle(), self.lang);
        (status, [(header::CACHE_CONTROL, "no-store")], Html(html)).into_response()
    }
}

pub fn not_found() -> ApiError {
    ApiError::NotFound("nothing exists at this address".into())
}

//! Who makes a request, as handlers see them.

use std::{sync::Arc, time::Duration};

use axum::{extract::FromRequestParts, http::request::Parts};
use sha2::{Digest, Sha256};

use super::{
    audit::AuditedViewer,
    credential::{Credential, NoViewer, has_token},
    service::SignIn,
    session::{seconds_now, short_hash},
};
use crate::server::{
    access::Rights,
    config::SignInMode,
    http::{
        error::{ApiError, ApiResult},
        peer::Peer,
    },
};
use wukong_core::{
    Scope,
    access::{AccessStatus, UserInfo},
};

/// How long a page waits. It then shows what is known, and how much that is.
pub const PAGE_WAITS: Duration = Duration::from_secs(1);
/// How long a sign-in waits, so that the first page is complete for most.
pub const SIGN_IN_WAITS: Duration = PAGE_WAITS.saturating_mul(3);

/// Who makes a request, and what they may see at its moment.
#[derive(Clone)]
pub struct Viewer {
    scope: Scope,
    user: Option<SignedIn>,
}

/// A viewer who is signed in.
#[derive(Clone)]
pub struct SignedIn {
    sign_in: Arc<SignIn>,
    credential: Arc<Credential>,
    pub rights: Rights,
    pub access_status: AccessStatus,
}

impl Viewer {
    /// Returns the viewer of a server without sign-in, who sees everything.
    pub fn everybody() -> Self {
        Self { scope: Scope::all(), user: None }
    }

    /// Returns what the viewer might see at the moment of the request.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Returns the user, if there is sign-in.
    pub fn user(&self) -> Option<&SignedIn> {
        self.user.as_ref()
    }

    /// Returns what the viewer may see now, which may be less than at the moment of the request.
    pub fn scope_now(&self) -> Scope {
        self.user.as_ref().map_or_else(|| self.scope.clone(), |user| user.rights.scope())
    }

    /// Returns the viewer as of now. Fails if the session has ended.
    pub async fn renewed(&self) -> Result<Self, NoViewer> {
        match &self.user {
            None => Ok(self.clone()),
            Some(user) => user.sign_in.viewer(user.credential.clone(), None).await,
        }
    }

    /// Waits until what the viewer may see has changed. Never, without sign-in.
    pub async fn changed(&mut self) {
        match &mut self.user {
            None => std::future::pending().await,
            Some(user) => user.rights.changed().await,
        }
    }

    /// Waits until every namespace was asked about, at most for `time`.
    pub async fn complete_within(&mut self, time: Duration) {
        let Some(user) = &mut self.user else { return };
        user.access_status = user.rights.complete_within(time).await;
        self.scope = user.access_status.scope.clone();
    }

    /// Returns whether every namespace was asked about.
    pub fn is_complete(&self) -> bool {
        self.user.as_ref().is_none_or(|user| user.access_status.is_complete())
    }
}

impl<S: Sync> FromRequestParts<S> for Viewer {
    type Rejection = ApiError;

    /// Fails where [`super::admit()`] has not let the request in, so that a route outside of it shows nothing.
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> ApiResult<Self> {
        parts.extensions.get().cloned().ok_or(ApiError::SignedOut)
    }
}

impl SignIn {
    /// Returns who makes a request.
    pub async fn viewer_of(self: &Arc<Self>, request: &Parts) -> Result<Viewer, NoViewer> {
        let peer = request.extensions.get().copied();
        if let Some(proven) = self.proven_by_proxy(request).await {
            return self.viewer(Arc::new(Credential::Proxy(proven?)), peer).await;
        }
        let credential = self.credential(request).ok_or(NoViewer::SignedOut)?;
        if has_token(request) && !self.may_guess(credential.as_ref().ok(), peer) {
            return Err(NoViewer::TooMany);
        }
        self.viewer(Arc::new(credential?), peer).await
    }

    async fn viewer(
        self: &Arc<Self>,
        credential: Arc<Credential>,
        peer: Option<Peer>,
    ) -> Result<Viewer, NoViewer> {
        let user = self.user(&credential, peer).await?;
        let rights = self.access.watch_rights(&user);
        let access_status = rights.access_status();
        let user =
            SignedIn { sign_in: self.clone(), credential, rights, access_status: access_status.clone() };
        Ok(Viewer { scope: access_status.scope, user: Some(user) })
    }
}

impl SignedIn {
    /// Returns after how many seconds the user's identity is due for renewal. `None` if it needs none.
    pub fn renewal_in(&self) -> Option<i64> {
        match &*self.credential {
            Credential::Session(session) => session.renewal_in(seconds_now()),
            Credential::Bearer(_) | Credential::Proxy(_) => None,
        }
    }

    /// Returns how the user signed in.
    pub fn mode(&self) -> SignInMode {
        match &*self.credential {
            Credential::Session(session) => session.mode(),
            Credential::Bearer(_) => SignInMode::Token,
            Credential::Proxy(_) => SignInMode::Proxy,
        }
    }

    /// Returns whether the user can sign out here: what a proxy lets in again at once was not signed out.
    pub fn can_sign_out(&self) -> bool {
        let proxy = self.sign_in.auth_proxy.as_ref().filter(|_| self.mode() == SignInMode::Proxy);
        proxy.is_none_or(|proxy| proxy.sign_out().is_some())
    }

    pub fn user(&self) -> &Arc<UserInfo> {
        self.rights.user()
    }

    /// Returns the user as the audit log names them.
    pub fn audited(&self) -> AuditedViewer<'_> {
        AuditedViewer {
            user: self.user(),
            mode: self.credential.mode_code(),
            session: self.credential.hash_text(),
            namespaces: self.access_status.scope.namespaces(),
            is_late: self.access_status.is_late,
        }
    }

    /// Returns a number by which the limits that all clients share count the user. The service accounts of a namespace
    /// are one client: a user who may create one there may create any number.
    pub fn client_hash(&self) -> u64 {
        match self.user().account_namespace() {
            // No other number is of bytes that begin with two zeros.
            Some(namespace) => short_hash(&Sha256::digest([&[0, 0], namespace.as_bytes()].concat())),
            None => self.hash(),
        }
    }

    /// Returns a number by which limits of one user and pages tell users apart.
    pub fn hash(&self) -> u64 {
        let user = self.user();
        // No name or uid of Kubernetes holds a zero byte.
        short_hash(&Sha256::digest([user.name.as_bytes(), &[0], user.uid.as_bytes()].concat()))
    }
}

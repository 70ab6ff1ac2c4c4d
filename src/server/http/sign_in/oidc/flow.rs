//! The two addresses of a sign-in at a provider: where it starts, and where the provider leads back to.

use std::sync::Arc;

use axum::{
    extract::Extension,
    http::{HeaderValue, request::Parts},
    response::Response,
};

use super::{
    super::{
        audit,
        claims::{ClaimFault, user_of},
        cookie::{self, CookieKind},
        credential::Credential,
        forms::{checked_next, see_other, to_sign_in_from},
        page::Notice,
        paths::OIDC_START,
        responder::{Responder, not_found},
        service::SignIn,
        session::{ClaimedIdentity, Proof, Session, seconds_now},
        viewer::SIGN_IN_WAITS,
    },
    Discovered, Login, LoginState, Oidc, RECENT,
    exchange::{ExchangeFault, error_code},
    login,
};
use crate::server::http::{address, error::ApiResult, peer::Peer};
use i18n::msg;
use model::{params::Params, query::encode};
use wukong_core::access::UserInfo;

/// Errors by which a provider says that the person must be asked (OpenID Connect Core, 3.1.2.6).
const NEEDS_PERSON: [&str; 4] =
    ["login_required", "interaction_required", "consent_required", "account_selection_required"];

/// `GET /auth/oidc`, with `?next=` and `?renew=`: leads to the provider.
pub async fn start(responder: Responder, request: Parts) -> ApiResult<Response> {
    let sign_in = &responder.sign_in;
    let oidc = sign_in.oidc.as_ref().ok_or_else(not_found)?;
    let params = Params::parse(address::query(&request.uri))?;
    let next = checked_next(&params.get("next").unwrap_or_default());
    let has = |wanted: &str| params.iter().any(|(name, _)| name == wanted);
    let wants_renewal = has("renew");
    // The provider leads back to --public-url, where a cookie of another host is not sent. Once only: a proxy may ask
    // for another host than browsers do.
    if !wants_renewal && !has("moved") && sign_in.is_elsewhere(&request) {
        let mut location = oidc.public_url.at(&[OIDC_START, "?moved=&next="].concat());
        encode(&mut location, &next);
        return Ok(see_other(&location));
    }
    let Some(kind) = sign_in.cookies(&request.headers) else {
        return Ok(responder.refuse(Notice::Unprotected, next));
    };
    let session = sign_in.session(&request).filter(|session| wants_renewal && !sign_in.has_ended(session));
    let state = LoginState::new(&next, session.is_some(), seconds_now());
    let mut response = match oidc.begin(state, &sign_in.keys).await {
        Ok((url, login)) => {
            let mut response = see_other(&url);
            cookie::add(&mut response, login.cookie(&kind, &request.headers, &sign_in.keys.read()));
            response
        }
        // The identity stands a while longer.
        Err(_) if session.is_some() => see_other(&next),
        Err(fault) => {
            let notice = Notice::Away(msg!(sign_in.provider_away, why = fault.message()));
            return Ok(responder.refuse(notice, next));
        }
    };
    // Whatever becomes of the attempt, the next one is a minute later.
    let tried = session.and_then(|session| sign_in.seal(&session.tried(seconds_now()), &kind));
    cookie::add(&mut response, tried.into_iter().flatten());
    Ok(response)
}

/// What a person comes back with.
struct CallbackParams {
    state: Option<LoginState>,
    code: Option<String>,
    error: Option<String>,
    issuer: Option<String>,
}

/// How a sign-in ends that opens no session.
enum FailedSignIn {
    /// Nothing has changed, or another tab has opened the session.
    Go,
    /// The session is over.
    Over,
    Refused(Notice),
}

impl From<Notice> for FailedSignIn {
    fn from(notice: Notice) -> Self {
        Self::Refused(notice)
    }
}

/// `GET /auth/oidc/callback`: the provider leads back with a code, or an error.
pub async fn callback(
    responder: Responder,
    peer: Option<Extension<Peer>>,
    request: Parts,
) -> ApiResult<Response> {
    let sign_in = &responder.sign_in;
    let oidc = sign_in.oidc.as_ref().ok_or_else(not_found)?;
    let peer = peer.map(|Extension(peer)| peer);
    let Some(kind) = sign_in.cookies(&request.headers) else {
        return Ok(responder.refuse(Notice::Unprotected, "/".to_owned()));
    };
    let back = CallbackParams::of(sign_in, &Params::parse(address::query(&request.uri))?);
    let next = back.state.as_ref().map_or_else(|| "/".to_owned(), |state| state.next.clone());
    let renews = back.state.as_ref().is_some_and(|state| state.renews);
    let mut used = None;
    let callback = Callback { sign_in, oidc, request: &request, kind: &kind, peer };
    let mut response = match callback.finish(back, &mut used).await {
        Ok(cookies) => {
            let mut response = see_other(&next);
            cookie::add(&mut response, cookies);
            response
        }
        Err(FailedSignIn::Go) => see_other(&next),
        Err(FailedSignIn::Over) => {
            sign_in.note_expired(&request);
            let mut response = to_sign_in_from(&next, true);
            cookie::add(&mut response, kind.clear());
            response
        }
        Err(FailedSignIn::Refused(notice)) => {
            sign_in.refusals.note(audit::Refusal::Provider, peer);
            let issuer = oidc.config.issuer.as_str();
            tracing::warn!(issuer, why = notice.english(), "a sign-in at the provider was refused");
            let mut response = responder.refuse(notice, next);
            // Whom the provider does not vouch for any more is signed out.
            if renews && used.is_some() {
                cookie::add(&mut response, kind.clear());
            }
            response
        }
    };
    cookie::add(&mut response, used);
    Ok(response)
}

impl CallbackParams {
    fn of(sign_in: &SignIn, params: &Params) -> Self {
        let state = params.get("state").and_then(|state| sign_in.keys.read().open(&state));
        let [code, error, issuer] = ["code", "error", "iss"].map(|name| params.get(name));
        Self { state, code, error, issuer }
    }
}

/// The request in which a person comes back.
struct Callback<'a> {
    sign_in: &'a Arc<SignIn>,
    oidc: &'a Oidc,
    request: &'a Parts,
    kind: &'a CookieKind,
    peer: Option<Peer>,
}

impl Callback<'_> {
    /// Returns the cookies of the session that it opens or renews. `used` is set to what clears the sign-in's cookie.
    async fn finish(
        &self,
        back: CallbackParams,
        used: &mut Option<HeaderValue>,
    ) -> Result<Vec<HeaderValue>, FailedSignIn> {
        let now = seconds_now();
        let state = back.state.as_ref().ok_or_else(|| Notice::Wrong(msg!(sign_in.login_unknown)))?;
        let found = login::find(state, self.kind, &self.request.headers, &self.sign_in.keys.read());
        let Some((login, clears)) = found else { return Err(self.without_cookie().await) };
        *used = clears;
        if login.state.is_over(now) {
            return Err(Notice::Wrong(msg!(sign_in.login_stale)).into());
        }
        let renews = login.state.renews;
        let ending = |fault: ExchangeFault| {
            if renews && fault.is_passing() { FailedSignIn::Go } else { notice_of(&fault).into() }
        };
        let found = self.oidc.provider.discover(RECENT).await;
        let found = found.map_err(|fault| ending(ExchangeFault::Provider(fault)))?;
        self.check_issuer(&found, back.issuer.as_deref())?;
        if let Some(error) = back.error {
            return Err(ending_of(&error, &login));
        }
        let code = back.code.ok_or_else(|| Notice::Wrong(msg!(sign_in.login_unknown)))?;
        if !self.sign_in.limits.allow_exchange(self.peer) {
            return Err(if renews { FailedSignIn::Go } else { Notice::TooMany.into() });
        }
        let (claims, token) = self.oidc.redeem(found, login, code, now).await.map_err(ending)?;
        let mappings = &self.oidc.config.mappings;
        if !claims.contains_key(&mappings.groups_claim) {
            tracing::info!(
                claim = mappings.groups_claim,
                "the ID token has no groups claim: this user has no groups. Ask for its scope with \
                 --oidc-scopes, let the provider add it to the ID token, or set --oidc-groups-claim"
            );
        }
        let user = user_of(&claims, mappings);
        let user = user.map_err(|fault: ClaimFault| Notice::Refused(fault.message("oidc")))?;
        let session = self.session(renews, user, token, now).ok_or(FailedSignIn::Over)?;
        self.open(session, renews).await.map_err(FailedSignIn::from)
    }

    /// Another tab may have signed in meanwhile, or the browser keeps no cookies.
    async fn without_cookie(&self) -> FailedSignIn {
        match self.sign_in.viewer_of(self.request).await {
            Ok(_) => FailedSignIn::Go,
            Err(_) => {
                let address = self.oidc.public_url.at("/");
                Notice::Wrong(msg!(sign_in.login_lost, address = address)).into()
            }
        }
    }

    /// The answer must come from the provider that was asked (RFC 9207).
    fn check_issuer(&self, found: &Discovered, issuer: Option<&str>) -> Result<(), Notice> {
        let more = found.metadata.additional_metadata();
        let is_announced = more.authorization_response_iss_parameter_supported;
        match issuer {
            Some(issuer) if issuer == self.oidc.config.issuer => Ok(()),
            None if !is_announced => Ok(()),
            _ => Err(Notice::Refused(msg!(sign_in.login_issuer))),
        }
    }

    /// Returns the session of the user: the one that is renewed, or a new one. `None` if the one to renew has ended.
    fn session(&self, renews: bool, user: UserInfo, token: String, now: i64) -> Option<Session> {
        let user = Arc::new(user);
        let identity = ClaimedIdentity { user, renewed: now, tried: now, id_token: Some(token) };
        let new = |identity| Session { id: rand::random(), began: now, proof: Proof::Identity(identity) };
        if !renews {
            return Some(new(identity));
        }
        let old = self.sign_in.session(self.request).filter(|old| !self.sign_in.has_ended(old))?;
        match &old.proof {
            Proof::Identity(before) if before.user.name == identity.user.name => {
                Some(Session { proof: Proof::Identity(identity), ..old })
            }
            // Somebody else has signed in at the provider.
            _ => {
                self.sign_in.signed_out.insert(old.id, ());
                Some(new(identity))
            }
        }
    }

    /// Returns the cookies of the session.
    async fn open(&self, session: Session, renews: bool) -> Result<Vec<HeaderValue>, Notice> {
        let Proof::Identity(identity) = &session.proof else { return Err(Notice::TooLong) };
        let user = identity.user.clone();
        let groups = user.groups.len();
        let cookies = self
            .sign_in
            .seal(&session, self.kind)
            .ok_or_else(|| Notice::Refused(msg!(sign_in.too_many_groups, count = groups.to_string())))?;
        let hash = Credential::Session(session).hash_text();
        let event = if renews { audit::Event::Renewed } else { audit::Event::SignIn };
        audit::session(event, Some(&user), Some(&hash), self.peer);
        self.sign_in.access.watch_rights(&user).complete_within(SIGN_IN_WAITS).await;
        Ok(cookies)
    }
}

/// Returns what an error that the provider leads back with means.
fn ending_of(error: &str, login: &Login) -> FailedSignIn {
    match error {
        _ if login.state.renews && NEEDS_PERSON.contains(&error) => FailedSignIn::Over,
        _ if login.state.renews => FailedSignIn::Go,
        "access_denied" => Notice::Refused(msg!(sign_in.login_denied)).into(),
        error => Notice::Refused(msg!(sign_in.login_error, code = error_code(error))).into(),
    }
}

fn notice_of(fault: &ExchangeFault) -> Notice {
    if fault.is_passing() { Notice::Away(fault.message()) } else { Notice::Refused(fault.message()) }
}

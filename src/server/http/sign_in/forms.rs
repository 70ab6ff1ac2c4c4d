//! Signing in and out: the forms under `/auth/`, and where they lead.

use std::sync::Arc;

use axum::{
    Form,
    body::Body,
    extract::{Extension, rejection::FormRejection},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts, uri::PathAndQuery},
    response::{IntoResponse, Response},
};
use leptos::server_fn::error::FromServerFnError;
use serde::Deserialize;

use super::{
    audit,
    audit_notes::note_proxy_sign_out,
    auth_proxy::AuthProxy,
    cookie::{self, CookieKind},
    credential::{Credential, NoViewer},
    oidc::{Oidc, leave_url},
    page::{Notice, UpstreamSignOut},
    paths::{OIDC_START, PREFIX, SIGN_IN},
    responder::{Responder, not_found},
    service::SignIn,
    session::{Proof, SESSION_ENDS, Session, seconds_now},
    tokens::Identity,
    viewer::SIGN_IN_WAITS,
};
use crate::{
    server::{
        config::SignInMode,
        http::{
            address,
            error::{ApiError, ApiResult},
            peer::Peer,
        },
    },
    server_fns::Failure,
};
use model::{params::Params, query::encode};

/// The fields of the sign-in form.
#[derive(Deserialize)]
pub struct TokenForm {
    #[serde(default)]
    token: String,
    #[serde(default)]
    next: String,
}

/// `GET /auth/sign-in`, with `?next=`.
pub async fn sign_in_form(responder: Responder, request: Parts) -> ApiResult<Response> {
    let sign_in = &responder.sign_in;
    let params = Params::parse(address::query(&request.uri))?;
    let next = checked_next(&params.get("next").unwrap_or_default());
    let no_viewer = match sign_in.viewer_of(&request).await {
        Ok(_) => return Ok(see_other(&next)),
        Err(no_viewer) => no_viewer,
    };
    if let Some(notice) = of_proxy(sign_in, no_viewer, &request) {
        return Ok(responder.refuse(notice, next));
    }
    let has = |wanted: &str| params.iter().any(|(name, _)| name == wanted);
    let notice = match () {
        () if sign_in.cookies(&request.headers).is_none() => Some(Notice::Unprotected),
        () if has("ended") => Some(Notice::Ended),
        () if has("signed-out") => Some(Notice::SignedOut),
        () => None,
    };
    Ok(responder.page(StatusCode::OK, notice, next))
}

/// `POST /auth/sign-in`: opens a session for a Kubernetes token.
pub async fn sign_in(
    responder: Responder,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    form: Result<Form<TokenForm>, FormRejection>,
) -> ApiResult<Response> {
    let sign_in = &responder.sign_in;
    if !sign_in.modes.has(SignInMode::Token) {
        return Err(not_found());
    }
    let Form(form) = form.map_err(|_| ApiError::BadForm)?;
    let peer = peer.map(|Extension(peer)| peer);
    let next = checked_next(&form.next);
    if !sign_in.limits.allow_sign_in(peer) {
        sign_in.refusals.note(audit::Refusal::Limit, peer);
        return Ok(responder.refuse(Notice::TooMany, next));
    }
    match open(sign_in, &headers, form.token.trim(), peer).await {
        Ok(cookies) => {
            let mut response = see_other(&next);
            cookie::add(&mut response, cookies);
            Ok(response)
        }
        Err(notice) => {
            note_refused(sign_in, &notice, peer);
            Ok(responder.refuse(notice, next))
        }
    }
}

/// Returns what the page says to somebody who came through the authenticating proxy, or should have.
fn of_proxy(sign_in: &SignIn, no_viewer: NoViewer, request: &Parts) -> Option<Notice> {
    match no_viewer {
        NoViewer::Refused(why) => Some(Notice::Refused(why)),
        NoViewer::Unchecked(why) => Some(Notice::Away(why)),
        NoViewer::TooMany => Some(Notice::TooMany),
        NoViewer::SignedOut => sign_in.missing_assertion(request).map(Notice::Refused),
        _ => None,
    }
}

fn leave_provider(oidc: &Oidc, id_token: Option<&str>) -> Option<UpstreamSignOut> {
    let url = leave_url(oidc, id_token)?.into();
    Some(UpstreamSignOut { url, host: oidc.host().to_owned(), is_proxy: false })
}

/// Notes a token that opened no session. A form without one was no attempt.
fn note_refused(sign_in: &SignIn, notice: &Notice, peer: Option<Peer>) {
    let refusal = match notice {
        Notice::TooMany => audit::Refusal::Limit,
        Notice::NoToken | Notice::Unprotected => return,
        _ => audit::Refusal::Token,
    };
    sign_in.refusals.note(refusal, peer);
}

/// Returns the cookies of a new session for the token.
async fn open(
    sign_in: &Arc<SignIn>,
    headers: &HeaderMap,
    token: &str,
    peer: Option<Peer>,
) -> Result<Vec<HeaderValue>, Notice> {
    let kind = sign_in.cookies(headers).ok_or(Notice::Unprotected)?;
    if token.is_empty() {
        return Err(Notice::NoToken);
    }
    let user = match sign_in.tokens.identify(token, peer, false).await {
        Identity::User(user) => user,
        Identity::Rejected => return Err(Notice::Rejected),
        Identity::Unanswered => return Err(Notice::Unanswered),
        Identity::TooMany => return Err(Notice::TooMany),
    };
    let session = Session { id: rand::random(), began: seconds_now(), proof: Proof::Token(token.to_owned()) };
    let sealed = sign_in.keys.read().seal(&session).ok_or(Notice::TooLong)?;
    let cookies = kind.set(&sealed, SESSION_ENDS).ok_or(Notice::TooLong)?;
    let session = Credential::Session(session).hash_text();
    audit::session(audit::Event::SignIn, Some(&user), Some(&session), peer);
    sign_in.access.watch_rights(&user).complete_within(SIGN_IN_WAITS).await;
    Ok(cookies)
}

/// `POST /auth/sign-out`: ends the session, in this process at once and in the browser.
pub async fn sign_out(responder: Responder, request: Parts) -> ApiResult<Response> {
    let sign_in = &responder.sign_in;
    let mut leave = None;
    if let Some(Ok(proven)) = sign_in.proven_by_proxy(&request).await {
        note_proxy_sign_out(&proven, request.extensions.get().copied());
        if let Some(id) = proven.id {
            sign_in.signed_out.insert(id, ());
        }
        let url = sign_in.auth_proxy.as_ref().and_then(AuthProxy::sign_out);
        leave = url.map(|(url, host)| UpstreamSignOut { url, host, is_proxy: true });
    }
    if let Some(session) = sign_in.session(&request) {
        let oidc = sign_in.oidc.as_ref().filter(|_| session.mode() == SignInMode::Oidc);
        leave = leave.or_else(|| leave_provider(oidc?, session.id_token()));
        sign_in.signed_out.insert(session.id, ());
        sign_in.note_session(audit::Event::SignOut, session, request.extensions.get().copied());
    }
    // The answer to a form cannot redirect to the provider: `form-action` forbids that.
    let mut response = match leave {
        Some(leave) => responder.signed_out_page(leave),
        None => see_other(&format!("{SIGN_IN}?signed-out=1")),
    };
    let kind = sign_in.cookies(&request.headers);
    cookie::add(&mut response, kind.iter().flat_map(CookieKind::clear));
    // Also drops the pages that the browser keeps for its back button.
    response.headers_mut().insert("clear-site-data", HeaderValue::from_static("\"cache\""));
    Ok(response)
}

/// Leads a person to the sign-in, and back afterwards.
pub fn to_sign_in(from: &Uri, has_ended: bool) -> Response {
    to_sign_in_from(path_of(from), has_ended)
}

/// Leads a person to the provider and back, without a question.
pub fn to_renewal(from: &Uri) -> Response {
    let mut location = [OIDC_START, "?renew=&next="].concat();
    encode(&mut location, path_of(from));
    see_other(&location)
}

fn path_of(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", PathAndQuery::as_str)
}

/// The same from a checked path.
pub fn to_sign_in_from(next: &str, has_ended: bool) -> Response {
    let mut location = SIGN_IN.to_owned();
    if next != "/" {
        location.push_str("?next=");
        encode(&mut location, next);
    }
    if has_ended {
        location.push_str(if next == "/" { "?ended=1" } else { "&ended=1" });
    }
    see_other(&location)
}

/// Answers a page's own request of a session that has ended.
pub fn session_ended() -> Response {
    let headers = [(header::CACHE_CONTROL, "no-store")];
    (StatusCode::UNAUTHORIZED, headers, Failure::SessionEnded.ser()).into_response()
}

/// Returns the path to go to after the sign-in: one of this server, never that of another. It has no base path, which
/// `base_path` adds to wherever an answer leads.
pub fn checked_next(next: &str) -> String {
    let is_path = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
    let path = next
        .parse::<PathAndQuery>()
        .ok()
        .filter(|path| is_path && !path.path().starts_with(PREFIX) && address::is_read_alike(path.path()));
    path.map_or_else(|| "/".to_owned(), |path| path.to_string())
}

pub fn see_other(location: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers
        .insert(header::LOCATION, HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/")));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

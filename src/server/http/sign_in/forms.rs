//! Signing in and out: the forms under `/auth/`, and where they lead.

use std::sync::Arc;

use axum::{
    Form,
    body::Body,
    extract::{Extension, State, rejection::FormRejection},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts, uri::PathAndQuery},
    response::{Html, IntoResponse, Response},
};
use leptos::server_fn::error::FromServerFnError;
use serde::Deserialize;

use super::{
    Credential, PAGE_WAITS, PREFIX, SESSION_ENDS, SIGN_IN, Session, SignIn, audit,
    cookie::{self, CookieKind},
    page::{Notice, Page},
    seconds_now,
    tokens::Identity,
};
use crate::{
    server::http::{
        address,
        error::{ApiError, ApiResult},
        peer::Peer,
        state::App,
    },
    server_fns::Failure,
};
use i18n::Lang;
use model::{params::Params, query::encode};

/// Longest wait of a sign-in until every namespace was asked about, so that the first page is complete for most.
const WAITS: std::time::Duration = PAGE_WAITS.saturating_mul(3);

/// The fields of the sign-in form.
#[derive(Deserialize)]
pub struct TokenForm {
    #[serde(default)]
    token: String,
    #[serde(default)]
    next: String,
}

/// `GET /auth/sign-in`, with `?next=`.
pub async fn sign_in_form(
    State(app): State<App>,
    lang: Option<Extension<Lang>>,
    request: Parts,
) -> ApiResult<Response> {
    let sign_in = sign_in_of(&app)?;
    let params = Params::parse(address::query(&request.uri))?;
    let next = checked_next(&params.get("next").unwrap_or_default());
    if sign_in.viewer_of(&request).await.is_ok() {
        return Ok(see_other(&next));
    }
    let has = |wanted: &str| params.iter().any(|(name, _)| name == wanted);
    let notice = match () {
        () if sign_in.cookies(&request.headers).is_none() => Some(Notice::Unprotected),
        () if has("ended") => Some(Notice::Ended),
        () if has("signed-out") => Some(Notice::SignedOut),
        () => None,
    };
    Ok(show(&app, lang, StatusCode::OK, notice, next))
}

/// `POST /auth/sign-in`: opens a session for a Kubernetes token.
pub async fn sign_in(
    State(app): State<App>,
    lang: Option<Extension<Lang>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    form: Result<Form<TokenForm>, FormRejection>,
) -> ApiResult<Response> {
    let sign_in = sign_in_of(&app)?;
    let Form(form) = form.map_err(|_| ApiError::BadForm)?;
    let peer = peer.map(|Extension(peer)| peer);
    let next = checked_next(&form.next);
    if !sign_in.limits.allow_sign_in(peer) {
        return Ok(show(&app, lang, Notice::TooMany.status(), Some(Notice::TooMany), next));
    }
    match open(&sign_in, &headers, form.token.trim(), peer).await {
        Ok(cookies) => {
            let mut response = see_other(&next);
            cookie::add(&mut response, cookies);
            Ok(response)
        }
        Err(notice) => {
            audit::session(audit::Event::Refused, None, None, peer);
            Ok(show(&app, lang, notice.status(), Some(notice), next))
        }
    }
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
    let session = Session { id: rand::random(), began: seconds_now(), token: token.to_owned() };
    let sealed = sign_in.keys.read().seal(&session).ok_or(Notice::TooLong)?;
    let cookies = kind.set(&sealed, SESSION_ENDS).ok_or(Notice::TooLong)?;
    let session = Credential::Session(session).hash_text();
    audit::session(audit::Event::SignIn, Some(&user), Some(&session), peer);
    sign_in.access.look(&user).complete_within(WAITS).await;
    Ok(cookies)
}

/// `POST /auth/sign-out`: ends the session, in this process at once and in the browser.
pub async fn sign_out(State(app): State<App>, request: Parts) -> ApiResult<Response> {
    let sign_in = sign_in_of(&app)?;
    let kind = sign_in.cookies(&request.headers);
    let session = kind
        .as_ref()
        .and_then(|kind| kind.read(&request.headers))
        .and_then(|sealed| sign_in.keys.read().open(&sealed));
    if let Some(session) = session {
        sign_in.signed_out.insert(session.id, ());
        let hash = Credential::Session(session).hash_text();
        audit::session(audit::Event::SignOut, None, Some(&hash), request.extensions.get().copied());
    }
    let mut response = see_other(&format!("{SIGN_IN}?signed-out=1"));
    cookie::add(&mut response, kind.iter().flat_map(CookieKind::clear));
    // Also drops the pages that the browser keeps for its back button.
    response.headers_mut().insert("clear-site-data", HeaderValue::from_static("\"cache\""));
    Ok(response)
}

/// Leads a person to the sign-in, and back afterwards.
pub fn to_sign_in(from: &Uri, has_ended: bool) -> Response {
    let next = from.path_and_query().map_or("/", PathAndQuery::as_str);
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
fn checked_next(next: &str) -> String {
    let is_path = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
    let path = next
        .parse::<PathAndQuery>()
        .ok()
        .filter(|path| is_path && !path.path().starts_with(PREFIX) && address::is_read_alike(path.path()));
    path.map_or_else(|| "/".to_owned(), |path| path.to_string())
}

fn sign_in_of(app: &App) -> ApiResult<Arc<SignIn>> {
    app.sign_in.clone().ok_or(ApiError::NotFound("nothing exists at this address".into()))
}

fn show(
    app: &App,
    lang: Option<Extension<Lang>>,
    status: StatusCode,
    notice: Option<Notice>,
    next: String,
) -> Response {
    let lang = lang.map(|Extension(lang)| lang).unwrap_or_default();
    let page = Page { base: app.base.clone(), notice, next };
    let html = page.html(app.assets.bundle(), lang);
    (status, [(header::CACHE_CONTROL, "no-store")], Html(html)).into_response()
}

fn see_other(location: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers
        .insert(header::LOCATION, HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/")));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

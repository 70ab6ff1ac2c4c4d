//! The layer that finds out who makes a request. It lets in who is signed in, within the limits of their user, and
//! leads others to the sign-in.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::{
    audit::{self, AuditedRequest},
    cookie,
    credential::{NoViewer, has_token},
    forms,
    limits::UserPermit,
    paths::{FORMS, SIGN_OUT},
    service::SignIn,
    viewer::{PAGE_WAITS, SignedIn, Viewer},
};
use crate::server::http::{
    address::{self, is_api, is_machine},
    assets::Assets,
    build,
    error::{ApiError, ApiResult},
    peer::{Client, Peer},
};

use i18n::msg;

/// How long an answer for programs waits until every namespace was asked about; a list with gaps would be wrong.
const PROGRAM_WAITS: Duration = Duration::from_secs(5);
/// Seconds after which a user who has all their streams or downloads may ask for another.
const CROWD_RETRY: u32 = 5;

/// What decides who is let in.
#[derive(Clone)]
pub struct Gate {
    /// `None` lets everybody in.
    pub sign_in: Option<Arc<SignIn>>,
    pub assets: Arc<Assets>,
}

/// Lets a request in if somebody is signed in, and puts the [`Viewer`] into its extensions. Files and probes are for
/// everybody.
pub async fn admit(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Some(sign_in) = &gate.sign_in else {
        parts.extensions.insert(Viewer::everybody());
        return next.run(Request::from_parts(parts, body)).await;
    };
    let path = build::inner_path(parts.uri.path()).to_owned();
    let ambiguous = sign_in.auth_proxy.as_ref().and_then(|proxy| proxy.ambiguous_header(&parts.headers));
    if let Some(header) = ambiguous.filter(|_| !address::is_probe(&path)) {
        return ApiError::BadRequest(msg!(sign_in.proxy_ambiguous, header = header.as_str())).into_response();
    }
    let is_form = FORMS.contains(&path.as_str());
    let peer = parts.extensions.get().copied();
    if is_form && !sign_in.is_sign_out(&path, &parts) && !sign_in.limits.allow_unsigned(peer) {
        sign_in.note_form_refused(&path, &parts);
        return ApiError::TooMany(1).into_response();
    }
    if gate.assets.contain(&path) || address::is_probe(&path) || is_form {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let viewer = match sign_in.viewer_of(&parts).await {
        Ok(viewer) => viewer,
        Err(no_viewer) => return vary(sign_in, turn_away(sign_in, &parts, &path, no_viewer)),
    };
    if is_document(&parts) && viewer.user().and_then(SignedIn::renewal_in).is_some_and(|due| due <= 0) {
        return vary(sign_in, forms::to_renewal(&parts.uri));
    }
    let answer = answer(sign_in, viewer, &path, Request::from_parts(parts, body), next).await;
    vary(sign_in, answer.into_response())
}

impl SignIn {
    /// Returns whether a request ends a session that is valid. It counts for no address: a flood from an
    /// address would keep its people signed in.
    fn is_sign_out(&self, path: &str, request: &Parts) -> bool {
        path == SIGN_OUT
            && request.method == Method::POST
            && self.session(request).is_some_and(|session| !self.has_ended(&session))
    }
}

/// Returns whether a browser opens a page, rather than a program or a part of one.
fn is_document(request: &Parts) -> bool {
    let wanted = request.headers.get("sec-fetch-dest");
    let is_whole = wanted.is_none_or(|wanted| wanted == "document");
    is_whole && request.method == Method::GET && !is_machine(request.uri.path())
}

/// Answers a request of somebody who is signed in, within the limits of their user.
async fn answer(
    sign_in: &SignIn,
    mut viewer: Viewer,
    path: &str,
    mut request: Request,
    next: Next,
) -> ApiResult<Response> {
    let begun = Instant::now();
    let Some((user, client)) = viewer.user().map(|user| (user.hash(), user.client_hash())) else {
        return Err(ApiError::SignedOut);
    };
    // From here on limits count by user: behind an ingress everybody has one address.
    let peer = request.extensions().get().map(|peer: &Peer| peer.signed_in(client));
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    if !sign_in.limits.allow_signed(Some(Client::User(user).into())) {
        return Err(ApiError::TooMany(1));
    }
    let at_once = match path {
        "/api/events" if request.method() != Method::HEAD => Some(&sign_in.limits.streams),
        "/api/vms.csv" | "/api/vms.json" => Some(&sign_in.limits.downloads),
        _ => None,
    };
    let permit = at_once.map(|most| most.begin(Client::User(user)).ok_or(ApiError::TooMany(CROWD_RETRY)));
    let permit = permit.transpose()?;
    let is_program = is_api(path) && path != "/api/events";
    viewer.complete_within(if is_program { PROGRAM_WAITS } else { PAGE_WAITS }).await;
    if is_program && !viewer.is_complete() {
        return Err(ApiError::StillChecking);
    }
    let signed_in = viewer.user().cloned();
    request.extensions_mut().insert(viewer);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    if is_api(path)
        && let Some(user) = signed_in
    {
        let is_download = ["/api/vms.csv", "/api/vms.json"].contains(&path);
        let event = if is_download { audit::Event::Download } else { audit::Event::Api };
        if sign_in.requests.count(event, user.user()) {
            let route = route.as_ref().map_or("", MatchedPath::as_str);
            let request = AuditedRequest { peer, route, status: response.status(), took: begun.elapsed() };
            audit::asked(event, &user.audited(), &request);
        }
    }
    Ok(match permit {
        Some(permit) => response.map(|body| hold(body, permit)),
        None => response,
    })
}

/// Returns the body, which holds its user's permit until it is sent or dropped.
fn hold(body: Body, permit: UserPermit) -> Body {
    Body::new(body.map_frame(move |frame| {
        let _held = &permit;
        frame
    }))
}

/// Answers a request of nobody: pages lead to the sign-in, programs get an error.
fn turn_away(sign_in: &SignIn, request: &Parts, path: &str, no_viewer: NoViewer) -> Response {
    let peer = request.extensions.get().copied();
    let is_of_proxy = matches!(no_viewer, NoViewer::Refused(_) | NoViewer::Unchecked(_));
    let is_token = has_token(request) && !is_of_proxy;
    sign_in.note_token_refused(is_token, &no_viewer, request);
    // One with an unknown token has counted already, before the API server was asked for it.
    if !is_token && !sign_in.limits.allow_unsigned(peer) {
        return ApiError::TooMany(1).into_response();
    }
    if no_viewer == NoViewer::SignedOut {
        sign_in.note_missing_assertion(request);
    }
    if !is_token && no_viewer == NoViewer::Ended {
        sign_in.note_expired(request);
    }
    let is_page = !is_machine(request.uri.path());
    let leads_to_sign_in = matches!(no_viewer, NoViewer::SignedOut | NoViewer::Ended);
    let mut response = match no_viewer {
        // There the proxy sends its assertion again, and the page says what is wrong with it.
        _ if is_page && (leads_to_sign_in || is_of_proxy) => {
            forms::to_sign_in(&request.uri, no_viewer == NoViewer::Ended)
        }
        NoViewer::SignedOut | NoViewer::Ended | NoViewer::Refused(_)
            if path.starts_with(address::SERVER_FUNCTIONS) =>
        {
            forms::session_ended()
        }
        no_viewer => {
            let proves_nothing = matches!(no_viewer, NoViewer::SignedOut | NoViewer::NoTokens);
            let missing = proves_nothing.then(|| sign_in.missing_proof(request)).flatten();
            missing.map_or_else(|| no_viewer.into(), ApiError::NotProven).into_response()
        }
    };
    // A session that has ended would be opened and refused again with each request.
    let cookies = sign_in.cookies(&request.headers).filter(|kind| kind.read(&request.headers).is_some());
    if leads_to_sign_in
        && !is_token
        && let Some(kind) = cookies
    {
        cookie::add(&mut response, kind.clear());
    }
    response
}

/// Notes that the answer depends on who asks.
fn vary(sign_in: &SignIn, mut response: Response) -> Response {
    response.headers_mut().append(header::VARY, sign_in.vary());
    response
}

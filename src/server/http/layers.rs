//! The layers around every handler, outermost first, each with its reason. `http::router` applies them.

use std::{any::Any, time::Duration};

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
};
use leptos::nonce::Nonce;
use tower::ServiceBuilder;
use tower_http::{
    CompressionLevel, catch_panic::CatchPanicLayer, classify::ServerErrorsFailureClass,
    compression::CompressionLayer, limit::RequestBodyLimitLayer, timeout::TimeoutLayer, trace::TraceLayer,
};
use tracing::Span;

use super::{
    address::{self, SERVER_FUNCTIONS, is_machine},
    base_path, build,
    connection::Origin,
    error::{ApiError, ApiResult, Problem},
    fetch_metadata::{is_asked_ahead, is_loaded_by_another_site, is_of_another_origin},
    hsts, language,
    limits::ANSWER_TIMEOUT,
    peer::Peer,
    sign_in::{self, Gate},
    state::App,
};
use i18n::Lang;

/// Seconds after which to try again if all connections are taken. Idle ones end within half a minute.
const CROWD_RETRY: u32 = 10;
/// Most bytes of a request's body: only the sign-in form has one, with a token.
const LONGEST_BODY: usize = 16 << 10;
/// Most bytes of path and query. A list's longest query is under 4 kB.
const LONGEST_URL: usize = 8 << 10;

/// Wraps every route in the layers.
pub fn add_layers(router: Router, app: App) -> Router {
    let gate = Gate { sign_in: app.sign_in.clone(), assets: app.assets.clone() };
    // Finds out who asks, and what they may see.
    let admitted = router.layer(middleware::from_fn_with_state(gate, sign_in::admit));
    admitted.layer(
        ServiceBuilder::new()
            // Finds the peer, by which the layers and handlers below count and log.
            .layer(middleware::from_fn_with_state(app.clone(), identify))
            // Logs answers at RUST_LOG=debug and failures at any level. Only the path is logged, since a
            // query can hold what people typed.
            .layer(
                TraceLayer::new_for_http()
                    .make_span_with(span)
                    .on_request(())
                    .on_response(log_response)
                    .on_failure(log_failure),
            )
            // Chooses the language of pages and problems.
            .layer(middleware::from_fn_with_state(app.clone(), choose_language))
            // Shows problems as JSON to programs and as a page to people, whichever layer below they come
            // from.
            .layer(middleware::from_fn_with_state(app.clone(), present))
            // Adds the security headers to every answer, even to one about a panic.
            .layer(middleware::from_fn(add_security_headers))
            // Keeps browsers from asking over plain HTTP once they have come over TLS.
            .layer(middleware::from_fn_with_state(app.clone(), hsts::require_https))
            // Turns a panic into an answer, so that a bug does not end the connection.
            .layer(CatchPanicLayer::custom(panicked))
            // Refuses requests that no client should send.
            .layer(middleware::from_fn_with_state(app, guard_request))
            // Refuses a large body before it is read.
            .layer(RequestBodyLimitLayer::new(LONGEST_BODY))
            // Ends a handler that hangs, so that it does not hold its connection forever.
            .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, ANSWER_TIMEOUT)),
    )
}

/// Compresses answers that are made for each request. Files and the list of VMs are compressed beforehand.
pub fn compression() -> CompressionLayer {
    // At level 4 brotli compresses a page in a few milliseconds.
    CompressionLayer::new().br(true).gzip(true).quality(CompressionLevel::Precise(4))
}

/// Forbids caches to store pages: they show the current moment, and their nonce must not be used twice.
pub async fn never_stored(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(no_store);
    response
}

/// Puts the request's peer into its extensions.
async fn identify(State(app): State<App>, mut request: Request, next: Next) -> Response {
    if let Some(Origin { address, .. }) = request.extensions().get() {
        let peer = app.proxies.peer_of_request(*address, request.headers());
        request.extensions_mut().insert(peer);
    }
    next.run(request).await
}

/// Returns the span of a request. It has the level of errors, so that the log of a failure includes the
/// method, the path and the peer.
fn span(request: &Request) -> Span {
    let peer = request.extensions().get::<Peer>().map(tracing::field::display);
    tracing::error_span!("http", method = %request.method(), path = request.uri().path(), peer)
}

fn log_response(response: &Response, latency: Duration, _: &Span) {
    tracing::debug!(status = response.status().as_u16(), ms = latency.as_millis() as u64, "request finished");
}

fn log_failure(failure: ServerErrorsFailureClass, latency: Duration, _: &Span) {
    // 503 means not ready, busy or timed out, which is no fault of this program.
    match failure {
        ServerErrorsFailureClass::StatusCode(StatusCode::SERVICE_UNAVAILABLE) => {}
        failure => tracing::error!(%failure, ms = latency.as_millis() as u64, "request failed"),
    }
}

/// Answers a panic. `server::log` logs its message.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    ApiError::Internal.into_response()
}

/// Chooses the language of answers for people. Programs get English, whatever they accept.
async fn choose_language(State(app): State<App>, request: Request, next: Next) -> Response {
    if is_machine(request.uri().path()) {
        next.run(request).await
    } else {
        language::choose(&app.base, request, next).await
    }
}

async fn present(State(app): State<App>, request: Request, next: Next) -> Response {
    let machine = is_machine(request.uri().path());
    let lang = request.extensions().get::<Lang>().copied().unwrap_or_default();
    let mut response = next.run(request).await;
    if !response.status().is_client_error() && !response.status().is_server_error() {
        return response;
    }
    if wordless(&response) {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = Problem::of_status(response.status()).into_response();
        allow.map(|allow| response.headers_mut().insert(header::ALLOW, allow));
    }
    match response.extensions_mut().remove::<Problem>() {
        Some(problem) if !machine => page(&problem, response, &app, lang),
        _ => response,
    }
}

/// Returns whether the answer is an error without a problem, made by a layer of tower-http or axum.
fn wordless(response: &Response) -> bool {
    response.body().size_hint().exact() == Some(0) || response.status() == StatusCode::PAYLOAD_TOO_LARGE
}

fn page(problem: &Problem, from: Response, app: &App, lang: Lang) -> Response {
    let html = Html(problem.page(&app.base.0, &app.assets.bundle().css, lang));
    let mut response = (problem.status, html).into_response();
    for (name, value) in from.headers() {
        if ![header::CONTENT_TYPE, header::CONTENT_LENGTH].contains(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// Makes the nonce of a page's inline scripts, and adds the headers that restrict what browsers do with the
/// answer.
async fn add_security_headers(mut request: Request, next: Next) -> Response {
    let nonce = (!is_machine(request.uri().path())).then(Nonce::new);
    let is_sign_in = request.uri().path().starts_with(sign_in::PREFIX);
    if let Some(nonce) = &nonce {
        request.extensions_mut().insert(nonce.clone());
    }
    let mut response = next.run(request).await;
    let policy =
        nonce.and_then(|nonce| page_policy(&nonce)).unwrap_or(HeaderValue::from_static(NO_PAGE_POLICY));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    for (name, value) in SECURITY_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_sign_in {
        // A form without a referrer has no origin either. Addresses here hold no more than where it leads afterwards,
        // and another site still learns nothing.
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    }
    response
}

const SECURITY_HEADERS: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    // URLs contain names of VMs and filters, which other sites must not learn.
    ("referrer-policy", "no-referrer"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    // For browsers that do not know `frame-ancestors`.
    ("x-frame-options", "DENY"),
];

/// The policy of answers for programs: if a browser opens one as a page, it may load and run nothing.
const NO_PAGE_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

fn page_policy(nonce: &Nonce) -> Option<HeaderValue> {
    let policy = format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; \
         img-src 'self' data:; connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).ok()
}

async fn guard_request(State(app): State<App>, mut request: Request, next: Next) -> Response {
    match check(&request, &app) {
        Ok(None) => {}
        Ok(Some(response)) => return response,
        Err(error) => return error.into_response(),
    }
    if build::inner_path(request.uri().path()).starts_with(SERVER_FUNCTIONS) {
        adapt_to_server_functions(&mut request);
    }
    next.run(request).await
}

/// Returns the answer to a request that needs no handler.
fn check(request: &Request, app: &App) -> ApiResult<Option<Response>> {
    let kept_for_probes = request.extensions().get::<Origin>().is_some_and(|origin| origin.probes_only);
    if kept_for_probes && !address::is_probe(request.uri().path()) {
        return Err(ApiError::Busy(CROWD_RETRY));
    }
    let is_form = request.method() == Method::POST && path_is_form(app, request.uri().path());
    if !is_form && ![Method::GET, Method::HEAD].contains(request.method()) {
        return Err(ApiError::Method);
    }
    // The body's limit counts what was decoded, and sizes of chunks may have any length.
    if request.headers().contains_key(header::TRANSFER_ENCODING) {
        return Err(ApiError::NoLength);
    }
    if is_form && !is_from_own_page(request.headers(), app) {
        return Err(ApiError::OtherSite);
    }
    let url = request.uri().path_and_query().map_or("", |url| url.as_str());
    if url.len() > LONGEST_URL {
        return Err(ApiError::UrlTooLong(LONGEST_URL));
    }
    let path = request.uri().path();
    if is_asked_ahead(request.headers()) && !app.assets.contain(path) && !address::is_probe(path) {
        return Err(ApiError::Prefetch);
    }
    if is_loaded_by_another_site(request.headers())
        || !is_form && is_of_foreign_origin(request.headers(), app)
    {
        return Err(ApiError::OtherSite);
    }
    address::check(request.uri())?;
    app.hosts.check(request)?;
    base_path::check(request)
}

/// Returns the same for a server whose proxy may have replaced the host: a page at `--public-url` is its own.
fn is_of_foreign_origin(headers: &HeaderMap, app: &App) -> bool {
    is_of_another_origin(headers) && !app.is_public_origin(headers)
}

/// Returns whether the path takes a form: signing in and out.
fn path_is_form(app: &App, path: &str) -> bool {
    app.sign_in.is_some() && [sign_in::SIGN_IN, sign_in::SIGN_OUT].contains(&path)
}

/// Returns whether a form was sent by a page of this server. Browsers say so by `Sec-Fetch-Site`, older ones by
/// `Origin`, which is `null` where the page's referrer policy hides it.
fn is_from_own_page(headers: &HeaderMap, app: &App) -> bool {
    if headers.contains_key("sec-fetch-site") {
        return headers.get_all("sec-fetch-site").iter().all(|site| site == "same-origin");
    }
    let is_own = headers.contains_key(header::HOST) && !is_of_another_origin(headers);
    headers.contains_key(header::ORIGIN) && (is_own || app.is_public_origin(headers))
}

/// Adapts a request to Leptos' server functions. They accept GET only; for HEAD the router removes the body.
/// The headers are removed because Leptos redirects clients that accept HTML to the referrer, as after a
/// form.
fn adapt_to_server_functions(request: &mut Request<Body>) {
    *request.method_mut() = Method::GET;
    let headers: &mut HeaderMap = request.headers_mut();
    headers.remove(header::ACCEPT);
    headers.remove(header::REFERER);
}

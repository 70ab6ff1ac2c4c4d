//! Answers that are not objects: Kubernetes `Status`, and the plain 404 of an API that is not installed.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};

use crate::objects::{Quoted, put};

/// Returns a `Status`: `reason` is for programs, `message` for people.
pub fn status(code: u16, reason: &str, message: &str) -> Response {
    json(code, status_object(code, reason, message))
}

/// Returns the JSON of a `Status`.
pub fn status_object(code: u16, reason: &str, message: &str) -> String {
    format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":{},"reason":"{reason}","code":{code}}}"#,
        Quoted(message)
    )
}

/// The 404 for an object that does not exist.
pub fn not_found(qualified: &str, name: &str) -> Response {
    let mut out = String::new();
    let message = format!("{qualified} \"{name}\" not found");
    put!(
        out,
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":{},"reason":"NotFound","details":{{"name":{},"kind":"{qualified}"}},"code":404}}"#,
        Quoted(&message),
        Quoted(name)
    );
    json(404, out)
}

/// The API server's answer for a path that it does not serve, such as that of a CRD that is not installed.
pub fn no_such_path() -> Response {
    answer(404, "text/plain; charset=utf-8", Body::from("404 page not found\n"))
}

pub fn method_not_allowed() -> Response {
    status(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
}

pub fn bad_request(message: &str) -> Response {
    status(400, "BadRequest", message)
}

/// The answer if the revision of a list or of its continue token has expired.
pub fn expired(message: &str) -> Response {
    status(410, "Expired", message)
}

/// The answer to an injected status, worded as the API server does.
pub fn injected(code: u16, retry_after: Option<u64>, verb: &str, qualified: &str) -> Response {
    let forbidden = format!("{qualified} is forbidden: User \"demo\" cannot {verb} resource \"{qualified}\"");
    let (reason, message) = match code {
        401 => ("Unauthorized", "Unauthorized"),
        403 => ("Forbidden", forbidden.as_str()),
        404 => ("NotFound", "the server could not find the requested resource"),
        410 => ("Expired", "The resourceVersion for the provided list is too old."),
        429 => ("TooManyRequests", "Too many requests, please try again later."),
        500 => ("InternalError", "Internal error occurred: an error that was asked for"),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "request did not complete within the allotted timeout"),
        _ => ("Unknown", "an unknown error"),
    };
    let mut response = status(code, reason, message);
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A redirect to an address where nothing listens.
pub fn redirect() -> Response {
    let mut response = answer(302, "text/html", Body::from("<a href=\"/login\">Found</a>.\n"));
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("http://127.0.0.1:1/login"));
    response
}

pub fn json(code: u16, body: impl Into<Body>) -> Response {
    answer(code, "application/json", body.into())
}

pub fn text(body: &'static str) -> Response {
    answer(200, "text/plain; charset=utf-8", Body::from(body))
}

fn answer(code: u16, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

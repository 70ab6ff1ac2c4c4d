//! The one error type of HTTP answers: a status and a text for the caller, without internal details. Every
//! handler and layer of `http` uses it.

use std::borrow::Cow;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use i18n::{Lang, Render, expected_english, expected_message, key, msg, text_in};
use model::{
    bad_param::{BadParam, Expected},
    markup::escape,
    message::{Key, Message},
};

/// The result of a handler.
pub type ApiResult<T> = Result<T, ApiError>;

/// Why a request cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    #[error("{}: expected {}", .0.field, expected_english(&.0.expected))]
    BadField(BadParam),
    #[error("{}", .0.english())]
    BadRequest(Message),
    #[error("{0}")]
    NotFound(Cow<'static, str>),
    /// The path has no valid name where one is expected.
    #[error("no virtual machine can have this name: expected {}", expected_english(&Expected::Name))]
    NoName,
    #[error("no node can have this name: expected {}", expected_english(&Expected::Name))]
    NoNodeName,
    #[error("{name} exists in more than one namespace: choose one with ?namespace=")]
    Ambiguous { name: String, namespaces: Vec<String> },
    #[error("only GET and HEAD are supported")]
    Method,
    #[error("requests must have a Content-Length, and no Transfer-Encoding")]
    NoLength,
    #[error("the URL is longer than {0} bytes")]
    UrlTooLong(usize),
    #[error("this host name is not served here; --allowed-hosts lists the names that are")]
    Misdirected,
    /// A page of another site could not read the answer, but could measure how long it takes and so learn
    /// something.
    #[error("cross-site requests are not allowed; other sites can only link here")]
    OtherSite,
    #[error("{0}")]
    Unavailable(&'static str),
    /// A browser asked for the answer ahead of time. It could not use the answer, which is never stored.
    #[error("prefetch requests are not served")]
    Prefetch,
    /// Seconds after which to try again.
    #[error("too many event clients: try again in {0} s, or poll")]
    Crowded(u32),
    /// Seconds after which to try again.
    #[error("the memory for event views is used up: try again in {0} s, or poll")]
    NoRoom(u32),
    /// Seconds after which to try again.
    #[error("this server is busy: try again in {0} s")]
    Busy(u32),
    #[error("sign in: send a Kubernetes token as `Authorization: Bearer`, or sign in in a browser")]
    SignedOut,
    #[error("the token or the session is invalid or has expired: sign in again")]
    SessionEnded,
    /// What the authenticating proxy sends does not prove who asks.
    #[error("{}", .0.english())]
    NotProven(Message),
    /// What the authenticating proxy sends cannot be checked now.
    #[error("{}", .0.english())]
    NotCheckable(Message),
    #[error("the API server cannot confirm your identity right now: try again in 2 s")]
    IdentityUnknown,
    #[error("your permissions are still being checked: try again in 2 s")]
    StillChecking,
    /// Seconds after which to try again.
    #[error("too many requests: try again in {0} s")]
    TooMany(u32),
    #[error("the form cannot be read")]
    BadForm,
    /// The cause is in the log; callers do not need to know it.
    #[error("the server failed to answer; see its log")]
    Internal,
}

impl ApiError {
    /// Returns the status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadField(_) | Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) | Self::NoName | Self::NoNodeName => StatusCode::NOT_FOUND,
            Self::Ambiguous { .. } => StatusCode::CONFLICT,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoLength => StatusCode::LENGTH_REQUIRED,
            Self::UrlTooLong(_) => StatusCode::URI_TOO_LONG,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::OtherSite => StatusCode::FORBIDDEN,
            Self::SignedOut | Self::SessionEnded | Self::NotProven(_) => StatusCode::UNAUTHORIZED,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::BadForm => StatusCode::BAD_REQUEST,
            Self::Unavailable(_)
            | Self::Crowded(_)
            | Self::NoRoom(_)
            | Self::Busy(_)
            | Self::Prefetch
            | Self::IdentityUnknown
            | Self::NotCheckable(_)
            | Self::StillChecking => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns the text for people. Errors that only programs meet have their English text.
    fn message(&self) -> Message {
        match self {
            Self::BadField(BadParam { field, expected }) => {
                msg!(page.bad_query_text, field = field.as_str(), expected = expected_message(expected))
            }
            Self::BadRequest(message) | Self::NotProven(message) | Self::NotCheckable(message) => {
                message.clone()
            }
            Self::NotFound(_) => msg!(problem.not_found_text),
            Self::NoName => msg!(problem.no_name_text, expected = expected_message(&Expected::Name)),
            Self::NoNodeName => {
                msg!(problem.no_node_name_text, expected = expected_message(&Expected::Name))
            }
            Self::Method => msg!(problem.method_text),
            Self::UrlTooLong(bytes) => msg!(problem.too_long_text, bytes = bytes.to_string()),
            Self::Misdirected => msg!(problem.misdirected_text),
            Self::Busy(seconds) => msg!(problem.busy_text, seconds = seconds.to_string()),
            Self::Internal => msg!(problem.internal_text),
            Self::IdentityUnknown => msg!(problem.identity_unknown_text),
            Self::StillChecking => msg!(problem.still_checking_text),
            Self::TooMany(seconds) => msg!(problem.too_many_text, seconds = seconds.to_string()),
            Self::BadForm => msg!(problem.bad_form_text),
            other => other.to_string().into(),
        }
    }

    /// Returns the last event of a stream that this error ends, for programs: the problem as a request would
    /// get it, and when to reconnect.
    pub fn last_event(&self) -> String {
        let problem = self.problem().json();
        let retry = match self {
            Self::Crowded(seconds) | Self::NoRoom(seconds) | Self::Busy(seconds) => *seconds * 1000,
            _ => 3000,
        };
        format!("retry: {retry}\nevent: problem\ndata: {problem}\n\n")
    }

    fn problem(&self) -> Problem {
        let mut problem = Problem::new(self.status(), self.to_string());
        problem.message = self.message();
        match self {
            Self::BadField(bad) => problem.field = Some(bad.field.clone()),
            Self::NoName | Self::NoNodeName => problem.field = Some("name".to_owned()),
            Self::Ambiguous { namespaces, .. } => problem.namespaces = namespaces.clone(),
            _ => {}
        }
        problem
    }
}

impl From<BadParam> for ApiError {
    fn from(bad: BadParam) -> Self {
        Self::BadField(bad)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.problem().into_response();
        let header = match self {
            Self::Method => (header::ALLOW, HeaderValue::from_static("GET, HEAD")),
            Self::Crowded(seconds) | Self::NoRoom(seconds) | Self::Busy(seconds) | Self::TooMany(seconds) => {
                (header::RETRY_AFTER, seconds.into())
            }
            Self::IdentityUnknown | Self::StillChecking => (header::RETRY_AFTER, 2.into()),
            Self::SignedOut => (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            // RFC 6750, 3.1.
            Self::SessionEnded => {
                (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""))
            }
            _ => return response,
        };
        response.headers_mut().insert(header.0, header.1);
        response
    }
}

/// A problem of RFC 9457. The response carries it as an extension, so that [`super::layers`] can show it to
/// a person as a page.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    r#type: &'static str,
    pub title: &'static str,
    #[serde(serialize_with = "as_number")]
    pub status: StatusCode,
    pub detail: String,
    /// The detail for people.
    #[serde(skip)]
    message: Message,
    /// The parameter that is not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// The namespaces to choose from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    namespaces: Vec<String>,
}

impl Problem {
    /// Returns a problem with this status and detail.
    pub fn new(status: StatusCode, detail: String) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        let message = detail.as_str().into();
        Self { r#type: "about:blank", title, status, detail, message, field: None, namespaces: Vec::new() }
    }

    /// Returns the problem of a status that came without a text of this program.
    pub fn of_status(status: StatusCode) -> Self {
        let message = match status {
            StatusCode::SERVICE_UNAVAILABLE => msg!(problem.timeout_text),
            StatusCode::PAYLOAD_TOO_LARGE => msg!(problem.too_large_text),
            _ => match status.canonical_reason() {
                Some(words) => words.into(),
                None => msg!(problem.other_text),
            },
        };
        Self { message: message.clone(), ..Self::new(status, message.english()) }
    }

    /// Cannot fail: numbers and strings always serialize.
    fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns the title for people.
    fn heading(&self) -> Key {
        match self.status {
            StatusCode::BAD_REQUEST => key!(problem.bad_request),
            StatusCode::NOT_FOUND => key!(problem.not_found),
            StatusCode::METHOD_NOT_ALLOWED => key!(problem.method),
            StatusCode::CONFLICT => key!(problem.conflict),
            StatusCode::PAYLOAD_TOO_LARGE => key!(problem.too_large),
            StatusCode::URI_TOO_LONG => key!(problem.too_long),
            StatusCode::MISDIRECTED_REQUEST => key!(problem.misdirected),
            StatusCode::TOO_MANY_REQUESTS => key!(problem.too_many),
            StatusCode::INTERNAL_SERVER_ERROR => key!(problem.internal),
            StatusCode::SERVICE_UNAVAILABLE => key!(problem.unavailable),
            _ => key!(problem.unnamed),
        }
    }

    /// Returns the problem as an HTML page for people, without scripts and without data of the request.
    pub fn page(&self, base: &str, stylesheet: &str, lang: Lang) -> String {
        let (title, all) = (text_in(lang, self.heading()), text_in(lang, key!(problem.all_vms)));
        let detail = escape(&self.message.render(lang));
        format!(
            concat!(
                r#"<!DOCTYPE html><html lang="{lang}"><head><meta charset="utf-8">"#,
                r#"<meta name="viewport" content="width=device-width, initial-scale=1">"#,
                r#"<title>{status} {title}</title><link rel="stylesheet" href="{style}"></head>"#,
                r#"<body><main><h1>{title}</h1><p>{detail}</p><p><a href="{base}/">{all}</a></p>"#,
                r#"</main></body></html>"#
            ),
            lang = lang.tag(),
            base = base,
            status = self.status.as_u16(),
            title = title,
            style = stylesheet,
            detail = detail,
            all = all,
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Body::from(self.json())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.extensions_mut().insert(self);
        response
    }
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

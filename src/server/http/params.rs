//! Parses the parameters of a request, for handlers that have parameters of their own.

use axum::{extract::FromRequestParts, http::request::Parts};

use super::{
    address,
    error::{ApiError, ApiResult},
};
use model::{
    bad_param::{BadParam, Expected},
    history::Span,
    name::is_dns_label,
    params::Params,
};

/// The decoded query string, as an extractor. Fails if it cannot be decoded.
pub struct QueryParams(pub Params);

impl<S: Sync> FromRequestParts<S> for QueryParams {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> ApiResult<Self> {
        Ok(Self(Params::parse(address::query(&parts.uri))?))
    }
}

/// Returns `?namespace=`, which chooses between virtual machines of the same name. Fails if it is not a DNS
/// label.
pub fn namespace(params: &Params) -> ApiResult<Option<String>> {
    match params.get("namespace") {
        Some(namespace) if !is_dns_label(&namespace) => Err(bad("namespace", Expected::Namespace)),
        namespace => Ok(namespace),
    }
}

/// Returns `?span=` of a history. Fails for an unknown span.
pub fn span(params: &Params) -> ApiResult<Span> {
    Ok(Span::of_text(params.get("span").as_deref().unwrap_or_default())?)
}

/// Returns the error of a parameter that is not valid.
pub fn bad(field: &str, expected: impl Into<Expected>) -> ApiError {
    BadParam::new(field, expected).into()
}

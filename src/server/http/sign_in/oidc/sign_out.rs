//! Leaving the provider too (OpenID Connect RP-Initiated Logout 1.0).

use openidconnect::url::Url;

use super::Oidc;

/// Returns the address at the provider that ends the session there and leads back. `None` if it has none, or was never
/// reached.
pub fn leave_url(oidc: &Oidc, id_token: Option<&str>) -> Option<Url> {
    let found = oidc.provider.last()?;
    let mut url = found.metadata.additional_metadata().end_session_endpoint.clone()?;
    let mut query = url.query_pairs_mut();
    query.append_pair("client_id", &oidc.config.client_id);
    query.append_pair("post_logout_redirect_uri", &oidc.home);
    if let Some(token) = id_token {
        query.append_pair("id_token_hint", token);
    }
    drop(query);
    Some(url)
}

//! Signed claims of an identity provider: whether they are genuine ([`TokenVerifier`]), and which user of Kubernetes
//! they make ([`mapping`]). `oidc` takes them from an ID token that it fetched itself, `auth_proxy` from the
//! assertion in a request.

mod http;
mod keys;
mod mapping;
mod verifier;

pub use self::http::{HttpFault, ProviderHttp, get_json};
pub use keys::KeySource;
pub use mapping::{ClaimFault, user_of};
pub use verifier::{LEEWAY, TokenFault, TokenVerifier, unverified_claims};

/// The claims of a token that was verified.
pub type Claims = serde_json::Map<String, serde_json::Value>;

//! The addresses under `/auth/`.

/// Path prefix of signing in and out.
pub const PREFIX: &str = "/auth/";
pub const SIGN_IN: &str = "/auth/sign-in";
pub const SIGN_OUT: &str = "/auth/sign-out";
/// Leads to the OpenID Connect provider.
pub const OIDC_START: &str = "/auth/oidc";
/// The provider leads back here.
pub const OIDC_CALLBACK: &str = "/auth/oidc/callback";
/// What everybody may ask for, to sign in or out.
pub const FORMS: [&str; 4] = [SIGN_IN, SIGN_OUT, OIDC_START, OIDC_CALLBACK];

//! Signing in at an OpenID Connect provider.

mod attacks;
pub mod provider;
pub mod realm;
mod renewal;
mod sessions;

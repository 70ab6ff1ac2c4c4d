//! Signing in, sessions, and what a viewer is let in to.

mod audit;
pub(crate) mod auth_proxy;
mod canary;
pub mod fixture;
mod limits;
pub(crate) mod oidc;
mod pages;
mod sessions;
mod streams;

//! Signing in, sessions, and what a viewer is let in to.

mod audit;
mod canary;
pub mod fixture;
mod limits;
mod oidc;
mod pages;
mod sessions;
mod streams;

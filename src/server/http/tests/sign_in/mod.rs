//! Signing in, sessions, and what a viewer is let in to.

pub mod fixture;
mod limits;
mod sessions;
mod streams;

//! Signing in, sessions, and what a viewer is let in to.

pub mod fixture;
mod pages;
mod sessions;

//! TLS of the listener: `pair` reads `--tls-cert` and `--tls-key`, `follow` takes over new files while the program
//! runs, `client` tells who has shown a client certificate, `pinned` is the client of `healthcheck`. `http::connection` runs the handshakes.

mod client;
mod follow;
mod pair;
mod pinned;
#[cfg(test)]
pub mod tests;

pub use client::is_client;
pub use follow::{ServerTls, Stage};
pub use pair::{KeyPair, PairError, Validity, check_client_ca};
pub use pinned::connector;

/// Time before the end of a certificate in which `check` and the log warn.
pub const ENDS_SOON: jiff::SignedDuration = jiff::SignedDuration::from_hours(7 * 24);

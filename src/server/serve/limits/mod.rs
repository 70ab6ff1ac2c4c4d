//! How much of this server clients may take at once, and how much of that one of them.

mod semaphore;

pub use semaphore::{PeerPermit, PeerSemaphore, PermitError};

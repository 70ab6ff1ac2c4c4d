//! What server and browser share: serde types and pure functions, no I/O, no clock.
//!
//! Everything here crosses the wire in `postcard`, so no field is skipped or untagged, and no `usize` is used.

pub mod bad_param;
pub mod delta;
pub mod figure;
pub mod format;
pub mod groups;
pub mod history;
pub mod insight;
pub mod map;
pub mod markup;
pub mod message;
pub mod name;
pub mod params;
pub mod quantity;
pub mod query;
pub mod reason;
pub mod source;
pub mod totals;
pub mod view;
pub mod vm;

/// Milliseconds since the Unix epoch.
pub type Millis = i64;

//! Types and pure functions that server and browser share, with serde. No I/O, no clock.
//!
//! Everything here is sent as `postcard`, so no field is untagged, and a skipped one is skipped both ways, and `usize` is not used.

pub mod activity;
pub mod activity_history;
pub mod attention;
pub mod bad_param;
pub mod delta;
pub mod derived;
pub mod details;
pub mod events;
pub mod figure;
pub mod format;
pub mod groups;
pub mod hidden;
pub mod history;
pub mod insight;
pub mod instance;
pub mod map;
pub mod markup;
pub mod message;
pub mod name;
pub mod nodes;
pub mod params;
pub mod pressure;
pub mod quantity;
pub mod query;
pub mod rates;
pub mod reason;
mod series;
pub mod source;
pub mod thresholds;
pub mod totals;
pub mod view;
pub mod vm;
pub mod vm_health;

/// Milliseconds since the Unix epoch.
pub type Millis = i64;

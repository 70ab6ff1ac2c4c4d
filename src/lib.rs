//! wukong-dashboard: how much CPU, memory and disk every virtual machine of a KubeVirt cluster really uses.
//!
//! One crate, two halves: `ssr` is the native server, `hydrate` the WebAssembly that takes over in the browser.
//! ARCHITECTURE.md holds the map.

pub mod app;
pub mod model;
#[cfg(feature = "ssr")]
pub mod server;
#[cfg(feature = "ssr")]
pub mod sim;

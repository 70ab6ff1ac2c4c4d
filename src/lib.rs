//! wukong-dashboard: how much CPU, memory and disk every virtual machine of a KubeVirt cluster really uses.
//!
//! One crate, two halves: `ssr` is the native server, `hydrate` the WebAssembly that takes over in the browser.
//! ARCHITECTURE.md holds the map.

// Views are deeply nested types.
#![recursion_limit = "256"]

pub mod app;
pub mod model;
#[cfg(feature = "ssr")]
pub mod server;
pub mod server_fns;
#[cfg(feature = "ssr")]
pub mod sim;
pub mod ui;

/// Takes over the page that the server rendered. The page's script calls it once the WebAssembly is there.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_lazy(app::App);
}

//! wukong-dashboard shows how much CPU, memory and disk every virtual machine of a KubeVirt cluster really
//! uses.
//!
//! This crate has two halves: the feature `ssr` builds the native server, `hydrate` builds the WebAssembly
//! that takes over the pages in the browser. ARCHITECTURE.md holds the map.

// Views are deeply nested types.
#![recursion_limit = "256"]

pub mod app;
#[cfg(feature = "ssr")]
pub mod server;
pub mod server_fns;
pub mod ui;

/// Hydrates the page that the server rendered. The page's script calls it when the WebAssembly is loaded.
/// `texts` are the texts of the page's language, `build` is the path of the page's build, such as `/at/BUILD/LANGUAGE` below the base path. If the texts
/// are of another build, the page stays as the server rendered it.
#[cfg(all(feature = "hydrate", not(feature = "ssr")))]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate(texts: String, build: String) {
    console_error_panic_hook::set_once();
    if !i18n::load(texts) {
        leptos::logging::error!("the page's texts are of another build");
        return;
    }
    let _ = leptos::server_fn::client::try_set_server_url(build.leak());
    js_sys::futures::spawn_local(app::hydrate());
}

//! Placeholder until the pages arrive.

use leptos::prelude::*;
use leptos_router::{
    SsrMode,
    components::{Route, Router, Routes},
    path,
};

/// Addresses of the browser's half, as the build named them. Without `js` pages are plain HTML, and complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    pub css: String,
    /// A module script that fetches `wasm` and calls `hydrate()`.
    pub js: String,
    pub wasm: String,
    /// More that the first page needs: scripts and WebAssembly.
    pub preload: Vec<String>,
}

/// The whole document. Rendered on the server only.
pub fn shell(bundle: Bundle) -> impl IntoView {
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <link rel="stylesheet" href=bundle.css />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}

#[component]
pub fn App() -> impl IntoView {
    view! {
        <Router>
            <Routes fallback=|| "Not found">
                <Route path=path!("/") view=|| "home" ssr=SsrMode::Async />
            </Routes>
        </Router>
    }
}

//! The page's frame: the HTML around the app, the app's bar and its routes.

use leptos::prelude::*;
use leptos_meta::{MetaTags, provide_meta_context};
use leptos_router::{
    Lazy, SsrMode,
    components::{FlatRoutes, Route, Router},
    path,
};

use crate::ui::{
    components::{sprite::Sprite, topbar::Topbar},
    live::Live,
    pages::{home::Home, missing::NotFound, sources::SourcesRoute, vm::VmRoute},
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

impl Bundle {
    /// The address of a file of `public/`, which the build puts beside the stylesheet.
    fn public(&self, name: &str) -> String {
        let folder = self.css.rfind('/').map_or("/", |slash| &self.css[..=slash]);
        format!("{folder}{name}")
    }
}

/// The whole document. Rendered on the server only.
pub fn shell(bundle: Bundle) -> impl IntoView {
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <link rel="icon" type="image/svg+xml" href=bundle.public("favicon.svg") />
                <link rel="stylesheet" href=bundle.css.clone() />
                // Not deferred: it sets the chosen theme before the first paint.
                <script src=bundle.public("theme.js")></script>
                {boot(bundle)}
                <MetaTags />
            </head>
            <body>
                <App />
                // After the app: what is hydrated ends before it, so that the icons cost the browser's half nothing.
                <Sprite />
            </body>
        </html>
    }
}

/// What starts the browser's half. A file and no inline script: the content security policy needs no exception.
fn boot(bundle: Bundle) -> Option<impl IntoView> {
    if bundle.js.is_empty() {
        return None;
    }
    let (wasm, scripts): (Vec<_>, Vec<_>) =
        bundle.preload.into_iter().chain([bundle.wasm]).partition(|address| address.ends_with(".wasm"));
    let wasm = wasm.into_iter().map(|address| {
        view! { <link rel="preload" r#as="fetch" r#type="application/wasm" crossorigin="" href=address /> }
    });
    let scripts = scripts.into_iter().filter(|address| !address.is_empty());
    let scripts = scripts.map(|address| view! { <link rel="modulepreload" href=address /> });
    Some(view! {
        {wasm.collect_view()}
        {scripts.collect_view()}
        <script type="module" src=bundle.js></script>
    })
}

/// The bar and the page of the address. Pages are rendered whole before anything is sent (`Async`), so that they are
/// complete without JavaScript and their status is right; all but the first are fetched when they are first needed.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    Live::provide();
    view! {
        <Router>
            // `external` keeps the router's hands off: only the browser itself moves the focus along.
            <a class="vh skip" href="#main" rel="external">
                "Skip to content"
            </a>
            <Topbar />
            <main id="main" tabindex="-1">
                <FlatRoutes fallback=NotFound>
                    <Route path=path!("/") view=Home ssr=SsrMode::Async />
                    <Route
                        path=path!("/vms/:namespace/:name")
                        view={Lazy::<VmRoute>::new()}
                        ssr=SsrMode::Async
                    />
                    <Route
                        path=path!("/sources")
                        view={Lazy::<SourcesRoute>::new()}
                        ssr=SsrMode::Async
                    />
                </FlatRoutes>
            </main>
        </Router>
    }
}

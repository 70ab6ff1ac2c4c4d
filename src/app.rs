//! The page's frame: the HTML around the app, the app's bar and its routes.

use leptos::prelude::*;
use leptos_meta::{MetaTags, provide_meta_context};
use leptos_router::{
    SsrMode,
    components::{FlatRoutes, Route, Router},
    location::{RequestUrl, Url},
    path,
};

use crate::ui::{
    components::{keys::Keys, sprite::Sprite, topbar::Topbar},
    feed,
    live::Live,
    pages::{
        groups::GroupsRoute, home, insights::InsightsRoute, missing::NotFound, sources::SourcesRoute,
        vm::VmRoute,
    },
    route::Page,
};
use i18n::{Lang, t};
use model::{query::ViewKind, view::SourcesView};

/// Addresses of the browser's half, as the build named them. Without `js` pages are plain HTML, and complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    pub css: String,
    /// A module script that fetches the WebAssembly and calls `hydrate()`.
    pub js: String,
}

impl Bundle {
    /// Which build it is: the folder that its files are in, named by their content.
    pub fn build(&self) -> &str {
        self.css.rsplit('/').nth(1).unwrap_or_default()
    }

    /// The address of a file of `public/`, which the build puts beside the stylesheet.
    fn public(&self, name: &str) -> String {
        let folder = self.css.rfind('/').map_or("/", |slash| &self.css[..=slash]);
        format!("{folder}{name}")
    }
}

/// The whole document. Rendered on the server only.
pub fn shell(bundle: Bundle) -> impl IntoView {
    let lang = use_context::<Lang>().unwrap_or_default().tag();
    let later = needs_later();
    view! {
        <!DOCTYPE html>
        <html lang=lang>
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <link rel="icon" type="image/svg+xml" href=bundle.public("favicon.svg") />
                <link rel="stylesheet" href=bundle.css.clone() />
                {later.then(|| view! { <link rel="stylesheet" href=bundle.public("later.css") /> })}
                // Not deferred: it sets the chosen theme before the first paint.
                <script src=bundle.public("theme.js")></script>
                <script defer src=bundle.public("keys.js")></script>
                {boot(bundle, lang, later)}
                <MetaTags />
            </head>
            <body>
                <App />
                // After the app: what is hydrated ends before it, so that the icons cost the browser's half nothing.
                <Sprite />
                <Keys />
            </body>
        </html>
    }
}

/// Whether the page needs the styles and words that the list's cards do without.
fn needs_later() -> bool {
    let url = use_context::<RequestUrl>().and_then(|url| url.parse().ok());
    url.is_some_and(|url: Url| url.path() != "/" || ViewKind::of_address(url.search()) != ViewKind::Cards)
}

/// What starts the browser's half. A file and no inline script: the content security policy needs no exception.
fn boot(bundle: Bundle, lang: &str, later: bool) -> Option<impl IntoView> {
    if bundle.js.is_empty() {
        return None;
    }
    let words = [".txt", ".later.txt"].into_iter().take(if later { 2 } else { 1 });
    let words = words.map(|part| bundle.public(&[lang, part].concat()));
    let words =
        words.map(|address| view! { <link rel="preload" r#as="fetch" crossorigin="" href=address /> });
    let words = words.collect_view();
    Some(view! {
        {words}
        <script type="module" src=bundle.js></script>
    })
}

/// The page of an address that begins with this, if there is such an address.
fn page_of(segment: &str) -> Page {
    match segment {
        "vms" => Page::lazy::<VmRoute>(),
        "groups" => Page::lazy::<GroupsRoute>(),
        "insights" => Page::lazy::<InsightsRoute>(),
        "sources" => Page::lazy::<SourcesRoute>(),
        _ => home::page(),
    }
}

/// Takes over the page that the server rendered, once its code and words are there. Where they cannot be had the page
/// stays what it is without scripts: complete.
#[cfg(not(feature = "ssr"))]
pub async fn take_over() {
    let location = window().location();
    let path = location.pathname().unwrap_or_default();
    let search = location.search().unwrap_or_default();
    if page_of(path.split('/').nth(1).unwrap_or_default()).bring(&search).await {
        leptos::mount::hydrate_body(App);
    }
}

/// The bar and the page of the address. Pages are rendered whole before anything is sent (`Async`), so that they are
/// complete without JavaScript and their status is right; all but the first are fetched when they are first needed.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    Live::provide(feed::first::<SourcesView>(&()).map(|view| view.frame));
    view! {
        <Router>
            // `external` keeps the router's hands off: only the browser itself moves the focus along.
            <a class="vh skip" href="#main" rel="external">
                {t!(page.skip)}
            </a>
            <Topbar />
            <main id="main" tabindex="-1">
                <FlatRoutes fallback=NotFound>
                    <Route path=path!("/") view={page_of("")} ssr=SsrMode::Async />
                    <Route
                        path=path!("/vms/:namespace/:name")
                        view={page_of("vms")}
                        ssr=SsrMode::Async
                    />
                    <Route path=path!("/groups") view={page_of("groups")} ssr=SsrMode::Async />
                    <Route path=path!("/insights") view={page_of("insights")} ssr=SsrMode::Async />
                    <Route path=path!("/sources") view={page_of("sources")} ssr=SsrMode::Async />
                </FlatRoutes>
            </main>
        </Router>
    }
}

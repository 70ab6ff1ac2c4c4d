//! The frame of every page: the HTML document (`shell`), the top bar and the routes (`App`). The server
//! renders it, the browser hydrates `App`.

use leptos::prelude::*;
use leptos_meta::{MetaTags, provide_meta_context};
use leptos_router::{
    Lazy, SsrMode,
    components::{FlatRoutes, Route, Router},
    location::{RequestUrl, Url},
    path,
};

#[cfg(not(feature = "ssr"))]
use crate::ui::{lazy_page::load, pages::home::load_view};
use crate::{
    server_fns::default_view,
    ui::{
        address,
        components::{account, keys::Keys, sprite::Sprite, topbar::Topbar},
        feed,
        lazy_page::LazyPage,
        live::Live,
        pages::{
            groups_route::GroupsRoute, home::HomeRoute, insights::InsightsRoute, missing::NotFound,
            sources::SourcesRoute, vm::VmRoute,
        },
    },
};
use i18n::{Lang, t};
use model::{query::ViewKind, view::SourcesView};

/// URLs of the files of the browser's half, as the build named them. If `js` is empty, the pages are plain
/// HTML and still complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    pub css: String,
    /// A module script that fetches the WebAssembly and calls `hydrate()`.
    pub js: String,
}

impl Bundle {
    /// Returns the build's name: the folder of its files, which is named by their content.
    pub fn build(&self) -> &str {
        self.css.rsplit('/').nth(1).unwrap_or_default()
    }

    /// Returns the URL of a file of `public/`. The build puts these files beside the stylesheet.
    pub fn public(&self, name: &str) -> String {
        let folder = self.css.rfind('/').map_or("/", |slash| &self.css[..=slash]);
        format!("{folder}{name}")
    }
}

/// The whole HTML document. It is rendered on the server only.
pub fn shell(bundle: Bundle) -> impl IntoView {
    let lang = use_context::<Lang>().unwrap_or_default().tag();
    let later = needs_later();
    let is_signed_in = account::provide();
    view! {
        <!DOCTYPE html>
        <html lang=lang>
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <link rel="icon" type="image/svg+xml" href=bundle.public("favicon.svg") />
                <link rel="stylesheet" href=bundle.css.clone() />
                {(later || is_signed_in).then(|| view! { <link rel="stylesheet" href=bundle.public("later.css") /> })}
                // Not deferred: it sets the chosen theme before the first paint.
                <script src=bundle.public("theme.js")></script>
                <script defer src=bundle.public("keys.js")></script>
                {boot(bundle, lang, later)}
                <MetaTags />
            </head>
            <body>
                <App />
                // The icons stand after the app, outside what is hydrated, so that they cost the browser's
                // half nothing.
                <Sprite />
                <Keys />
            </body>
        </html>
    }
}

/// Returns whether the page needs `later.css` and the later part of its texts. Only the list's cards do
/// without them.
fn needs_later() -> bool {
    let url = use_context::<RequestUrl>().and_then(|url| url.parse().ok());
    url.is_some_and(|url: Url| {
        let view = || ViewKind::of_address(url.search()).unwrap_or_else(default_view);
        url.path() != address::at("/") || view() != ViewKind::Cards
    })
}

/// Returns the elements that start the browser's half, or `None` for a build without one. The script is a
/// file and not inline, so that the content security policy needs no exception.
fn boot(bundle: Bundle, lang: &str, later: bool) -> Option<impl IntoView> {
    if bundle.js.is_empty() {
        return None;
    }
    let parts: &[&str] = if later { &[".txt", ".later.txt"] } else { &[".txt"] };
    let preloads: Vec<_> = parts
        .iter()
        .map(|part| {
            let address = bundle.public(&[lang, *part].concat());
            view! { <link rel="preload" r#as="fetch" crossorigin="" href=address /> }
        })
        .collect();
    Some(view! {
        {preloads}
        <script type="module" src=bundle.js></script>
    })
}

/// Hydrates the page that the server rendered. Its code and texts are loaded first, so that hydration never
/// waits: asynchronous hydration would compile a second copy of most of the code. If they cannot be loaded,
/// the page stays as it is without scripts, which is complete.
#[cfg(not(feature = "ssr"))]
pub async fn hydrate() {
    let location = window().location();
    let path = location.pathname().unwrap_or_default();
    let page = path.strip_prefix(address::base()).unwrap_or_default();
    let search = location.search().unwrap_or_default();
    let loaded = match page.split('/').nth(1).unwrap_or_default() {
        "vms" => load::<VmRoute>().await,
        "groups" | "nodes" => load::<GroupsRoute>().await,
        "insights" => load::<InsightsRoute>().await,
        "sources" => load::<SourcesRoute>().await,
        _ => load_view(ViewKind::of_address(&search).unwrap_or_else(default_view)).await,
    };
    if loaded {
        leptos::mount::hydrate_body(App);
    }
}

/// The top bar and the page that the address names. Pages are rendered whole before anything is sent
/// (`Async`), so that they are complete without JavaScript and have the right status. The code of every page
/// but the list is fetched when it is first needed.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    Live::provide(feed::first::<SourcesView>(&()).map(|view| view.frame));
    view! {
        <Router base=address::base()>
            // `external` makes the router ignore the link: only the browser's own navigation moves the
            // focus.
            <a class="vh skip" href="#main" rel="external">
                {t!(page.skip)}
            </a>
            <Topbar />
            <main id="main" tabindex="-1">
                {account::notes()}
                <FlatRoutes fallback=NotFound>
                    <Route path=path!("/") view={Lazy::<HomeRoute>::new()} ssr=SsrMode::Async />
                    <Route
                        path=path!("/vms/:namespace/:name")
                        view={Lazy::<LazyPage<VmRoute>>::new()}
                        ssr=SsrMode::Async
                    />
                    <Route
                        path=path!("/groups")
                        view={Lazy::<LazyPage<GroupsRoute>>::new()}
                        ssr=SsrMode::Async
                    />
                    <Route
                        path=path!("/nodes/:name")
                        view={Lazy::<LazyPage<GroupsRoute>>::new()}
                        ssr=SsrMode::Async
                    />
                    <Route
                        path=path!("/insights")
                        view={Lazy::<LazyPage<InsightsRoute>>::new()}
                        ssr=SsrMode::Async
                    />
                    <Route
                        path=path!("/sources")
                        view={Lazy::<LazyPage<SourcesRoute>>::new()}
                        ssr=SsrMode::Async
                    />
                </FlatRoutes>
            </main>
        </Router>
    }
}

//! The routes of pages and server functions, which Leptos renders on the server first. It connects the axum
//! router to `app`.

use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRef, Request, State},
    http::{Uri, request::Parts, uri::PathAndQuery},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use leptos::{config::LeptosOptions, context::provide_context, nonce::Nonce, prelude::use_context};
use leptos_axum::{ErrorHandler, LeptosRoutes, generate_route_list_with_exclusions_and_ssg_and_context};
use leptos_router::location::RequestUrl;

use super::{
    address, history, layers, limits,
    page_data::RequestViews,
    sign_in::Viewer,
    state::App,
    vm_events::{EventsViewer, PAGE_WAITS},
};
use crate::{
    app::{self, shell},
    server_fns::PageData,
    ui::address::BasePath,
};
use i18n::Lang;
use model::history::Span;

/// Returns the routes of every page and server function, and the page for unknown addresses.
pub fn router(app: &App) -> Router<App> {
    let context = context(app);
    let (pages, _) = generate_route_list_with_exclusions_and_ssg_and_context(app::App, None, context.clone());
    let bundle = app.assets.bundle().clone();
    let document = move || shell(bundle.clone());
    let missing = {
        let document = document.clone();
        ErrorHandler::new_with_context(context.clone(), move |_| document(), LeptosOptions::from_ref(app))
    };
    Router::new()
        .leptos_routes_with_context(app, pages, context, document)
        .fallback_service(missing)
        .layer(layers::compression())
        .layer(middleware::from_fn_with_state(app.limits.clone(), limits::render_answer))
        .layer(middleware::from_fn(layers::never_stored))
        .layer(middleware::from_fn_with_state(app.clone(), remember))
        .layer(middleware::from_fn(check))
}

/// Refuses addresses that no page can have, before anything is rendered.
async fn check(request: Request, next: Next) -> Response {
    match address::check_page(request.uri()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Loads a long history, and for a moment the Events, before their page is rendered, since rendering does not wait. The page
/// then finds the answers in memory.
async fn remember(State(app): State<App>, viewer: Viewer, request: Request, next: Next) -> Response {
    if let Some((namespace, name)) = address::vm_of_page(request.uri()) {
        let requester = history::requester(request.extensions());
        let rights = viewer.user().map(|user| &user.rights);
        let events = EventsViewer { requester, rights, waits: PAGE_WAITS };
        let timeline = app.reader.timeline(events, viewer.scope(), &namespace, &name);
        match long_history(request.uri()) {
            Some((_, _, span)) => {
                let history = app.reader.history(requester, viewer.scope(), &namespace, &name, span);
                tokio::join!(timeline, history);
            }
            None => drop(timeline.await),
        }
    }
    next.run(request).await
}

/// Returns the VM and the span of a page's address if its charts need Prometheus.
fn long_history(uri: &Uri) -> Option<(String, String, Span)> {
    let (namespace, name) = address::vm_of_page(uri)?;
    let span = Span::of_address(address::query(uri)).ok()?;
    span.is_long().then_some((namespace, name, span))
}

/// Returns the function that provides the context of components and server functions.
fn context(app: &App) -> impl Fn() + Clone + Send + Sync + 'static {
    let app = app.clone();
    move || {
        let parts = use_context::<Parts>();
        provide_context::<Arc<dyn PageData>>(Arc::new(RequestViews::of_request(&app, parts.as_ref())));
        if let Some((base, uri)) =
            parts.as_ref().and_then(|parts| Some((parts.extensions.get()?, &parts.uri)))
        {
            provide_context::<BasePath>(BasePath::clone(base));
            provide_context(public_address(base, uri));
        }
        if let Some(nonce) = parts.as_ref().and_then(|parts| parts.extensions.get::<Nonce>().cloned()) {
            provide_context(nonce);
        }
        if let Some(lang) = parts.as_ref().and_then(|parts| parts.extensions.get::<Lang>().copied()) {
            provide_context(lang);
        }
    }
}

/// Returns the address of a page as the browser has it, which Leptos' router reads.
fn public_address(base: &BasePath, uri: &Uri) -> RequestUrl {
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    RequestUrl::new(&["http://localhost", &base.0, path].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_span_of_one_vm_is_asked_for_beforehand() {
        let of = |address: &'static str| {
            let address = Uri::from_static(address);
            long_history(&address).map(|(namespace, name, span)| ([namespace, name].join("/"), span))
        };
        assert_eq!(of("/vms/prod/web?span=7d"), Some(("prod/web".to_owned(), Span::Week)));
        assert_eq!(of("/vms/prod/web?lang=en&span=30d"), Some(("prod/web".to_owned(), Span::Month)));
        assert_eq!(of("/vms/prod/%77eb?span=%37d"), Some(("prod/web".to_owned(), Span::Week)));
        for other in [
            "/vms/prod/web",
            "/vms/prod/web?span=24h",
            "/vms/prod/web?span=1y",
            "/?span=7d",
            "/vms/web?span=7d",
            "/vms/prod/Web?span=7d",
            "/vms/prod/web?span=7d&span=7d",
        ] {
            assert!(of(other).is_none(), "{other}");
        }
    }
}

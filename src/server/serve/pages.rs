//! The pages: Leptos renders them on this side first. This is the seam between the router and `app`.

use axum::{Router, extract::FromRef, http::request::Parts, middleware};
use leptos::{config::LeptosOptions, context::provide_context, nonce::Nonce, prelude::use_context};
use leptos_axum::{ErrorHandler, LeptosRoutes, generate_route_list_with_exclusions_and_ssg_and_context};

use super::{layers, state::App};
use crate::app::{self, shell};

/// Every page and server function, and the page for what does not exist.
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
        .layer(middleware::from_fn(layers::never_stored))
}

/// What components and server functions may ask for.
fn context(app: &App) -> impl Fn() + Clone + Send + Sync + 'static {
    let app = app.clone();
    move || {
        provide_context(app.reader.clone());
        provide_context(app.scope());
        let nonce = use_context::<Parts>().and_then(|parts| parts.extensions.get::<Nonce>().cloned());
        if let Some(nonce) = nonce {
            provide_context(nonce);
        }
    }
}

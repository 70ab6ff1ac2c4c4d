//! The HTTP server. It reads the snapshot, never the cluster. [`router`] has every route; [`layers`] has
//! what happens around them. `server` serves the router with [`listen`].

mod address;
mod assets;
mod attention;
mod base_path;
mod build;
mod connection;
mod connection_limits;
mod connection_log;
mod connection_slots;
mod encoding;
mod error;
mod etag;
mod events;
mod fetch_metadata;
mod handshake;
mod health;
pub mod history;
mod history_figures;
mod hosts;
mod hsts;
mod json;
mod language;
mod layers;
mod limits;
mod listing;
mod min_rate;
mod notices;
pub mod page_data;
mod pages;
mod params;
mod peer;
pub mod reader;
mod reserve;
mod rest;
mod semaphore;
pub mod sign_in;
mod state;
#[cfg(test)]
pub(crate) mod tests;
pub mod vm_events;

use axum::{
    Router, middleware,
    routing::{get, post},
};

pub use assets::Assets;
pub use connection::{ConnectionConfig, MOST_CONNECTIONS, Timeouts, listen};
pub use health::ask_health;
pub use limits::{RenderPermit, RenderThreads, WorkLimits};
pub use peer::TrustedProxies;
pub use reserve::RESERVE;
pub use state::App;

/// Returns the router with every route and all layers.
pub fn router(app: App) -> Router {
    let documents = Router::new()
        .route("/api/vms/stats", get(rest::stats))
        .route("/api/vms/{name}", get(rest::vm))
        .route("/api/vms/{name}/history", get(rest::history))
        .route("/api/insights", get(rest::insights))
        .route("/api/stats", get(rest::totals))
        .route("/api/sources", get(rest::sources))
        .route("/api/groups", get(rest::groups))
        .route("/api/nodes/{name}", get(rest::node))
        .route("/api/attention", get(rest::attention))
        .route("/api/search", get(rest::search))
        .layer(layers::compression())
        .layer(middleware::from_fn_with_state(app.limits.clone(), limits::render_answer));
    let list = Router::new()
        .route("/api/vms", get(rest::vms))
        .layer(middleware::from_fn_with_state(app.limits.clone(), limits::send_list));
    let downloads = Router::new()
        .route("/api/vms.csv", get(rest::csv))
        .route("/api/vms.json", get(rest::json))
        .layer(layers::compression())
        .layer(middleware::from_fn_with_state(app.limits.clone(), limits::send_download));
    let mut files = Router::new().route("/pkg/{*path}", get(assets::serve));
    for path in app.assets.at_root() {
        files = files.route(&format!("/{path}"), get(assets::serve));
    }
    let files = files.layer(middleware::from_fn_with_state(app.limits.clone(), limits::send_file));
    let mut routes = pages::router(&app)
        .merge(documents)
        .merge(list)
        .merge(downloads)
        .merge(files)
        // Not compressed, which would hold events back. The timeout covers only the time until the first
        // byte.
        .route("/api/events", get(events::events))
        .route(sign_in::SIGN_IN, get(sign_in::sign_in_form).post(sign_in::sign_in))
        .route(sign_in::SIGN_OUT, post(sign_in::sign_out))
        .route(sign_in::OIDC_START, get(sign_in::oidc::start))
        .route(sign_in::OIDC_CALLBACK, get(sign_in::oidc::callback))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready));
    // Unknown paths below these answer with a problem in JSON; all other unknown paths with a page.
    for path in ["/api", "/api/", "/api/{*rest}", "/fn/", "/fn/{*rest}", "/pkg/"] {
        routes = routes.route(path, get(rest::not_found));
    }
    let routes = build::add_build_address(routes.with_state(app.clone()), app.assets.bundle().build());
    let base = app.base.clone();
    base_path::serve_below(&base, layers::add_layers(routes, app))
}

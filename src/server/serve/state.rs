//! What every handler is given.

use std::sync::Arc;

use axum::extract::FromRef;
use leptos::config::LeptosOptions;

use super::{assets::Assets, reader::Reader, rest::Listings};
use crate::server::{config::HttpConfig, snapshot::Scope};

/// Cheap to clone: every request has its own.
#[derive(Clone)]
pub struct App {
    pub reader: Reader,
    pub listings: Arc<Listings>,
    pub assets: Arc<Assets>,
    pub allowed_hosts: Arc<[String]>,
    options: LeptosOptions,
}

impl App {
    pub fn new(reader: Reader, assets: Assets, http: &HttpConfig) -> Self {
        Self {
            reader,
            listings: Arc::default(),
            assets: Arc::new(assets),
            allowed_hosts: http.allowed_hosts.clone().into(),
            options: LeptosOptions::builder().output_name("wukong-dashboard").build(),
        }
    }

    /// What the viewer may see. There is no sign-in yet: everything.
    pub fn scope(&self) -> Scope {
        Scope::All
    }
}

impl FromRef<App> for LeptosOptions {
    fn from_ref(app: &App) -> Self {
        app.options.clone()
    }
}

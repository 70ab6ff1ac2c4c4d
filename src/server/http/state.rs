//! The state that every handler gets.

use std::{net::IpAddr, sync::Arc};

use axum::extract::FromRef;
use leptos::config::LeptosOptions;

use super::{
    assets::Assets,
    events::{Hub, Pace},
    hosts::Hosts,
    limits::WorkLimits,
    listing::Listings,
    peer::TrustedProxies,
    reader::Reader,
};
use crate::server::config::{AllowedHosts, HttpConfig};
use wukong_core::{Scope, Visible};

/// The state of the HTTP server. It is cheap to clone, and every request has its own clone.
#[derive(Clone)]
pub struct App {
    pub reader: Reader,
    pub listings: Arc<Listings>,
    pub events: Arc<Hub>,
    pub assets: Arc<Assets>,
    pub limits: Arc<WorkLimits>,
    pub proxies: TrustedProxies,
    pub hosts: Hosts,
    allowed_hosts: Arc<AllowedHosts>,
    options: LeptosOptions,
}

impl App {
    /// Returns the state with default limits, before the listener is known.
    pub fn new(reader: Reader, assets: Assets, http: &HttpConfig) -> Self {
        Self {
            events: Hub::new(reader.clone(), http.max_event_clients, Pace::default()),
            reader,
            listings: Arc::default(),
            assets: Arc::new(assets),
            limits: Arc::default(),
            proxies: TrustedProxies::new(&http.trusted_proxies),
            hosts: Hosts::new(&http.allowed_hosts, None),
            allowed_hosts: Arc::new(http.allowed_hosts.clone()),
            options: LeptosOptions::builder().output_name("wukong-dashboard").build(),
        }
    }

    /// Returns the same state for a listener, whose address decides which hosts are answered.
    pub fn listening_on(self, listener: IpAddr) -> Self {
        Self { hosts: Hosts::new(&self.allowed_hosts, Some(listener)), ..self }
    }

    /// Returns the same state with another pace of events.
    #[cfg(test)]
    pub fn at_pace(self, http: &HttpConfig, pace: Pace) -> Self {
        Self { events: Hub::new(self.reader.clone(), http.max_event_clients, pace), ..self }
    }

    /// Returns the same state with this many bytes for the views of event channels.
    #[cfg(test)]
    pub fn with_view_bytes(self, http: &HttpConfig, bytes: usize) -> Self {
        let events = Hub::with_bytes(self.reader.clone(), http.max_event_clients, bytes, Pace::default());
        Self { events, ..self }
    }

    /// Returns the same state with other limits.
    pub fn with_limits(self, limits: WorkLimits) -> Self {
        Self { limits: Arc::new(limits), ..self }
    }

    /// Returns what the viewer may see. There is no sign-in yet, so that is everything.
    pub fn scope(&self) -> Scope {
        Scope::all()
    }

    /// Returns what the viewer may see of the newest snapshot.
    pub fn visible(&self) -> Visible {
        self.reader.visible(&self.scope())
    }
}

impl FromRef<App> for Arc<Assets> {
    fn from_ref(app: &App) -> Self {
        app.assets.clone()
    }
}

impl FromRef<App> for Arc<Hub> {
    fn from_ref(app: &App) -> Self {
        app.events.clone()
    }
}

impl FromRef<App> for Scope {
    fn from_ref(app: &App) -> Self {
        app.scope()
    }
}

impl FromRef<App> for LeptosOptions {
    fn from_ref(app: &App) -> Self {
        app.options.clone()
    }
}

//! The state that every handler gets.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::FromRef,
    http::{HeaderMap, header},
};
use leptos::config::LeptosOptions;

use super::{
    assets::Assets,
    events::{Hub, Pace},
    hosts::Hosts,
    limits::WorkLimits,
    listing::Listings,
    peer::TrustedProxies,
    reader::Reader,
    sign_in::SignIn,
};
use crate::{
    server::config::{AllowedHosts, HttpConfig, PublicUrl},
    ui::address::BasePath,
};

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
    /// The path of `--public-url`.
    pub base: BasePath,
    /// `None` if nobody signs in.
    pub sign_in: Option<Arc<SignIn>>,
    /// Whether browsers come over TLS, which this server or a proxy speaks.
    pub is_https: bool,
    allowed_hosts: Arc<AllowedHosts>,
    /// The host of `--public-url`.
    public_host: Option<Arc<str>>,
    options: LeptosOptions,
}

impl App {
    /// Returns the state with default limits, before the listener is known.
    pub fn new(reader: Reader, assets: Assets, http: &HttpConfig) -> Self {
        let base = http.sign_in.public_url.as_ref().map(PublicUrl::base_path).unwrap_or_default();
        let reader = reader.below(BasePath(base.as_str().into()));
        Self {
            events: Hub::new(reader.clone(), http.max_event_clients, Pace::default()),
            listings: Arc::new(Listings::new(reader.clone())),
            reader,
            assets: Arc::new(assets.below(&base)),
            limits: Arc::default(),
            proxies: TrustedProxies::new(&http.trusted_proxies),
            hosts: Hosts::new(&http.allowed_hosts, None, None),
            base: BasePath(base.into()),
            sign_in: None,
            is_https: http.is_https(),
            allowed_hosts: Arc::new(http.allowed_hosts.clone()),
            public_host: http.sign_in.public_url.as_ref().map(|url| url.host().into()),
            options: LeptosOptions::builder().output_name("wukong-dashboard").build(),
        }
    }

    /// Returns the same state for a listener, whose address decides which hosts are answered.
    pub fn listening_on(self, listener: IpAddr) -> Self {
        Self { hosts: Hosts::new(&self.allowed_hosts, self.public_host.as_deref(), Some(listener)), ..self }
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

    /// Returns the same state with another reader for pages and documents.
    #[cfg(test)]
    pub fn with_reader(self, reader: Reader) -> Self {
        Self { reader, ..self }
    }

    /// Returns the same state with other limits.
    pub fn with_limits(self, limits: WorkLimits) -> Self {
        Self { limits: Arc::new(limits), ..self }
    }

    /// Returns whether a request comes from a page at `--public-url`, whose host a proxy may have replaced.
    pub fn is_public_origin(&self, headers: &HeaderMap) -> bool {
        let public = self.sign_in.as_ref().and_then(|sign_in| sign_in.public_origin());
        let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
        public.is_some() && public.as_deref() == origin
    }

    /// Returns the same state for people who sign in.
    pub fn with_sign_in(self, sign_in: Arc<SignIn>) -> Self {
        Self { sign_in: Some(sign_in), ..self }
    }
}

impl FromRef<App> for Arc<Assets> {
    fn from_ref(app: &App) -> Self {
        app.assets.clone()
    }
}

impl FromRef<App> for Option<Arc<SignIn>> {
    fn from_ref(app: &App) -> Self {
        app.sign_in.clone()
    }
}

impl FromRef<App> for Arc<Hub> {
    fn from_ref(app: &App) -> Self {
        app.events.clone()
    }
}

impl FromRef<App> for LeptosOptions {
    fn from_ref(app: &App) -> Self {
        app.options.clone()
    }
}

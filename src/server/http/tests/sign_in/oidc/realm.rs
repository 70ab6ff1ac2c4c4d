//! A server at which people sign in at a provider, and their browsers.

use std::{collections::BTreeMap, io::Write, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderMap, Request},
};
use parking_lot::Mutex;
use tempfile::NamedTempFile;

pub use super::provider::{CLIENT, FakeProvider, ISSUER, SECRET, Signature, SigningKey};
use crate::server::{
    config::{ClaimMappings, OidcConfig, PublicUrl},
    http::{
        sign_in::{SessionKeys, SignIn, oidc::Oidc},
        tests::{
            fixture::{Answer, answer, vm},
            sign_in::fixture::SignInServer,
        },
    },
};

pub const PUBLIC: &str = "https://vms.example";
pub const KEY: [u8; 32] = [7; 32];

pub fn keys() -> SessionKeys {
    SessionKeys::new(&[KEY]).unwrap()
}

/// Returns the client that the test's provider knows. The file is gone with the second.
pub fn config(mappings: ClaimMappings) -> (OidcConfig, NamedTempFile) {
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "{SECRET}").unwrap();
    let config = OidcConfig {
        issuer: ISSUER.to_owned(),
        client_id: CLIENT.to_owned(),
        client_secret_file: Some(file.path().to_owned()),
        scopes: vec!["groups".to_owned()],
        ca: None,
        mappings,
    };
    (config, file)
}

/// Returns what makes a server's people sign in at the provider.
pub fn at(provider: &Arc<FakeProvider>, config: &OidcConfig) -> impl FnOnce(SignIn) -> SignIn + use<> {
    let public_url = PublicUrl::new(PUBLIC.parse().unwrap()).unwrap();
    let oidc = Oidc::new(config, &public_url, provider.clone()).unwrap();
    move |sign_in| sign_in.with_oidc(oidc)
}

/// A server with VMs in two namespaces, of which Ana may list one and the group `board` the other.
pub struct Realm {
    pub gated: SignInServer,
    pub provider: Arc<FakeProvider>,
    pub config: OidcConfig,
    _secret: NamedTempFile,
}

impl Realm {
    pub fn new() -> Self {
        Self::of(FakeProvider::new(SigningKey::ecdsa()), keys(), ClaimMappings::default())
    }

    pub fn of(provider: Arc<FakeProvider>, keys: SessionKeys, mappings: ClaimMappings) -> Self {
        let (config, secret) = config(mappings);
        let vms = vec![vm("shop", "web"), vm("bank", "vault")];
        let server = super::super::super::fixture::Server::new(vms);
        let gated = SignInServer::over(server, Some(PUBLIC), keys, at(&provider, &config));
        gated.kubernetes.allow_rows("oidc:ana", "shop");
        gated.kubernetes.allow_rows_of_group("oidc:board", "bank");
        Self { gated, provider, config, _secret: secret }
    }

    /// Returns another replica with these keys, at the same provider.
    pub fn replica(&self, keys: SessionKeys) -> Self {
        Self::of(self.provider.clone(), keys, self.config.mappings.clone())
    }

    pub async fn sign_in(&self, browser: &Browser, next: &str) -> Answer {
        sign_in(&self.gated, &self.provider, browser, next).await
    }

    /// Returns the page that somebody sees who was refused.
    pub async fn refusal(&self) -> (u16, String) {
        let browser = Browser::default();
        let answer = self.sign_in(&browser, "/").await;
        assert!(!browser.has_session(), "a session was opened");
        (answer.status.as_u16(), text(&answer))
    }
}

/// Lets a person sign in, and returns the answer that they come back to.
pub async fn sign_in(gated: &SignInServer, provider: &FakeProvider, browser: &Browser, next: &str) -> Answer {
    let start = browser.get(gated, &["/auth/oidc?next=", next].concat()).await;
    assert_eq!(start.status, 303, "{}", text(&start));
    browser.get(gated, &provider.authorize(start.header("location"))).await
}

pub fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// Keeps cookies, as a browser does.
#[derive(Default)]
pub struct Browser(Mutex<BTreeMap<String, String>>);

impl Browser {
    pub async fn get(&self, gated: &SignInServer, url: &str) -> Answer {
        self.get_at("vms.example", gated, url).await
    }

    /// Opens a page of another host.
    pub async fn get_at(&self, host: &str, gated: &SignInServer, url: &str) -> Answer {
        let request = Request::get(url).header("sec-fetch-dest", "document").header("host", host);
        self.send(gated, request, "").await
    }

    pub async fn post(&self, gated: &SignInServer, url: &str, form: &str) -> Answer {
        let request = Request::post(url)
            .header("host", "vms.example")
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(gated, request, form).await
    }

    async fn send(&self, gated: &SignInServer, request: axum::http::request::Builder, body: &str) -> Answer {
        let request = request.header("cookie", self.cookies());
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let answer = answer(gated.server.router.clone(), request).await;
        self.take(&answer.headers);
        answer
    }

    /// Takes over the cookies that an answer sets.
    fn take(&self, headers: &HeaderMap) {
        for line in headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if line.contains("Max-Age=0") {
                self.0.lock().remove(name);
            } else {
                self.set(name, value);
            }
        }
    }

    pub fn set(&self, name: &str, value: &str) {
        self.0.lock().insert(name.to_owned(), value.to_owned());
    }

    pub fn cookies(&self) -> String {
        let pairs = self.0.lock();
        pairs.iter().map(|(name, value)| [name, "=", value].concat()).collect::<Vec<_>>().join("; ")
    }

    /// Returns the names and values of the cookies whose names contain this.
    pub fn named(&self, part: &str) -> Vec<(String, String)> {
        let all = self.0.lock().clone();
        all.into_iter().filter(|(name, _)| name.contains(part)).collect()
    }

    pub fn has_session(&self) -> bool {
        !self.named("session").is_empty()
    }

    pub fn forget(&self, part: &str) {
        self.0.lock().retain(|name, _| !name.contains(part));
    }

    /// Returns another browser with the same cookies.
    pub fn copy(&self) -> Self {
        Self(Mutex::new(self.0.lock().clone()))
    }
}

//! People who come through an authenticating proxy.

mod assertions;
mod certificates;

use std::sync::Arc;

use axum::{
    Extension,
    http::{HeaderName, header},
};
use serde_json::Value;

use super::{
    fixture::SignInServer,
    oidc::provider::{CLIENT, FakeProvider, ISSUER, SigningKey},
};
use crate::server::{
    config::{
        AssertionConfig, AuthProxyConfig, ClaimMappings, ClientCertificateConfig, ProxyProof, SignInMode,
    },
    http::{
        connection::Origin,
        sign_in::{SessionKeys, auth_proxy::AuthProxy},
        tests::fixture::{Answer, Server, vm},
    },
};

pub const NAME: &str = "proxy.example";
pub const PUBLIC: &str = "https://vms.example";

fn config(proof: ProxyProof, mappings: ClaimMappings) -> AuthProxyConfig {
    let sign_out_url = Some("https://vms.example/oauth2/sign_out?rd=%2F".parse().unwrap());
    AuthProxyConfig { proof, mappings, sign_out_url }
}

/// Returns a proxy that sends ID tokens of this provider in a header.
pub fn by_assertion(provider: &Arc<FakeProvider>, header: HeaderName, mappings: ClaimMappings) -> AuthProxy {
    let assertion = AssertionConfig {
        header,
        issuer: ISSUER.to_owned(),
        audience: CLIENT.to_owned(),
        jwks_url: None,
        ca: None,
    };
    AuthProxy::new(&config(ProxyProof::Assertion(assertion), mappings), provider.clone()).unwrap()
}

/// Returns a proxy that shows a client certificate.
pub fn by_certificate(mappings: ClaimMappings) -> AuthProxy {
    let certificate = ClientCertificateConfig {
        ca: "/none".into(),
        name: NAME.to_owned(),
        user_header: HeaderName::from_static("x-forwarded-user"),
        groups_header: HeaderName::from_static("x-forwarded-groups"),
    };
    let nobody = FakeProvider::new(SigningKey::ecdsa());
    AuthProxy::new(&config(ProxyProof::Certificate(certificate), mappings), nobody).unwrap()
}

/// Returns the same server for requests on connections of the proxy.
pub fn on_connections_of_the_proxy(mut gated: SignInServer) -> SignInServer {
    let origin = Origin { address: ([192, 0, 2, 7], 1).into(), probes_only: false, is_auth_proxy: true };
    gated.server.router = gated.server.router.clone().layer(Extension(origin));
    gated
}

/// A server behind a proxy, with VMs in two namespaces, of which Ana may list one and the group `board` the other.
pub struct ProxiedServer {
    pub gated: SignInServer,
    pub provider: Arc<FakeProvider>,
}

impl ProxiedServer {
    pub fn new() -> Self {
        Self::of(FakeProvider::new(SigningKey::ecdsa()), header::AUTHORIZATION, &[SignInMode::Proxy])
    }

    pub fn of(provider: Arc<FakeProvider>, header: HeaderName, modes: &[SignInMode]) -> Self {
        let proxy = by_assertion(&provider, header, ClaimMappings::default());
        Self { gated: serve(proxy, modes), provider }
    }

    /// Returns the token of the person, with these claims replaced.
    pub fn token(&self, claims: &[(&str, Value)]) -> String {
        let mut token = String::new();
        self.provider.change(|state| {
            state.spoiled = claims.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            token = state.id_token("of the proxy");
            state.spoiled.clear();
        });
        token
    }

    /// Sends a request as oauth2-proxy does.
    pub async fn get(&self, token: &str, url: &str) -> Answer {
        let bearer = ["Bearer ", token].concat();
        self.gated.server.send("GET".parse().unwrap(), url, &[("authorization", &bearer)]).await
    }

    /// Returns what the API and a page say to somebody who is refused.
    pub async fn refusal(&self, token: &str) -> (Answer, Answer) {
        let answer = self.get(token, "/api/vms").await;
        let page = self.get(token, "/sources").await;
        assert_eq!((page.status.as_u16(), page.header("location")), (303, "/auth/sign-in?next=%2Fsources"));
        (answer, self.get(token, "/auth/sign-in?next=%2Fsources").await)
    }
}

pub fn serve(proxy: AuthProxy, modes: &[SignInMode]) -> SignInServer {
    let server = Server::new(vec![vm("shop", "web"), vm("bank", "vault")]);
    let keys = SessionKeys::of_this_process();
    let modes = modes.iter().copied().collect();
    let gated = SignInServer::by(modes, server, Some(PUBLIC), keys, |sign_in| sign_in.with_auth_proxy(proxy));
    gated.kubernetes.allow_rows("oidc:ana", "shop");
    gated.kubernetes.allow_rows_of_group("oidc:board", "bank");
    gated
}

pub fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

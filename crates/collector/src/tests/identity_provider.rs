//! The connection to an OpenID Connect provider: its certificate, and what is read of its answers.

use std::path::Path;

use super::{tls::Secure, *};
use crate::{
    config::ProxyRules,
    identity_provider::{IdentityProvider, ProviderNames},
};
use i18n::Render;

const NAMES: ProviderNames = ProviderNames { name: "OIDC provider (--oidc-issuer)", ca_flag: "--oidc-ca" };

/// Returns status and body of an answer, or why there is none.
async fn ask(base: &str, ca: Option<&Path>, path: &str) -> Result<(u16, String), String> {
    let ca = ca.map(Path::to_owned);
    let provider = IdentityProvider::new(NAMES, base.parse().unwrap(), ca, &ProxyRules::default());
    let request = http::Request::post([base, path].concat()).body(b"code=1".to_vec()).unwrap();
    let answer = provider.send(request).await.map_err(|error| error.detail.english())?;
    Ok((answer.status().as_u16(), String::from_utf8_lossy(answer.body()).into_owned()))
}

#[tokio::test]
async fn only_the_configured_authority_is_believed() {
    let [real, other] = [(); 2].map(|()| Secure::start(|asked, _| json(asked.body.clone())));
    let fine = ask(&real.server.url, Some(&real.ca()), "/token").await;
    assert_eq!(fine, Ok((200, "code=1".to_owned())));
    for ca in [Some(other.ca()), None] {
        let refused = ask(&real.server.url, ca.as_deref(), "/token").await.unwrap_err();
        assert!(refused.contains("is of an authority that is not trusted: --oidc-ca must name"), "{refused}");
    }
    assert_eq!(real.server.asked("/token").len(), 1, "the code went to nobody else");
    let elsewhere = Secure::named(&["sso.example"], |asked, _| json(asked.body.clone()));
    let refused = ask(&elsewhere.server.url, Some(&elsewhere.ca()), "/token").await.unwrap_err();
    let want = "the certificate of OIDC provider (--oidc-issuer) is not for the host of its URL";
    assert!(refused.starts_with(want) && !refused.contains("--oidc-ca"), "{refused}");
    let missing = ask(&real.server.url, Some(Path::new("/no/such/file")), "/token").await.unwrap_err();
    assert!(missing.contains("--oidc-ca") && !missing.contains("/no/such"), "{missing}");
}

#[tokio::test]
async fn errors_are_answers_redirects_are_not_followed_and_nothing_is_endless() {
    let server = Server::start(|asked, _| match asked.path.as_str() {
        "/error" => (StatusCode::BAD_REQUEST, r#"{"error":"invalid_grant"}"#).into_response(),
        "/moved" => (StatusCode::FOUND, [("location", "/error")]).into_response(),
        _ => json("x".repeat((256 << 10) + 1)),
    });
    let answer = ask(&server.url, None, "/error").await;
    assert_eq!(answer, Ok((400, r#"{"error":"invalid_grant"}"#.to_owned())));
    assert_eq!(ask(&server.url, None, "/moved").await, Ok((302, String::new())));
    assert_eq!(server.asked("/error").len(), 1);
    let refused = ask(&server.url, None, "/large").await.unwrap_err();
    assert!(refused.contains("exceeds the limit of 262144 bytes"), "{refused}");
    let gone = server.stop().await;
    let refused = ask(&format!("http://{gone}"), None, "/error").await.unwrap_err();
    assert!(refused.contains("OIDC provider (--oidc-issuer) refuses connections"), "{refused}");
}

#[tokio::test]
async fn a_port_without_tls_is_said() {
    let server = Server::start(|_, _| json("{}".to_owned()));
    let refused = ask(&server.url.replace("http:", "https:"), None, "/").await.unwrap_err();
    assert_eq!(
        refused,
        "OIDC provider (--oidc-issuer) does not speak TLS: check the scheme and the port of its URL"
    );
}

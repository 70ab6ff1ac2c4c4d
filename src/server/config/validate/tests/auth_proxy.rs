//! The flags of `--sign-in=proxy`.

use super::*;
use crate::server::config::{AuthProxyConfig, ProxyProof};

const ASSERTION: [&str; 3] =
    ["--sign-in=proxy", "--proxy-issuer=https://sso.example", "--proxy-audience=vms"];
const CERTIFICATE: [&str; 5] = [
    "--sign-in=proxy",
    "--proxy-client-ca=/ca",
    "--proxy-client-name=proxy.example",
    "--tls-cert=/crt",
    "--tls-key=/key",
];

fn proxy(flags: &[&str], more: &[&str]) -> AuthProxyConfig {
    config(&[flags, more].concat()).http.sign_in.auth_proxy.unwrap()
}

#[test]
fn a_proxy_proves_itself_in_one_of_two_ways() {
    for (flags, at) in [(&ASSERTION[..], 1), (&ASSERTION, 2), (&CERTIFICATE, 1), (&CERTIFICATE, 2)] {
        for command in [&[][..], &["check"]] {
            let flag = flags[at].split('=').next().unwrap();
            let kept = flags.iter().copied().filter(|kept| *kept != flags[at]);
            let line: Vec<&str> = command.iter().copied().chain(kept).collect();
            let refused = refusal(&line);
            assert!(refused.contains(flag) && refused.contains("(WUKONG_PROXY_"), "{flag}: {refused}");
        }
    }
    assert!(
        refusal(&["--sign-in=proxy"]).contains("--proxy-issuer (WUKONG_PROXY_ISSUER) or --proxy-client-ca")
    );
    assert!(refusal(&CERTIFICATE[..3]).contains("--tls-cert (WUKONG_TLS_CERT)"));
    refusal(&[&ASSERTION[..], &CERTIFICATE[1..]].concat());
}

#[test]
fn an_assertion_comes_in_the_header_that_is_set() {
    let ProxyProof::Assertion(assertion) = proxy(&ASSERTION, &[]).proof else { panic!("an assertion") };
    assert_eq!((assertion.header.as_str(), assertion.jwks_url), ("authorization", None));
    let more = [
        "--proxy-assertion-header= X-Pomerium-Jwt-Assertion ",
        "--proxy-jwks-url=https://vms.example/.well-known/pomerium/jwks.json",
        "--proxy-username-claim=email",
        "--proxy-username-prefix=-",
        "--proxy-sign-out-url=https://vms.example/.pomerium/sign_out?a=b",
    ];
    let config = proxy(&ASSERTION, &more);
    let ProxyProof::Assertion(assertion) = config.proof else { panic!("an assertion") };
    assert_eq!(assertion.header, "x-pomerium-jwt-assertion");
    assert_eq!(assertion.jwks_url.unwrap().path(), "/.well-known/pomerium/jwks.json");
    assert_eq!(
        (config.mappings.username_claim.as_str(), config.mappings.username_prefix.as_str()),
        ("email", "")
    );
    assert_eq!(config.sign_out_url.unwrap().query(), Some("a=b"));
    let defaults = proxy(&ASSERTION, &[]).mappings;
    assert_eq!(format!("{defaults:?}"), format!("{:?}", ClaimMappings::default()), "the same as for oidc");
    for bad in [
        "--proxy-assertion-header=x_user",
        "--proxy-assertion-header=cookie",
        "--proxy-assertion-header=a b",
        "--proxy-jwks-url=http://vms.example/keys",
        "--proxy-sign-out-url=javascript:alert(1)",
        "--proxy-sign-out-url=/sign_out",
        "--proxy-issuer=vms.example",
    ] {
        let kept: Vec<&str> =
            ASSERTION.into_iter().filter(|flag| flag.split('=').next() != bad.split('=').next()).collect();
        refusal(&[&kept[..], &[bad]].concat());
    }
}

#[test]
fn the_listener_asks_for_the_certificate_of_the_proxy_alone() {
    let config = config(&CERTIFICATE);
    let certificate = config.http.sign_in.auth_proxy.as_ref().unwrap().client_certificate().unwrap();
    assert_eq!(
        (certificate.name.as_str(), certificate.user_header.as_str()),
        ("proxy.example", "x-forwarded-user")
    );
    assert_eq!(config.http.tls.unwrap().client_ca, Some("/ca".into()));
    let plain = super::config(&["--tls-cert=/crt", "--tls-key=/key"]);
    assert_eq!(plain.http.tls.unwrap().client_ca, None, "without the mode nobody is asked");
    refusal(&[&CERTIFICATE[..2], &CERTIFICATE[3..], &["--proxy-client-name=a b"]].concat());
}

//! Asks whether requests of the proxy of `--sign-in=proxy` can be checked. Used by `check`.

use tokio::task::spawn_blocking;

use super::{Check, Verdict, sign_in::SIGN_IN};
use crate::server::{
    config::{AssertionConfig, ClientCertificateConfig, ProxyProof},
    http::sign_in::auth_proxy::{AssertionSource, AuthProxy},
    tls::check_client_ca,
};
use i18n::Render;

/// Returns what the mode needs, and whether it is there.
pub async fn check_proxy(proxy: &AuthProxy) -> Vec<Check> {
    let proof = match (&proxy.config.proof, proxy.assertions()) {
        (ProxyProof::Assertion(config), Some(assertions)) => of_keys(config, assertions).await,
        (ProxyProof::Certificate(config), _) => of_client_ca(config).await.unwrap_or_else(|| {
            let check = format!("the proxy proves itself by a client certificate for {}", config.name);
            let detail =
                format!("then it names people in {} and {}", config.user_header, config.groups_header);
            Check::new(SIGN_IN, check, Verdict::Ok, detail, "")
        }),
        // A proxy with assertions has what verifies them.
        _ => return Vec::new(),
    };
    vec![proof, of_sign_out(proxy)]
}

/// Returns why the authorities of the proxy's certificate cannot be used, if so.
async fn of_client_ca(config: &ClientCertificateConfig) -> Option<Check> {
    let path = config.ca.clone();
    let read = spawn_blocking(move || check_client_ca(&path).map_err(|error| error.to_string())).await;
    let detail = read.unwrap_or_else(|error| Err(error.to_string())).err()?;
    let fix = "Mount the certificate of the authority that issues the proxy's client certificate";
    Some(Check::new(SIGN_IN, "--proxy-client-ca can be used", Verdict::Missing, detail, fix))
}

async fn of_keys(config: &AssertionConfig, assertions: &AssertionSource) -> Check {
    let AssertionConfig { issuer, audience, header, .. } = config;
    let check = format!("the keys of {issuer} can be fetched");
    let fix = format!("Open {} from where the dashboard runs", assertions.url());
    match assertions.count_keys().await {
        Ok(0) => Check::new(SIGN_IN, check, Verdict::Missing, "it publishes no key that can be used", &fix),
        Ok(keys) => {
            let detail = format!(
                "keys: {keys}. Whether {header} brings assertions for {audience} shows with the first request"
            );
            Check::new(SIGN_IN, check, Verdict::Ok, detail, "")
        }
        Err(fault) => Check::new(SIGN_IN, check, Verdict::Missing, fault.message().english(), &fix),
    }
}

fn of_sign_out(proxy: &AuthProxy) -> Check {
    match proxy.sign_out() {
        Some((url, _)) => Check::new(SIGN_IN, format!("people sign out at {url}"), Verdict::Ok, "", ""),
        None => Check::new(
            SIGN_IN,
            "people can sign out",
            Verdict::Warning,
            "not from the dashboard",
            "Set --proxy-sign-out-url",
        ),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use super::*;
    use crate::server::{
        config::{ClaimMappings, Task, read},
        http::tests::sign_in::{
            auth_proxy::{by_assertion, by_certificate},
            oidc::provider::{FakeProvider, SigningKey},
        },
        tls::tests::pair_for_names,
    };

    #[tokio::test]
    async fn an_address_of_keys_that_fails_is_named_by_its_flag() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (nobody, line) = (format!("http://127.0.0.1:{port}"), ["wukong-dashboard", "--sign-in=proxy"]);
        for (flag, want) in [
            (String::new(), "issuer (--proxy-issuer) refuses connections"),
            (format!("--proxy-jwks-url={nobody}/keys"), "JWKS (--proxy-jwks-url) refuses connections"),
        ] {
            let issuer = format!("--proxy-issuer={nobody}");
            let line = line.into_iter().chain([&*issuer, "--proxy-audience=vms", &*flag]);
            let line = line.filter(|flag| !flag.is_empty()).map(std::ffi::OsString::from);
            let Task::Serve(config) = read(line, "").unwrap().task else { panic!("no dashboard") };
            let proxy = crate::server::auth_proxy(&config.http.sign_in, &config.collect).unwrap().unwrap();
            let checks = check_proxy(&proxy).await;
            assert!(checks[0].detail.contains(want), "{checks:?}");
            assert!(checks[0].fix.contains(&nobody), "{checks:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_proxy_s_proof_needs_is_asked_for() {
        let provider = FakeProvider::new(SigningKey::ecdsa());
        let proxy = by_assertion(&provider, header::AUTHORIZATION, ClaimMappings::default());
        let verdicts = |checks: &[Check]| checks.iter().map(|check| check.verdict).collect::<Vec<_>>();
        let checks = check_proxy(&proxy).await;
        assert_eq!(verdicts(&checks), [Verdict::Ok, Verdict::Ok]);
        assert!(checks[0].check.ends_with("can be fetched"), "no assertion was seen: {checks:?}");
        provider
            .change(|state| drop(state.configuration.insert("issuer".into(), "https://x.example".into())));
        let other = by_assertion(&provider, header::AUTHORIZATION, ClaimMappings::default());
        let checks = check_proxy(&other).await;
        assert_eq!(verdicts(&checks), [Verdict::Missing, Verdict::Ok]);
        assert!(checks[0].detail.contains("set --proxy-issuer to exactly that"), "{checks:?}");
        let address = "https://sso.example/realms/one/.well-known/openid-configuration";
        assert!(checks[0].fix.contains(address), "{checks:?}");
        let mut silent = by_certificate(ClaimMappings::default());
        silent.config.sign_out_url = None;
        let checks = check_proxy(&silent).await;
        assert_eq!(verdicts(&checks), [Verdict::Missing, Verdict::Warning]);
        assert!(
            checks[0].check.contains("--proxy-client-ca") && checks[0].detail.contains("/none"),
            "{checks:?}"
        );
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.crt");
        std::fs::write(&ca, pair_for_names(&["proxy.example"]).certificate).unwrap();
        let ProxyProof::Certificate(config) = &mut silent.config.proof else { panic!("a certificate") };
        config.ca = ca;
        assert_eq!(verdicts(&check_proxy(&silent).await), [Verdict::Ok, Verdict::Warning]);
    }
}

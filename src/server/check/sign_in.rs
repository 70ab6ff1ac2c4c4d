//! Asks the identity provider of `--sign-in=oidc` what a sign-in needs of it. Used by `check`.

use std::time::Duration;

use axum::http::header;

use super::{Check, Verdict, report::clocks_differ};
use crate::server::http::sign_in::oidc::{Discovered, Oidc};
use collector::clock;
use i18n::Render;

pub const SIGN_IN: &str = "sign-in";

/// Returns what a sign-in at the provider needs, and whether it is there.
pub async fn check_provider(oidc: &Oidc) -> Vec<Check> {
    let issuer = &oidc.config.issuer;
    let redirect = format!("the redirect URI to register at the provider is {}", oidc.redirect_uri());
    let mut checks = vec![of_secret(oidc).await, fine(redirect)];
    match oidc.provider.discover(Duration::ZERO).await {
        Ok(found) => {
            checks.push(fine(format!("the identity provider {issuer} can be used")));
            checks.extend(of_sign_out(oidc, &found));
            checks.push(of_pkce(&found));
            checks.push(of_keys(&found).await);
            checks.extend(of_clock(oidc).await);
        }
        Err(fault) => {
            let fix = format!("Open {} from where the dashboard runs", oidc.provider.url());
            let check = format!("the identity provider {issuer} can be used");
            checks.push(missing(check, fault.message().english(), &fix));
        }
    }
    checks
}

async fn of_secret(oidc: &Oidc) -> Check {
    let check = match &oidc.config.client_secret_file {
        Some(_) => "the secret of the client can be read",
        None => "the client is a public one, without a secret",
    };
    match oidc.check_secret().await {
        Ok(()) => fine(check.to_owned()),
        Err(why) => missing(check.to_owned(), why.to_string(), "Mount the Secret that holds it"),
    }
}

/// Says to where a sign-out there leads back, if people can sign out there.
fn of_sign_out(oidc: &Oidc, found: &Discovered) -> Option<Check> {
    found.metadata.additional_metadata().end_session_endpoint.as_ref()?;
    let uri = oidc.post_logout_redirect_uri();
    Some(fine(format!("the post-logout redirect URI to register at the provider is {uri}")))
}

fn of_pkce(found: &Discovered) -> Check {
    let announced = found.metadata.additional_metadata().code_challenge_methods_supported.is_some();
    match announced {
        true => fine("it offers the authorization code flow and PKCE with S256".to_owned()),
        false => Check {
            verdict: Verdict::Warning,
            detail: "it does not say whether it checks PKCE; it is used anyway".to_owned(),
            ..fine("it offers the authorization code flow".to_owned())
        },
    }
}

async fn of_keys(found: &Discovered) -> Check {
    let keys = found.verifier.keys();
    let fix = format!("Check jwks_uri in its configuration: {}", keys.url());
    match keys.keys().await {
        Ok(keys) if keys.keys().is_empty() => {
            missing("it publishes its keys".to_owned(), "none that can be used".to_owned(), &fix)
        }
        Ok(keys) => fine(format!("it publishes its keys: {}", keys.keys().len())),
        Err(fault) => missing("it publishes its keys".to_owned(), fault.to_string(), &fix),
    }
}

/// Compares the provider's clock with this machine's: tokens are valid for minutes.
async fn of_clock(oidc: &Oidc) -> Option<Check> {
    let headers = oidc.provider.headers().await?;
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let date = jiff::fmt::rfc2822::parse(date).ok()?;
    let ahead = date.timestamp().as_millisecond() - clock::now();
    let check = clocks_differ(ahead, "the identity provider's")?;
    let fix =
        "Sign-ins fail if they differ by more than a minute. See which one is off: timedatectl".to_owned();
    Some(Check { category: SIGN_IN, verdict: Verdict::Missing, fix, ..check })
}

fn fine(check: String) -> Check {
    Check::new(SIGN_IN, check, Verdict::Ok, "", "")
}

fn missing(check: String, detail: String, fix: &str) -> Check {
    Check::new(SIGN_IN, check, Verdict::Missing, detail, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{
        config::{ClaimMappings, PublicUrl},
        http::tests::sign_in::oidc::realm::{FakeProvider, SigningKey, config},
    };

    #[tokio::test(start_paused = true)]
    async fn the_redirect_uri_and_the_address_of_what_fails_are_named() {
        let provider = FakeProvider::new(SigningKey::ecdsa());
        let (config, _secret) = config(ClaimMappings::default());
        let public_url = PublicUrl::new("https://ops.example/vms/".parse().unwrap()).unwrap();
        let oidc = Oidc::new(&config, &public_url, provider.clone()).unwrap();
        let checks = check_provider(&oidc).await;
        let redirect = " https://ops.example/vms/auth/oidc/callback";
        assert!(checks.iter().any(|check| check.check.ends_with(redirect)), "{checks:?}");
        provider.change(|state| state.is_away = true);
        let checks = check_provider(&oidc).await;
        let failed = checks.iter().find(|check| check.verdict == Verdict::Missing).expect("a failure");
        assert!(failed.detail.contains("--oidc-issuer"), "{failed:?}");
        let address = "https://sso.example/realms/one/.well-known/openid-configuration";
        assert!(failed.fix.contains(address), "{failed:?}");
    }
}

//! HTTP to an OpenID Connect provider: its configuration, keys and tokens. The protocol is `server/http/sign_in`'s.

use std::{path::PathBuf, time::Duration};

use http::{Request, Response, Uri};
use tokio::sync::Mutex;

use super::{
    budget::Budget,
    config::ProxyRules,
    outside::{Site, SiteLimits},
};
use i18n::key;
use wukong_core::observation::SourceError;

/// Somebody waits for the answer in a browser.
const DEADLINE: Duration = Duration::from_secs(5);
/// Bytes of the largest answer: a token with thousands of groups, or a set of keys with their certificates.
const LARGEST_ANSWER: usize = 256 << 10;
/// Answers of that size that are read at the same time.
const AT_ONCE: usize = 8;

/// One provider and how to reach it. No redirect is followed, and every answer is bounded.
pub struct IdentityProvider {
    site: Mutex<Site>,
}

impl IdentityProvider {
    /// Takes the provider's address, and the file of the CA for all addresses of the provider with its flag.
    pub fn new(url: Uri, ca: Option<PathBuf>, ca_flag: &str, proxies: &ProxyRules) -> Self {
        let budget = Budget::new(&[(AT_ONCE, LARGEST_ANSWER)]);
        let limits = SiteLimits { deadline: DEADLINE, limit: LARGEST_ANSWER, budget };
        let site = Site::new("OIDC provider", url, ca, limits);
        Self { site: Mutex::new(site.with_ca_flag(ca_flag).through(proxies)) }
    }

    /// Sends a request, and returns the answer whatever its status.
    pub async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, SourceError> {
        let opened = self.site.lock().await.open().await;
        let sent = match opened {
            Ok(session) => session.exchange(request).await,
            Err(failure) => Err(failure),
        };
        match sent {
            Ok(answer) => Ok(answer),
            Err(failure) => Err(self.site.lock().await.describe(key!(collect.token_or_password), &failure)),
        }
    }
}

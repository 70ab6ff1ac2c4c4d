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
    name: &'static str,
}

/// What people know a provider by.
#[derive(Clone, Copy, Debug)]
pub struct ProviderNames {
    /// Its name, with the flag of its address.
    pub name: &'static str,
    /// The flag of the file of its CA.
    pub ca_flag: &'static str,
}

impl IdentityProvider {
    /// Takes the provider's address, and the file of the CA for all addresses of the provider.
    pub fn new(names: ProviderNames, url: Uri, ca: Option<PathBuf>, proxies: &ProxyRules) -> Self {
        let budget = Budget::new(&[(AT_ONCE, LARGEST_ANSWER)]);
        let limits = SiteLimits { deadline: DEADLINE, limit: LARGEST_ANSWER, budget };
        let site = Site::new(names.name, url, ca, limits).with_ca_flag(names.ca_flag).by_name();
        Self { site: Mutex::new(site.through(proxies)), name: names.name }
    }

    /// Returns what people know the provider by.
    pub fn name(&self) -> &'static str {
        self.name
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

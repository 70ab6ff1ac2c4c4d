//! The keys that a provider signs with. They are fetched when they are needed, and again when a token names one that
//! is not among them: providers rotate their keys.

use std::{sync::Arc, time::Duration};

use openidconnect::core::CoreJsonWebKeySet;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{HttpFault, ProviderHttp, get_json};

/// Time between two fetches for keys that are not known: a forged token costs the provider no more than this.
const PAUSE: Duration = Duration::from_secs(60);
/// Keys that are older are fetched again, so that a key which the provider has withdrawn ends.
const OLD: Duration = Duration::from_secs(60 * 60);

/// The keys at one address.
pub struct KeySource {
    http: Arc<dyn ProviderHttp>,
    url: String,
    state: Mutex<State>,
    /// Held during a fetch: those who have no keys wait for one.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// The keys, and when they are fetched again.
    keys: Option<(Instant, Arc<CoreJsonWebKeySet>)>,
    /// When a key that is not known last led to a fetch.
    searched: Option<Instant>,
}

impl KeySource {
    pub fn new(http: Arc<dyn ProviderHttp>, url: String) -> Self {
        Self { http, url, state: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the keys. Old ones stay valid while the provider does not answer, and while somebody waits for newer ones:
    /// an address that hangs delays nobody whose key is known. Fails if there are none.
    pub async fn keys(&self) -> Result<Arc<CoreJsonWebKeySet>, HttpFault> {
        if let Some(fresh) = self.fresh() {
            return Ok(fresh);
        }
        let _turn = match (self.turn.try_lock(), self.known()) {
            (Ok(turn), _) => turn,
            (Err(_), Some((_, keys))) => return Ok(keys),
            (Err(_), None) => self.turn.lock().await,
        };
        if let Some(fresh) = self.fresh() {
            return Ok(fresh);
        }
        match (self.fetch().await, self.known()) {
            (Err(fault), Some((_, keys))) => {
                tracing::warn!(url = self.url, %fault, "cannot fetch the provider's keys again; the previous ones stay in use");
                self.state.lock().keys = Some((Instant::now() + PAUSE, keys.clone()));
                Ok(keys)
            }
            (fetched, _) => fetched,
        }
    }

    /// Returns the keys unless they must be fetched again.
    fn fresh(&self) -> Option<Arc<CoreJsonWebKeySet>> {
        self.known().filter(|(due, _)| Instant::now() < *due).map(|(_, keys)| keys)
    }

    /// Returns keys that are newer than `old`, among which a key was not found. `None` if the provider was asked for
    /// newer ones within the last minute.
    pub async fn newer(
        &self,
        old: &Arc<CoreJsonWebKeySet>,
    ) -> Result<Option<Arc<CoreJsonWebKeySet>>, HttpFault> {
        let _turn = self.turn.lock().await;
        if let Some((_, keys)) = self.known().filter(|(_, keys)| !Arc::ptr_eq(keys, old)) {
            return Ok(Some(keys));
        }
        let searched = self.state.lock().searched;
        if searched.is_some_and(|at| at.elapsed() < PAUSE) {
            return Ok(None);
        }
        self.state.lock().searched = Some(Instant::now());
        self.fetch().await.map(Some)
    }

    fn known(&self) -> Option<(Instant, Arc<CoreJsonWebKeySet>)> {
        self.state.lock().keys.clone()
    }

    async fn fetch(&self) -> Result<Arc<CoreJsonWebKeySet>, HttpFault> {
        let keys: Arc<CoreJsonWebKeySet> = Arc::new(get_json(&*self.http, &self.url).await?);
        self.state.lock().keys = Some((Instant::now() + OLD, keys.clone()));
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use axum::http::{Request, Response};
    use futures::{FutureExt, future::BoxFuture};
    use wukong_core::observation::SourceError;

    use super::*;

    /// Answers without keys, or hangs.
    #[derive(Default)]
    struct Provider {
        hangs: AtomicBool,
        asked: AtomicUsize,
    }

    impl ProviderHttp for Arc<Provider> {
        fn name(&self) -> &'static str {
            "JWKS"
        }

        fn send(&self, _: Request<Vec<u8>>) -> BoxFuture<'_, Result<Response<Vec<u8>>, SourceError>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if self.hangs.load(Ordering::SeqCst) {
                return std::future::pending().boxed();
            }
            std::future::ready(Ok(Response::new(br#"{"keys": []}"#.to_vec()))).boxed()
        }
    }

    /// A token with a key that nobody knows leads to a fetch, and so does the age of the keys.
    #[tokio::test(start_paused = true)]
    async fn an_address_that_hangs_delays_nobody_whose_key_is_known() {
        let provider = Arc::new(Provider::default());
        let source = Arc::new(KeySource::new(Arc::new(provider.clone()), "https://sso.example/keys".into()));
        let keys = source.keys().await.unwrap();
        provider.hangs.store(true, Ordering::SeqCst);
        let (other, unknown) = (source.clone(), keys.clone());
        let searching = tokio::spawn(async move { other.newer(&unknown).await.map(|found| found.is_some()) });
        tokio::task::yield_now().await;
        assert_eq!(provider.asked.load(Ordering::SeqCst), 2, "one that searches for a key waits");
        assert!(Arc::ptr_eq(&source.keys().now_or_never().expect("nobody waits").unwrap(), &keys));
        tokio::time::advance(OLD).await;
        assert!(Arc::ptr_eq(&source.keys().now_or_never().expect("nor for old keys").unwrap(), &keys));
        searching.abort();
        assert!(searching.await.is_err());
        provider.hangs.store(false, Ordering::SeqCst);
        assert!(!Arc::ptr_eq(&source.keys().await.unwrap(), &keys), "old keys are fetched again");
    }
}

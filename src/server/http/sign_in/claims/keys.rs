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
    /// Held during a fetch: those who need the keys wait for one.
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

    /// Returns the keys. Old ones stay valid while the provider does not answer. Fails if there are none.
    pub async fn keys(&self) -> Result<Arc<CoreJsonWebKeySet>, HttpFault> {
        let _turn = self.turn.lock().await;
        let known = self.known();
        if let Some((due, keys)) = &known
            && Instant::now() < *due
        {
            return Ok(keys.clone());
        }
        match (self.fetch().await, known) {
            (Err(fault), Some((_, keys))) => {
                tracing::warn!(url = self.url, %fault, "the provider's keys of before stay in use");
                self.state.lock().keys = Some((Instant::now() + PAUSE, keys.clone()));
                Ok(keys)
            }
            (fetched, _) => fetched,
        }
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

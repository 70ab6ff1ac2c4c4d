//! The HTTP API of Prometheus, opened for one round: its address, credentials and tenant, and how queries are
//! sent.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use base64::prelude::{BASE64_STANDARD, Engine};
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use url::Url;

use super::{identity::Scope, oversized::OversizedNamespaces};
use crate::{
    budget::Budget,
    config::{CollectConfig, PrometheusConfig},
    error::{Failure, source_error},
    outside::{FetchOutcome, Reply, Session, Site, SiteLimits, secret},
};
use i18n::{key, msg};
use model::{Millis, message::Key, reason::Reason};
use wukong_core::long_term::Times;

/// The name of the credentials that a person should check when Prometheus refuses them.
pub const CREDENTIALS: Key = key!(collect.token_or_password);
/// Bytes of the longest query that is sent in the URL: many proxies refuse longer ones.
const LONGEST_ADDRESS: usize = 4 << 10;

/// Prometheus as an HTTP peer, with its limits and proxy.
pub fn site(config: &PrometheusConfig, collect: &CollectConfig, budget: Budget) -> Site {
    let limits = SiteLimits { deadline: config.deadline, limit: collect.answer_limit, budget };
    Site::new("Prometheus", config.url.clone(), config.ca.clone(), limits).through(&collect.proxies)
}

/// Which namespaces are wanted, and which exporters are trusted.
pub fn scope(config: &PrometheusConfig, collect: &CollectConfig) -> Scope {
    Scope {
        namespaces: collect.namespaces.as_deref().map(Arc::from),
        trusted: config.trusted_namespaces.as_slice().into(),
        names: None,
    }
}

/// Opens the API for one round. Reads the credentials again.
pub async fn open(
    site: &mut Site,
    config: &PrometheusConfig,
    scope: &Scope,
    plain: &PlainQueries,
    oversized: &OversizedNamespaces,
) -> Result<Api, Failure> {
    Ok(Api {
        session: site.open().await?,
        headers: headers(config).await?,
        timeout: format!("{}ms", config.deadline.as_millis()),
        scope: Arc::new(scope.clone()),
        plain: plain.clone(),
        oversized: oversized.clone(),
    })
}

/// Whether the server has refused the parameter `timeout`, so that it is not sent again: Google Managed
/// Prometheus refuses parameters that it does not know.
#[derive(Clone, Debug, Default)]
pub struct PlainQueries(Arc<AtomicBool>);

impl PlainQueries {
    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The API, opened for one round.
pub struct Api {
    pub session: Session,
    headers: HeaderMap,
    /// The deadline in Prometheus' format: after this time nobody waits for the answer.
    timeout: String,
    pub scope: Arc<Scope>,
    plain: PlainQueries,
    pub oversized: OversizedNamespaces,
}

impl Api {
    /// Sends a range query for values at these times.
    pub async fn range<T: Send + 'static>(
        &self,
        query: &str,
        times: Times,
        decode: impl FnOnce(&[u8], &Scope) -> Option<T> + Send + 'static,
    ) -> Result<T, Failure> {
        match self.fetch(self.range_url(times), query, false).await? {
            FetchOutcome::Whole(reply) => self.decode(reply, decode).await,
            FetchOutcome::Start(_) => Err(Failure::TooLarge(self.session.limit())),
        }
    }

    fn range_url(&self, times: Times) -> Url {
        let mut url = self.session.url(&["api", "v1", "query_range"]);
        url.query_pairs_mut()
            .append_pair("start", &seconds(times.from))
            .append_pair("end", &seconds(times.last()))
            .append_pair("step", &seconds(times.step));
        url
    }

    /// Decodes the answer with the scope. Fails if `decode` returns `None`.
    pub async fn decode<T: Send + 'static>(
        &self,
        reply: Reply,
        decode: impl FnOnce(&[u8], &Scope) -> Option<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let scope = self.scope.clone();
        reply.decode(move |answer| decode(answer, &scope)).await
    }

    /// Sends a query. If `start` is set, an answer that is too large is a success with its start.
    pub async fn fetch(&self, url: Url, query: &str, start: bool) -> Result<FetchOutcome, Failure> {
        // Another query may set `plain` meanwhile, so the way in which this one was sent is remembered.
        let with_timeout = !self.plain.is_set();
        let mut fetched = self.session.fetch(self.request(&url, query, with_timeout)?, start).await;
        if with_timeout && fetched.as_ref().is_err_and(is_unknown_parameter) {
            fetched = self.session.fetch(self.request(&url, query, false)?, start).await;
            if fetched.is_ok() {
                self.plain.set();
            }
        }
        fetched
    }

    /// The request for a query; a query that is too long for a URL is sent as a form.
    fn request(&self, url: &Url, query: &str, with_timeout: bool) -> Result<Request<Vec<u8>>, http::Error> {
        let timeout = with_timeout.then_some(("timeout", self.timeout.as_str()));
        let mut url = url.clone();
        url.query_pairs_mut().append_pair("query", query).extend_pairs(timeout);
        let mut request = if query.len() <= LONGEST_ADDRESS {
            Request::get(url.as_str()).body(Vec::new())?
        } else {
            // A query of a URL is written as a form is.
            let form = url.query().unwrap_or_default().as_bytes().to_vec();
            url.set_query(None);
            let request = Request::post(url.as_str());
            request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)?
        };
        request.headers_mut().extend(self.headers.clone());
        Ok(request)
    }
}

/// Whether the failure may be about an unknown parameter. Prometheus' own errors have a known format; unless
/// they name the timeout, a retry is useless.
fn is_unknown_parameter(failure: &Failure) -> bool {
    match failure {
        Failure::Refused { code, says, .. } => {
            code.as_u16() == 400 && (says.kind.is_empty() || says.line.contains("timeout"))
        }
        _ => false,
    }
}

/// Milliseconds as seconds since the epoch.
fn seconds(millis: Millis) -> String {
    format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000))
}

/// The headers for credentials and tenant.
async fn headers(config: &PrometheusConfig) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    if let Some(authorization) = authorization(config).await? {
        headers.insert(header::AUTHORIZATION, authorization);
    }
    if let Some((name, value)) = &config.tenant {
        let name = HeaderName::try_from(name).map_err(|_| Failure::BadName)?;
        headers.insert(name, HeaderValue::try_from(value).map_err(|_| Failure::BadName)?);
    }
    Ok(headers)
}

async fn authorization(config: &PrometheusConfig) -> Result<Option<HeaderValue>, Failure> {
    let (file, value) = match (&config.bearer_token_file, &config.basic_auth_file) {
        (Some(path), _) => {
            let file = key!(collect.token_file);
            (file, format!("Bearer {}", secret(path, file).await?))
        }
        (None, Some(path)) => {
            let file = key!(collect.login_file);
            (file, format!("Basic {}", BASE64_STANDARD.encode(secret(path, file).await?)))
        }
        (None, None) => return Ok(None),
    };
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| Failure::Own(source_error(Reason::Forbidden, msg!(collect.many_lines, file = file))))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

//! The HTTP API for the length of one round: how it is reached, as whom, and how a query is sent.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use base64::prelude::{BASE64_STANDARD, Engine};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use reqwest::Url;

use super::{
    identity::Scope,
    oversized::{self, OversizedNamespaces},
};
use crate::{
    budget::Budget,
    config::{CollectConfig, PrometheusConfig},
    error::{Failure, source_error},
    outside::{FetchOutcome, Reply, Session, Site, SiteLimits, secret},
    poll::decode_apart,
};
use i18n::{key, msg};
use model::{Millis, message::Key, reason::Reason};
use wukong_core::archive::Times;

/// What a person should look at when Prometheus refuses.
pub const CREDENTIALS: Key = key!(collect.token_or_password);
/// Bytes of a query that is sent in the address: many proxies refuse longer ones.
const LONGEST_ADDRESS: usize = 4 << 10;

pub fn site(config: &PrometheusConfig, collect: &CollectConfig, budget: Budget) -> Site {
    let limits = SiteLimits { deadline: config.deadline, limit: collect.answer_limit, budget };
    Site::new("Prometheus", config.url.clone(), config.ca.clone(), limits).through(&collect.proxies)
}

/// Whose series are looked for, and whom to believe.
pub fn scope(config: &PrometheusConfig, collect: &CollectConfig) -> Scope {
    Scope {
        namespaces: collect.namespaces.as_deref().map(Arc::from),
        trusted: config.trusted_namespaces.as_slice().into(),
    }
}

/// Reads the credentials anew for each round.
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

/// The server has refused the parameter `timeout`: it is not sent again. Google Managed Prometheus refuses each parameter that it does
/// not know.
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

/// The API for the length of one round.
pub struct Api {
    pub session: Session,
    headers: HeaderMap,
    /// After which the server need not go on: nobody waits any more.
    timeout: String,
    pub scope: Arc<Scope>,
    plain: PlainQueries,
    pub oversized: OversizedNamespaces,
}

impl Api {
    /// Values at each of the times.
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

    /// The same of all VMs. Where that is too much, the namespace with the most of it is oversized from now on: the next question is without it.
    pub async fn range_of_all<T: Send + 'static>(
        &self,
        metric: &str,
        query: &str,
        times: Times,
        decode: impl FnOnce(&[u8], &Scope) -> Option<T> + Send + 'static,
    ) -> Result<T, Failure> {
        match self.fetch(self.range_url(times), query, true).await? {
            FetchOutcome::Whole(reply) => self.decode(reply, decode).await,
            FetchOutcome::Start(start) => {
                match decode_apart(start, oversized::heaviest).await {
                    Some(namespace) => drop(self.oversized.add(metric, namespace)),
                    None => self.oversized.forget(metric),
                }
                Err(Failure::TooLarge(self.session.limit()))
            }
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

    pub async fn decode<T: Send + 'static>(
        &self,
        reply: Reply,
        decode: impl FnOnce(&[u8], &Scope) -> Option<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let scope = self.scope.clone();
        reply.decode(move |answer| decode(answer, &scope)).await
    }

    /// With `start`, the start of an answer that is too large.
    pub async fn fetch(&self, url: Url, query: &str, start: bool) -> Result<FetchOutcome, Failure> {
        // Another query may learn it meanwhile: what counts is how this one was sent.
        let with_timeout = !self.plain.is_set();
        let mut fetched = self.session.fetch(self.request(&url, query, with_timeout), start).await;
        if with_timeout && fetched.as_ref().is_err_and(is_unknown_parameter) {
            fetched = self.session.fetch(self.request(&url, query, false), start).await;
            if fetched.is_ok() {
                self.plain.set();
            }
        }
        fetched
    }

    /// With a query that is too long for an address as a form.
    fn request(&self, url: &Url, query: &str, with_timeout: bool) -> reqwest::RequestBuilder {
        let timeout = with_timeout.then_some(("timeout", self.timeout.as_str()));
        let mut url = url.clone();
        if query.len() <= LONGEST_ADDRESS {
            url.query_pairs_mut().append_pair("query", query).extend_pairs(timeout);
            return self.session.get(url).headers(self.headers.clone());
        }
        let mut form = Url::parse("form:").unwrap_or_else(|_| url.clone());
        form.query_pairs_mut()
            .clear()
            .extend_pairs(url.query_pairs())
            .append_pair("query", query)
            .extend_pairs(timeout);
        let body = form.query().unwrap_or_default().to_owned();
        url.set_query(None);
        let kind = (header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.session.post(url).headers(self.headers.clone()).header(kind.0, kind.1).body(body)
    }
}

/// Prometheus itself says what is wrong with a query in a form of its own, and then asking once more is of no use.
fn is_unknown_parameter(failure: &Failure) -> bool {
    match failure {
        Failure::Refused { code, says, .. } => {
            code.as_u16() == 400 && (says.kind.is_empty() || says.line.contains("timeout"))
        }
        _ => false,
    }
}

/// Unix seconds.
fn seconds(millis: Millis) -> String {
    format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000))
}

/// Whom to ask as, and for which tenant.
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

//! A Prometheus-compatible API: three instant queries a round, whatever the number of VMs; the past is asked for in
//! [`range`].
//!
//! Each asks for the samples of the last minutes, not for "the value now": only so does a value come with its own
//! time, which tells how old it is, and which of two kubelets spoke last.

pub(super) mod answer;
mod query;
pub(super) mod range;

use std::{sync::Arc, time::Duration};

use base64::prelude::{BASE64_STANDARD, Engine};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use reqwest::Url;
use tokio::time::Instant;

pub use self::range::Historian;
use self::{answer::Part, query::Scope};
use super::{
    Closed, Outlet,
    budget::Budget,
    error::{Failure, source_error},
    now,
    outside::{Session, Site, SiteLimits, secret},
    poll::Source,
};
use crate::{
    model::{
        Millis,
        message::{Key, Message},
        reason::Reason,
        source::SourceId,
    },
    server::{
        config::{CollectConfig, PrometheusConfig},
        snapshot::{
            archive::Times,
            facts::{Observation, PrometheusFacts, VolumeStats},
        },
    },
    words::{key, msg},
};

/// What a person should look at when Prometheus refuses.
const CREDENTIALS: Key = key!(collect.token_or_password);
/// Shown of what a server remarks.
const REMARKS: usize = 5;

pub struct Prometheus {
    site: Site,
    config: PrometheusConfig,
    scope: Scope,
    namespaces: Option<Arc<[String]>>,
    /// None: not asked for disks.
    disks: Option<Disks>,
}

/// The volumes of the last answer. They stand until the next: each has a time of its own.
struct Disks {
    interval: Duration,
    due: Instant,
    last: Part<Vec<VolumeStats>>,
}

impl Prometheus {
    pub fn new(config: PrometheusConfig, collect: &CollectConfig, budget: Budget) -> Self {
        let asked = collect.asked_disk_sources().contains(&SourceId::Prometheus);
        Self {
            site: site(&config, collect, budget),
            scope: Scope::new(&config.matchers, collect.namespaces.as_deref()),
            namespaces: collect.namespaces.as_deref().map(Arc::from),
            disks: asked.then(|| Disks::new(collect.disk_interval)),
            config,
        }
    }

    /// The queries side by side. A round is a failure when none of them was answered.
    async fn ask(&mut self) -> Result<PrometheusFacts, Failure> {
        let api = open(&mut self.site, &self.config, self.namespaces.clone()).await?;
        let started = Instant::now();
        let volumes = async {
            let due = self.disks.as_ref().is_some_and(|disks| disks.due <= started);
            if due { Some(api.query(self.scope.volumes(), answer::volumes).await) } else { None }
        };
        let (memory, cpu, volumes) = tokio::join!(
            api.query(self.scope.memory(), answer::memory),
            api.query(self.scope.cpu(), answer::cpu),
            volumes
        );
        let mut tally = Tally::default();
        let memory = tally.count(key!(collect.memory), memory, &self.site);
        let cpu = tally.count(key!(collect.cpu), cpu, &self.site);
        let volumes = volumes.and_then(|volumes| tally.count(key!(collect.disk), volumes, &self.site));
        if let (Some(disks), Some(volumes)) = (&mut self.disks, volumes) {
            (disks.last, disks.due) = (volumes, started + disks.interval);
        }
        let warnings = tally.end()?;
        Ok(self.facts(memory.unwrap_or_default(), cpu.unwrap_or_default(), warnings))
    }

    fn facts(
        &self,
        memory: Part<answer::Memory>,
        cpu: Part<answer::Cpu>,
        mut warnings: Vec<Message>,
    ) -> PrometheusFacts {
        let disks = self.disks.as_ref().map(|disks| disks.last.clone()).unwrap_or_default();
        if disks.left_out + memory.left_out + cpu.left_out > 0 {
            warnings.push(msg!(collect.more_series, count = answer::MOST_THINGS.to_string()));
        }
        let mut remarks: Vec<String> = [disks.remarks, memory.remarks, cpu.remarks].concat();
        remarks.sort();
        remarks.dedup();
        let shown = remarks.into_iter().take(REMARKS);
        warnings.extend(
            shown.map(|remark| msg!(collect.about, peer = "Prometheus", words = without_addresses(&remark))),
        );
        PrometheusFacts {
            volumes: disks.found,
            instances: answer::instances(memory.found, cpu.found),
            warnings,
        }
    }
}

impl Source for Prometheus {
    const ID: SourceId = SourceId::Prometheus;

    async fn round(&mut self, outlet: &Outlet) -> Result<Option<Failure>, Closed> {
        let (result, failure) = match self.ask().await {
            Ok(facts) => (Ok(facts), None),
            Err(failure) => (Err(self.site.describe(CREDENTIALS, &failure)), Some(failure)),
        };
        outlet.send(Observation::Prometheus { at: now(), result }).await?;
        Ok(failure)
    }
}

impl Disks {
    fn new(interval: Duration) -> Self {
        Self { interval, due: Instant::now(), last: Part::default() }
    }
}

/// What came of a round's queries.
#[derive(Default)]
struct Tally {
    answered: bool,
    failure: Option<Failure>,
    warnings: Vec<Message>,
}

impl Tally {
    fn count<T>(&mut self, part: Key, result: Result<T, Failure>, site: &Site) -> Option<T> {
        match result {
            Ok(found) => {
                self.answered = true;
                Some(found)
            }
            Err(failure) => {
                let why = site.describe(CREDENTIALS, &failure).detail;
                self.warnings.push(msg!(collect.lacks, part = part, why = why));
                self.failure.get_or_insert(failure);
                None
            }
        }
    }

    fn end(self) -> Result<Vec<Message>, Failure> {
        match self.failure {
            Some(failure) if !self.answered => Err(failure),
            _ => Ok(self.warnings),
        }
    }
}

fn site(config: &PrometheusConfig, collect: &CollectConfig, budget: Budget) -> Site {
    let limits = SiteLimits { deadline: config.deadline, limit: collect.answer_limit, budget };
    Site::new("Prometheus", config.url.clone(), config.ca.clone(), limits).through(&collect.proxies)
}

async fn open(
    site: &mut Site,
    config: &PrometheusConfig,
    namespaces: Option<Arc<[String]>>,
) -> Result<Api, Failure> {
    Ok(Api {
        session: site.open().await?,
        headers: headers(config).await?,
        timeout: format!("{}ms", config.deadline.as_millis()),
        namespaces,
    })
}

/// The API for the length of one round.
struct Api {
    session: Session,
    headers: HeaderMap,
    /// After which the server need not go on: nobody waits any more.
    timeout: String,
    namespaces: Option<Arc<[String]>>,
}

impl Api {
    async fn query<T: Send + 'static>(
        &self,
        query: &str,
        decode: fn(&[u8], Option<&[String]>) -> Option<T>,
    ) -> Result<T, Failure> {
        let url = self.session.url(&["api", "v1", "query"]);
        self.send(url, query, decode).await
    }

    /// Values at each of the times.
    async fn range<T: Send + 'static>(
        &self,
        query: &str,
        times: Times,
        decode: impl FnOnce(&[u8], Option<&[String]>) -> Option<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let mut url = self.session.url(&["api", "v1", "query_range"]);
        url.query_pairs_mut()
            .append_pair("start", &seconds(times.from))
            .append_pair("end", &seconds(times.last()))
            .append_pair("step", &seconds(times.step));
        self.send(url, query, decode).await
    }

    async fn send<T: Send + 'static>(
        &self,
        mut url: Url,
        query: &str,
        decode: impl FnOnce(&[u8], Option<&[String]>) -> Option<T> + Send + 'static,
    ) -> Result<T, Failure> {
        url.query_pairs_mut().append_pair("query", query).append_pair("timeout", &self.timeout);
        let request = self.session.get(url).headers(self.headers.clone());
        let reply = self.session.send(request).await?;
        let namespaces = self.namespaces.clone();
        reply.decode(move |answer| decode(answer, namespaces.as_deref())).await
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

/// `dial tcp 10.0.0.3:10901: refused` → `dial tcp …: refused`: readers need not know where stores are.
fn without_addresses(line: &str) -> String {
    let mut out = String::new();
    for word in line.split_inclusive(|c: char| !is_of_address(c)) {
        let (word, end) = word.split_at(word.trim_end_matches(|c| !is_of_address(c)).len());
        let bare = word.trim_end_matches([':', '.']);
        out.push_str(if is_address(bare) { "…" } else { bare });
        out.push_str(&word[bare.len()..]);
        out.push_str(end);
    }
    out
}

fn is_of_address(c: char) -> bool {
    c.is_ascii_alphanumeric() || ".:-_/[]@%".contains(c)
}

/// A URL, an IP address, or a host with its port.
fn is_address(word: &str) -> bool {
    let bare = word.trim_matches(['[', ']']);
    let is_host_and_port = || {
        let (host, port) = word.rsplit_once(':')?;
        (host.contains(|c: char| c.is_ascii_alphanumeric()) && port.parse::<u16>().is_ok()).then_some(())
    };
    word.contains("://") || bare.parse::<std::net::IpAddr>().is_ok() || is_host_and_port().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_tell_no_addresses() {
        for (remark, want) in [
            ("a store is away", "a store is away"),
            (
                "rpc error: dial tcp 10.0.0.3:10901: connect: refused",
                "rpc error: dial tcp …: connect: refused",
            ),
            ("fetch from http://user:pw@store-1.mon.svc:10901/x failed", "fetch from … failed"),
            ("{addr=\"thanos-store-0.mon.svc:10901\"} [fd00::7]:9090, fd00::7.", "{addr=\"…\"} …, …."),
            (
                "PromQL info: metric might not be a counter: \"x\" (1:6)",
                "PromQL info: metric might not be a counter: \"x\" (…)",
            ),
        ] {
            assert_eq!(without_addresses(remark), want);
        }
    }
}

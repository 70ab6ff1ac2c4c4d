//! A Prometheus-compatible API: one instant query a round for each metric, whatever the number of VMs, and two with
//! `--namespace`; the past is asked for in [`range`]. Exporters whose series make an answer too large are asked for separately ([`oversized`]).
//!
//! Each asks for the samples of the last minutes, not for "the value now": only so does a value come with its own
//! time, which tells how old it is, and which of two kubelets spoke last.

pub(super) mod answer;
pub(super) mod identity;
mod oversized;
mod query;
pub(super) mod range;
mod samples;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::prelude::{BASE64_STANDARD, Engine};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use reqwest::Url;
use tokio::time::Instant;

pub use self::range::PrometheusHistory;
use self::{
    answer::{MEMORY, Part, Scrapes, VOLUMES},
    identity::{NameLabel, Scope},
    oversized::OversizedNamespaces,
    query::Queries,
    samples::Gathered,
};
use super::{
    addresses::without_addresses,
    budget::Budget,
    error::{Failure, source_error},
    outside::{FetchOutcome, Reply, Session, Site, SiteLimits, secret},
    poll::{Source, decode_apart},
};
use crate::config::{CollectConfig, PrometheusConfig};
use crate::{
    clock::steady,
    k8s::text::is_identifier,
    observation_sender::{Closed, ObservationSender},
};
use i18n::{key, msg};
use model::{
    Millis,
    message::{Key, Message},
    reason::Reason,
    source::SourceId,
};
use wukong_core::{
    archive::Times,
    observation::{Observation, PrometheusFacts, SourceError, VolumeGap, VolumeRef, VolumeStats},
};

/// What a person should look at when Prometheus refuses.
const CREDENTIALS: Key = key!(collect.token_or_password);
/// Shown of what a server remarks, and of the namespaces whose series are not believed.
const REMARKS: usize = 5;
const FOREIGN: usize = 3;
/// Bytes of a query that is sent in the address: many proxies refuse longer ones.
const LONGEST_ADDRESS: usize = 4 << 10;

pub struct Prometheus {
    site: Site,
    config: PrometheusConfig,
    scope: Scope,
    plain: PlainQueries,
    oversized: OversizedNamespaces,
    /// None: not asked for disks.
    disks: Option<Disks>,
}

/// The volumes of the last answer. They stand until the next: each has a time of its own.
struct Disks {
    interval: Duration,
    due: Instant,
    last: Part<Vec<VolumeStats>>,
    /// Why a volume may not be among them.
    gaps: Vec<VolumeGap>,
}

impl Prometheus {
    pub fn new(config: PrometheusConfig, collect: &CollectConfig, budget: Budget) -> Self {
        let asked = collect.asked_disk_sources().contains(&SourceId::Prometheus);
        Self {
            site: site(&config, collect, budget),
            scope: scope(&config, collect),
            plain: PlainQueries::default(),
            oversized: OversizedNamespaces::default(),
            disks: asked.then(|| Disks::new(collect.disk_interval)),
            config,
        }
    }

    /// The queries side by side. A round is a failure when none of them was answered.
    async fn ask(&mut self) -> Result<PrometheusFacts, Failure> {
        let api = open(&mut self.site, &self.config, &self.scope, &self.plain, &self.oversized).await?;
        let queries = Queries { matchers: &self.config.matchers, scope: &self.scope };
        let started = Instant::now();
        let volumes = async {
            let due = self.disks.as_ref().is_some_and(|disks| disks.due <= started);
            if due { Some(api.family(&queries, VOLUMES, NameLabel::Claim).await) } else { None }
        };
        let (memory, cpu, volumes) =
            tokio::join!(api.family(&queries, MEMORY, NameLabel::Instance), api.cpu(&queries), volumes);
        let mut tally = Tally::default();
        let memory = answer::newest(tally.count(key!(collect.memory), memory, &self.site));
        let cpu = tally.count(key!(collect.cpu), cpu, &self.site);
        if let Some(volumes) = volumes {
            self.take_volumes(volumes, started, &mut tally);
        }
        let warnings = tally.end()?;
        Ok(self.facts(memory, cpu, warnings))
    }

    /// A volume of which one metric is not known would be taken for another: it is told whole, or as it was. Of an oversized namespace nothing is
    /// told, and where its exporters are trusted nothing of any trusted exporter.
    fn take_volumes(&mut self, volumes: Gathered<Scrapes<4>>, started: Instant, tally: &mut Tally) {
        let too_large = volumes.too_large.clone();
        let lacks_trusted = too_large.keys().any(|namespace| self.scope.trusts(namespace));
        let (whole, gaps) = (volumes.failures.is_empty(), self.gaps(&volumes));
        let volumes = tally.count(key!(collect.disk), volumes, &self.site);
        let Some(disks) = self.disks.as_mut() else { return };
        disks.gaps = gaps;
        if whole {
            (disks.last, disks.due) = (answer::volumes(volumes), started + disks.interval);
            let is_whole = |stats: &VolumeStats| match &stats.of {
                _ if stats.trusted_time => !lacks_trusted,
                VolumeRef::Claim(claim) => !too_large.contains_key(&*claim.namespace),
                VolumeRef::PodVolume { .. } => true,
            };
            disks.last.found.retain(is_whole);
        }
    }

    /// Why a volume may be missing. What a trusted exporter says may be of any namespace.
    fn gaps(&self, volumes: &Gathered<Scrapes<4>>) -> Vec<VolumeGap> {
        let any = |error: SourceError| VolumeGap { error, namespaces: Vec::new() };
        let failed = volumes.failures.iter().map(|failure| any(self.site.describe(CREDENTIALS, failure)));
        let crowded = (volumes.part.left_out > 0).then(|| {
            any(source_error(
                Reason::TooLarge,
                msg!(collect.more_series, count = answer::MOST_THINGS.to_string()),
            ))
        });
        let too_large = volumes.too_large.iter().map(|(namespace, limit)| VolumeGap {
            error: source_error(Reason::TooLarge, describe_too_large(namespace, *limit)),
            namespaces: if self.scope.trusts(namespace) { Vec::new() } else { vec![namespace.clone()] },
        });
        too_large.chain(crowded).chain(failed).collect()
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
        let foreign = [&disks.foreign, &memory.foreign, &cpu.foreign];
        warnings.extend(describe_foreign(foreign.into_iter().flatten()));
        let mut remarks: Vec<String> = [disks.remarks, memory.remarks, cpu.remarks].concat();
        remarks.sort();
        remarks.dedup();
        let shown = remarks.into_iter().take(REMARKS);
        warnings.extend(
            shown.map(|remark| msg!(collect.about, peer = "Prometheus", words = without_addresses(&remark))),
        );
        PrometheusFacts {
            volumes: disks.found,
            gaps: self.disks.as_ref().map(|disks| disks.gaps.clone()).unwrap_or_default(),
            instances: answer::instances(memory.found, cpu.found),
            warnings,
        }
    }
}

impl Source for Prometheus {
    const ID: SourceId = SourceId::Prometheus;

    async fn round(&mut self, outlet: &ObservationSender) -> Result<Option<Failure>, Closed> {
        let (result, failure) = match self.ask().await {
            Ok(facts) => (Ok(facts), None),
            Err(failure) => (Err(self.site.describe(CREDENTIALS, &failure)), Some(failure)),
        };
        outlet.send(Observation::Prometheus { at: steady(), result }).await?;
        Ok(failure)
    }
}

impl Disks {
    fn new(interval: Duration) -> Self {
        Self { interval, due: Instant::now(), last: Part::default(), gaps: Vec::new() }
    }
}

/// What came of a round's queries.
#[derive(Default)]
struct Tally {
    answered: bool,
    failure: Option<Failure>,
    warnings: Vec<Message>,
    too_large: BTreeMap<String, usize>,
}

impl Tally {
    /// What a part's queries gave. Each that failed is told, once.
    fn count<T>(&mut self, part: Key, gathered: Gathered<T>, site: &Site) -> Part<T> {
        for failure in gathered.failures {
            let why = site.describe(CREDENTIALS, &failure).detail;
            let warning = msg!(collect.lacks, part = part, why = why);
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
            self.failure.get_or_insert(failure);
        }
        self.answered |= gathered.answered;
        self.too_large.extend(gathered.too_large);
        gathered.part
    }

    fn end(self) -> Result<Vec<Message>, Failure> {
        let Self { answered, failure, mut warnings, too_large } = self;
        match failure {
            Some(failure) if !answered => Err(failure),
            _ => {
                let all = too_large.iter().take(FOREIGN);
                warnings.extend(all.map(|(namespace, limit)| describe_too_large(namespace, *limit)));
                Ok(warnings)
            }
        }
    }
}

fn site(config: &PrometheusConfig, collect: &CollectConfig, budget: Budget) -> Site {
    let limits = SiteLimits { deadline: config.deadline, limit: collect.answer_limit, budget };
    Site::new("Prometheus", config.url.clone(), config.ca.clone(), limits).through(&collect.proxies)
}

/// Whose series are looked for, and whom to believe.
fn scope(config: &PrometheusConfig, collect: &CollectConfig) -> Scope {
    Scope {
        namespaces: collect.namespaces.as_deref().map(Arc::from),
        trusted: config.trusted_namespaces.as_slice().into(),
    }
}

/// The namespaces of exporters that name others, the most series first.
fn describe_foreign<'a>(foreign: impl Iterator<Item = (&'a String, &'a usize)>) -> Vec<Message> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (namespace, count) in foreign {
        *counts.entry(namespace).or_default() += count;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let say = |(namespace, count): (&str, usize)| {
        let flag = "--prometheus-trusted-namespaces";
        msg!(collect.foreign_series, count = count.to_string(), namespace = namespace, flag = flag)
    };
    counts.into_iter().take(FOREIGN).map(say).collect()
}

/// A namespace whose series alone are more than is read.
fn describe_too_large(namespace: &str, limit: usize) -> Message {
    let namespace = if is_identifier(namespace) { namespace } else { "" };
    msg!(collect.too_large_series, namespace = namespace, bytes = limit.to_string())
}

async fn open(
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
struct PlainQueries(Arc<AtomicBool>);

impl PlainQueries {
    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The API for the length of one round.
struct Api {
    session: Session,
    headers: HeaderMap,
    /// After which the server need not go on: nobody waits any more.
    timeout: String,
    scope: Arc<Scope>,
    plain: PlainQueries,
    oversized: OversizedNamespaces,
}

impl Api {
    /// Values at each of the times.
    async fn range<T: Send + 'static>(
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
    async fn range_of_all<T: Send + 'static>(
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

    async fn decode<T: Send + 'static>(
        &self,
        reply: Reply,
        decode: impl FnOnce(&[u8], &Scope) -> Option<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let scope = self.scope.clone();
        reply.decode(move |answer| decode(answer, &scope)).await
    }

    /// With `start`, the start of an answer that is too large.
    async fn fetch(&self, url: Url, query: &str, start: bool) -> Result<FetchOutcome, Failure> {
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

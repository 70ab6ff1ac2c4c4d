//! The Prometheus source: one instant query per metric and round, whatever the number of VMs, and two with
//! `--namespace`. [`range`] asks for the past; [`oversized`] handles exporters whose series make an answer
//! too large.
//!
//! Each query asks for the samples of the last minutes and not for the current value: only samples have their
//! own time, which tells how old they are and which of two kubelets reported last.

mod activity_metrics;
pub(super) mod answer;
mod api;
mod guests;
pub(super) mod identity;
mod oversized;
mod query;
pub(super) mod range;
mod samples;
mod tally;

use std::{collections::BTreeMap, time::Duration};

use tokio::{sync::watch, time::Instant};

pub use self::range::PrometheusHistory;
use self::{
    answer::{MEMORY, Part, Scrapes, VOLUMES},
    api::{CREDENTIALS, PlainQueries, open, scope, site},
    guests::GuestPoll,
    identity::{NameLabel, Scope},
    oversized::OversizedNamespaces,
    query::Queries,
    samples::Gathered,
    tally::{Tally, describe_left_out, describe_too_large},
};
use super::{
    addresses::without_addresses,
    budget::Budget,
    error::{Failure, source_error},
    outside::Site,
    poll::Source,
};
use crate::config::{CollectConfig, PrometheusConfig};
use crate::{
    clock::steady,
    observation_sender::{Closed, ObservationSender},
};
use i18n::{key, msg};
use model::{message::Message, reason::Reason, source::SourceId};
use wukong_core::observation::{
    Observation, PrometheusFacts, ScrapedGuests, SourceError, Targets, VolumeGap, VolumeRef, VolumeStats,
};

/// How many remarks of a server are shown, and how many namespaces with series that are not trusted.
const REMARKS: usize = 5;
const FOREIGN: usize = 3;

/// The poll of a Prometheus-compatible API.
pub struct Prometheus {
    site: Site,
    config: PrometheusConfig,
    scope: Scope,
    plain: PlainQueries,
    oversized: OversizedNamespaces,
    targets: watch::Receiver<Targets>,
    /// `None` if it is not a source of disk figures.
    disks: Option<Disks>,
    guests: GuestPoll,
}

/// The volumes of the last answer. They stay valid until the next one, since each has its own time.
struct Disks {
    interval: Duration,
    due: Instant,
    last: Part<Vec<VolumeStats>>,
    /// Why a volume may be missing.
    gaps: Vec<VolumeGap>,
}

impl Prometheus {
    /// `targets` says of which claims and instances figures are kept.
    pub fn new(
        config: PrometheusConfig,
        collect: &CollectConfig,
        budget: Budget,
        targets: watch::Receiver<Targets>,
    ) -> Self {
        let is_disk_source = collect.asked_disk_sources().contains(&SourceId::Prometheus);
        Self {
            site: site(&config, collect, budget),
            scope: scope(&config, collect),
            plain: PlainQueries::default(),
            oversized: OversizedNamespaces::default(),
            targets,
            disks: is_disk_source.then(|| Disks::new(collect.disk_interval)),
            guests: GuestPoll::new(collect.disk_interval),
            config,
        }
    }

    /// Sends the queries concurrently. The round fails if none of them was answered.
    async fn ask(&mut self) -> Result<PrometheusFacts, Failure> {
        self.scope.names = self.targets.borrow().names.clone();
        let api = open(&mut self.site, &self.config, &self.scope, &self.plain, &self.oversized).await?;
        let queries = Queries { matchers: &self.config.matchers, scope: &self.scope, nodes: &[] };
        let nodes = self.targets.borrow().uncounted.clone();
        let started = Instant::now();
        let volumes = async {
            let due = self.disks.as_ref().is_some_and(|disks| disks.due <= started);
            if due { Some(api.family(&queries, VOLUMES, NameLabel::Claim).await) } else { None }
        };
        let (memory, cpu, volumes, guests) = tokio::join!(
            api.family(&queries, MEMORY, NameLabel::Instance),
            api.cpu(&queries),
            volumes,
            self.guests.ask(&api, (&self.config, &self.scope), &nodes, started)
        );
        let mut tally = Tally::default();
        let memory = answer::newest(tally.count(key!(collect.memory), memory, &self.site));
        let cpu = tally.count(key!(collect.cpu), cpu, &self.site);
        if let Some(volumes) = volumes {
            self.take_volumes(volumes, started, &mut tally);
        }
        self.guests.take(guests, &mut tally, &self.site, started);
        let warnings = tally.end()?;
        let guests = self.guests.known(&nodes);
        Ok(PrometheusFacts { guests, ..self.facts(memory, cpu, warnings) })
    }

    /// Takes over the volumes of a round. A volume without one of its metrics would be taken for another kind
    /// of volume, so it is reported completely or as before. Volumes of an oversized namespace are not
    /// reported; if its exporters are trusted, no volume of any trusted exporter is.
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
                _ if too_large.contains_key("") => false,
                VolumeRef::Claim(claim) => !too_large.contains_key(&*claim.namespace),
                VolumeRef::PodVolume { .. } => true,
            };
            disks.last.found.retain(is_whole);
        }
    }

    /// Why volumes may be missing. A trusted exporter may report on any namespace, so its gaps have none.
    fn gaps(&self, volumes: &Gathered<Scrapes<4>>) -> Vec<VolumeGap> {
        let any = |error: SourceError| VolumeGap { error, namespaces: Vec::new() };
        let failed = volumes.failures.iter().map(|failure| any(self.site.describe(CREDENTIALS, failure)));
        let crowded =
            (volumes.part.left_out > 0).then(|| any(source_error(Reason::TooLarge, describe_left_out())));
        let too_large = volumes.too_large.iter().map(|(namespace, limit)| VolumeGap {
            error: source_error(Reason::TooLarge, describe_too_large(namespace, *limit)),
            namespaces: match namespace.is_empty() || self.scope.trusts(namespace) {
                true => Vec::new(),
                false => vec![namespace.clone()],
            },
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
            warnings.push(describe_left_out());
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
            guests: ScrapedGuests::default(),
            warnings,
        }
    }
}

impl Source for Prometheus {
    const ID: SourceId = SourceId::Prometheus;

    async fn round(&mut self, sender: &ObservationSender) -> Result<Option<Failure>, Closed> {
        let (result, failure) = match self.ask().await {
            Ok(facts) => (Ok(facts), None),
            Err(failure) => (Err(self.site.describe(CREDENTIALS, &failure)), Some(failure)),
        };
        sender.send(Observation::Prometheus { at: steady(), result }).await?;
        Ok(failure)
    }
}

impl Disks {
    fn new(interval: Duration) -> Self {
        Self { interval, due: Instant::now(), last: Part::default(), gaps: Vec::new() }
    }
}

/// The namespaces of exporters that name other namespaces, those with the most series first.
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

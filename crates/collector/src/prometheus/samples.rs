//! Gets the samples of the last minutes, metric by metric. If an answer is too large, only the namespace that
//! fills it is affected.

use std::collections::BTreeMap;

use futures::{StreamExt, future::join_all, stream};
use parking_lot::Mutex;

use super::{
    answer::{self, Part, Scrapes},
    api::Api,
    identity::{NameLabel, Scope},
    oversized,
    query::{self, Queries},
};
use crate::{
    budget::Lease, error::Failure, outside::FetchOutcome, poll::decode_apart, virt_handler::names::Family,
};

/// How many oversized namespaces one round may find in the answers for one metric.
const MOST_LEARNED: usize = 4;

/// Queries for guests that are sent at the same time.
const GUESTS_AT_ONCE: usize = 6;

/// The combined results of the queries of one part.
#[derive(Default)]
pub struct Gathered<T> {
    pub part: Part<T>,
    pub answered: bool,
    pub failures: Vec<Failure>,
    /// Namespaces whose series are left out, with the limit that they exceed. The empty name stands for all that
    /// are not trusted, if none of them can be blamed.
    pub too_large: BTreeMap<String, Limit>,
}

/// The limit that the series of a namespace exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// They are larger by themselves.
    Bytes(usize),
    /// With them there are more things than are kept.
    Things,
}

impl<T> Gathered<T> {
    fn take(&mut self, answer: Result<Decoded<T>, Failure>, merge: impl Fn(&mut Part<T>, Part<T>)) {
        match answer {
            Ok(Decoded { part, lease: _until_merged }) => {
                self.answered = true;
                merge(&mut self.part, part);
            }
            Err(failure) => self.failures.push(failure),
        }
    }

    /// Adds the namespaces that were left out when the answers were merged.
    fn with_crowding(mut self) -> Self {
        for namespace in std::mem::take(&mut self.part.crowding) {
            self.too_large.entry(namespace).or_insert(Limit::Things);
        }
        self
    }
}

/// What one answer says. It takes the answer's place in the budget until it is merged.
struct Decoded<T> {
    part: Part<T>,
    lease: Lease,
}

/// The result of a query for samples.
enum SampleOutcome<T> {
    Whole(Decoded<T>),
    /// There is more than is read or kept: what is kept, and the namespace whose series take the most.
    Crowded {
        kept: Option<Decoded<T>>,
        heaviest: Option<String>,
    },
}

impl Api {
    /// Sends one query per metric of a family.
    pub async fn family<const N: usize>(
        &self,
        queries: &Queries<'_>,
        metrics: [&str; N],
        label: NameLabel,
    ) -> Gathered<Scrapes<N>> {
        let decode = move |n| move |answer: &[u8], scope: &Scope| answer::scrapes(answer, n, scope, label);
        let gathered = Mutex::default();
        let ask = |(n, metric)| self.metric(queries, metric, decode(n), &gathered, Part::merge_scrapes);
        join_all(metrics.into_iter().enumerate().map(ask)).await;
        let mut gathered = gathered.into_inner();
        // One after another, and only now: each answer that waits to be merged takes memory.
        for (n, metric) in metrics.into_iter().enumerate() {
            self.oversized(queries, metric, decode(n), &mut gathered, Part::merge_last).await;
        }
        gathered.with_crowding()
    }

    /// Queries the CPU counters.
    pub async fn cpu(&self, queries: &Queries<'_>) -> Gathered<answer::Cpu> {
        let gathered = Mutex::default();
        self.metric(queries, query::CPU, answer::cpu, &gathered, Part::merge_rates).await;
        let mut gathered = gathered.into_inner();
        self.oversized(queries, query::CPU, answer::cpu, &mut gathered, Part::merge_rates_last).await;
        gathered.with_crowding()
    }

    /// Queries what guests do, a few families at a time: there are many, and each is as large as that of CPU.
    pub async fn guests(
        &self,
        queries: &Queries<'_>,
        families: &[&'static Family],
    ) -> Gathered<answer::Guests> {
        let decode = |family: &'static Family| {
            move |answer: &[u8], scope: &Scope| answer::guests(answer, family, scope)
        };
        let gathered = Mutex::default();
        let ask = async |family: &&'static Family| {
            let family = *family;
            let merge = |part: &mut Part<answer::Guests>, other| part.merge_guests(other, family);
            self.metric(queries, &family.metric(), decode(family), &gathered, merge).await;
        };
        stream::iter(families).for_each_concurrent(GUESTS_AT_ONCE, ask).await;
        let mut gathered = gathered.into_inner();
        for family in families.iter().copied() {
            let merge = |part: &mut Part<answer::Guests>, other, namespace: &str| {
                part.merge_guests_last(other, family, namespace);
            };
            self.oversized(queries, &family.metric(), decode(family), &mut gathered, merge).await;
        }
        gathered.with_crowding()
    }

    /// What all exporters report on a metric, except those of oversized namespaces. Each answer is merged as soon
    /// as it is decoded: it may hold tens of megabytes, and waits for no other.
    async fn metric<T: Send + 'static>(
        &self,
        queries: &Queries<'_>,
        metric: &str,
        decode: impl Fn(&[u8], &Scope) -> Option<Part<T>> + Copy + Send + 'static,
        gathered: &Mutex<Gathered<T>>,
        merge: impl Fn(&mut Part<T>, Part<T>) + Copy,
    ) {
        let moved = async {
            if let Some(query) = queries.samples(metric, &[]).moved {
                let answer = self.kept(&query, decode).await;
                gathered.lock().take(answer, merge);
            }
        };
        let own = async {
            match self.own(queries, metric, decode).await {
                Err(Failure::TooLarge(_)) if !self.oversized.is_given_up(metric) => {
                    self.apart(queries, metric, decode, gathered, merge).await;
                }
                Err(failure) => {
                    // Whether the others do without the oversized namespaces is not known: nobody is blamed.
                    self.oversized.forget(metric);
                    gathered.lock().failures.push(failure);
                }
                own => gathered.lock().take(own, merge),
            }
        };
        tokio::join!(own, moved);
    }

    /// Queries each trusted namespace by itself, and all others together: what others make of their series, so that
    /// no namespace can be blamed, costs no figure of a trusted exporter.
    async fn apart<T: Send + 'static>(
        &self,
        queries: &Queries<'_>,
        metric: &str,
        decode: impl Fn(&[u8], &Scope) -> Option<Part<T>> + Copy + Send + 'static,
        gathered: &Mutex<Gathered<T>>,
        merge: impl Fn(&mut Part<T>, Part<T>) + Copy,
    ) {
        let trusted = self.scope.trusted.clone();
        let alone = trusted.iter().map(|name| (name.clone(), queries.samples_of(metric, name)));
        let others = (String::new(), queries.samples(metric, &trusted).own);
        let (mut answered, mut failed) = (false, false);
        for (namespace, query) in alone.chain([others]) {
            match self.kept(&query, decode).await {
                Err(Failure::TooLarge(limit)) => {
                    gathered.lock().too_large.insert(namespace, Limit::Bytes(limit));
                }
                answer => {
                    answered |= answer.is_ok();
                    failed |= answer.is_err();
                    gathered.lock().take(answer, merge);
                }
            }
        }
        if !answered {
            // An answer that came too late may fit the next time.
            if !failed {
                self.oversized.give_up(metric);
            }
            gathered.lock().failures.push(Failure::TooLarge(self.session.limit()));
        }
    }

    /// What the exporters of oversized namespaces report. They come last, so that they take no room from the
    /// others.
    async fn oversized<T: Send + 'static>(
        &self,
        queries: &Queries<'_>,
        metric: &str,
        decode: impl Fn(&[u8], &Scope) -> Option<Part<T>> + Copy + Send + 'static,
        gathered: &mut Gathered<T>,
        merge: impl Fn(&mut Part<T>, Part<T>, &str),
    ) {
        for (namespace, too_large) in self.oversized.list(metric) {
            if too_large {
                gathered.too_large.insert(namespace, Limit::Bytes(self.session.limit()));
                continue;
            }
            match self.kept(&queries.samples_of(metric, &namespace), decode).await {
                Err(Failure::TooLarge(limit)) => {
                    self.oversized.mark_too_large(metric, &namespace);
                    gathered.too_large.insert(namespace, Limit::Bytes(limit));
                }
                answer => gathered.take(answer, |part, other| merge(part, other, &namespace)),
            }
        }
    }

    /// What the exporters of all namespaces but the oversized ones report. If that is too much, the namespace
    /// that takes the most counts as oversized from now on, and the query is repeated without it.
    async fn own<T: Send + 'static>(
        &self,
        queries: &Queries<'_>,
        metric: &str,
        decode: impl Fn(&[u8], &Scope) -> Option<Part<T>> + Copy + Send + 'static,
    ) -> Result<Decoded<T>, Failure> {
        for _ in 0..=MOST_LEARNED {
            let query = queries.samples(metric, &self.oversized.names(metric)).own;
            match self.sample(&query, decode).await? {
                SampleOutcome::Whole(part) => {
                    self.oversized.resume(metric);
                    return Ok(part);
                }
                SampleOutcome::Crowded { kept, .. } if self.oversized.is_given_up(metric) => {
                    return kept.ok_or(Failure::TooLarge(self.session.limit()));
                }
                SampleOutcome::Crowded { kept, heaviest } => {
                    let is_new = match heaviest {
                        Some(namespace) => self.oversized.add(metric, namespace),
                        None => {
                            self.oversized.forget(metric);
                            false
                        }
                    };
                    if !is_new {
                        return kept.ok_or(Failure::TooLarge(self.session.limit()));
                    }
                }
            }
        }
        Err(Failure::TooLarge(self.session.limit()))
    }

    /// As many of the samples as are kept.
    async fn kept<T: Send + 'static>(
        &self,
        query: &str,
        decode: impl Fn(&[u8], &Scope) -> Option<Part<T>> + Send + 'static,
    ) -> Result<Decoded<T>, Failure> {
        match self.sample(query, decode).await? {
            SampleOutcome::Whole(part) => Ok(part),
            SampleOutcome::Crowded { kept, .. } => kept.ok_or(Failure::TooLarge(self.session.limit())),
        }
    }

    async fn sample<T: Send + 'static>(
        &self,
        query: &str,
        decode: impl Fn(&[u8], &Scope) -> Option<Part<T>> + Send + 'static,
    ) -> Result<SampleOutcome<T>, Failure> {
        let url = self.session.url(&["api", "v1", "query"]);
        let scope = self.scope.clone();
        match self.fetch(url, query, true).await? {
            FetchOutcome::Whole(reply) => {
                let decode = move |answer: &[u8]| {
                    let part = decode(answer, &scope)?;
                    let is_whole = part.left_out == 0;
                    let heaviest = if is_whole { None } else { oversized::heaviest(answer, &scope) };
                    Some((part, is_whole, heaviest))
                };
                let ((part, is_whole, heaviest), lease) = reply.decode_and_hold(decode).await?;
                let decoded = Decoded { part, lease };
                Ok(match is_whole {
                    true => SampleOutcome::Whole(decoded),
                    false => SampleOutcome::Crowded { kept: Some(decoded), heaviest },
                })
            }
            FetchOutcome::Start(start) => {
                let heaviest = decode_apart(start, move |start| oversized::heaviest(start, &scope)).await;
                Ok(SampleOutcome::Crowded { kept: None, heaviest })
            }
        }
    }
}

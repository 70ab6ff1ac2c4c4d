//! What guests do, where virt-handler cannot be asked: a fixed number of queries, at an interval of their own.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    answer::{Guests, Part},
    api::{Api, CREDENTIALS},
    identity::Scope,
    query::Queries,
    samples::Gathered,
    tally::{Tally, describe_left_out, describe_too_large},
};
use crate::{
    config::PrometheusConfig,
    error::source_error,
    outside::Site,
    virt_handler::names::{NEWEST, OLD, contention_since, of_whole_guests},
};
use i18n::key;
use model::reason::Reason;
use wukong_core::observation::{GuestCounters, ScrapedGuest, ScrapedGuests, SourceError};

/// The guests of the last answer. They stay valid until the next one, since each has its own time.
pub struct GuestPoll {
    interval: Duration,
    due: Instant,
    /// The names of KubeVirt 1.0 are asked for.
    is_old: bool,
    last: ScrapedGuests,
}

impl GuestPoll {
    pub fn new(interval: Duration) -> Self {
        Self { interval, due: Instant::now(), is_old: false, last: ScrapedGuests::default() }
    }

    /// Queries the guests of these nodes, if it is time and there are any.
    pub async fn ask(
        &self,
        api: &Api,
        (config, scope): (&PrometheusConfig, &Scope),
        nodes: &[Box<str>],
        now: Instant,
    ) -> Option<Gathered<Guests>> {
        if self.due > now || nodes.is_empty() {
            return None;
        }
        let queries = Queries { matchers: &config.matchers, scope, nodes };
        let families: Vec<_> = of_whole_guests(if self.is_old { OLD } else { NEWEST }).collect();
        Some(api.guests(&queries, &families).await)
    }

    /// Takes over the answers of a round. A guest without one of its families would seem not to report it, so guests
    /// are taken completely or stay as before.
    pub fn take(&mut self, answers: Option<Gathered<Guests>>, tally: &mut Tally, site: &Site, now: Instant) {
        let Some(answers) = answers else { return };
        let (is_whole, gap) = (answers.failures.is_empty(), gap(&answers, site));
        let Part { found, .. } = tally.count(key!(collect.guests), answers, site);
        if !is_whole {
            self.last.gap = gap;
            return;
        }
        self.due = now + self.interval;
        // The times of operations have other names since 1.1, and their numbers have not.
        let counts = |of: &GuestCounters| of.drives.iter().any(|drive| drive.read.operations.is_some());
        let times = |of: &GuestCounters| of.drives.iter().any(|drive| drive.read.time.is_some());
        let contention_since = contention_since(OLD).filter(|_| self.is_old);
        self.is_old ^= found.has(counts) && !found.has(times);
        let guests: Arc<[ScrapedGuest]> = found.rates().into();
        self.last = ScrapedGuests { guests, gap, contention_since };
    }

    /// What is known of guests of these nodes: nothing where virt-handler answers.
    pub fn known(&self, nodes: &[Box<str>]) -> ScrapedGuests {
        if nodes.is_empty() { ScrapedGuests::default() } else { self.last.clone() }
    }
}

/// Why guests may be missing.
fn gap(answers: &Gathered<Guests>, site: &Site) -> Option<SourceError> {
    let failed = answers.failures.first().map(|failure| site.describe(CREDENTIALS, failure));
    let too_large = answers.too_large.iter().next();
    let too_large = too_large
        .map(|(namespace, limit)| source_error(Reason::TooLarge, describe_too_large(namespace, *limit)));
    let left_out = answers.part.left_out > 0 || answers.part.found.are_left_out();
    let left_out = left_out.then(|| source_error(Reason::TooLarge, describe_left_out()));
    failed.or(too_large).or(left_out)
}

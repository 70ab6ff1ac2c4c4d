//! Adds up the results of a round's queries, and describes what is missing because answers were too large.

use std::collections::BTreeMap;

use super::{
    answer::{self, Part},
    api::CREDENTIALS,
    samples::{Gathered, Limit},
};
use crate::{error::Failure, k8s::text::is_identifier, outside::Site};
use i18n::msg;
use model::message::{Key, Message};

/// How many namespaces with series that are too large are named.
const NAMED: usize = 3;

/// The combined result of a round's queries.
#[derive(Default)]
pub(super) struct Tally {
    answered: bool,
    failure: Option<Failure>,
    warnings: Vec<Message>,
    too_large: BTreeMap<String, Limit>,
}

impl Tally {
    /// Adds the result of a part's queries. Each failure is reported once.
    pub fn count<T>(&mut self, part: Key, gathered: Gathered<T>, site: &Site) -> Part<T> {
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

    /// Returns what to warn of; fails if no query was answered.
    pub fn end(self) -> Result<Vec<Message>, Failure> {
        let Self { answered, failure, mut warnings, too_large } = self;
        match failure {
            Some(failure) if !answered => Err(failure),
            _ => {
                let all = too_large.iter().take(NAMED);
                warnings.extend(all.map(|(namespace, limit)| describe_too_large(namespace, *limit)));
                Ok(warnings)
            }
        }
    }
}

/// Describes a namespace whose series exceed a limit; an empty one stands for an answer of which no namespace can
/// be told.
pub(super) fn describe_too_large(namespace: &str, limit: Limit) -> Message {
    let shown = if is_identifier(namespace) { namespace } else { "" };
    match limit {
        Limit::Bytes(limit) if namespace.is_empty() => {
            let words = msg!(collect.too_large, bytes = limit.to_string());
            msg!(collect.about, peer = "Prometheus", words = words)
        }
        Limit::Bytes(limit) => {
            msg!(collect.too_large_series, namespace = shown, bytes = limit.to_string())
        }
        Limit::Things if namespace.is_empty() => describe_left_out(),
        Limit::Things => {
            let count = answer::MOST_THINGS.to_string();
            msg!(collect.crowding_series, namespace = shown, count = count)
        }
    }
}

/// Describes that series exceed a limit.
pub(super) fn describe_left_out() -> Message {
    msg!(collect.more_series, count = answer::MOST_THINGS.to_string())
}

//! The result of one query, and what is the same for all of them.

use std::collections::BTreeSet;

use crate::{
    k8s::{
        prometheus::{Answer, Series},
        text::readable,
    },
    prometheus::identity::{Foreign, Scope},
};

/// Values from here on are not possible amounts.
pub const ABSURD: f64 = (1u64 << 63) as f64;

/// The maximum number of claims or instances that one query may return, counted per scrape target.
pub const MOST_THINGS: usize = 1 << 16;
/// The maximum bytes of names in the result of one query: 64 for each thing.
pub const MOST_TEXT: usize = MOST_THINGS << 6;
/// How many characters are kept of a remark, and how many remarks of an answer.
pub const REMARK: usize = 200;
pub const REMARKS: usize = 100;

/// The result of one query, with the server's remarks on it.
#[derive(Clone, Debug, Default)]
pub struct Part<T> {
    pub found: T,
    pub remarks: Vec<String>,
    /// How many series were left out because they are of more things than are kept.
    pub left_out: usize,
    /// Series that are not trusted.
    pub foreign: Foreign,
    /// Namespaces whose series are left out, since with them there are more things than are kept. They are not
    /// counted in `left_out`. The empty name stands for all that are not trusted.
    pub crowding: BTreeSet<String>,
}

impl<T> Part<T> {
    /// Merges everything but `found`, and returns the `found` of the other.
    pub fn take_in(&mut self, other: Self) -> T {
        self.remarks.extend(other.remarks);
        self.left_out += other.left_out;
        self.crowding.extend(other.crowding);
        for (namespace, count) in other.foreign {
            *self.foreign.entry(namespace).or_default() += count;
        }
        other.found
    }
}

/// The series of trusted exporters, then the others: what does not fit is a tenant's.
pub fn trusted_first<'a>(answer: &'a Answer<'_>, scope: &Scope) -> impl Iterator<Item = Series<'a>> {
    let is_trusted = |series: &Series<'_>| scope.trusts(&series.metric.namespace);
    answer.series().filter(is_trusted).chain(answer.series().filter(move |series| !is_trusted(series)))
}

pub fn remarks(answer: &Answer<'_>) -> Vec<String> {
    answer.remarks().take(REMARKS).map(|remark| readable(&remark, REMARK)).collect()
}

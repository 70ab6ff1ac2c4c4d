//! What one page shows: cut on the server, rendered on both sides.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Millis,
    history::{History, Sparklines},
    insight::{Hints, Insight, InsightQuery, InsightTotals},
    query::Query,
    source::SourceHealth,
    totals::Totals,
    vm::{Vm, VmSummary},
};

/// What every page shows around its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The cluster's name: the kubeconfig context, `in-cluster`, or `demo`.
    pub cluster: String,
    /// Whether the cluster is the simulated one.
    pub demo: bool,
    /// When the page was cut, by the server's clock: ages are counted from here.
    pub now: Millis,
    /// When the cluster last answered anything; none before the first answer.
    pub last_seen: Option<Millis>,
    /// The age in milliseconds above which what was heard is stale: three of the shortest interval.
    pub stale_after: u32,
    /// How often a page that stays open should ask again, in milliseconds.
    pub refresh: u32,
    /// Every source was tried once.
    pub ready: bool,
    pub sources: Vec<SourceHealth>,
}

/// The home page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeView {
    pub frame: Frame,
    pub totals: Totals,
    /// The query that was answered; its `page` is held to those that exist.
    pub query: Query,
    /// VMs that match, on all pages.
    pub matching: u32,
    pub pages: u32,
    pub vms: Vec<VmSummary>,
    /// The last hour of each of `vms`, in their order.
    pub sparks: Vec<Sparklines>,
    pub facets: Facets,
    /// [`super::map::Map`], packed, in place of `vms`; empty where the query asks for no map.
    pub map: Vec<u8>,
}

/// What each filter would leave, if it alone were chosen anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facets {
    /// Every namespace and node that has a VM, by name.
    pub namespaces: Facet,
    pub nodes: Facet,
    /// In the order of `Status::ALL`; what is being created is pending too.
    pub statuses: [u32; 6],
    /// VMs that need a look.
    pub attention: u32,
}

/// The values of one filter, and how many VMs each would leave. A cluster of 3,000 namespaces has 3,000 names, the same ones
/// for every query: the server holds them once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facet {
    pub names: Arc<[String]>,
    /// In the order of `names`.
    pub vms: Vec<u32>,
}

impl Facet {
    pub fn iter(&self) -> impl Iterator<Item = (&String, u32)> {
        self.names.iter().zip(self.vms.iter().copied())
    }
}

/// One VM's page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmView {
    pub frame: Frame,
    /// None where no such VM is known.
    pub vm: Option<Vm>,
}

/// The past of one VM, for its page. `frame.refresh` is the pace at which a chart of this span changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryView {
    pub frame: Frame,
    /// None where no such VM is known.
    pub past: Option<Past>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    pub history: History,
    pub hints: Hints,
}

/// The page of what histories suggest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InsightsView {
    pub frame: Frame,
    /// The query that was answered; its `page` is held to those that exist.
    pub query: InsightQuery,
    pub totals: InsightTotals,
    /// When the findings were drawn: every few minutes, none before the first time.
    pub drawn: Option<Millis>,
    /// Hours of history that a hint needs.
    pub needed_hours: u32,
    /// Rows that match, on all pages.
    pub matching: u32,
    pub pages: u32,
    pub rows: Vec<Insight>,
    /// Every namespace that has a finding, for the filter.
    pub namespaces: Vec<String>,
}

/// The sources page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcesView {
    pub frame: Frame,
}

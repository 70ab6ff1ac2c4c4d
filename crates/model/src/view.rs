//! The views: what each page shows. `core::view` cuts them on the server; server and browser render them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Millis,
    activity::ActivityRow,
    attention::AttentionKind,
    details::VmDetails,
    events::Timeline,
    history::{History, Sparklines},
    insight::{Hints, Insight, InsightQuery, InsightTotals},
    query::Query,
    source::SourceHealth,
    totals::{Capacity, Totals},
    vm::{Vm, VmSummary},
    vm_health::VmHealth,
};

/// What every page shows around its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The cluster's name: the kubeconfig context, `in-cluster`, or `demo`.
    pub cluster: String,
    /// Whether the cluster is the simulated one.
    pub demo: bool,
    /// When the page was cut, by the server's clock. Ages are relative to it.
    pub now: Millis,
    /// When the cluster last answered anything; `None` before the first answer.
    pub last_seen: Option<Millis>,
    /// Age in milliseconds above which the cluster's last answer is stale: three times the shortest interval.
    pub stale_after: u32,
    /// How often an open page should ask again, in milliseconds.
    pub refresh: u32,
    /// Whether every source was tried once.
    pub ready: bool,
    /// Whether the viewer may see every VM.
    pub all_vms: bool,
    /// Whether the viewer may see nodes themselves; if not, only the names that their VMs give.
    pub nodes: bool,
    pub sources: Vec<SourceHealth>,
}

/// The home page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeView {
    pub frame: Frame,
    /// Over all VMs that the viewer may see.
    pub totals: Totals,
    /// Over the VMs that match.
    pub selected: Totals,
    /// What the nodes can allocate to VMs: the node of the filter alone, if there is one.
    pub capacity: Capacity,
    /// The query that was answered; its `page` is limited to pages that exist.
    pub query: Query,
    /// VMs that match, on all pages.
    pub matching: u32,
    pub pages: u32,
    pub vms: Vec<VmSummary>,
    /// Sparklines of the last hour for each of `vms`, in the same order.
    pub sparklines: Vec<Sparklines>,
    pub facets: Facets,
    /// The activity of each of `vms`, in the same order; empty unless the view is the table.
    pub activity: Vec<ActivityRow>,
    /// [`super::map::Map`], packed, instead of `vms`; empty if the query does not ask for the map.
    pub map: Vec<u8>,
    /// What needs attention, as markup that the server has made in the reader's language. It is of all VMs that the
    /// viewer may see, whatever the query.
    pub attention: Arc<str>,
}

/// How many VMs each value of a filter would leave, with the other filters unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facets {
    /// Every namespace and node that has a VM, by name.
    pub namespaces: Facet,
    pub nodes: Facet,
    /// In the order of `Status::ALL`. VMs that are being created also count as pending.
    pub statuses: [u32; 6],
    /// VMs that need attention; and for each kind, in the order of `AttentionKind::ALL`. A VM may need it for several.
    pub attention: u32,
    pub attention_kinds: [u32; AttentionKind::COUNT],
}

/// The values of one filter, and how many VMs each would leave. A cluster of 3,000 namespaces has 3,000
/// names, which are the same for every query, so the server holds them once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facet {
    pub names: Arc<[String]>,
    /// VMs that each name would leave, in the order of `names`.
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
    /// `None` if the VM is not known.
    pub vm: Option<Vm>,
    /// Namespace and name of VMs with a name like that of the VM that is not known, closest first.
    pub similar: Vec<(String, String)>,
    pub details: VmDetails,
    pub health: VmHealth,
}

/// The history of one VM, for its page. `frame.refresh` is how often a chart of this span changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryView {
    pub frame: Frame,
    /// `None` if the VM is not known.
    pub history: Option<VmHistory>,
}

/// The timeline of one VM, for its page. `frame.refresh` is how often it is worth asking again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineView {
    pub frame: Frame,
    /// `None` if the VM is not known.
    pub timeline: Option<Timeline>,
}

/// A VM's history, and what it suggests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmHistory {
    pub history: History,
    pub hints: Hints,
}

/// The page of findings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InsightsView {
    pub frame: Frame,
    /// The query that was answered; its `page` is limited to pages that exist.
    pub query: InsightQuery,
    pub totals: InsightTotals,
    /// When the findings were computed, which happens every few minutes; `None` before the first time.
    pub computed_at: Option<Millis>,
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

//! What one page shows: cut on the server, rendered on both sides.

use serde::{Deserialize, Serialize};

use super::{
    Millis,
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
    pub heard: Option<Millis>,
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
    /// Every namespace and node that has a VM, for the filters.
    pub namespaces: Vec<String>,
    pub nodes: Vec<String>,
}

/// One VM's page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmView {
    pub frame: Frame,
    /// None where no such VM is known.
    pub vm: Option<Vm>,
}

/// The sources page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcesView {
    pub frame: Frame,
}

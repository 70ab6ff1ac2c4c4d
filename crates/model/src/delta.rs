//! Changes of a view from one snapshot to the next, which the event stream sends to the pages. The server
//! compares (`delta` of the core), the browser applies the change: then both hold the same view.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Millis,
    activity::ActivityRow,
    details::VmDetails,
    history::Sparklines,
    nodes::{NodeReport, NodeView},
    source::SourceHealth,
    totals::{Capacity, Totals},
    view::{Facets, Frame, HomeView, SourcesView, VmView},
    vm::{Kind, Vm, VmSummary},
    vm_health::VmHealth,
};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Update<V, C> {
    /// The whole view, for a client that has none or an older one than is remembered.
    State(V),
    /// What differs from the view after the event before.
    Change(C),
}

/// The change of what every page shows around its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameChange {
    pub now: Millis,
    pub last_seen: Option<Millis>,
    pub ready: bool,
    /// The sources that changed, each complete.
    pub sources: Vec<SourceHealth>,
}

/// The change of the home page. `None` means unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeChange {
    pub frame: FrameChange,
    pub totals: Option<Totals>,
    pub selected: Option<Totals>,
    pub capacity: Option<Capacity>,
    pub extent: Option<Extent>,
    /// Every row of the page, in order.
    pub rows: Option<Vec<Slot>>,
    pub facets: Option<Facets>,
    pub map: Option<Vec<u8>>,
    pub attention: Option<Arc<str>>,
}

/// How many VMs match, and which page of them is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    pub matching: u32,
    pub pages: u32,
    pub page: u32,
}

/// One row of the changed page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Slot {
    /// The unchanged row that was at this index before.
    Old(u16),
    /// A row that is new or differs, its last hour if the view shows sparklines, and its activity if the view
    /// shows that.
    New(Box<VmSummary>, Option<Sparklines>, Option<ActivityRow>),
}

/// The change of one VM's page. `None` means unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmChange {
    pub frame: FrameChange,
    /// The inner `None` means that the VM is gone.
    pub vm: Option<Option<Vm>>,
    pub details: Option<VmDetails>,
    pub health: Option<VmHealth>,
}

/// The change of one node's page. `None` means unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeChange {
    pub frame: FrameChange,
    /// The inner `None` means that the node is gone.
    pub node: Option<Option<Box<NodeReport>>>,
}

/// Identifies a row.
pub type RowKey = (Kind, String, String);

impl FrameChange {
    /// Applies the change. Returns `None` if it names a source that the frame does not have.
    fn apply(self, frame: &mut Frame) -> Option<()> {
        for source in self.sources {
            let old = frame.sources.iter_mut().find(|old| old.id == source.id)?;
            *old = source;
        }
        frame.now = self.now;
        frame.last_seen = self.last_seen;
        frame.ready = self.ready;
        Some(())
    }
}

impl VmSummary {
    pub fn row_key(&self) -> RowKey {
        (self.kind, self.namespace.clone(), self.name.clone())
    }
}

impl HomeView {
    /// Applies the change. `None` if it does not fit this view: then only a whole view helps.
    pub fn apply(&mut self, change: HomeChange) -> Option<()> {
        change.frame.apply(&mut self.frame)?;
        if let Some(totals) = change.totals {
            self.totals = totals;
        }
        if let Some(selected) = change.selected {
            self.selected = selected;
        }
        if let Some(capacity) = change.capacity {
            self.capacity = capacity;
        }
        if let Some(Extent { matching, pages, page }) = change.extent {
            (self.matching, self.pages, self.query.page) = (matching, pages, page);
        }
        if let Some(slots) = change.rows {
            (self.vms, self.sparklines, self.activity) = self.rows(slots)?;
        }
        if let Some(facets) = change.facets {
            self.facets = facets;
        }
        if let Some(map) = change.map {
            self.map = map;
        }
        if let Some(attention) = change.attention {
            self.attention = attention;
        }
        Some(())
    }

    /// Builds the rows from those of this view and new ones.
    fn rows(&self, slots: Vec<Slot>) -> Option<(Vec<VmSummary>, Vec<Sparklines>, Vec<ActivityRow>)> {
        let (mut rows, mut sparklines, mut activity) =
            (Vec::with_capacity(slots.len()), Vec::with_capacity(slots.len()), Vec::new());
        for slot in slots {
            let (row, sparkline, does) = match slot {
                Slot::Old(index) => {
                    let index = usize::from(index);
                    let (sparkline, does) = (self.sparklines.get(index), self.activity.get(index));
                    (self.vms.get(index)?.clone(), sparkline.cloned(), does.copied())
                }
                Slot::New(row, sparkline, does) => (*row, sparkline, does),
            };
            rows.push(row);
            sparklines.extend(sparkline);
            activity.extend(does);
        }
        Some((rows, sparklines, activity))
    }
}

impl VmView {
    pub fn apply(&mut self, change: VmChange) -> Option<()> {
        change.frame.apply(&mut self.frame)?;
        if let Some(vm) = change.vm {
            self.vm = vm;
        }
        if let Some(details) = change.details {
            self.details = details;
        }
        if let Some(health) = change.health {
            self.health = health;
        }
        Some(())
    }
}

impl NodeView {
    pub fn apply(&mut self, change: NodeChange) -> Option<()> {
        change.frame.apply(&mut self.frame)?;
        if let Some(node) = change.node {
            self.node = node;
        }
        Some(())
    }
}

impl SourcesView {
    pub fn apply(&mut self, change: FrameChange) -> Option<()> {
        change.apply(&mut self.frame)
    }
}

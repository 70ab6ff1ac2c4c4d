//! One node: how it is, what is used and allocated of it, and which of its VMs use the most. `core::nodes` computes it; the
//! node's page and `/api/nodes/{name}` show it.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::{
    bad_param::BadParam,
    figure::Figure,
    groups::{Consumer, Group},
    params::Params,
    totals::Measured,
    view::Frame,
    vm_health::{Level, Problem},
};

/// How many of the largest consumers of each figure are listed.
pub const LISTED: usize = 8;

/// What the largest consumers of a node are ranked by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum TopBy {
    #[default]
    Memory,
    Cpu,
    Network,
    /// What a VM reads from its disks and writes to them.
    DiskIo,
}

impl TopBy {
    pub const ALL: [Self; 4] = [Self::Memory, Self::Cpu, Self::Network, Self::DiskIo];

    pub fn code(self) -> &'static str {
        self.into()
    }

    /// Returns what an address ranks by; memory if it names nothing. Fails if the code is not known.
    pub fn of_address(query: &str) -> Result<Self, BadParam> {
        let code = Params::parse(query)?.get("top").unwrap_or_default();
        match code.trim() {
            "" => Ok(Self::default()),
            code => Self::ALL
                .into_iter()
                .find(|by| by.code().eq_ignore_ascii_case(code))
                .ok_or_else(|| BadParam::new("top", "memory, cpu, network or disk-io")),
        }
    }
}

/// The VMs that use the most of one thing, largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranking {
    pub vms: Vec<Consumer>,
    /// The other VMs that the list shows for this node, also those whose figure is not known.
    pub more: u32,
}

/// One node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Its VMs as a row of the page of nodes, and its own object if that is known.
    pub group: Group,
    pub level: Level,
    /// What is wrong with it, the most serious first.
    pub problems: Vec<Problem>,
    /// In the order of [`TopBy::ALL`].
    pub top: [Ranking; 4],
    /// Findings about the VMs that the list shows for this node.
    pub findings: u32,
}

/// What its VMs use of what is used of a node. The rest are other pods, the system's services and the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    pub vms: u64,
    pub rest: u64,
}

impl Split {
    /// Returns the parts of what is used. `None` if not every running VM is measured, or if the two figures are of different
    /// moments: the node's is old, or the VMs use more than the node.
    pub fn of(node: &Figure, vms: &Measured, running: u32) -> Option<Self> {
        let node = node.sample().filter(|sample| !sample.stale)?;
        let rest = node.used.checked_sub(vms.used)?;
        (vms.vms == running).then_some(Self { vms: vms.used, rest })
    }
}

impl NodeReport {
    /// Returns the parts of the node's used CPU and memory.
    pub fn splits(&self) -> [Option<Split>; 2] {
        let totals = &self.group.totals;
        let used = self.group.node.as_ref().and_then(|node| node.used.as_deref());
        let split = |figure: Option<&Figure>, vms| Split::of(figure?, vms, totals.counts.running);
        [
            split(used.map(|used| &used.cpu), &totals.cpu_used),
            split(used.map(|used| &used.memory), &totals.memory_used),
        ]
    }
}

/// One node's page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    pub frame: Frame,
    /// `None` if the node is not known.
    pub node: Option<Box<NodeReport>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        figure::{Basis, Sample, Source, Unit},
        reason::Reason,
    };

    #[test]
    fn a_ranking_is_read_from_its_code() {
        for by in TopBy::ALL {
            assert_eq!(TopBy::of_address(&["?top=", by.code()].concat()), Ok(by));
        }
        assert_eq!(TopBy::of_address("lang=en"), Ok(TopBy::Memory));
        assert_eq!(TopBy::of_address("?top="), Ok(TopBy::Memory));
        assert_eq!(TopBy::of_address("?top=disk%2Dio"), Ok(TopBy::DiskIo));
        for bad in ["top=disk", "top=cpu&top=cpu", "top=cpu%00"] {
            assert_eq!(TopBy::of_address(bad).unwrap_err().field, "top", "{bad}");
        }
    }

    #[test]
    fn the_parts_of_what_is_used_are_never_more_than_the_whole() {
        let node = |used| {
            let (source, basis) = (Source::KubeletProxy, Basis::Own);
            Figure::Known(Sample {
                unit: Unit::Bytes,
                used,
                of: 100,
                at: 1,
                window_ms: 0,
                source,
                basis,
                stale: false,
            })
        };
        let vms = |used, vms| Measured { used, of: 200, vms };
        assert_eq!(Split::of(&node(50), &vms(40, 2), 2), Some(Split { vms: 40, rest: 10 }));
        assert_eq!(Split::of(&node(50), &vms(50, 2), 2), Some(Split { vms: 50, rest: 0 }));
        assert_eq!(Split::of(&node(50), &vms(51, 2), 2), None, "of another moment");
        assert_eq!(Split::of(&node(50), &vms(40, 2), 3), None, "the third one may be most of the rest");
        let Figure::Known(sample) = node(50) else { panic!("a figure") };
        let old = Figure::Known(Sample { stale: true, ..sample });
        assert_eq!(Split::of(&old, &vms(40, 2), 2), None, "of another moment");
        assert_eq!(Split::of(&Figure::Missing(Reason::Expired.into()), &vms(40, 2), 2), None);
        assert_eq!(Split::of(&node(50), &vms(0, 0), 0), Some(Split { vms: 0, rest: 50 }));
    }
}

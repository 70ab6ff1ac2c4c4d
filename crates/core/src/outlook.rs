//! What decides about a VM beside its own figures: whether its node is lost, and what its history suggests. `attention`
//! and `problems` judge by it.

use hashbrown::HashMap;

use super::Visible;
use model::{
    groups::Node,
    insight::{Filling, Finding, Resource, Sizing},
    thresholds::SPACE,
    vm::{Kind, Status, Vm, VmSummary},
    vm_health::Level,
};

/// What is known about one VM beside its own figures. By default nothing is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outlook<'a> {
    /// The VM's node, if it is not ready and the VM may still run there.
    pub lost: Option<&'a Node>,
    /// Its disks, if they will be full soon.
    pub filling: Option<&'a Filling>,
    /// Its CPU and memory, if they were hardly enough.
    pub cpu: Option<&'a Sizing>,
    pub memory: Option<&'a Sizing>,
}

impl Outlook<'_> {
    /// Whether nothing is known beside the VM's own figures.
    pub fn is_empty(&self) -> bool {
        let Self { lost, filling, cpu, memory } = self;
        lost.is_none() && filling.is_none() && cpu.is_none() && memory.is_none()
    }
}

/// The outlook of each VM that a viewer may see.
#[derive(Default)]
pub struct Outlooks<'a> {
    lost: HashMap<&'a str, &'a Node>,
    /// Without nodes.
    findings: HashMap<(Kind, &'a str, &'a str), Outlook<'a>>,
}

impl<'a> Outlooks<'a> {
    pub fn of(visible: &'a Visible) -> Self {
        let lost = visible.nodes().iter().filter(|node| node.ready != Some(true));
        let mut findings: HashMap<_, Outlook> = HashMap::new();
        for row in visible.findings() {
            let own = match &row.finding {
                Finding::FillingUp(filling) if Level::of_days(filling.days) > Level::Normal => {
                    Outlook { filling: Some(filling), ..Outlook::default() }
                }
                Finding::Undersized(sizing) if sizing.resource() == Resource::Cpu => {
                    Outlook { cpu: Some(sizing), ..Outlook::default() }
                }
                Finding::Undersized(sizing) => Outlook { memory: Some(sizing), ..Outlook::default() },
                Finding::FillingUp(_) | Finding::Oversized(_) => continue,
            };
            let known = findings.entry((row.kind, &*row.namespace, &*row.name)).or_default();
            known.filling = own.filling.or(known.filling);
            known.cpu = own.cpu.or(known.cpu);
            known.memory = own.memory.or(known.memory);
        }
        Self { lost: lost.map(|node| (&*node.name, node)).collect(), findings }
    }

    pub fn of_vm(&self, vm: &Vm) -> Outlook<'a> {
        let outlook = if self.findings.is_empty() { None } else { self.findings.get(&vm.summary.key()) };
        let outlook = outlook.copied().unwrap_or_default();
        // The host's figure of memory counts only if the guest's does not contradict it.
        let is_confirmed = vm.summary.usage.guest_memory.is_none_or(|percent| percent >= SPACE.high);
        let memory = outlook.memory.filter(|sizing| sizing.by_guest || is_confirmed);
        Outlook { lost: self.lost_node(&vm.summary), memory, ..outlook }
    }

    /// Returns whether nobody knows if the guest still runs, because its node is not ready.
    pub fn is_lost(&self, vm: &VmSummary) -> bool {
        self.lost_node(vm).is_some()
    }

    fn lost_node(&self, vm: &VmSummary) -> Option<&'a Node> {
        let may_run = matches!(vm.status, Status::Running | Status::Unknown);
        if self.lost.is_empty() || !may_run { None } else { self.lost.get(&*vm.node).copied() }
    }
}

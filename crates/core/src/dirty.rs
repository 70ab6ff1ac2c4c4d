//! Says what an observation changes: for each kind of object the names under which rows look it up, and for
//! each other observation the rows that it is about. A new source is added here; the compiler asks for it.

use std::cmp::Ordering;

use super::{
    objects::Facts,
    observation::{
        ClaimFacts, InstanceFacts, InstancetypeFacts, Key, LonghornFacts, MigrationFacts, Observation,
        PersistentVolumeFacts, PodFacts, VmFacts, WukongFacts,
    },
    pod::PodSamples,
    pod_names::generated_prefix,
    state::ClusterState,
    touched::Name,
};
use model::{groups::Node, vm::Kind};

/// What an observation is about.
pub(super) enum Impact {
    /// Objects: [`super::objects::Objects`] touches the names of those that differ from before.
    Objects,
    /// The status of a source, which `conditions` compares, or nothing that a row shows.
    Status,
    /// What the kubelet or the virt-handler of one node reports.
    Node(Box<str>),
    /// What the agent of one guest reports.
    Guest(Key),
    /// One answer about all VMs.
    Everything,
}

impl Impact {
    pub fn of(observation: &Observation) -> Self {
        match observation {
            Observation::Wukongs(_)
            | Observation::VirtualMachines(_)
            | Observation::Instances(_)
            | Observation::Migrations(_)
            | Observation::Pods(_)
            | Observation::Claims(_)
            | Observation::PersistentVolumes(_)
            | Observation::LonghornVolumes(_)
            | Observation::Nodes(_)
            | Observation::ClusterInstancetypes(_)
            | Observation::Instancetypes(_)
            | Observation::PodMetrics { .. } => Self::Objects,
            Observation::WatchAlive { .. }
            | Observation::WatchFailed { .. }
            | Observation::Omitted { .. }
            | Observation::HandlersFound { .. }
            | Observation::Risk { .. }
            | Observation::Took { .. }
            | Observation::AccessReviews(_) => Self::Status,
            Observation::Summary { node, .. } | Observation::Guests { node, .. } => {
                Self::Node(node.as_str().into())
            }
            Observation::Filesystems { instance, .. } => Self::Guest(instance.clone()),
            Observation::Prometheus { result: Ok(_), .. } | Observation::Ceph { result: Ok(_), .. } => {
                Self::Everything
            }
            Observation::Prometheus { result: Err(_), .. } | Observation::Ceph { result: Err(_), .. } => {
                Self::Status
            }
        }
    }
}

impl ClusterState {
    /// Touches the subject of an observation. It is called before and after the observation is applied: what a
    /// kubelet reports no longer, and what it reports now, both change.
    pub(super) fn touch(&mut self, subject: &Impact) {
        match subject {
            Impact::Objects | Impact::Status => {}
            Impact::Node(node) => self.touch_node(node),
            Impact::Guest(instance) => self.touched.touch(Name::vm(instance)),
            Impact::Everything => self.touched.touch_everything(),
        }
    }

    /// Touches a node, and the claims that its kubelet reports: a VM on another node may show them.
    pub(super) fn touch_node(&mut self, node: &str) {
        self.touched.touch(Name::Node(node));
        let Some(kubelet) = self.kubelets.get(node) else { return };
        for (namespace, claim) in kubelet.volumes().filter_map(|(stats, _)| stats.claim(&self.pods)) {
            self.touched.touch(Name::Claim(namespace, claim));
        }
    }
}

impl Facts for WukongFacts {
    const ROW: Option<Kind> = Some(Kind::Wukong);

    fn names(&self, visit: &mut dyn FnMut(Name)) {
        visit(Name::Wukong(&self.namespace, &self.name));
        unless_empty(&self.uid, Name::Uid, visit);
        unless_empty(&self.vm_name, |name| Name::Vm(&self.namespace, name), visit);
    }

    fn is_index(name: &Name) -> bool {
        matches!(name, Name::Uid(_) | Name::Vm(..))
    }

    /// The oldest first: it has the best claim to a VM.
    fn order(&self, other: &Self) -> Ordering {
        let by_key = || (&self.namespace, &self.name).cmp(&(&other.namespace, &other.name));
        self.created.cmp(&other.created).then_with(by_key)
    }
}

impl Facts for VmFacts {
    const ROW: Option<Kind> = Some(Kind::VirtualMachine);

    fn names(&self, visit: &mut dyn FnMut(Name)) {
        visit(Name::Vm(&self.namespace, &self.name));
        unless_empty(&self.uid, Name::Uid, visit);
        unless_empty(&self.owner_wukong, Name::Uid, visit);
    }

    fn is_index(name: &Name) -> bool {
        matches!(name, Name::Uid(_))
    }
}

impl Facts for InstanceFacts {
    const ROW: Option<Kind> = Some(Kind::VirtualMachineInstance);

    fn names(&self, visit: &mut dyn FnMut(Name)) {
        visit(Name::Vm(&self.namespace, &self.name));
        unless_empty(&self.uid, Name::Uid, visit);
    }

    fn is_index(name: &Name) -> bool {
        matches!(name, Name::Uid(_))
    }
}

impl Facts for MigrationFacts {
    fn names(&self, visit: &mut dyn FnMut(Name)) {
        visit(Name::Vm(&self.namespace, &self.instance));
    }

    fn is_index(_: &Name) -> bool {
        true
    }
}

impl Facts for PodFacts {
    fn names(&self, visit: &mut dyn FnMut(Name)) {
        visit(Name::Pod(&self.namespace, &self.name));
        unless_empty(&self.node_name, Name::PodsOn, visit);
        unless_empty(&self.created_by, Name::Uid, visit);
        match generated_prefix(&self.name) {
            // The domain says more than the name does.
            _ if !self.domain.is_empty() => visit(Name::Vm(&self.namespace, &self.domain)),
            Some(prefix) => visit(Name::PodPrefix(&self.namespace, prefix)),
            None => {}
        }
        for (_, claim) in &self.claims {
            visit(Name::Claim(&self.namespace, claim));
            if !self.has_ended() {
                visit(Name::Mount(&self.node_name, &self.namespace, claim));
            }
        }
    }

    fn is_index(name: &Name) -> bool {
        !matches!(name, Name::Pod(..))
    }

    /// Those that have not ended first: only so many are looked at.
    fn order(&self, other: &Self) -> Ordering {
        let ended = self.has_ended().cmp(&other.has_ended());
        let by_key = || (&self.namespace, &self.name).cmp(&(&other.namespace, &other.name));
        ended.then_with(by_key)
    }
}

/// Where pods cannot be listed, their samples stand for them.
impl Facts for PodSamples {
    fn names(&self, visit: &mut dyn FnMut(Name)) {
        visit(Name::Pod(&self.namespace, &self.name));
        unless_empty(&self.created_by, Name::Uid, visit);
        if let Some(prefix) = generated_prefix(&self.name) {
            visit(Name::PodPrefix(&self.namespace, prefix));
        }
    }

    fn is_index(name: &Name) -> bool {
        !matches!(name, Name::Pod(..))
    }

    fn is_same(&self, other: &Self) -> bool {
        let Self { namespace, name, created_by, last, incomplete, last_reported: _ } = self;
        (namespace, name, created_by) == (&other.namespace, &other.name, &other.created_by)
            && (last, incomplete) == (&other.last, &other.incomplete)
    }
}

impl Facts for ClaimFacts {
    fn names(&self, visit: &mut dyn FnMut(Name)) {
        visit(Name::Claim(&self.namespace, &self.name));
    }
}

/// Looked up by key, through the claim that it is bound to.
impl Facts for PersistentVolumeFacts {
    fn names(&self, visit: &mut dyn FnMut(Name)) {
        visit(Name::claim(&self.claim));
    }
}

impl Facts for LonghornFacts {
    fn names(&self, visit: &mut dyn FnMut(Name)) {
        visit(Name::Longhorn(&self.name));
    }

    fn is_index(_: &Name) -> bool {
        true
    }
}

impl Facts for Node {
    fn names(&self, visit: &mut dyn FnMut(Name)) {
        visit(Name::Node(&self.name));
    }
}

impl Facts for InstancetypeFacts {
    fn names(&self, visit: &mut dyn FnMut(Name)) {
        visit(Name::Instancetype(&self.namespace, &self.name));
    }
}

fn unless_empty<'a>(text: &'a str, name: impl Fn(&'a str) -> Name<'a>, visit: &mut dyn FnMut(Name)) {
    if !text.is_empty() {
        visit(name(text));
    }
}

//! Finds VMs, nodes and namespaces by a part of their names, for the suggestions of the search in the bar.

use std::collections::BTreeSet;

use super::Visible;

/// Names that are suggested.
const MOST: usize = 8;

/// What has a name that was found; of equally close names, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MatchKind {
    Namespace,
    Node,
    Vm,
}

/// A name that contains the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match<'a> {
    pub kind: MatchKind,
    /// Of a VM; empty for others.
    pub namespace: &'a str,
    pub name: &'a str,
}

/// How close a name is to the text, the closest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Closeness {
    Equal,
    Begins,
    Contains,
}

impl Closeness {
    fn of(name: &str, text: &str) -> Option<Self> {
        match name.find(text)? {
            0 if name.len() == text.len() => Some(Self::Equal),
            0 => Some(Self::Begins),
            _ => Some(Self::Contains),
        }
    }
}

/// Returns the names that a viewer may see and that contain the text, the closest first. Names of Kubernetes are in lower
/// case, so the case of the text does not matter.
pub fn search<'a>(visible: &'a Visible, text: &str) -> Vec<Match<'a>> {
    let text = text.trim().to_lowercase();
    if text.is_empty() {
        return Vec::new();
    }
    let vms = || visible.vms().iter().map(|vm| &vm.summary);
    let namespaces: BTreeSet<&str> = vms().map(|vm| vm.namespace.as_str()).collect();
    let nodes = vms().map(|vm| vm.node.as_str()).chain(visible.nodes().iter().map(|node| node.name.as_str()));
    let nodes: BTreeSet<&str> = nodes.collect();
    let places = namespaces.into_iter().map(|name| (MatchKind::Namespace, "", name));
    let places = places.chain(nodes.into_iter().map(|name| (MatchKind::Node, "", name)));
    let all = places.chain(vms().map(|vm| (MatchKind::Vm, vm.namespace.as_str(), vm.name.as_str())));
    let found =
        all.filter_map(|(kind, namespace, name)| Some((Closeness::of(name, &text)?, kind, name, namespace)));
    let mut found: Vec<_> = found.collect();
    found.sort_unstable();
    // A Wukong and a VirtualMachine may share a name.
    found.dedup();
    found.into_iter().take(MOST).map(|(_, kind, name, namespace)| Match { kind, namespace, name }).collect()
}

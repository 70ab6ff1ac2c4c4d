//! Finds the launcher pod that holds a VM's guest, for `join`. A name prefix alone is not a match, and two
//! live pods are never added up.

use hashbrown::{HashMap, HashSet};

use super::{
    observation::{InstanceFacts, PodFacts},
    state::{ClusterState, Objects, PodSamples},
};
use model::{reason::Reason, source::SourceId};

const LAUNCHER: &str = "virt-launcher-";
/// Characters that `generateName` is truncated to before five random ones are appended (`k8s.io/apiserver`
/// `names.SimpleNameGenerator`: 63 − 5).
const MAX_GENERATED_PREFIX: usize = 58;
const RANDOM_SUFFIX: usize = 5;

/// A launcher pod as `join` sees it: from the pod itself, or from its PodMetrics if pods cannot be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pod<'a> {
    pub uid: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub node: &'a str,
    pub created: Option<i64>,
    created_by: &'a str,
    domain: &'a str,
    ended: bool,
    /// Its phase is `Running`, also while it is being deleted: the pods of a drained node stay so until their
    /// guests have shut down.
    pub alive: bool,
    running: bool,
}

impl<'a> From<&'a PodFacts> for Pod<'a> {
    fn from(facts: &'a PodFacts) -> Self {
        Self {
            uid: &facts.uid,
            namespace: &facts.namespace,
            name: &facts.name,
            node: &facts.node_name,
            created: Some(facts.created),
            created_by: &facts.created_by,
            domain: &facts.domain,
            ended: facts.has_ended(),
            alive: facts.phase == "Running",
            running: facts.phase == "Running" && !facts.deleting,
        }
    }
}

impl<'a> From<&'a PodSamples> for Pod<'a> {
    fn from(facts: &'a PodSamples) -> Self {
        Self {
            uid: "",
            namespace: &facts.namespace,
            name: &facts.name,
            node: "",
            created: None,
            created_by: &facts.created_by,
            domain: "",
            ended: false,
            alive: true,
            running: true,
        }
    }
}

/// The VM whose pod is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct PodQuery<'a> {
    pub namespace: &'a str,
    pub vm_name: &'a str,
    pub instance: Option<&'a InstanceFacts>,
    /// The node that the Wukong names: the last criterion between two live pods.
    pub node: &'a str,
}

type ByNames<'a> = HashMap<(&'a str, &'a str), PodIndexes>;
/// Indexes into the list of all pods; usually one.
type PodIndexes = Vec<u32>;

/// Pods that are checked for one VM. A tenant can label thousands of pods as those of one VM, and name that
/// VM in thousands of Wukongs.
const MOST_PODS: usize = 64;

/// All launcher pods, indexed by everything that can tell which VM they belong to.
pub(super) struct Launchers<'a> {
    pods: Vec<Pod<'a>>,
    by_creator: ByNames<'a>,
    by_domain: ByNames<'a>,
    by_prefix: ByNames<'a>,
    instances: HashSet<&'a str>,
}

impl<'a> Launchers<'a> {
    pub fn of(state: &'a ClusterState) -> Self {
        let mut launchers = Self {
            pods: Vec::with_capacity(state.pods.len()),
            by_creator: HashMap::with_capacity(state.pods.len()),
            by_domain: HashMap::new(),
            by_prefix: HashMap::new(),
            instances: state.instances.values().map(|instance| instance.uid.as_str()).collect(),
        };
        state.pods.values().for_each(|facts| launchers.add(facts.as_ref().into()));
        let metrics = state.metrics.values().map(|samples| &**samples);
        metrics
            .filter(|facts| !state.listed(SourceId::Pods, &facts.namespace))
            .for_each(|facts| launchers.add(facts.into()));
        launchers
    }

    fn add(&mut self, pod: Pod<'a>) {
        let place = self.pods.len() as u32;
        self.pods.push(pod);
        let Self { pods, by_creator, by_domain, by_prefix, .. } = self;
        let put = |by_names: &mut ByNames<'a>, name| {
            admit(by_names.entry((pod.namespace, name)).or_default(), place, pods);
        };
        if !pod.created_by.is_empty() {
            put(by_creator, pod.created_by);
        }
        match generated_prefix(pod.name) {
            // The domain says more than the name does.
            _ if !pod.domain.is_empty() => put(by_domain, pod.domain),
            Some(prefix) => put(by_prefix, prefix),
            None => {}
        }
    }

    fn pods_at<'s>(&'s self, places: Option<&'s PodIndexes>) -> impl Iterator<Item = Pod<'a>> + 's {
        places.into_iter().flatten().map(|place| self.pods[*place as usize])
    }

    /// Returns the pod that holds the guest, or why there is none. `shared` tells whether another VM of the
    /// namespace has the same truncated name prefix.
    pub fn find(&self, query: PodQuery<'a>, shared: impl Fn(&str) -> bool) -> Result<Pod<'a>, Reason> {
        if let Some(pod) = self.by_uid(query) {
            return pod;
        }
        let key = (query.namespace, query.vm_name);
        let by_domain = self.without_others(self.by_domain.get(&key), query);
        if !by_domain.is_empty() {
            return choose(&by_domain, query);
        }
        let prefix = cut_prefix(query.vm_name);
        let by_name = self.without_others(self.by_prefix.get(&(query.namespace, prefix.as_str())), query);
        if !by_name.is_empty() && shared(&prefix) {
            return Err(Reason::AmbiguousPod);
        }
        choose(&by_name, query)
    }

    /// Finds the pod by the label `kubevirt.io/created-by`, the most reliable sign.
    fn by_uid(&self, query: PodQuery<'a>) -> Option<Result<Pod<'a>, Reason>> {
        let key = (query.namespace, query.instance?.uid.as_str());
        let own: Vec<_> = self.pods_at(self.by_creator.get(&key)).collect();
        (!own.is_empty()).then(|| choose(&own, query))
    }

    /// Leaves out pods whose label says that they belong to another instance.
    fn without_others(&self, places: Option<&PodIndexes>, query: PodQuery<'a>) -> Vec<Pod<'a>> {
        let others = |pod: &Pod| {
            !pod.created_by.is_empty()
                && (query.instance.is_some() || self.instances.contains(pod.created_by))
        };
        self.pods_at(places).filter(|pod| !others(pod)).collect()
    }
}

/// Adds a pod. If there are too many, a live pod replaces one that has ended.
fn admit(places: &mut PodIndexes, place: u32, pods: &[Pod<'_>]) {
    if places.len() < MOST_PODS {
        places.push(place);
    } else if !pods[place as usize].ended
        && let Some(ended) = places.iter_mut().find(|place| pods[**place as usize].ended)
    {
        *ended = place;
    }
}

/// Returns the pod that holds the guest, out of several.
fn choose<'a>(pods: &[Pod<'a>], query: PodQuery<'_>) -> Result<Pod<'a>, Reason> {
    let live: Vec<Pod<'a>> = pods.iter().copied().filter(|pod| !pod.ended).collect();
    match live.as_slice() {
        [] => Err(Reason::NoPod),
        [pod] => Ok(*pod),
        _ => query
            .instance
            .and_then(|instance| pod_of_instance(&live, instance))
            .or_else(|| only(&live, |pod| pod.running))
            .or_else(|| only(&live, |pod| !query.node.is_empty() && pod.node == query.node))
            .ok_or(Reason::TwoPods),
    }
}

/// Returns the pod that the instance points to: by `status.nodeName`, which changes to the target only when
/// the guest has moved, then by `activePods`, then by `migrationState`.
fn pod_of_instance<'a>(live: &[Pod<'a>], instance: &InstanceFacts) -> Option<Pod<'a>> {
    let node = instance.node_name.as_str();
    let active = |pod: &Pod| instance.active_pods.iter().any(|(uid, on)| uid == pod.uid && on == node);
    let migrated = instance.migration.as_ref().map_or("", |migration| {
        if migration.completed && !migration.failed { &migration.target_pod } else { &migration.source_pod }
    });
    only(live, |pod| !node.is_empty() && pod.node == node)
        .or_else(|| only(live, |pod| !node.is_empty() && active(pod)))
        .or_else(|| only(live, |pod| pod.name == migrated))
}

fn only<'a>(pods: &[Pod<'a>], holds: impl Fn(&Pod) -> bool) -> Option<Pod<'a>> {
    let mut matching = pods.iter().filter(|pod| holds(pod));
    matching.next().filter(|_| matching.next().is_none()).copied()
}

/// Returns the pod name prefix that Kubernetes derives from the VM's `generateName`, without the random
/// characters.
pub(super) fn cut_prefix(vm_name: &str) -> String {
    let mut prefix = format!("{LAUNCHER}{vm_name}-");
    let end = (0..=MAX_GENERATED_PREFIX.min(prefix.len())).rev().find(|at| prefix.is_char_boundary(*at));
    prefix.truncate(end.unwrap_or(0));
    prefix
}

/// Returns a launcher pod's name without its five random characters.
fn generated_prefix(name: &str) -> Option<&str> {
    let at = name.len().checked_sub(RANDOM_SUFFIX)?;
    if !name.is_char_boundary(at) || !name.starts_with(LAUNCHER) {
        return None;
    }
    let (prefix, suffix) = name.split_at(at);
    suffix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()).then_some(prefix)
}

/// Returns namespace and name of the claims that pods mount on a node: those that its kubelet can know. Any kubelet
/// could repeat all claims of the cluster.
pub(super) fn mounted_claims<'a>(pods: &'a Objects<PodFacts>, node: &str) -> HashSet<(&'a str, &'a str)> {
    let of_node = pods.values().filter(|pod| pod.node_name == node && !pod.has_ended());
    of_node.flat_map(|pod| pod.claims.iter().map(|(_, claim)| (&*pod.namespace, claim.as_str()))).collect()
}

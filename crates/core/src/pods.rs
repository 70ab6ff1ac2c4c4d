//! Finds the launcher pod that holds a VM's guest, for `join`. A name prefix alone is not a match, and two
//! live pods are never added up.

use hashbrown::HashSet;

use super::{
    dependencies::Dependencies,
    objects::Objects,
    observation::{InstanceFacts, PodFacts},
    state::{ClusterState, PodSamples},
    touched::Name,
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

/// Pods that are looked at for one VM, those that have not ended first. A tenant can label thousands of pods as
/// those of one VM.
const MOST_PODS: usize = 64;

impl ClusterState {
    /// Returns the pod that holds the guest, or why there is none. `shared` tells whether another VM of the
    /// namespace has the same truncated name prefix.
    pub(super) fn launcher<'a>(
        &'a self,
        query: PodQuery<'a>,
        shared: impl Fn(Name) -> bool,
        dependencies: &Dependencies,
    ) -> Result<Pod<'a>, Reason> {
        if let Some(pod) = self.launcher_by_uid(query, dependencies) {
            return pod;
        }
        let (namespace, vm_name) = (query.namespace, query.vm_name);
        let is_of_domain = |pod: &Pod| pod.domain == vm_name;
        let by_domain = self.pods_named(Name::Vm(namespace, vm_name), namespace, is_of_domain, dependencies);
        let by_domain = self.without_others(by_domain, query, dependencies);
        if !by_domain.is_empty() {
            return choose(&by_domain, query);
        }
        let prefix = cut_prefix(vm_name);
        let name = Name::PodPrefix(namespace, &prefix);
        let has_prefix = |pod: &Pod| pod.domain.is_empty() && generated_prefix(pod.name) == Some(&prefix);
        let by_name = self.pods_named(name, namespace, has_prefix, dependencies);
        let by_name = self.without_others(by_name, query, dependencies);
        if !by_name.is_empty() && shared(name) {
            return Err(Reason::AmbiguousPod);
        }
        choose(&by_name, query)
    }

    /// Returns the pods of this name that are in the namespace and fit.
    fn pods_named<'a>(
        &'a self,
        name: Name,
        namespace: &str,
        fits: impl Fn(&Pod<'a>) -> bool,
        dependencies: &Dependencies,
    ) -> Vec<Pod<'a>> {
        dependencies.note(name);
        let is_one = |pod: &Pod<'a>| pod.namespace == namespace && fits(pod);
        let listed = self.pods.named(name).iter().map(|facts| Pod::from(&**facts));
        let mut pods: Vec<Pod> = listed.filter(is_one).take(MOST_PODS).collect();
        if !self.listed(SourceId::Pods, namespace) {
            let sampled = self.metrics.named(name).iter().map(|samples| Pod::from(&**samples));
            pods.extend(sampled.filter(is_one).take(MOST_PODS));
        }
        pods
    }

    /// Finds the pod by the label `kubevirt.io/created-by`, the most reliable sign.
    fn launcher_by_uid<'a>(
        &'a self,
        query: PodQuery<'a>,
        dependencies: &Dependencies,
    ) -> Option<Result<Pod<'a>, Reason>> {
        let uid = query.instance?.uid.as_str();
        let is_own = |pod: &Pod| !uid.is_empty() && pod.created_by == uid;
        let own = self.pods_named(Name::Uid(uid), query.namespace, is_own, dependencies);
        (!own.is_empty()).then(|| choose(&own, query))
    }

    /// Leaves out pods whose label says that they belong to another instance.
    fn without_others<'a>(
        &self,
        mut pods: Vec<Pod<'a>>,
        query: PodQuery,
        dependencies: &Dependencies,
    ) -> Vec<Pod<'a>> {
        pods.retain(|pod| {
            pod.created_by.is_empty()
                || query.instance.is_none() && !self.has_instance(pod.created_by, dependencies)
        });
        pods
    }

    fn has_instance(&self, uid: &str, dependencies: &Dependencies) -> bool {
        let name = Name::Uid(uid);
        dependencies.note(name);
        self.instances.named(name).iter().any(|instance| instance.uid == uid)
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

/// Returns whether this is the name of a launcher pod with this generated prefix.
pub(super) fn is_generated_from(name: &str, prefix: &str) -> bool {
    generated_prefix(name) == Some(prefix)
}

/// Returns a launcher pod's name without its five random characters.
pub(super) fn generated_prefix(name: &str) -> Option<&str> {
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
    let of_node = pods.named(Name::PodsOn(node)).iter();
    let of_node = of_node.filter(|pod| pod.node_name == node && !pod.has_ended());
    of_node.flat_map(|pod| pod.claims.iter().map(|(_, claim)| (&*pod.namespace, claim.as_str()))).collect()
}

//! Finds the launcher pod that holds a VM's guest, for `join`. A name prefix alone is not a match, and two
//! live pods are never added up.

use super::{
    dependencies::Dependencies,
    observation::InstanceFacts,
    pod::Pod,
    pod_names::{cut_prefix, generated_prefix},
    state::ClusterState,
    touched::Name,
};
use model::{reason::Reason, source::SourceId};

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

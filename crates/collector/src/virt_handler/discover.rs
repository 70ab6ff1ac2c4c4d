//! Finds where KubeVirt is installed, and follows its virt-handler pods.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::Arc,
};

use tokio::{
    sync::{mpsc, watch as published},
    task::{AbortHandle, JoinSet},
};

use super::status::{Part, SourceReporter};
use crate::{
    client::Cluster,
    config::CollectConfig,
    error::source_error,
    kinds::{Kind, Kubevirt, Kubevirts, VirtHandler, VirtHandlers},
    observation_sender::Closed,
    watch::{self, Report, Reporter},
};
use i18n::msg;
use model::reason::Reason;
use wukong_core::observation::{Change, Key, SourceError};

/// Reports that wait to be taken.
const REPORTS: usize = 64;

/// An installation of KubeVirt whose virt-handler pods are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    pub namespace: Arc<str>,
    /// Where the virt-handler of each node serves metrics.
    pub addresses: Arc<HashMap<Box<str>, SocketAddr>>,
}

/// Follows the installation in this namespace, or the one that the KubeVirt object names, until nobody receives.
/// It is `None` until its pods were listed.
pub async fn follow(
    cluster: Cluster,
    config: CollectConfig,
    namespace: Option<String>,
    reporter: SourceReporter,
    found: published::Sender<Option<Installation>>,
) -> Result<(), Closed> {
    let (sender, mut reports) = mpsc::channel(REPORTS);
    let mut discovery =
        Discovery { tasks: JoinSet::new(), cluster, config, sender, reporter, found, pods: None };
    let mut kubevirts = Objects::default();
    match namespace {
        Some(namespace) => {
            discovery.reporter.set(Part::Kubevirt, Ok(())).await?;
            discovery.follow_pods(namespace.into());
        }
        None => drop(discovery.spawn::<Kubevirts>(None, DiscoveryReport::Kubevirt)),
    }
    while let Some(report) = reports.recv().await {
        match report {
            DiscoveryReport::Kubevirt(report) => {
                let state = kubevirts.take::<Kubevirts>(report);
                discovery.choose(&kubevirts, state).await?;
            }
            DiscoveryReport::Pods(namespace, report) => discovery.take_pods(&namespace, report).await?,
        }
    }
    Err(Closed)
}

/// What is reported about one of the two kinds of objects.
enum DiscoveryReport {
    Kubevirt(Report<Kubevirt>),
    /// The pods of this namespace.
    Pods(Arc<str>, Report<VirtHandler>),
}

struct Discovery {
    tasks: JoinSet<Result<(), Closed>>,
    cluster: Cluster,
    config: CollectConfig,
    sender: mpsc::Sender<DiscoveryReport>,
    reporter: SourceReporter,
    found: published::Sender<Option<Installation>>,
    pods: Option<FollowedPods>,
}

/// The pods that are followed.
struct FollowedPods {
    namespace: Arc<str>,
    objects: Objects<VirtHandler>,
    task: AbortHandle,
}

impl Discovery {
    fn spawn<K: Kind>(
        &mut self,
        namespace: Option<String>,
        wrap: impl Fn(Report<K::Facts>) -> DiscoveryReport + Send + Sync + 'static,
    ) -> AbortHandle {
        let reporter = DiscoveryReporter { sender: self.sender.clone(), wrap };
        self.tasks.spawn(watch::follow::<K, _>(
            self.cluster.clone(),
            namespace,
            self.config.clone(),
            reporter,
        ))
    }

    fn follow_pods(&mut self, namespace: Arc<str>) {
        let of = namespace.clone();
        let wrap = move |report| DiscoveryReport::Pods(of.clone(), report);
        let task = self.spawn::<VirtHandlers>(Some(namespace.to_string()), wrap);
        self.pods = Some(FollowedPods { namespace, objects: Objects::default(), task });
    }

    /// Follows the pods of the namespace that the KubeVirt objects name.
    async fn choose(
        &mut self,
        kubevirts: &Objects<Kubevirt>,
        state: Result<(), SourceError>,
    ) -> Result<(), Closed> {
        let Some(known) = &kubevirts.known else { return self.reporter.set(Part::Kubevirt, state).await };
        // While the objects cannot be read, the namespace that they named last stands.
        let chosen = choose(known.values());
        if let Ok(namespace) = &chosen
            && self.pods.as_ref().is_none_or(|pods| *pods.namespace != **namespace)
        {
            if let Some(pods) = self.pods.take() {
                pods.task.abort();
            }
            self.found.send_replace(None);
            self.reporter.forget_namespace();
            self.follow_pods((&**namespace).into());
        }
        self.reporter.set(Part::Kubevirt, state.and(chosen.map(drop))).await
    }

    async fn take_pods(&mut self, namespace: &str, report: Report<VirtHandler>) -> Result<(), Closed> {
        // A task that was aborted may have reported before.
        let Some(pods) = self.pods.as_mut().filter(|pods| *pods.namespace == *namespace) else {
            return Ok(());
        };
        let state = pods.objects.take::<VirtHandlers>(report);
        let Some(known) = &pods.objects.known else { return self.reporter.set(Part::Pods, state).await };
        let addresses = addresses(known.values());
        let found = if addresses.is_empty() { Err(no_pods(namespace)) } else { Ok(()) };
        let installation =
            Some(Installation { namespace: pods.namespace.clone(), addresses: addresses.into() });
        self.found.send_if_modified(|found| {
            let is_new = *found != installation;
            *found = installation;
            is_new
        });
        self.reporter.set(Part::Pods, state.and(found)).await
    }
}

/// Passes the reports about one kind of objects on.
struct DiscoveryReporter<F> {
    sender: mpsc::Sender<DiscoveryReport>,
    wrap: F,
}

impl<K: Kind, F: Fn(Report<K::Facts>) -> DiscoveryReport + Send + Sync> Reporter<K> for DiscoveryReporter<F> {
    fn source(&self) -> &'static str {
        K::PLURAL
    }

    async fn report(&self, _: Option<&str>, report: Report<K::Facts>) -> Result<(), Closed> {
        self.sender.send((self.wrap)(report)).await.map_err(|_| Closed)
    }
}

/// The objects of one kind.
struct Objects<T> {
    /// `None` until they are listed for the first time, which comes before every other change.
    known: Option<HashMap<Key, T>>,
    /// Why they cannot be read now.
    error: Option<SourceError>,
}

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self { known: None, error: None }
    }
}

impl<T> Objects<T> {
    /// Takes a report. Fails if the objects cannot be read now. Objects of an API that is not served do not
    /// exist.
    fn take<K: Kind<Facts = T>>(&mut self, report: Report<T>) -> Result<(), SourceError> {
        match report {
            Report::Failed(error) => {
                if error.reason == Reason::ApiAbsent {
                    self.known = None;
                }
                self.error = Some(error);
            }
            // The log has them: there are never that many of these objects.
            Report::Omitted(_) => {}
            Report::Alive(_) => self.error = None,
            Report::Changed(change) => {
                self.error = None;
                let known = self.known.get_or_insert_default();
                match change {
                    Change::Replaced { items, .. } => {
                        *known = items.into_iter().map(|item| (K::key(&item), item)).collect();
                    }
                    Change::Applied { item, .. } => drop(known.insert(K::key(&item), item)),
                    Change::Deleted { key, .. } => drop(known.remove(&key)),
                }
            }
        }
        self.error.clone().map_or(Ok(()), Err)
    }
}

/// The namespace of KubeVirt. If there are KubeVirt objects in several, that of the one that is installed.
fn choose<'a>(kubevirts: impl Iterator<Item = &'a Kubevirt> + Clone) -> Result<String, SourceError> {
    let namespaces = |all: &mut dyn Iterator<Item = &'a Kubevirt>| -> BTreeSet<&'a str> {
        all.map(|of| of.namespace.as_str()).collect()
    };
    let all = namespaces(&mut kubevirts.clone());
    let deployed = namespaces(&mut kubevirts.filter(|of| of.is_deployed));
    let only = |of: &BTreeSet<&str>| of.first().filter(|_| of.len() == 1).map(|&only| only.to_owned());
    match only(&all).or_else(|| only(&deployed)) {
        Some(namespace) => Ok(namespace),
        None if all.is_empty() => Err(source_error(Reason::ApiAbsent, msg!(collect.no_kubevirt))),
        None => {
            let namespaces = all.into_iter().take(5).collect::<Vec<_>>().join(", ");
            Err(source_error(Reason::NotConfigured, msg!(collect.two_kubevirts, namespaces = namespaces)))
        }
    }
}

/// The addresses of virt-handlers by node. Of two pods of one node the one counts that is not being deleted, then
/// the newer one. Pods that KubeVirt's DaemonSet does not control are not believed.
fn addresses<'a>(pods: impl Iterator<Item = &'a VirtHandler>) -> HashMap<Box<str>, SocketAddr> {
    let mut newest: HashMap<&str, (&VirtHandler, SocketAddr)> = HashMap::new();
    for pod in pods.filter(|pod| pod.is_owned && !pod.node.is_empty()) {
        let Some(address) = pod.address else { continue };
        let rank = |pod: &VirtHandler| (!pod.deleting, pod.created, pod.name.clone());
        match newest.get(&*pod.node) {
            Some((known, _)) if rank(known) > rank(pod) => {}
            _ => drop(newest.insert(&pod.node, (pod, address))),
        }
    }
    newest.into_iter().map(|(node, (_, address))| (node.into(), address)).collect()
}

fn no_pods(namespace: &str) -> SourceError {
    source_error(Reason::Unreachable, msg!(collect.no_handlers, namespace = namespace))
}

#[cfg(test)]
mod tests {
    use super::*;
    use i18n::Render;

    fn kubevirt(namespace: &str, is_deployed: bool) -> Kubevirt {
        Kubevirt { namespace: namespace.into(), name: "kubevirt".into(), is_deployed }
    }

    fn chosen(kubevirts: &[Kubevirt]) -> Result<String, (Reason, String)> {
        choose(kubevirts.iter()).map_err(|error| (error.reason, error.detail.english()))
    }

    #[test]
    fn kubevirt_is_where_its_object_is() {
        let (here, there) = (kubevirt("kubevirt", true), kubevirt("tenant", false));
        assert_eq!(chosen(&[kubevirt("openshift-cnv", false)]), Ok("openshift-cnv".into()));
        assert_eq!(
            chosen(&[there.clone(), here.clone()]),
            Ok("kubevirt".into()),
            "the one that is installed"
        );
        assert_eq!(chosen(&[]).unwrap_err().0, Reason::ApiAbsent);
        let (reason, words) = chosen(&[here, kubevirt("tenant", true)]).unwrap_err();
        assert_eq!(reason, Reason::NotConfigured);
        assert!(words.contains("kubevirt, tenant") && words.contains("--kubevirt-namespace"), "{words}");
    }

    fn pod(name: &str, node: &str, address: u16) -> VirtHandler {
        VirtHandler {
            namespace: "kubevirt".into(),
            name: name.into(),
            node: node.into(),
            address: Some(([10, 0, 0, 1], address).into()),
            is_owned: true,
            deleting: false,
            created: 5,
        }
    }

    #[test]
    fn each_node_has_one_virt_handler_and_no_pretender() {
        let pods = [
            VirtHandler { deleting: true, created: 9, ..pod("a", "n1", 1) },
            pod("b", "n1", 2),
            VirtHandler { is_owned: false, created: 9, ..pod("c", "n1", 3) },
            VirtHandler { created: 4, ..pod("d", "n1", 4) },
            VirtHandler { is_owned: false, ..pod("e", "n2", 5) },
            VirtHandler { address: None, ..pod("f", "n3", 6) },
            pod("g", "", 7),
            VirtHandler { deleting: true, ..pod("h", "n4", 8) },
        ];
        for pods in [pods.iter().collect::<Vec<_>>(), pods.iter().rev().collect()] {
            let found = addresses(pods.into_iter());
            let mut found: Vec<_> = found.iter().map(|(node, address)| (&**node, address.port())).collect();
            found.sort_unstable();
            assert_eq!(found, [("n1", 2), ("n4", 8)]);
        }
    }
}

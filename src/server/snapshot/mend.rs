//! What a person can do about a missing figure: commands and sentences, names filled in.

use crate::model::{reason::Reason, source::SourceId};

/// The mend of a source that fails as a whole.
pub(super) fn source(id: SourceId, reason: Reason) -> String {
    match reason {
        Reason::Forbidden if matches!(id, SourceId::Prometheus | SourceId::Ceph) => {
            "Look at the credentials that the dashboard was given, and at what they may read.".to_owned()
        }
        Reason::Forbidden => {
            format!("Allow the dashboard's service account to {}: {}", id.permission(), grant(id))
        }
        Reason::ApiAbsent => absent(id).to_owned(),
        Reason::TimedOut | Reason::Unreachable => unreachable(id).to_owned(),
        Reason::BadAnswer => format!("See what it answers: {}", ask(id)),
        _ => String::new(),
    }
}

/// How a source is asked that is not.
pub(super) fn configure(id: SourceId) -> &'static str {
    match id {
        SourceId::Prometheus => "Say where it is: --prometheus-url (WUKONG_PROMETHEUS_URL).",
        SourceId::Ceph => "Say where its dashboard is: --ceph-url (WUKONG_CEPH_URL).",
        _ => "Name it in --disk-sources (WUKONG_DISK_SOURCES).",
    }
}

/// The smallest tier of permissions that has it.
fn grant(id: SourceId) -> &'static str {
    match id {
        SourceId::Kubelet => {
            "kubectl apply -f deploy/nodes-stats/rbac.yaml -f deploy/nodes-stats/networkpolicy.yaml"
        }
        _ => "kubectl apply -f deploy/cluster/rbac.yaml",
    }
}

fn absent(id: SourceId) -> &'static str {
    match id {
        SourceId::Wukongs => {
            "Install the Wukong operator's CustomResourceDefinition; KubeVirt VMs show without it."
        }
        SourceId::VirtualMachines | SourceId::Instances => {
            "Install KubeVirt, or look why its CRDs are gone: kubectl get crd | grep kubevirt.io"
        }
        SourceId::PodMetrics => {
            "Install metrics-server, or look why it is gone: kubectl get apiservice v1beta1.metrics.k8s.io"
        }
        _ => "Look why the API is gone: kubectl api-resources",
    }
}

fn unreachable(id: SourceId) -> &'static str {
    match id {
        SourceId::PodMetrics => {
            "Look at metrics-server: kubectl -n kube-system get pods -l k8s-app=metrics-server"
        }
        SourceId::Kubelet => "Look at the nodes that do not answer: kubectl get nodes; is port 10250 open?",
        SourceId::Prometheus => {
            "Look at Prometheus: is --prometheus-url right, and can this dashboard reach it?"
        }
        SourceId::Ceph => "Look at ceph-mgr's dashboard: ceph mgr services; is --ceph-url right?",
        SourceId::GuestAgent => "Look at KubeVirt's API: kubectl get apiservice v1.subresources.kubevirt.io",
        _ => "Look at the API server: kubectl get --raw /readyz?verbose",
    }
}

fn ask(id: SourceId) -> &'static str {
    match id {
        SourceId::PodMetrics => "kubectl get --raw /apis/metrics.k8s.io/v1beta1/pods",
        SourceId::Kubelet => "kubectl get --raw /api/v1/nodes/NODE/proxy/stats/summary",
        _ => "kubectl api-resources",
    }
}

/// The mend of one VM's figure.
pub(super) fn figure(reason: Reason, namespace: &str, name: &str, node: &str) -> String {
    match reason {
        Reason::NoPod | Reason::TwoPods | Reason::AmbiguousPod => {
            format!("kubectl -n {namespace} get pods -l kubevirt.io=virt-launcher")
        }
        Reason::NoVmName => format!("kubectl -n {namespace} describe wukong {name}"),
        Reason::NoAllocation => format!("kubectl -n {namespace} get wukong {name} -o yaml"),
        Reason::TooNew => "Wait for two samples, half a minute as a rule.".to_owned(),
        Reason::NotReported if !node.is_empty() => {
            format!("kubectl get --raw /api/v1/nodes/{node}/proxy/stats/summary")
        }
        Reason::BlockVolume | Reason::AgentOff => {
            "Only the guest can tell: install qemu-guest-agent in it, or use a file system volume.".to_owned()
        }
        Reason::Hugepages => {
            "Say where Prometheus is (--prometheus-url): the guest's own memory is there.".to_owned()
        }
        _ => String::new(),
    }
}

/// The mend of a guest whose agent fails.
pub(super) fn guest(reason: Reason, namespace: &str, name: &str) -> String {
    match reason {
        Reason::Forbidden => source(SourceId::GuestAgent, reason),
        _ => format!("Look at the agent: kubectl -n {namespace} get virtualmachineinstance {name} -o yaml"),
    }
}

/// The mend of a volume whose kubelet fails.
pub(super) fn kubelet(reason: Reason, node: &str) -> String {
    match reason {
        Reason::Forbidden => source(SourceId::Kubelet, reason),
        _ => format!("Look at {node}: kubectl get --raw /api/v1/nodes/{node}/proxy/stats/summary"),
    }
}

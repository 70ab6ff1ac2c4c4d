//! KubeVirt's own objects: the KubeVirt, which says where KubeVirt is installed, and its virt-handler pods.

use std::net::{IpAddr, SocketAddr};

use super::{Kind, created, texts};
use crate::k8s::{
    core::{PodSpec, PodStatus},
    kubevirt::KubevirtStatus,
    meta::{Metadata, Nothing, Object},
};
use model::Millis;
use wukong_core::observation::Key;

/// The label and the DaemonSet of virt-handler pods (`pkg/virt-operator/resource/generate/components` of KubeVirt).
const VIRT_HANDLER: &str = "virt-handler";
/// The name of the container port that serves metrics, and its number unless the pod says otherwise.
const METRICS_PORT: (&str, u16) = ("metrics", 8443);

/// KubeVirt objects. A cluster has one.
#[derive(Clone, Debug)]
pub struct Kubevirts;

/// What is kept of a KubeVirt object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubevirt {
    pub namespace: String,
    pub name: String,
    /// Whether KubeVirt is installed, and not only ordered or removed.
    pub is_deployed: bool,
}

impl Kind for Kubevirts {
    const GROUP: &'static str = "kubevirt.io";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "kubevirts";

    type Spec = Nothing;
    type Status = KubevirtStatus;
    type Facts = Kubevirt;

    fn facts(object: Object<Nothing, KubevirtStatus>) -> Kubevirt {
        let Metadata { namespace, name, .. } = object.metadata.0;
        Kubevirt { namespace: namespace.0, name: name.0, is_deployed: &*object.status.phase == "Deployed" }
    }

    fn weight(facts: &Kubevirt) -> usize {
        size_of::<Kubevirt>() + texts(&[&facts.namespace, &facts.name])
    }

    fn key(facts: &Kubevirt) -> Key {
        Key::new(&facts.namespace, &facts.name)
    }
}

/// virt-handler pods.
#[derive(Clone, Debug)]
pub struct VirtHandlers;

/// What is kept of a virt-handler pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtHandler {
    pub namespace: String,
    pub name: String,
    pub node: String,
    /// Where it serves metrics; `None` while it has no address, or does not run.
    pub address: Option<SocketAddr>,
    /// Whether KubeVirt's DaemonSet controls the pod. Anyone who may create pods may give them its label.
    pub is_owned: bool,
    pub deleting: bool,
    pub created: Millis,
}

impl Kind for VirtHandlers {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "pods";
    const LABELS: Option<&'static str> = Some("kubevirt.io=virt-handler");

    type Spec = PodSpec;
    type Status = PodStatus;
    type Facts = VirtHandler;

    fn facts(object: Object<PodSpec, PodStatus>) -> VirtHandler {
        let (meta, spec, status) = (object.metadata.0, object.spec.0, object.status.0);
        let ip: Option<IpAddr> = status.pod_ip.0.parse().ok().filter(|_| &*status.phase == "Running");
        let port = port(&spec);
        VirtHandler {
            address: ip.map(|ip| SocketAddr::new(ip, port)),
            is_owned: is_owned(&meta),
            created: created(&meta.creation_timestamp),
            deleting: !meta.deletion_timestamp.is_empty(),
            namespace: meta.namespace.0,
            name: meta.name.0,
            node: spec.node_name.0,
        }
    }

    fn weight(facts: &VirtHandler) -> usize {
        size_of::<VirtHandler>() + texts(&[&facts.namespace, &facts.name, &facts.node])
    }

    fn key(facts: &VirtHandler) -> Key {
        Key::new(&facts.namespace, &facts.name)
    }
}

fn is_owned(meta: &Metadata) -> bool {
    meta.owner_references.iter().any(|owner| {
        let of = (&*owner.api_version, &*owner.kind, &*owner.name);
        owner.controller.0 && of == ("apps/v1", "DaemonSet", VIRT_HANDLER)
    })
}

fn port(spec: &PodSpec) -> u16 {
    let (name, usual) = METRICS_PORT;
    let mut ports = spec.containers.iter().flat_map(|container| container.ports.iter());
    let named = ports.find(|port| &*port.name == name);
    named.and_then(|port| port.container_port.0?.try_into().ok()).filter(|port| *port > 0).unwrap_or(usual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::read;

    const OWNER: &str = r#"{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "virt-handler", "uid": "u", "controller": true}"#;

    fn pod(owner: &str, phase: &str, ip: &str, ports: &str) -> VirtHandler {
        let json = format!(
            r#"{{"metadata": {{"name": "virt-handler-x", "namespace": "kubevirt", "ownerReferences": [{owner}]}},
                "spec": {{"nodeName": "n1", "containers": [{{"name": "virt-handler", "ports": [{ports}]}}]}},
                "status": {{"phase": "{phase}", "podIP": "{ip}", "hostIP": "10.0.0.1"}}}}"#
        );
        read::<VirtHandlers>(&json).unwrap()
    }

    fn address(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn the_address_is_that_of_the_metrics_port() {
        let metrics =
            r#"{"name": "vmstats", "containerPort": 8187}, {"name": "metrics", "containerPort": 9443}"#;
        for (phase, ip, ports, want) in [
            ("Running", "10.244.1.7", metrics, address("10.244.1.7:9443")),
            ("Running", "10.244.1.7", "", address("10.244.1.7:8443")),
            ("Running", "fd00::7", "", address("[fd00::7]:8443")),
            (
                "Running",
                "10.244.1.7",
                r#"{"name": "metrics", "containerPort": 0}"#,
                address("10.244.1.7:8443"),
            ),
            (
                "Running",
                "10.244.1.7",
                r#"{"name": "metrics", "containerPort": 70000}"#,
                address("10.244.1.7:8443"),
            ),
            ("Running", "", "", None),
            ("Running", "evil.example/x", "", None),
            ("Pending", "10.244.1.7", "", None),
            ("Failed", "10.244.1.7", "", None),
        ] {
            assert_eq!(pod(OWNER, phase, ip, ports).address, want, "{phase} {ip} {ports}");
        }
    }

    #[test]
    fn only_the_daemon_set_of_kubevirt_owns_a_virt_handler() {
        for (owner, want) in [
            (OWNER.to_owned(), true),
            (OWNER.replace("true", "false"), false),
            (OWNER.replace("DaemonSet", "ReplicaSet"), false),
            (OWNER.replace("apps/v1", "evil.example/v1"), false),
            (OWNER.replace("virt-handler", "virt-handler-2"), false),
            (String::new(), false),
        ] {
            assert_eq!(pod(&owner, "Running", "10.0.0.1", "").is_owned, want, "{owner}");
        }
    }

    #[test]
    fn a_kubevirt_object_says_whether_it_is_installed() {
        let json = |phase: &str| {
            format!(
                r#"{{"metadata": {{"name": "kubevirt", "namespace": "openshift-cnv"}}, "status": {{"phase": "{phase}"}}}}"#
            )
        };
        let deployed = read::<Kubevirts>(&json("Deployed")).unwrap();
        assert_eq!((deployed.namespace.as_str(), deployed.is_deployed), ("openshift-cnv", true));
        assert!(!read::<Kubevirts>(&json("Deleting")).unwrap().is_deployed);
    }
}

//! KubeVirt as its operator leaves it in a cluster, as far as virt-handlers are found and trusted: the KubeVirt object, the
//! DaemonSet, and the authority in the ConfigMap `kubevirt-ca`.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    control_plane::ControlPlane,
    pki::{Authority, Pair},
};

pub const NAMESPACE: &str = "kubevirt";
const SERVED: Duration = Duration::from_secs(30);

pub struct Kubevirt {
    authority: Authority,
    /// uid of the DaemonSet.
    owner: Value,
}

impl Kubevirt {
    pub async fn install(plane: &ControlPlane) -> Self {
        let authority = Authority::new();
        plane.api.create(&crd()).await;
        plane.served("/apis/kubevirt.io/v1/kubevirts", SERVED).await;
        for object in [
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "kubevirt-ca", "namespace": NAMESPACE},
                "data": {"ca-bundle": authority.pem()}}),
            json!({"apiVersion": "kubevirt.io/v1", "kind": "KubeVirt",
                "metadata": {"name": "kubevirt", "namespace": NAMESPACE}, "spec": {},
                "status": {"phase": "Deployed"}}),
        ] {
            plane.api.create(&object).await;
        }
        let stored = plane.api.create(&daemon_set()).await;
        Self { authority, owner: stored["metadata"]["uid"].clone() }
    }

    /// A certificate as KubeVirt's operator makes it for all virt-handlers: it names their Service, and no address.
    pub fn certificate(&self) -> Pair {
        certificate(&self.authority)
    }

    /// The owner of a pod of the DaemonSet.
    pub fn owner(&self) -> Value {
        json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "virt-handler", "uid": self.owner,
            "controller": true, "blockOwnerDeletion": true}])
    }
}

/// The same, by any authority.
pub fn certificate(authority: &Authority) -> Pair {
    let service = format!("virt-handler.{NAMESPACE}");
    let names = ["virt-handler".to_owned(), service.clone(), format!("{service}.svc")];
    authority.issue("kubevirt.io:system:node:virt-handler", None, &names)
}

/// Every field is kept, none is checked.
fn crd() -> Value {
    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"type": "object", "properties": {"spec": any, "status": any}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "kubevirts.kubevirt.io"},
        "spec": {"group": "kubevirt.io", "scope": "Namespaced",
            "names": {"kind": "KubeVirt", "listKind": "KubeVirtList", "plural": "kubevirts",
                "singular": "kubevirt"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": schema}}]}})
}

fn daemon_set() -> Value {
    let labels = json!({"kubevirt.io": "virt-handler"});
    let container = json!({"name": "virt-handler", "image": "quay.io/kubevirt/virt-handler"});
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "virt-handler", "namespace": NAMESPACE, "labels": labels},
        "spec": {"selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}}})
}

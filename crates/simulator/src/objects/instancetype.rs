//! An instance type, in the form of KubeVirt's common-instancetypes.

use serde_json::{Value, json};

use crate::{clock::rfc3339, guest::Guest, rng};

/// Returns the instance type with the size of the first guest that names it.
pub fn instancetype(name: &str, guest: &Guest) -> Value {
    json!({
        "apiVersion": "instancetype.kubevirt.io/v1beta1", "kind": "VirtualMachineClusterInstancetype",
        "metadata": {
            "name": name, "uid": rng::uid(0, &["instancetype", name]), "generation": 1,
            "creationTimestamp": rfc3339(guest.created),
            "labels": {"app.kubernetes.io/name": "common-instancetypes", "instancetype.kubevirt.io/vendor": "kubevirt.io"},
            "annotations": {"instancetype.kubevirt.io/displayName": "General Purpose"},
        },
        "spec": {"cpu": {"guest": guest.cpu, "maxSockets": 4}, "memory": {"guest": guest.memory}},
    })
}

//! The fields of `metadata` that are used, and the common shape of watched objects.

use serde::Deserialize;

use super::{
    lenient::{Amount, Flag, Identifier, List, Obj},
    rbac::{MOST_SUBJECTS, RoleRef, Subject},
};

/// A watched object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "S: Deserialize<'de> + Default, T: Deserialize<'de> + Default"))]
pub struct Object<S, T> {
    pub metadata: Obj<Metadata>,
    pub spec: Obj<S>,
    pub status: Obj<T>,
    /// Of RoleBindings and ClusterRoleBindings, which have no spec.
    #[serde(rename = "roleRef")]
    pub role_ref: Obj<RoleRef>,
    pub subjects: List<Subject, MOST_SUBJECTS>,
}

/// A spec or status that is not used.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Nothing {}

/// The `metadata` of an object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata {
    pub name: Identifier,
    pub namespace: Identifier,
    pub uid: Identifier,
    pub resource_version: Identifier,
    /// Increases with each change of the spec.
    pub generation: Amount,
    pub creation_timestamp: Identifier,
    /// Set while the object is being deleted.
    pub deletion_timestamp: Identifier,
    pub labels: Obj<Labels>,
    pub annotations: Obj<Annotations>,
    pub owner_references: List<Owner>,
}

/// The labels that are used.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Labels {
    /// The VMI's uid, on launcher pods and on the PodMetrics that carry over their labels.
    #[serde(rename = "kubevirt.io/created-by")]
    pub created_by: Identifier,
    /// Set on nodes that KubeVirt manages: `true` if VMs may be scheduled there.
    #[serde(rename = "kubevirt.io/schedulable")]
    pub schedulable: Identifier,
}

/// The annotations that are used.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Annotations {
    /// The VMI's name, on launcher pods.
    #[serde(rename = "kubevirt.io/domain")]
    pub domain: Identifier,
    /// The provisioner that created a PersistentVolume.
    #[serde(rename = "pv.kubernetes.io/provisioned-by")]
    pub provisioned_by: Identifier,
    /// The provisioner that is to create a claim's volume; the second field is the annotation's older name.
    #[serde(rename = "volume.kubernetes.io/storage-provisioner")]
    pub storage_provisioner: Identifier,
    #[serde(rename = "volume.beta.kubernetes.io/storage-provisioner")]
    pub storage_provisioner_beta: Identifier,
}

/// An owner reference.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Owner {
    pub api_version: Identifier,
    pub kind: Identifier,
    pub name: Identifier,
    pub uid: Identifier,
    pub controller: Flag,
}

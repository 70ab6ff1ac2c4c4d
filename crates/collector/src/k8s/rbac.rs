//! `rbac.authorization.k8s.io/v1` RoleBinding and ClusterRoleBinding: what they grant, and whom they
//! name.

use serde::Deserialize;

use super::lenient::Identifier;

/// The number of subjects of one binding that are read.
pub const MOST_SUBJECTS: usize = 1024;

/// The role that a binding grants. It never changes; a binding to another role is another binding.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RoleRef {
    pub kind: Identifier,
    pub name: Identifier,
}

/// A user, a group or a service account.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Subject {
    pub kind: Identifier,
    pub name: Identifier,
    /// Of a service account only.
    pub namespace: Identifier,
}

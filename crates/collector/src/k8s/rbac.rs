//! `rbac.authorization.k8s.io/v1` RoleBinding and ClusterRoleBinding: whom they name.

use serde::Deserialize;

use super::lenient::Identifier;

/// The number of subjects of one binding that are read.
pub const MOST_SUBJECTS: usize = 1024;

/// A user, a group or a service account.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Subject {
    pub kind: Identifier,
    pub name: Identifier,
    /// Of a service account only.
    pub namespace: Identifier,
}

//! The REST API of a ceph-mgr's dashboard: the fields of RBD images that are used.

use serde::Deserialize;

use super::lenient::{Amount, Bounded, Identifier, Names, Obj, nullable};

/// The answer to a login.
#[derive(Deserialize)]
pub struct Login {
    pub token: String,
}

/// The answer to a list of images, by pool. Requests name one pool each.
pub type Pools = Bounded<PoolImages, 4>;

/// The images of one pool, an element of the list's answer. Without `value` it is refused, not treated as
/// empty.
#[derive(Deserialize)]
pub struct PoolImages {
    #[serde(deserialize_with = "nullable::<_, _, 10_000>")]
    pub value: Vec<Obj<RbdImage>>,
}

/// An RBD image. It takes 6 kB in an answer, most of it configuration.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RbdImage {
    pub name: Identifier,
    pub pool_name: Identifier,
    pub namespace: Identifier,
    pub size: Amount,
    pub total_disk_usage: Amount,
    /// Empty if not reported.
    pub features_name: Names<16>,
    /// Only `snapshot` is used: `journal` may be set for an image that is not mirrored.
    pub mirror_mode: Identifier,
}

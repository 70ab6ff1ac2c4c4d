//! The REST API of a ceph-mgr's dashboard, as far as RBD images go.

use serde::Deserialize;

use super::lenient::{Amount, Bounded, Identifier, Names, Obj, nullable};

/// The answer to a login.
#[derive(Deserialize)]
pub struct Login {
    pub token: String,
}

/// One pool is asked for at a time.
pub type Pools = Bounded<PoolImages, 4>;

/// The images of one pool: an element of the list's answer. Without them it is refused, not taken for an empty one.
#[derive(Deserialize)]
pub struct PoolImages {
    #[serde(deserialize_with = "nullable::<_, _, 10_000>")]
    pub value: Vec<Obj<RbdImage>>,
}

/// An image is 6 kB, most of it its configuration.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RbdImage {
    pub name: Identifier,
    pub pool_name: Identifier,
    pub namespace: Identifier,
    pub size: Amount,
    pub total_disk_usage: Amount,
    /// Empty where it is not told.
    pub features_name: Names<16>,
    /// `snapshot`, or anything else: `journal` may stand at an image that is not mirrored.
    pub mirror_mode: Identifier,
}

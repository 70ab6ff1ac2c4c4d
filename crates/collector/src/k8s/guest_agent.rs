//! `subresources.kubevirt.io/v1` `virtualmachineinstances/{name}/filesystemlist`: what the guest's agent says.

use serde::Deserialize;

use super::lenient::{Identifier, List, Obj, ReadableText, Scalar, nullable};

/// An answer without `items` is no list: it is refused, not taken for an empty one.
#[derive(Clone, Debug, Deserialize)]
pub struct FilesystemList {
    #[serde(deserialize_with = "nullable::<_, _, 4096>")]
    pub items: Vec<Obj<Filesystem>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Filesystem {
    /// By it file systems that lie on one device are told.
    pub disk_name: Identifier,
    /// Whole: mount points are compared.
    pub mount_point: ReadableText<4096>,
    pub file_system_type: ReadableText,
    /// 0 where the agent does not say: those of before QEMU 3.1 never do, later ones not of what is not mounted.
    pub used_bytes: Scalar,
    pub total_bytes: Scalar,
    /// Absent before KubeVirt 1.2, and of what is no disk. Windows lists a disk once for each extent of a volume.
    pub disk: List<DiskOfGuest, 64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DiskOfGuest {
    pub serial: Identifier,
}

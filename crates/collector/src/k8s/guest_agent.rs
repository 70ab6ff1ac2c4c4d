//! `subresources.kubevirt.io/v1` `virtualmachineinstances/{name}/filesystemlist`: the guest agent's file
//! systems.

use serde::Deserialize;

use super::lenient::{Identifier, List, Obj, ReadableText, Scalar, nullable};

/// The list of file systems. An answer without `items` is refused, not treated as an empty list.
#[derive(Clone, Debug, Deserialize)]
pub struct FilesystemList {
    #[serde(deserialize_with = "nullable::<_, _, 4096>")]
    pub items: Vec<Obj<Filesystem>>,
}

/// A file system of the guest.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Filesystem {
    /// The device; file systems on one device have the same.
    pub disk_name: Identifier,
    /// Kept whole, since mount points are compared.
    pub mount_point: ReadableText<4096>,
    pub file_system_type: ReadableText,
    /// 0 if the agent does not report it: agents before QEMU 3.1 never do, later ones not for what is not
    /// mounted.
    pub used_bytes: Scalar,
    pub total_bytes: Scalar,
    /// Absent before KubeVirt 1.2, and if the device is no disk. Windows lists a disk once for each extent of
    /// a volume.
    pub disk: List<DiskOfGuest, 64>,
}

/// A disk that a file system is on.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DiskOfGuest {
    pub serial: Identifier,
}

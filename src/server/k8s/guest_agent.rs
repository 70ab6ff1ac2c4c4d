//! `subresources.kubevirt.io/v1` `virtualmachineinstances/{name}/filesystemlist`: what the guest's agent says.

use serde::Deserialize;

use super::lenient::{List, Obj, Scalar, Text, nullable};

/// An answer without `items` is no list: it is refused, not taken for an empty one.
#[derive(Clone, Debug, Deserialize)]
pub struct FilesystemList {
    #[serde(deserialize_with = "nullable")]
    pub items: Vec<Obj<Filesystem>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Filesystem {
    pub disk_name: Text,
    pub mount_point: Text,
    pub file_system_type: Text,
    /// 0 where the agent does not say: those of before QEMU 3.1 do not.
    pub used_bytes: Scalar,
    pub total_bytes: Scalar,
    /// Absent in KubeVirt versions that do not pass it on.
    pub disk: List<DiskOfGuest>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DiskOfGuest {
    pub serial: Text,
}

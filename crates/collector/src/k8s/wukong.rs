//! `wukongs.vm.novasphere.dev/v1alpha1`.

use serde::Deserialize;

use super::{
    kubevirt::MOST_DISKS,
    lenient::{Flag, Identifier, List, Obj, ReadableText, Scalar},
};

/// The spec of a Wukong.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WukongSpec {
    pub cpu: Scalar,
    pub memory: Scalar,
    pub os_image: ReadableText,
    pub networks: List<NetworkSpec>,
    pub disks: List<DiskSpec, MOST_DISKS>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NetworkSpec {
    /// The key that the network's status is found by.
    pub name: Identifier,
    /// `bridge`, `macvlan`, `sriov`, `ovs`.
    pub r#type: ReadableText,
    pub ip_config: Obj<IpConfig>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct IpConfig {
    /// `static` or `dhcp`.
    pub mode: ReadableText,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DiskSpec {
    pub name: ReadableText,
    pub size: Scalar,
    pub storage_class_name: ReadableText,
    pub boot: Flag,
    pub image: ReadableText,
}

/// The status of a Wukong.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WukongStatus {
    /// `Pending`, `Creating`, `Running`, `Stopped`, `Error`.
    pub phase: Identifier,
    pub vm_name: Identifier,
    pub node_name: Identifier,
    pub networks: List<NetworkStatus>,
    pub volumes: List<VolumeStatus, MOST_DISKS>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NetworkStatus {
    pub name: Identifier,
    pub interface: ReadableText,
    pub ip_address: ReadableText,
    pub mac_address: ReadableText,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VolumeStatus {
    pub name: ReadableText,
    pub pvc_name: Identifier,
    pub size: Scalar,
}

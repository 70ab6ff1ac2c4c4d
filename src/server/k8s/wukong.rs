//! `wukongs.vm.novasphere.dev/v1alpha1`.

use serde::Deserialize;

use super::lenient::{Flag, List, Obj, Scalar, Text};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WukongSpec {
    pub cpu: Scalar,
    pub memory: Scalar,
    pub os_image: Text,
    pub networks: List<NetworkSpec>,
    pub disks: List<DiskSpec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NetworkSpec {
    pub name: Text,
    /// `bridge`, `macvlan`, `sriov`, `ovs`.
    pub r#type: Text,
    pub ip_config: Obj<IpConfig>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct IpConfig {
    /// `static` or `dhcp`.
    pub mode: Text,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DiskSpec {
    pub name: Text,
    pub size: Scalar,
    pub storage_class_name: Text,
    pub boot: Flag,
    pub image: Text,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WukongStatus {
    /// `Pending`, `Creating`, `Running`, `Stopped`, `Error`.
    pub phase: Text,
    pub vm_name: Text,
    pub node_name: Text,
    pub networks: List<NetworkStatus>,
    pub volumes: List<VolumeStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NetworkStatus {
    pub name: Text,
    pub interface: Text,
    pub ip_address: Text,
    pub mac_address: Text,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VolumeStatus {
    pub name: Text,
    pub pvc_name: Text,
    pub size: Scalar,
}

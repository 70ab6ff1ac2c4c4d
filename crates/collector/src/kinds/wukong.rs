//! Wukongs, and their facts.

use std::collections::HashMap;

use super::{Kind, ObservedKind, ROW, created, texts, volume_rows};
use crate::k8s::{
    meta::Object,
    wukong::{DiskSpec, NetworkSpec, NetworkStatus, VolumeStatus, WukongSpec, WukongStatus},
};
use model::{
    source::SourceId,
    vm::{Disk, Network},
};
use wukong_core::observation::{Change, Key, Observation, WukongFacts, WukongVolume};

/// Wukongs.
#[derive(Clone, Debug)]
pub struct Wukongs;

impl Kind for Wukongs {
    const GROUP: &'static str = "vm.novasphere.dev";
    const VERSION: &'static str = "v1alpha1";
    const PLURAL: &'static str = "wukongs";

    type Spec = WukongSpec;
    type Status = WukongStatus;
    type Facts = WukongFacts;

    fn facts(object: Object<WukongSpec, WukongStatus>) -> WukongFacts {
        let (meta, spec, status) = (object.metadata.0, object.spec.0, object.status.0);
        WukongFacts {
            created: created(&meta.creation_timestamp),
            uid: meta.uid.0,
            namespace: meta.namespace.0,
            name: meta.name.0,
            cpu: spec.cpu.count(),
            memory: spec.memory.0,
            os_image: spec.os_image.0,
            networks: networks(spec.networks.items, status.networks.items),
            disks_left_out: spec.disks.left_out,
            disks: spec.disks.items.into_iter().map(disk).collect(),
            phase: status.phase.0,
            vm_name: status.vm_name.0,
            node_name: status.node_name.0,
            volumes_left_out: status.volumes.left_out,
            volumes: status.volumes.items.into_iter().map(volume).collect(),
        }
    }

    fn left_out(object: &Object<WukongSpec, WukongStatus>) -> u32 {
        let (spec, status) = (&object.spec, &object.status);
        let left_out =
            [spec.networks.left_out, spec.disks.left_out, status.networks.left_out, status.volumes.left_out];
        left_out.into_iter().fold(0, u32::saturating_add)
    }

    fn weight(facts: &WukongFacts) -> usize {
        let networks = facts.networks.iter().map(|n| {
            2 * size_of::<Network>()
                + 2 * texts(&[&n.name, &n.mode, &n.interface, &n.ip_address, &n.mac_address])
        });
        let disks = facts
            .disks
            .iter()
            .map(|d| 2 * size_of::<Disk>() + 2 * texts(&[&d.name, &d.size, &d.storage_class_name, &d.image]));
        let volumes =
            facts.volumes.iter().map(|v| size_of::<WukongVolume>() + texts(&[&v.name, &v.claim, &v.size]));
        let own = [&facts.uid, &facts.namespace, &facts.name, &facts.memory, &facts.os_image, &facts.phase];
        let parts: usize =
            networks.chain(disks).chain(volumes).sum::<usize>() + volume_rows(facts.volumes.len());
        ROW + size_of::<WukongFacts>() + texts(&own) + texts(&[&facts.vm_name, &facts.node_name]) + parts
    }

    fn key(facts: &WukongFacts) -> Key {
        Key::new(&facts.namespace, &facts.name)
    }
}

impl ObservedKind for Wukongs {
    const SOURCE: SourceId = SourceId::Wukongs;

    fn observation(change: Change<WukongFacts>) -> Observation {
        Observation::Wukongs(change)
    }
}

fn volume(volume: VolumeStatus) -> WukongVolume {
    WukongVolume { name: volume.name.0, claim: volume.pvc_name.0, size: volume.size.0 }
}

fn disk(disk: DiskSpec) -> Disk {
    Disk {
        name: disk.name.0,
        size: disk.size.0,
        storage_class_name: disk.storage_class_name.0,
        boot: disk.boot.0,
        image: disk.image.0,
    }
}

/// The networks of the spec in their order, each with its status, followed by those that only the status has.
/// A status without a name belongs to no network of the spec.
fn networks(spec: Vec<NetworkSpec>, status: Vec<NetworkStatus>) -> Box<[Network]> {
    let mut joined: Vec<Network> = spec.into_iter().map(ordered).collect();
    let mut places = HashMap::new();
    for (place, network) in joined.iter().enumerate().filter(|(_, network)| !network.name.is_empty()) {
        places.entry(network.name.clone()).or_insert(place);
    }
    for seen in status.into_iter().map(network) {
        match places.remove(&seen.name) {
            Some(place) => joined[place] = Network { mode: std::mem::take(&mut joined[place].mode), ..seen },
            None => joined.push(seen),
        }
    }
    joined.into()
}

fn ordered(spec: NetworkSpec) -> Network {
    let mode = if spec.r#type.is_empty() { spec.ip_config.0.mode } else { spec.r#type };
    Network { name: spec.name.0, mode: mode.0, ..Network::default() }
}

fn network(seen: NetworkStatus) -> Network {
    Network {
        name: seen.name.0,
        mode: String::new(),
        interface: seen.interface.0,
        ip_address: seen.ip_address.0,
        mac_address: seen.mac_address.0,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::read, *};

    const FULL: &str = r#"{
        "apiVersion": "vm.novasphere.dev/v1alpha1", "kind": "Wukong",
        "metadata": {"name": "web", "namespace": "prod", "uid": "u-1", "resourceVersion": "7", "generation": 3,
            "creationTimestamp": "2026-03-04T09:12:00Z", "managedFields": [{"manager": "x", "fieldsV1": {"f:spec": {}}}]},
        "spec": {"cpu": 4, "memory": "8Gi", "osImage": "debian-12", "cloudInitUser": {"name": "a", "password": "secret"},
            "networks": [{"name": "lan", "type": "bridge", "ipConfig": {"mode": "dhcp"}, "vlanId": 4}, {"name": "wan", "ipConfig": {"mode": "static"}}],
            "disks": [{"name": "root", "size": "80Gi", "storageClassName": "fast", "boot": true, "image": "debian"}, {"name": "data", "size": 1000}]},
        "status": {"phase": "Running", "vmName": "web-vm", "nodeName": "node-1", "conditions": [{"type": "Ready"}],
            "networks": [{"name": "mgmt", "interface": "eth2"}, {"name": "lan", "interface": "eth0", "ipAddress": "10.0.0.5", "macAddress": "02:00:00:00:00:01"}],
            "volumes": [{"name": "root", "pvcName": "web-root", "bound": true, "size": "80Gi"}]}
    }"#;

    #[test]
    fn every_used_field_is_read() {
        let facts = read::<Wukongs>(FULL).unwrap();
        assert_eq!((&*facts.uid, &*facts.namespace, &*facts.name), ("u-1", "prod", "web"));
        assert_eq!((facts.created, facts.cpu, &*facts.memory), (1_772_615_520_000, Some(4), "8Gi"));
        assert_eq!((&*facts.phase, &*facts.vm_name, &*facts.node_name), ("Running", "web-vm", "node-1"));
        assert_eq!(facts.os_image, "debian-12");
        assert_eq!((facts.disks[0].boot, &*facts.disks[0].storage_class_name), (true, "fast"));
        assert_eq!((facts.disks[1].boot, &*facts.disks[1].size), (false, "1000"));
        assert_eq!(
            *facts.volumes,
            [WukongVolume { name: "root".into(), claim: "web-root".into(), size: "80Gi".into() }]
        );
    }

    #[test]
    fn networks_of_spec_and_status_join_by_name() {
        let facts = read::<Wukongs>(FULL).unwrap();
        let rows: Vec<_> = facts.networks.iter().map(|n| (&*n.name, &*n.mode, &*n.ip_address)).collect();
        assert_eq!(rows, [("lan", "bridge", "10.0.0.5"), ("wan", "static", ""), ("mgmt", "", "")]);
    }

    #[test]
    fn cpu_and_memory_come_in_many_types() {
        for (spec, cpu, memory) in [
            (r#"{"cpu": "2", "memory": 8589934592}"#, Some(2), "8589934592"),
            (r#"{"cpu": 1.5, "memory": null}"#, None, ""),
            (r#"{"cpu": -1, "memory": ["8Gi"]}"#, None, ""),
            (r#"{"cpu": {"cores": 2}, "memory": "lots"}"#, None, "lots"),
            (r#""none""#, None, ""),
        ] {
            let json =
                format!(r#"{{"metadata": {{"name": "a", "namespace": "b"}}, "spec": {spec}, "status": []}}"#);
            let facts = read::<Wukongs>(&json).unwrap();
            assert_eq!((facts.cpu, &*facts.memory), (cpu, memory), "{spec}");
        }
    }

    #[test]
    fn an_object_without_a_name_is_dropped() {
        for json in
            ["7", "{}", r#"{"metadata": {"name": "a"}}"#, r#"{"metadata": {"name": 1, "namespace": "b"}}"#]
        {
            assert!(read::<Wukongs>(json).is_none(), "{json}");
        }
    }
}

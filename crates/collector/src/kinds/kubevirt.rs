//! KubeVirt's VirtualMachines and VirtualMachineInstances.

mod details;
mod disks;
mod instancetypes;
mod migrations;
mod sizes;
#[cfg(test)]
mod tests;

use self::{
    instancetypes::named_instancetype,
    sizes::{memory, topology, vcpus},
};
use super::{Kind, ObservedKind, ROW, created, texts, volume_rows};
use crate::k8s::{
    kubevirt::{
        Condition, InstanceSpec, InstanceStatus, MigrationState, VirtualMachineSpec, VirtualMachineStatus,
        Volume,
    },
    lenient::Obj,
    meta::{Metadata, Object, Owner},
};
use model::source::SourceId;
use wukong_core::observation::{
    Change, InstanceDisk, InstanceFacts, InstanceVolume, InstancetypeRef, Key, Migration, Observation, Pause,
    VmFacts,
};

pub use self::{
    instancetypes::{ClusterInstancetypes, Instancetypes},
    migrations::Migrations,
};

/// VirtualMachines.
#[derive(Clone, Debug)]
pub struct VirtualMachines;

impl Kind for VirtualMachines {
    const GROUP: &'static str = "kubevirt.io";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "virtualmachines";

    type Spec = VirtualMachineSpec;
    type Status = VirtualMachineStatus;
    type Facts = VmFacts;

    fn facts(object: Object<VirtualMachineSpec, VirtualMachineStatus>) -> VmFacts {
        let Object { metadata: Obj(meta), spec: Obj(spec), status, .. } = object;
        let instancetype = named_instancetype(&spec.instancetype, &status.instancetype_ref);
        let domain = spec.template.0.spec.0.domain.0;
        let (owner_wukong, owner_name) = owner_wukong(&meta).unwrap_or_default();
        // An instance type sets both, and KubeVirt rejects a template that sets them too.
        let own = instancetype.is_none();
        VmFacts {
            owner_wukong,
            owner_name,
            created: created(&meta.creation_timestamp),
            deleting: !meta.deletion_timestamp.is_empty(),
            uid: meta.uid.0,
            namespace: meta.namespace.0,
            name: meta.name.0,
            failure_message: failure_message(&status).to_owned(),
            pause: pause(&status.conditions),
            printable_status: status.0.printable_status.0,
            vcpus: vcpus(&domain).filter(|_| own),
            memory: memory(&domain).filter(|_| own).unwrap_or_default(),
            instancetype,
        }
    }

    fn left_out(object: &Object<VirtualMachineSpec, VirtualMachineStatus>) -> u32 {
        object.status.conditions.left_out
    }

    fn weight(facts: &VmFacts) -> usize {
        let own = [&facts.uid, &facts.namespace, &facts.name, &facts.owner_wukong, &facts.printable_status];
        let pause = facts.pause.as_deref().map_or(0, pause_weight);
        let instancetype = facts
            .instancetype
            .as_deref()
            .map_or(0, |of| size_of::<InstancetypeRef>() + texts(&[&of.name, &of.revision]));
        let parts = texts(&[&facts.failure_message, &facts.memory]) + pause + instancetype;
        ROW + size_of::<VmFacts>() + texts(&own) + parts
    }

    fn key(facts: &VmFacts) -> Key {
        Key::new(&facts.namespace, &facts.name)
    }
}

impl ObservedKind for VirtualMachines {
    const SOURCE: SourceId = SourceId::VirtualMachines;

    fn observation(change: Change<VmFacts>) -> Observation {
        Observation::VirtualMachines(change)
    }
}

/// VirtualMachineInstances.
#[derive(Clone, Debug)]
pub struct Instances;

impl Kind for Instances {
    const GROUP: &'static str = "kubevirt.io";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "virtualmachineinstances";

    type Spec = InstanceSpec;
    type Status = InstanceStatus;
    type Facts = InstanceFacts;

    fn facts(object: Object<InstanceSpec, InstanceStatus>) -> InstanceFacts {
        let (meta, spec, status) = (object.metadata.0, object.spec.0, object.status.0);
        let owner_vm = controlling_vm(&meta).unwrap_or_default();
        let disks = disks::disks(&spec.domain.devices.disks, &spec.volumes);
        let details = details::details(&meta.name, &spec, &status, disks.clone());
        let (guest_os, domain) = (status.guest_os_info.0, spec.domain.0);
        let interfaces = status.interfaces.items.into_iter().map(|interface| interface.ip_address.0);
        InstanceFacts {
            deleting: !meta.deletion_timestamp.is_empty(),
            uid: meta.uid.0,
            namespace: meta.namespace.0,
            name: meta.name.0,
            phase: status.phase.0,
            node_name: status.node_name.0,
            active_pods: status.active_pods.entries.into_iter().collect(),
            migration: migration(status.migration_state.0),
            volumes_left_out: spec.volumes.left_out,
            volumes: spec.volumes.items.into_iter().filter_map(volume).collect(),
            disks,
            disks_left_out: domain.devices.disks.left_out,
            ip_address: interfaces.into_iter().find(|address| !address.is_empty()).unwrap_or_default(),
            agent_connected: status.conditions.iter().any(agent_connected),
            pause: pause(&status.conditions),
            vcpus: topology(&status.current_cpu_topology).ok().flatten().or_else(|| vcpus(&domain)),
            memory: status
                .memory
                .guest_current
                .given()
                .map(str::to_owned)
                .or_else(|| memory(&domain))
                .unwrap_or_default(),
            hugepages: domain.memory.hugepages.page_size.given().is_some(),
            owner_vm,
            created: created(&meta.creation_timestamp),
            details: details.into(),
            guest_os: if guest_os.pretty_name.is_empty() { guest_os.name.0 } else { guest_os.pretty_name.0 },
        }
    }

    fn left_out(object: &Object<InstanceSpec, InstanceStatus>) -> u32 {
        let (spec, status) = (&object.spec, &object.status);
        let left_out = [
            spec.volumes.left_out,
            spec.domain.devices.disks.left_out,
            spec.domain.devices.interfaces.left_out,
            status.active_pods.left_out,
            status.interfaces.left_out,
            status.conditions.left_out,
        ];
        left_out.into_iter().fold(0, u32::saturating_add)
    }

    fn weight(facts: &InstanceFacts) -> usize {
        let volumes = facts.volumes.iter().map(|v| size_of::<InstanceVolume>() + texts(&[&v.name, &v.claim]));
        let disks = facts
            .disks
            .iter()
            .map(|disk| size_of::<InstanceDisk>() + texts(&[&disk.name, &disk.serial, &disk.claim]));
        let pods =
            facts.active_pods.iter().map(|(uid, node)| size_of::<(String, String)>() + texts(&[uid, node]));
        let migration = facts.migration.iter().map(|m| {
            size_of::<Migration>() + texts(&[&m.source_node, &m.target_node, &m.source_pod, &m.target_pod])
        });
        let own =
            [&facts.uid, &facts.namespace, &facts.name, &facts.phase, &facts.node_name, &facts.owner_vm];
        let pause = facts.pause.iter().map(|pause| pause_weight(pause));
        let parts: usize = volumes.chain(disks).chain(pods).chain(migration).chain(pause).sum::<usize>()
            + volume_rows(facts.volumes.len());
        let guest = texts(&[&facts.ip_address, &facts.guest_os, &facts.memory]);
        ROW + size_of::<InstanceFacts>() + texts(&own) + guest + parts + details::weight(&facts.details)
    }

    fn key(facts: &InstanceFacts) -> Key {
        Key::new(&facts.namespace, &facts.name)
    }
}

impl ObservedKind for Instances {
    const SOURCE: SourceId = SourceId::Instances;

    fn observation(change: Change<InstanceFacts>) -> Observation {
        Observation::Instances(change)
    }
}

/// uid and name of the Wukong that owns the VM. Only one owner can be the controller; if none is, the last
/// owner counts.
fn owner_wukong(meta: &Metadata) -> Option<(String, String)> {
    let owner = owners(meta, "vm.novasphere.dev", "Wukong").max_by_key(|owner| owner.controller.0)?;
    Some((owner.uid.0.clone(), owner.name.0.clone()))
}

/// uid of the VirtualMachine that controls an instance. An instance on its own or in a replica set has none.
fn controlling_vm(meta: &Metadata) -> Option<String> {
    let owner = owners(meta, "kubevirt.io", "VirtualMachine").find(|owner| owner.controller.0)?;
    Some(owner.uid.0.clone())
}

fn owners<'a>(meta: &'a Metadata, group: &str, kind: &str) -> impl Iterator<Item = &'a Owner> {
    let of_group = move |api_version: &str| api_version.split('/').next() == Some(group);
    meta.owner_references.iter().filter(move |owner| &*owner.kind == kind && of_group(&owner.api_version))
}

/// Conditions that say why a VM does not start, the most informative first, each with the status that means a
/// failure.
const TROUBLES: [(&str, &str); 5] = [
    ("Failure", "True"),
    ("PodScheduled", "False"),
    ("DataVolumesReady", "False"),
    ("Synchronized", "False"),
    ("Ready", "False"),
];

/// The message of the first such condition. Empty for a VM that runs or is meant to be off.
fn failure_message(status: &VirtualMachineStatus) -> &str {
    let settled = ["", "Running", "Migrating", "Paused", "Stopped", "Stopping", "Terminating"];
    if settled.contains(&&*status.printable_status) {
        return "";
    }
    let find_condition = |(kind, value): (&str, &str)| {
        let mut conditions = status.conditions.iter();
        conditions.find(|of| (&*of.r#type, &*of.status) == (kind, value) && !of.message.is_empty())
    };
    TROUBLES.into_iter().find_map(find_condition).map_or("", |condition| &*condition.message)
}

fn agent_connected(condition: &Condition) -> bool {
    &*condition.r#type == "AgentConnected" && &*condition.status == "True"
}

/// The condition `Paused`, if it is true.
fn pause(conditions: &[Condition]) -> Option<Box<Pause>> {
    let mut paused = conditions.iter().filter(|of| (&*of.r#type, &*of.status) == ("Paused", "True"));
    let pause = |of: &Condition| Pause { reason: of.reason.0.clone(), message: of.message.0.clone() };
    paused.next().map(|of| Box::new(pause(of)))
}

fn pause_weight(pause: &Pause) -> usize {
    size_of::<Pause>() + texts(&[&pause.reason, &pause.message])
}

/// The state of a migration. The guest moves between `startTimestamp` and `endTimestamp` (`IsMigrating` in
/// pkg/util/migrations of KubeVirt). A migration that fails before it begins leaves its nodes in the status
/// for ever, without either timestamp (kubevirt/kubevirt#2495).
fn migration(state: MigrationState) -> Option<Box<Migration>> {
    let known = !(state.source_node.is_empty() && state.target_node.is_empty());
    let completed = state.completed.0 || !state.end_timestamp.is_empty();
    let began = !state.start_timestamp.is_empty();
    known.then(|| {
        Box::new(Migration {
            source_node: state.source_node.0,
            target_node: state.target_node.0,
            source_pod: state.source_pod.0,
            target_pod: state.target_pod.0,
            completed,
            failed: state.failed.0 || !completed && !began,
        })
    })
}

fn volume(volume: Volume) -> Option<InstanceVolume> {
    let claim = claim(&volume)?.to_owned();
    Some(InstanceVolume { name: volume.name.0, claim })
}

/// The claim that backs a volume; `None` if no claim does.
fn claim(volume: &Volume) -> Option<&str> {
    let claims = [&*volume.persistent_volume_claim.claim_name, &*volume.data_volume.name];
    claims.into_iter().find(|claim| !claim.is_empty())
}

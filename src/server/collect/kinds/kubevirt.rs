//! KubeVirt's VirtualMachines and VirtualMachineInstances.

use std::collections::HashMap;

use super::{Kind, ROW, VOLUME_ROW, created, texts};
use crate::{
    model::{quantity::Quantity, source::SourceId},
    server::{
        k8s::{
            kubevirt::{
                Amounts, Condition, Cpu, Disk, Domain, InstanceSpec, InstanceStatus, MigrationState,
                VirtualMachineSpec, VirtualMachineStatus, Volume,
            },
            lenient::{Obj, Scalar},
            meta::{Metadata, Object, Owner},
        },
        snapshot::facts::{Change, InstanceFacts, InstanceVolume, Key, Migration, Observation, VmFacts},
    },
};

#[derive(Clone, Debug)]
pub struct VirtualMachines;

impl Kind for VirtualMachines {
    const SOURCE: SourceId = SourceId::VirtualMachines;
    const GROUP: &'static str = "kubevirt.io";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "virtualmachines";

    type Spec = VirtualMachineSpec;
    type Status = VirtualMachineStatus;
    type Facts = VmFacts;

    fn facts(object: Object<VirtualMachineSpec, VirtualMachineStatus>) -> VmFacts {
        let Object { metadata: Obj(meta), spec, status } = object;
        let domain = spec.0.template.0.spec.0.domain.0;
        let (owner_wukong, owner_name) = owner_wukong(&meta).unwrap_or_default();
        VmFacts {
            owner_wukong,
            owner_name,
            created: created(&meta.creation_timestamp),
            uid: meta.uid.0,
            namespace: meta.namespace.0,
            name: meta.name.0,
            trouble: trouble(&status).to_owned(),
            printable_status: status.0.printable_status.0,
            cpu_milli: cpu_milli(&domain),
            memory: memory(&domain),
        }
    }

    fn left_out(object: &Object<VirtualMachineSpec, VirtualMachineStatus>) -> u32 {
        object.status.conditions.left_out
    }

    fn weight(facts: &VmFacts) -> usize {
        let own = [&facts.uid, &facts.namespace, &facts.name, &facts.owner_wukong, &facts.printable_status];
        ROW + size_of::<VmFacts>() + texts(&own) + texts(&[&facts.trouble, &facts.memory])
    }

    fn key(facts: &VmFacts) -> Key {
        Key::new(&facts.namespace, &facts.name)
    }

    fn observation(change: Change<VmFacts>) -> Observation {
        Observation::VirtualMachines(change)
    }
}

#[derive(Clone, Debug)]
pub struct Instances;

impl Kind for Instances {
    const SOURCE: SourceId = SourceId::Instances;
    const GROUP: &'static str = "kubevirt.io";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "virtualmachineinstances";

    type Spec = InstanceSpec;
    type Status = InstanceStatus;
    type Facts = InstanceFacts;

    fn facts(object: Object<InstanceSpec, InstanceStatus>) -> InstanceFacts {
        let (meta, spec, status) = (object.metadata.0, object.spec.0, object.status.0);
        let (guest_os, domain) = (status.guest_os_info.0, spec.domain.0);
        let owner_vm = controlling_vm(&meta).unwrap_or_default();
        let interfaces = status.interfaces.items.into_iter().map(|interface| interface.ip_address.0);
        InstanceFacts {
            uid: meta.uid.0,
            namespace: meta.namespace.0,
            name: meta.name.0,
            phase: status.phase.0,
            node_name: status.node_name.0,
            active_pods: status.active_pods.entries.into_iter().collect(),
            migration: migration(status.migration_state.0),
            volumes_left_out: spec.volumes.left_out,
            volumes: volumes(spec.volumes.items, &domain.devices.disks),
            ip_address: interfaces.into_iter().find(|address| !address.is_empty()).unwrap_or_default(),
            agent_connected: status.conditions.iter().any(agent_connected),
            cpu_milli: topology_milli(&status.current_cpu_topology).or_else(|| cpu_milli(&domain)),
            memory: status.memory.guest_current.given().map_or_else(|| memory(&domain), str::to_owned),
            hugepages: domain.memory.hugepages.page_size.given().is_some(),
            owner_vm,
            created: created(&meta.creation_timestamp),
            guest_os: if guest_os.pretty_name.is_empty() { guest_os.name.0 } else { guest_os.pretty_name.0 },
        }
    }

    fn left_out(object: &Object<InstanceSpec, InstanceStatus>) -> u32 {
        let (spec, status) = (&object.spec, &object.status);
        let left_out = [
            spec.volumes.left_out,
            spec.domain.devices.disks.left_out,
            status.active_pods.left_out,
            status.interfaces.left_out,
            status.conditions.left_out,
        ];
        left_out.into_iter().fold(0, u32::saturating_add)
    }

    fn weight(facts: &InstanceFacts) -> usize {
        let volumes = facts
            .volumes
            .iter()
            .map(|v| VOLUME_ROW + size_of::<InstanceVolume>() + texts(&[&v.name, &v.claim, &v.serial]));
        let pods =
            facts.active_pods.iter().map(|(uid, node)| size_of::<(String, String)>() + texts(&[uid, node]));
        let migration = facts.migration.iter().map(|m| {
            size_of::<Migration>() + texts(&[&m.source_node, &m.target_node, &m.source_pod, &m.target_pod])
        });
        let own =
            [&facts.uid, &facts.namespace, &facts.name, &facts.phase, &facts.node_name, &facts.owner_vm];
        let parts: usize = volumes.chain(pods).chain(migration).sum();
        let guest = texts(&[&facts.ip_address, &facts.guest_os, &facts.memory]);
        ROW + size_of::<InstanceFacts>() + texts(&own) + guest + parts
    }

    fn key(facts: &InstanceFacts) -> Key {
        Key::new(&facts.namespace, &facts.name)
    }

    fn observation(change: Change<InstanceFacts>) -> Observation {
        Observation::Instances(change)
    }
}

/// uid and name of the Wukong that owns it. Only one owner can be the controller; where none is, the last will do.
fn owner_wukong(meta: &Metadata) -> Option<(String, String)> {
    let owner = owners(meta, "vm.novasphere.dev", "Wukong").max_by_key(|owner| owner.controller.0)?;
    Some((owner.uid.0.clone(), owner.name.0.clone()))
}

/// uid of the VirtualMachine that an instance is of; one that stands alone, or in a replica set, has none.
fn controlling_vm(meta: &Metadata) -> Option<String> {
    let owner = owners(meta, "kubevirt.io", "VirtualMachine").find(|owner| owner.controller.0)?;
    Some(owner.uid.0.clone())
}

fn owners<'a>(meta: &'a Metadata, group: &str, kind: &str) -> impl Iterator<Item = &'a Owner> {
    let of_group = move |api_version: &str| api_version.split('/').next() == Some(group);
    meta.owner_references.iter().filter(move |owner| &*owner.kind == kind && of_group(&owner.api_version))
}

/// Conditions that say why a VM does not come up, the most telling first, and the status that says so.
const TROUBLES: [(&str, &str); 5] = [
    ("Failure", "True"),
    ("PodScheduled", "False"),
    ("DataVolumesReady", "False"),
    ("Synchronized", "False"),
    ("Ready", "False"),
];

/// Of a VM that is up, or is meant to be off, nothing.
fn trouble(status: &VirtualMachineStatus) -> &str {
    let settled = ["", "Running", "Migrating", "Paused", "Stopped", "Stopping", "Terminating"];
    if settled.contains(&&*status.printable_status) {
        return "";
    }
    let said = |(kind, value): (&str, &str)| {
        let mut conditions = status.conditions.iter();
        conditions.find(|of| (&*of.r#type, &*of.status) == (kind, value) && !of.message.is_empty())
    };
    TROUBLES.into_iter().find_map(said).map_or("", |condition| &*condition.message)
}

fn agent_connected(condition: &Condition) -> bool {
    &*condition.r#type == "AgentConnected" && &*condition.status == "True"
}

/// vCPU in millicores: the topology, else the limit, else the request, as KubeVirt itself chooses.
fn cpu_milli(domain: &Domain) -> Option<u64> {
    let resources = &domain.resources;
    topology_milli(&domain.cpu)
        .or_else(|| quantity_milli(&resources.limits.cpu))
        .or_else(|| quantity_milli(&resources.requests.cpu))
}

/// None where no part is given, or one is no number.
fn topology_milli(cpu: &Cpu) -> Option<u64> {
    let parts = [&cpu.sockets, &cpu.cores, &cpu.threads];
    let given = parts.into_iter().filter(|part| part.given().is_some());
    // KubeVirt takes 0 for "not given".
    let product = |sum: u64, part: &Scalar| Some(sum.saturating_mul(part.count()?.max(1)));
    let mut given = given.peekable();
    given.peek()?;
    given.try_fold(1000, product)
}

fn quantity_milli(quantity: &Scalar) -> Option<u64> {
    Some(Quantity::parse(quantity.given()?).ok()?.nanos().div_ceil(1_000_000))
}

/// Memory as written: what the guest is given, else hugepages, the limit, the request. A page size is no amount.
fn memory(domain: &Domain) -> String {
    let (limits, requests) = (&*domain.resources.limits, &*domain.resources.requests);
    let hugepages =
        |of: &'_ Amounts| of.hugepages_1gi.given().or(of.hugepages_2mi.given()).map(str::to_owned);
    let given = |scalar: &Scalar| scalar.given().map(str::to_owned);
    let candidates = [
        given(&domain.memory.guest),
        hugepages(limits),
        hugepages(requests),
        given(&limits.memory),
        given(&requests.memory),
    ];
    candidates.into_iter().flatten().next().unwrap_or_default()
}

fn migration(state: MigrationState) -> Option<Box<Migration>> {
    let known = !(state.source_node.is_empty() && state.target_node.is_empty());
    known.then(|| {
        Box::new(Migration {
            source_node: state.source_node.0,
            target_node: state.target_node.0,
            source_pod: state.source_pod.0,
            target_pod: state.target_pod.0,
            completed: state.completed.0,
            failed: state.failed.0,
        })
    })
}

fn volumes(volumes: Vec<Volume>, disks: &[Disk]) -> Vec<InstanceVolume> {
    let mut serials: HashMap<&str, &str> = HashMap::with_capacity(disks.len());
    for disk in disks.iter().filter(|disk| !disk.name.is_empty()) {
        serials.entry(&*disk.name).or_insert(&*disk.serial);
    }
    volumes.into_iter().filter_map(|of| volume(of, &serials)).collect()
}

fn volume(volume: Volume, serials: &HashMap<&str, &str>) -> Option<InstanceVolume> {
    let serial = serials.get(&*volume.name).copied().unwrap_or_default().to_owned();
    let claims = [volume.persistent_volume_claim.0.claim_name, volume.data_volume.0.name];
    let claim = claims.into_iter().find(|claim| !claim.is_empty())?;
    Some(InstanceVolume { name: volume.name.0, claim: claim.0, serial })
}

#[cfg(test)]
mod tests {
    use super::{super::read, *};

    fn vm(domain: &str) -> VmFacts {
        let json = format!(
            r#"{{"metadata": {{"name": "a", "namespace": "b"}}, "spec": {{"running": true, "template": {{"spec": {{"domain": {domain}}}}}}}}}"#
        );
        read::<VirtualMachines>(&json).unwrap()
    }

    #[test]
    fn vcpu_and_memory_of_a_template() {
        for (domain, cpu, memory) in [
            (
                r#"{"cpu": {"sockets": 2, "cores": 4, "threads": 1, "model": "host"}, "memory": {"guest": "4Gi"}}"#,
                Some(8000),
                "4Gi",
            ),
            (r#"{"cpu": {"cores": "3"}, "resources": {"requests": {"memory": 1024}}}"#, Some(3000), "1024"),
            (r#"{"cpu": {"sockets": 0, "cores": 2}}"#, Some(2000), ""),
            (
                r#"{"cpu": {"model": "host"}, "resources": {"limits": {"cpu": "1500m", "memory": "1Gi"}, "requests": {"cpu": 1}}}"#,
                Some(1500),
                "1Gi",
            ),
            (
                r#"{"resources": {"requests": {"cpu": 2, "memory": "2Gi"}, "limits": {"memory": "3Gi"}}}"#,
                Some(2000),
                "3Gi",
            ),
            (
                r#"{"memory": {"hugepages": {"pageSize": "1Gi"}}, "resources": {"requests": {"memory": "6Gi", "hugepages-1Gi": "4Gi"}}}"#,
                None,
                "4Gi",
            ),
            (
                r#"{"memory": {"hugepages": {"pageSize": "2Mi"}}, "resources": {"requests": {"memory": "6Gi"}}}"#,
                None,
                "6Gi",
            ),
            (
                r#"{"memory": {"guest": "5Gi"}, "resources": {"limits": {"hugepages-2Mi": "4Gi"}}}"#,
                None,
                "5Gi",
            ),
            (r#"{"cpu": {"cores": 18446744073709551615, "sockets": 9}}"#, Some(u64::MAX), ""),
            (r#"{"cpu": {"cores": "many"}}"#, None, ""),
            (r#"{"cpu": 4, "memory": "4Gi"}"#, None, ""),
            ("{}", None, ""),
        ] {
            let facts = vm(domain);
            assert_eq!((facts.cpu_milli, &*facts.memory), (cpu, memory), "{domain}");
        }
    }

    #[test]
    fn the_owner_is_a_wukong_of_our_group() {
        for (owners, want) in [
            (
                r#"[{"apiVersion": "vm.novasphere.dev/v1alpha1", "kind": "Wukong", "uid": "w", "controller": true}]"#,
                "w",
            ),
            (
                r#"[{"apiVersion": "vm.novasphere.dev/v2", "kind": "Wukong", "uid": "x"},
                    {"apiVersion": "vm.novasphere.dev/v2", "kind": "Wukong", "uid": "w", "controller": true}]"#,
                "w",
            ),
            (r#"[{"apiVersion": "other.dev/v1", "kind": "Wukong", "uid": "w"}]"#, ""),
            (r#"[{"apiVersion": "vm.novasphere.dev/v1alpha1", "kind": "Pool", "uid": "w"}, 3]"#, ""),
            ("null", ""),
        ] {
            let json =
                format!(r#"{{"metadata": {{"name": "a", "namespace": "b", "ownerReferences": {owners}}}}}"#);
            assert_eq!(read::<VirtualMachines>(&json).unwrap().owner_wukong, want, "{owners}");
        }
    }

    #[test]
    fn an_instance_in_migration() {
        let facts = read::<Instances>(
            r#"{"metadata": {"name": "web", "namespace": "prod", "uid": "vmi-1", "labels": {"a": 1}},
            "spec": {"domain": {"cpu": {"cores": 2}}, "volumes": [
                {"name": "root", "persistentVolumeClaim": {"claimName": "web-root"}},
                {"name": "data", "dataVolume": {"name": "web-data", "hotpluggable": true}},
                {"name": "init", "cloudInitNoCloud": {"userData": "x"}},
                {"name": "boot", "containerDisk": {"image": "x"}},
                {"name": "base", "ephemeral": {"persistentVolumeClaim": {"claimName": "shared"}}},
                "odd"]},
            "status": {"phase": "Running", "nodeName": "n1", "activePods": {"p1": "n1", "p2": "n2", "p3": 4},
                "interfaces": [{"name": "x"}, {"ipAddress": "10.0.0.9"}],
                "guestOSInfo": {"name": "Debian", "prettyName": "Debian GNU/Linux 12"},
                "migrationState": {"sourceNode": "n1", "targetNode": "n2", "targetPod": "virt-launcher-web-2", "completed": false}}}"#,
        )
        .unwrap();
        let volumes: Vec<_> = facts.volumes.iter().map(|v| (&*v.name, &*v.claim)).collect();
        assert_eq!(volumes, [("root", "web-root"), ("data", "web-data")]);
        assert_eq!(facts.active_pods, [("p1", "n1"), ("p2", "n2")].map(|(p, n)| (p.into(), n.into())));
        let migration = facts.migration.unwrap();
        assert_eq!(
            (&*migration.target_pod, &*migration.source_pod, migration.completed),
            ("virt-launcher-web-2", "", false)
        );
        assert_eq!((&*facts.ip_address, &*facts.guest_os), ("10.0.0.9", "Debian GNU/Linux 12"));
    }

    fn instance(rest: &str) -> InstanceFacts {
        let json = format!(r#"{{"metadata": {{"name": "a", "namespace": "b"}}, {rest}}}"#);
        read::<Instances>(&json).unwrap()
    }

    #[test]
    fn what_was_hot_plugged_goes_before_what_was_ordered() {
        let spec = r#""spec": {"domain": {"cpu": {"cores": 2, "sockets": 1}, "memory": {"guest": "4Gi"}}}"#;
        for (status, cpu, memory) in [
            (
                r#"{"currentCPUTopology": {"cores": 2, "sockets": 3, "threads": 2}, "memory": {"guestAtBoot": "4Gi", "guestCurrent": "6Gi", "guestRequested": "8Gi"}}"#,
                Some(12_000),
                "6Gi",
            ),
            (
                r#"{"currentCPUTopology": {"cores": "two"}, "memory": {"guestAtBoot": "4Gi"}}"#,
                Some(2000),
                "4Gi",
            ),
            (r#"{"currentCPUTopology": 5, "memory": "6Gi"}"#, Some(2000), "4Gi"),
        ] {
            let facts = instance(&format!(r#"{spec}, "status": {status}"#));
            assert_eq!((facts.cpu_milli, &*facts.memory), (cpu, memory), "{status}");
        }
        let facts = instance(r#""spec": {"domain": {}}, "status": {}"#);
        assert_eq!((facts.cpu_milli, &*facts.memory), (None, ""));
    }

    #[test]
    fn hugepages_are_told_by_their_page_size() {
        for (memory, want) in [
            (r#"{"hugepages": {"pageSize": "2Mi"}}"#, true),
            (r#"{"hugepages": {}}"#, false),
            (r#"{"hugepages": true}"#, false),
            ("{}", false),
        ] {
            let facts = instance(&format!(r#""spec": {{"domain": {{"memory": {memory}}}}}"#));
            assert_eq!(facts.hugepages, want, "{memory}");
        }
    }

    #[test]
    fn a_vm_that_does_not_come_up_says_why() {
        let condition = |kind: &str, status: &str, message: &str| {
            format!(r#"{{"type": "{kind}", "status": "{status}", "message": "{message}"}}"#)
        };
        let ready = condition("Ready", "False", "Guest VM is not reported as running");
        let unscheduled = condition("PodScheduled", "False", "0/4 nodes are available");
        let failure = condition("Failure", "True", "no quota");
        for (printable, conditions, want) in [
            ("ErrorUnschedulable", vec![&ready, &unscheduled], "0/4 nodes are available"),
            ("ErrorUnschedulable", vec![&unscheduled, &failure], "no quota"),
            ("CrashLoopBackOff", vec![&ready], "Guest VM is not reported as running"),
            (
                "ErrImagePull",
                vec![&condition("Synchronized", "True", "fine"), &ready],
                "Guest VM is not reported as running",
            ),
            ("ErrorPvcNotFound", vec![&condition("Failure", "True", "")], ""),
            ("Running", vec![&ready, &failure], ""),
            ("Stopped", vec![&ready], ""),
            ("Starting", vec![&"7".to_owned()], ""),
        ] {
            let conditions = conditions.into_iter().cloned().collect::<Vec<_>>().join(",");
            let json = format!(
                r#"{{"metadata": {{"name": "a", "namespace": "b"}}, "status": {{"printableStatus": "{printable}", "conditions": [{conditions}]}}}}"#
            );
            assert_eq!(read::<VirtualMachines>(&json).unwrap().trouble, want, "{printable}");
        }
    }

    #[test]
    fn an_agent_is_connected_only_if_the_condition_is_true() {
        for (conditions, want) in [
            (r#"[{"type": "Ready", "status": "True"}, {"type": "AgentConnected", "status": "True"}]"#, true),
            (r#"[{"type": "AgentConnected", "status": "False"}]"#, false),
            (r#"[{"type": "AgentConnected", "status": true}]"#, false),
            (r#"[{"type": "Ready", "status": "True"}, 4]"#, false),
            (r#""AgentConnected""#, false),
        ] {
            let facts = instance(&format!(r#""status": {{"conditions": {conditions}}}"#));
            assert_eq!(facts.agent_connected, want, "{conditions}");
        }
    }

    #[test]
    fn an_instance_is_of_the_vm_that_controls_it() {
        for (owner, want) in [
            (
                r#"{"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "uid": "vm-1", "controller": true}"#,
                "vm-1",
            ),
            (r#"{"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "uid": "vm-1"}"#, ""),
            (
                r#"{"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceReplicaSet", "uid": "r", "controller": true}"#,
                "",
            ),
            (
                r#"{"apiVersion": "other.io/v1", "kind": "VirtualMachine", "uid": "vm-1", "controller": true}"#,
                "",
            ),
        ] {
            let json = format!(
                r#"{{"metadata": {{"name": "a", "namespace": "b", "creationTimestamp": "1970-01-01T00:00:01Z", "ownerReferences": [{owner}]}}}}"#
            );
            let facts = read::<Instances>(&json).unwrap();
            assert_eq!((&*facts.owner_vm, facts.created), (want, 1000), "{owner}");
        }
    }

    #[test]
    fn a_volume_has_the_serial_of_the_disk_of_its_name() {
        let facts = instance(
            r#""spec": {"domain": {"devices": {"disks": [{"name": "hot", "serial": "S-HOT"}, {"name": "root", "disk": {"bus": "virtio"}},
                {"name": "none", "serial": "S-NONE"}, {"name": "odd", "serial": 7}, 3]}}, "volumes": [
                {"name": "root", "dataVolume": {"name": "web-root"}},
                {"name": "hot", "persistentVolumeClaim": {"claimName": "web-hot", "hotpluggable": true}},
                {"name": "odd", "persistentVolumeClaim": {"claimName": "web-odd"}}]}"#,
        );
        let serials: Vec<_> = facts.volumes.iter().map(|v| (&*v.claim, &*v.serial)).collect();
        assert_eq!(serials, [("web-root", ""), ("web-hot", "S-HOT"), ("web-odd", "")]);
    }

    #[test]
    fn fields_of_the_wrong_type_are_absent() {
        let facts = read::<Instances>(
            r#"{"metadata": {"name": "a", "namespace": "b", "uid": 4}, "spec": {"volumes": {"x": 1}},
            "status": {"phase": [], "activePods": [1], "migrationState": "none", "interfaces": 3, "guestOSInfo": false}}"#,
        )
        .unwrap();
        assert_eq!(
            facts,
            InstanceFacts { name: "a".into(), namespace: "b".into(), ..InstanceFacts::default() }
        );
    }
}

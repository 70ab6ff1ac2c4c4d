//! Instance types, and the reference from a VirtualMachine to one.

use super::super::{Kind, ObservedKind, Scope, texts};
use crate::k8s::{
    kubevirt::{InstancetypeMatcher, InstancetypeSpec, InstancetypeStatus},
    meta::{Nothing, Object},
};
use model::source::SourceId;
use wukong_core::observation::{Change, InstancetypeFacts, InstancetypeRef, Key, Observation};

/// Instance types at cluster scope.
#[derive(Clone, Debug)]
pub struct ClusterInstancetypes;

impl Kind for ClusterInstancetypes {
    const GROUP: &'static str = "instancetype.kubevirt.io";
    const VERSION: &'static str = "v1beta1";
    const PLURAL: &'static str = "virtualmachineclusterinstancetypes";
    const SCOPE: Scope = Scope::Cluster;

    type Spec = InstancetypeSpec;
    type Status = Nothing;
    type Facts = InstancetypeFacts;

    fn facts(object: Object<InstancetypeSpec, Nothing>) -> InstancetypeFacts {
        InstancetypeFacts { namespace: String::new(), ..facts(object) }
    }

    fn weight(facts: &InstancetypeFacts) -> usize {
        weight(facts)
    }

    fn key(facts: &InstancetypeFacts) -> Key {
        Key::new("", &facts.name)
    }
}

impl ObservedKind for ClusterInstancetypes {
    const SOURCE: SourceId = SourceId::ClusterInstancetypes;

    fn observation(change: Change<InstancetypeFacts>) -> Observation {
        Observation::ClusterInstancetypes(change)
    }
}

/// Instance types in a namespace.
#[derive(Clone, Debug)]
pub struct Instancetypes;

impl Kind for Instancetypes {
    const GROUP: &'static str = "instancetype.kubevirt.io";
    const VERSION: &'static str = "v1beta1";
    const PLURAL: &'static str = "virtualmachineinstancetypes";

    type Spec = InstancetypeSpec;
    type Status = Nothing;
    type Facts = InstancetypeFacts;

    fn facts(object: Object<InstancetypeSpec, Nothing>) -> InstancetypeFacts {
        facts(object)
    }

    fn weight(facts: &InstancetypeFacts) -> usize {
        weight(facts)
    }

    fn key(facts: &InstancetypeFacts) -> Key {
        Key::new(&facts.namespace, &facts.name)
    }
}

impl ObservedKind for Instancetypes {
    const SOURCE: SourceId = SourceId::Instancetypes;

    fn observation(change: Change<InstancetypeFacts>) -> Observation {
        Observation::Instancetypes(change)
    }
}

/// A preference splits the vCPUs into sockets, cores and threads; their product stays that of the instance
/// type.
fn facts(object: Object<InstancetypeSpec, Nothing>) -> InstancetypeFacts {
    let (meta, spec) = (object.metadata.0, object.spec.0);
    InstancetypeFacts {
        uid: meta.uid.0,
        namespace: meta.namespace.0,
        name: meta.name.0,
        generation: meta.generation.0,
        vcpus: spec.cpu.guest.count().filter(|vcpus| *vcpus > 0),
        memory: spec.memory.0.guest.0,
    }
}

fn weight(facts: &InstancetypeFacts) -> usize {
    size_of::<InstancetypeFacts>() + texts(&[&facts.uid, &facts.namespace, &facts.name, &facts.memory])
}

/// The instance type that a VirtualMachine names; `None` if its template has all sizes.
pub fn named_instancetype(
    spec: &InstancetypeMatcher,
    status: &InstancetypeStatus,
) -> Option<Box<InstancetypeRef>> {
    if spec.name.is_empty() && spec.infer_from_volume.is_empty() {
        return None;
    }
    let of_status = Some(&*status.controller_revision_ref.name).filter(|_| *status.name == *spec.name);
    let revision =
        if spec.revision_name.is_empty() { of_status.unwrap_or_default() } else { &*spec.revision_name };
    let revision = revision.to_owned();
    // KubeVirt accepts the kind in any case, and in the plural (pkg/instancetype/find, `Find`). Other kinds
    // are unknown.
    let kind = spec.kind.to_ascii_lowercase();
    let (cluster, known) = match kind.trim_end_matches('s') {
        "" | "virtualmachineclusterinstancetype" => (true, true),
        "virtualmachineinstancetype" => (false, true),
        _ => (false, false),
    };
    let name = if known { spec.name.0.clone() } else { String::new() };
    Some(Box::new(InstancetypeRef { cluster, name, revision }))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{super::read, VirtualMachines},
        *,
    };

    fn vm(spec: &str, status: &str) -> wukong_core::observation::VmFacts {
        let json = format!(
            r#"{{"metadata": {{"name": "a", "namespace": "b"}}, "spec": {spec}, "status": {status}}}"#
        );
        read::<VirtualMachines>(&json).unwrap()
    }

    #[test]
    fn a_vm_names_its_instance_type() {
        let status = r#"{"instancetypeRef": {"name": "u1", "controllerRevisionRef": {"name": "a-u1-x-1"}}}"#;
        for (matcher, status, want) in [
            (r#"{"name": "u1"}"#, "{}", Some((true, "u1", ""))),
            (r#"{"name": "u1", "kind": "VirtualMachineClusterInstancetype"}"#, "{}", Some((true, "u1", ""))),
            (r#"{"name": "u1", "kind": "virtualmachineinstancetype"}"#, "{}", Some((false, "u1", ""))),
            (r#"{"name": "u1", "kind": "VirtualMachineInstancetypes"}"#, "{}", Some((false, "u1", ""))),
            (r#"{"name": "u1", "revisionName": "r-1"}"#, status, Some((true, "u1", "r-1"))),
            (r#"{"name": "u1"}"#, status, Some((true, "u1", "a-u1-x-1"))),
            (r#"{"name": "u2"}"#, status, Some((true, "u2", ""))),
            (r#"{"inferFromVolume": "root"}"#, "{}", Some((true, "", ""))),
            (r#"{"name": "u1", "kind": "Flavor"}"#, "{}", Some((false, "", ""))),
            ("{}", status, None),
            ("null", "{}", None),
            (r#""u1""#, "{}", None),
        ] {
            let facts = vm(&format!(r#"{{"instancetype": {matcher}, "template": {{}}}}"#), status);
            let named = facts.instancetype.as_ref().map(|of| (of.cluster, &*of.name, &*of.revision));
            assert_eq!(named, want, "{matcher}");
            // The default of one vCPU in the template does not apply with an instance type.
            assert_eq!(facts.vcpus, if want.is_some() { None } else { Some(1) }, "{matcher}");
        }
    }

    #[test]
    fn an_instance_type_says_cpu_and_memory() {
        let json = r#"{"metadata": {"name": "u1.medium", "namespace": "shop", "uid": "t-1", "generation": 3},
            "spec": {"cpu": {"guest": 6, "maxSockets": 8}, "memory": {"guest": "4Gi", "overcommitPercent": 50}}}"#;
        let facts = read::<Instancetypes>(json).unwrap();
        assert_eq!((facts.vcpus, &*facts.memory, facts.generation), (Some(6), "4Gi", Some(3)));
        assert_eq!((&*facts.namespace, &*facts.uid), ("shop", "t-1"));
        // kubevirt/kubevirt#8171: the instance type has no memory, so no VM with it starts.
        let half = r#"{"metadata": {"name": "csmall", "namespace": "shop"}, "spec": {"cpu": {"guest": 1}, "memory": {}}}"#;
        let half = read::<Instancetypes>(half).unwrap();
        assert_eq!((half.vcpus, &*half.memory), (Some(1), ""));
        let cluster =
            read::<ClusterInstancetypes>(r#"{"metadata": {"name": "odd"}, "spec": {"cpu": 3}}"#).unwrap();
        assert_eq!((cluster.vcpus, &*cluster.memory, &*cluster.namespace), (None, "", ""));
    }
}

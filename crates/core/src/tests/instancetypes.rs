//! How large a VM of an instance type is that does not run.

use super::*;
use i18n::Render;
use model::vm::Status;

const UID: &str = "7286dfe6-7c44-4057-a8f4-362cc1e7468c";

fn named(cluster: bool, name: &str, revision: &str) -> VmFacts {
    let named = InstancetypeRef { cluster, name: name.into(), revision: revision.into() };
    VmFacts {
        uid: "vm".into(),
        namespace: "a".into(),
        name: "web".into(),
        printable_status: "Stopped".into(),
        instancetype: Some(Box::new(named)),
        ..Default::default()
    }
}

fn medium(namespace: &str, vcpus: u64) -> InstancetypeFacts {
    InstancetypeFacts {
        uid: UID.into(),
        namespace: namespace.into(),
        name: "u1.medium".into(),
        generation: Some(2),
        vcpus: Some(vcpus),
        memory: "4Gi".into(),
    }
}

/// Both kinds are read: one of the cluster with 1 vCPU, one of the namespace with 6.
fn typed(vm: VmFacts) -> ClusterState {
    let mut state = state();
    state.apply(Observation::ClusterInstancetypes(replaced(vec![medium("", 1)])));
    state.apply(Observation::Instancetypes(replaced(vec![medium("a", 6), medium("b", 7)])));
    state.apply(Observation::VirtualMachines(applied(vm)));
    state
}

/// vCPUs and memory in Gi, or why they are not known.
fn size(state: &mut ClusterState) -> Result<(u64, u64), (Reason, String, String)> {
    let vm = web(state);
    match &vm.allocation_gap {
        None => Ok((vm.summary.cpu.unwrap() / 1_000_000_000, vm.summary.memory.unwrap() / GI)),
        Some(missing) => {
            assert_eq!((vm.summary.cpu, vm.summary.memory), (None, None), "1 vCPU is the template's default");
            Err((missing.reason, missing.detail.english(), missing.fix.english()))
        }
    }
}

#[test]
fn a_vm_that_never_ran_has_the_size_of_its_instance_type() {
    assert_eq!(size(&mut typed(named(true, "u1.medium", ""))), Ok((1, 4)));
    assert_eq!(size(&mut typed(named(false, "u1.medium", ""))), Ok((6, 4)));
    let revision = format!("web-u1.medium-v1beta1-{UID}-2");
    assert_eq!(size(&mut typed(named(true, "u1.medium", &revision))), Ok((1, 4)));
    let mut state = typed(named(true, "u1.medium", ""));
    assert_eq!(web(&mut state).summary.status, Status::Stopped);
    assert_eq!(state.join(NOW).totals.memory, 4 * GI);
    // What the guest has now counts before what it was started with.
    let now = InstanceFacts { vcpus: Some(8), memory: "16Gi".into(), ..instance("a", "web", "n1") };
    state.apply(Observation::Instances(applied(now)));
    assert_eq!(size(&mut state), Ok((8, 16)));
}

#[test]
fn without_its_instance_type_a_vms_size_is_missing_and_says_why() {
    let earlier = format!("web-u1.medium-v1beta1-{UID}-1");
    for (vm, detail, fix) in [
        (
            named(true, "u1.huge", ""),
            "there is no instance type u1.huge",
            "get virtualmachineclusterinstancetypes",
        ),
        (
            named(false, "u1.huge", ""),
            "there is no instance type u1.huge",
            "-n a get virtualmachineinstancetypes",
        ),
        (
            named(true, "", ""),
            "infers its instance type from a volume",
            "-n a get virtualmachine web -o yaml",
        ),
        (
            named(true, "u1.medium", &earlier),
            "an earlier revision of the instance type u1.medium, which KubeVirt keeps in the ControllerRevision web-u1.medium",
            "get controllerrevision web-u1.medium",
        ),
        // kubevirt/kubevirt#8142: it was deleted, which a VM that has started once does not mind.
        (
            named(true, "u1.huge", &earlier.replace("medium", "huge")),
            "the VM starts with the copy that KubeVirt keeps in the ControllerRevision web-u1.huge",
            "-n a get controllerrevision web-u1.huge",
        ),
    ] {
        let (reason, found, reported) = size(&mut typed(vm)).unwrap_err();
        assert!(reason == Reason::NoAllocation && found.contains(detail), "{reason:?} {found}");
        assert!(reported.contains(fix), "{reported}");
    }
}

#[test]
fn a_permission_that_is_missing_is_named_with_its_fix() {
    let mut state = silent_state();
    state.apply(Observation::VirtualMachines(applied(named(true, "u1.medium", ""))));
    assert_eq!(size(&mut state).unwrap_err().0, Reason::Starting);
    let (source, error) = (SourceId::ClusterInstancetypes, refused(Reason::Forbidden));
    state.apply(Observation::WatchFailed { source, namespace: None, error });
    let (reason, detail, reported) = size(&mut state).unwrap_err();
    assert!(
        reason == Reason::NoAllocation && detail.contains("u1.medium cannot be read: Forbidden"),
        "{detail}"
    );
    let permission = "list and watch virtualmachineclusterinstancetypes.instancetype.kubevirt.io";
    assert!(reported.contains(permission) && reported.contains("deploy/cluster/rbac.yaml"), "{reported}");
    // No figure is missing because of it, so the source alone needs no attention.
    state.apply(Observation::ClusterInstancetypes(replaced(vec![medium("", 2)])));
    assert_eq!(size(&mut state), Ok((2, 4)));
}

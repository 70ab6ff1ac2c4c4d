//! Objects of KubeVirt → facts.

use super::{super::read, *};
use wukong_core::observation::{Bus, DiskKind, InstanceDetails};

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
            "migrationState": {"sourceNode": "n1", "targetNode": "n2", "targetPod": "virt-launcher-web-2", "completed": false, "startTimestamp": "2026-03-04T09:12:00Z"}}}"#,
    )
    .unwrap();
    let volumes: Vec<_> = facts.volumes.iter().map(|v| (&*v.name, &*v.claim)).collect();
    assert_eq!(volumes, [("root", "web-root"), ("data", "web-data")]);
    assert_eq!(*facts.active_pods, [("p1", "n1"), ("p2", "n2")].map(|(p, n)| (p.into(), n.into())));
    let migration = facts.migration.unwrap();
    assert_eq!(
        (&*migration.target_pod, &*migration.source_pod, migration.completed, migration.failed),
        ("virt-launcher-web-2", "", false, false)
    );
    assert_eq!((&*facts.ip_address, &*facts.guest_os), ("10.0.0.9", "Debian GNU/Linux 12"));
}

/// The status of an instance as KubeVirt's user guide and API show it.
#[test]
fn an_instance_says_what_its_guest_is() {
    let facts = read::<Instances>(
        r#"{"metadata": {"name": "web.prod", "namespace": "prod"},
        "spec": {"domain": {"devices": {
            "disks": [{"name": "root", "disk": {"bus": "virtio"}}],
            "interfaces": [{"name": "default", "masquerade": {}}, {"name": "fast", "sriov": {}}, {"masquerade": {}}, 7]}},
            "volumes": [{"name": "root", "persistentVolumeClaim": {"claimName": "web-root"}}]},
        "status": {"phase": "Running",
            "conditions": [
                {"lastProbeTime": null, "lastTransitionTime": "2026-03-04T09:12:05Z", "status": "True", "type": "Ready"},
                {"lastProbeTime": "2026-03-04T09:12:00Z", "lastTransitionTime": null, "message": "cannot migrate VMI: PVC web-root is not shared",
                 "reason": "DisksNotLiveMigratable", "status": "False", "type": "LiveMigratable"}],
            "guestOSInfo": {"id": "debian", "kernelRelease": "6.1.0-18-amd64", "kernelVersion": "1 SMP", "machine": "x86_64",
                "name": "Debian GNU/Linux", "prettyName": "Debian GNU/Linux 12 (bookworm)", "version": "12 (bookworm)", "versionId": "12"},
            "interfaces": [
                {"infoSource": "domain, guest-agent, multus-status", "interfaceName": "enp2s0", "ipAddress": "10.0.0.9", "ipAddresses": ["10.0.0.9", "fe80::1"],
                 "mac": "52:54:00:1c:ab:01", "name": "fast", "queueCount": 1},
                {"infoSource": "domain", "ipAddress": "10.244.0.7", "mac": "02:00:00:00:00:01", "name": "default"},
                {"infoSource": "guest-agent", "interfaceName": "docker0", "ipAddress": "172.17.0.1", "mac": "02:42:00:00:00:01"}],
            "phaseTransitionTimestamps": [
                {"phase": "Scheduled", "phaseTransitionTimestamp": "2026-03-04T09:11:58Z"},
                {"phase": "Running", "phaseTransitionTimestamp": "2026-03-04T09:12:00Z"}]}}"#,
    )
    .unwrap();
    let details = &facts.details;
    let interfaces: Vec<_> = details
        .interfaces
        .iter()
        .map(|of| (&*of.name, &*of.guest_name, &*of.mac, of.addresses.join(" "), of.is_sriov))
        .collect();
    assert_eq!(
        interfaces,
        [
            ("default", "", "02:00:00:00:00:01", "10.244.0.7".to_owned(), false),
            ("fast", "enp2s0", "52:54:00:1c:ab:01", "10.0.0.9 fe80::1".to_owned(), true)
        ]
    );
    let system = details.system.as_deref().unwrap();
    assert_eq!(
        [&system.name, &system.version, &system.kernel].map(|text| &**text),
        ["Debian GNU/Linux", "12 (bookworm)", "6.1.0-18-amd64"]
    );
    let time = |text: &str| crate::k8s::time::rfc3339(text);
    assert_eq!((&*details.hostname, details.started), ("web", time("2026-03-04T09:12:00Z")));
    let [ready, migratable] = &*details.conditions else { panic!("{:?}", details.conditions) };
    assert_eq!((&*ready.kind, &*ready.status, ready.since), ("Ready", "True", time("2026-03-04T09:12:05Z")));
    assert_eq!((&*migratable.reason, migratable.since), ("DisksNotLiveMigratable", None));
    assert!(migratable.message.contains("web-root"));
    assert!(std::sync::Arc::ptr_eq(&details.disks, &facts.disks), "no copy");
    let empty = InstanceFacts { details: Default::default(), ..facts.clone() };
    let added = Instances::weight(&facts) - Instances::weight(&empty);
    assert!((400..800).contains(&added), "{added} bytes for each VM");
}

#[test]
fn a_host_name_is_chosen_as_kubevirt_does() {
    let long = "x".repeat(70);
    for (name, spec, want) in [
        ("web", "{}", "web"),
        ("web.prod", "{}", "web"),
        ("web", r#"{"hostname": "shop"}"#, "shop"),
        ("web", r#"{"hostname": 7}"#, "web"),
        (&long, "{}", &long[..63]),
    ] {
        let json = format!(r#"{{"metadata": {{"name": "{name}", "namespace": "b"}}, "spec": {spec}}}"#);
        assert_eq!(&*read::<Instances>(&json).unwrap().details.hostname, want, "{name} {spec}");
    }
}

/// kubevirt/kubevirt#2495, #5503.
#[test]
fn a_guest_moves_from_the_start_of_its_migration_to_the_end() {
    let moves = |times: &str| {
        let state = format!(
            r#"{{"migrationUid": "b0a83915", "sourceNode": "node01", "targetNode": "node02"{times}}}"#
        );
        let facts = instance(&format!(r#""spec": {{}}, "status": {{"migrationState": {state}}}"#));
        facts.migration.map(|migration| !migration.completed && !migration.failed)
    };
    const START: &str = r#", "startTimestamp": "2026-03-04T09:12:00Z""#;
    const END: &str = r#", "endTimestamp": "2026-03-04T09:13:00Z""#;
    assert_eq!(moves(""), Some(false), "its target's pod has failed before it began");
    assert_eq!(moves(START), Some(true));
    assert_eq!(moves(&format!("{START}{END}")), Some(false));
    assert_eq!(moves(&format!(r#"{START}, "completed": true"#)), Some(false));
    assert_eq!(moves(&format!(r#"{START}, "failed": true"#)), Some(false));
}

fn instance(rest: &str) -> InstanceFacts {
    let json = format!(r#"{{"metadata": {{"name": "a", "namespace": "b"}}, {rest}}}"#);
    read::<Instances>(&json).unwrap()
}

#[test]
fn a_hot_plugged_size_counts_before_the_spec() {
    let spec = r#""spec": {"domain": {"cpu": {"cores": 2, "sockets": 1}, "memory": {"guest": "4Gi"}}}"#;
    for (status, cpu, memory) in [
        (
            r#"{"currentCPUTopology": {"cores": 2, "sockets": 3, "threads": 2}, "memory": {"guestAtBoot": "4Gi", "guestCurrent": "6Gi", "guestRequested": "8Gi"}}"#,
            Some(12),
            "6Gi",
        ),
        (r#"{"currentCPUTopology": {"cores": "two"}, "memory": {"guestAtBoot": "4Gi"}}"#, Some(2), "4Gi"),
        (r#"{"currentCPUTopology": {"sockets": 1, "cores": 1, "threads": 0}}"#, Some(1), "4Gi"),
        (r#"{"currentCPUTopology": 5, "memory": "6Gi"}"#, Some(2), "4Gi"),
    ] {
        let facts = instance(&format!(r#"{spec}, "status": {status}"#));
        assert_eq!((facts.vcpus, &*facts.memory), (cpu, memory), "{status}");
    }
    let facts = instance(r#""spec": {"domain": {}}, "status": {}"#);
    assert_eq!((facts.vcpus, &*facts.memory), (Some(1), ""), "what KubeVirt starts it with");
}

#[test]
fn hugepages_are_recognised_by_their_page_size() {
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
        assert_eq!(read::<VirtualMachines>(&json).unwrap().failure_message, want, "{printable}");
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
        (r#"{"apiVersion": "other.io/v1", "kind": "VirtualMachine", "uid": "vm-1", "controller": true}"#, ""),
    ] {
        let json = format!(
            r#"{{"metadata": {{"name": "a", "namespace": "b", "creationTimestamp": "1970-01-01T00:00:01Z", "ownerReferences": [{owner}]}}}}"#
        );
        let facts = read::<Instances>(&json).unwrap();
        assert_eq!((&*facts.owner_vm, facts.created), (want, 1000), "{owner}");
    }
}

#[test]
fn a_disk_has_its_bus_its_serial_and_the_claim_of_the_volume_of_its_name() {
    let facts = instance(
        r#""spec": {"domain": {"devices": {"disks": [{"name": "hot", "serial": "S-HOT", "disk": {"bus": "scsi"}},
            {"name": "root", "disk": {"bus": "virtio"}}, {"name": "raw", "lun": {"bus": "scsi"}, "serial": "S-RAW"},
            {"name": "iso", "cdrom": {"bus": "sata", "readonly": true}}, {"name": "boot", "serial": "S-BOOT", "disk": {}},
            {"name": "odd", "serial": 7, "disk": "x", "lun": null}, 3]}}, "volumes": [
            {"name": "root", "dataVolume": {"name": "web-root"}}, {"name": "boot", "containerDisk": {"image": "x"}},
            {"name": "raw", "persistentVolumeClaim": {"claimName": "web-raw"}},
            {"name": "iso", "persistentVolumeClaim": {"claimName": "web-iso"}},
            {"name": "hot", "persistentVolumeClaim": {"claimName": "web-hot", "hotpluggable": true}},
            {"name": "odd", "persistentVolumeClaim": {"claimName": "web-odd"}}]}"#,
    );
    let disk = |disk: &InstanceDisk| {
        (disk.name.to_string(), disk.kind, disk.bus, disk.serial.to_string(), disk.claim.to_string())
    };
    let want = [
        ("hot", DiskKind::Disk, Bus::Scsi, "S-HOT", "web-hot"),
        ("root", DiskKind::Disk, Bus::Virtio, "", "web-root"),
        ("raw", DiskKind::Lun, Bus::Scsi, "S-RAW", "web-raw"),
        ("iso", DiskKind::CdRom, Bus::Sata, "", "web-iso"),
        ("boot", DiskKind::Disk, Bus::Unknown, "S-BOOT", ""),
        ("odd", DiskKind::Disk, Bus::Unknown, "", "web-odd"),
    ];
    let want = want.map(|(name, kind, bus, serial, claim)| {
        (name.to_owned(), kind, bus, serial.to_owned(), claim.to_owned())
    });
    assert_eq!(facts.disks.iter().map(disk).collect::<Vec<_>>(), want);
}

#[test]
fn of_more_disks_than_are_kept_none_is_known_by_its_serial() {
    let disks = |count: usize| {
        let disks = vec![r#"{"name": "d", "serial": "S", "disk": {"bus": "virtio"}}"#; count].join(",");
        let facts = instance(&format!(r#""spec": {{"domain": {{"devices": {{"disks": [{disks}]}}}}}}"#));
        (facts.disks.len(), facts.disks_left_out)
    };
    assert_eq!([disks(256), disks(257)], [(256, 0), (0, 1)]);
}

#[test]
fn a_pause_is_the_condition_that_is_true() {
    for (conditions, want) in [
        (
            r#"[{"type": "Ready", "status": "False"}, {"type": "Paused", "status": "True", "reason": "PausedIOError", "message": "m"}]"#,
            Some(("PausedIOError", "m")),
        ),
        (r#"[{"type": "Paused", "status": "True"}]"#, Some(("", ""))),
        (r#"[{"type": "Paused", "status": "False", "reason": "PausedByUser"}]"#, None),
        ("[]", None),
    ] {
        let status = format!(r#""status": {{"conditions": {conditions}}}"#);
        let pause = instance(&status).pause;
        assert_eq!(pause.as_ref().map(|of| (&*of.reason, &*of.message)), want, "{conditions}");
        let vm = format!(r#"{{"metadata": {{"name": "a", "namespace": "b"}}, {status}}}"#);
        assert_eq!(read::<VirtualMachines>(&vm).unwrap().pause, pause, "KubeVirt copies it to the VM");
    }
}

#[test]
fn an_object_that_is_being_deleted_says_so() {
    let deleting =
        r#"{"metadata": {"name": "a", "namespace": "b", "deletionTimestamp": "2026-01-01T00:00:00Z"}}"#;
    assert!(
        read::<VirtualMachines>(deleting).unwrap().deleting && read::<Instances>(deleting).unwrap().deleting
    );
    assert!(!instance(r#""status": {}"#).deleting);
}

#[test]
fn fields_of_the_wrong_type_are_absent() {
    let facts = read::<Instances>(
        r#"{"metadata": {"name": "a", "namespace": "b", "uid": 4}, "spec": {"volumes": {"x": 1}},
        "status": {"phase": [], "activePods": [1], "migrationState": "none", "interfaces": 3, "guestOSInfo": false}}"#,
    )
    .unwrap();
    let details = InstanceDetails { hostname: "a".into(), ..InstanceDetails::default() };
    let want = InstanceFacts {
        name: "a".into(),
        namespace: "b".into(),
        vcpus: Some(1),
        details: details.into(),
        ..InstanceFacts::default()
    };
    assert_eq!(facts, want);
}

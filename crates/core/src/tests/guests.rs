//! Which file systems are on which disk: answers of real guest agents, and what follows from them.

mod property;

use std::collections::BTreeSet;

use super::{
    super::{
        disk_content::Gap,
        disk_owner::{Owner, Owners},
        guest_disks::GuestDisks,
    },
    *,
};
use i18n::Render;

fn disk(name: &str, bus: Bus, serial: &str) -> InstanceDisk {
    let [name, serial, claim] = [name, serial, name].map(Into::into);
    InstanceDisk { name, kind: DiskKind::Disk, bus, serial, claim }
}

fn of_kind(kind: DiskKind, disk: InstanceDisk) -> InstanceDisk {
    InstanceDisk { kind, ..disk }
}

/// One mount as the agent lists it, in Gi.
fn mount(device: &str, mount_point: &str, used: u64, total: u64, serials: &[&str]) -> Filesystem {
    let serials: BTreeSet<String> = serials.iter().map(|serial| (*serial).to_owned()).collect();
    Filesystem {
        disk_name: device.into(),
        mount_point: mount_point.into(),
        kind: "ext4".into(),
        used: Some(used * GI),
        total: Some(total * GI),
        serials: serials.into_iter().collect(),
        hidden: false,
    }
}

fn answered(disks: &[InstanceDisk], mounts: Vec<Filesystem>) -> GuestDisks {
    let mut devices = Devices::new(128);
    mounts.into_iter().for_each(|mount| devices.add(mount));
    GuestDisks::answered(devices.finish(), &disks.into(), NOW)
}

/// What is known of each disk, in Gi.
fn contents(disks: &[InstanceDisk], mounts: Vec<Filesystem>) -> Vec<Result<(u64, u64), Gap>> {
    let known = answered(disks, mounts);
    let content = |disk: &InstanceDisk| known.content(&disk.claim).map(|of| (of.used / GI, of.total / GI));
    disks.iter().map(content).collect()
}

const UUID: &str = "7286dfe6-7c44-4057-a8f4-362cc1e7468c";

#[test]
fn a_disk_is_known_by_every_spelling_of_its_serial() {
    use Bus::*;
    let scsi_uuid = format!("0QEMU_QEMU_HARDDISK_{UUID}");
    let long = "L".repeat(63);
    let (whole, scsi_page_80) =
        (format!("0QEMU_QEMU_HARDDISK_{long}"), format!("SQEMU_QEMU_HARDDISK_{}", &long[..36]));
    for (what, bus, serial, reported, known) in [
        ("udev, SCSI page 0x83", Scsi, "data-1", "0QEMU_QEMU_HARDDISK_data-1", true),
        ("virtio cuts to 20 bytes", Virtio, UUID, "7286dfe6-7c44-4057-a", true),
        ("virtio has no prefix", Virtio, "data-1", "0QEMU_QEMU_HARDDISK_data-1", false),
        ("a UUID is whole on SCSI", Scsi, UUID, &scsi_uuid, true),
        ("SCSI is not cut on page 0x83", Scsi, &long, &whole, true),
        ("sg3_utils' page 0x80 is", Scsi, &long, &scsi_page_80, true),
        ("Windows, vioscsi", Scsi, &long, &long[..36], true),
        ("SCSI, cut as virtio is", Scsi, UUID, "7286dfe6-7c44-4057-a", false),
        ("ata_id", Sata, "ROOT", "QEMU_HARDDISK_ROOT", true),
        ("scsi_id of SATA", Sata, "ROOT", "1ATA_QEMU_HARDDISK_ROOT", true),
        ("SATA without a serial: a number of the drive", Sata, "", "QEMU_HARDDISK_QM00001", false),
        ("SCSI without a serial: its name", Scsi, "", "0QEMU_QEMU_HARDDISK_drive-ua-d", true),
        ("the name of another", Scsi, "", "0QEMU_QEMU_HARDDISK_drive-ua-d2", false),
        ("usb_id", Usb, "BK1", "QEMU_QEMU_HARDDISK_BK1-0:0", true),
        ("Windows, SATA, padded", Sata, "WIN-ROOT", "WIN-ROOT            ", true),
        ("a part of it", Virtio, "data-10", "data-1", false),
        ("in another case", Virtio, "data-1", "DATA-1", false),
        ("a bus that is not known", Unknown, "data-1", "QEMU_QEMU_HARDDISK_data-1-0:0", true),
    ] {
        let owner = Owners::of(&[disk("d", bus, serial)]).owner(reported);
        assert_eq!(owner == Owner::One(0), known, "{what}: {serial} and {reported}");
    }
}

#[test]
fn file_systems_are_counted_for_the_disk_that_they_are_on_or_for_none() {
    use Bus::*;
    let virtio = |name: &str, serial: &str| disk(name, Virtio, serial);
    let two = || vec![virtio("a", "A"), virtio("b", "B")];
    let bind_mounts = (0..40).map(|n| mount("vda1", &format!("/m/{n}"), 5, 9, &["A"]));
    let many: Vec<_> =
        bind_mounts.chain([mount("vdb1", "/srv", 3, 10, &["B"]), mount("vda1", "/", 5, 9, &["A"])]).collect();
    let spread: Vec<String> = (0..5000).map(|n| format!("S{n}")).chain(["A".into()]).collect();
    let spread: Vec<&str> = spread.iter().map(String::as_str).collect();
    for (what, disks, mounts, want) in [
        (
            "a hot-plugged disk",
            vec![disk("d", Scsi, "data-1")],
            vec![mount("sda1", "/data", 3, 10, &["0QEMU_QEMU_HARDDISK_data-1"])],
            vec![Ok((3, 10))],
        ),
        (
            "two serials that virtio cuts to one",
            vec![virtio("x", "myreallycoolvolume-10"), virtio("y", "myreallycoolvolume-11")],
            vec![
                mount("vda1", "/", 3, 10, &["myreallycoolvolume-1"]),
                mount("vdb1", "/b", 3, 10, &["myreallycoolvolume-1"]),
            ],
            vec![Err(Gap::SharedSerial); 2],
        ),
        (
            "SATA without a serial",
            vec![disk("d", Sata, "")],
            vec![mount("sda1", "/", 3, 10, &["QEMU_HARDDISK_QM00001"])],
            vec![Err(Gap::NoSerial)],
        ),
        (
            "Windows, with volumes that are mounted nowhere",
            vec![disk("d", Sata, "WIN-ROOT")],
            vec![
                mount("v1", "System Reserved", 0, 0, &["WIN-ROOT"]),
                mount("v2", "C:\\", 40, 80, &["WIN-ROOT            "]),
                mount("v3", "System Reserved", 0, 0, &["WIN-ROOT"]),
            ],
            vec![Ok((40, 80))],
        ),
        (
            "a volume with two extents on one disk",
            vec![disk("d", Sata, "A")],
            vec![mount("v1", "D:\\", 5, 9, &["A", "A"])],
            vec![Ok((5, 9))],
        ),
        (
            "LVM over two disks",
            two(),
            vec![mount("dm-0", "/", 5, 9, &["A", "B"])],
            vec![Err(Gap::Spanning); 2],
        ),
        (
            "LVM over two disks, and a partition beside it",
            two(),
            vec![mount("vda1", "/boot", 1, 2, &["A"]), mount("dm-0", "/", 5, 9, &["A", "B"])],
            vec![Err(Gap::Spanning); 2],
        ),
        (
            "LVM over a disk and one that is not identified",
            two(),
            vec![mount("dm-0", "/", 5, 9, &["A", ""])],
            vec![Err(Gap::Spanning), Err(Gap::NoFilesystem)],
        ),
        ("40 bind mounts", two(), many, vec![Ok((5, 9)), Ok((3, 10))]),
        (
            "subvolumes of a btrfs",
            vec![virtio("a", "A")],
            ["/", "/home", "/var"].map(|at| mount("vda3", at, 7, 20, &["A"])).into(),
            vec![Ok((7, 20))],
        ),
        (
            "a bind mount with a quota",
            vec![virtio("a", "A")],
            vec![mount("vda1", "/srv/quota", 1, 2, &["A"]), mount("vda1", "/", 7, 20, &["A"])],
            vec![Ok((7, 20))],
        ),
        ("no sizes", vec![virtio("a", "A")], vec![mount("vda1", "/", 0, 0, &["A"])], vec![Err(Gap::NoSizes)]),
        (
            "a size and no use",
            vec![virtio("a", "A")],
            vec![mount("vda1", "/", 3, 9, &["A"]), mount("vda2", "/var", 0, 9, &["A"])],
            vec![Err(Gap::NoUse)],
        ),
        (
            "more used than there is",
            vec![virtio("a", "A")],
            vec![mount("vda1", "/", 10, 9, &["A"])],
            vec![Err(Gap::BadSizes)],
        ),
        (
            "used of nothing",
            vec![virtio("a", "A")],
            vec![mount("vda1", "/", 10, 0, &["A"])],
            vec![Err(Gap::BadSizes)],
        ),
        (
            "a number that is none",
            vec![virtio("a", "A")],
            vec![Filesystem { used: None, ..mount("vda1", "/", 0, 9, &["A"]) }],
            vec![Err(Gap::BadSizes)],
        ),
        ("nothing is listed", two(), vec![], vec![Err(Gap::NothingListed); 2]),
        (
            "a LUN, and a CD-ROM",
            vec![
                of_kind(DiskKind::Lun, disk("l", Scsi, "A")),
                of_kind(DiskKind::CdRom, disk("c", Sata, "A")),
            ],
            vec![mount("sda1", "/", 3, 9, &["3600140567890abcdef"])],
            vec![Err(Gap::Lun), Err(Gap::CdRom)],
        ),
        (
            // kubevirt/kubevirt#18994
            "an image of UDF in the CD-ROM drive of Windows, which is always full",
            vec![disk("root", Sata, "WIN-ROOT"), of_kind(DiskKind::CdRom, disk("iso", Sata, ""))],
            vec![mount("v1", "C:\\", 40, 80, &["WIN-ROOT"]), mount("v2", "E:\\", 1, 1, &["QM00003"])],
            vec![Ok((40, 80)), Err(Gap::CdRom)],
        ),
        (
            "a container disk with the same serial",
            vec![virtio("a", "A"), InstanceDisk { claim: "".into(), ..disk("boot", Scsi, "A") }],
            vec![mount("vda1", "/", 3, 9, &["A"])],
            vec![Err(Gap::SharedSerial), Err(Gap::NoDisk)],
        ),
        (
            "a serial that looks like a name",
            vec![disk("x", Scsi, ""), virtio("y", "drive-ua-x")],
            vec![mount("sda1", "/", 3, 9, &["0QEMU_QEMU_HARDDISK_drive-ua-x"])],
            vec![Ok((3, 9)), Err(Gap::NoFilesystem)],
        ),
        (
            "a loop device",
            vec![virtio("a", "A")],
            vec![mount("loop3", "/snap/core", 1, 1, &[]), mount("vda1", "/", 3, 9, &["A"])],
            vec![Ok((3, 9))],
        ),
        // MacRimi/ProxMenux#268: its root is read-only and always full, and the data are bound to many places.
        (
            "Home Assistant OS",
            vec![disk("d", Scsi, "")],
            vec![
                mount("sda8", "/var/lib/docker", 10, 29, &["0QEMU_QEMU_HARDDISK_drive-ua-d"]),
                mount("sda8", "/mnt/data", 10, 29, &["0QEMU_QEMU_HARDDISK_drive-ua-d"]),
                mount("zram1", "/tmp", 1, 1, &[]),
                Filesystem {
                    kind: "erofs".into(),
                    ..mount("sda3", "/", 1, 1, &["0QEMU_QEMU_HARDDISK_drive-ua-d"])
                },
            ],
            vec![Ok((11, 30))],
        ),
        // The agent lists the last mount first, and asks for sizes by mount point.
        (
            "one is mounted over another",
            vec![virtio("b", "B"), virtio("c", "C")],
            vec![mount("vdc1", "/data", 4, 20, &["C"]), mount("vdb1", "/data", 4, 20, &["B"])],
            vec![Err(Gap::Hidden), Ok((4, 20))],
        ),
        (
            "one is mounted over another, which is elsewhere too",
            vec![virtio("b", "B"), virtio("c", "C")],
            vec![
                mount("vdc1", "/data", 4, 20, &["C"]),
                mount("vdb1", "/data", 4, 20, &["B"]),
                mount("vdb1", "/other", 3, 10, &["B"]),
            ],
            vec![Ok((3, 10)), Ok((4, 20))],
        ),
        (
            "5,000 disks in one file system",
            two(),
            vec![mount("md0", "/", 3, 9, &spread)],
            vec![Err(Gap::Spanning), Err(Gap::NoFilesystem)],
        ),
        (
            "two devices without a name",
            vec![virtio("a", "A")],
            vec![mount("", "/", 1, 9, &["A"]), mount("", "/var", 1, 9, &["A"])],
            vec![Err(Gap::Unnamed)],
        ),
        ("one without a name", vec![virtio("a", "A")], vec![mount("", "/", 1, 9, &["A"])], vec![Ok((1, 9))]),
        (
            "a disk that nothing is on",
            two(),
            vec![mount("vda1", "/", 1, 9, &["A"])],
            vec![Ok((1, 9)), Err(Gap::NoFilesystem)],
        ),
    ] {
        assert_eq!(contents(&disks, mounts), want, "{what}");
    }
}

#[test]
fn what_is_shown_is_each_device_once_and_says_how_many_more_there_are() {
    let disks = [disk("root", Bus::Virtio, "A"), disk("data", Bus::Virtio, "B")];
    let snaps = (0..60).map(|n| mount(&format!("loop{n}"), &format!("/a/{n:02}"), 1, 1, &[]));
    let mounts: Vec<_> = snaps
        .chain([
            mount("vdb", "/srv", 3, 10, &["B"]),
            mount("vda1", "/mnt", 5, 9, &["A"]),
            mount("vda1", "/", 5, 9, &["A"]),
        ])
        .collect();
    let known = answered(&disks, mounts);
    let shown: Vec<_> = known.shown().iter().map(|fs| (&*fs.mount_point, &*fs.claim)).collect();
    assert_eq!((shown.len(), &shown[..3]), (32, &[("/", "root"), ("/srv", "data"), ("/a/00", "")][..]));
    assert_eq!(known.left_out(), 30);
    let content = |claim| known.content(claim).map(|of| (of.used, of.total));
    assert_eq!([content("root"), content("data")], [Ok((5 * GI, 9 * GI)), Ok((3 * GI, 10 * GI))]);
}

/// A btrfs over two disks names the first alone. Others are no larger than their disk, and that may be as large as its volume:
/// KubeVirt before 1.0.1 made disks of all that the volume had, whatever was asked for (kubevirt/kubevirt#2357, #9809).
#[test]
fn file_systems_that_are_larger_than_their_disk_lie_on_others_too() {
    let first = |kind: &'static str, request: Option<u64>, capacity: u64, total: u64| {
        let usage = on_two_disks(
            request,
            capacity,
            Filesystem { kind: kind.into(), ..mount("vda", "/", 12.min(total), total, &["A"]) },
        );
        assert_eq!(usage[1], Err(Reason::NotReported));
        usage[0].map(|used| used / GI)
    };
    let refused = Err(Reason::NotReported);
    for (what, kind, request, capacity, total, want) in [
        ("a btrfs over both", "btrfs", None, 10, 20, refused),
        ("a btrfs on one", "btrfs", None, 10, 10, Ok(10)),
        ("a btrfs over both, in a pool", "btrfs", Some(4), 39, 8, refused),
        ("a file system that cannot be", "ext4", None, 10, 20, refused),
        ("a disk as large as was asked for", "xfs", Some(4), 39, 4, Ok(4)),
        ("a disk as large as its volume", "ext4", Some(1), 35, 34, Ok(12)),
        ("a disk as large as its volume, in Windows", "NTFS", Some(2), 37, 36, Ok(12)),
        ("more than the volume has", "ext4", Some(1), 35, 40, refused),
    ] {
        assert_eq!(first(kind, request, capacity, total), want, "{what}");
    }
}

/// The used bytes of two disks of one VM whose guest reports this file system.
fn on_two_disks(request: Option<u64>, capacity: u64, mounted: Filesystem) -> Vec<Result<u64, Reason>> {
    let mut state = state();
    state.limits.disk_sources = vec![SourceId::GuestAgent];
    add_vm(&mut state, "a", "web", 500, GI);
    let disks = [disk("web-root", Bus::Virtio, "A"), disk("web-data", Bus::Virtio, "B")];
    let volumes = disks
        .iter()
        .map(|disk| InstanceVolume { name: disk.name.to_string(), claim: disk.claim.to_string() });
    state.apply(Observation::Instances(applied(InstanceFacts {
        volumes: volumes.collect(),
        disks: disks.clone().into(),
        agent_connected: true,
        ..instance("a", "web-vm", "n1")
    })));
    for claim in ["web-root", "web-data"] {
        state.apply(Observation::Claims(applied(ClaimFacts {
            namespace: "a".into(),
            name: claim.into(),
            request: request.map(|request| request * GI),
            capacity: Some(capacity * GI),
            ..Default::default()
        })));
    }
    let instance = Key::new("a", "web-vm");
    state.apply(Observation::Filesystems { instance, at: NOW, result: Ok(vec![mounted]) });
    web(&mut state).volumes.iter().map(|volume| used(&volume.usage)).collect()
}

/// A serial helps if the disk has none and its guest could report one.
#[test]
fn the_advice_to_set_a_serial_is_given_only_where_it_helps() {
    for (target, serial, mounts, set_a_serial) in [
        (disk("web-root", Bus::Virtio, ""), "", vec![mount("vda1", "/", 1, 9, &[""])], true),
        (disk("web-root", Bus::Virtio, "A"), "A", vec![mount("vda1", "/", 1, 9, &["other"])], false),
        (disk("web-root", Bus::Scsi, ""), "", vec![mount("sda1", "/", 1, 9, &["other"])], false),
        (
            of_kind(DiskKind::Lun, disk("web-root", Bus::Scsi, "")),
            "",
            vec![mount("sda1", "/", 1, 9, &["other"])],
            false,
        ),
        (disk("web-root", Bus::Virtio, ""), "", vec![], false),
    ] {
        let mut state = state();
        state.limits.disk_sources = vec![SourceId::Kubelet, SourceId::GuestAgent];
        add_vm(&mut state, "a", "web", 500, GI);
        state.apply(Observation::Instances(applied(InstanceFacts {
            volumes: [InstanceVolume { name: "web-root".into(), claim: "web-root".into() }].into(),
            disks: [target.clone()].into(),
            agent_connected: true,
            ..instance("a", "web-vm", "n1")
        })));
        let block =
            ClaimFacts { namespace: "a".into(), name: "web-root".into(), block: true, ..Default::default() };
        state.apply(Observation::Claims(applied(block)));
        let filesystems =
            Observation::Filesystems { instance: Key::new("a", "web-vm"), at: NOW, result: Ok(mounts) };
        state.apply(filesystems);
        let volume = &web(&mut state).volumes[0];
        let missing: Vec<_> =
            volume.readings.iter().map(|reading| &reading.figure).chain([&volume.usage]).collect();
        let advice: Vec<String> =
            missing.iter().map(|figure| figure.missing().unwrap().fix.english()).collect();
        let said = advice.iter().any(|advice| advice.contains("a serial"));
        let needs = target.kind == DiskKind::Disk && serial.is_empty() && target.bus != Bus::Scsi;
        assert_eq!(said, set_a_serial || needs, "{target:?}: {advice:?}");
    }
}

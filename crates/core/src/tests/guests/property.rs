//! For any disks and file systems: no file system is counted for two disks.

use proptest::prelude::*;

use super::*;
use crate::{disk_content::Content, disk_owner::spellings};

fn any_disk() -> impl Strategy<Value = InstanceDisk> {
    let kind = prop_oneof![4 => Just(DiskKind::Disk), 1 => Just(DiskKind::Lun), 1 => Just(DiskKind::CdRom)];
    let bus =
        prop_oneof![Just(Bus::Virtio), Just(Bus::Scsi), Just(Bus::Sata), Just(Bus::Usb), Just(Bus::Unknown)];
    // Few of them, some alike for their first 20 or 36 bytes, and such as look like another's spelling.
    let serial = prop_oneof![
        Just(String::new()),
        "[ab]{1,2}",
        "aaaaaaaaaaaaaaaaaaaa[ab]{0,2}",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa[ab]{0,2}",
        "(QEMU_HARDDISK_|drive-ua-|0QEMU_QEMU_HARDDISK_)[ab]",
    ];
    ("[ab]{1,2}", kind, bus, serial)
        .prop_map(|(name, kind, bus, serial)| of_kind(kind, disk(&name, bus, &serial)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn two_disks_never_claim_the_same_file_system(
        mut disks in prop::collection::vec(any_disk(), 1..6),
        reported in prop::collection::vec((0..6usize, 0..4usize, 1..3usize), 1..6),
    ) {
        disks.iter_mut().enumerate().for_each(|(place, disk)| disk.claim = format!("claim-{place}").into());
        let all: Vec<Vec<String>> = disks.iter().map(|disk| spellings(disk).into_iter().collect()).collect();
        // Each file system is reported by some spelling of some disk, and holds a power of two: a sum tells its parts.
        let mounts: Vec<Filesystem> = reported.iter().enumerate().map(|(n, (place, spelling, count))| {
            let serials: Vec<&str> = (0..*count)
                .filter_map(|more| {
                    let texts = &all[(place + more) % all.len()];
                    Some(texts.get(spelling % texts.len().max(1))?.as_str())
                })
                .collect();
            mount(&format!("vd{n}"), &format!("/{n}"), 1 << n, 1 << (n + 8), &serials)
        }).collect();
        let owners = Owners::of(&disks);
        let known = answered(&disks, mounts.clone());
        let mut claimed = 0u64;
        for (place, disk) in disks.iter().enumerate() {
            let Ok(Content { used, .. }) = known.content(&disk.claim) else { continue };
            prop_assert_eq!(claimed & (used / GI), 0, "{} is claimed twice by {:?}", used / GI, disks);
            claimed |= used / GI;
            for (n, mount) in mounts.iter().enumerate().filter(|(n, _)| (used / GI) & (1 << n) != 0) {
                prop_assert!(mount.serials.iter().all(|serial| owners.owner(serial) == Owner::One(place)), "{n} {mount:?}");
            }
        }
    }

    #[test]
    fn what_is_not_unique_names_no_disk(disks in prop::collection::vec(any_disk(), 1..6)) {
        let owners = Owners::of(&disks);
        for (place, text) in disks.iter().enumerate().flat_map(|(n, disk)| spellings(disk).into_iter().map(move |text| (n, text))) {
            let others = disks.iter().enumerate().filter(|(n, disk)| *n != place && spellings(disk).contains(&text)).count();
            prop_assert_eq!(owners.owner(&text) == Owner::One(place), others == 0, "{}", text);
        }
    }
}

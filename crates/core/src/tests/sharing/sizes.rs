//! The sizes of disks and file systems.

use super::*;

#[test]
fn the_contracts_percentage_is_of_the_file_system() {
    let claim = volume("c", 4 * GI, 39 * GI, Some(Provisioner::Directory)).holds(30 * GI, 39 * GI);
    let vm = find(&snapshot_of(&[claim], &[], false), "a", "c");
    let sample = vm.summary.usage.disk.sample().unwrap();
    assert_eq!((sample.contract_percent(), sample.of, vm.volumes[0].size), (76, 39 * GI, Some(4 * GI)));
}

/// A kubelet writes 0 for what a driver does not say, as of a volume that is unwell.
#[test]
fn a_capacity_of_nothing_is_no_capacity() {
    let zeros = volume("c", 10 * GI, 10 * GI, Some(Provisioner::Device));
    assert_eq!(shown(&[zeros], &[], false).0, [(Err(Reason::NotReported), Some(10 * GI))]);
    let some = Volume { used: 3 * GI, ..volume("c", 10 * GI, 10 * GI, None) };
    assert_eq!(shown(&[some], &[], false).0, [(Err(Reason::NotReported), Some(10 * GI))]);
}

#[test]
fn the_size_of_a_disk_is_the_lesser_of_what_was_asked_for_and_given() {
    for (request, capacity, block, want) in [
        (Some(4 * GI), Some(39 * GI), false, Some(4 * GI)),
        (Some(20 * GI), Some(10 * GI), false, Some(10 * GI)),
        (Some(4 * GI), None, false, Some(4 * GI)),
        (None, Some(39 * GI), false, Some(39 * GI)),
        (Some(4 * GI), Some(5 * GI), true, Some(5 * GI)),
        (Some(4 * GI), None, true, Some(4 * GI)),
        (None, None, false, None),
    ] {
        let size = crate::sharing::ClaimSize { request, capacity }.of_disk(block);
        assert_eq!(size, want, "{request:?} {capacity:?} {block}");
    }
}

//! What facts take in memory, beside what the quota counts for them. Everyone who may write an object chooses how
//! long its lists are, and what becomes of their elements.

use super::*;

/// Bytes on the heap that the facts of an object take, and those that the quota counts for them.
fn heap_and_weight<K: Kind>(spec_and_status: &str) -> (usize, usize) {
    let json = format!(r#"{{"metadata": {{"name": "a", "namespace": "b"}}, {spec_and_status}}}"#);
    let mut facts = None;
    let heap = allocation_counter::measure(|| facts = read::<K>(&json)).bytes_current;
    let weight = K::weight(&facts.expect("it has a name"));
    (usize::try_from(heap).expect("more is allocated than freed"), weight)
}

fn assert_counted<K: Kind>(spec_and_status: &str) {
    let (heap, weight) = heap_and_weight::<K>(spec_and_status);
    assert!(heap <= weight + weight / 2, "{heap} bytes weigh {weight}: {} {spec_and_status:.200}", K::PLURAL);
}

/// Lists of which all elements, all but one, and half are of no use. Half of them and one more is the least that
/// a list which doubles as it grows has room for.
fn lists(most: usize, used: &str, unused: &str) -> [String; 4] {
    [(most, 0), (most - 1, 1), (most / 2, most / 2), (0, most / 2 + 1)].map(|(unused_count, used_count)| {
        [vec![unused; unused_count], vec![used; used_count]].concat().join(",")
    })
}

#[test]
fn the_lists_of_an_object_take_no_more_memory_than_they_weigh() {
    for volumes in
        lists(320, r#"{"name":"v","persistentVolumeClaim":{"claimName":"c"}}"#, r#"{"emptyDir":{}}"#)
    {
        assert_counted::<Pods>(&format!(r#""spec": {{"volumes": [{volumes}]}}"#));
    }
    for containers in lists(64, r#"{"name":"c"}"#, "{}") {
        assert_counted::<Pods>(&format!(r#""spec": {{"containers": [{containers}]}}"#));
    }
    for volumes in lists(256, r#"{"name":"v","dataVolume":{"name":"c"}}"#, r#"{"emptyDisk":{}}"#) {
        assert_counted::<Instances>(&format!(r#""spec": {{"volumes": [{volumes}]}}"#));
    }
    for disks in lists(256, r#"{"name":"d"}"#, "{}") {
        assert_counted::<Instances>(&format!(
            r#""spec": {{"domain": {{"devices": {{"disks": [{disks}]}}}}}}"#
        ));
        assert_counted::<Wukongs>(&format!(
            r#""spec": {{"disks": [{disks}]}}, "status": {{"volumes": [{disks}]}}"#
        ));
    }
    for interfaces in lists(64, r#"{"name":"i"}"#, "{}") {
        assert_counted::<Instances>(&format!(
            r#""spec": {{"domain": {{"devices": {{"interfaces": [{interfaces}]}}}}}},
            "status": {{"interfaces": [{interfaces}], "conditions": [{interfaces}]}}"#
        ));
        assert_counted::<Wukongs>(&format!(
            r#""spec": {{"networks": [{interfaces}]}}, "status": {{"networks": [{interfaces}]}}"#
        ));
    }
    for subjects in lists(1024, r#"{"kind":"ServiceAccount","name":"s"}"#, r#"{"kind":"Robot","name":"s"}"#) {
        assert_counted::<RoleBindings>(&format!(r#""subjects": [{subjects}]"#));
    }
}

#[test]
fn a_text_that_is_cut_takes_no_more_memory_than_its_rest() {
    let long = "é".repeat(10_000);
    assert_counted::<Wukongs>(&format!(
        r#""spec": {{"memory": "{long}", "osImage": "{long}", "disks": [{{"image": "{long}"}}]}},
        "status": {{"phase": "{long}", "volumes": [{{"name": "{long}", "pvcName": "{long}"}}]}}"#
    ));
    assert_counted::<VirtualMachines>(&format!(
        r#""status": {{"printableStatus": "x", "conditions": [{{"type": "Failure", "status": "True", "message": "{long}"}},
        {{"type": "Paused", "status": "True", "reason": "{long}", "message": "{long}"}}]}}"#
    ));
    assert_counted::<Instances>(&format!(
        r#""status": {{"guestOSInfo": {{"prettyName": "{long}"}}, "interfaces": [{{"ipAddress": "{long}"}}]}}"#
    ));
}

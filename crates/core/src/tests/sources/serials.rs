//! Guest file systems, and the volumes that they lie on.

use super::*;

#[test]
fn a_file_system_belongs_to_a_volume_by_a_serial_that_is_its_alone() {
    for (serials, filesystems, want) in [
        (vec![("root", "S1")], vec![fs("vda1", "/", "S1", GI, 9 * GI)], Ok(1)),
        // Mounted twice, and a second file system.
        (
            vec![("root", "S1")],
            vec![
                fs("vda1", "/", "S1", GI, 9 * GI),
                fs("vda1", "/home", "S1", GI, 9 * GI),
                fs("vda2", "/boot", "S1", GI, GI),
            ],
            Ok(2),
        ),
        (
            vec![("root", "S1"), ("data", "S1")],
            vec![fs("vda1", "/", "S1", GI, 9 * GI)],
            Err(Reason::NotReported),
        ),
        (vec![("root", "S1")], vec![fs("vda1", "/", "", GI, 9 * GI)], Err(Reason::NotReported)),
        // One of two is not known: their sum is not either.
        (
            vec![("root", "S1")],
            vec![fs("vda1", "/", "S1", GI, 9 * GI), fs("vda2", "/var", "S1", 0, GI)],
            Err(Reason::NotReported),
        ),
        // Two devices without a name, or one that is mounted twice: that is not known.
        (
            vec![("root", "S1")],
            vec![fs("", "/", "S1", GI, 9 * GI), fs("", "/var", "S1", GI, 9 * GI)],
            Err(Reason::NotReported),
        ),
        (vec![("root", "S1")], vec![fs("", "/", "S1", GI, 9 * GI)], Ok(1)),
        // A logical volume over two disks.
        (
            vec![("root", "S1"), ("data", "S2")],
            vec![Filesystem { serials: vec!["S1".into(), "S2".into()], ..fs("dm-0", "/", "", GI, 9 * GI) }],
            Err(Reason::NotReported),
        ),
    ] {
        let mut state = all();
        state.limits.disk_sources = vec![SourceId::GuestAgent];
        with(&mut state, &["root", "data"], &serials);
        agent(&mut state, filesystems.clone());
        let got = shown(&volume(&mut state, "root").usage).map(|(_, used)| used);
        assert_eq!(got, want, "{serials:?} {filesystems:?}");
    }
}

#[test]
fn what_maps_to_no_volume_is_shown_as_the_guests() {
    let mut state = all();
    with(&mut state, &["root"], &[("root", "S1")]);
    agent(&mut state, vec![fs("vda1", "/", "S1", GI, 9 * GI), fs("sr0", "/cd", "other", GI, GI)]);
    let vm = web(&mut state);
    let claims: Vec<_> = vm.guest.filesystems.iter().map(|fs| (&*fs.mount_point, &*fs.claim)).collect();
    assert_eq!(claims, [("/", "web-root"), ("/cd", "")]);
    let later = find(&state.join(NOW + 3_600_000), "a", "web");
    assert_eq!((later.guest.filesystems.len(), later.guest.at), (0, None), "an hour old is nothing");
}

/// Ten thousand guests have a few each: snapshots and VMs share them.
#[test]
fn file_systems_are_shared_with_what_shows_them_until_disks_change_places() {
    let mut state = all();
    with(&mut state, &["root", "data"], &[("root", "S1"), ("data", "S2")]);
    agent(&mut state, vec![fs("vda1", "/", "S1", GI, 9 * GI)]);
    let one = web(&mut state);
    let kept = state.guests.get(&KeyRef("a", "web-vm")).unwrap().shown();
    assert_eq!(one.guest.filesystems[0].claim, "web-root");
    assert!(Arc::ptr_eq(&one.guest.filesystems, kept), "a copy for each VM");
    with(&mut state, &["root", "data"], &[("root", "S2"), ("data", "S1")]);
    assert_eq!(web(&mut state).guest.filesystems[0].claim, "web-data");
}

#[test]
fn a_guest_that_is_gone_is_forgotten() {
    let mut state = all();
    with(&mut state, &["root"], &[("root", "S1")]);
    agent(&mut state, vec![fs("vda1", "/", "S1", GI, 9 * GI)]);
    state.join(NOW);
    assert!(state.guests.get(&KeyRef("a", "web-vm")).is_some());
    let deleted = Change::Deleted { key: Key::new("a", "web-vm"), at: NOW };
    state.apply(Observation::Instances(deleted));
    state.join(NOW);
    assert!(state.guests.get(&KeyRef("a", "web-vm")).is_none());
}

#[test]
fn a_disk_that_may_be_one_of_those_left_out_is_too_much() {
    for (left_out, reason) in [(0, Reason::NotReported), (3, Reason::TooLarge)] {
        let mut state = ClusterState::new(Limits { disk_sources: vec![SourceId::GuestAgent], ..limits() });
        state.apply(Observation::Claims(replaced(vec![])));
        add_vm(&mut state, "a", "web", 500, GI);
        with(&mut state, &["root"], &[("root", "S1")]);
        let mut facts = state.instances.values().next().map(|facts| (**facts).clone()).unwrap();
        (facts.disks, facts.disks_left_out) = (Default::default(), left_out);
        state.apply(Observation::Instances(applied(facts)));
        let filesystem =
            Filesystem { mount_point: "/".into(), used: Some(1), total: Some(2), ..Default::default() };
        let instance = Key::new("a", "web-vm");
        state.apply(Observation::Filesystems { instance, at: NOW, result: Ok(vec![filesystem]) });
        assert_eq!(shown(&volume(&mut state, "root").usage), Err(reason));
    }
}

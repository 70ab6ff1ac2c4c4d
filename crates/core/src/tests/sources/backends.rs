//! Longhorn and Ceph, and the PersistentVolumes that name their volumes.

use super::*;

#[test]
fn a_claim_that_its_volume_does_not_name_leads_nowhere() {
    let mut state = all();
    with(&mut state, &["root"], &[]);
    longhorn(&mut state, "root", 12 * GI);
    let others = PersistentVolumeFacts {
        name: "pv-root".into(),
        claim: Key::new("b", "web-root"),
        provisioner: Provisioner::Device,
        backend: Some(Backend::Longhorn("handle-root".into())),
    };
    state.apply(Observation::PersistentVolumes(applied(others)));
    report(&mut state, summary("n1", vec![]));
    assert_eq!(shown(&volume(&mut state, "root").usage), Err(Reason::NotReported));
}

/// A tenant may create Longhorn objects in their own namespace.
#[test]
fn a_longhorn_volume_in_another_namespace_is_ignored() {
    let reported = |namespaces: &[&str]| {
        let mut state = all();
        with(&mut state, &["root"], &[]);
        persistent(&mut state, "root", Backend::Longhorn("handle-root".into()));
        for (n, namespace) in (1..).zip(namespaces) {
            state.apply(Observation::LonghornVolumes(applied(LonghornFacts {
                namespace: (*namespace).into(),
                name: "handle-root".into(),
                size: Some(20 * GI),
                actual_size: Some(n * GI),
                engine: LonghornEngine::V1,
            })));
        }
        report(&mut state, summary("n1", vec![]));
        let volume = volume(&mut state, "root");
        let reading = [Reading { source: volume.source, figure: volume.usage.clone() }];
        let mut all = volume.readings.iter().chain(&reading);
        let longhorn = all.find(|reading| reading.source == SourceId::Longhorn).unwrap().figure.clone();
        let said = longhorn.missing().map(|missing| missing.detail.english()).unwrap_or_default();
        (shown(&longhorn).map(|(_, used)| used), said)
    };
    assert_eq!(reported(&["longhorn-system", "tenant"]), (Ok(1), String::new()));
    assert_eq!(reported(&["tenant", "longhorn-system"]), (Ok(2), String::new()));
    // Longhorn is installed in another namespace: nothing says which object is Longhorn's own.
    assert_eq!(reported(&["storage"]), (Ok(1), String::new()));
    let twice = "several namespaces have a Longhorn volume of this name";
    assert_eq!(reported(&["storage", "tenant"]), (Err(Reason::NotReported), twice.into()));
    let mut state = all();
    with(&mut state, &["root"], &[]);
    longhorn(&mut state, "other", GI);
    persistent(&mut state, "root", Backend::Longhorn("handle-root".into()));
    let mut tenants =
        LonghornFacts { namespace: "tenant".into(), name: "handle-root".into(), ..Default::default() };
    (tenants.size, tenants.actual_size) = (Some(20 * GI), Some(GI));
    state.apply(Observation::LonghornVolumes(applied(tenants)));
    report(&mut state, summary("n1", vec![]));
    assert_eq!(
        shown(&volume(&mut state, "root").usage),
        Err(Reason::NotReported),
        "Longhorn has none of that name"
    );
}

/// ceph/ceph#64855, longhorn/longhorn#5947.
#[test]
fn what_a_backend_does_not_count_is_unknown_with_its_reason() {
    for (used, reason, fix) in [
        (Err(Uncounted::Mirrored), Some(Reason::Mirrored), "rbd du"),
        (Err(Uncounted::NoFastDiff), Some(Reason::NoFastDiff), "rbd feature enable"),
        (Err(Uncounted::InvalidMap), Some(Reason::NoFastDiff), "rbd object-map rebuild"),
        (Ok(0), None, ""),
    ] {
        let mut state = all();
        with(&mut state, &["block-root"], &[]);
        ceph(&mut state, "block-root", used);
        let usage = volume(&mut state, "block-root").usage;
        assert_eq!(usage.missing().map(|missing| missing.reason), reason);
        let said = usage.missing().map(|missing| missing.fix.english()).unwrap_or_default();
        assert!(said.contains(fix), "{said}");
    }
    for (engine, actual, want, detail) in [
        (LonghornEngine::V1, 0, Ok(("longhorn", 0)), ""),
        (LonghornEngine::UncountedV2, 0, Err(Reason::NotReported), "before 1.6"),
        (LonghornEngine::UncountedV2, GI, Ok(("longhorn", 1)), ""),
        (LonghornEngine::V2, 0, Err(Reason::NotReported), ""),
        (LonghornEngine::V2, GI, Ok(("longhorn", 1)), ""),
    ] {
        let mut state = all();
        with(&mut state, &["block-root"], &[]);
        longhorn(&mut state, "block-root", actual);
        let mut facts = (**state.longhorn.values().next().unwrap()).clone();
        facts.engine = engine;
        state.apply(Observation::LonghornVolumes(applied(facts)));
        let usage = volume(&mut state, "block-root").usage;
        assert_eq!(shown(&usage), want, "{engine:?} {actual}");
        let said = usage.missing().map(|missing| missing.detail.english()).unwrap_or_default();
        assert!(said.contains(detail), "{said}");
    }
}

/// longhorn/longhorn#9594.
#[test]
fn a_size_of_nothing_is_no_size() {
    let mut state = all();
    with(&mut state, &["root"], &[]);
    longhorn(&mut state, "root", 12 * GI);
    let sized = LonghornFacts {
        namespace: "longhorn-system".into(),
        name: "handle-root".into(),
        size: Some(0),
        actual_size: Some(12 * GI),
        engine: LonghornEngine::V1,
    };
    state.apply(Observation::LonghornVolumes(applied(sized)));
    let volume = volume(&mut state, "root");
    let sample = volume.usage.sample().unwrap();
    assert_eq!((sample.used, Some(sample.of)), (12 * GI, volume.size), "of the claim's size");
}

/// Ten thousand of them would be kept for nothing.
#[test]
fn a_persistent_volume_that_tells_nothing_is_not_kept() {
    let mut state = all();
    with(&mut state, &["root", "data"], &[]);
    longhorn(&mut state, "root", 12 * GI);
    let local = |name: &str| PersistentVolumeFacts {
        name: name.into(),
        claim: Key::new("a", "web-root"),
        provisioner: Provisioner::Unknown,
        backend: None,
    };
    state.apply(Observation::PersistentVolumes(applied(local("pv-data"))));
    assert_eq!(state.persistent_volumes.len(), 1);
    state.apply(Observation::PersistentVolumes(applied(local("pv-root"))));
    assert!(state.persistent_volumes.is_empty(), "it led somewhere before");
    state.apply(Observation::PersistentVolumes(replaced(vec![local("pv-root"), local("pv-data")])));
    assert!(state.persistent_volumes.is_empty());
}

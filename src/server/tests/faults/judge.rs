//! What must hold of each snapshot.

use super::*;

/// What a cluster without faults shows, once everything of it is known.
pub(super) type Truth = HashMap<(String, String), u64>;

/// CPU, memory and each volume, by name.
pub(super) fn figures(vm: &Vm) -> Vec<(&str, &Figure)> {
    let usage = &vm.summary.usage;
    let volumes = vm.volumes.iter().map(|volume| (volume.name.as_str(), &volume.usage));
    [("cpu", &usage.cpu), ("memory", &usage.memory)].into_iter().chain(volumes).collect()
}

pub(super) fn source(snapshot: &Snapshot, id: SourceId) -> Result<&SourceHealth, String> {
    snapshot.sources.iter().find(|source| source.id == id).ok_or_else(|| format!("no source {id:?}"))
}

/// Both VMs, every figure true and fresh, every source well.
pub(super) fn all_well(snapshot: &Snapshot) -> Result<(), String> {
    let states = snapshot.sources.iter().map(|source| (source.id, source.state, &source.error));
    let ill: Vec<_> = states
        .filter(|(_, state, _)| !matches!(state, SourceState::Healthy | SourceState::NotConfigured))
        .collect();
    if !ill.is_empty() || snapshot.vms.len() != 2 {
        return Err(format!("{} VMs, {ill:?}", snapshot.vms.len()));
    }
    snapshot
        .vms
        .iter()
        .try_for_each(|vm| figures(vm).into_iter().try_for_each(|(name, figure)| fresh(vm, name, figure)))
}

pub(super) fn fresh(vm: &Vm, name: &str, figure: &Figure) -> Result<(), String> {
    match figure.sample() {
        Some(sample) if !sample.stale => Ok(()),
        _ => Err(format!("{} {name}: {figure:?}", vm.summary.name)),
    }
}

/// Prometheus' CPU is a counter's growth over a time: as exact as a division of the two.
pub(super) fn is_same(sample: &Sample, want: u64) -> bool {
    let rate = sample.window_ms > 0 && sample.source == Source::Prometheus;
    sample.used.abs_diff(want) <= if rate { want / 1_000_000 } else { 0 }
}

/// A figure that is shown is the one that the cluster has, whatever else was said.
pub(super) fn nothing_invented(snapshot: &Snapshot, truth: &Truth) -> Result<(), String> {
    snapshot.vms.iter().try_for_each(|vm| {
        figures(vm).into_iter().try_for_each(|(name, figure)| {
            let last = figure.missing().and_then(|missing| missing.last);
            let want = truth.get(&(vm.vm_name.clone(), name.to_owned()));
            match (figure.sample().copied().or(last), want) {
                (Some(sample), Some(want)) if is_same(&sample, *want) => Ok(()),
                // Where claims cannot be read, the simulated kubelet's word on a raw device stands.
                (Some(sample), _) if sample.source.layer() == Layer::Image && sample.used == DISK => Ok(()),
                (None, _) => Ok(()),
                (Some(_), want) => Err(format!("invented: {name} {figure:?}, not {want:?}")),
            }
        })
    })
}

pub(super) async fn truth() -> Truth {
    let mut rig = Rig::start(None, false).await;
    rig.within(TEST_TIMEOUT, all_well).await.unwrap();
    let snapshot = rig.snapshots.borrow().clone();
    let of = |vm: &Arc<Vm>| {
        let known = |(name, figure): (&str, &Figure)| {
            ((vm.vm_name.clone(), name.to_owned()), figure.sample().unwrap().used)
        };
        figures(vm).into_iter().map(known).collect::<Vec<_>>()
    };
    let truth: Truth = snapshot.vms.iter().flat_map(of).collect();
    let of_web = |name: &str| truth[&("web-vm".to_owned(), name.to_owned())];
    assert_eq!([of_web("cpu"), of_web("memory"), of_web("root")], [CPU, MEMORY, DISK]);
    let web = snapshot.vms.iter().find(|vm| vm.summary.name == "web").unwrap();
    let sources: Vec<_> = web.volumes.iter().map(|volume| volume.source).collect();
    let want =
        [SourceId::Kubelet, SourceId::Prometheus, SourceId::GuestAgent, SourceId::Longhorn, SourceId::Ceph];
    assert_eq!(sources, want, "a volume of each source");
    truth
}

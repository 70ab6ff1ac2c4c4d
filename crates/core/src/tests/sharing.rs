//! File systems that volumes share: each case is a real cluster's.

mod sizes;

use super::*;
use model::figure::Basis;

const MI: u64 = 1 << 20;

/// A claim, its storage, and what the kubelet of `n1` reports of it.
struct Volume {
    claim: &'static str,
    request: Option<u64>,
    capacity: Option<u64>,
    /// None: its PersistentVolume cannot be read.
    made_by: Option<Provisioner>,
    used: u64,
    of: u64,
    available: u64,
}

/// What is shown of a volume: bytes used and in all, and of what; and its size.
type Shown = (Result<(u64, u64, Basis), Reason>, Option<u64>);

/// One VM for each volume, all on `n1`.
fn snapshot_of(volumes: &[Volume], node_filesystems: &[u64], by_prometheus: bool) -> Snapshot {
    let disk_sources = vec![if by_prometheus { SourceId::Prometheus } else { SourceId::Kubelet }];
    let mut state = ClusterState::new(Limits { disk_sources, ..limits() });
    state.apply(Observation::PersistentVolumes(replaced(vec![])));
    for volume in volumes {
        add_vm(&mut state, "a", volume.claim, 500, GI);
        let of = WukongVolume { name: "root".into(), claim: volume.claim.into(), size: String::new() };
        state.apply(Observation::Wukongs(applied(WukongFacts {
            volumes: [of].into(),
            ..wukong("a", volume.claim)
        })));
        state.apply(Observation::Claims(applied(ClaimFacts {
            namespace: "a".into(),
            name: volume.claim.into(),
            request: volume.request,
            capacity: volume.capacity,
            volume_name: format!("pv-{}", volume.claim),
            ..Default::default()
        })));
        if let Some(provisioner) = volume.made_by {
            state.apply(Observation::PersistentVolumes(applied(PersistentVolumeFacts {
                name: format!("pv-{}", volume.claim).into(),
                claim: Key::new("a", volume.claim),
                provisioner,
                backend: None,
            })));
        }
    }
    let stats = volumes.iter().map(|volume| VolumeStats {
        available: Some(volume.available),
        node: if by_prometheus { "n1".into() } else { "".into() },
        ..stats("a", volume.claim, volume.used, volume.of)
    });
    let (volumes_told, node_filesystems) = (stats.collect::<Vec<_>>(), node_filesystems.to_vec());
    let kubelet = if by_prometheus { Vec::new() } else { volumes_told.clone() };
    let facts = SummaryFacts { node_filesystems, ..summary_facts(kubelet) };
    state.apply(Observation::Summary { node: "n1".into(), at: NOW, result: Ok(facts) });
    if by_prometheus {
        let facts = PrometheusFacts { volumes: volumes_told, ..Default::default() };
        state.apply(Observation::Prometheus { at: NOW, result: Ok(facts) });
    }
    state.join(NOW)
}

/// What is shown of each volume, and what the totals count.
fn shown(volumes: &[Volume], node_filesystems: &[u64], by_prometheus: bool) -> (Vec<Shown>, (u64, u64)) {
    let snapshot = snapshot_of(volumes, node_filesystems, by_prometheus);
    let shown = volumes.iter().map(|volume| {
        let volume = find(&snapshot, "a", volume.claim).volumes[0].clone();
        let sample = volume.usage.sample().map(|sample| (sample.used, sample.of, sample.basis));
        (sample.ok_or_else(|| volume.usage.missing().unwrap().reason), volume.size)
    });
    let totals = &snapshot.totals.disk_used;
    (shown.collect(), (totals.used, totals.of))
}

fn volume(claim: &'static str, request: u64, capacity: u64, made_by: Option<Provisioner>) -> Volume {
    Volume { claim, request: Some(request), capacity: Some(capacity), made_by, used: 0, of: 0, available: 0 }
}

impl Volume {
    fn holds(self, used: u64, of: u64) -> Self {
        Self { used, of, available: of - used, ..self }
    }
}

/// kubevirt/hostpath-provisioner#33, rancher/local-path-provisioner#266,
/// kubernetes-sigs/sig-storage-local-static-provisioner#340, kubesphere/kubesphere#2921, kubernetes/kubernetes#77570,
/// kubevirt/kubevirt#9809.
#[test]
fn a_file_system_that_several_claims_share_counts_for_none() {
    use Provisioner::{Device, Directory, Unknown, Unlisted};
    let (shared, own) = (Basis::SharedFilesystem, Basis::Own);
    let overhead = 32_212_254_720 / 100 * 106;
    let cases: Vec<(&str, Vec<Volume>, Vec<u64>, Basis)> = vec![
        (
            "1: two directories of KubeVirt's hostpath provisioner",
            vec![
                volume("c", 4 * GI, 39 * GI, Some(Directory)).holds(30 * GI, 39 * GI),
                volume("d", 4 * GI, 39 * GI, Some(Directory)).holds(30 * GI, 39 * GI),
            ],
            vec![],
            shared,
        ),
        (
            "2: the same, volumes not readable",
            vec![
                volume("c", 4 * GI, 39 * GI, None).holds(30 * GI, 39 * GI),
                volume("d", 4 * GI, 39 * GI, None).holds(30 * GI - 10 * MI, 39 * GI),
            ],
            vec![],
            shared,
        ),
        (
            "2: alike alone, since the status says what was asked for",
            vec![
                volume("c", 39 * GI, 39 * GI, None).holds(30 * GI, 39 * GI),
                volume("d", 39 * GI, 39 * GI, None).holds(30 * GI - 10 * MI, 39 * GI),
            ],
            vec![],
            shared,
        ),
        (
            "3: one claim alone",
            vec![volume("c", 4 * GI, 39 * GI, None).holds(30 * GI, 39 * GI)],
            vec![],
            shared,
        ),
        (
            "4: claims that are together larger than their file system",
            vec![
                volume("c", 15 * GI, 15 * GI, Some(Directory)).holds(12 * GI, 20 * GI),
                volume("d", 18 * GI, 18 * GI, Some(Directory)).holds(12 * GI, 20 * GI),
            ],
            vec![],
            shared,
        ),
        (
            "4: the same, volumes not readable, and the capacity within a tenth",
            vec![
                volume("c", 19 * GI, 19 * GI, None).holds(12 * GI, 20 * GI),
                volume("d", 19 * GI, 19 * GI, None).holds(12 * GI, 20 * GI),
            ],
            vec![],
            shared,
        ),
        (
            "6: two local disks of one size",
            vec![
                volume("c", 1000 * GI, 1000 * GI, Some(Unknown)).holds(100 * GI, 1000 * GI),
                volume("d", 1000 * GI, 1000 * GI, Some(Unknown)).holds(600 * GI, 1000 * GI),
            ],
            vec![],
            own,
        ),
        (
            "6: a local disk beside a larger and fuller one",
            vec![
                volume("c", 1000 * GI, 1000 * GI, Some(Unknown)).holds(100 * GI, 1000 * GI),
                volume("d", 2000 * GI, 2000 * GI, Some(Unknown)).holds(1500 * GI, 2000 * GI),
            ],
            vec![],
            own,
        ),
        (
            "7: CDI's overhead",
            vec![volume("c", overhead, overhead, Some(Device)).holds(GI, 31 * GI)],
            vec![],
            own,
        ),
        (
            "8: two fresh devices",
            vec![
                volume("c", 10 * GI, 10 * GI, Some(Device)).holds(MI, 10 * GI),
                volume("d", 10 * GI, 10 * GI, Some(Device)).holds(MI, 10 * GI),
            ],
            vec![],
            own,
        ),
        (
            "8: two clones of one image, by a driver that is on no list",
            vec![
                volume("c", 10 * GI, 10 * GI, Some(Unlisted)).holds(3 * GI, 98 * GI / 10),
                volume("d", 10 * GI, 10 * GI, Some(Unlisted)).holds(3 * GI, 98 * GI / 10),
            ],
            vec![],
            own,
        ),
        (
            "two claims on a file system that is no device's, by a driver that is on no list",
            vec![
                volume("c", 10 * GI, 10 * GI, Some(Unlisted)).holds(3 * GI, 5 * GI),
                volume("d", 10 * GI, 10 * GI, Some(Unlisted)).holds(3 * GI, 5 * GI),
            ],
            vec![],
            shared,
        ),
        (
            "8: a device beside a local disk that is as large and as empty",
            vec![
                volume("c", 10 * GI, 10 * GI, Some(Device)).holds(MI, 10 * GI),
                volume("d", 10 * GI, 10 * GI, Some(Unknown)).holds(MI, 10 * GI),
            ],
            vec![],
            own,
        ),
        (
            "8: a device that is as large as the node's own file system",
            vec![volume("c", 10 * GI, 10 * GI, Some(Device)).holds(MI, 98 * GI / 10)],
            vec![98 * GI / 10],
            own,
        ),
        (
            "1: one directory whose claim is as large as its file system",
            vec![volume("c", 39 * GI, 39 * GI, Some(Directory)).holds(30 * GI, 39 * GI)],
            vec![],
            shared,
        ),
        (
            // openebs/dynamic-localpv-provisioner#254, kubesphere/kubesphere#1777
            "directories of OpenEBS on the node's root, seen from the container runtime",
            vec![
                volume("c", GI, GI, Some(Directory)).holds(58 * GI, 89 * GI),
                volume("d", 2 * GI, 2 * GI, Some(Directory)).holds(58 * GI, 89 * GI),
            ],
            vec![],
            shared,
        ),
        (
            "a file system that is a little larger than its claim",
            vec![volume("c", 10 * GI, 10 * GI, Some(Unknown)).holds(GI, 105 * GI / 10)],
            vec![],
            own,
        ),
        (
            "9: it is being expanded",
            vec![volume("c", 20 * GI, 10 * GI, Some(Unlisted)).holds(GI, 196 * GI / 10)],
            vec![],
            own,
        ),
        (
            "10: a provider's least",
            vec![volume("c", 5 * GI, 10 * GI, Some(Device)).holds(GI, 98 * GI / 10)],
            vec![],
            own,
        ),
        (
            "11: an NFS export",
            vec![volume("c", 10 * GI, 10 * GI, Some(Unknown)).holds(1536 * GI, 2048 * GI)],
            vec![],
            shared,
        ),
        (
            "12: a subvolume with a quota",
            vec![volume("c", 10 * GI, 10 * GI, Some(Unlisted)).holds(3 * GI, 10 * GI)],
            vec![],
            own,
        ),
        (
            "13: a directory of the node's own file system",
            vec![volume("c", 10 * GI, 10 * GI, Some(Unknown)).holds(3 * GI, 98 * GI / 10)],
            vec![98 * GI / 10],
            shared,
        ),
        (
            "a GlusterFS volume of the plugin that was part of Kubernetes",
            vec![volume("c", 10 * GI, 10 * GI, Some(Unknown)).holds(210 * GI, 500 * GI)],
            vec![],
            shared,
        ),
        (
            "a directory that is passed off as a local disk: its volume is as large as the file system",
            vec![volume("c", GI, 35 * GI, Some(Unknown)).holds(12 * GI, 35 * GI)],
            vec![],
            shared,
        ),
    ];
    for (what, volumes, node, want) in &cases {
        for by_prometheus in [false, true] {
            let (shown, totals) = shown(volumes, node, by_prometheus);
            let (mut used, mut of) = (0, 0);
            for (volume, (figure, size)) in volumes.iter().zip(shown) {
                assert_eq!(
                    figure,
                    Ok((volume.used, volume.of, *want)),
                    "{what}, by Prometheus: {by_prometheus}"
                );
                assert_eq!(size, volume.request.min(volume.capacity), "{what}");
                (used, of) = (used + volume.used, of + volume.of);
            }
            let want = if *want == shared { (0, 0) } else { (used, of) };
            assert_eq!(totals, want, "{what}");
        }
    }
}

/// If PersistentVolumes cannot be read, the claim's annotation names the provisioner.
#[test]
fn the_claims_annotation_names_the_provisioner_if_nothing_else_does() {
    for (provisioner, want) in
        [(Provisioner::Device, Basis::Own), (Provisioner::Unknown, Basis::SharedFilesystem)]
    {
        let mut state = state();
        for name in ["web", "db"] {
            add_vm(&mut state, "a", name, 500, GI);
            let claim = format!("{name}-root");
            let of = WukongVolume { name: "root".into(), claim: claim.clone(), size: "20Gi".into() };
            state.apply(Observation::Wukongs(applied(WukongFacts {
                volumes: [of].into(),
                ..wukong("a", name)
            })));
            state.apply(Observation::Claims(applied(ClaimFacts {
                namespace: "a".into(),
                name: claim,
                request: Some(20 * GI),
                capacity: Some(20 * GI),
                provisioner,
                ..Default::default()
            })));
        }
        let both = ["web-root", "db-root"].map(|claim| stats("a", claim, 5 * GI, 20 * GI));
        report(&mut state, summary("n1", both.to_vec()));
        let sample = *web(&mut state).volumes[0].usage.sample().unwrap();
        assert_eq!(sample.basis, want, "{provisioner:?}");
    }
}

#[test]
fn a_claim_that_is_mounted_twice_is_no_peer_of_itself() {
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    let of = WukongVolume { name: "root".into(), claim: "web-root".into(), size: "20Gi".into() };
    state.apply(Observation::Wukongs(applied(WukongFacts { volumes: [of].into(), ..wukong("a", "web") })));
    let stats = stats("a", "web-root", 5 * GI, 20 * GI);
    report(&mut state, summary("n1", vec![stats.clone(), stats]));
    let sample = *web(&mut state).volumes[0].usage.sample().unwrap();
    assert_eq!((sample.basis, sample.of), (Basis::Own, 20 * GI));
}

/// A disk that several VMs share (kubevirt/kubevirt#6148, `shareable` of #6604, kubernetes-monitoring/kubernetes-mixin#611), whether its kubelet tells of it or a guest.
#[test]
fn a_claim_of_several_vms_counts_once_in_the_totals() {
    for source in [SourceId::Kubelet, SourceId::GuestAgent] {
        let mut state = state();
        state.limits.disk_sources = vec![source];
        let mut kubelet = Vec::new();
        // The third has a claim of the same name in another namespace.
        for (namespace, name, root, quorum) in [("a", "one", 3, 5), ("a", "two", 4, 5), ("b", "one", 6, 1)] {
            add_vm(&mut state, namespace, name, 500, GI);
            let (vm, own) = (format!("{name}-vm"), format!("{name}-root"));
            let disk = |claim: &str| InstanceDisk {
                bus: Bus::Virtio,
                serial: claim.into(),
                claim: claim.into(),
                ..Default::default()
            };
            let volumes = [own.as_str(), "quorum"]
                .map(|claim| InstanceVolume { name: claim.into(), claim: claim.into() });
            state.apply(Observation::Instances(applied(InstanceFacts {
                volumes: volumes.into(),
                disks: [disk(&own), disk("quorum")].into(),
                agent_connected: true,
                ..instance(namespace, &vm, "n1")
            })));
            let mounted = |serial: &str, used: u64, total: u64| Filesystem {
                disk_name: serial.into(),
                mount_point: format!("/{serial}"),
                used: Some(used * GI),
                total: Some(total * GI),
                serials: vec![serial.into()],
                ..Default::default()
            };
            let (instance, result) =
                (Key::new(namespace, &vm), Ok(vec![mounted(&own, root, 20), mounted("quorum", quorum, 10)]));
            state.apply(Observation::Filesystems { instance, at: NOW, result });
            kubelet.push(stats(namespace, &own, root * GI, 20 * GI));
            kubelet.push(stats(namespace, "quorum", quorum * GI, 10 * GI));
        }
        report(&mut state, summary("n1", kubelet));
        let snapshot = state.join(NOW);
        let disk =
            |namespace, name| find(&snapshot, namespace, name).summary.usage.disk.sample().unwrap().used;
        assert_eq!([disk("a", "one"), disk("a", "two")], [8 * GI, 9 * GI], "each VM has all of it");
        let totals = snapshot.totals.disk_used;
        assert_eq!((totals.used, totals.of, totals.vms), (19 * GI, 80 * GI, 3), "{source:?}");
    }
}

/// kubernetes-sigs/aws-efs-csi-driver#1242: a file system that grows by itself reports 8 EiB, which no sum can hold three times.
#[test]
fn volumes_of_a_file_system_without_a_limit_are_known_and_count_in_no_total() {
    const ELASTIC: u64 = 9_223_372_036_853_727_232;
    let mut state = state();
    add_vm(&mut state, "a", "web", 500, GI);
    let claims = ["root", "data", "logs"];
    let volumes =
        claims.map(|claim| WukongVolume { name: claim.into(), claim: claim.into(), size: "".into() });
    state.apply(Observation::Wukongs(applied(WukongFacts { volumes: volumes.into(), ..wukong("a", "web") })));
    for claim in claims {
        state.apply(Observation::Claims(applied(ClaimFacts {
            namespace: "a".into(),
            name: claim.into(),
            request: Some(5 * GI),
            capacity: Some(5 * GI),
            ..Default::default()
        })));
    }
    report(&mut state, summary("n1", claims.map(|claim| stats("a", claim, 2 * GI, ELASTIC)).to_vec()));
    let snapshot = state.join(NOW);
    let vm = find(&snapshot, "a", "web");
    for volume in &vm.volumes {
        let sample = volume.usage.sample().unwrap();
        let shown = (sample.used, sample.of, sample.basis, volume.size);
        assert_eq!(shown, (2 * GI, ELASTIC, Basis::SharedFilesystem, Some(5 * GI)));
    }
    let disk = vm.summary.usage.disk.sample().unwrap();
    assert_eq!((disk.used, disk.of, disk.contract_percent()), (6 * GI, u64::MAX, 0));
    assert_eq!((snapshot.totals.disk_used.used, snapshot.totals.disk_used.of), (0, 0));
}

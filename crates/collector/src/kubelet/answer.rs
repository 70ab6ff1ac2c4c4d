//! Decodes a kubelet's `/stats/summary` and keeps the volumes that may belong to a claim, and what it counts of launcher
//! pods.

use crate::k8s::{
    summary::{self, PodRef, Summary, Taps, VolumeUsage},
    text::is_identifier,
    time,
};
use model::Millis;
use wukong_core::observation::{Key, PodStats, VolumeRef, VolumeStats};

/// The prefix of a volume's name that marks a claim of the pod's namespace where there is no `pvcRef`.
const PVC_PREFIX: &str = "kubernetes.io~pvc/";

/// The maximum number of volumes per kubelet: 16 for each of 500 pods.
pub const MOST_VOLUMES: usize = 8192;

/// What the names of launcher pods begin with.
const LAUNCHER: &str = "virt-launcher-";

/// The maximum bytes of the facts of one summary: as many volumes, with names of 60 bytes.
pub const MOST_BYTES: usize = 2 << 20;

/// The facts of one summary.
#[derive(Debug, Default)]
pub struct Volumes {
    /// If there are more than [`MOST_VOLUMES`], one more than that.
    pub stats: Vec<VolumeStats>,
    pub pods: Vec<PodStats>,
    /// Bytes of `stats` and `pods`. If they are more than [`MOST_BYTES`], the rest of the summary was not decoded.
    pub bytes: usize,
    /// Sizes in bytes of the node's own file systems.
    pub node_filesystems: Vec<u64>,
}

/// Decodes a summary, only for pods in these namespaces if given. `None` if it is no summary.
pub fn decode(answer: &[u8], namespaces: Option<&[String]>) -> Option<Volumes> {
    let summary: Summary<'_> = serde_json::from_slice(answer).ok()?;
    let ours = |pod: &PodRef<'_>| namespaces.is_none_or(|ours| ours.iter().any(|own| *own == *pod.namespace));
    let mut volumes = Volumes { node_filesystems: summary.node_filesystems(), ..Volumes::default() };
    for pod in summary.pods().filter(|pod| ours(&pod.pod_ref)) {
        if let Some(stats) = pod_stats(&pod) {
            volumes.bytes += bytes_of_pod(&stats);
            volumes.pods.push(stats);
            if volumes.bytes > MOST_BYTES {
                return Some(volumes);
            }
        }
        let used = pod.volumes().filter(|volume| of_interest(&pod.pod_ref, volume));
        for stats in used.map(|volume| volume_stats(&pod.pod_ref, volume)) {
            volumes.bytes += bytes_of(&stats);
            volumes.stats.push(stats);
            if volumes.stats.len() > MOST_VOLUMES || volumes.bytes > MOST_BYTES {
                return Some(volumes);
            }
        }
    }
    Some(volumes)
}

/// Whether the volume is a claim's, by its own reference or as a volume of a VM's pod, whose spec names the
/// claim. False if a name is not a possible one.
fn of_interest(pod: &PodRef<'_>, volume: &VolumeUsage<'_>) -> bool {
    let claim = volume.pvc_ref.as_ref().map_or(["", ""], |claim| [&claim.namespace, &claim.name]);
    if ![&*pod.namespace, &*pod.name, &*volume.name].into_iter().chain(claim).all(is_identifier) {
        return false;
    }
    let of_a_vm = pod.name.starts_with(LAUNCHER) || pod.name.starts_with("hp-volume-");
    volume.pvc_ref.is_some()
        || volume.name.starts_with(PVC_PREFIX)
        || of_a_vm && !volume.name.starts_with("kube-api-access-")
}

/// What the kubelet counts of a launcher pod; `None` for other pods.
fn pod_stats(pod: &summary::PodStats<'_>) -> Option<PodStats> {
    let PodRef { namespace, name, .. } = &pod.pod_ref;
    let is_launcher = name.starts_with(LAUNCHER) && is_identifier(namespace) && is_identifier(name);
    let pod = Some(pod).filter(|_| is_launcher)?;
    let (taps, taps_at) = pod.taps().map(|Taps { bytes, at }| (bytes, at)).unzip();
    let (pressure, pressure_at) = pod.pressure();
    let uid = Some(pod.pod_ref.uid()).filter(|uid| is_identifier(uid)).unwrap_or_default();
    let pod = Key::new(namespace, name);
    Some(PodStats { pod, uid: uid.into(), taps, taps_at: taps_at.flatten(), pressure, pressure_at })
}

/// Bytes of the pod and its names.
fn bytes_of_pod(stats: &PodStats) -> usize {
    size_of::<PodStats>() + stats.pod.namespace.len() + stats.pod.name.len() + stats.uid.len()
}

/// Bytes of the volume and its names.
fn bytes_of(stats: &VolumeStats) -> usize {
    let names = match &stats.of {
        VolumeRef::Claim(claim) => claim.namespace.len() + claim.name.len(),
        VolumeRef::PodVolume { pod, volume } => pod.namespace.len() + pod.name.len() + volume.len(),
    };
    size_of::<VolumeStats>() + names
}

fn volume_stats(pod: &PodRef<'_>, volume: VolumeUsage<'_>) -> VolumeStats {
    VolumeStats {
        of: volume_ref(pod, &volume),
        used: volume.used(),
        capacity: volume.capacity(),
        available: volume.available(),
        inodes: volume.inodes(),
        node: Box::default(),
        trusted_time: true,
        at: volume.time.as_deref().and_then(time::rfc3339).filter(|at: &Millis| *at > 0),
    }
}

/// The reference to the claim: by `pvcRef`, else by the prefix of the volume's name, else by the pod's volume
/// of that name.
fn volume_ref(pod: &PodRef<'_>, volume: &VolumeUsage<'_>) -> VolumeRef {
    match (&volume.pvc_ref, volume.name.strip_prefix(PVC_PREFIX)) {
        (Some(claim), _) => VolumeRef::Claim(Key::new(&claim.namespace, &claim.name)),
        (None, Some(claim)) => VolumeRef::Claim(Key::new(&pod.namespace, claim)),
        (None, None) => VolumeRef::PodVolume {
            pod: Key::new(&pod.namespace, &pod.name),
            volume: volume.name.as_ref().into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"node": {"nodeName": "n1", "cpu": {"usageNanoCores": 1}}, "pods": [
        {"podRef": {"name": "virt-launcher-web-x", "namespace": "prod", "uid": "p-1"}, "containers": [{"name": "compute"}], "volume": [
            {"time": "2026-03-04T09:12:00Z", "name": "root", "usedBytes": 5, "capacityBytes": 9, "availableBytes": 4, "inodes": 7, "inodesUsed": 2,
                "pvcRef": {"name": "web-root", "namespace": "prod"}},
            {"name": "data", "usedBytes": 1},
            {"name": "kube-api-access-abc", "usedBytes": 1}]},
        {"podRef": {"name": "web-frontend", "namespace": "prod", "uid": "p-2"}, "volume": [
            {"name": "cache", "usedBytes": 1}, {"name": "kubernetes.io~pvc/old", "usedBytes": 3}]},
        {"podRef": {"name": "hp-volume-x", "namespace": "dev"}, "volume": [{"name": "hot", "usedBytes": -1}]}]}"#;

    #[test]
    fn volumes_of_vms_and_claims_are_kept() {
        let stats = decode(ANSWER.as_bytes(), None).unwrap().stats;
        let claim = |name| VolumeRef::Claim(Key::new("prod", name));
        let volume = |namespace, pod, volume: &str| VolumeRef::PodVolume {
            pod: Key::new(namespace, pod),
            volume: volume.into(),
        };
        let got: Vec<_> = stats.iter().map(|v| (v.of.clone(), v.used)).collect();
        assert_eq!(
            got,
            [
                (claim("web-root"), Some(5)),
                (volume("prod", "virt-launcher-web-x", "data"), Some(1)),
                (claim("old"), Some(3)),
                (volume("dev", "hp-volume-x", "hot"), None)
            ]
        );
        let root = &stats[0];
        assert_eq!((root.capacity, root.available, root.inodes), (Some(9), Some(4), Some(7)));
        assert_eq!(root.at, Some(1_772_615_520_000));
    }

    #[test]
    fn a_kubelet_cannot_fill_this_program_s_memory() {
        let volume = r#"{"name": "v", "usedBytes": 1}"#;
        let pod = |volumes: usize| {
            let volumes = vec![volume; volumes].join(",");
            format!(r#"{{"podRef": {{"name": "virt-launcher-a", "namespace": "b"}}, "volume": [{volumes}]}}"#)
        };
        for (pods, volumes, want) in
            [(2, 10, 20), (1, 20_000, MOST_VOLUMES + 1), (20, 5000, MOST_VOLUMES + 1)]
        {
            let answer = format!(r#"{{"pods": [{}]}}"#, vec![pod(volumes); pods].join(","));
            assert_eq!(
                decode(answer.as_bytes(), None).unwrap().stats.len(),
                want,
                "{pods} pods of {volumes}"
            );
        }
        let zeros = format!(r#"{{"pods": [{}0]}}"#, "0,".repeat(1 << 20));
        assert!(decode(zeros.as_bytes(), None).is_none(), "each would take eight times its bytes");
    }

    #[test]
    fn launcher_pods_are_kept_with_their_taps_and_their_pressure() {
        let pods = r#"{"pods": [
            {"podRef": {"name": "virt-launcher-web-x", "namespace": "prod", "uid": "p-1"}, "containers": [{"name": "compute",
                "cpu": {"psi": {"full": {"total": 9, "avg60": 90}, "some": {"total": 9, "avg60": 90}}}}],
             "cpu": {"time": "2026-03-04T09:12:07Z", "psi": {"full": {"total": 1, "avg10": 0, "avg60": 0.5, "avg300": 0},
                "some": {"total": 7, "avg10": 0, "avg60": 2, "avg300": 0}}},
             "network": {"time": "2026-03-04T09:12:00Z", "name": "eth0", "rxBytes": 900, "txBytes": 900,
                "interfaces": [{"name": "tap0", "rxBytes": 1, "txBytes": 2}, {"name": "eth0", "rxBytes": 900, "txBytes": 900}]}},
            {"podRef": {"name": "virt-launcher-old", "namespace": "prod", "uid": 7}},
            {"podRef": {"name": "virt-launcher-\u202e", "namespace": "prod", "uid": "p-3"}},
            {"podRef": {"name": "web-frontend", "namespace": "prod", "uid": "p-2"},
             "network": {"interfaces": [{"name": "tap0", "rxBytes": 1, "txBytes": 2}]}}]}"#;
        let pods = decode(pods.as_bytes(), None).unwrap().pods;
        let [web, old] = pods.as_slice() else { panic!("{pods:?}") };
        assert_eq!((&web.pod, &*web.uid), (&Key::new("prod", "virt-launcher-web-x"), "p-1"));
        let taps = web.taps.unwrap();
        assert_eq!((taps.receive, taps.transmit, web.taps_at), (2, 1, Some(1_772_615_520_000)));
        let cpu = web.pressure.cpu.unwrap();
        assert_eq!((cpu.some, cpu.full, web.pressure_at), (2000, 500, Some(1_772_615_527_000)));
        assert_eq!((web.pressure.memory, web.pressure.io), (None, None), "not those of a container");
        assert_eq!((&*old.uid, old.taps, old.pressure.is_empty()), ("", None, true));
    }

    /// A pod with nothing takes 60 bytes of an answer.
    #[test]
    fn pods_count_towards_the_limit() {
        let pod = format!(r#"{{"podRef":{{"name":"virt-launcher-{}","namespace":"b"}}}}"#, "p".repeat(200));
        let answer = format!(r#"{{"pods":[{}]}}"#, vec![pod; 30_000].join(","));
        let Volumes { pods, bytes, .. } = decode(answer.as_bytes(), None).unwrap();
        assert!(pods.len() < 30_000 && bytes > MOST_BYTES && bytes < MOST_BYTES + 1024, "{bytes}");
    }

    /// Each volume has the pod's names too, so that 14 bytes of an answer become 600.
    #[test]
    fn long_names_of_a_pod_do_not_multiply() {
        let volumes = vec![r#"{"name":"v"}"#; 8000].join(",");
        let (pod, namespace) = (format!("virt-launcher-{}", "p".repeat(230)), "n".repeat(250));
        let answer = format!(
            r#"{{"pods":[{{"podRef":{{"name":"{pod}","namespace":"{namespace}"}},"volume":[{volumes}]}}]}}"#
        );
        let Volumes { stats, bytes, .. } = decode(answer.as_bytes(), None).unwrap();
        assert!(stats.len() < 8000 && bytes > MOST_BYTES && bytes < MOST_BYTES + 1024, "{bytes}");
    }

    #[test]
    fn an_invalid_name_is_not_truncated_to_a_valid_one() {
        let long = "x".repeat(257);
        let volumes = [
            format!(r#"{{"name": "{long}", "usedBytes": 1}}"#),
            format!(r#"{{"name": "v", "pvcRef": {{"name": "{long}", "namespace": "b"}}, "usedBytes": 1}}"#),
            r#"{"name": "a\u202eb", "usedBytes": 1}"#.to_owned(),
            r#"{"name": "root", "usedBytes": 1}"#.to_owned(),
        ];
        let answer = format!(
            r#"{{"pods": [{{"podRef": {{"name": "virt-launcher-a", "namespace": "b"}}, "volume": [{}]}}]}}"#,
            volumes.join(",")
        );
        let stats = decode(answer.as_bytes(), None).unwrap().stats;
        assert!(
            matches!(&stats[..], [VolumeStats { of: VolumeRef::PodVolume { volume, .. }, .. }] if **volume == *"root")
        );
    }

    #[test]
    fn other_namespaces_are_not_looked_at() {
        let stats = decode(ANSWER.as_bytes(), Some(&["dev".to_owned()])).unwrap().stats;
        assert!(
            matches!(stats.as_slice(), [VolumeStats { of: VolumeRef::PodVolume { pod, .. }, .. }] if *pod.namespace == *"dev")
        );
    }
}

//! Decodes a kubelet's `/stats/summary` and keeps the volumes that may belong to a claim, and what it counts of launcher
//! pods.

use std::collections::{BTreeMap, HashSet};

use crate::k8s::{
    summary::{self, PodRef, Summary, Taps, VolumeUsage},
    text::is_identifier,
    time,
};
use model::Millis;
use wukong_core::observation::{Key, NodeUsage, PodStats, VolumeRef, VolumeStats};

/// The prefix of a volume's name that marks a claim of the pod's namespace where there is no `pvcRef`.
const PVC_PREFIX: &str = "kubernetes.io~pvc/";

/// The maximum number of volumes per kubelet: 16 for each of 500 pods. If there are more, the namespace with the most is
/// left out, so that no tenant hides the volumes of another.
pub const MOST_VOLUMES: usize = 8192;

/// What the names of launcher pods begin with.
const LAUNCHER: &str = "virt-launcher-";

/// The maximum bytes of the facts of one summary: as many volumes, with names of 60 bytes.
pub const MOST_BYTES: usize = 2 << 20;

/// The facts of one summary.
#[derive(Debug, Default)]
pub struct Volumes {
    pub stats: Vec<VolumeStats>,
    pub pods: Vec<PodStats>,
    /// Bytes of `stats` and `pods`.
    pub bytes: usize,
    /// Whether namespaces are left out, because all together are over a limit.
    pub is_incomplete: bool,
    /// Sizes in bytes of the node's own file systems.
    pub node_filesystems: Vec<u64>,
    pub node_usage: NodeUsage,
}

/// Decodes a summary, only for pods in these namespaces if given. `None` if it is no summary.
pub fn decode(answer: &[u8], namespaces: Option<&[String]>) -> Option<Volumes> {
    let summary: Summary<'_> = serde_json::from_slice(answer).ok()?;
    let ours = |pod: &PodRef<'_>| namespaces.is_none_or(|ours| ours.iter().any(|own| *own == *pod.namespace));
    let mut parts = Parts::default();
    for pod in summary.pods().filter(|pod| ours(&pod.pod_ref)) {
        let namespace = &*pod.pod_ref.namespace;
        if let Some(stats) = pod_stats(&pod) {
            parts.add_pod(namespace, stats);
        }
        let used = pod.volumes().filter(|volume| of_interest(&pod.pod_ref, volume));
        used.for_each(|volume| parts.add_volume(namespace, volume_stats(&pod.pod_ref, volume)));
    }
    let (node_filesystems, node_usage) = (summary.node_filesystems(), summary.node_usage());
    Some(Volumes { node_filesystems, node_usage, ..parts.into_volumes() })
}

/// What is kept of each namespace.
#[derive(Default)]
struct Parts {
    by_namespace: BTreeMap<Box<str>, Part>,
    /// Namespaces that are left out.
    left_out: HashSet<Box<str>>,
    volumes: usize,
    bytes: usize,
}

#[derive(Default)]
struct Part {
    stats: Vec<VolumeStats>,
    pods: Vec<PodStats>,
    bytes: usize,
}

impl Parts {
    fn add_volume(&mut self, namespace: &str, stats: VolumeStats) {
        let bytes = bytes_of(&stats);
        self.add(namespace, bytes, 1, |part| part.stats.push(stats));
    }

    fn add_pod(&mut self, namespace: &str, stats: PodStats) {
        let bytes = bytes_of_pod(&stats);
        self.add(namespace, bytes, 0, |part| part.pods.push(stats));
    }

    fn add(&mut self, namespace: &str, bytes: usize, volumes: usize, push: impl FnOnce(&mut Part)) {
        if self.left_out.contains(namespace) {
            return;
        }
        let part = self.by_namespace.entry(namespace.into()).or_default();
        part.bytes += bytes;
        push(part);
        (self.volumes, self.bytes) = (self.volumes + volumes, self.bytes + bytes);
        while self.volumes > MOST_VOLUMES || self.bytes > MOST_BYTES {
            self.leave_out_largest();
        }
    }

    fn leave_out_largest(&mut self) {
        let by_bytes = self.by_namespace.iter().map(|(namespace, part)| (part.bytes, namespace));
        let Some(largest) = by_bytes.max().map(|(_, namespace)| namespace.clone()) else { return };
        if let Some(Part { stats, bytes, .. }) = self.by_namespace.remove(&largest) {
            (self.volumes, self.bytes) = (self.volumes - stats.len(), self.bytes - bytes);
        }
        self.left_out.insert(largest);
    }

    fn into_volumes(self) -> Volumes {
        let mut volumes =
            Volumes { bytes: self.bytes, is_incomplete: !self.left_out.is_empty(), ..Volumes::default() };
        for part in self.by_namespace.into_values() {
            volumes.stats.extend(part.stats);
            volumes.pods.extend(part.pods);
        }
        volumes
    }
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
                (volume("dev", "hp-volume-x", "hot"), None),
                (claim("web-root"), Some(5)),
                (volume("prod", "virt-launcher-web-x", "data"), Some(1)),
                (claim("old"), Some(3))
            ]
        );
        let root = &stats[1];
        assert_eq!((root.capacity, root.available, root.inodes), (Some(9), Some(4), Some(7)));
        assert_eq!(root.at, Some(1_772_615_520_000));
    }

    /// A pod with these volumes, of which the kubelet says only their names.
    fn pod(namespace: &str, name: &str, volumes: usize) -> String {
        let volumes = vec![r#"{"name": "v", "usedBytes": 1}"#; volumes].join(",");
        format!(
            r#"{{"podRef": {{"name": "virt-launcher-{name}", "namespace": "{namespace}"}}, "volume": [{volumes}]}}"#
        )
    }

    fn decode_pods(pods: &[String]) -> Volumes {
        decode(format!(r#"{{"pods": [{}]}}"#, pods.join(",")).as_bytes(), None).unwrap()
    }

    #[test]
    fn a_kubelet_cannot_fill_this_program_s_memory() {
        for (pods, volumes, want) in
            [(2, 10, 20), (1, MOST_VOLUMES, MOST_VOLUMES), (1, 20_000, 0), (20, 5000, 0)]
        {
            let got = decode_pods(&vec![pod("b", "a", volumes); pods]);
            assert_eq!(got.stats.len(), want, "{pods} pods of {volumes}");
            assert_eq!(got.is_incomplete, want == 0, "{pods} pods of {volumes}");
        }
        let zeros = format!(r#"{{"pods": [{}0]}}"#, "0,".repeat(1 << 20));
        assert!(decode(zeros.as_bytes(), None).is_none(), "each would take eight times its bytes");
    }

    /// A tenant may run a pod with thousands of volumes on the node of another tenant's VMs.
    #[test]
    fn the_volumes_of_one_namespace_do_not_hide_those_of_another() {
        let large = |name| pod("large", name, MOST_VOLUMES / 2);
        let pods = [
            pod("a", "first", 3),
            large("1"),
            pod("b", "mid", 2),
            large("2"),
            large("3"),
            pod("a", "last", 1),
        ];
        let got = decode_pods(&pods);
        let kept = |stats: &VolumeStats| match &stats.of {
            VolumeRef::PodVolume { pod: of, .. } | VolumeRef::Claim(of) => {
                format!("{}/{}", of.namespace, of.name)
            }
        };
        let first = "a/virt-launcher-first";
        let want =
            [first, first, first, "a/virt-launcher-last", "b/virt-launcher-mid", "b/virt-launcher-mid"];
        assert_eq!(got.stats.iter().map(kept).collect::<Vec<_>>(), want);
        assert!(got.is_incomplete);
        let names: Vec<String> =
            got.pods.iter().map(|of| format!("{}/{}", of.pod.namespace, of.pod.name)).collect();
        assert_eq!(names, [first, "a/virt-launcher-last", "b/virt-launcher-mid"]);
        let bytes: usize = got.stats.iter().map(bytes_of).chain(got.pods.iter().map(bytes_of_pod)).sum();
        assert_eq!(got.bytes, bytes);
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
        let got = decode(answer.as_bytes(), None).unwrap();
        assert_eq!((got.pods.len(), got.bytes, got.is_incomplete), (0, 0, true));
    }

    /// Each volume has the pod's names too, so that 14 bytes of an answer become 600.
    #[test]
    fn long_names_of_a_pod_do_not_multiply() {
        let volumes = vec![r#"{"name":"v"}"#; 8000].join(",");
        let (pod, namespace) = (format!("virt-launcher-{}", "p".repeat(230)), "n".repeat(250));
        let answer = format!(
            r#"{{"pods":[{{"podRef":{{"name":"{pod}","namespace":"{namespace}"}},"volume":[{volumes}]}}]}}"#
        );
        let got = decode(answer.as_bytes(), None).unwrap();
        assert_eq!((got.stats.len(), got.bytes, got.is_incomplete), (0, 0, true));
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

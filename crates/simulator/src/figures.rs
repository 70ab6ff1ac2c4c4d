//! What metrics-server and the kubelets measure: usage and volumes of each pod at the time of a scrape.

use super::{
    activity::Activity,
    clock::Millis,
    guest::{Guest, Launcher},
    hardware::{Backend, Disk, DiskMode},
    load::{Fill, Share, Usage, VolumeFigures},
    node::{PLAIN_POD_SIZE, PlainPod},
    objects::{Body, InterfaceBytes, NodePod, Part, PodSample, attachment, labels},
    pressure::Pressure,
    rng::hash,
    tenants::Tenants,
};

/// One scrape of one node.
#[derive(Clone, Copy, Debug)]
pub struct Scrape {
    pub at: Millis,
    pub window_ms: u32,
    /// When the scrape's data was requested.
    pub asked: Millis,
}

/// Returns the last scrape of `node` before `now`. Nodes are scraped one after another, so each has its own
/// moment in the interval.
pub fn scrape(node: &str, now: Millis, interval: Millis) -> Scrape {
    let interval = interval.max(1);
    let offset = (hash(0, &["scrape", node]) % interval.unsigned_abs()) as Millis;
    let round = (now - offset).div_euclid(interval);
    // Two scrapes are never exactly one interval apart.
    let jitter = (hash(round.unsigned_abs(), &[node]) % (interval.unsigned_abs() / 100 + 1)) as Millis;
    let window_ms = u32::try_from(interval + jitter).unwrap_or(u32::MAX);
    Scrape { at: round * interval + offset, window_ms, asked: now }
}

/// Returns what metrics-server holds of a launcher pod after this scrape of its node, which has this share for it.
pub fn sample_launcher(
    guest: &std::sync::Arc<Guest>,
    pod: &Launcher,
    share: Share,
    scrape: Scrape,
) -> PodSample {
    PodSample {
        namespace: guest.namespace.clone(),
        name: guest.pod_name(pod.serial),
        labels: labels(&Body::Guest(Part::Launcher(pod.serial), guest.clone())),
        at: scrape.at,
        made: scrape.asked,
        window_ms: scrape.window_ms,
        containers: launcher_containers(guest, pod, share, scrape.at),
    }
}

/// Returns what metrics-server holds of an ordinary pod after this scrape.
pub fn sample_plain(pod: &PlainPod, scrape: Scrape) -> PodSample {
    PodSample {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        labels: pod.labels.clone(),
        at: scrape.at,
        made: scrape.asked,
        window_ms: scrape.window_ms,
        containers: vec![(pod.app.clone(), plain_usage(pod, scrape.at))],
    }
}

/// Returns the kubelet's record of a launcher pod on its node: containers sampled at `at`, volumes at `volumes_at`.
pub fn launcher_node_pod(
    guest: &Guest,
    pod: &Launcher,
    tenants: &Tenants,
    at: Millis,
    volumes_at: Millis,
) -> NodePod {
    let holds = guest.holder().is_some_and(|holder| holder.serial == pod.serial);
    let mounted = guest.disks.iter().filter(|disk| disk.mode != DiskMode::Hotplug);
    let listed = mounted.filter(|disk| !disk.unlisted && is_measured(disk));
    let claims =
        listed.map(|disk| (disk.name.clone(), Some(disk.claim.clone()), disk_figures(disk, volumes_at)));
    let scratch =
        ["private", "public", "sockets", "virt-bin-share-dir", "libvirt-runtime", "ephemeral-disks"];
    let scratch = scratch.into_iter().chain(["container-disks", "hotplug-disks"]);
    NodePod {
        namespace: guest.namespace.clone(),
        name: guest.pod_name(pod.serial),
        uid: guest.pod_uid(pod.serial),
        created: pod.created,
        containers: launcher_containers(guest, pod, tenants.share(at), at),
        interfaces: launcher_interfaces(guest, holds, at),
        pressure: if holds { Pressure::of_guest(guest, &tenants.node, at) } else { Pressure::none() },
        volumes: claims.chain(scratch.map(|name| (name.to_owned(), None, scratch_figures(name)))).collect(),
    }
}

/// The kubelet's record of the pod that holds a hotplugged disk.
pub fn attachment_node_pod(guest: &Guest, disk: &Disk, at: Millis, volumes_at: Millis) -> NodePod {
    let pod = attachment(guest, disk);
    let mut node_pod = plain_node_pod(&pod, at);
    node_pod.volumes.push((disk.name.clone(), Some(disk.claim.clone()), disk_figures(disk, volumes_at)));
    node_pod
}

/// Returns the kubelet's record of an ordinary pod.
pub fn plain_node_pod(pod: &PlainPod, at: Millis) -> NodePod {
    NodePod {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        uid: pod.uid(),
        created: pod.created,
        containers: vec![(pod.app.clone(), plain_usage(pod, at))],
        interfaces: vec![plain_interface(pod, at)],
        pressure: Pressure::none(),
        volumes: vec![
            ("config".to_owned(), None, scratch_figures("config")),
            (pod.token_volume(), None, scratch_figures("token")),
        ],
    }
}

/// Whether a kubelet can measure the disk: it reports nothing for a directory of its node.
pub fn is_measured(disk: &Disk) -> bool {
    disk.backend != Backend::HostPath
}

/// Returns the figures that a kubelet reports for a disk's volume.
pub fn disk_figures(disk: &Disk, at: Millis) -> VolumeFigures {
    // All claims of a pool report the same figures.
    if let (Some(pool), Fill::Curve { share, .. }) = (disk.pool(), &disk.fill) {
        let fill = Fill::Curve { seed: hash(pool, &[&disk.storage_class]), share: *share };
        return fill.figures(pool, at);
    }
    match (disk.mode, &disk.fill) {
        (_, Fill::Fixed(figures)) => *figures,
        (DiskMode::Block, _) => VolumeFigures::of_block(disk.bytes()),
        (DiskMode::Shared(capacity), fill) => fill.figures(capacity, at),
        // ext4 reserves about 2 % of a disk for itself.
        (_, fill) => fill.figures(disk.bytes() - disk.bytes() / 50, at),
    }
}

/// The interfaces of a launcher pod. What the guest receives, its tap transmits. The interface that the pod began with
/// is in a bridge with it; a dummy has taken its name. The kubelet sees nothing of an SR-IOV interface.
fn launcher_interfaces(guest: &Guest, holds: bool, at: Millis) -> Vec<InterfaceBytes> {
    let counted = |per_second: fn(&Activity) -> u64| -> u64 {
        let spans = guest.spans(at).into_iter().filter(|_| holds);
        spans.map(|span| per_second(&span.does) as f64 * span.seconds).sum::<f64>() as u64
    };
    let (receive, transmit) = (counted(|does| does.receive), counted(|does| does.transmit));
    let of = |name: &str, receive, transmit| InterfaceBytes { name: name.to_owned(), receive, transmit };
    vec![
        of("eth0", 0, 0),
        of("eth0-nic", receive, transmit),
        of("k6t-eth0", transmit / 200, 0),
        of("tap0", transmit, receive),
    ]
}

fn plain_interface(pod: &PlainPod, at: Millis) -> InterfaceBytes {
    let seconds = (at - pod.created).max(0).unsigned_abs() / 1000;
    let receive = seconds * (200 + hash(pod.seed, &["receive"]) % 40_000);
    InterfaceBytes { name: "eth0".to_owned(), receive, transmit: receive / 3 }
}

fn launcher_containers(guest: &Guest, pod: &Launcher, share: Share, at: Millis) -> Vec<(String, Usage)> {
    let mut usage = guest.load_of(pod).usage(guest.cpu, guest.memory_bytes(), share, at);
    if guest.hugepages.is_some() {
        usage.memory = format!("{}Ki", guest.hugepages_overhead() >> 10);
    }
    vec![("compute".to_owned(), usage)]
}

fn plain_usage(pod: &PlainPod, at: Millis) -> Usage {
    pod.load.usage(PLAIN_POD_SIZE.0, PLAIN_POD_SIZE.1, Share::WHOLE, at)
}

/// The figures of an `emptyDir` or projected volume: a few KiB on the node's own file system.
fn scratch_figures(name: &str) -> VolumeFigures {
    let used = 4096 * (1 + hash(0, &[name]) % 40);
    VolumeFigures::of_ext4(used, 467 << 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_holds_for_an_interval_and_is_never_ahead() {
        for now in (1_000_000..1_060_000).step_by(700) {
            let found = scrape("worker-1", now, 15_000);
            assert!(found.at <= now && now - found.at < 15_000);
            assert!((15_000..=15_150).contains(&found.window_ms));
        }
        assert_ne!(scrape("worker-1", 1_000_000, 15_000).at, scrape("worker-2", 1_000_000, 15_000).at);
    }
}

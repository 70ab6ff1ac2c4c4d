//! Adds up the containers of one PodMetrics item to the usage of a launcher pod.
//!
//! metrics-server lists the pod's containers, and leaves out those whose counter went back since its last
//! scrape. An API on cAdvisor's series also lists the pod's own cgroup, under an empty name, and the pause
//! container, `POD`: both would count twice. prometheus-adapter writes 0 if it has only one of the two
//! figures.

use std::collections::BTreeMap;

use super::observation::{ContainerUsage, PodContainer};

/// The container that holds the guest. Without it nothing is known of the VM.
const COMPUTE: &str = "compute";
/// The pause container (`POD`). It holds the pod's namespaces and is not in the pod's spec.
const PAUSE: &str = "POD";

/// Sums over a pod's containers. `None` if a part of the sum is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PodUsage {
    pub cpu_nanocores: Option<u64>,
    pub memory_bytes: Option<u64>,
}

/// Why an item is not a sample of its pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Incomplete {
    /// It lists no container of the pod.
    Empty,
    /// This container runs but is not listed: its counter went back (`resourceUsage` in pkg/storage of
    /// metrics-server).
    Without(Box<str>),
}

/// Adds up the containers of an item. `pod` has the containers from the pod object; empty if they are not
/// known.
pub(super) fn add_up(
    item: &[ContainerUsage],
    left_out: u32,
    pod: &[PodContainer],
) -> Result<PodUsage, Incomplete> {
    if let [total] = item
        && total.name.is_empty()
    {
        return Ok(PodUsage { cpu_nanocores: total.cpu_nanocores, memory_bytes: total.memory_bytes });
    }
    let of_pod = |name: &str| pod.is_empty() || pod.iter().any(|container| *container.name == *name);
    let is_real = |name: &str| !name.is_empty() && name != PAUSE && of_pod(name);
    let real: Vec<&ContainerUsage> = item.iter().filter(|container| is_real(&container.name)).collect();
    if real.is_empty() {
        return Err(Incomplete::Empty);
    }
    let listed = |name: &str| real.iter().any(|container| *container.name == *name);
    let required = pod.iter().filter(|container| container.required).map(|container| &*container.name);
    if let Some(name) = std::iter::once(COMPUTE).chain(required).find(|name| !listed(name)) {
        return Err(Incomplete::Without(name.into()));
    }
    let whole = left_out == 0;
    Ok(PodUsage {
        cpu_nanocores: sum(&real, |container| container.cpu_nanocores).filter(|_| whole),
        memory_bytes: sum(&real, memory).filter(|_| whole),
    })
}

/// Returns the container's memory, or `None` for 0 on `compute`: QEMU cannot run without memory, so 0 was
/// filled in.
fn memory(container: &ContainerUsage) -> Option<u64> {
    container.memory_bytes.filter(|bytes| *bytes > 0 || *container.name != *COMPUTE)
}

/// Returns `None` if a container is not known, if one is listed twice with different figures, or if the sum
/// exceeds 2^63, the limit of a Kubernetes quantity.
fn sum(containers: &[&ContainerUsage], amount: impl Fn(&ContainerUsage) -> Option<u64>) -> Option<u64> {
    let mut amounts: BTreeMap<&str, u64> = BTreeMap::new();
    for container in containers {
        let amount = amount(container)?;
        let known = *amounts.entry(&container.name).or_insert(amount);
        if known != amount {
            return None;
        }
    }
    let sum = amounts.into_values().try_fold(0u64, u64::checked_add);
    sum.filter(|sum| *sum < 1 << 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GI: u64 = 1 << 30;
    const MI: u64 = 1 << 20;

    fn usage(name: &str, milli: u64, bytes: u64) -> ContainerUsage {
        ContainerUsage {
            name: name.into(),
            cpu_nanocores: Some(milli * 1_000_000),
            memory_bytes: Some(bytes),
        }
    }

    fn pod(names: &[&str]) -> Vec<PodContainer> {
        names.iter().map(|name| PodContainer { name: (*name).into(), required: true }).collect()
    }

    /// Returns millicores and bytes.
    fn added(
        item: &[ContainerUsage],
        pod: &[PodContainer],
    ) -> Result<(Option<u64>, Option<u64>), Incomplete> {
        let usage = add_up(item, 0, pod)?;
        Ok((usage.cpu_nanocores.map(|nanos| nanos / 1_000_000), usage.memory_bytes))
    }

    /// kubernetes-sigs/metrics-server#210, cybozu-go/neco-apps#1718,
    /// prometheus-operator/kube-prometheus#1037.
    #[test]
    fn real_containers_of_the_pod_count_and_each_once() {
        let compute = || usage("compute", 200, 2 * GI);
        let console = || usage("guest-console-log", 1, 3 * MI);
        for (item, of_pod, want) in [
            (vec![compute(), usage("", 200, 2 * GI)], vec![], (Some(200), Some(2 * GI))),
            (
                vec![compute(), console(), usage("", 201, 2051 * MI)],
                vec![],
                (Some(201), Some(2 * GI + 3 * MI)),
            ),
            (
                vec![compute(), usage("POD", 0, MI), usage("", 201, 2051 * MI)],
                vec![],
                (Some(200), Some(2 * GI)),
            ),
            (vec![usage("", 200, 2 * GI)], vec![], (Some(200), Some(2 * GI))),
            (vec![usage("compute", 300, 0)], vec![], (Some(300), None)),
            (vec![usage("compute", 0, 2 * GI)], vec![], (Some(0), Some(2 * GI))),
            (vec![compute(), compute()], vec![], (Some(200), Some(2 * GI))),
            (vec![compute(), usage("compute", 100, GI)], vec![], (None, None)),
            (
                vec![compute(), usage("istio-proxy", 50, 60 * MI)],
                pod(&["compute", "istio-proxy"]),
                (Some(250), Some(2 * GI + 60 * MI)),
            ),
            (vec![compute(), usage("k8s_old", 1, GI)], pod(&["compute"]), (Some(200), Some(2 * GI))),
        ] {
            assert_eq!(added(&item, &of_pod), Ok(want), "{item:?} of {of_pod:?}");
        }
    }

    #[test]
    fn an_item_without_a_container_that_runs_is_no_sample() {
        let console = || usage("guest-console-log", 1, 3 * MI);
        let without = |name: &str| Err(Incomplete::Without(name.into()));
        assert_eq!(added(&[console()], &[]), without("compute"));
        assert_eq!(added(&[], &[]), Err(Incomplete::Empty));
        assert_eq!(added(&[usage("", 1, GI), usage("POD", 1, MI)], &[]), Err(Incomplete::Empty));
        let mut both = pod(&["compute", "guest-console-log"]);
        assert_eq!(added(&[usage("compute", 1, GI)], &both), without("guest-console-log"));
        both[1].required = false;
        assert_eq!(added(&[usage("compute", 1, GI)], &both), Ok((Some(1), Some(GI))));
        assert_eq!(
            added(&[usage("compute", 1, GI), console()], &both),
            Ok((Some(2), Some(GI + 3 * MI))),
            "it has ended since"
        );
    }

    #[test]
    fn a_sum_that_lacks_a_part_is_not_known() {
        let unread = ContainerUsage { cpu_nanocores: None, ..usage("x", 0, 1) };
        assert_eq!(added(&[usage("compute", 1, GI), unread], &[]), Ok((None, Some(GI + 1))));
        let huge = |name| usage(name, 1, (1 << 63) - 1);
        assert_eq!(added(&[huge("compute"), huge("x"), huge("y")], &[]), Ok((Some(3), None)));
        let left_out = add_up(&[usage("compute", 1, GI)], 1, &[]);
        assert_eq!(left_out, Ok(PodUsage::default()));
    }
}

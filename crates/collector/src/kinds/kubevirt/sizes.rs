//! vCPUs and memory with KubeVirt's defaults (kubevirt pkg/defaults/defaults.go,
//! `SetDefaultGuestCPUTopology`, `setGuestMemory`): the sizes that a VM that does not run would start with.

use crate::k8s::{
    kubevirt::{Cpu, Domain},
    lenient::Scalar,
};
use model::quantity::Quantity;

const NANO: u64 = 1_000_000_000;

/// The error for a value that is not a number.
#[derive(Debug)]
pub struct NoNumber;

/// vCPUs: the topology; else the CPU limit, else the CPU request, each rounded up to sockets; else 1. `None`
/// if the deciding value cannot be read.
pub fn vcpus(domain: &Domain) -> Option<u64> {
    if let Some(count) = topology(&domain.cpu).ok()? {
        return Some(count);
    }
    let resources = &domain.resources;
    match resources.limits.cpu.given().or_else(|| resources.requests.cpu.given()) {
        Some(quantity) => Some(Quantity::parse(quantity).ok()?.nanos().div_ceil(NANO).max(1)),
        None => Some(1),
    }
}

/// Sockets × cores × threads, where a part that is missing or 0 counts as 1; `None` if all are
/// (pkg/util/hardware, `GetNumberOfVCPUs`).
pub fn topology(cpu: &Cpu) -> Result<Option<u64>, NoNumber> {
    let part = |part: &Scalar| match part.given() {
        Some(_) => part.count().ok_or(NoNumber),
        None => Ok(0),
    };
    let parts = [part(&cpu.sockets)?, part(&cpu.cores)?, part(&cpu.threads)?];
    let product = parts.iter().fold(1, |product: u64, part| product.saturating_mul((*part).max(1)));
    Ok(parts.iter().any(|part| *part > 0).then_some(product))
}

/// Memory as written: the guest's, else the request, else the limit, else one huge page. Amounts of hugepages
/// (`hugepages-2Mi`) are ignored.
pub fn memory(domain: &Domain) -> Option<String> {
    let resources = &domain.resources;
    let is_zero = |text: &str| Quantity::parse(text).is_ok_and(|quantity| quantity.nanos() == 0);
    let amount = |scalar: &Scalar| scalar.given().filter(|text| !is_zero(text)).map(str::to_owned);
    domain
        .memory
        .guest
        .given()
        .map(str::to_owned)
        .or_else(|| amount(&resources.requests.memory))
        .or_else(|| amount(&resources.limits.memory))
        .or_else(|| domain.memory.hugepages.page_size.given().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k8s::lenient::Obj;

    /// The values are from KubeVirt's own tests (`vmi-mutator_test.go`, `hw_utils_test.go`) and from public
    /// reports.
    #[test]
    fn sizes_are_those_that_kubevirt_starts_a_vm_with() {
        for (domain, cpu, text) in [
            (r#"{"resources": {"requests": {"cpu": "2200m"}}}"#, Some(3), None),
            (r#"{"cpu": {"model": "EPYC"}, "resources": {"requests": {"cpu": "2.3"}}}"#, Some(3), None),
            (r#"{"resources": {"limits": {"cpu": "2.3"}, "requests": {"cpu": "1"}}}"#, Some(3), None),
            (r#"{"resources": {"requests": {"cpu": "200m"}}}"#, Some(1), None),
            (r#"{"resources": {"limits": {"cpu": "0"}, "requests": {"cpu": 4}}}"#, Some(1), None),
            (r#"{"resources": {"limits": {"cpu": 0}}}"#, Some(1), None),
            ("{}", Some(1), None),
            (r#"{"cpu": {"sockets": 2, "cores": 2, "threads": 2}}"#, Some(8), None),
            (r#"{"cpu": {"sockets": 2}}"#, Some(2), None),
            (r#"{"cpu": {"cores": "2"}}"#, Some(2), None),
            (r#"{"cpu": {"threads": 2}}"#, Some(2), None),
            (r#"{"cpu": {"sockets": 2, "threads": 2}}"#, Some(4), None),
            (r#"{"cpu": {"sockets": 2, "cores": 2}}"#, Some(4), None),
            (r#"{"cpu": {"cores": 2, "threads": 2}}"#, Some(4), None),
            (r#"{"cpu": {"sockets": 3, "cores": 3, "threads": 2}}"#, Some(18), None),
            (r#"{"cpu": {"sockets": 1, "cores": 1, "threads": 0}}"#, Some(1), None),
            (r#"{"cpu": {"sockets": 0, "cores": 0}, "resources": {"requests": {"cpu": 3}}}"#, Some(3), None),
            (r#"{"cpu": {"cores": 4}, "resources": {"limits": {"cpu": "1"}}}"#, Some(4), None),
            (
                r#"{"cpu": {"dedicatedCpuPlacement": true}, "resources": {"limits": {"cpu": 2, "memory": "2Gi"}}}"#,
                Some(2),
                Some("2Gi"),
            ),
            (r#"{"resources": {"requests": {"memory": "1Gi"}}}"#, Some(1), Some("1Gi")),
            (r#"{"resources": {"requests": {"memory": 1024}}}"#, Some(1), Some("1024")),
            (r#"{"resources": {"limits": {"memory": "1Gi"}}}"#, Some(1), Some("1Gi")),
            (
                r#"{"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "3Gi"}}}"#,
                Some(1),
                Some("2Gi"),
            ),
            (
                r#"{"memory": {"guest": "4Gi"}, "resources": {"requests": {"memory": "1Gi"}}}"#,
                Some(1),
                Some("4Gi"),
            ),
            (r#"{"memory": {"hugepages": {"pageSize": "1Gi"}}}"#, Some(1), Some("1Gi")),
            (
                r#"{"memory": {"hugepages": {"pageSize": "2Mi"}}, "resources": {"requests": {"memory": "6Gi", "hugepages-2Mi": "4Gi"}}}"#,
                Some(1),
                Some("6Gi"),
            ),
            (
                r#"{"resources": {"requests": {"memory": "0"}, "limits": {"memory": "1Gi"}}}"#,
                Some(1),
                Some("1Gi"),
            ),
            // kubevirt/kubevirt#13608: CPU and memory that may be hot-plugged do not count yet.
            (
                r#"{"cpu": {"cores": 1, "threads": 1, "sockets": 2, "maxSockets": 4}, "memory": {"maxGuest": "8Gi"}, "resources": {"requests": {"memory": "2048M"}}}"#,
                Some(2),
                Some("2048M"),
            ),
            // kubevirt/kubevirt#15198: the VM is overcommitted.
            (
                r#"{"memory": {"guest": "4Gi"}, "resources": {"overcommitGuestOverhead": true, "requests": {"cpu": "100m", "memory": "2731Mi"}}}"#,
                Some(1),
                Some("4Gi"),
            ),
            (r#"{"cpu": {"cores": "many"}}"#, None, None),
            (r#"{"cpu": {"cores": 2, "sockets": "many"}}"#, None, None),
            (r#"{"resources": {"limits": {"cpu": "lots"}, "requests": {"cpu": 2}}}"#, None, None),
            (r#"{"cpu": {"cores": 18446744073709551615, "sockets": 9}}"#, Some(u64::MAX), None),
            (r#"{"cpu": 4, "memory": "4Gi"}"#, Some(1), None),
        ] {
            let Obj(read) = serde_json::from_str::<Obj<Domain>>(domain).unwrap();
            assert_eq!((vcpus(&read), memory(&read).as_deref()), (cpu, text), "{domain}");
        }
    }
}

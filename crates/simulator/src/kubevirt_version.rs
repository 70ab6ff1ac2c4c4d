//! Versions of KubeVirt, which name families differently.

/// The version of KubeVirt of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KubevirtVersion {
    /// 1.0.0. It does not report how long vCPUs wait for a CPU of the host.
    V1_0,
    /// 1.6.2.
    #[default]
    V1_6,
}

/// How KubeVirt 1.0.0 (`pkg/monitoring/domainstats/prometheus`) names and scales what 1.6 calls otherwise. A family
/// without an old name is new.
const OLD_NAMES: [(&str, Option<(&str, f64)>); 16] = [
    ("cpu_system_usage_seconds_total", Some(("cpu_system_usage_seconds", 1.0))),
    ("cpu_usage_seconds_total", Some(("cpu_usage_seconds", 1.0))),
    ("cpu_user_usage_seconds_total", Some(("cpu_user_usage_seconds", 1.0))),
    ("filesystem_capacity_bytes", Some(("filesystem_capacity_bytes_total", 1.0))),
    ("memory_domain_bytes", Some(("memory_domain_bytes_total", 1.0))),
    ("memory_pgmajfault_total", Some(("memory_pgmajfault", 1.0))),
    ("memory_pgminfault_total", Some(("memory_pgminfault", 1.0))),
    ("memory_swap_in_traffic_bytes", Some(("memory_swap_in_traffic_bytes_total", 1.0))),
    ("memory_swap_out_traffic_bytes", Some(("memory_swap_out_traffic_bytes_total", 1.0))),
    ("storage_flush_times_seconds_total", Some(("storage_flush_times_ms_total", 1e3))),
    ("storage_read_times_seconds_total", Some(("storage_read_times_ms_total", 1e3))),
    ("storage_write_times_seconds_total", Some(("storage_write_times_ms_total", 1e3))),
    ("vcpu_delay_seconds_total", None),
    ("vcpu_seconds_total", Some(("vcpu_seconds", 1.0))),
    ("vcpu_wait_seconds_total", Some(("vcpu_wait_seconds", 1.0))),
    ("migration_data_bytes_total", None),
];

impl KubevirtVersion {
    /// The version as KubeVirt writes it.
    pub fn text(self) -> &'static str {
        match self {
            Self::V1_0 => "v1.0.0",
            Self::V1_6 => "v1.6.2",
        }
    }

    /// Returns what this version calls a family of 1.6, and by what its values must be multiplied. `None` if it does
    /// not have it.
    pub fn name(self, family: &'static str) -> Option<(&'static str, f64)> {
        let old = OLD_NAMES.iter().find(|(name, _)| self == Self::V1_0 && *name == family);
        old.map_or(Some((family, 1.0)), |(_, old)| *old)
    }
}

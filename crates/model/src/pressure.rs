//! Pressure of a VM's launcher pod: how much of the time its tasks waited for a resource of the host, as Linux counts
//! it (pressure stall information, PSI). The core makes it of what kubelets report; REST and the VM's page show it.

use super::activity::Origin;
use super::{activity::Part, figure::Missing, reason::Reason};

/// The time over which the averages are shown, in milliseconds: `avg60` of the kernel.
pub const WINDOW_MS: u32 = 60_000;

/// The averages of each resource; `None` if that one is not reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    pub cpu: Option<Stall>,
    pub memory: Option<Stall>,
    pub io: Option<Stall>,
}

/// How much of the time some task waited, and all tasks at once, in thousandths of a percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stall {
    pub some: u32,
    pub full: u32,
}

/// The pressure of one pod with its source and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PressureSample {
    pub pressure: Pressure,
    pub origin: Origin,
}

impl Pressure {
    /// Whether no resource is reported.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The pressure of a VM before it is known.
pub fn unknown() -> Part<PressureSample> {
    Err(Box::new(Missing::from(Reason::Starting)))
}

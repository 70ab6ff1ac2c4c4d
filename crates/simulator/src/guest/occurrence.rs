//! What has happened to a guest, as Events report it. Reasons and messages are those of KubeVirt 1.6 and of the
//! kubelet and the scheduler of Kubernetes 1.34.

use crate::clock::{HOUR, Millis, SECOND};

/// How long the API server keeps an Event.
pub const EVENT_TTL: Millis = HOUR;
/// The reason of a failed migration.
pub const MIGRATION_FAILURE: &str = "Live migration stuck for 150 seconds and has been aborted";

/// One thing that happened, perhaps several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    pub kind: OccurrenceKind,
    /// The start of the VM during which it happened.
    pub incarnation: u32,
    /// The node of the component that reported it; empty if that is not a node's.
    pub node: String,
    pub first: Millis,
    pub last: Millis,
    pub count: u32,
}

/// What happened. The numbers are serial numbers of launchers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OccurrenceKind {
    InstanceCreated,
    InstanceDeleted,
    PodCreated(u32),
    PodScheduled(u32),
    Unschedulable(u32),
    Defined,
    Started,
    ShuttingDown,
    ShutDown,
    ProbeFailed(u32),
    Killed(u32),
    PausedByIoError(String),
    MigrationCreated(u32),
    TargetPodCreated(u32),
    HandedOver(u32),
    TargetPrepared,
    Migrating,
    /// With its new node.
    Migrated(String),
    MigrationSucceeded(u32),
    MigrationFailed(u32),
    MigrationObjectFailed(u32),
}

/// The object that an Event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvolvedObject {
    Machine,
    Instance,
    Pod(u32),
    Migration(u32),
}

/// Who reports an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reporter {
    VirtController,
    Evacuation,
    VirtHandler,
    VirtLauncher,
    Kubelet,
    /// It uses the newer API of Events, whose fields differ.
    Scheduler,
}

impl Reporter {
    pub fn name(self) -> &'static str {
        match self {
            Self::VirtController => "virtualmachine-controller",
            Self::Evacuation => "evacuation-controller",
            Self::VirtHandler => "virt-handler",
            Self::VirtLauncher => "virt-launcher",
            Self::Kubelet => "kubelet",
            Self::Scheduler => "default-scheduler",
        }
    }
}

impl OccurrenceKind {
    pub fn involved_object(&self) -> InvolvedObject {
        match self {
            Self::InstanceCreated | Self::InstanceDeleted => InvolvedObject::Machine,
            Self::PodScheduled(pod)
            | Self::Unschedulable(pod)
            | Self::ProbeFailed(pod)
            | Self::Killed(pod) => InvolvedObject::Pod(*pod),
            Self::TargetPodCreated(target)
            | Self::HandedOver(target)
            | Self::MigrationSucceeded(target)
            | Self::MigrationObjectFailed(target) => InvolvedObject::Migration(*target),
            _ => InvolvedObject::Instance,
        }
    }

    pub fn reporter(&self) -> Reporter {
        match self {
            Self::MigrationCreated(_) => Reporter::Evacuation,
            Self::PodScheduled(_) | Self::Unschedulable(_) => Reporter::Scheduler,
            Self::ProbeFailed(_) | Self::Killed(_) => Reporter::Kubelet,
            Self::PausedByIoError(_) => Reporter::VirtLauncher,
            Self::Defined | Self::Started | Self::ShuttingDown | Self::ShutDown => Reporter::VirtHandler,
            Self::TargetPrepared | Self::Migrating | Self::Migrated(_) => Reporter::VirtHandler,
            Self::MigrationFailed(_) => Reporter::VirtHandler,
            _ => Reporter::VirtController,
        }
    }

    pub fn reason(&self) -> &'static str {
        match self {
            Self::InstanceCreated | Self::PodCreated(_) => "SuccessfulCreate",
            Self::MigrationCreated(_) | Self::TargetPodCreated(_) => "SuccessfulCreate",
            Self::InstanceDeleted => "SuccessfulDelete",
            Self::PodScheduled(_) => "Scheduled",
            Self::Unschedulable(_) => "FailedScheduling",
            Self::Defined => "Created",
            Self::Started => "Started",
            Self::ShuttingDown => "ShuttingDown",
            Self::ShutDown => "Stopped",
            Self::ProbeFailed(_) => "Unhealthy",
            Self::Killed(_) => "Killing",
            Self::PausedByIoError(_) => "IOerror",
            Self::HandedOver(_) => "SuccessfulHandOver",
            Self::TargetPrepared => "PreparingTarget",
            Self::Migrating => "Migrating",
            Self::Migrated(_) | Self::MigrationFailed(_) => "Migrated",
            Self::MigrationSucceeded(_) => "SuccessfulMigration",
            Self::MigrationObjectFailed(_) => "FailedMigration",
        }
    }

    pub fn is_warning(&self) -> bool {
        matches!(
            self,
            Self::Unschedulable(_)
                | Self::ProbeFailed(_)
                | Self::PausedByIoError(_)
                | Self::MigrationFailed(_)
                | Self::MigrationObjectFailed(_)
        )
    }

    /// How often it happens in a row, and the time between two of these.
    pub fn count(&self) -> (u32, Millis) {
        match self {
            // Three failures in a row, ten seconds apart, are as many as a probe allows.
            Self::ProbeFailed(_) => (3, 10 * SECOND),
            Self::Unschedulable(_) => (36, 300 * SECOND),
            _ => (1, 0),
        }
    }
}

//! Decides whether a VM runs: by its instance, else by `printableStatus` of the VM, else by the Wukong's
//! phase. `join` uses it.
//!
//! An instance that is not final may hold a guest, whatever `printableStatus` says. KubeVirt chooses the
//! first that applies of Terminating, Stopping, Migrating, Paused, Running and others (`setPrintableStatus`
//! of kubevirt pkg/virt-controller/watch/vm/vm.go), so the first three hide whether the guest runs or is
//! paused.

use super::observation::Pause;
use model::vm::Status;

/// What is known of a VM's VirtualMachineInstance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InstanceState<'a> {
    /// Instances cannot be read.
    Unreadable,
    /// Instances are listed, and this one does not exist.
    Absent,
    Present {
        phase: &'a str,
        /// The object has a `deletionTimestamp`.
        deleting: bool,
    },
}

/// `VirtualMachine.status.printableStatus`, grouped by what it says about the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PrintableStatus {
    /// Empty or `Unknown`, or there is no VirtualMachine.
    Nothing,
    Up,
    /// The VM stops, or is being deleted: the guest may still run.
    Leaving,
    Stopped,
    Starting,
    Waiting,
    Error,
    /// A value that this program does not know, from another version of KubeVirt.
    Other,
}

impl PrintableStatus {
    fn of(printable_status: &str) -> Self {
        match printable_status {
            "" | "Unknown" => Self::Nothing,
            "Running" | "Migrating" | "Paused" => Self::Up,
            "Stopping" | "Terminating" => Self::Leaving,
            "Stopped" => Self::Stopped,
            "Starting" => Self::Starting,
            "Provisioning" | "WaitingForVolumeBinding" | "WaitingForReceiver" => Self::Waiting,
            "CrashLoopBackOff" | "ErrorUnschedulable" | "ErrorPvcNotFound" | "DataVolumeError"
            | "ErrImagePull" | "ImagePullBackOff" => Self::Error,
            _ => Self::Other,
        }
    }

    /// Returns the status that `printableStatus` alone gives; `None` if it does not say.
    fn status(self) -> Option<Status> {
        Some(match self {
            Self::Nothing => return None,
            Self::Up => Status::Running,
            Self::Leaving | Self::Stopped => Status::Stopped,
            Self::Starting => Status::Creating,
            Self::Waiting => Status::Pending,
            Self::Error | Self::Other => Status::Error,
        })
    }
}

/// Returns the status of the REST contract. `word` is `printableStatus`. `pod_alive` tells whether a launcher
/// pod of the VM has the phase `Running`; it is called only if instances cannot be read.
pub(super) fn status(
    word: &str,
    vm_deleting: bool,
    instance: InstanceState,
    pod_alive: impl FnOnce() -> bool,
    wukong_phase: &str,
) -> Status {
    let word = if vm_deleting { PrintableStatus::Leaving } else { PrintableStatus::of(word) };
    let without_instance = || word.status().unwrap_or_else(|| of_wukong(wukong_phase));
    match instance {
        InstanceState::Present { phase, .. } => of_instance(phase, word),
        InstanceState::Absent => without_instance(),
        // KubeVirt writes this status also while the instance is not final, so its guest may still run.
        InstanceState::Unreadable if word == PrintableStatus::Leaving && pod_alive() => Status::Running,
        InstanceState::Unreadable => without_instance(),
    }
}

fn of_instance(phase: &str, word: PrintableStatus) -> Status {
    match phase {
        "Running" => Status::Running,
        "Succeeded" => of_final_instance(word, Status::Stopped),
        "Failed" => of_final_instance(word, Status::Error),
        "" | "Pending" => of_new_instance(word, Status::Pending),
        "Scheduling" | "Scheduled" | "WaitingForSync" => of_new_instance(word, Status::Creating),
        _ => Status::Unknown,
    }
}

/// Returns the status of a VM whose instance is final. `Failed` after a stop is not an error: the grace
/// period ended before the guest did. A VM that should run has lost its guest, which `printableStatus` does
/// not say yet.
fn of_final_instance(word: PrintableStatus, lost: Status) -> Status {
    match word {
        PrintableStatus::Up | PrintableStatus::Nothing => lost,
        word => word.status().unwrap_or(lost),
    }
}

/// Returns the status of a VM without a guest yet. A VM that is stopped meanwhile never gets one.
fn of_new_instance(word: PrintableStatus, coming: Status) -> Status {
    match word {
        PrintableStatus::Leaving => Status::Stopped,
        PrintableStatus::Error | PrintableStatus::Other => Status::Error,
        PrintableStatus::Waiting => Status::Pending,
        PrintableStatus::Nothing
        | PrintableStatus::Up
        | PrintableStatus::Stopped
        | PrintableStatus::Starting => coming,
    }
}

/// Maps `Wukong.status.phase`, including the phases of older operators.
fn of_wukong(phase: &str) -> Status {
    match phase {
        "Running" => Status::Running,
        "Creating" => Status::Creating,
        "Pending" | "Scheduling" => Status::Pending,
        "Stopped" => Status::Stopped,
        "Error" | "Failed" => Status::Error,
        _ => Status::Unknown,
    }
}

/// Returns `word`, which is KubeVirt's `printableStatus`. If it is missing or out of date, returns the status
/// that KubeVirt would choose for a running instance.
pub(super) fn kubevirt_status<'a>(
    word: &'a str,
    vm_deleting: bool,
    instance: InstanceState,
    migrating: bool,
    paused: bool,
) -> &'a str {
    let InstanceState::Present { phase: "Running", deleting } = instance else { return word };
    match PrintableStatus::of(word) {
        PrintableStatus::Up | PrintableStatus::Leaving | PrintableStatus::Other => word,
        _ if vm_deleting => "Terminating",
        _ if deleting => "Stopping",
        _ if migrating => "Migrating",
        _ if paused => "Paused",
        _ => "Running",
    }
}

/// Whether a fault paused the guest. A pause by a person is intended. So is a pause by the migration monitor:
/// it pauses the source of a migration that does not converge, until the migration ends
/// (`calculatePausedCondition` of kubevirt pkg/virt-handler/vm.go).
pub(super) fn is_fault(pause: &Pause, migrating: bool) -> bool {
    match pause.reason.as_str() {
        "PausedByUser" => false,
        "PausedByMigrationMonitor" => !migrating,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Status::*;

    fn vmi(phase: &str) -> InstanceState<'_> {
        InstanceState::Present { phase, deleting: false }
    }

    const ABSENT: InstanceState = InstanceState::Absent;
    const UNREADABLE: InstanceState = InstanceState::Unreadable;

    #[test]
    fn the_instance_decides_then_the_word_then_the_phase() {
        for (word, instance, want) in [
            ("Running", vmi("Running"), Running),
            ("Running", ABSENT, Running),
            ("Running", vmi("Failed"), Error),
            ("Running", vmi("Succeeded"), Stopped),
            ("Paused", vmi("Running"), Running),
            ("Paused", vmi("Failed"), Error),
            ("Migrating", vmi("Running"), Running),
            ("Migrating", ABSENT, Running),
            ("Stopping", vmi("Running"), Running),
            ("Stopping", vmi("Scheduling"), Stopped),
            ("Stopping", vmi("Pending"), Stopped),
            ("Stopping", vmi("Succeeded"), Stopped),
            ("Stopping", vmi("Failed"), Stopped),
            ("Stopping", ABSENT, Stopped),
            ("Terminating", vmi("Running"), Running),
            ("Terminating", vmi("Scheduled"), Stopped),
            ("Terminating", vmi("Failed"), Stopped),
            ("Terminating", ABSENT, Stopped),
            ("Stopped", vmi("Running"), Running),
            ("Stopped", vmi("Failed"), Stopped),
            ("Stopped", vmi("Succeeded"), Stopped),
            ("Stopped", vmi("Scheduling"), Creating),
            ("Stopped", ABSENT, Stopped),
            ("Starting", ABSENT, Creating),
            ("Starting", vmi("Pending"), Pending),
            ("Starting", vmi(""), Pending),
            ("Starting", vmi("Scheduling"), Creating),
            ("Starting", vmi("Scheduled"), Creating),
            ("Starting", vmi("Running"), Running),
            ("Starting", vmi("Succeeded"), Creating),
            ("Provisioning", ABSENT, Pending),
            ("Provisioning", vmi("Pending"), Pending),
            ("Provisioning", vmi("Failed"), Pending),
            // The claim waits for storage (kubevirt/kubevirt#15883), and the instance has no phase yet
            // (#1928).
            ("Provisioning", vmi(""), Pending),
            ("WaitingForVolumeBinding", ABSENT, Pending),
            ("WaitingForVolumeBinding", vmi("Pending"), Pending),
            ("WaitingForReceiver", vmi("WaitingForSync"), Pending),
            ("WaitingForReceiver", ABSENT, Pending),
            ("CrashLoopBackOff", ABSENT, Error),
            ("CrashLoopBackOff", vmi("Failed"), Error),
            ("CrashLoopBackOff", vmi("Succeeded"), Error),
            ("CrashLoopBackOff", vmi("Running"), Running),
            ("ErrorUnschedulable", vmi("Scheduling"), Error),
            ("ErrorUnschedulable", vmi("Running"), Running),
            ("ErrorPvcNotFound", ABSENT, Error),
            ("DataVolumeError", vmi("Pending"), Error),
            ("ErrImagePull", vmi("Scheduling"), Error),
            ("ImagePullBackOff", vmi("Scheduling"), Error),
            ("Unknown", vmi("Unknown"), Unknown),
            ("Unknown", vmi("Running"), Running),
            ("Unknown", vmi("Failed"), Error),
            ("", vmi("Running"), Running),
            ("", vmi("Failed"), Error),
            ("", vmi("Succeeded"), Stopped),
            ("", vmi("Scheduling"), Creating),
            ("", vmi("Pending"), Pending),
            ("", ABSENT, Unknown),
            ("Hibernated", vmi("Running"), Running),
            ("Hibernated", ABSENT, Error),
            ("Running", vmi("Hibernated"), Unknown),
        ] {
            assert_eq!(status(word, false, instance, || false, ""), want, "{word} {instance:?}");
        }
    }

    #[test]
    fn where_instances_cannot_be_read_the_word_and_a_live_pod_tell() {
        for (word, pod_alive, wukong, want) in [
            ("Running", false, "", Running),
            ("Migrating", true, "", Running),
            ("Paused", false, "", Running),
            ("Stopping", true, "Running", Running),
            ("Stopping", false, "Running", Stopped),
            ("Terminating", true, "", Running),
            ("Terminating", false, "", Stopped),
            ("Stopped", true, "", Stopped),
            ("Starting", false, "", Creating),
            ("WaitingForVolumeBinding", false, "", Pending),
            ("CrashLoopBackOff", true, "", Error),
            ("", false, "Running", Running),
            ("Unknown", false, "Failed", Error),
            ("", true, "Stopped", Stopped),
            ("", true, "Scheduling", Pending),
            ("", true, "", Unknown),
        ] {
            assert_eq!(status(word, false, UNREADABLE, || pod_alive, wukong), want, "{word} {wukong}");
        }
        assert_eq!(status("Running", true, UNREADABLE, || false, ""), Stopped, "the VM is being deleted");
        assert_eq!(status("Stopped", true, UNREADABLE, || true, ""), Running, "and its guest lives");
        assert_eq!(status("", false, ABSENT, || true, "Running"), Running, "the Wukong's phase");
    }

    #[test]
    fn a_word_that_is_missing_or_behind_is_derived() {
        let stopping = InstanceState::Present { phase: "Running", deleting: true };
        for (word, deleting, instance, migrating, paused, want) in [
            ("Running", false, vmi("Running"), false, true, "Running"),
            ("Stopping", false, stopping, false, false, "Stopping"),
            ("Migrating", false, vmi("Running"), true, true, "Migrating"),
            ("Hibernated", false, vmi("Running"), false, false, "Hibernated"),
            ("", false, vmi("Running"), false, false, "Running"),
            ("", false, vmi("Running"), false, true, "Paused"),
            ("", false, vmi("Running"), true, true, "Migrating"),
            ("", false, stopping, true, true, "Stopping"),
            ("", true, stopping, true, true, "Terminating"),
            ("Stopped", false, vmi("Running"), false, false, "Running"),
            ("Starting", false, vmi("Running"), false, true, "Paused"),
            ("CrashLoopBackOff", false, stopping, false, false, "Stopping"),
            ("Unknown", false, vmi("Running"), false, false, "Running"),
            ("Stopped", false, vmi("Failed"), false, false, "Stopped"),
            ("", false, vmi("Scheduling"), false, false, ""),
            ("", false, UNREADABLE, false, true, ""),
        ] {
            let got = kubevirt_status(word, deleting, instance, migrating, paused);
            assert_eq!(got, want, "{word} {instance:?} {migrating} {paused}");
        }
    }

    #[test]
    fn a_pause_is_a_fault_unless_somebody_meant_it() {
        for (reason, migrating, want) in [
            ("PausedByUser", false, false),
            ("PausedByUser", true, false),
            ("PausedIOError", false, true),
            ("PausedIOError", true, true),
            ("PausedByMigrationMonitor", true, false),
            ("PausedByMigrationMonitor", false, true),
            ("", false, true),
            ("PausedBySomething", true, true),
        ] {
            let pause = Pause { reason: reason.into(), message: String::new() };
            assert_eq!(is_fault(&pause, migrating), want, "{reason} {migrating}");
        }
    }
}

//! Records what happens to a guest, and words the Events that report it.

use super::{Guest, InvolvedObject, MIGRATION_FAILURE, Occurrence, OccurrenceKind};
use crate::{clock::Millis, rng::hash};

impl Guest {
    /// Records what happened at `at`, reported by a component on `node`. What happens repeatedly ends then.
    pub fn record(&mut self, kind: OccurrenceKind, node: &str, at: Millis) {
        let (count, apart) = kind.count();
        let first = at - Millis::from(count - 1) * apart;
        let (incarnation, node) = (self.incarnation, node.to_owned());
        self.occurrences.push(Occurrence { kind, incarnation, node, first, last: at, count });
    }

    pub fn has_occurrences_before(&self, at: Millis) -> bool {
        self.occurrences.iter().any(|occurrence| occurrence.last < at)
    }

    pub fn forget_occurrences_before(&mut self, at: Millis) {
        self.occurrences.retain(|occurrence| occurrence.last >= at);
    }

    /// The message of an Event.
    pub fn message(&self, occurrence: &Occurrence) -> String {
        match &occurrence.kind {
            OccurrenceKind::InstanceCreated => {
                format!(
                    "Started the virtual machine by creating the new virtual machine instance {}",
                    self.vm_name
                )
            }
            OccurrenceKind::InstanceDeleted => format!(
                "Stopped the virtual machine by deleting the virtual machine instance {}",
                self.instance_uid_of(occurrence.incarnation)
            ),
            OccurrenceKind::PodCreated(pod) => format!("Created virtual machine pod {}", self.pod_name(*pod)),
            OccurrenceKind::PodScheduled(pod) => format!(
                "Successfully assigned {}/{} to {}",
                self.namespace,
                self.pod_name(*pod),
                occurrence.node
            ),
            OccurrenceKind::Unschedulable(_) => {
                "0/6 nodes are available: 6 Insufficient nvidia.com/gpu. preemption: 0/6 nodes are \
                 available: 6 No preemption victims found for incoming pod."
                    .to_owned()
            }
            OccurrenceKind::Defined => "VirtualMachineInstance defined.".to_owned(),
            OccurrenceKind::Started => "VirtualMachineInstance started.".to_owned(),
            OccurrenceKind::ShuttingDown => "Signaled Graceful Shutdown".to_owned(),
            OccurrenceKind::ShutDown => "The VirtualMachineInstance was shut down.".to_owned(),
            OccurrenceKind::ProbeFailed(_) => self.probe_message(),
            // A launcher's restartPolicy is Never; otherwise it would go on with "will be restarted".
            OccurrenceKind::Killed(_) => "Container compute failed liveness probe".to_owned(),
            OccurrenceKind::PausedByIoError(volume) => {
                format!("VM Paused due to IO error at the volume: {volume}")
            }
            _ => self.migration_message(occurrence),
        }
    }

    fn migration_message(&self, occurrence: &Occurrence) -> String {
        match &occurrence.kind {
            OccurrenceKind::MigrationCreated(target) => {
                format!("Created Migration {}", self.migration_name(*target))
            }
            OccurrenceKind::TargetPodCreated(target) => {
                format!("Created migration target pod {}", self.pod_name(*target))
            }
            OccurrenceKind::HandedOver(_) => {
                "Migration target pod is ready for preparation by virt-handler.".to_owned()
            }
            OccurrenceKind::TargetPrepared => "VirtualMachineInstance Migration Target Prepared.".to_owned(),
            OccurrenceKind::Migrating => "VirtualMachineInstance is migrating.".to_owned(),
            OccurrenceKind::Migrated(node) => format!("The VirtualMachineInstance migrated to node {node}."),
            OccurrenceKind::MigrationSucceeded(_) => "Source node reported migration succeeded".to_owned(),
            OccurrenceKind::MigrationFailed(target) => format!(
                "VirtualMachineInstance migration uid {} failed. reason:{MIGRATION_FAILURE}",
                self.migration_uid(*target)
            ),
            _ => "source node reported migration failed".to_owned(),
        }
    }

    fn probe_message(&self) -> String {
        let ip = self.networks.first().map_or("10.128.0.2", |network| &network.ip_address);
        format!(
            "Liveness probe failed: Get \"http://{ip}:8080/healthz\": context deadline exceeded (Client.Timeout exceeded \
             while awaiting headers)"
        )
    }

    /// The name of the object that an Event is about.
    pub fn involved_object_name(&self, object: InvolvedObject) -> String {
        match object {
            InvolvedObject::Machine | InvolvedObject::Instance => self.vm_name.clone(),
            InvolvedObject::Pod(serial) => self.pod_name(serial),
            InvolvedObject::Migration(target) => self.migration_name(target),
        }
    }

    /// The name of an Event: that of its object, and a number.
    pub fn event_name(&self, occurrence: &Occurrence) -> String {
        let object = occurrence.kind.involved_object();
        let (incarnation, first) = (occurrence.incarnation.to_string(), occurrence.first.to_string());
        let message = self.message(occurrence);
        let number = hash(self.seed, &[occurrence.kind.reason(), &message, &incarnation, &first]);
        format!("{}.{number:016x}", self.involved_object_name(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_probe_ends_one_instance_and_starts_another() {
        let mut guest = Guest::new("a", "b").running_on("one", 0);
        guest.fail_probe("two", 100_000);
        assert_eq!((guest.incarnation, guest.started), (2, 100_000));
        let told: Vec<_> =
            guest.occurrences.iter().map(|found| (found.kind.reason(), found.incarnation)).collect();
        let reasons = |of: u32| {
            told.iter().filter(|(_, in_)| *in_ == of).map(|(reason, _)| *reason).collect::<Vec<_>>()
        };
        assert_eq!(reasons(1)[5..], ["Unhealthy", "Killing", "ShuttingDown", "Stopped", "SuccessfulDelete"]);
        assert_eq!(reasons(2)[4], "Started");
        let probe = &guest.occurrences[5];
        assert_eq!((probe.count, probe.first, probe.last), (3, 80_000, 100_000));
    }

    #[test]
    fn events_of_one_guest_have_names_of_their_own() {
        let mut guest = Guest::new("a", "b").running_on("one", 0);
        (1..5).for_each(|n| {
            guest.stop(n * 100_000);
            guest.start("one", n * 100_000);
        });
        let names: std::collections::BTreeSet<_> =
            guest.occurrences.iter().map(|occurrence| guest.event_name(occurrence)).collect();
        assert_eq!(names.len(), guest.occurrences.len());
        guest.forget_occurrences_before(400_000);
        assert_eq!(guest.occurrences.len(), 8);
        assert!(!guest.has_occurrences_before(400_000));
    }
}

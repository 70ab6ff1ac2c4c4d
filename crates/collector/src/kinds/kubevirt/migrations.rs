//! Live migrations of instances, past and running.

use super::super::{Kind, ObservedKind, created, texts};
use crate::k8s::{
    kubevirt::{MigrationSpec, MigrationStatus, PhaseTransition},
    meta::Object,
    time,
};
use model::{Millis, details::Migration, source::SourceId};
use wukong_core::observation::{Change, Key, MigrationFacts, Observation};

/// VirtualMachineInstanceMigrations.
#[derive(Clone, Debug)]
pub struct Migrations;

impl Kind for Migrations {
    const GROUP: &'static str = "kubevirt.io";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "virtualmachineinstancemigrations";

    type Spec = MigrationSpec;
    type Status = MigrationStatus;
    type Facts = MigrationFacts;

    fn facts(object: Object<MigrationSpec, MigrationStatus>) -> MigrationFacts {
        let (meta, spec, status) = (object.metadata.0, object.spec.0, object.status.0);
        let state = &status.migration_state;
        let time_of = |phases: &[&str]| phase_time(&status.phase_transition_timestamps, phases);
        let migration = Migration {
            name: meta.name.0.into(),
            phase: (*status.phase).into(),
            source_node: (*state.source_node).into(),
            target_node: (*state.target_node).into(),
            created: created(&meta.creation_timestamp),
            started: time::rfc3339(&state.start_timestamp).or_else(|| time_of(&["Running"])),
            ended: time::rfc3339(&state.end_timestamp).or_else(|| time_of(&["Succeeded", "Failed"])),
            failure: failure(&status).into(),
        };
        MigrationFacts {
            namespace: meta.namespace.0.into(),
            instance: spec.vmi_name.0.into(),
            migration: migration.into(),
        }
    }

    fn left_out(object: &Object<MigrationSpec, MigrationStatus>) -> u32 {
        let status = &object.status;
        status.conditions.left_out.saturating_add(status.phase_transition_timestamps.left_out)
    }

    fn weight(facts: &MigrationFacts) -> usize {
        let MigrationFacts { namespace, instance, migration } = facts;
        let Migration { name, phase, source_node, target_node, failure, .. } = &**migration;
        size_of::<MigrationFacts>()
            + size_of::<Migration>()
            + texts(&[namespace, instance, name, phase, source_node, target_node, failure])
    }

    fn key(facts: &MigrationFacts) -> Key {
        Key::new(&facts.namespace, &facts.migration.name)
    }
}

impl ObservedKind for Migrations {
    const SOURCE: SourceId = SourceId::Migrations;

    fn observation(change: Change<MigrationFacts>) -> Observation {
        Observation::Migrations(change)
    }
}

/// When the last of these phases began.
fn phase_time(transitions: &[PhaseTransition], phases: &[&str]) -> Option<Millis> {
    let mut transitions = transitions.iter().rev();
    let last = transitions.find(|transition| phases.contains(&&*transition.phase))?;
    time::rfc3339(&last.phase_transition_timestamp)
}

/// Why a migration failed, or why it waits: a condition says when a quota or a policy rejects it.
fn failure(status: &MigrationStatus) -> &str {
    let reason = &*status.migration_state.failure_reason;
    if !reason.is_empty() || &*status.phase == "Succeeded" {
        return reason;
    }
    let mut conditions = status.conditions.iter().filter(|condition| &*condition.status == "True");
    conditions.find(|condition| !condition.message.is_empty()).map_or("", |condition| &*condition.message)
}

#[cfg(test)]
mod tests {
    use super::{super::super::read, *};

    fn status(status: &str) -> MigrationFacts {
        let json = format!(
            r#"{{"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration",
            "metadata": {{"name": "kubevirt-evacuation-x7", "namespace": "prod", "creationTimestamp": "2026-03-04T09:11:00Z",
                "labels": {{"kubevirt.io/vmi-name": "web"}}}},
            "spec": {{"vmiName": "web"}}, "status": {status}}}"#
        );
        read::<Migrations>(&json).unwrap()
    }

    fn time(text: &str) -> Option<Millis> {
        time::rfc3339(text)
    }

    #[test]
    fn a_migration_that_succeeded() {
        let facts = status(
            r#"{"phase": "Succeeded", "migrationState": {"completed": true, "startTimestamp": "2026-03-04T09:12:00Z",
                "endTimestamp": "2026-03-04T09:12:30Z", "migrationUid": "m", "mode": "PreCopy", "sourceNode": "n1", "sourcePod": "p1",
                "targetNode": "n2", "targetNodeAddress": "10.9.0.17", "targetPod": "p2"},
                "phaseTransitionTimestamps": [{"phase": "Running", "phaseTransitionTimestamp": "2026-03-04T09:11:59Z"}]}"#,
        );
        assert_eq!((&*facts.namespace, &*facts.instance), ("prod", "web"));
        let want = Migration {
            name: "kubevirt-evacuation-x7".into(),
            phase: "Succeeded".into(),
            source_node: "n1".into(),
            target_node: "n2".into(),
            created: time("2026-03-04T09:11:00Z").unwrap(),
            started: time("2026-03-04T09:12:00Z"),
            ended: time("2026-03-04T09:12:30Z"),
            failure: "".into(),
        };
        assert_eq!(*facts.migration, want);
        assert!(facts.migration.has_ended());
    }

    #[test]
    fn a_migration_without_a_state_has_the_times_of_its_phases() {
        let facts = status(
            r#"{"phase": "Failed", "phaseTransitionTimestamps": [
                {"phase": "Pending", "phaseTransitionTimestamp": "2026-03-04T09:11:00Z"},
                {"phase": "Failed", "phaseTransitionTimestamp": "2026-03-04T09:16:00Z"}, 7]}"#,
        );
        assert_eq!((facts.migration.started, facts.migration.ended), (None, time("2026-03-04T09:16:00Z")));
        let waiting = status("{}");
        assert_eq!((&*waiting.migration.phase, waiting.migration.has_ended()), ("", false));
    }

    #[test]
    fn a_migration_says_why_it_failed_or_waits() {
        let condition = r#""conditions": [{"type": "Other", "status": "False", "message": "no"},
            {"type": "migrationRejectedByResourceQuota", "status": "True", "message": "exceeded quota: prod"}]"#;
        for (rest, want) in [
            (format!(r#""phase": "Pending", {condition}"#), "exceeded quota: prod"),
            (format!(r#""phase": "Succeeded", {condition}"#), ""),
            (
                format!(r#""phase": "Failed", "migrationState": {{"failureReason": "stuck"}}, {condition}"#),
                "stuck",
            ),
            (r#""phase": "Failed", "migrationState": {"failureReason": 7}"#.to_owned(), ""),
        ] {
            assert_eq!(&*status(&format!("{{{rest}}}")).migration.failure, want, "{rest}");
        }
    }
}

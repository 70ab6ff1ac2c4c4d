//! Writes a VirtualMachineInstanceMigration, and the state of a migration in the status of its instance.

use std::sync::LazyLock;

use super::{
    Part,
    guest::{fill, sample},
    managed::{Manager, complete},
    template::{Quoted, Template, join, put},
};
use crate::{
    clock::{Millis, SECOND, rfc3339},
    guest::{Guest, MIGRATION_FAILURE, Migration},
    resource::Resource,
};

pub fn render(out: &mut String, guest: &Guest, migration: &Migration, revision: u64) {
    write(&TEMPLATE, out, guest, migration, revision);
}

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let managers = [
        Manager { name: "virt-api", subresource: "", fields: &["metadata", "spec"] },
        Manager { name: "virt-controller", subresource: "status", fields: &["status"] },
    ];
    complete(include_str!("templates/migration.json"), Resource::Migrations, &managers, |template, out| {
        let mut guest = sample();
        guest.start_migration("other", 0);
        guest.finish_migration(true, 0);
        guest.migrations().for_each(|migration| write(template, out, &guest, migration, 1));
    })
});

fn write(template: &Template, out: &mut String, guest: &Guest, migration: &Migration, revision: u64) {
    let part = Part::Migration(migration.target);
    template.render(out, |out, place| match place {
        "migrationName" => put!(out, "{}", Quoted(&guest.migration_name(migration.target))),
        "migrationUid" => out.push_str(&guest.migration_uid(migration.target)),
        "started" | "created" => out.push_str(&rfc3339(migration.started - CREATED_BEFORE)),
        "changed" => out.push_str(&rfc3339(migration.ended.unwrap_or(migration.started))),
        "finalizers" if migration.ended.is_none() => {
            out.push_str(r#""finalizers":["kubevirt.io/migrationJobFinalize"],"#);
        }
        "finalizers" => {}
        "sourceNode" => put!(out, "{}", Quoted(&migration.source_node)),
        "migrationState" => state(out, guest, migration),
        "phase" => out.push_str(phase(migration)),
        "transitions" => join(out, transitions(migration), |out, (phase, at)| {
            put!(out, r#"{{"phase":"{phase}","phaseTransitionTimestamp":"{}"}}"#, rfc3339(at));
        }),
        other => fill(out, other, part, guest, revision),
    });
}

/// The time from a migration's object to the start of the migration itself.
const CREATED_BEFORE: Millis = 8 * SECOND;

fn phase(migration: &Migration) -> &'static str {
    match (migration.ended, migration.failed) {
        (None, _) => "Running",
        (Some(_), false) => "Succeeded",
        (Some(_), true) => "Failed",
    }
}

fn transitions(migration: &Migration) -> impl Iterator<Item = (&'static str, Millis)> {
    let before =
        [("Pending", 8), ("Scheduling", 8), ("Scheduled", 4), ("PreparingTarget", 3), ("TargetReady", 1)];
    let started = migration.started;
    let before = before.into_iter().map(move |(phase, seconds)| (phase, started - seconds * SECOND));
    let end = migration.ended.map(|ended| (phase(migration), ended));
    before.chain([("Running", started)]).chain(end)
}

/// Writes the state of a migration, with a comma after it.
///
/// The cluster's `progressTimeout` is 0, so that KubeVirt does not give up a migration that does not converge.
pub fn state(out: &mut String, guest: &Guest, migration: &Migration) {
    put!(
        out,
        r#""migrationState":{{"migrationUid":"{}","mode":"PreCopy","sourceNode":{},"sourcePod":{},"targetNode":{},"targetPod":{},"startTimestamp":"{}","targetNodeAddress":"10.9.0.17","targetNodeDomainDetected":true,"targetDirectMigrationNodePorts":{{"41217":0,"39551":49152}},"migrationConfiguration":{{"allowAutoConverge":false,"allowPostCopy":false,"bandwidthPerMigration":"0","completionTimeoutPerGiB":800,"nodeDrainTaintKey":"kubevirt.io/drain","parallelMigrationsPerCluster":5,"parallelOutboundMigrationsPerNode":2,"progressTimeout":0,"unsafeMigrationOverride":false}}"#,
        guest.migration_uid(migration.target),
        Quoted(&migration.source_node),
        Quoted(&guest.pod_name(migration.source)),
        Quoted(&migration.target_node),
        Quoted(&guest.pod_name(migration.target)),
        rfc3339(migration.started)
    );
    if let Some(ended) = migration.ended {
        put!(out, r#","completed":true,"endTimestamp":"{}""#, rfc3339(ended));
        // The API server leaves out what is false.
        if migration.failed {
            put!(out, r#","failed":true,"failureReason":"{MIGRATION_FAILURE}""#);
        } else {
            put!(out, r#","targetNodeDomainReadyTimestamp":"{}""#, rfc3339(ended));
        }
    }
    out.push_str("},");
}

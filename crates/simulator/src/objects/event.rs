//! Writes an Event about one of a guest's objects.

use std::sync::LazyLock;

use super::{
    managed::{Manager, complete},
    template::{Quoted, Template, put},
};
use crate::{
    clock::{Millis, rfc3339, rfc3339_micros},
    guest::{Guest, InvolvedObject, Occurrence, OccurrenceKind, Reporter},
    resource::{Api, Resource},
};

pub fn render(out: &mut String, guest: &Guest, occurrence: &Occurrence, revision: u64) {
    write(&TEMPLATE, out, guest, occurrence, revision);
}

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    const FIELDS: [&str; 5] = ["firstTimestamp", "involvedObject", "lastTimestamp", "message", "reason"];
    let managers = [Manager { name: "virt-handler", subresource: "", fields: &FIELDS }];
    complete(include_str!("templates/event.json"), Resource::Events, &managers, |template, out| {
        let mut guest = super::guest::sample();
        guest.record(OccurrenceKind::Started, "sample", 0);
        write(template, out, &guest, &guest.occurrences[0], 1);
    })
});

fn write(template: &Template, out: &mut String, guest: &Guest, occurrence: &Occurrence, revision: u64) {
    let (kind, name) = (&occurrence.kind, guest.event_name(occurrence));
    let reporter = kind.reporter();
    let is_newer = reporter == Reporter::Scheduler;
    let old_time = |at: Millis| if is_newer { "null".to_owned() } else { format!("\"{}\"", rfc3339(at)) };
    template.render(out, |out, place| match place {
        "name" => put!(out, "{}", Quoted(&name)),
        "namespace" => put!(out, "{}", Quoted(&guest.namespace)),
        "uid" => out.push_str(&guest.uid(&name)),
        "revision" => put!(out, "{revision}"),
        "created" | "changed" => out.push_str(&rfc3339(occurrence.first)),
        "involved" => involved(out, guest, occurrence),
        "reason" => out.push_str(kind.reason()),
        "message" => put!(out, "{}", Quoted(&guest.message(occurrence))),
        "source" if is_newer => out.push_str("{}"),
        "source" if occurrence.node.is_empty() => put!(out, r#"{{"component":"{}"}}"#, reporter.name()),
        "source" => {
            put!(out, r#"{{"component":"{}","host":{}}}"#, reporter.name(), Quoted(&occurrence.node));
        }
        "first" => out.push_str(&old_time(occurrence.first)),
        "last" => out.push_str(&old_time(occurrence.last)),
        "count" if !is_newer => put!(out, r#""count":{},"#, occurrence.count),
        "count" => {}
        "type" => out.push_str(if kind.is_warning() { "Warning" } else { "Normal" }),
        "eventTime" if is_newer => put!(out, "\"{}\"", rfc3339_micros(occurrence.first)),
        "eventTime" => out.push_str("null"),
        "newer" if is_newer => newer(out, occurrence),
        "newer" => {}
        "reporter" => out.push_str(reporter.name()),
        "instance" if is_newer => put!(out, "{}", Quoted("default-scheduler-control-plane-01")),
        "instance" => put!(out, "{}", Quoted(&occurrence.node)),
        other => debug_assert!(false, "no such place: {other}"),
    });
}

/// Writes what an Event of the API group `events.k8s.io` has besides.
fn newer(out: &mut String, occurrence: &Occurrence) {
    if occurrence.count > 1 {
        put!(
            out,
            r#""series":{{"count":{},"lastObservedTime":"{}"}},"#,
            occurrence.count,
            rfc3339_micros(occurrence.last)
        );
    }
    let action =
        if matches!(occurrence.kind, OccurrenceKind::PodScheduled(_)) { "Binding" } else { "Scheduling" };
    put!(out, r#""action":"{action}","#);
}

fn involved(out: &mut String, guest: &Guest, occurrence: &Occurrence) {
    let object = occurrence.kind.involved_object();
    let Api { kind, .. } = resource(object).api();
    let uid = match object {
        InvolvedObject::Machine => guest.uid("machine"),
        InvolvedObject::Instance => guest.instance_uid_of(occurrence.incarnation),
        InvolvedObject::Pod(serial) => guest.pod_uid(serial),
        InvolvedObject::Migration(target) => guest.migration_uid(target),
    };
    put!(
        out,
        r#"{{"kind":"{kind}","namespace":{},"name":{},"uid":"{uid}","apiVersion":"{}","resourceVersion":"1""#,
        Quoted(&guest.namespace),
        Quoted(&guest.involved_object_name(object)),
        resource(object).api().api_version()
    );
    if occurrence.kind.reporter() == Reporter::Kubelet {
        out.push_str(r#","fieldPath":"spec.containers{compute}""#);
    }
    out.push('}');
}

fn resource(object: InvolvedObject) -> Resource {
    match object {
        InvolvedObject::Machine => Resource::VirtualMachines,
        InvolvedObject::Instance => Resource::Instances,
        InvolvedObject::Pod(_) => Resource::Pods,
        InvolvedObject::Migration(_) => Resource::Migrations,
    }
}

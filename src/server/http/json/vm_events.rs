//! The JSON of the Events of one VM, which only `/api/vms/{name}` has.

use serde::Serialize;

use super::figure::{Denominator, MissingJson};
use model::{
    Millis,
    events::{Event, EventObject, VmEvents},
};

/// The fields beside those of the VM.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventsJson<'a> {
    /// The newest first.
    events: Vec<EventJson<'a>>,
    /// Older Events that are not in the list.
    events_left_out: u32,
    /// Why Events are not known, or not all of them; null if they are.
    events_missing: Option<MissingJson>,
    /// When they were read; null if they are not known.
    events_read_at: Option<Millis>,
}

impl<'a> EventsJson<'a> {
    pub fn new(VmEvents { events, left_out, gap, read }: &'a VmEvents) -> Self {
        Self {
            events: events.iter().map(EventJson::new).collect(),
            events_left_out: *left_out,
            events_missing: gap.as_ref().map(|gap| MissingJson::new(gap, Denominator::Allocated)),
            events_read_at: *read,
        }
    }
}

/// An Event about one of the VM's objects.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventJson<'a> {
    /// `Normal` or `Warning`.
    r#type: &'static str,
    reason: &'a str,
    message: &'a str,
    count: u32,
    first_at: Option<Millis>,
    last_at: Option<Millis>,
    object: EventObjectJson<'a>,
    /// Who reports it.
    component: &'a str,
}

#[derive(Serialize)]
struct EventObjectJson<'a> {
    kind: &'a str,
    name: &'a str,
}

impl<'a> EventJson<'a> {
    fn new(event: &'a Event) -> Self {
        let Event { warning, reason, message, count, first, last, object, component } = event;
        let EventObject { kind, name } = object;
        Self {
            r#type: if *warning { "Warning" } else { "Normal" },
            reason,
            message,
            count: *count,
            first_at: *first,
            last_at: *last,
            object: EventObjectJson { kind, name },
            component,
        }
    }
}

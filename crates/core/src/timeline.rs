//! Makes the timeline of a VM's page: its Events, its migrations and its last start, the newest first.

use std::{cmp::Reverse, time::Duration};

use super::events::ObjectKind;
use i18n::{msg, span};
use model::{
    Millis,
    activity::Activity,
    details::{Migration, VmDetails},
    events::{Entry, Event, Sign, Timeline, VmEvents},
    format,
    message::Message,
    rates::Rate,
    reason::Reason,
    vm::Vm,
};

/// A start so soon after a guest was killed is because of that.
const STARTED_AGAIN: Millis = 600_000;

/// Returns the timeline of a VM. `events` are those that its viewer may see.
pub fn timeline(vm: &Vm, details: &VmDetails, events: VmEvents) -> Timeline {
    let restart = restart(vm, details, &events);
    let migrations = details.migrations.iter().map(|migration| migration_entry(migration, &details.activity));
    let start = details.started.map(|at| Entry {
        at: Some(at),
        sign: Sign::Start,
        title: msg!(events.started),
        text: Message::default(),
    });
    let mut entries: Vec<Entry> =
        events.events.iter().map(event_entry).chain(migrations).chain(start).collect();
    entries.sort_by_key(|entry| Reverse(entry.at));
    let gap = events.gap.map(|gap| *gap);
    let pending = gap.as_ref().is_some_and(|gap| matches!(gap.reason, Reason::Starting | Reason::Busy));
    Timeline {
        restart,
        entries,
        note: if events.read.is_some() { note(events.left_out) } else { Message::default() },
        gaps: gap.into_iter().chain(details.migrations_gap.as_deref().cloned()).collect(),
        pending,
    }
}

/// Why the guest was started again: the kubelet has killed its former pod, whose liveness probe had failed.
fn restart(vm: &Vm, details: &VmDetails, events: &VmEvents) -> Option<Message> {
    let started = details.started?;
    let killed = events.events.iter().find(|event| {
        let is_former_pod = *event.object.kind == *ObjectKind::Pod.name() && *event.object.name != *vm.pod;
        let is_kill = &*event.reason == "Killing" && event.message.contains("failed liveness probe");
        let is_before = event.last.is_some_and(|last| (0..STARTED_AGAIN).contains(&(started - last)));
        is_former_pod && is_kill && is_before
    })?;
    let killed = format::utc_minute(killed.last?);
    Some(msg!(events.restarted, killed = killed, started = format::utc_minute(started)))
}

fn note(left_out: u32) -> Message {
    match left_out {
        0 => msg!(events.kept),
        n => msg!(events.kept_more, more = n.to_string()),
    }
}

fn event_entry(event: &Event) -> Entry {
    let Event { warning, reason, message, count, first, last, object, component } = event;
    let object = [&object.kind, " ", &object.name].concat();
    let origin = match &**component {
        "" => msg!(events.origin, reason = &**reason, object = object),
        component => msg!(events.origin_by, reason = &**reason, object = object, component = component),
    };
    let times = match first.filter(|_| *count > 1) {
        Some(first) => {
            Some(msg!(events.times_since, count = count.to_string(), since = format::utc_minute(first)))
        }
        None if *count > 1 => Some(msg!(events.times, count = count.to_string())),
        None => None,
    };
    let text = match times {
        Some(times) => msg!(events.join, first = origin, second = times),
        None => origin,
    };
    let title = if message.is_empty() { reason } else { message };
    Entry {
        at: *last,
        sign: if *warning { Sign::Warning } else { Sign::Normal },
        title: title.to_string().into(),
        text,
    }
}

fn migration_entry(migration: &Migration, activity: &Activity) -> Entry {
    let Migration { name, phase, source_node, target_node, created, started, ended, failure } = migration;
    let (from, to) = (node(source_node), node(target_node));
    let took = ended.map(|ended| time(ended - started.unwrap_or(*created)));
    let (sign, title) = match (&**phase, took) {
        ("Succeeded", Some(took)) => {
            (Sign::Migration, msg!(events.migrated_in, source = from, target = to, time = took))
        }
        ("Succeeded", None) => (Sign::Migration, msg!(events.migrated, source = from, target = to)),
        ("Failed", Some(took)) => {
            (Sign::Warning, msg!(events.migration_failed_after, source = from, target = to, time = took))
        }
        ("Failed", None) => (Sign::Warning, msg!(events.migration_failed, source = from, target = to)),
        ("Running", _) => (Sign::Migration, msg!(events.migrating, source = from, target = to)),
        ("", _) => (Sign::Migration, msg!(events.migration_new)),
        (phase, _) => (Sign::Migration, msg!(events.migration_waits, phase = phase)),
    };
    let more = [Message::from(failure.to_string()), progress(migration, activity)];
    let text = more
        .into_iter()
        .filter(|part| !part.is_empty())
        .fold(Message::from(name.to_string()), |text, part| msg!(events.join, first = text, second = part));
    Entry { at: Some(ended.or(*started).unwrap_or(*created)), sign, title, text }
}

/// How far a migration under way is: of a guest that writes faster than is sent, it does not end.
fn progress(migration: &Migration, activity: &Activity) -> Message {
    let Activity::Known(known) = activity else { return Message::default() };
    let Some(progress) = known.migration.as_deref().filter(|_| !migration.has_ended()) else {
        return Message::default();
    };
    let (Some(processed), Some(remaining)) = (progress.processed, progress.remaining) else {
        return Message::default();
    };
    let speed = |bytes: Option<u64>| match bytes {
        Some(bytes) => {
            let format::Amount { digits, unit } = format::bytes_per_second(Rate(bytes.saturating_mul(1000)));
            [&digits, " ", unit].concat()
        }
        None => "–".to_owned(),
    };
    msg!(
        events.progress,
        processed = format::gi(processed, 2),
        remaining = format::gi(remaining, 2),
        sent = speed(progress.transfer_rate),
        written = speed(progress.dirty_rate)
    )
}

fn node(name: &str) -> Message {
    if name.is_empty() { msg!(events.some_node) } else { name.into() }
}

fn time(millis: Millis) -> Message {
    span(Duration::from_millis(millis.max(0).unsigned_abs()))
}

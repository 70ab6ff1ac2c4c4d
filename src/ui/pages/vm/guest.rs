//! What is known of the guest: its system, the conditions of its instance, and the file systems that its agent reports.

use leptos::prelude::*;

use super::fact;
use crate::ui::{
    components::sheet::{Column, cell, number, sheet},
    ready::IntoReadyAny,
    words,
};
use i18n::{key, t, text};
use model::{
    Millis,
    details::{Condition, VmDetails},
    figure::{Unit, ratio},
    format,
    vm::{Guest, GuestFilesystem},
    vm_health::Level,
};

const FILESYSTEM: [Column; 5] = [
    Column(key!(vm.mounted), false),
    Column(key!(vm.kind), false),
    Column(key!(vm.device), false),
    Column(key!(vm.claim), false),
    Column(key!(vm.used_size), true),
];

/// What is known of the guest, in addition to the host's figures.
pub fn guest(guest: &Guest, details: &VmDetails, now: Millis) -> Option<impl IntoView + use<>> {
    let parts: Vec<AnyView> =
        [system(details), filesystems(guest, now), conditions(details, now)].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| {
        view! {
            <h2>{t!(vm.guest)}</h2>
            {parts}
        }
    })
}

fn system(details: &VmDetails) -> Option<AnyView> {
    let system = details.system.as_ref();
    let name = system.map(|of| [&of.name, " ", &of.version].concat()).unwrap_or_default();
    let kernel = system.map(|of| of.kernel.to_string()).unwrap_or_default();
    let facts = [(t!(vm.system), name), (t!(vm.kernel), kernel), (t!(vm.hostname), details.hostname.clone())];
    facts.iter().any(|(_, value)| !value.is_empty()).then(|| {
        let facts: Vec<_> = facts.into_iter().map(|(name, value)| fact(name, value)).collect();
        view! { <dl class="facts">{facts}</dl> }.into_ready_any()
    })
}

fn filesystems(guest: &Guest, now: Millis) -> Option<AnyView> {
    let at = guest.at?;
    let rows: Vec<_> = guest.filesystems.iter().map(filesystem).collect();
    let sheet =
        (!rows.is_empty()).then(|| sheet(t!(vm.guest_filesystems), &FILESYSTEM, rows.into_ready_any()));
    let more = (guest.filesystems_left_out > 0).then(|| {
        view! { <p class="small">{t!(vm.guest_more, n = guest.filesystems_left_out)}</p> }
    });
    Some(
        view! {
            {sheet}
            {more}
            <p class="small">{t!(vm.guest_age, ago = words::ago(now, at))}</p>
        }
        .into_ready_any(),
    )
}

fn filesystem(filesystem: &GuestFilesystem) -> impl IntoView + use<> {
    let amount = |bytes: u64| format::allocation(Unit::Bytes, bytes);
    let sizes = filesystem.used.zip(filesystem.total);
    let used = match sizes {
        Some((used, total)) => [&amount(used), " / ", &amount(total), " Gi"].concat(),
        None => t!(figure.unknown).to_owned(),
    };
    let percent = sizes.map(|(used, total)| ratio(used, total, 100));
    let level = match percent.map(Level::of_space).unwrap_or_default() {
        Level::Normal => "num",
        Level::High => "num hot",
        Level::Critical => "num crit",
    };
    view! {
        <tr role="row">
            <th role="rowheader" scope="row">
                {filesystem.mount_point.clone()}
            </th>
            {cell(FILESYSTEM[1].0, filesystem.kind.clone())}
            {cell(FILESYSTEM[2].0, filesystem.disk.clone())}
            {cell(FILESYSTEM[3].0, filesystem.claim.clone())}
            <td role="cell" class=level data-th=text(FILESYSTEM[4].0)>
                {used} " " <span class="pct">{percent.map(words::percent)}</span>
            </td>
        </tr>
    }
}

const CONDITION: [Column; 5] = [
    Column(key!(vm.condition), false),
    Column(key!(vm.condition_status), false),
    Column(key!(vm.reason), false),
    Column(key!(vm.message), false),
    Column(key!(vm.since), true),
];

/// The conditions of the VM's instance, in KubeVirt's words.
fn conditions(details: &VmDetails, now: Millis) -> Option<AnyView> {
    let row = |condition: &Condition| {
        let texts = [&condition.status, &condition.reason, &condition.message].map(ToString::to_string);
        let cells: Vec<_> =
            CONDITION[1..4].iter().zip(texts).map(|(column, text)| cell(column.0, text)).collect();
        let since = condition.since.map(|at| words::span(now - at)).unwrap_or_default();
        view! {
            <tr role="row">
                <th role="rowheader" scope="row">
                    {condition.kind.to_string()}
                </th>
                {cells}
                {number(CONDITION[4].0, since)}
            </tr>
        }
    };
    let rows: Vec<_> = details.conditions.iter().map(row).collect();
    (!rows.is_empty()).then(|| sheet(t!(vm.conditions), &CONDITION, rows.into_ready_any()).into_ready_any())
}

//! What the guest itself reports: its memory and its file systems.

use leptos::prelude::*;

use crate::ui::{
    components::{
        meter::{HOT, value_text},
        sheet::{Column, cell, sheet},
    },
    words,
};
use i18n::{key, t, text};
use model::{
    Millis,
    figure::{Unit, ratio},
    format,
    vm::{Guest, GuestFilesystem},
};

const FILESYSTEM: [Column; 5] = [
    Column(key!(vm.mounted), false),
    Column(key!(vm.kind), false),
    Column(key!(vm.device), false),
    Column(key!(vm.claim), false),
    Column(key!(vm.used_size), true),
];

/// What the guest itself reports, in addition to the host's figures and never in place of them.
pub fn guest(guest: &Guest, now: Millis) -> Option<impl IntoView + use<>> {
    let memory = guest.memory.map(|sample| {
        let (value, ago) = (value_text(&sample), words::ago(now, sample.at));
        view! { <p>{t!(vm.guest_memory, value = value, source = sample.source.name(), ago = ago)}</p> }
    });
    let age = guest.at.map(|at| {
        view! { <p class="small">{t!(vm.guest_age, ago = words::ago(now, at))}</p> }
    });
    let rows: Vec<_> = guest.filesystems.iter().map(filesystem).collect();
    let sheet = (!rows.is_empty()).then(|| sheet(t!(vm.guest_filesystems), &FILESYSTEM, rows.into_any()));
    let more = (guest.filesystems_left_out > 0).then(|| {
        view! { <p class="small">{t!(vm.guest_more, n = guest.filesystems_left_out)}</p> }
    });
    (memory.is_some() || age.is_some()).then(|| {
        view! {
            <h2>{t!(vm.guest)}</h2>
            {memory}
            {sheet}
            {more}
            {age}
        }
    })
}

fn filesystem(filesystem: &GuestFilesystem) -> impl IntoView + use<> {
    let amount = |bytes: u64| format::allocation(Unit::Bytes, bytes);
    let sizes = filesystem.used.zip(filesystem.total);
    let used = match sizes {
        Some((used, total)) => [&amount(used), " / ", &amount(total), " Gi"].concat(),
        None => t!(figure.unknown).to_owned(),
    };
    let percent = sizes.map(|(used, total)| ratio(used, total, 100));
    let level = if percent.is_some_and(|percent| percent >= HOT) { "num hot" } else { "num" };
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

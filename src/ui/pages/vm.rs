//! The page of one VM: facts, its three figures in full, volumes, networks, disks, and why figures are
//! missing.

use leptos::{
    either::{Either, EitherOf4},
    prelude::*,
};
use leptos_router::{LazyRoute, hooks::use_params_map, lazy_route};

use super::{
    loading,
    missing::{bad_query, no_vm},
};
use crate::{
    server_fns::respond_with,
    ui::{
        address::use_query,
        chart::past::past,
        components::{
            card::reasons_text,
            figure::figure,
            meter::{Gauge, HOT, meter, value_text},
            sheet::{Column, cell, number, sheet},
            state::{State, state},
            title::title,
            why::{commands, why},
        },
        feed::Feed,
        live::Live,
        ready::ready,
        words,
    },
};
use i18n::{self as names, key, t, text};
use model::{
    Millis,
    figure::{Sample, Unit, ratio},
    format,
    history::Span,
    name::check_vm,
    query::Query,
    view::{HistoryView, VmView},
    vm::{Disk, Guest, GuestFilesystem, Network, Status, Vm, Volume},
};

/// Everything is made in `view`, whose code is fetched with the page; `data` would be part of the first
/// download.
pub struct VmRoute;

#[lazy_route]
impl LazyRoute for VmRoute {
    fn data() -> Self {
        Self
    }

    fn view(_this: Self) -> AnyView {
        let (params, span) = (use_params_map(), use_query(Span::of_address));
        let key = move || {
            let part = |name| params.with(|params| params.get(name)).unwrap_or_default();
            (part("namespace"), part("name"))
        };
        let named = move || Some(key()).filter(|(namespace, name)| check_vm(namespace, name).is_ok());
        let feed = Feed::<VmView>::follow(named);
        let history = Feed::<HistoryView>::follow(move || Some((named()?, span.get().ok()?)));
        let state = Memo::new(move |_| {
            if named().is_none() {
                return Shown::Nothing;
            }
            feed.view.with(|view| match view.as_ref().map(|view| view.vm.as_ref().map(Vm::key)) {
                Some(Some((namespace, name))) if (namespace, name) == pair(&key()) => Shown::Vm,
                Some(None) => Shown::Nothing,
                _ => Shown::Soon,
            })
        });
        match (span.get_untracked(), state.get_untracked()) {
            (Err(_), _) => respond_with(400),
            (_, Shown::Nothing) => respond_with(404),
            _ => {}
        }
        let words = move || {
            let (namespace, name) = key();
            [&name, " · ", &namespace, " · wukong-dashboard"].concat()
        };
        ready(view! {
            {title(words)}
            {move || match (span.get(), state.get()) {
                (Err(bad), _) => EitherOf4::A(bad_query(bad)),
                (Ok(span), Shown::Vm) => EitherOf4::B(page(feed, history, span)),
                (_, Shown::Nothing) => {
                    let (namespace, name) = key();
                    EitherOf4::C(no_vm(namespace, name))
                }
                (_, Shown::Soon) => EitherOf4::D(loading(feed.pulse.failed)),
            }}
        })
        .into_any()
    }
}

/// Which variant of the page is shown. The page is rebuilt only when this changes.
#[derive(Clone, Copy, PartialEq)]
enum Shown {
    Vm,
    Nothing,
    Soon,
}

fn pair((namespace, name): &(String, String)) -> (&str, &str) {
    (namespace, name)
}

/// The charts are redrawn when there is a new point; the rest of the page each second, for its ages.
fn page(feed: Feed<VmView>, history: Feed<HistoryView>, span: Span) -> impl IntoView {
    view! {
        {ticking(feed, |vm, now| view! { {head(vm)} {facts(vm)} <h2>{t!(vm.usage)}</h2> {figures(vm, now)} })}
        {past(feed, history, span)}
        {ticking(
            feed,
            |vm, now| {
                view! {
                    {volumes(vm, now)}
                    {guest(&vm.guest, now)}
                    {why(vm, now)}
                    {networks(&vm.networks)}
                    {disks(&vm.disks)}
                    {commands(vm)}
                }
            },
        )}
    }
}

fn ticking<V: IntoView + 'static>(
    feed: Feed<VmView>,
    draw: impl Fn(&Vm, Millis) -> V + Copy + Send + 'static,
) -> impl IntoView {
    let now = expect_context::<Live>().now;
    move || {
        let now = now.get();
        feed.draw(|view| view.vm.as_ref().map(|vm| draw(vm, now)))
    }
}

fn head(vm: &Vm) -> impl IntoView + use<> {
    let summary = &vm.summary;
    let list = Query { namespace: summary.namespace.clone(), ..Query::default() };
    let note = reasons_text(summary);
    let conflict = vm.conflict.as_ref().map(|conflict| view! { <p class="reason">{conflict.text()}</p> });
    let fix = vm.failure.is_some().then(|| view! { <a href="#why">{t!(notice.what_to_do)}</a> });
    view! {
        <div class="head">
            <nav class="crumbs" aria-label=t!(vm.breadcrumb)>
                <a href="/">{t!(topbar.vms)}</a>
                " / "
                <a href=list.address()>{summary.namespace.clone()}</a>
            </nav>
            <h1>{summary.name.clone()}</h1>
            {state(State::of_vm(summary))}
            {(!note.is_empty()).then(|| view! { <p class="reason">{note} " " {fix}</p> })}
            {conflict}
        </div>
    }
}

fn facts(vm: &Vm) -> impl IntoView + use<> {
    let summary = &vm.summary;
    let node = if summary.migrating_to.is_empty() {
        summary.node.clone()
    } else {
        [&summary.node, " → ", &summary.migrating_to].concat()
    };
    let cpu = summary.cpu.map(|cpu| format::allocation(Unit::Nanocores, cpu)).unwrap_or_default();
    let memory = summary.memory.map(format::gi_exact).unwrap_or_default();
    let memory = if vm.memory_text.is_empty() || vm.memory_text == memory {
        memory
    } else {
        t!(vm.written, exact = memory, written = vm.memory_text)
    };
    let volumes = words::volumes(vm.volumes.len() as u32);
    let disks = t!(vm.disks_sum, volumes = volumes, amount = format::allocation(Unit::Bytes, summary.disk));
    let facts = [
        (t!(vm.namespace), summary.namespace.clone()),
        (t!(vm.node), node),
        (t!(vm.ip), summary.ip_address.clone()),
        (t!(figure.vcpu), cpu),
        (t!(figure.memory), memory),
        (t!(vm.disks), disks),
        (t!(vm.image), vm.os_image.clone()),
        (t!(vm.created), if vm.created > 0 { format::utc_minute(vm.created) } else { String::new() }),
        (t!(vm.object), [summary.kind.name(), " ", &summary.name].concat()),
        (t!(vm.kubevirt_status), summary.kubevirt_status.clone()),
        (t!(vm.virtual_machine), vm.vm_name.clone()),
        (t!(vm.launcher_pod), vm.pod.clone()),
    ];
    let facts: Vec<_> = facts.into_iter().map(|(name, value)| fact(name, value)).collect();
    view! { <dl class="facts">{facts}</dl> }
}

fn fact(name: &'static str, value: String) -> impl IntoView {
    let value = if value.is_empty() { "–".to_owned() } else { value };
    view! {
        <div>
            <dt>{name}</dt>
            <dd>{value}</dd>
        </div>
    }
}

fn figures(vm: &Vm, now: Millis) -> impl IntoView + use<> {
    let summary = &vm.summary;
    let usage = &summary.usage;
    let running = summary.status == Status::Running;
    let counted = if usage.disk_known < usage.disk_volumes {
        t!(vm.counted, known = usage.disk_known.to_string(), volumes = words::volumes(usage.disk_volumes))
    } else {
        String::new()
    };
    let gauge = |label, unit, figure, allocated| Gauge {
        label,
        name: label,
        unit,
        figure,
        allocated,
        running,
        spark: None,
    };
    view! {
        <div class="figures">
            {figure(gauge(t!(figure.cpu), Unit::Nanocores, &usage.cpu, summary.cpu), String::new(), now)}
            {figure(gauge(t!(figure.memory), Unit::Bytes, &usage.memory, summary.memory), String::new(), now)}
            {figure(gauge(t!(figure.disk), Unit::Bytes, &usage.disk, Some(summary.disk)), counted, now)}
        </div>
    }
}

const VOLUME: [Column; 7] = [
    Column(key!(vm.volume), false),
    Column(key!(vm.claim), false),
    Column(key!(vm.storage_class), false),
    Column(key!(vm.mode), false),
    Column(key!(vm.used_capacity), false),
    Column(key!(vm.source), false),
    Column(key!(vm.sampled), true),
];

fn volumes(vm: &Vm, now: Millis) -> impl IntoView + use<> {
    let running = vm.summary.status == Status::Running;
    let rows: Vec<_> = vm.volumes.iter().map(|row| volume(row, running, now)).collect();
    (!rows.is_empty())
        .then(|| view! { <h2>{t!(vm.volumes)}</h2> {sheet(t!(vm.volumes), &VOLUME, rows.into_any())} })
}

fn volume(volume: &Volume, running: bool, now: Millis) -> impl IntoView + use<> {
    let sample = volume.usage.sample();
    let gauge = Gauge {
        label: "",
        name: &volume.name,
        unit: Unit::Bytes,
        figure: &volume.usage,
        allocated: volume.size,
        running,
        spark: None,
    };
    let source = match (sample, volume.usage.missing()) {
        (Some(sample), _) => Either::Left(origin(sample)),
        (None, missing) => {
            let reason = missing.map_or("", |missing| text(names::reason(missing.reason)));
            if running {
                Either::Right(view! { <a href="#why">{reason}</a> })
            } else {
                Either::Left(reason.to_owned())
            }
        }
    };
    view! {
        <tr role="row">
            <th role="rowheader" scope="row">
                {volume.name.clone()}
            </th>
            {cell(VOLUME[1].0, volume.claim.clone())}
            {cell(VOLUME[2].0, volume.storage_class.clone())}
            {cell(VOLUME[3].0, if volume.block { t!(vm.block) } else { t!(vm.filesystem) }.to_owned())}
            <td role="cell" class="full" data-th=text(VOLUME[4].0)>
                {meter(gauge)}
            </td>
            <td role="cell" data-th=text(VOLUME[5].0)>
                {source}
                {others(volume, now)}
            </td>
            {number(VOLUME[6].0, sample.map(|sample| words::ago(now, sample.at)).unwrap_or_default())}
        </tr>
    }
}

/// Source and basis of a sample: `longhorn: what the storage backend has allocated`.
fn origin(sample: &Sample) -> String {
    let basis = words::basis(sample);
    let source = sample.source.name();
    if basis.is_empty() { source.to_owned() } else { t!(vm.origin, source = source, basis = basis) }
}

/// What other sources report for the volume. None of it is part of the figure.
fn others(volume: &Volume, now: Millis) -> Vec<impl IntoView + use<>> {
    let known = volume.readings.iter().filter_map(|reading| reading.figure.sample());
    known
        .map(|sample| {
            let age = words::ago(now, sample.at);
            let other = t!(vm.also, origin = origin(sample), value = value_text(sample), ago = age);
            view! { <small>{other}</small> }
        })
        .collect()
}

const FILESYSTEM: [Column; 5] = [
    Column(key!(vm.mounted), false),
    Column(key!(vm.kind), false),
    Column(key!(vm.device), false),
    Column(key!(vm.claim), false),
    Column(key!(vm.used_size), true),
];

/// What the guest itself reports, in addition to the host's figures and never in place of them.
fn guest(guest: &Guest, now: Millis) -> Option<impl IntoView + use<>> {
    let memory = guest.memory.map(|sample| {
        let (value, ago) = (value_text(&sample), words::ago(now, sample.at));
        view! { <p>{t!(vm.guest_memory, value = value, source = sample.source.name(), ago = ago)}</p> }
    });
    let asked = guest.at.map(|at| {
        view! { <p class="small">{t!(vm.guest_asked, ago = words::ago(now, at))}</p> }
    });
    let rows: Vec<_> = guest.filesystems.iter().map(filesystem).collect();
    let sheet = (!rows.is_empty()).then(|| sheet(t!(vm.guest_filesystems), &FILESYSTEM, rows.into_any()));
    let more = (guest.filesystems_left_out > 0).then(|| {
        view! { <p class="small">{t!(vm.guest_more, n = guest.filesystems_left_out)}</p> }
    });
    (memory.is_some() || asked.is_some()).then(|| {
        view! {
            <h2>{t!(vm.guest)}</h2>
            {memory}
            {sheet}
            {more}
            {asked}
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
    let level = if percent.is_some_and(|percent| percent >= HOT) { "n hot" } else { "n" };
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

const NETWORK: [Column; 5] = [
    Column(key!(vm.network), false),
    Column(key!(vm.mode), false),
    Column(key!(vm.interface), false),
    Column(key!(vm.ip), false),
    Column(key!(vm.mac), false),
];

fn networks(networks: &[Network]) -> impl IntoView + use<> {
    let rows: Vec<_> = networks
        .iter()
        .map(|network| {
            let cells = [&network.mode, &network.interface, &network.ip_address, &network.mac_address];
            row(&network.name, &NETWORK, cells.map(String::clone))
        })
        .collect();
    (!rows.is_empty())
        .then(|| view! { <h2>{t!(vm.networks)}</h2> {sheet(t!(vm.networks), &NETWORK, rows.into_any())} })
}

const DISK: [Column; 5] = [
    Column(key!(vm.disk), false),
    Column(key!(vm.size), false),
    Column(key!(vm.storage_class), false),
    Column(key!(vm.boot), false),
    Column(key!(vm.image), false),
];

fn disks(disks: &[Disk]) -> impl IntoView + use<> {
    let rows: Vec<_> = disks
        .iter()
        .map(|disk| {
            let boot = if disk.boot { t!(vm.yes) } else { "" }.to_owned();
            let cells = [disk.size.clone(), disk.storage_class_name.clone(), boot, disk.image.clone()];
            row(&disk.name, &DISK, cells)
        })
        .collect();
    (!rows.is_empty())
        .then(|| view! { <h2>{t!(vm.ordered)}</h2> {sheet(t!(vm.disks), &DISK, rows.into_any())} })
}

fn row(name: &str, columns: &'static [Column; 5], cells: [String; 4]) -> impl IntoView + use<> {
    let cells: Vec<_> =
        columns[1..].iter().zip(cells).map(|(column, content)| cell(column.0, content)).collect();
    view! {
        <tr role="row">
            <th role="rowheader" scope="row">
                {name.to_owned()}
            </th>
            {cells}
        </tr>
    }
}

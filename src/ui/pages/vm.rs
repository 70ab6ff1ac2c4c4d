//! One VM: facts, its three figures in full, volumes, networks, disks, and why what is missing is missing.

use leptos::{
    either::{Either, EitherOf3},
    prelude::*,
};
use leptos_router::{LazyRoute, hooks::use_params_map, lazy_route};

use super::{loading, missing::no_vm};
use crate::{
    model::{
        Millis,
        figure::{Sample, Unit},
        format,
        query::Query,
        view::VmView,
        vm::{Disk, Guest, GuestFilesystem, Network, Status, Vm, Volume},
    },
    server_fns::respond_with,
    ui::{
        components::{
            card::reasons_text,
            figure::figure,
            meter::{Gauge, meter, value_text},
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

/// All of it is made in `view`, which comes with the page's own code: `data` would be in everybody's.
pub struct VmRoute;

#[lazy_route]
impl LazyRoute for VmRoute {
    fn data() -> Self {
        Self
    }

    fn view(_this: Self) -> AnyView {
        let params = use_params_map();
        let key = move || {
            let part = |name| params.with(|params| params.get(name)).unwrap_or_default();
            (part("namespace"), part("name"))
        };
        let feed = Feed::<VmView>::follow(move || Some(key()));
        if feed.view.with_untracked(|view| view.as_ref().is_some_and(|view| view.vm.is_none())) {
            respond_with(404);
        }
        let now = expect_context::<Live>().now;
        let text = move || {
            let (namespace, name) = key();
            [&name, " · ", &namespace, " · wukong-dashboard"].concat()
        };
        ready(view! {
            {title(text)}
            {move || {
                let (namespace, name) = key();
                feed.view.with(|view| match view.as_ref().map(|view| &view.vm) {
                    Some(Some(vm)) if vm.key() == (&namespace, &name) => EitherOf3::A(page(vm, now.get())),
                    Some(None) => EitherOf3::B(no_vm(namespace, name)),
                    _ => EitherOf3::C(loading(feed.pulse.failed)),
                })
            }}
        })
        .into_any()
    }
}

fn page(vm: &Vm, now: Millis) -> impl IntoView + use<> {
    let summary = &vm.summary;
    let list = Query { namespace: summary.namespace.clone(), ..Query::default() };
    let note = reasons_text(summary);
    view! {
        <div class="head">
            <nav class="crumbs" aria-label="Breadcrumb">
                <a href="/">"VMs"</a>
                " / "
                <a href=["/", &list.to_query_string()].concat()>{summary.namespace.clone()}</a>
            </nav>
            <h1>{summary.name.clone()}</h1>
            {state(State::of_vm(summary))}
            {(!note.is_empty()).then(|| view! { <p class="reason">{note}</p> })}
        </div>
        {facts(vm)}
        <h2>"Usage"</h2>
        {figures(vm, now)}
        {volumes(vm, now)}
        {guest(&vm.guest, now)}
        {why(vm, now)}
        {networks(&vm.networks)}
        {disks(&vm.disks)}
        {commands(vm)}
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
    let written = if vm.memory_text.is_empty() || vm.memory_text == memory {
        String::new()
    } else {
        [" (written ", &vm.memory_text, ")"].concat()
    };
    let volumes = words::count_of(vm.volumes.len() as u32, "volume", "volumes");
    let facts = [
        ("Namespace", summary.namespace.clone()),
        ("Node", node),
        ("IP", summary.ip_address.clone()),
        ("vCPU", cpu),
        ("Memory", memory + &written),
        ("Disks", [&volumes, ", ", &format::allocation(Unit::Bytes, summary.disk), " Gi"].concat()),
        ("Image", vm.os_image.clone()),
        ("Created", if vm.created > 0 { format::utc_minute(vm.created) } else { String::new() }),
        ("Object", [summary.kind.name(), " ", &summary.name].concat()),
        ("KubeVirt status", summary.kubevirt_status.clone()),
        ("VirtualMachine", vm.vm_name.clone()),
        ("Launcher pod", vm.pod.clone()),
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
        format!(" · {} of {} volumes", usage.disk_known, usage.disk_volumes)
    } else {
        String::new()
    };
    let gauge =
        |label, unit, figure, allocated| Gauge { label, name: label, unit, figure, allocated, running };
    view! {
        <div class="figures">
            {figure(gauge("CPU", Unit::Nanocores, &usage.cpu, summary.cpu), String::new(), now)}
            {figure(gauge("Memory", Unit::Bytes, &usage.memory, summary.memory), String::new(), now)}
            {figure(gauge("Disk", Unit::Bytes, &usage.disk, Some(summary.disk)), counted, now)}
        </div>
    }
}

const VOLUME: [Column; 7] = [
    Column("Volume", false),
    Column("Claim", false),
    Column("Storage class", false),
    Column("Mode", false),
    Column("Used / capacity", false),
    Column("Source", false),
    Column("Sampled", true),
];

fn volumes(vm: &Vm, now: Millis) -> impl IntoView + use<> {
    let running = vm.summary.status == Status::Running;
    let rows: Vec<_> = vm.volumes.iter().map(|row| volume(row, running, now)).collect();
    (!rows.is_empty()).then(|| view! { <h2>"Volumes"</h2> {sheet("Volumes", &VOLUME, rows.into_any())} })
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
    };
    let source = match (sample, volume.usage.missing()) {
        (Some(sample), _) => Either::Left(origin(sample)),
        (None, missing) => {
            let reason = missing.map_or("", |missing| missing.reason.text());
            Either::Right(view! { <a href="#why">{reason}</a> })
        }
    };
    view! {
        <tr role="row">
            <th role="rowheader" scope="row">
                {volume.name.clone()}
            </th>
            {cell(VOLUME[1].0, volume.claim.clone())}
            {cell(VOLUME[2].0, volume.storage_class.clone())}
            {cell(VOLUME[3].0, if volume.block { "Block" } else { "Filesystem" }.to_owned())}
            <td role="cell" class="full" data-th=VOLUME[4].0>
                {meter(gauge, now)}
            </td>
            <td role="cell" data-th=VOLUME[5].0>
                {source}
                {others(volume, now)}
            </td>
            {number(VOLUME[6].0, sample.map(|sample| words::ago(now, sample.at)).unwrap_or_default())}
        </tr>
    }
}

/// `longhorn: what the storage backend has allocated`.
fn origin(sample: &Sample) -> String {
    let basis = words::basis(sample);
    [sample.source.name(), if basis.is_empty() { "" } else { ": " }, basis].concat()
}

/// What other sources know of the volume. Nothing of it is in the figure.
fn others(volume: &Volume, now: Millis) -> Vec<impl IntoView + use<>> {
    let known = volume.readings.iter().filter_map(|reading| reading.figure.sample());
    known
        .map(|sample| {
            let age = words::ago(now, sample.at);
            let text = ["also ", &origin(sample), ", ", &value_text(sample), ", ", &age].concat();
            view! { <small>{text}</small> }
        })
        .collect()
}

const FILESYSTEM: [Column; 5] = [
    Column("Mounted at", false),
    Column("Type", false),
    Column("Device", false),
    Column("Claim", false),
    Column("Used / size", true),
];

/// What the guest itself says: beside the host's figures, in place of none of them.
fn guest(guest: &Guest, now: Millis) -> Option<impl IntoView + use<>> {
    let memory = guest.memory.map(|sample| {
        let text =
            [&value_text(&sample), ", ", sample.source.name(), ", ", &words::ago(now, sample.at)].concat();
        view! { <p>"Memory as the guest sees it: " {text} "."</p> }
    });
    let asked = guest.at.map(|at| {
        view! { <p class="small">"File systems by the guest agent, " {words::ago(now, at)} "."</p> }
    });
    let rows: Vec<_> = guest.filesystems.iter().map(filesystem).collect();
    let sheet = (!rows.is_empty()).then(|| sheet("File systems in the guest", &FILESYSTEM, rows.into_any()));
    (memory.is_some() || asked.is_some()).then(|| {
        view! {
            <h2>"Inside the guest"</h2>
            {memory}
            {sheet}
            {asked}
        }
    })
}

fn filesystem(filesystem: &GuestFilesystem) -> impl IntoView + use<> {
    let amount =
        |bytes: Option<u64>| bytes.map_or("?".to_owned(), |bytes| format::allocation(Unit::Bytes, bytes));
    let used = [&amount(filesystem.used), " / ", &amount(filesystem.total), " Gi"].concat();
    view! {
        <tr role="row">
            <th role="rowheader" scope="row">
                {filesystem.mount_point.clone()}
            </th>
            {cell(FILESYSTEM[1].0, filesystem.kind.clone())}
            {cell(FILESYSTEM[2].0, filesystem.disk.clone())}
            {cell(FILESYSTEM[3].0, filesystem.claim.clone())}
            {number(FILESYSTEM[4].0, used)}
        </tr>
    }
}

const NETWORK: [Column; 5] = [
    Column("Network", false),
    Column("Mode", false),
    Column("Interface", false),
    Column("IP", false),
    Column("MAC", false),
];

fn networks(networks: &[Network]) -> impl IntoView + use<> {
    let rows: Vec<_> = networks
        .iter()
        .map(|network| {
            let cells = [&network.mode, &network.interface, &network.ip_address, &network.mac_address];
            row(&network.name, &NETWORK, cells.map(String::clone))
        })
        .collect();
    (!rows.is_empty()).then(|| view! { <h2>"Networks"</h2> {sheet("Networks", &NETWORK, rows.into_any())} })
}

const DISK: [Column; 5] = [
    Column("Disk", false),
    Column("Size", false),
    Column("Storage class", false),
    Column("Boot", false),
    Column("Image", false),
];

fn disks(disks: &[Disk]) -> impl IntoView + use<> {
    let rows: Vec<_> = disks
        .iter()
        .map(|disk| {
            let boot = if disk.boot { "yes" } else { "" }.to_owned();
            let cells = [disk.size.clone(), disk.storage_class_name.clone(), boot, disk.image.clone()];
            row(&disk.name, &DISK, cells)
        })
        .collect();
    (!rows.is_empty()).then(|| view! { <h2>"Disks as ordered"</h2> {sheet("Disks", &DISK, rows.into_any())} })
}

fn row(name: &str, columns: &'static [Column; 5], cells: [String; 4]) -> impl IntoView + use<> {
    let cells: Vec<_> = columns[1..].iter().zip(cells).map(|(column, text)| cell(column.0, text)).collect();
    view! {
        <tr role="row">
            <th role="rowheader" scope="row">
                {name.to_owned()}
            </th>
            {cells}
        </tr>
    }
}

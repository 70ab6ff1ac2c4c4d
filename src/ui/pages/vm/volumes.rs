//! The VM's volumes: usage, source, and what other sources report.

use leptos::{either::Either, prelude::*};

use crate::ui::{
    components::{
        meter::{Gauge, meter, value_text},
        sheet::{Column, cell, number, sheet},
    },
    ready::IntoReadyAny,
    words,
};
use i18n::{self as names, key, t, text};
use model::{
    Millis,
    figure::{Layer, Sample, Unit},
    vm::{Status, Vm, Volume},
    vm_health::Level,
};

const VOLUME: [Column; 7] = [
    Column(key!(vm.volume), false),
    Column(key!(vm.claim), false),
    Column(key!(vm.storage_class), false),
    Column(key!(vm.mode), false),
    Column(key!(vm.used_capacity), false),
    Column(key!(vm.source), false),
    Column(key!(vm.sampled), true),
];

pub fn volumes(vm: &Vm, now: Millis) -> impl IntoView + use<> {
    let running = vm.summary.status == Status::Running;
    let rows: Vec<_> = vm.volumes.iter().map(|row| volume(row, running, now)).collect();
    (!rows.is_empty())
        .then(|| view! { <h2>{t!(vm.volumes)}</h2> {sheet(t!(vm.volumes), &VOLUME, rows.into_ready_any())} })
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
        level: sample.map(level),
        sparkline: None,
        why: None,
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

/// How serious it is that so much is used. What a backend has allocated says nothing of what is free.
fn level(sample: &Sample) -> Level {
    match sample.source.layer() {
        Layer::Backend => Level::Normal,
        Layer::Guest | Layer::Image => Level::of_space(sample.percent()),
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

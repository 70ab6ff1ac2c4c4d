//! The VM's networks, and its disks as requested.

use leptos::prelude::*;

use crate::ui::components::sheet::{Column, cell, sheet};
use i18n::{key, t};
use model::vm::{Disk, Network};

const NETWORK: [Column; 5] = [
    Column(key!(vm.network), false),
    Column(key!(vm.mode), false),
    Column(key!(vm.interface), false),
    Column(key!(vm.ip), false),
    Column(key!(vm.mac), false),
];

pub fn networks(networks: &[Network]) -> impl IntoView + use<> {
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

pub fn disks(disks: &[Disk]) -> impl IntoView + use<> {
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

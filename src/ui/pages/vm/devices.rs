//! The VM's network interfaces and drives with their traffic, and its disks as requested.

use leptos::prelude::*;

use super::amounts::{both, dash, latency, speed};
use crate::ui::{
    components::sheet::{Column, cell, sheet},
    ready::IntoReadyAny,
};
use i18n::{key, t, text};
use model::{
    activity::Part,
    details::{Drive, Interface},
    format,
    message::Key,
    rates::{DriveRates, InterfaceRates, Rate},
    vm::{Disk, Network, Vm},
};

const INTERFACE: [Column; 9] = [
    Column(key!(vm.network), false),
    Column(key!(vm.mode), false),
    Column(key!(vm.interface), false),
    Column(key!(vm.addresses), false),
    Column(key!(vm.mac), false),
    Column(key!(vm.received), true),
    Column(key!(vm.transmitted), true),
    Column(key!(vm.errors), true),
    Column(key!(vm.drops), true),
];

/// The interfaces of the instance, then the networks that only the Wukong names.
pub fn interfaces(vm: &Vm, interfaces: &[Interface]) -> impl IntoView + use<> {
    let network = |name: &str| vm.networks.iter().find(|network| network.name == name);
    let known = interfaces.iter().map(|of| interface(of, network(&of.name)).into_ready_any());
    let others = vm.networks.iter().filter(|network| interfaces.iter().all(|of| of.name != network.name));
    let rows: Vec<_> = known.chain(others.map(|network| only_named(network).into_ready_any())).collect();
    (!rows.is_empty()).then(|| {
        view! {
            <h2>{t!(vm.networks)}</h2>
            {sheet(t!(vm.networks), &INTERFACE, rows.into_ready_any())}
        }
    })
}

fn interface(of: &Interface, network: Option<&Network>) -> impl IntoView + use<> {
    let own = |text: &String, other: fn(&Network) -> &String| match network {
        Some(network) if text.is_empty() => other(network).clone(),
        _ => text.clone(),
    };
    let addresses = own(&of.addresses.join(t!(figure.separator)), |network| &network.ip_address);
    let texts = [
        network.map(|network| network.mode.clone()).unwrap_or_default(),
        own(&of.guest_name, |network| &network.interface),
        addresses,
        own(&of.mac, |network| &network.mac_address),
    ];
    let rates: [fn(&InterfaceRates) -> String; 4] = [
        |of| bytes(of.receive.bytes),
        |of| bytes(of.transmit.bytes),
        |of| both(count(of.receive.errors), count(of.transmit.errors)),
        |of| both(count(of.receive.drops), count(of.transmit.drops)),
    ];
    row(&of.name, texts_of(&INTERFACE[1..5], texts), rates_of(&INTERFACE[5..], &of.rates, rates))
}

fn only_named(network: &Network) -> impl IntoView + use<> {
    let texts = [&network.mode, &network.interface, &network.ip_address, &network.mac_address];
    let none = INTERFACE[5..].iter().map(|column| cell(column.0, String::new()).into_ready_any()).collect();
    row(&network.name, texts_of(&INTERFACE[1..5], texts.map(String::clone)), none)
}

const DRIVE: [Column; 6] = [
    Column(key!(vm.drive), false),
    Column(key!(vm.claim), false),
    Column(key!(vm.read), true),
    Column(key!(vm.write), true),
    Column(key!(vm.iops), true),
    Column(key!(vm.latency), true),
];

/// The drives as the guest sees them, whatever backs them.
pub fn drives(drives: &[Drive]) -> impl IntoView + use<> {
    let rates: [fn(&DriveRates) -> String; 4] = [
        |of| bytes(of.read.bytes),
        |of| bytes(of.write.bytes),
        |of| both(count(of.read.operations), count(of.write.operations)),
        |of| both(latency(&of.read), latency(&of.write)),
    ];
    let drive = |of: &Drive| {
        row(&of.name, texts_of(&DRIVE[1..2], [of.claim.clone()]), rates_of(&DRIVE[2..], &of.rates, rates))
    };
    // Nothing counts the drives of cloud-init and the like where KubeVirt makes them of no volume.
    let shown = drives.iter().filter(|of| !of.claim.is_empty() || of.rates.is_ok());
    let rows: Vec<_> = shown.map(drive).collect();
    (!rows.is_empty()).then(|| {
        view! {
            <h2>{t!(vm.drives)}</h2>
            {sheet(t!(vm.drives), &DRIVE, rows.into_ready_any())}
        }
    })
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
            row(&disk.name, texts_of(&DISK[1..], cells), Vec::new())
        })
        .collect();
    (!rows.is_empty())
        .then(|| view! { <h2>{t!(vm.ordered)}</h2> {sheet(t!(vm.disks), &DISK, rows.into_ready_any())} })
}

fn bytes(rate: Option<Rate>) -> String {
    rate.map_or_else(|| "—".to_owned(), speed)
}

fn count(rate: Option<Rate>) -> String {
    rate.map_or_else(|| "—".to_owned(), format::per_second)
}

fn texts_of<const N: usize>(columns: &[Column], texts: [String; N]) -> Vec<AnyView> {
    columns.iter().zip(texts).map(|(column, text)| cell(column.0, text).into_ready_any()).collect()
}

/// Cells of rates; dashes if there are none.
fn rates_of<T, const N: usize>(
    columns: &[Column],
    rates: &Part<T>,
    texts: [fn(&T) -> String; N],
) -> Vec<AnyView> {
    let content = |text: fn(&T) -> String| match rates {
        Ok(rates) => text(rates).into_ready_any(),
        Err(missing) => dash(missing).into_ready_any(),
    };
    columns.iter().zip(texts).map(|(column, text)| rate_cell(column.0, content(text))).collect()
}

fn rate_cell(head: Key, content: AnyView) -> AnyView {
    view! {
        <td role="cell" class="num" data-th=text(head)>
            {content}
        </td>
    }
    .into_ready_any()
}

fn row(name: &str, texts: Vec<AnyView>, rates: Vec<AnyView>) -> impl IntoView + use<> {
    view! {
        <tr role="row">
            <th role="rowheader" scope="row">
                {name.to_owned()}
            </th>
            {texts}
            {rates}
        </tr>
    }
}

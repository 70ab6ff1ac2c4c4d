//! Builds the map view: the VMs of a query as cells in groups, and the names behind one block of cells. Pure.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{attention, groups::key, outlook::Outlooks};
use model::{
    figure::{Figure, Sample},
    map::{BLOCK, Cell, Map, MapGroup, MapNames, MapVm},
    query::{GroupBy, Measure},
    totals::{Measured, Totals},
    vm::{Vm, VmSummary},
};

/// Returns the map of `matching`, the VMs that pass the query, in any order.
pub fn map(matching: &[&Arc<Vm>], outlooks: &Outlooks, by: GroupBy, color: Measure) -> Map {
    let needs_attention = |vm: &&&Vm| !attention::kinds(vm, &outlooks.of_vm(vm)).is_empty();
    let group = |(name, vms): (&str, Vec<&Vm>)| MapGroup {
        name: name.to_owned(),
        cells: vms.iter().map(|vm| cell(&vm.summary, color).byte()).collect(),
        marks: vms.chunks(BLOCK).map(hash_names).collect(),
        used: used(&vms, color),
        attention: vms.iter().filter(needs_attention).count() as u32,
    };
    let mut groups: Vec<MapGroup> = grouped(matching, by).into_iter().map(group).collect();
    // VMs that are on no node come last.
    groups.sort_unstable_by(|a, b| (a.name.is_empty(), &a.name).cmp(&(b.name.is_empty(), &b.name)));
    Map { groups }
}

/// Returns the VMs behind one block of a group's cells; an empty answer if the group or block no longer
/// exists.
pub fn names(matching: &[&Arc<Vm>], by: GroupBy, color: Measure, group: &str, block: u32) -> MapNames {
    let vms = grouped(matching, by).remove(group).unwrap_or_default();
    let Some(block) = vms.chunks(BLOCK).nth(block as usize) else { return MapNames::default() };
    MapNames { mark: hash_names(block), vms: block.iter().map(|vm| map_vm(&vm.summary, color)).collect() }
}

fn map_vm(vm: &VmSummary, color: Measure) -> MapVm {
    MapVm {
        namespace: vm.namespace.clone(),
        name: vm.name.clone(),
        status: vm.status,
        figure: match figure(vm, color) {
            Figure::Known(sample) => Ok(*sample),
            Figure::Missing(missing) => Err(missing.reason),
        },
    }
}

/// Groups VMs, sorted by namespace and name within a group, so that a cell keeps its place while its
/// neighbours stay.
fn grouped<'a>(matching: &[&'a Arc<Vm>], by: GroupBy) -> HashMap<&'a str, Vec<&'a Vm>> {
    let mut groups: HashMap<&str, Vec<&Vm>> = HashMap::new();
    for vm in matching {
        groups.entry(key(&vm.summary, by)).or_default().push(vm);
    }
    for vms in groups.values_mut() {
        vms.sort_unstable_by_key(|vm| (vm.key(), vm.uid.as_str()));
    }
    groups
}

/// The fullest disk decides the colour, as it does everywhere.
fn cell(vm: &VmSummary, color: Measure) -> Cell {
    match (color, &vm.usage.disk, vm.usage.fullest_disk) {
        (Measure::Disk, Figure::Known(sample), Some(percent)) => {
            Cell::of(vm, &Figure::Known(Sample { used: percent, of: 100, ..*sample }))
        }
        _ => Cell::of(vm, figure(vm, color)),
    }
}

fn figure(vm: &VmSummary, color: Measure) -> &Figure {
    match color {
        Measure::Cpu => &vm.usage.cpu,
        Measure::Memory => &vm.usage.memory,
        Measure::Disk => &vm.usage.disk,
    }
}

fn used(vms: &[&Vm], color: Measure) -> Measured {
    let samples = || vms.iter().map(|vm| figure(&vm.summary, color).sample());
    match color {
        Measure::Cpu | Measure::Memory => Measured::of(samples()),
        // A claim that several VMs use counts once.
        Measure::Disk => Totals::of(vms.iter().copied()).disk_used,
    }
}

/// Returns an FNV-1a hash of the names. 32 bits are enough to recognise an outdated answer.
fn hash_names(vms: &[&Vm]) -> u32 {
    let keys = vms.iter().flat_map(|vm| [vm.summary.namespace.as_str(), "/", &vm.summary.name, "\n"]);
    keys.flat_map(str::bytes)
        .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

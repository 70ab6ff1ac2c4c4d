//! Estimates how many bytes a view takes in memory: structs and lists by their size, strings by their size
//! in postcard, and a quarter more for the allocator. Names that views share ([`Facet`]) are not counted.
//! `cut` uses it.

use serde::Serialize;

use model::{
    activity::ActivityRow,
    details::{Condition, Drive, Interface, Migration, VmDetails},
    groups::{Consumer, NodeUse},
    history::Sparklines,
    nodes::{NodeReport, NodeView},
    source::SourceHealth,
    view::{Facet, Frame, HomeView},
    vm::{Disk, GuestFilesystem, Network, Reading, Vm, VmSummary, Volume},
    vm_health::Problem,
};

/// Returns the approximate bytes of a frame.
pub fn of_frame(frame: &Frame) -> usize {
    rounded(size_of::<Frame>() + list::<SourceHealth>(frame.sources.len()) + texts(frame))
}

/// Returns the approximate bytes of a page of the list.
pub fn of_list(view: &HomeView) -> usize {
    let rows = list::<VmSummary>(view.vms.len()) + texts(&view.vms);
    let sparklines = list::<Sparklines>(view.sparklines.len()) + texts(&view.sparklines);
    let filters = [&view.facets.namespaces, &view.facets.nodes];
    let counts: usize = filters.map(|facet: &Facet| list::<u32>(facet.vms.len())).iter().sum();
    let rest = size_of::<HomeView>() + texts(&view.query) + view.map.len() + view.attention.len();
    let activity = list::<ActivityRow>(view.activity.len());
    of_frame(&view.frame) + rounded(rows + sparklines + activity + counts + rest)
}

/// Returns the approximate bytes of a VM.
pub fn of_vm(vm: &Vm) -> usize {
    let readings: usize = vm.volumes.iter().map(|volume| volume.readings.len()).sum();
    rounded(
        size_of::<Vm>()
            + list::<Network>(vm.networks.len())
            + list::<Disk>(vm.disks.len())
            + list::<Volume>(vm.volumes.len())
            + list::<Reading>(readings)
            + list::<GuestFilesystem>(vm.guest.filesystems.len())
            + texts(vm),
    )
}

/// Returns the approximate bytes of a VM's details.
pub fn of_details(details: &VmDetails) -> usize {
    rounded(
        size_of::<VmDetails>()
            + list::<Interface>(details.interfaces.len())
            + list::<Drive>(details.drives.len())
            + list::<Condition>(details.conditions.len())
            + list::<Migration>(details.migrations.len())
            + texts(details),
    )
}

/// Returns the approximate bytes of a node's page.
pub fn of_node(view: &NodeView) -> usize {
    let report = |node: &NodeReport| {
        let consumers: usize = node.top.iter().map(|ranking| ranking.vms.len()).sum();
        let lists = list::<Consumer>(consumers) + list::<Problem>(node.problems.len());
        rounded(size_of::<NodeReport>() + size_of::<NodeUse>() + lists + texts(node))
    };
    of_frame(&view.frame) + view.node.as_deref().map_or(0, report)
}

fn list<T>(length: usize) -> usize {
    length * size_of::<T>()
}

/// Returns an upper bound of the bytes of all strings in the value.
fn texts(value: &impl Serialize) -> usize {
    postcard::serialize_with_flavor(value, postcard::ser_flavors::Size::default()).unwrap_or_default()
}

/// Adds a quarter: jemalloc's size classes are at most that far apart.
fn rounded(bytes: usize) -> usize {
    bytes + bytes / 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::http::tests::fixture::vm;

    #[test]
    fn texts_and_lists_count() {
        let small = vm("shop", "a");
        let mut large = small.clone();
        large.os_image = "x".repeat(10_000);
        large.disks = vec![Disk { name: "d".into(), ..Disk::default() }; 100];
        let more = of_vm(&large) - of_vm(&small);
        let least = 10_000 + 99 * size_of::<Disk>();
        assert!((least..2 * least).contains(&more), "{more} bytes");
    }
}

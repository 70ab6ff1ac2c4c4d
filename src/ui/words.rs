//! Sentences with numbers and names in them: one place, so that another language is another file.

use crate::model::{
    Millis,
    figure::{Basis, Layer, Sample},
    format,
    query::{Order, PAGE_SIZE, Query, Sort},
};

/// `14 s ago`.
pub fn ago(now: Millis, at: Millis) -> String {
    format::span(now - at) + " ago"
}

/// `2 min old`.
pub fn old(now: Millis, at: Millis) -> String {
    format::span(now - at) + " old"
}

/// `1 VM`, `1,284 VMs`.
pub fn vms(count: u32) -> String {
    count_of(count, "VM", "VMs")
}

pub fn count_of(count: u32, one: &str, many: &str) -> String {
    format::grouped(count.into()) + " " + if count == 1 { one } else { many }
}

/// `1,195 / 1,197`.
pub fn of_all(some: u32, all: u32) -> String {
    format::grouped(some.into()) + " / " + &format::grouped(all.into())
}

/// `43 %`.
pub fn percent(percent: u64) -> String {
    format::grouped(percent) + " %"
}

/// `51–100 of 1,284`.
pub fn range(page: u32, matching: u32) -> String {
    if matching == 0 {
        return "none".to_owned();
    }
    let first = page.saturating_sub(1).saturating_mul(PAGE_SIZE).saturating_add(1);
    let last = page.saturating_mul(PAGE_SIZE).min(matching);
    let mut out = format::grouped(first.into());
    if last > first {
        out.push('–');
        out.push_str(&format::grouped(last.into()));
    }
    out + " of " + &format::grouped(matching.into())
}

/// `, by name`, `, by CPU, lowest first`.
pub fn sorted_by(query: &Query) -> &'static str {
    match (query.sort, query.order) {
        (Sort::Name, Order::Asc) => ", by name",
        (Sort::Name, Order::Desc) => ", by name, Z to A",
        (Sort::Cpu, Order::Desc) => ", by CPU, highest first",
        (Sort::Cpu, Order::Asc) => ", by CPU, lowest first",
        (Sort::Memory, Order::Desc) => ", by memory, highest first",
        (Sort::Memory, Order::Asc) => ", by memory, lowest first",
        (Sort::Disk, Order::Desc) => ", by disk, highest first",
        (Sort::Disk, Order::Asc) => ", by disk, lowest first",
    }
}

/// `metrics.k8s.io, 15 s window`.
pub fn provenance(sample: &Sample) -> String {
    let mut out = sample.source.name().to_owned();
    if sample.window_ms > 0 {
        out.push_str(", ");
        out.push_str(&format::span(sample.window_ms.into()));
        out.push_str(" window");
    }
    out
}

/// What a disk figure is of, where that is not the volume's own image; empty where it is.
pub fn basis(sample: &Sample) -> &'static str {
    match (sample.basis, sample.source.layer()) {
        (Basis::SharedFilesystem, _) => "of the whole file system that the volume sits on",
        (Basis::Backend, _) | (_, Layer::Backend) => "what the storage backend has allocated",
        (Basis::Own, Layer::Guest) => "of the file systems in the guest",
        (Basis::Own, Layer::Image) => "",
    }
}

/// `CPU, memory`: the first word as it stands, the others in lower case unless they are acronyms.
pub fn list(labels: &[&str]) -> String {
    let mut out = String::new();
    for (index, label) in labels.iter().enumerate() {
        if index == 0 {
            out.push_str(label);
        } else {
            out.push_str(", ");
            out.push_str(&lower(label));
        }
    }
    out
}

fn lower(label: &str) -> String {
    if label.bytes().all(|b| b.is_ascii_uppercase()) { label.to_owned() } else { label.to_ascii_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_lists() {
        assert_eq!(range(1, 1_284), "1–50 of 1,284");
        assert_eq!(range(26, 1_284), "1,251–1,284 of 1,284");
        assert_eq!(range(1, 1), "1 of 1");
        assert_eq!(range(1, 0), "none");
        assert_eq!(list(&["CPU", "Memory"]), "CPU, memory");
        assert_eq!(list(&["Memory", "CPU"]), "Memory, CPU");
        assert_eq!(vms(1), "1 VM");
    }
}

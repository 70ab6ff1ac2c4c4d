//! Numbers, times and lists as text in the reader's language.

use i18n::t;
use model::{
    Millis,
    figure::{Basis, Layer, Sample, Source},
    format::grouped,
    query::{Order, PAGE_SIZE, Query, Sort},
};

/// Formats a span of time in one unit: `14 s`, `2 min`, `3 h`, `5 d`. Negative spans count as zero.
pub fn span(millis: Millis) -> String {
    let seconds = (millis / 1000).max(0);
    let number = |per: Millis| (seconds / per).to_string();
    match seconds {
        0..120 => t!(time.seconds, n = number(1)),
        120..7_200 => t!(time.minutes, n = number(60)),
        7_200..172_800 => t!(time.hours, n = number(3_600)),
        _ => t!(time.days, n = number(86_400)),
    }
}

/// Example: `14 s ago`.
pub fn ago(now: Millis, at: Millis) -> String {
    t!(time.ago, span = span(now - at))
}

/// Example: `2 min old`.
pub fn old(now: Millis, at: Millis) -> String {
    t!(time.old, span = span(now - at))
}

/// Examples: `1 VM`, `1,284 VMs`.
pub fn vms(count: u32) -> String {
    t!(count.vms, n = count)
}

/// Example: `4 volumes`.
pub fn volumes(count: u32) -> String {
    t!(count.volumes, n = count)
}

/// Example: `43 %`.
pub fn percent(percent: u64) -> String {
    grouped(percent) + " %"
}

/// The range of the list that a page shows: `51–100 of 1,284`.
pub fn range(page: u32, matching: u32) -> String {
    if matching == 0 {
        return t!(list.none).to_owned();
    }
    let first = page.saturating_sub(1).saturating_mul(PAGE_SIZE).saturating_add(1);
    let last = page.saturating_mul(PAGE_SIZE).min(matching);
    let [from, to, all] = [first, last, matching].map(|number| grouped(number.into()));
    if last > first {
        t!(list.range, first = from, last = to, all = all)
    } else {
        t!(list.single, first = from, all = all)
    }
}

/// Examples: `, by name`, `, by CPU, lowest first`.
pub fn sorted_by(query: &Query) -> String {
    let sort = lower(sort(query.sort));
    match (query.sort.is_figure(), query.order) {
        (false, Order::Asc) => t!(list.sorted, sort = sort),
        (false, Order::Desc) => t!(list.sorted_down, sort = sort),
        (true, Order::Desc) => t!(list.sorted_highest, sort = sort),
        (true, Order::Asc) => t!(list.sorted_lowest, sort = sort),
    }
}

/// The name of a sort order: `CPU used`.
pub fn sort(sort: Sort) -> &'static str {
    match sort {
        Sort::Name => t!(list.name),
        Sort::Namespace => t!(list.namespace),
        Sort::Node => t!(list.node),
        Sort::Status => t!(list.status),
        Sort::Cpu => t!(list.cpu_percent),
        Sort::Memory => t!(list.memory_percent),
        Sort::Disk => t!(list.disk_percent),
        Sort::CpuUsed => t!(list.cpu_used),
        Sort::MemoryUsed => t!(list.memory_used),
        Sort::DiskUsed => t!(list.disk_used),
        Sort::FullestDisk => t!(list.fullest_disk),
        Sort::GuestMemory => t!(list.guest_memory),
        Sort::Network => t!(list.network),
        Sort::Storage => t!(list.storage),
        Sort::Operations => t!(list.operations),
        Sort::Latency => t!(list.latency),
        Sort::Contention => t!(list.contention),
        Sort::Age => t!(list.age),
    }
}

/// Where a sample comes from: `metrics.k8s.io, 15 s window`.
pub fn provenance(sample: &Sample) -> String {
    origin(sample.source, sample.window_ms)
}

/// A source, and the time over which its rates are averages, if they are rates.
pub fn origin(source: Source, window_ms: u32) -> String {
    let source = source.name();
    if window_ms == 0 {
        return source.to_owned();
    }
    t!(figure.window, source = source, span = span(window_ms.into()))
}

/// What a disk figure describes, if that is not the volume's own image; empty if it is.
pub fn basis(sample: &Sample) -> &'static str {
    match (sample.basis, sample.source.layer()) {
        (Basis::SharedFilesystem, _) => t!(figure.basis_shared),
        (Basis::Backend, _) | (_, Layer::Backend) => t!(figure.basis_backend),
        (Basis::Own, Layer::Guest) => t!(figure.basis_guest),
        (Basis::Own, Layer::Image) => "",
    }
}

/// Joins labels: `CPU, memory`. The first stays as it is, the others become lower case unless they are
/// acronyms.
pub fn list(labels: &[&str]) -> String {
    let mut out = String::new();
    for (index, label) in labels.iter().enumerate() {
        if index == 0 {
            out.push_str(label);
        } else {
            out.push_str(t!(figure.separator));
            out.push_str(&lower(label));
        }
    }
    out
}

fn lower(label: &str) -> String {
    if label.bytes().take(2).all(|b| b.is_ascii_uppercase()) {
        label.to_owned()
    } else {
        // The rest may be a name: `Disk I/O`.
        let first = label.chars().next().map_or(0, char::len_utf8);
        [&label[..first].to_ascii_lowercase(), &label[first..]].concat()
    }
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;
    use i18n::{Lang, within};

    #[test]
    fn ranges_and_lists_are_written_in_words() {
        assert_eq!(range(1, 1_284), "1–50 of 1,284");
        assert_eq!(range(26, 1_284), "1,251–1,284 of 1,284");
        assert_eq!(range(1, 1), "1 of 1");
        assert_eq!(range(1, 0), "none");
        assert_eq!(list(&["CPU", "Memory"]), "CPU, memory");
        assert_eq!(list(&["Memory", "CPU"]), "Memory, CPU");
        assert_eq!(list(&["Memory", "Disk I/O", "磁盘 I/O"]), "Memory, disk I/O, 磁盘 I/O");
        assert_eq!(vms(1), "1 VM");
    }

    #[test]
    fn spans() {
        for (ms, want) in [
            (14_000, "14 s"),
            (-5, "0 s"),
            (119_999, "119 s"),
            (120_000, "2 min"),
            (7_200_000, "2 h"),
            (20 * 86_400_000, "20 d"),
        ] {
            assert_eq!(span(ms), want);
        }
        assert_eq!(within(Lang::Chinese, || old(120_000, 0)), "旧数据，2 分钟前");
    }
}

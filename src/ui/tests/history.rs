//! Pages with history: charts, sparklines, hints and insights, from a store that the tests fill.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Page, reader, render_with, sample, sample::NOW, snapshot, text};
use crate::{app::Bundle, server::http::history::HistoryReader};
use i18n::Lang;
use model::{
    Millis,
    activity::GuestActivity,
    figure::{Figure, Sample},
    source::SourceId,
    vm::Vm,
};
use wukong_core::{Limits, history::HistoryStore, insight};

const MINUTE: Millis = 60_000;
const HOUR: Millis = 60 * MINUTE;

/// A VM with 4 cores, 8 Gi of memory and 40 Gi of disk. Its usage is in millicores and hundredths of a Gi.
fn vm(cpu: u64, memory: u64, disk: u64) -> Vm {
    let figures = [sample::cpu(cpu, 4), sample::memory(memory, 8), sample::disk(disk, 40)];
    sample::vm("payments", "api-gateway-01", "node-a", (4, 8, 40), figures)
}

fn limits(interval: Millis) -> Limits {
    Limits {
        most_vms: usize::MAX,
        metrics_interval: interval,
        disk_interval: interval,
        ceph_interval: 5 * MINUTE,
        disk_sources: vec![SourceId::Kubelet],
        virt_handler: false,
    }
}

fn sampled(figure: Figure, at: Millis, window: Millis) -> Figure {
    match figure {
        Figure::Known(sample) => Figure::Known(Sample { at, window_ms: window as u32, ..sample }),
        missing => missing,
    }
}

/// Returns a store with samples from `hours` ago until now. `at` gives the VM at each time; `None` makes a gap.
fn recorded(hours: Millis, step: Millis, at: impl Fn(Millis) -> Option<Vm>) -> HistoryStore {
    let store = HistoryStore::default();
    let mut now = NOW - hours * HOUR;
    while now <= NOW {
        if let Some(mut vm) = at(now) {
            let usage = &mut vm.summary.usage;
            for figure in [&mut usage.cpu, &mut usage.memory, &mut usage.disk] {
                *figure = sampled(figure.clone(), now, step);
            }
            store.record(&[Arc::new(vm)], &limits(step), now);
        }
        now += step;
    }
    store
}

fn render(url: &str, store: HistoryStore) -> Page {
    let all = snapshot(vec![vm(400, 750, 3_000)], sample::sources());
    let findings = insight::compute_findings(&all.vms, &store, NOW);
    let history = HistoryReader::new(Arc::new(store), watch::channel(Arc::new(findings)).1, None);
    let bundle = Bundle { css: "/pkg/0/app.css".into(), ..Bundle::default() };
    render_with(url, Some(reader(all).with_history(history)), bundle, Lang::English)
}

/// An hour at 10 % CPU, 93 % memory and 75 % disk, without samples from 30 to 15 minutes ago.
fn an_hour() -> HistoryStore {
    recorded(1, 15_000, |at| {
        let ago = (NOW - at) / MINUTE;
        (!(15..30).contains(&ago)).then(|| vm(400, 750, 3_000))
    })
}

/// A day: too much CPU, too little memory, and a disk that grows by 10 of its 40 Gi.
fn a_day() -> HistoryStore {
    recorded(24, 5 * MINUTE, |at| {
        let grown = 2_000 + (at - (NOW - 24 * HOUR)) as u64 * 1_000 / (24 * HOUR) as u64;
        Some(vm(400, 750, grown))
    })
}

/// Returns the `d` attributes of the paths of a class.
fn paths(html: &str, class: &str) -> Vec<String> {
    let end = ["\" class=\"", class, "\"></path>"].concat();
    let parts: Vec<&str> = html.split(&end).collect();
    let (_, before) = parts.split_last().unwrap();
    before.iter().map(|before| before.rsplit("d=\"").next().unwrap().to_owned()).collect()
}

const PAGE: &str = "/vms/payments/api-gateway-01";

#[test]
fn the_charts_are_complete_without_javascript() {
    let page = render(PAGE, an_hour());
    assert_eq!((page.status, page.html.matches("<figure class=\"chart\"").count()), (200, 3));
    let cpu = page.part("<figure class=\"chart\"", "</figure>");
    assert!(cpu.contains("aria-label=\"CPU. Last hour: samples for 7"), "{cpu}");
    for expected in ["min 10.0 % average 10.0 % p95 10.0 % max 10.0 %", "allocated: 4 vCPU", "no samples"] {
        assert!(text(cpu).contains(expected), "{expected} is not in {}", text(cpu));
    }
    // 10 % is 1150 units below 125 %, and the gap splits the line.
    let lines = paths(cpu, "line");
    assert_eq!(lines.len(), 1);
    assert!(lines[0].matches('M').count() == 2 && lines[0].contains(" 1150l"), "{lines:?}");
    assert!(text(cpu).contains("No samples from "), "{}", text(cpu));
    assert!(!page.html.contains(" style="), "the content security policy forbids inline styles");
}

/// The same VM, whose guest was measured at this time.
fn active_vm(at: Millis) -> Vm {
    let activity = GuestActivity { at, window_ms: 60_000, ..sample::activity() };
    sample::active(vm(400, 750, 3_000), activity)
}

/// An hour of a guest that was restarted 30 minutes ago and was not measured for five minutes.
fn an_active_hour() -> HistoryStore {
    recorded(1, MINUTE, |at| {
        let ago = (NOW - at) / MINUTE;
        (!(25..30).contains(&ago)).then(|| active_vm(at))
    })
}

#[test]
fn what_the_guest_does_is_drawn_in_strips_without_javascript() {
    let page = render(PAGE, an_active_hour());
    let strips = page.part("class=\"strips\"", "class=\"strip time\"");
    let words = text(strips);
    for name in ["Network", "Disk I/O", "Latency", "Contention (steal)", "Guest memory"] {
        assert!(words.contains(name), "{name} is not in {words}");
    }
    let network = strips.split("class=\"strip\"").nth(1).unwrap();
    assert!(text(network).contains("in ") && text(network).contains(" MB/s, p95 "), "{}", text(network));
    assert!(network.contains("aria-label=\"Network. Last hour: in "), "{network}");
    let [line, second] = ["line", "line second"].map(|class| paths(network, class));
    assert_eq!((line.len(), second.len()), (1, 1));
    assert!(line[0].matches('M').count() == 2, "the gap splits the line: {line:?}");
    assert!(paths(network, "gap")[0].contains('M'), "and is shaded");
    assert!(!page.html.contains(" style="), "the content security policy forbids inline styles");
}

#[test]
fn an_amount_of_long_ago_does_not_look_like_one_of_now() {
    let store = recorded(1, MINUTE, |at| ((NOW - at) / MINUTE > 20).then(|| active_vm(at)));
    let page = render(PAGE, store);
    let network = text(page.html.split("class=\"strip\"").nth(1).unwrap());
    assert!(network.contains("in no sample, p95 6.1 MB/s"), "{network}");
}

#[test]
fn a_strip_says_its_amounts_in_chinese() {
    let store = an_active_hour();
    let all = snapshot(vec![vm(400, 750, 3_000)], sample::sources());
    let history = HistoryReader::new(Arc::new(store), watch::channel(Arc::default()).1, None);
    let bundle = Bundle { css: "/pkg/0/app.css".into(), ..Bundle::default() };
    let page = render_with(PAGE, Some(reader(all).with_history(history)), bundle, Lang::Chinese);
    assert!(page.text().contains("网络 入 "), "{}", page.text());
}

#[test]
fn without_samples_a_sentence_stands_in_place_of_the_strips() {
    let strips = |page: &Page| page.html.matches("class=\"strip\"").count();
    assert_eq!(strips(&render(PAGE, an_hour())), 1, "a volume alone");
    let page = render(PAGE, HistoryStore::default());
    assert_eq!(strips(&page), 0);
    assert!(page.text().contains("Last hour: no samples of network, disk I/O"), "{}", page.text());
    let long = render("/vms/payments/api-gateway-01?span=30d", an_active_hour());
    assert_eq!(strips(&long), 0, "the memory does not reach that far");
}

#[test]
fn each_volume_has_a_strip_of_its_own() {
    let store = recorded(24, MINUTE, |at| {
        let mut vm = active_vm(at);
        for volume in &mut vm.volumes {
            volume.usage = sampled(sample::disk(1_000, 40), at, 0);
        }
        Some(vm)
    });
    let page = render("/vms/payments/api-gateway-01?span=24h", store);
    assert!(page.text().contains("Volume rootdisk 10 Gi, p95 10 Gi, max 10 Gi"), "{}", page.text());
}

#[test]
fn spans_are_links_and_the_chosen_one_is_marked() {
    let page = render("/vms/payments/api-gateway-01?span=24h", an_hour());
    let spans = page.part("class=\"seg\"", "</nav>");
    assert!(spans.contains("href=\"/vms/payments/api-gateway-01?span=7d#history\""), "{spans}");
    assert!(
        spans.contains("href=\"/vms/payments/api-gateway-01#history\""),
        "the default span has no parameter"
    );
    let chosen = spans.split("aria-current=\"true\"").nth(1).unwrap();
    assert!(chosen.starts_with('>') && text(&["<a", chosen].concat()).starts_with("24 h"), "{spans}");
}

#[test]
fn without_samples_no_line_is_drawn_and_nothing_is_zero() {
    let page = render(PAGE, HistoryStore::default());
    assert_eq!(paths(&page.html, "line"), ["", "", ""]);
    let past = text(page.part("class=\"charts\"", "class=\"sheet\""));
    assert!(past.contains("Last hour: no samples.") && !past.contains("0.0 %"), "{past}");
    assert!(past.contains("No recommendation yet:"), "{past}");
}

#[test]
fn a_long_span_without_prometheus_says_why_and_how_to_fix_it() {
    let page = render("/vms/payments/api-gateway-01?span=30d", an_hour());
    let lacks = text(page.part("class=\"incomplete\"", "class=\"charts\""));
    assert!(lacks.contains("The history is incomplete") && lacks.contains("--prometheus-url"), "{lacks}");
}

#[test]
fn an_invalid_span_is_a_400() {
    let page = render("/vms/payments/api-gateway-01?span=1y", an_hour());
    assert_eq!(page.status, 400);
    assert!(page.text().contains("The parameter span must be 1h, 24h, 7d or 30d"), "{}", page.text());
}

#[test]
fn a_hint_suggests_a_size_and_names_its_window() {
    let page = render("/vms/payments/api-gateway-01?span=24h", a_day());
    let text = text(page.part("class=\"charts\"", "class=\"sheet\""));
    assert!(text.contains("p95 0.4 of 4 vCPU, peak"), "{text}");
    assert!(text.contains("1 vCPU would be enough. Based on 24 h until"), "{text}");
    assert!(text.contains("Usage is often at the limit: the size may be too small."), "{text}");
    assert!(text.contains("growing 10 Gi/day"), "{text}");
}

#[test]
fn a_card_has_a_sparkline_for_each_figure() {
    let page = render("/", an_hour());
    let card = page.card("payments/api-gateway-01");
    assert_eq!(card.matches("aria-hidden=\"true\" class=\"sparkline\"").count(), 3, "{card}");
    assert!(card.contains("<path d=\"M0 90l"), "10 % is near the bottom: {card}");
    assert!(
        !render("/", HistoryStore::default()).html.contains("class=\"sparkline\""),
        "without samples there is no sparkline"
    );
}

#[test]
fn insights_begin_with_the_reclaimable_amounts() {
    let page = render("/insights", a_day());
    let text = page.text();
    assert_eq!(page.status, 200);
    for expected in [
        "Reclaimable vCPU 3 vCPU from 1 VM",
        "All findings 3 Filling up 1 Undersized 1 Oversized 1",
        "the history of 1 of 1 running VMs",
        "1–3 of 3",
        "growing 10 Gi/day",
        "24 h until 11-22 15:0",
        "How findings are computed",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    assert!(page.html.contains("aria-sort=\"ascending\"") && page.html.contains("/insights?sort=name"));
    assert!(
        page.html.contains("href=\"/insights\" aria-current=\"page\""),
        "the top bar marks the current page"
    );
}

#[test]
fn the_address_filters_insights() {
    let page = render("/insights?kind=undersized", a_day());
    assert_eq!(page.part("<tbody", "</tbody>").matches("<tr").count(), 1);
    assert!(page.part("<tbody", "</tbody>").contains("meter hot"), "93 % is highlighted");
    let none = render("/insights?kind=undersized&resource=disk", a_day());
    assert!(none.text().contains("No finding matches. Clear the filters"), "{}", none.text());
    assert_eq!(render("/insights?sort=age", a_day()).status, 400);
}

#[test]
fn without_enough_history_insights_say_what_they_need() {
    let text = render("/insights", an_hour()).text();
    assert!(text.contains("There is not enough history yet. A finding needs 24 h"), "{text}");
    assert!(!text.contains("Reclaimable memory") && !text.contains("0 Gi"), "{text}");
    let all = snapshot(vec![vm(400, 750, 3_000)], sample::sources());
    let page = render_with("/insights", Some(reader(all)), Bundle::default(), Lang::English);
    assert!(page.text().contains("No findings yet."), "{}", page.text());
}

//! Whole pages, rendered as the server renders them, from a snapshot made by hand.

mod groups;
mod past;
mod sample;
mod vm;

use std::sync::Arc;

use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use leptos_meta::ServerMetaContext;
use leptos_router::location::RequestUrl;
use sample::NOW;
use tokio::sync::watch;

use crate::{
    app::{Bundle, shell},
    server::http::{page_data::RequestViews, reader::Reader},
    server_fns::PageData,
};
use i18n::Lang;
use model::{
    figure::Figure,
    reason::Reason,
    source::{SourceHealth, SourceState},
    totals::Totals,
    vm::Vm,
};
use wukong_core::{Scope, Snapshot, frame::Identity};

struct Page {
    status: u16,
    html: String,
}

impl Page {
    /// The HTML from the first `from` to the next `to`.
    fn part(&self, from: &str, to: &str) -> &str {
        let start = self.html.find(from).unwrap_or_else(|| panic!("no {from} in {}", self.html));
        let end = self.html[start..].find(to).map_or(self.html.len(), |end| start + end);
        &self.html[start..end]
    }

    fn card(&self, name: &str) -> &str {
        self.part(&format!("aria-labelledby=\"{name}\""), "</article>")
    }

    /// The text of the page without tags and comments, blanks joined.
    fn text(&self) -> String {
        text(&self.html)
    }
}

fn text(html: &str) -> String {
    let mut out = String::new();
    for piece in html.split('<') {
        out.push_str(piece.split_once('>').map_or("", |(_, text)| text));
        out.push(' ');
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn snapshot(vms: Vec<Vm>, sources: Vec<SourceHealth>) -> Snapshot {
    Snapshot {
        totals: Totals::of(&vms),
        vms: vms.into_iter().map(Arc::new).collect(),
        sources,
        at: NOW,
        last_seen: Some(NOW - 3_000),
        ready: true,
        ..Snapshot::default()
    }
}

fn render(url: &str, snapshot: Snapshot) -> Page {
    render_in(url, Some(snapshot), Bundle { css: "/pkg/0/app.css".into(), ..Bundle::default() })
}

fn render_in(url: &str, snapshot: Option<Snapshot>, bundle: Bundle) -> Page {
    render_with(url, snapshot.map(reader), bundle, Lang::English)
}

fn render_as(url: &str, snapshot: Option<Snapshot>, bundle: Bundle, lang: Lang) -> Page {
    render_with(url, snapshot.map(reader), bundle, lang)
}

fn reader(snapshot: Snapshot) -> Reader {
    let (_sender, receiver) = watch::channel(Arc::new(snapshot));
    let identity = Identity { cluster: "prod-hz-1".into(), demo: false, refresh: 15_000 };
    Reader::new(receiver, identity, || NOW)
}

fn render_with(url: &str, reader: Option<Reader>, bundle: Bundle, lang: Lang) -> Page {
    let response = ResponseOptions::default();
    let html = Owner::new().with(|| {
        if let Some(reader) = reader {
            provide_context::<Arc<dyn PageData>>(Arc::new(RequestViews::new(reader, Scope::All, lang)));
        }
        provide_context(lang);
        provide_context(RequestUrl::new(url));
        provide_context(response.clone());
        provide_context(ServerMetaContext::new().0);
        shell(bundle).to_html()
    });
    let status = response.0.read().unwrap().status.map_or(200, |status| status.as_u16());
    Page { status, html }
}

fn home() -> Page {
    render("/", snapshot(sample::vms(), sample::sources()))
}

#[test]
fn the_home_page_is_complete_without_javascript() {
    let page = home();
    let text = page.text();
    assert_eq!(page.status, 200);
    assert_eq!(page.html.matches("<article").count(), 13);
    for expected in [
        "prod-hz-1",
        "1.31 of 4 vCPU",
        "32 %",
        "5.62 of 8 Gi",
        "21.40 of 40 Gi",
        "metrics.k8s.io 14 s ago",
        "kubelet 31 s ago",
        "1–13 of 13",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    assert!(!page.html.contains("<script type=\"module\""), "no browser half, no script for it");
    assert!(!page.html.contains(" style="), "the content security policy forbids inline styles");
}

#[test]
fn the_allocated_memory_is_exact() {
    let mut vms = sample::vms();
    vms[0].summary.memory = Some((8 << 30) + 500_000_000);
    let page = render("/", snapshot(vms, sample::sources()));
    assert!(page.part("class=\"lead\"", "</section>").contains("title=\"372.4656612873077392578125Gi"));
    let lead = text(page.part("class=\"lead\"", "</section>"));
    assert!(lead.contains("372.47 Gi allocated") && !lead.contains("372.4656"), "{lead}");
}

#[test]
fn what_is_missing_is_a_dash_with_its_reason_and_no_meter() {
    let page = home();
    let card = page.card("staging/api-gateway-01");
    assert_eq!(card.matches("role=\"meter\"").count(), 1, "only the disk has a value: {card}");
    let text = text(card);
    assert!(text.contains("unknown of 2 vCPU"), "{text}");
    assert!(text.contains("CPU, memory: too new: the metrics API needs two samples."), "{text}");
    assert!(!text.contains(" 0 %") && !text.contains("0.00"), "missing is never zero: {text}");
}

#[test]
fn above_100_percent_the_exact_figure_stands() {
    let page = home();
    let card = page.card("shop/cache-redis-02");
    assert!(card.contains("meter over") && card.contains("125 %"), "{card}");
    assert!(
        card.contains("aria-valuenow=\"100\"") && card.contains("aria-valuetext=\"5.00 of 4 Gi, 125 %\"")
    );
    assert!(card.contains("<rect width=\"100%\""));
    assert!(text(card).contains("Memory above 100 %: includes the launcher pod’s overhead."));
}

#[test]
fn an_old_figure_is_never_shown_as_fresh() {
    let page = home();
    let card = page.card("legacy/erp-old");
    assert_eq!(card.matches("meter aging").count(), 3);
    assert!(card.contains("28 %, stale"), "{card}");
    assert!(text(card).contains("metrics.k8s.io 2 min old"), "{card}");
}

#[test]
fn states_are_told_apart_in_words() {
    let page = home();
    assert!(text(page.card("shop/frontend-canary")).contains("4 vCPU allocated"));
    assert!(!page.card("shop/frontend-canary").contains("class=\"bar\""), "what is off has no bar");
    assert!(text(page.card("ci/gpu-trainer")).contains("KubeVirt status: ErrorUnschedulable."));
    assert!(text(page.card("ops/monitoring-01")).contains("Migrating"));
    assert!(text(page.card("payments/db-postgres-0")).contains("Disk: 1 of 4 volumes unknown."));
    assert!(text(page.card("data/kafka-broker-3")).contains("unknown of 500 Gi"));
}

#[test]
fn a_source_in_trouble_says_what_it_costs_and_what_to_do() {
    let page = render("/", snapshot(sample::vms(), sample::broken_sources()));
    let text = page.text();
    assert!(text.contains("CPU, memory: incomplete for 1,197 VMs."), "{text}");
    assert!(text.contains("Disk: incomplete for 2 VMs, stale for 19 VMs."), "{text}");
    assert!(text.contains("403: may not list pods.metrics.k8s.io") && page.html.contains("/sources#kubelet"));
    assert!(!text.contains("virtualmachines.kubevirt.io is not served"), "absent, and nothing misses it");
}

#[test]
fn a_notice_leads_to_the_vms_that_it_counts() {
    let page = render("/", snapshot(sample::vms(), sample::broken_sources()));
    let notices = page.part("class=\"notices\"", "</aside>");
    assert!(notices.contains("href=\"/?attention=1\""), "of all nodes: {notices}");
    assert!(notices.contains("href=\"/?node=node-c&amp;attention=1\""), "of one node: {notices}");
}

#[test]
fn never_more_than_three_lines_of_trouble() {
    let degraded = |mut source: SourceHealth| {
        source.state = SourceState::Degraded;
        source
    };
    let sources = sample::sources().into_iter().map(degraded).collect();
    let page = render("/", snapshot(sample::vms(), sources));
    assert_eq!(page.html.matches("class=\"notice\"").count(), 3);
    assert!(page.text().contains("5 more sources have problems."));
}

#[test]
fn a_query_narrows_the_list_and_stays_in_the_form_and_the_links() {
    let page = render("/?q=api&namespace=payments&sort=cpu", snapshot(sample::vms(), sample::sources()));
    assert_eq!(page.html.matches("<article").count(), 1);
    assert!(page.html.contains("value=\"api\""));
    assert!(page.text().contains("1 of 1 , by CPU %, highest first"), "{}", page.text());
    let many: Vec<Vm> = (0..120)
        .map(|n| {
            sample::vm(
                "ns",
                &format!("vm-{n:03}"),
                "node-a",
                (1, 1, 1),
                [sample::cpu(1, 1), sample::memory(1, 1), sample::disk(1, 1)],
            )
        })
        .collect();
    let page = render("/?page=2&q=vm", snapshot(many, sample::sources()));
    assert_eq!(page.html.matches("<article").count(), 50);
    assert!(page.html.contains("href=\"/?q=vm&amp;page=3\"") || page.html.contains("href=\"/?q=vm&page=3\""));
    assert!(page.html.contains("href=\"/?q=vm\""), "page 1 has no parameter");
}

#[test]
fn what_cannot_be_understood_is_a_400_that_names_the_field() {
    let page = render("/?page=0", snapshot(sample::vms(), sample::sources()));
    assert_eq!(page.status, 400);
    assert!(page.text().contains("The parameter page must be a whole number from 1"), "{}", page.text());
}

#[test]
fn empty_lists_say_why() {
    let all = snapshot(sample::vms(), sample::sources());
    let text = render("/?q=kafak", all).text();
    assert!(text.contains("No VM matches.") && text.contains("kafak"), "{text}");
    assert!(text.contains("Clear the filters"), "{text}");
    assert!(render("/", snapshot(vec![], sample::sources())).text().contains("No virtual machines"));
    let mut absent = sample::sources();
    for source in &mut absent[..2] {
        source.state = SourceState::Absent;
        source.fix = "Install KubeVirt".into();
    }
    let text = render("/", snapshot(vec![], absent)).text();
    assert!(
        text.contains("Neither the Wukong nor the KubeVirt") && text.contains("Install KubeVirt"),
        "{text}"
    );
    let mut starting = snapshot(vec![], sample::sources());
    starting.ready = false;
    starting.sources[0].state = SourceState::Starting;
    starting.sources[14].state = SourceState::NotConfigured;
    let text = render("/", starting).text();
    assert!(text.contains("13 of 14 sources have answered.") && !text.contains("0 Gi"), "{text}");
    let mut half = snapshot(sample::vms(), sample::sources());
    half.ready = false;
    assert!(
        render("/", half).text().contains("Collecting data for the first time."),
        "a part of the list is no list"
    );
}

#[test]
fn each_count_leads_to_as_many_cards() {
    let pending = render("/?status=Pending", snapshot(sample::vms(), sample::sources()));
    assert!(text(pending.part("class=\"counts\"", "</ul>")).contains("Pending 1"));
    assert_eq!(pending.html.matches("<article").count(), 1, "what is being created is pending");
}

#[test]
fn a_row_marks_a_disk_that_is_known_in_part() {
    let page = render("/?view=table", snapshot(sample::vms(), sample::sources()));
    let row = |vm: &str| page.part(&format!("<a href=\"/vms/{vm}\">"), "</tr>");
    let partly = row("payments/db-postgres-0");
    assert!(partly.contains("title=\"Disk: 1 of 4 volumes unknown.\""), "{partly}");
    assert!(partly.contains("/db-postgres-0#why\"") && text(partly).contains("+1 ?"), "{partly}");
    assert!(!row("staging/api-gateway-01").contains("volumes unknown"));
}

#[test]
fn totals_say_that_no_filter_narrows_them() {
    let said = "; the totals are the whole cluster’s";
    let page = |url| render(url, snapshot(sample::vms(), sample::sources())).text();
    assert!(page("/?namespace=shop").contains(said) && !page("/").contains(said));
    assert!(!page("/?sort=cpu").contains(said), "a sorted list has all of them");
}

#[test]
fn no_such_vm_and_no_such_page_are_404() {
    let page = render("/vms/payments/nothing", snapshot(sample::vms(), sample::sources()));
    assert_eq!(page.status, 404);
    assert!(page.text().contains("This dashboard sees no Wukong and no KubeVirt VirtualMachine named nothing in the namespace payments"), "{}", page.text());
    let page = render("/nowhere", snapshot(sample::vms(), sample::sources()));
    assert_eq!(page.status, 404);
    assert!(page.text().contains("There is no page at this address."));
}

#[test]
fn the_sources_page_names_state_permission_error_and_fix() {
    let page = render("/sources", snapshot(sample::vms(), sample::broken_sources()));
    let text = page.text();
    assert!(text.contains("12 healthy, 1 degraded, 1 forbidden, 1 absent."), "{text}");
    assert!(
        text.contains("needs list pods.metrics.k8s.io")
            && text.contains("kubectl apply -f deploy/cluster/rbac.yaml")
    );
    assert!(page.html.contains("id=\"metrics.k8s.io\""), "notices link here");
}

#[test]
fn a_setting_to_look_at_stands_beside_its_source() {
    let mut sources = sample::sources();
    sources[11].warning = "credentials are sent unencrypted".into();
    let page = render("/sources", snapshot(sample::vms(), sources));
    let row = page.part("id=\"prometheus\"", "</tr>");
    assert!(text(row).contains("credentials are sent unencrypted") && text(row).contains("Healthy"), "{row}");
}

#[test]
fn names_from_the_cluster_are_text_never_markup() {
    let mut vms = sample::vms();
    vms.truncate(1);
    vms[0].summary.name = "<img src=x onerror=alert(1)>\"'".into();
    vms[0].summary.usage.disk = Figure::Missing(Reason::Forbidden.into());
    vms[0].summary.kubevirt_status = "<b>".into();
    let page = render("/", snapshot(vms, sample::sources()));
    assert!(!page.html.contains("<img") && !page.html.contains("<b>."), "{}", page.html);
    assert!(page.html.contains("href=\"/vms/payments/%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E%22%27\""));
}

#[test]
fn the_browsers_half_is_one_module_script_and_its_words() {
    let bundle = Bundle { css: "/pkg/0/app.css".into(), js: "/pkg/0/app.js".into() };
    let page = render_in("/", Some(snapshot(sample::vms(), sample::sources())), bundle);
    let head = page.part("<head>", "</head>");
    assert!(head.contains("<script type=\"module\" src=\"/pkg/0/app.js\">"), "{head}");
    assert!(!head.contains("wasm"), "the WebAssembly waits for the first paint: {head}");
    assert_eq!(head.matches("rel=\"preload\"").count(), 1, "the words: {head}");
    assert!(head.contains("href=\"/pkg/0/en.txt\""), "the words of this page's language: {head}");
    assert!(head.contains("<script src=\"/pkg/0/theme.js\">") && head.contains("/pkg/0/favicon.svg"));
}

#[test]
fn a_page_without_a_reader_renders_all_the_same() {
    let page = render_in("/", None, Bundle::default());
    assert!(page.html.contains("<main"), "as when the routes are listed");
}

fn chinese(url: &str, snapshot: Snapshot) -> Page {
    render_as(url, Some(snapshot), Bundle::default(), Lang::Chinese)
}

#[test]
fn chinese_pages_say_the_same() {
    let text = chinese("/", snapshot(sample::vms(), sample::broken_sources())).text();
    for expected in [
        "1.31 / 4 vCPU",
        "32 %",
        "metrics.k8s.io 14 秒前",
        "第 1–13 个，共 13 个",
        "CPU、内存：刚启动，指标 API 需要两次采样。",
        "磁盘：4 个卷中 1 个未知。",
        "CPU、内存：1,197 台虚拟机未知或部分未知。",
        "已分配 372 Gi",
        "迁移中",
        "KubeVirt 状态：ErrorUnschedulable。",
    ] {
        assert!(
            text.contains(expected) || text.replace(' ', "").contains(&expected.replace(' ', "")),
            "{expected} is not in {text}"
        );
    }
    let page = chinese("/vms/payments/db-postgres-0", snapshot(sample::vms(), sample::sources()));
    assert!(page.text().contains("卷 data ：块卷。") || page.text().contains("卷 data"), "{}", page.text());
    assert!(page.html.contains("<html lang=\"zh-CN\""));
}

/// Words that are the same in Chinese: names of things and units.
const TERMS: &[&str] = &[
    "wukong",
    "dashboard",
    "CPU",
    "vCPU",
    "IP",
    "MAC",
    "Gi",
    "Ti",
    "KubeVirt",
    "Wukong",
    "VirtualMachine",
    "Launcher",
    "launcher",
    "Pod",
    "PVC",
    "API",
    "UTC",
    "kubelet",
    "prometheus",
    "longhorn",
    "ceph",
    "guest",
    "agent",
    "Longhorn",
    "Ceph",
    "RBD",
    "Prometheus",
    "kubectl",
    "working",
    "set",
    "watch",
    "list",
    "get",
    "nodes",
    "proxy",
    "stats",
    "pods",
    "persistentvolumes",
    "persistentvolumeclaims",
    "virtualmachines",
    "virtualmachineinstances",
    "virtualmachineinstancetypes",
    "virtualmachineclusterinstancetypes",
    "wukongs",
    "read",
    "rbd",
    "image",
    "metrics",
    "EN",
    "CSV",
    "JSON",
    "Home",
    "End",
    "Enter",
    "Esc",
    "page",
    "yaml",
    "top",
    "containers",
    "raw",
    "virtualmachineinstance",
    "wukong-dashboard",
];

#[test]
fn no_english_is_left_on_chinese_pages() {
    let mut vms = sample::vms();
    for vm in &mut vms {
        let usage = &mut vm.summary.usage;
        let volumes = vm.volumes.iter_mut().map(|volume| &mut volume.usage);
        for figure in [&mut usage.cpu, &mut usage.memory, &mut usage.disk].into_iter().chain(volumes) {
            if let Figure::Missing(missing) = figure {
                (missing.detail, missing.fix) = Default::default();
            }
        }
    }
    let names: String = vms.iter().map(|vm| format!("{vm:?} prod-hz-1")).collect();
    let mut sources = sample::broken_sources();
    for source in &mut sources {
        (source.error, source.fix) = Default::default();
    }
    for url in [
        "/",
        "/?q=x",
        "/?page=0",
        "/vms/payments/db-postgres-0",
        "/vms/legacy/frozen-erp",
        "/vms/shop/frontend-canary",
        "/vms/a/b",
        "/sources",
        "/no",
    ] {
        let html = chinese(url, snapshot(vms.clone(), sources.clone())).html;
        let html = html.replace("</script>", "<script>");
        let without_scripts: String = html.split("<script").step_by(2).collect();
        let body = without_scripts.split_once("<body").map_or("", |(_, body)| body);
        let attributes = ["title=\"", "aria-label=\"", "placeholder=\"", "aria-valuetext=\"", "data-th=\""];
        let attributes = attributes
            .iter()
            .flat_map(|name| body.split(name).skip(1).filter_map(|rest| rest.split('"').next()));
        let said = attributes.fold(text(body), |said, value| said + " " + value);
        // What has a dot, a slash, a hyphen or a digit in it is a name.
        let tokens = said.split(|c: char| !(c.is_ascii_alphanumeric() || "-._/:@".contains(c)));
        let words = tokens.filter(|token| token.bytes().all(|b| b.is_ascii_alphabetic()));
        let left: Vec<_> =
            words.filter(|word| word.len() > 2 && !TERMS.contains(word) && !names.contains(word)).collect();
        assert!(left.is_empty(), "{url}: {left:?}");
    }
}

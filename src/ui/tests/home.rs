//! The home page: totals, notices, cards, the table, and empty lists.

use super::*;
use model::{activity::GuestActivity, groups::Node, source::SourceId, vm::Status};

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
    assert!(
        !page.html.contains("<script type=\"module\""),
        "there is no browser half, so there is no script"
    );
    assert!(!page.html.contains(" style="), "the content security policy forbids inline styles");
}

#[test]
fn allocated_memory_has_its_exact_value_in_the_tooltip() {
    let mut vms = sample::vms();
    vms[0].summary.memory = Some((8 << 30) + 500_000_000);
    let page = render("/", snapshot(vms, sample::sources()));
    assert!(page.part("class=\"lead\"", "</section>").contains("title=\"372.4656612873077392578125Gi"));
    let lead = text(page.part("class=\"lead\"", "</section>"));
    assert!(lead.contains("372.47 Gi memory allocated") && !lead.contains("372.4656"), "{lead}");
}

#[test]
fn a_missing_figure_shows_a_dash_and_its_reason_without_a_meter() {
    let page = home();
    let card = page.card("staging/api-gateway-01");
    assert_eq!(card.matches("role=\"meter\"").count(), 1, "only the disk has a value: {card}");
    let text = text(card);
    assert!(text.contains("unknown of 2 vCPU"), "{text}");
    assert!(text.contains("CPU, memory: too new: the metrics API needs two samples."), "{text}");
    assert!(!text.contains(" 0 %") && !text.contains("0.00"), "missing is never zero: {text}");
}

#[test]
fn a_figure_above_100_percent_keeps_its_exact_value() {
    let page = home();
    let card = page.card("shop/cache-redis-02");
    assert!(card.contains("meter over") && card.contains("125 %"), "{card}");
    assert!(
        card.contains("aria-valuenow=\"100\"") && card.contains("aria-valuetext=\"5.00 of 4 Gi, 125 %\"")
    );
    assert!(card.contains("<rect width=\"100%\""));
    assert!(text(card).contains("Memory above 100 %: includes the launcher pod's overhead."));
}

#[test]
fn a_stale_figure_is_marked_as_stale() {
    let page = home();
    let card = page.card("legacy/erp-old");
    assert_eq!(card.matches("meter aging").count(), 3);
    assert!(card.contains("28 %, stale"), "{card}");
    assert!(text(card).contains("metrics.k8s.io 2 min old"), "{card}");
}

#[test]
fn each_state_is_named_in_words() {
    let page = home();
    assert!(text(page.card("shop/frontend-canary")).contains("4 vCPU allocated"));
    assert!(!page.card("shop/frontend-canary").contains("class=\"bar\""), "a stopped VM has no bar");
    assert!(text(page.card("ci/gpu-trainer")).contains("KubeVirt status: ErrorUnschedulable."));
    assert!(text(page.card("ops/monitoring-01")).contains("Migrating"));
    assert!(text(page.card("payments/db-postgres-0")).contains("Disk: 1 of 4 volumes unknown."));
    assert!(text(page.card("data/kafka-broker-3")).contains("unknown of 500 Gi"));
}

/// A source that fails before a figure is old or missing.
fn failing(mut source: SourceHealth) -> SourceHealth {
    (source.state, source.vms_missing, source.vms_stale) = (SourceState::Degraded, 0, 0);
    source
}

#[test]
fn a_notice_says_what_a_source_that_fails_may_cost_and_how_to_fix_it() {
    let sources = |change: fn(SourceHealth) -> SourceHealth| {
        let ids = [SourceId::PodMetrics, SourceId::GuestAgent];
        let of = move |source: SourceHealth| if ids.contains(&source.id) { change(source) } else { source };
        sample::broken_sources().into_iter().map(of).collect()
    };
    let page = render("/", snapshot(sample::vms(), sources(failing)));
    let notices = text(page.part("class=\"notices\"", "</aside>"));
    assert!(notices.contains("CPU, memory: the last known figures are shown."), "{notices}");
    assert!(
        notices.contains("403: may not list pods.metrics.k8s.io")
            && page.html.contains("/sources#metrics.k8s.io")
    );
    assert!(!notices.contains("guest-agent"), "no figure depends on this source alone: {notices}");
    assert!(!notices.contains("virtualmachines"), "no figure depends on this API: {notices}");
    // What is missing needs attention, with the same error and fix.
    let page = render("/", snapshot(sample::vms(), sources(|source| source)));
    assert!(!page.html.contains("class=\"notices\""), "{}", page.text());
}

#[test]
fn there_are_at_most_three_notices() {
    let sources = sample::sources().into_iter().map(failing).collect();
    let page = render("/", snapshot(sample::vms(), sources));
    assert_eq!(page.html.matches("class=\"notice\"").count(), 3);
    assert!(page.text().contains("5 more sources have problems."), "{}", page.text());
}

/// What stands in the section of the home page, and what it links to.
fn attention(page: &Page) -> String {
    text(page.part("class=\"attention\"", "</section>"))
}

#[test]
fn what_needs_attention_stands_above_the_list() {
    let page = home();
    let section = page.part("class=\"attention\"", "</section>");
    assert!(page.html.find("class=\"attention\"") < page.html.find("class=\"filters\""));
    let rows = section.matches("<p class=\"what\">").count();
    let shown = section.split("class=\"more").next().unwrap().matches("<p class=\"what\">").count();
    assert!(rows > 6 && shown == 6, "six rows, and the others are folded: {rows}");
    assert!(text(section).contains(&format!("Needs attention {rows} ")), "{}", text(section));
    assert!(text(section).contains("gpu-trainer in ci does not start"), "{}", text(section));
    assert!(
        section.contains("href=\"/?attention=unknown\"") && section.contains("href=\"/vms/ci/gpu-trainer\"")
    );
    let chinese = text(
        chinese("/", snapshot(sample::vms(), sample::sources())).part("class=\"attention\"", "</section>"),
    );
    assert!(chinese.contains("需要关注") && chinese.contains("ci 中的 gpu-trainer 未能启动"), "{chinese}");
}

#[test]
fn one_line_says_that_nothing_needs_attention() {
    let calm = || {
        vec![sample::vm(
            "a",
            "web",
            "n1",
            (1, 1, 1),
            [sample::cpu(1, 1), sample::memory(1, 1), sample::disk(1, 1)],
        )]
    };
    let page = render("/", snapshot(calm(), sample::sources()));
    assert!(
        page.text().contains("Nothing needs attention.") && !page.html.contains("incidents"),
        "{}",
        page.text()
    );
    let starting = Snapshot { ready: false, ..snapshot(calm(), sample::sources()) };
    assert!(!render("/", starting).text().contains("Nothing needs attention."), "nobody knows yet");
    let none = render("/", snapshot(vec![], sample::sources()));
    assert!(!none.text().contains("Nothing needs attention."), "there is nothing");
}

#[test]
fn a_vm_on_a_lost_node_is_not_shown_as_running() {
    let node = Node { name: "node-a".into(), ready: None, ..Node::default() };
    let lost = Snapshot { nodes: [node].into(), ..snapshot(sample::vms(), sample::sources()) };
    let vms = sample::vms();
    let is_on_it = |vm: &&Vm| vm.summary.node == "node-a" && vm.summary.status == Status::Running;
    let on_it = vms.iter().filter(is_on_it).count();
    for url in ["/", "/?view=table"] {
        let page = render(url, lost.clone());
        assert_eq!(page.html.matches("Running?").count(), on_it, "{url}");
        assert!(attention(&page).contains("node-a is not ready"), "{}", attention(&page));
    }
    let name =
        vms.iter().find(is_on_it).map(|vm| format!("/vms/{}/{}", vm.summary.namespace, vm.summary.name));
    let page = render(&name.unwrap(), lost);
    assert!(
        page.text().contains("Running?") && page.text().contains("node-a is not ready"),
        "{}",
        page.text()
    );
}

#[test]
fn the_filter_names_what_is_chosen() {
    let page = |url| render(url, snapshot(sample::vms(), sample::sources()));
    let chosen = |url| {
        let page = page(url);
        let options = page.part("name=\"attention\"", "</select>");
        let chosen: Vec<String> = options
            .split("<option")
            .filter(|of| of.contains("selected"))
            .map(|of| text(&format!("<{of}")))
            .collect();
        chosen.join(", ")
    };
    assert_eq!(chosen("/"), "All");
    assert!(chosen("/?attention=1").starts_with("Needs attention ("), "{}", chosen("/?attention=1"));
    assert!(chosen("/?attention=unknown").starts_with("Unknown ("));
    assert_eq!(chosen("/?attention=down.node.node-z"), "Down: node.node-z");
    assert!(page("/?attention=down.node.node-z").text().contains("No VM matches. Down: node.node-z"));
}

#[test]
fn a_query_filters_the_list_and_stays_in_form_and_links() {
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
fn an_invalid_query_is_a_400_that_names_the_parameter() {
    let page = render("/?page=0", snapshot(sample::vms(), sample::sources()));
    assert_eq!(page.status, 400);
    assert!(page.text().contains("The parameter page must be a whole number from 1"), "{}", page.text());
}

#[test]
fn an_empty_list_says_why_it_is_empty() {
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
    starting.sources.last_mut().unwrap().state = SourceState::NotConfigured;
    let text = render("/", starting).text();
    assert!(text.contains("15 of 16 sources have answered.") && !text.contains("0 Gi"), "{text}");
    let mut incomplete = snapshot(sample::vms(), sample::sources());
    incomplete.ready = false;
    assert!(
        render("/", incomplete).text().contains("Collecting data for the first time."),
        "the list is not complete yet"
    );
}

#[test]
fn a_count_links_to_as_many_cards() {
    let pending = render("/?status=Pending", snapshot(sample::vms(), sample::sources()));
    assert!(text(pending.part("class=\"counts\"", "</ul>")).contains("Pending 1"));
    assert_eq!(pending.html.matches("<article").count(), 1, "Creating counts as Pending");
}

/// The row of a VM in the table, below what needs attention.
fn table_row<'a>(page: &'a Page, vm: &str) -> &'a str {
    let (_, table) = page.html.split_once("<tbody").unwrap();
    let (_, row) = table.split_once(&format!("<a href=\"/vms/{vm}\">")).unwrap();
    row.split("</tr>").next().unwrap()
}

#[test]
fn a_row_marks_a_disk_with_unknown_volumes() {
    let page = render("/?view=table", snapshot(sample::vms(), sample::sources()));
    let row = |vm: &str| table_row(&page, vm);
    let partly = row("payments/db-postgres-0");
    assert!(partly.contains("title=\"Disk: 1 of 4 volumes unknown.\""), "{partly}");
    assert!(partly.contains("/db-postgres-0#why\"") && text(partly).contains("+1 ?"), "{partly}");
    assert!(!row("staging/api-gateway-01").contains("volumes unknown"));
}

#[test]
fn a_row_shows_what_the_guest_does_and_why_it_is_unknown() {
    let mut vms = sample::vms();
    vms[0] = sample::active(vms[0].clone(), GuestActivity { contention: Ok(6_000), ..sample::activity() });
    let all = || snapshot(vms.clone(), sample::sources());
    let page = render("/?view=table&sort=network", all());
    let row = |vm: &str| table_row(&page, vm);
    let active = row("payments/api-gateway-01");
    assert!(text(active).contains("18.4 MB/s 41.6 MB/s 1,240 3.8 ms 6.0 %"), "{}", text(active));
    assert!(
        active.replace("<!>", "").contains("class=\"hot\">6.0 %") && text(active).contains("56.2 %"),
        "{active}"
    );
    assert!(active.contains("class=\"activity network sorted\""), "{active}");
    let unknown = row("shop/cache-redis-02");
    assert!(text(unknown).contains("Network of cache-redis-02 is unknown: no answer yet"), "{unknown}");
    assert!(unknown.contains("/cache-redis-02#why\"") && !text(unknown).contains("0 B/s"), "{unknown}");
    let off = row("shop/frontend-canary");
    assert!(!off.contains("is unknown"), "a VM that is off does nothing: {off}");
    let head = page.part("<thead", "</thead>");
    let sorted =
        "aria-sort=\"descending\" class=\"activity network sorted\"><a href=\"/?sort=network&amp;order=asc";
    assert!(head.contains(sorted), "{head}");
    let first = page.part("<tbody", "</tr>");
    assert!(first.contains("/vms/payments/api-gateway-01"), "{first}");
}

#[test]
fn a_card_is_not_red_for_memory_that_the_guest_does_not_use() {
    let mut vms = sample::vms();
    vms[0].summary.usage.memory = sample::memory(848, 8);
    let red = |vms| {
        render("/", snapshot(vms, sample::sources())).card("payments/api-gateway-01").contains("meter over")
    };
    assert!(red(vms.clone()));
    vms[0] = sample::active(vms[0].clone(), sample::activity());
    assert!(!red(vms));
}

/// The totals, without the counts.
fn totals(page: &Page) -> String {
    text(page.part("class=\"summary\"", "class=\"counts\""))
}

#[test]
fn totals_and_counts_are_of_the_vms_that_pass_the_other_filters() {
    let page = |url| render(url, snapshot(sample::vms(), sample::sources()));
    let in_shop: Vec<Vm> = sample::vms().into_iter().filter(|vm| vm.summary.namespace == "shop").collect();
    let (shop, running) = (page("/?namespace=shop"), page("/?namespace=shop&status=Running"));
    let sum = in_shop.iter().filter_map(|vm| vm.summary.memory).sum();
    let amount = format!("{} Gi memory allocated", model::format::gi_lead(sum));
    assert!(
        totals(&shop).starts_with("Totals of the VMs that match") && totals(&shop).contains(&amount),
        "{}",
        totals(&shop)
    );
    assert!(totals(&page("/?sort=cpu")).starts_with("Cluster totals"), "a sorted list is not filtered");
    assert_ne!(totals(&running), totals(&shop));
    // The counts show what another status would leave, and keep the other filters.
    let counts = |page: &Page| text(page.part("class=\"counts\"", "</ul>"));
    assert!(counts(&shop).starts_with(&format!("All VMs {}", in_shop.len())), "{}", counts(&shop));
    assert_eq!(counts(&running), counts(&shop));
    assert!(
        running.part("class=\"counts\"", "</ul>").contains("href=\"/?namespace=shop&amp;status=Stopped\"")
    );
}

#[test]
fn totals_stand_beside_what_the_nodes_can_allocate() {
    let vms = || {
        vec![sample::vm(
            "a",
            "web",
            "n1",
            (1, 1, 1),
            [sample::cpu(1, 1), sample::memory(1, 1), sample::disk(1, 1)],
        )]
    };
    let with = |nodes: Vec<Node>| Snapshot { nodes: nodes.into(), ..snapshot(vms(), sample::sources()) };
    let node = |name: &str, memory| Node {
        name: name.into(),
        cpu: Some(4_000_000_000),
        memory,
        takes_vms: true,
        schedulable: true,
        ..Node::default()
    };
    let unknown = totals(&render("/", with(vec![])));
    assert!(!unknown.contains("allocatable"), "{unknown}");
    let known = totals(&render("/", with(vec![node("n1", Some(8 << 30)), node("n2", Some(8 << 30))])));
    assert!(known.contains("of 16 Gi allocatable") && known.contains("of 8 allocatable"), "{known}");
    let of_node =
        totals(&render("/?node=n1", with(vec![node("n1", Some(8 << 30)), node("n2", Some(8 << 30))])));
    assert!(of_node.contains("of 8 Gi allocatable"), "{of_node}");
    let unreadable = totals(&render("/", with(vec![node("n1", Some(8 << 30)), node("n2", None)])));
    assert!(
        !unreadable.contains("Gi allocatable") && unreadable.contains("of 8 allocatable"),
        "{unreadable}"
    );
}

#[test]
fn names_from_the_cluster_are_escaped() {
    let mut vms = sample::vms();
    vms.truncate(1);
    vms[0].summary.name = "<img src=x onerror=alert(1)>\"'".into();
    vms[0].summary.usage.disk = Figure::Missing(Reason::Forbidden.into());
    vms[0].summary.kubevirt_status = "<b>".into();
    let page = render("/", snapshot(vms, sample::sources()));
    assert!(!page.html.contains("<img") && !page.html.contains("<b>."), "{}", page.html);
    assert!(page.html.contains("href=\"/vms/payments/%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E%22%27\""));
}

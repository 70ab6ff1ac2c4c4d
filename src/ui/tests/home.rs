//! The home page: totals, notices, cards, the table, and empty lists.

use super::*;
use model::activity::GuestActivity;

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
    assert!(lead.contains("372.47 Gi allocated") && !lead.contains("372.4656"), "{lead}");
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

#[test]
fn a_notice_says_what_a_failing_source_costs_and_how_to_fix_it() {
    let page = render("/", snapshot(sample::vms(), sample::broken_sources()));
    let text = page.text();
    assert!(text.contains("CPU, memory: incomplete for 1,197 VMs."), "{text}");
    assert!(text.contains("Disk: incomplete for 2 VMs, stale for 19 VMs."), "{text}");
    assert!(text.contains("403: may not list pods.metrics.k8s.io") && page.html.contains("/sources#kubelet"));
    assert!(!text.contains("virtualmachines.kubevirt.io is not served"), "no figure depends on this API");
}

#[test]
fn a_notice_links_to_the_vms_that_it_counts() {
    let page = render("/", snapshot(sample::vms(), sample::broken_sources()));
    let notices = page.part("class=\"notices\"", "</aside>");
    assert!(notices.contains("href=\"/?attention=1\""), "of all nodes: {notices}");
    assert!(notices.contains("href=\"/?node=node-c&amp;attention=1\""), "of one node: {notices}");
}

#[test]
fn there_are_at_most_three_notices() {
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

#[test]
fn a_row_marks_a_disk_with_unknown_volumes() {
    let page = render("/?view=table", snapshot(sample::vms(), sample::sources()));
    let row = |vm: &str| page.part(&format!("<a href=\"/vms/{vm}\">"), "</tr>");
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
    let row = |vm: &str| page.part(&format!("<a href=\"/vms/{vm}\">"), "</tr>");
    let active = row("payments/api-gateway-01");
    assert!(text(active).contains("18.4 MB/s 41.6 MB/s 1,240 3.8 ms 6.0 %"), "{}", text(active));
    assert!(active.contains("class=\"hot\">6.0 %") && text(active).contains("56.2 %"), "{active}");
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

#[test]
fn a_filtered_list_says_that_totals_are_the_whole_clusters() {
    let note = "; the totals are not filtered";
    let page = |url| render(url, snapshot(sample::vms(), sample::sources())).text();
    assert!(page("/?namespace=shop").contains(note) && !page("/").contains(note));
    assert!(!page("/?sort=cpu").contains(note), "a sorted list is not filtered");
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

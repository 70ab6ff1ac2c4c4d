//! The page of one node: complete without JavaScript.

use std::collections::BTreeMap;

use super::{groups::with_nodes, *};
use model::{groups::Node, source::SourceId};
use wukong_core::scope::Kinds;

fn verdict(page: &Page) -> String {
    text(page.part("aria-label=\"Verdict\"", "</section>"))
}

/// One of the meters, by its heading.
fn meter<'a>(page: &'a Page, name: &str) -> &'a str {
    page.part(&format!("<h3>{name}<"), "</section>")
}

/// 96 % of the memory is used, and the VMs on it are allocated more than there is.
#[test]
fn a_full_node_says_so_first_in_amounts() {
    let page = render("/nodes/node-a", with_nodes());
    assert_eq!(page.status, 200);
    let verdict = verdict(&page);
    for expected in [
        "Critical: 31 Gi of 32 Gi of memory used, 96 %.",
        "the kubelet evicts pods",
        "VMs are allocated 40 Gi of 32 Gi of memory, 125 %.",
    ] {
        assert!(verdict.contains(expected), "{expected} is not in {verdict}");
    }
    assert!(page.html.contains("class=\"verdict crit\""));
    let memory = meter(&page, "Memory used");
    assert!(
        memory.contains("role=\"meter\" aria-label=\"Memory used\"")
            && memory.contains("class=\"gauge crit\""),
        "{memory}"
    );
    assert!(memory.contains("aria-valuenow=\"96\" aria-valuetext=\"31 Gi of 32 Gi, 96 %\""), "{memory}");
    let said = text(memory);
    assert!(said.contains("Running VMs 28.5 Gi, everything else on the node 2.5 Gi."), "{said}");
    assert!(said.contains("kubelet-direct"), "{said}");
    assert!(meter(&page, "Memory allocated").contains("class=\"gauge hot\""));
    assert!(text(meter(&page, "CPU allocated")).contains("12 vCPU of 8 vCPU"), "vCPUs may be overcommitted");
    assert!(meter(&page, "CPU allocated").contains("class=\"gauge\""));
    assert!(meter(&page, "CPU used").contains("class=\"gauge\""));
    assert!(!page.html.contains(" style="));
}

#[test]
fn the_largest_consumers_are_chosen_by_a_link() {
    let mut snapshot = with_nodes();
    let busy = sample::active(Vm::clone(&snapshot.vms[0]), sample::activity());
    snapshot.vms[0] = Arc::new(busy);
    let page = |url: &str| render(url, snapshot.clone());
    let list = |page: &Page| text(page.part("<ol", "</ol>"));
    let memory = page("/nodes/node-a");
    let both = "db-postgres-0 payments 22.9 Gi of 32 Gi api-gateway-01 payments 5.6 Gi of 8 Gi";
    assert_eq!(list(&memory), both);
    assert!(memory.html.contains("href=\"/nodes/node-a\" aria-current=\"true\""), "memory is the default");
    assert!(memory.html.contains("href=\"/nodes/node-a?top=disk-io\""));
    let network = page("/nodes/node-a?top=network");
    assert!(network.html.contains("href=\"/nodes/node-a?top=network\" aria-current=\"true\""));
    assert_eq!(list(&network), "api-gateway-01 payments 18.4 MB/s 1 more VM");
    assert!(network.part("<ol", "</ol>").contains("href=\"/?node=node-a&amp;view=table\""));
    assert_eq!(list(&page("/nodes/node-a?top=disk-io")), "api-gateway-01 payments 41.6 MB/s 1 more VM");
    assert!(page("/nodes/spare").text().contains("No figures are known yet."));
    assert_eq!(render("/nodes/node-a?top=size", with_nodes()).status, 400);
}

#[test]
fn what_is_not_known_is_no_zero_and_says_why() {
    let page = render("/nodes/node-b", with_nodes());
    assert_eq!(verdict(&page), "The node is ready. How much of it is used at the moment is unknown.");
    let memory = meter(&page, "Memory used");
    assert!(memory.contains("gauge unknown") && !memory.contains("role=\"meter\""), "{memory}");
    assert!(text(memory).contains("Unknown: the source cannot be reached."), "{}", text(memory));
    let facts = text(page.part("<dl class=\"facts\">", "</dl>"));
    assert!(facts.contains("Ready yes") && facts.contains("Memory pressure unknown"), "{facts}");
    assert!(facts.contains("Kubelet version v1.34.1"), "{facts}");
    let lost = render("/nodes/node-c", with_nodes());
    assert!(verdict(&lost).contains("Not ready: its kubelet reports"), "{}", verdict(&lost));
    assert!(verdict(&lost).contains("kubectl uncordon node-c"), "{}", verdict(&lost));
}

#[test]
fn a_node_whose_object_is_unknown_says_why() {
    let mut snapshot = snapshot(sample::vms(), sample::sources());
    let nodes = snapshot.sources.iter_mut().find(|source| source.id == SourceId::Nodes).unwrap();
    (nodes.state, nodes.reason) = (SourceState::Forbidden, Some(Reason::Forbidden));
    nodes.error = "403: may not list nodes".into();
    let page = render("/nodes/node-a", snapshot);
    assert!(verdict(&page).contains("It is unknown whether the node is ready"), "{}", verdict(&page));
    assert!(page.text().contains("403: may not list nodes"));
    assert!(page.text().contains("Memory used by its VMs 71 % 28.5 Gi of 40 Gi"), "{}", page.text());
    assert!(!page.text().contains("Conditions and versions"));
}

#[test]
fn who_may_not_see_nodes_sees_the_vms_alone() {
    let scope = Scope::new(Kinds::ALL, BTreeMap::new(), false);
    let page = |url: &str| {
        render_for(scope.clone(), url, Some(reader(with_nodes())), Bundle::default(), Lang::English)
    };
    let own = page("/nodes/node-a");
    assert_eq!(own.status, 200);
    let text = own.text();
    assert!(
        text.contains("The node runs VMs that you can see.") && text.contains("Only the names"),
        "{text}"
    );
    for hidden in ["31 Gi", "32 Gi,", "v1.34.1", "96 %", "125 %", "evicts"] {
        assert!(!text.contains(hidden), "{hidden} is in {text}");
    }
    assert_eq!(page("/nodes/spare").status, 404, "a node without a VM is one that others have");
}

#[test]
fn an_unknown_node_is_not_found() {
    let page = render("/nodes/nowhere", with_nodes());
    assert_eq!(page.status, 404);
    assert!(page.text().contains("There is no node nowhere , or you cannot see it."), "{}", page.text());
    assert!(page.html.contains("href=\"/groups?by=node\""));
}

#[test]
fn a_vm_leads_to_its_nodes() {
    let page = render("/vms/ops/monitoring-01", with_nodes());
    let facts = page.part("<dl class=\"facts\">", "</dl>");
    assert!(facts.contains("<a href=\"/nodes/node-b\">node-b"), "{facts}");
    assert!(facts.contains("<a href=\"/nodes/node-d\">node-d"), "{facts}");
    assert!(text(facts).contains("Node node-b → node-d"), "{}", text(facts));
    let nowhere = render("/vms/shop/frontend-canary", with_nodes());
    assert!(text(nowhere.part("<dl class=\"facts\">", "</dl>")).starts_with("Node – "));
}

#[test]
fn a_node_has_chinese_texts() {
    let mut snapshot = with_nodes();
    let calm = |node: &Node| Node { unschedulable: false, ready: Some(true), ..node.clone() };
    snapshot.nodes = snapshot.nodes.iter().map(calm).collect();
    for (url, expected) in [
        ("/nodes/node-a", "内存已用 31 Gi / 32 Gi，96 %。"),
        ("/nodes/node-a", "用量最高"),
        ("/nodes/node-b", "节点就绪。当前用量未知。"),
        ("/nodes/nowhere", "没有名为"),
    ] {
        let html = chinese(url, snapshot.clone()).html;
        assert!(html.contains(expected), "{url} lacks {expected}: {html}");
    }
}

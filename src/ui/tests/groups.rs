//! The map, and the pages of nodes and namespaces: complete without JavaScript.

use super::*;
use model::{
    figure::{Basis, Figure, Sample, Source, Unit},
    groups::{Node, NodeUse},
    reason::Reason,
    source::SourceId,
    vm::Status,
};

/// The first node is nearly full, whatever its VMs use, and of the last nothing is known.
fn used(name: &str, cpu: u64, memory: u64) -> Option<Box<NodeUse>> {
    let known = |unit, used, of| {
        let (source, basis) = (Source::KubeletDirect, Basis::Own);
        Figure::Known(Sample { unit, used, of, at: 1, window_ms: 0, source, basis, stale: false })
    };
    let (cpu, memory) = match name {
        "node-a" => (known(Unit::Nanocores, cpu / 10 * 3, cpu), known(Unit::Bytes, memory / 32 * 31, memory)),
        _ => (Figure::Missing(Reason::Unreachable.into()), Figure::Missing(Reason::Unreachable.into())),
    };
    Some(Box::new(NodeUse { cpu, memory }))
}

pub(super) fn with_nodes() -> Snapshot {
    let node = |name: &str, cores: u64, gi: u64| Node {
        name: name.into(),
        cpu: Some(cores * 1_000_000_000),
        memory: Some(gi << 30),
        ready: Some(name != "node-c"),
        ready_since: None,
        unschedulable: name == "node-c",
        takes_vms: true,
        schedulable: true,
        address: None,
        pressure: Default::default(),
        kubelet_version: "v1.34.1".into(),
        used: used(name, cores * 1_000_000_000, gi << 30),
    };
    let nodes =
        vec![node("node-a", 8, 32), node("node-b", 64, 256), node("node-c", 64, 256), node("spare", 64, 256)];
    Snapshot { nodes: nodes.into(), ..snapshot(sample::vms(), sample::sources()) }
}

/// 96 % of the memory is used, although its VMs use less of what they are allocated.
#[test]
fn a_full_node_cannot_be_read_as_safe() {
    let page = render("/groups?by=node", with_nodes());
    let row = page.part("href=\"/nodes/node-a\"", "</tr>");
    assert!(row.contains("meter hot") && row.contains("aria-valuenow=\"96\""), "{row}");
    let text = text(row);
    for expected in ["31 Gi of 32 Gi", "VMs: ", "2.4 vCPU of 8 vCPU"] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    let unknown = page.part("href=\"/nodes/node-b\"", "</tr>");
    assert!(unknown.contains("meter unknown") && !unknown.contains("aria-valuenow=\"0\""), "{unknown}");
}

#[test]
fn the_map_has_a_square_for_each_vm_and_no_names() {
    let page = render("/?view=map", snapshot(sample::vms(), sample::sources()));
    let map = page.part("class=\"map\"", "</main>");
    assert_eq!(page.status, 200);
    let squares: usize =
        map.split(" d=\"").skip(1).map(|path| path.split('"').next().unwrap().matches('M').count()).sum();
    assert_eq!(squares, sample::vms().len());
    assert!(!map.contains("monitoring-01") && !map.contains(" style="), "{map}");
    let text = text(map);
    for expected in ["node-a", "VMs", "CPU", "need attention", "On no node"] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    // Groups link to the names of their VMs.
    assert!(map.contains("href=\"/?node=node-a&amp;view=table\""), "{map}");
    assert!(map.contains("role=\"img\"") && !map.contains("tabindex"), "nothing to focus without scripts");
    let legend = page.part("class=\"legend\"", "</ul>");
    assert!(legend.contains("0–19 %") && legend.contains("stopped"), "{legend}");
}

#[test]
fn the_map_has_links_for_its_options_and_follows_filters() {
    let page = render(
        "/?view=map&namespace=ops&by=namespace&color=disk",
        snapshot(sample::vms(), sample::sources()),
    );
    assert_eq!(page.html.matches("class=\"block\"").count(), 1);
    assert!(page.html.contains("href=\"/?namespace=ops&amp;view=map&amp;by=namespace&amp;color=memory\""));
    assert!(page.html.contains("href=\"/?namespace=ops&amp;view=map&amp;color=disk\""));
    let sorted = render("/?view=map&sort=cpu", snapshot(sample::vms(), sample::sources()));
    assert!(!sorted.html.contains("<select name=\"sort\""), "the map cannot be sorted");
    assert!(sorted.html.contains("name=\"sort\" value=\"cpu\""), "the other views keep their order");
    let none = render("/?view=map&q=nobody", snapshot(sample::vms(), sample::sources()));
    assert!(none.text().contains("No VM matches."));
    assert_eq!(none.html.matches("class=\"block\"").count(), 0);
}

#[test]
fn a_node_shows_its_overcommitment() {
    let page = render("/groups", with_nodes());
    let row = |name: &str| text(page.part(&format!("href=\"/nodes/{name}\""), "</tr>"));
    let allocated: u64 = sample::vms()
        .iter()
        .filter(|vm| vm.summary.node == "node-a" && vm.summary.status != Status::Stopped)
        .map(|vm| vm.summary.cpu.unwrap() / 1_000_000_000)
        .sum();
    assert!(row("node-a").contains(&format!("{} %", allocated * 100 / 8)), "{}", row("node-a"));
    assert!(row("node-c").contains("not ready, cordoned"), "{}", row("node-c"));
    assert!(row("spare").contains("0 % 0 vCPU of 64 vCPU"), "{}", row("spare"));
    assert!(!row("spare").contains("unknown"), "a node without VMs has nothing to measure: {}", row("spare"));
    assert!(page.text().contains("Largest consumers"));
    assert!(!page.html.contains(" style="));
}

#[test]
fn a_node_leads_to_its_page_and_its_vms_to_the_list() {
    let page = render("/groups?by=node", with_nodes());
    let row = page.part("href=\"/nodes/node-a\"", "</tr>");
    assert!(row.contains("href=\"/?node=node-a&amp;view=table\" aria-label=\"2 VMs\""), "{row}");
    let nowhere = page.part("On no node", "</tr>");
    assert!(!nowhere.contains("href=") && !nowhere.contains("aria-label=\"3 VMs"), "{nowhere}");
    let namespaces = render("/groups?by=namespace", with_nodes());
    assert_eq!(namespaces.html.matches("href=\"/?namespace=payments&amp;view=table\"").count(), 2);
    // No page has this name.
    let mut odd = sample::vms();
    odd[0].summary.node = "Node A".into();
    let odd = render("/groups?by=node", snapshot(odd, sample::sources()));
    assert!(odd.html.contains("<a>Node A") && !odd.html.contains("/nodes/Node"));
}

#[test]
fn without_node_objects_overcommitment_is_unknown_and_says_why() {
    let mut snapshot = snapshot(sample::vms(), sample::sources());
    let nodes = snapshot.sources.iter_mut().find(|source| source.id == SourceId::Nodes).unwrap();
    nodes.state = SourceState::Forbidden;
    nodes.reason = Some(Reason::Forbidden);
    nodes.error = "403: may not list nodes".into();
    nodes.fix = "Allow it: kubectl apply -f deploy/cluster/rbac.yaml".into();
    let page = render("/groups?by=node", snapshot);
    let text = page.text();
    assert!(text.contains("403: may not list nodes") && text.contains("deploy/cluster/rbac.yaml"), "{text}");
    assert!(text.contains("of an unknown capacity"), "{text}");
    assert!(!self::text(page.part("<tbody", "</tbody>")).contains(" 0 %"), "unknown is not 0 %");
}

#[test]
fn namespaces_sort_by_column() {
    let page = render("/groups?by=namespace&sort=memory-allocated", with_nodes());
    assert_eq!(page.html.matches("aria-sort=\"descending\"").count(), 1);
    assert!(page.html.contains("href=\"/groups?by=namespace&amp;sort=memory-allocated&amp;order=asc\""));
    assert!(page.html.contains("href=\"/groups?by=namespace\""), "sorted by name");
    assert_eq!(render("/groups?by=pod", with_nodes()).status, 400);
    assert_eq!(render("/groups?sort=size", with_nodes()).status, 400);
}

#[test]
fn map_and_groups_have_chinese_texts() {
    for (address, expected) in [("/?view=map", "图例：CPU使用率"), ("/groups", "用量最高")] {
        let html = chinese(address, with_nodes()).html;
        assert!(html.contains(expected), "{html}");
    }
}

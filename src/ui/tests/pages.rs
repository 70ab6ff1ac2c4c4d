//! The document around every page, the sources page, and pages without content.

use super::*;
use model::source::SourceId;

#[test]
fn an_unknown_vm_and_an_unknown_page_are_404() {
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
    assert!(text.contains("14 healthy, 1 degraded, 1 forbidden, 1 absent."), "{text}");
    assert!(
        text.contains("needs list pods.metrics.k8s.io")
            && text.contains("kubectl apply -f deploy/cluster/rbac.yaml")
    );
    assert!(page.html.contains("id=\"metrics.k8s.io\""), "notices link here");
}

#[test]
fn the_sources_page_counts_reviews() {
    let sources = [sample::sources(), vec![sample::access_reviews()]].concat();
    let page = render("/sources", snapshot(sample::vms(), sources));
    let row = text(page.part("id=\"access-reviews\"", "</tr>"));
    let counts = "1,042 reviews in the last minute; 3 users, 12 namespaces; 5 waiting; users whose permissions are out of date: 1.";
    assert!(row.contains(counts) && row.contains("who signs in"), "{row}");
    let page = render("/sources", snapshot(sample::vms(), sample::sources()));
    assert!(!page.html.contains("access-reviews") && !page.text().contains("in the last minute"));
}

#[test]
fn a_warning_is_shown_beside_its_source() {
    let mut sources = sample::sources();
    let prometheus = sources.iter_mut().find(|source| source.id == SourceId::Prometheus).unwrap();
    prometheus.warning = "credentials are sent unencrypted".into();
    let page = render("/sources", snapshot(sample::vms(), sources));
    let row = page.part("id=\"prometheus\"", "</tr>");
    assert!(text(row).contains("credentials are sent unencrypted") && text(row).contains("Healthy"), "{row}");
}

#[test]
fn the_head_loads_one_module_script_and_the_texts() {
    let bundle = Bundle { css: "/pkg/0/app.css".into(), js: "/pkg/0/app.js".into() };
    let page = render_in("/", Some(snapshot(sample::vms(), sample::sources())), bundle);
    let head = page.part("<head>", "</head>");
    assert!(head.contains("<script type=\"module\" src=\"/pkg/0/app.js\">"), "{head}");
    assert!(!head.contains("wasm"), "the WebAssembly is not preloaded: {head}");
    assert_eq!(head.matches("rel=\"preload\"").count(), 1, "the texts: {head}");
    assert!(head.contains("href=\"/pkg/0/en.txt\""), "the texts of this page's language: {head}");
    assert!(head.contains("<script src=\"/pkg/0/theme.js\">") && head.contains("/pkg/0/favicon.svg"));
}

#[test]
fn a_page_renders_without_data() {
    let page = render_in("/", None, Bundle::default());
    assert!(page.html.contains("<main"), "leptos_axum lists the routes this way");
}

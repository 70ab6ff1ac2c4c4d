//! Every entry point refuses a name that Kubernetes would not accept, and decodes a valid name once.

use super::fixture::*;

/// Names in addresses that no namespace and no virtual machine can have.
const NO_NAMES: [&str; 12] = [
    "Web",
    "-web",
    "web-",
    "a_b",
    "a..b",
    ".a",
    "a.",
    "a%20b",
    "%2e%2e",
    "a%2Fb",
    "%E2%98%83",
    // Decoded once, this is `%77eb` and not `web`.
    "%2577eb",
];

fn too_long() -> String {
    "x".repeat(254)
}

#[tokio::test]
async fn an_invalid_name_is_refused_by_every_entry_point() {
    let server = Server::new(vec![vm("shop", "web")]);
    let long = too_long();
    for name in NO_NAMES.into_iter().chain([long.as_str()]) {
        for (url, status, field) in [
            (format!("/vms/shop/{name}"), 404, ""),
            (format!("/vms/{name}/web"), 404, ""),
            (format!("/at/h1/en/vms/shop/{name}"), 404, ""),
            (format!("/api/vms/{name}"), 404, "name"),
            (format!("/api/vms/{name}/history"), 404, "name"),
            (format!("/api/vms/web?namespace={name}"), 400, "namespace"),
            (format!("/api/vms/web/history?namespace={name}"), 400, "namespace"),
            (format!("/api/vms/stats?namespace={name}"), 400, "namespace"),
            (format!("/api/vms.csv?namespace={name}"), 400, "namespace"),
            (format!("/api/vms.json?node={name}"), 400, "node"),
            (format!("/api/groups?namespace={name}"), 400, "namespace"),
            (format!("/api/insights?namespace={name}"), 400, "namespace"),
            (format!("/api/events?namespace={name}"), 400, "namespace"),
            (format!("/api/events?vm=shop/{name}"), 400, "vm"),
            (format!("/api/events?vm={name}/web"), 400, "vm"),
            (format!("/nodes/{name}"), 404, ""),
            (format!("/at/h1/en/nodes/{name}"), 404, ""),
            (format!("/api/nodes/{name}"), 404, "name"),
            (format!("/api/insights?node={name}"), 400, "node"),
            (format!("/api/events?only=node&node={name}"), 400, "node"),
            (format!("/insights?node={name}"), 400, ""),
            (format!("/fn/node?name={name}"), 400, ""),
            (format!("/?namespace={name}"), 400, ""),
            (format!("/?node={name}"), 400, ""),
            (format!("/groups?namespace={name}"), 400, ""),
            (format!("/insights?namespace={name}"), 400, ""),
            (format!("/fn/vm?namespace=shop&name={name}"), 400, ""),
            (format!("/fn/vm?namespace={name}&name=web"), 400, ""),
            (format!("/fn/history?namespace=shop&name={name}"), 400, ""),
            (format!("/at/h1/en/fn/vm?namespace=shop&name={name}"), 400, ""),
            (format!("/at/h1/en/api/events?vm=shop/{name}"), 400, "vm"),
        ] {
            let answer = server.get(&url).await;
            assert_eq!(answer.status, status, "{url}");
            if !field.is_empty() {
                assert_eq!(answer.json()["field"], field, "{url}");
            }
        }
    }
}

#[tokio::test]
async fn a_page_of_no_name_is_not_rendered_and_says_so_in_the_readers_language() {
    let server = Server::new(vec![vm("shop", "web")]);
    for (path, language, words) in [
        ("/vms/shop/Web", "en", "no virtual machine can have this name"),
        ("/vms/shop/Web", "zh-CN", "虚拟机不可能叫这个名称"),
        ("/nodes/Node-1", "en", "no node can have this name"),
        ("/nodes/Node-1", "zh-CN", "节点不可能叫这个名称"),
    ] {
        let answer = server.send(axum::http::Method::GET, path, &[("accept-language", language)]).await;
        let html = String::from_utf8_lossy(&answer.body);
        assert!(html.contains(words), "{html}");
        assert!(!html.contains("topbar"), "{html}");
    }
}

#[tokio::test]
async fn a_name_is_decoded_once_and_may_be_as_long_as_kubernetes_allows() {
    // Only a namespace is a label: the parts of a virtual machine's name may be longer than 63 characters.
    let long = ["x".repeat(200), "y".repeat(52)].join(".");
    let server = Server::new(vec![vm("shop", "web"), vm("shop", &long)]);
    for name in ["web", "%77eb", &long] {
        for url in [
            format!("/vms/shop/{name}"),
            format!("/vms/%73hop/{name}"),
            format!("/api/vms/{name}?namespace=shop"),
            format!("/api/vms/{name}/history?namespace=%73hop"),
            format!("/fn/vm?namespace=shop&name={name}"),
        ] {
            assert_eq!(server.get(&url).await.status, 200, "{url}");
        }
    }
}

#[tokio::test]
async fn the_name_of_a_node_is_decoded_once() {
    let server = Server::new(vec![vm("shop", "web")]);
    for name in ["node-1", "node%2D1", "%6eode-1"] {
        for url in [
            format!("/nodes/{name}"),
            format!("/api/nodes/{name}"),
            format!("/fn/node?name={name}"),
            format!("/at/h1/en/fn/node?name={name}"),
        ] {
            assert_eq!(server.get(&url).await.status, 200, "{url}");
        }
    }
}

#[tokio::test]
async fn only_one_address_leads_to_a_page() {
    let server = Server::new(vec![vm("shop", "web")]);
    for url in [
        "//",
        "//vms/shop/web",
        "//evil.example/vms/shop/web",
        "/vms//shop/web",
        "/vms/shop//web",
        "/vms/shop/web/",
        "/vms/shop/web/.",
        "/vms/shop/x/../web",
        "/vms/shop/x/%2e%2e/web",
        "/x/../sources",
        "/sources/",
        "/groups/",
        "/nodes/",
        "/nodes/node-1/",
        "/nodes//node-1",
        "/nodes/x/../node-1",
        "/vms\\shop\\web",
        "/\\evil.example/vms/shop/web",
        "/./",
    ] {
        let answer = server.get(url).await;
        assert_eq!(answer.status, 404, "{url}");
        let html = String::from_utf8_lossy(&answer.body);
        for content in ["10.0.0.5", "class=\"sheet", "class=\"cards", "evil.example"] {
            assert!(!html.contains(content), "{url} shows {content}");
        }
    }
}

//! What pages say about the viewer, and the sign-in page.

use super::fixture::*;
use crate::server::http::tests::fixture::vm;
use wukong_core::access::ReviewedResource;

/// Returns the text of a page without its tags, blanks joined.
fn text(html: &str) -> String {
    let pieces = html.split('<').map(|piece| piece.split_once('>').map_or("", |(_, text)| text));
    pieces.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A server with VMs in two namespaces, one of which Ana may list.
fn gated() -> SignInServer {
    let gated = SignInServer::new(vec![vm("shop", "web"), vm("shop", "db"), vm("bank", "vault")]);
    gated.kubernetes.add_user("ana");
    gated.kubernetes.set_groups("ana", &["shop-ops", "system:authenticated"]);
    gated.kubernetes.allow_rows("ana", "shop");
    gated
}

async fn page(gated: &SignInServer, session: &str, path: &str) -> String {
    let answer = gated.browse(session, path).await;
    assert_eq!(answer.status, 200, "{path}");
    String::from_utf8_lossy(&answer.body).into_owned()
}

#[tokio::test(start_paused = true)]
async fn every_page_names_the_viewer_and_what_they_see_of_the_cluster() {
    let gated = gated();
    let session = gated.sign_in("ana").await;
    for path in ["/", "/?view=table", "/vms/shop/web", "/groups", "/insights", "/sources"] {
        let html = page(&gated, &session, path).await;
        let text = text(&html);
        assert!(text.contains("ana shop-ops, system:authenticated"), "{path}: {text}");
        assert!(text.contains("You see 2 VMs in 1 namespace: shop."), "{path}: {text}");
        assert!(html.contains(r#"<form action="/auth/sign-out" method="post">"#), "{path}: {html}");
        assert!(html.contains("later.css"), "{path}: the menu's styles");
        assert!(!html.contains("bank") && !html.contains("vault"), "{path}: {html}");
    }
    let home = text(&page(&gated, &session, "/").await);
    assert!(home.contains("Totals of the VMs that you can see"), "{home}");
    gated.kubernetes.add_user("root");
    gated.kubernetes.allow_rows("root", "");
    let home = text(&page(&gated, &gated.sign_in("root").await, "/").await);
    assert!(home.contains("You can see all 3 VMs."), "{home}");
    assert!(home.contains("Cluster totals") && !home.contains("that you can see"), "{home}");
}

#[tokio::test(start_paused = true)]
async fn many_namespaces_are_counted_and_few_are_named() {
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let gated = SignInServer::new(names.iter().map(|namespace| vm(namespace, "web")).collect());
    gated.kubernetes.add_user("ana");
    names.iter().for_each(|namespace| gated.kubernetes.allow_rows("ana", namespace));
    let home = text(&page(&gated, &gated.sign_in("ana").await, "/").await);
    assert!(home.contains("You see 7 VMs in 7 namespaces: a, b, c, d, e and 2 more."), "{home}");
}

#[tokio::test(start_paused = true)]
async fn without_any_right_the_page_says_who_asks_and_what_an_administrator_does() {
    let gated = gated();
    let name = "o'brien <x>";
    gated.kubernetes.add_user(name);
    gated.kubernetes.set_groups(name, &["system:authenticated", "team $(a)"]);
    gated.kubernetes.add_token(name, "token-of-obrien");
    let html = page(&gated, &gated.sign_in("token-of-obrien").await, "/").await;
    let text = text(&html).replace("&lt;", "<").replace("&gt;", ">");
    assert!(
        text.contains("You are signed in as o'brien <x> . You have no permission to list any VM in test"),
        "{text}"
    );
    assert!(text.contains("Your groups: system:authenticated, team $(a)"), "{text}");
    let command = r"kubectl -n NAMESPACE create rolebinding vms-view \ --clusterrole=vms-view \";
    assert!(text.contains(&format!(r"{command} --user='o'\''brien <x>'")), "{text}");
    assert!(text.contains(&format!("{command} --group='team $(a)'")), "{text}");
    assert!(!html.contains("<x>") && !html.contains("shop"), "{html}");
    let others = page(&gated, &gated.sign_in("ana").await, "/").await;
    assert!(!others.contains("create rolebinding"), "{others}");
}

/// 150 access reviews are asked in a second, so that 1,000 namespaces take longer than a page waits.
#[tokio::test(start_paused = true)]
async fn a_page_says_that_not_every_namespace_is_checked() {
    let gated = SignInServer::new((0..1_000).map(|n| vm(&format!("team-{n}"), "web")).collect());
    gated.kubernetes.add_user("ana");
    let session = gated.sign_in("ana").await;
    let html = page(&gated, &session, "/").await;
    assert!(html.contains(" of 1,000 namespaces checked"), "{html}");
    assert!(!html.contains("create rolebinding"), "a right may be found yet: {html}");
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    let html = page(&gated, &session, "/").await;
    assert!(!html.contains("namespaces checked") && html.contains("create rolebinding"), "{html}");
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_list_nodes_a_node_is_a_name() {
    let gated = gated();
    let session = gated.sign_in("ana").await;
    let nodes = text(&page(&gated, &session, "/groups").await);
    assert!(nodes.contains("Only the names of the nodes of the VMs that you can see are shown."), "{nodes}");
    for other in ["the node object is unknown", "of an unknown capacity", "allocatable"] {
        assert!(!nodes.contains(other), "{other}: {nodes}");
    }
    let sources = text(&page(&gated, &session, "/sources").await);
    assert!(sources.contains("are shown only to users who can list every VM and node"), "{sources}");
    gated.kubernetes.add_user("root");
    gated.kubernetes.allow_rows("root", "");
    gated.kubernetes.allow("root", "", ReviewedResource::Nodes);
    let root = gated.sign_in("root").await;
    for path in ["/groups", "/sources"] {
        let page = text(&page(&gated, &root, path).await);
        assert!(!page.contains("shown only to users who can"), "{path}: {page}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_sign_in_page_works_by_itself_in_both_languages() {
    let gated = gated();
    let html = page(&gated, "", "/auth/sign-in?next=%2Fvms%2Fshop%2Fweb%3Fspan%3D7d&ended=").await;
    let link = r#"href="/auth/sign-in?ended=&amp;next=%2Fvms%2Fshop%2Fweb%3Fspan%3D7d&amp;lang=zh-CN""#;
    for part in [
        r#"<label for="token">"#,
        " autofocus",
        " required",
        r#"value="/vms/shop/web?span=7d""#,
        "<title>Sign in to the dashboard · wukong-dashboard</title>",
        "Your session has ended.",
        link,
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(!html.contains("aria-invalid"), "{html}");
    let html = page(&gated, "", "/auth/sign-in?ended=&next=%2F&lang=zh-CN").await;
    assert!(html.contains("<html lang=\"zh-CN\"") && html.contains("您的会话已结束"), "{html}");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_token_is_said_at_its_field_and_other_notices_above_the_form() {
    let gated = gated();
    let wrong = gated.submit("", "/auth/sign-in", "token=nobody").await;
    let html = String::from_utf8_lossy(&wrong.body).into_owned();
    for part in [r#"aria-invalid="true""#, r#"aria-describedby="wrong""#, r##"href="#i-key""##] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(html.contains(r#"id="wrong""#) && !html.contains(r#"class="notice"#), "{html}");
    gated.kubernetes.set_away(true);
    let unanswered = gated.submit("", "/auth/sign-in", "token=other").await;
    let html = String::from_utf8_lossy(&unanswered.body).into_owned();
    assert!(html.contains(r#"class="notice""#) && !html.contains("aria-invalid"), "{html}");
    // Who is not signed in learns neither why, nor of which cluster.
    assert!(html.contains("Try again in a moment") && !html.contains("away"), "{html}");
    assert!(!html.contains(&gated.server.app.reader.cluster()), "{html}");
    let far = gated.server.send(axum::http::Method::GET, "/auth/sign-in", &[("host", "vms.example")]).await;
    let html = String::from_utf8_lossy(&far.body).into_owned();
    assert!(
        html.contains("--public-url") && !html.contains("<form"),
        "no token is sent in the clear: {html}"
    );
}

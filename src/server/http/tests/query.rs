//! An address means the same to a page, to the API and to the server function that the page calls.

use axum::http::StatusCode;
use leptos::server_fn::error::FromServerFnError;
use proptest::prelude::*;

use super::{fixture::*, html::Page};
use crate::server_fns::Failure;
use model::{query::encode, view::HomeView};

/// Names that change with each decoding of an address. No cluster has such names.
const NAMES: [&str; 12] =
    ["a b", "a+b", "a%b", "a%2Bb", "a%20b", "a%25b", "a%ffb", "a\u{fffd}b", "a=b", "a;b", "a&b", "é"];

fn server() -> Server {
    Server::new(NAMES.map(|name| vm("shop", name)).to_vec())
}

/// How an entry point reads a query: the search text and the VMs that match, or the wrong field.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Found(String, Vec<String>),
    Wrong(String),
}

async fn of_page(server: &Server, query: &str) -> Result<Meaning, StatusCode> {
    let answer = server.get(&format!("/?{query}")).await;
    let page = Page::read(std::str::from_utf8(&answer.body).unwrap());
    assert_eq!(page.leaks, Vec::<String>::new(), "{query}");
    match answer.status.as_u16() {
        200 => {
            let names = page.cards.iter().map(|label| label.trim_start_matches("shop/").to_owned());
            Ok(Meaning::Found(page.fields["q"].clone(), sorted(names)))
        }
        _ => Err(answer.status),
    }
}

async fn of_api(server: &Server, path: &str, query: &str) -> Meaning {
    let answer = server.get(&format!("{path}?{query}")).await;
    let json = answer.json();
    match answer.status.as_u16() {
        200 => {
            let names = json.as_array().unwrap().iter().map(|vm| vm["name"].as_str().unwrap().to_owned());
            // The API does not repeat the search text.
            Meaning::Found(String::new(), sorted(names))
        }
        400 => Meaning::Wrong(json["field"].as_str().unwrap_or_default().to_owned()),
        other => panic!("{other}: {query}"),
    }
}

/// Encodes a query string as browsers do, which a page passes on to its server function.
async fn of_function(server: &Server, query: &str) -> Meaning {
    let mut ascii = String::new();
    for c in query.chars() {
        if c.is_ascii() { ascii.push(c) } else { encode(&mut ascii, &c.to_string()) }
    }
    let mut url = "/fn/home?query=".to_owned();
    encode(&mut url, &ascii);
    let answer = server.get(&url).await;
    match answer.status.as_u16() {
        200 => {
            let view: HomeView = postcard::from_bytes(&answer.body).unwrap();
            Meaning::Found(view.query.q, sorted(view.vms.into_iter().map(|vm| vm.name)))
        }
        400 => match Failure::de(answer.body.clone()) {
            Failure::BadParam(bad) => Meaning::Wrong(bad.field),
            other => panic!("{other:?}: {query}: {:?}", answer.body),
        },
        other => panic!("{other}: {query}"),
    }
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// Returns how all entry points read the query.
async fn meaning(server: &Server, query: &str) -> Meaning {
    let (page, api) = (of_page(server, query).await, of_api(server, "/api/vms", query).await);
    assert_eq!(of_api(server, "/api/vms.json", query).await, api, "{query}");
    let function = of_function(server, query).await;
    match (&page, &api, &function) {
        (Ok(Meaning::Found(on_page, shown)), Meaning::Found(_, listed), Meaning::Found(asked, found)) => {
            assert_eq!((on_page, shown, listed), (asked, found, found), "{query}");
        }
        (Err(StatusCode::BAD_REQUEST), Meaning::Wrong(field), Meaning::Wrong(same)) => {
            assert_eq!(field, same, "{query}");
        }
        _ => panic!("{query}: page {page:?}, API {api:?}, function {function:?}"),
    }
    function
}

#[tokio::test]
async fn a_query_means_the_same_to_page_api_and_function() {
    let server = server();
    for (query, q, names) in [
        ("", "", NAMES.len()),
        ("q=a+b", "a b", 1),
        ("q=a%20b", "a b", 1),
        ("q=a%2Bb", "a+b", 1),
        ("q=a%25b", "a%b", 1),
        ("q=a%252Bb", "a%2Bb", 1),
        ("q=a%2520b", "a%20b", 1),
        ("q=a%2525b", "a%25b", 1),
        ("q=a%25ffb", "a%ffb", 1),
        ("q=a%25zz", "a%zz", 0),
        ("q=a=b", "a=b", 1),
        ("q=a;b", "a;b", 1),
        ("q=a;q=b", "a;q=b", 0),
        ("q=a%26b", "a&b", 1),
        ("q=é", "é", 1),
        ("q=%C3%A9", "é", 1),
        ("%71=%61%20b", "a b", 1),
        ("&&q=a+b&", "a b", 1),
        ("Q=x", "", NAMES.len()),
        // An empty value counts as absent, and blanks around a text are ignored.
        ("q=", "", NAMES.len()),
        ("q", "", NAMES.len()),
        ("q=%20+", "", NAMES.len()),
        ("q=+a%20b%20", "a b", 1),
        ("sort=&page=&namespace=", "", NAMES.len()),
        ("utm_source=x&q=a%20b", "a b", 1),
    ] {
        let Meaning::Found(text, found) = meaning(&server, query).await else { panic!("{query} is refused") };
        assert_eq!((text.as_str(), found.len()), (q, names), "{query}");
    }
}

#[tokio::test]
async fn an_ambiguous_query_names_its_field() {
    let server = server();
    let many = "a=&".repeat(30) + &(0..65).map(|n| format!("p{n}=&")).collect::<String>();
    for (query, field) in [
        ("q=a&q=a", "q"),
        ("q=a&%71=b", "q"),
        ("q=&q=b", "q"),
        ("page=1&page=2", "page"),
        ("q=%", "q"),
        ("q=%2", "q"),
        ("q=%zz", "q"),
        ("q=%+1", "q"),
        ("q=%ff", "q"),
        ("q=%C3%28", "q"),
        ("q=%00", "q"),
        ("q=a%0Ab", "q"),
        ("q=%09a", "q"),
        ("q=%0D", "q"),
        ("q=%1B[31m", "q"),
        ("q=%7F", "q"),
        // C1 controls, line and paragraph separators, and direction marks, encoded and raw.
        ("q=%C2%85", "q"),
        ("q=\u{85}", "q"),
        ("q=\u{9b}31m", "q"),
        ("q=%E2%80%A8", "q"),
        ("q=\u{2029}", "q"),
        ("q=%E2%80%AE", "q"),
        ("q=a\u{202e}b", "q"),
        ("q=%E2%81%A6", "q"),
        ("q=%E2%80%8F", "q"),
        ("node=%00", "node"),
        ("utm=%00", "utm"),
        ("%00=1", "query"),
        ("%zz=1", "query"),
        ("page=0", "page"),
        ("sort=size", "sort"),
        (&many, "a"),
        (many.trim_start_matches("a=&"), "query"),
    ] {
        assert_eq!(meaning(&server, query).await, Meaning::Wrong(field.to_owned()), "{query}");
        let page = server.get(&format!("/?{query}")).await;
        let html = String::from_utf8_lossy(&page.body);
        assert!(html.contains(field), "the page of {query} names {field}: {html}");
    }
}

#[tokio::test]
async fn every_page_and_its_api_agree() {
    let server = Server::new(vec![vm("shop", "web")]);
    for (query, status) in [
        ("", 200),
        ("namespace=sh%6Fp", 200),
        ("namespace=", 200),
        ("namespace=+shop+", 200),
        ("namespace=shop&namespace=shop", 400),
        ("namespace=%2573hop", 400),
        ("namespace=shop%00", 400),
        ("namespace=shop%C2%85", 400),
        ("namespace=%ff", 400),
        ("page=0", 400),
        ("page=%31", 200),
        ("sort=%6Eame", 200),
        ("sort=nothing", 400),
        ("order=asc&order=asc", 400),
    ] {
        let mut encoded = String::new();
        encode(&mut encoded, query);
        for (page, api, function) in [
            ("/", "/api/vms.json", "home"),
            ("/groups", "/api/groups", "groups"),
            ("/insights", "/api/insights", "insights"),
        ] {
            for url in [
                format!("{page}?{query}"),
                format!("{api}?{query}"),
                format!("/fn/{function}?query={encoded}"),
                format!("/at/h1/en/fn/{function}?query={encoded}"),
            ] {
                assert_eq!(server.get(&url).await.status, status, "{url}");
            }
        }
        for list in ["/api/vms", "/api/vms.csv"] {
            assert_eq!(server.get(&format!("{list}?{query}")).await.status, status, "{list}?{query}");
        }
    }
    for (query, status) in [
        ("", 200),
        ("span=", 200),
        ("span=24h", 200),
        ("span=%324h", 200),
        ("span=+24h", 200),
        ("span=%25324h", 400),
        ("span=1y", 400),
        ("span=24h&span=24h", 400),
        ("span=24h%00", 400),
    ] {
        for url in [format!("/vms/shop/web?{query}"), format!("/api/vms/web/history?{query}")] {
            assert_eq!(server.get(&url).await.status, status, "{url}");
        }
    }
}

#[tokio::test]
async fn no_form_sends_a_parameter_twice() {
    let server = server();
    for url in [
        "/",
        "/?view=table&columns=cpu&sort=cpu",
        "/?view=map&sort=cpu&by=namespace",
        "/groups?sort=cpu",
        "/insights",
    ] {
        let answer = server.get(url).await;
        let page = Page::read(std::str::from_utf8(&answer.body).unwrap());
        assert_eq!(page.repeated, Vec::<String>::new(), "{url}");
    }
    let twice =
        "<form><input name=a></form><form><input name=a><select name=b></select><input name=b></form>";
    assert_eq!(Page::read(twice).repeated, ["b"]);
}

#[tokio::test]
async fn events_read_the_query_as_the_list_does() {
    let server = server();
    for (query, status) in [
        ("q=a%2520b", 200),
        ("q=a&q=b", 400),
        ("q=%C2%85", 400),
        ("vm=&only=sources", 200),
        ("format=json&format=json", 400),
    ] {
        let response = tower::ServiceExt::oneshot(
            server.router.clone(),
            axum::http::Request::get(format!("/api/events?{query}")).body(axum::body::Body::empty()).unwrap(),
        );
        assert_eq!(response.await.unwrap().status(), status, "{query}");
    }
}

/// Pieces of queries, including those that decoders read differently.
fn query_text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "q=",
        "a",
        "b",
        "+",
        "%2B",
        "%20",
        "%25",
        "%2525",
        "&",
        "&q=",
        "&page=",
        "1",
        "0",
        "%",
        "%zz",
        "%ff",
        "%C3%A9",
        "é",
        "%00",
        "%C2%85",
        "\u{85}",
        "%E2%80%AE",
        "=",
        ";",
        "%26",
        "%3D",
        "%71",
        "namespace=",
        "shop",
        "sort=cpu",
        "?",
        "/",
        "view=",
        "cards",
        "'",
        "%22",
        "%3C",
        "\u{a0}",
        "%E3%80%80",
    ]);
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_query_means_the_same_to_page_api_and_function(query in query_text()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { meaning(&server(), &query).await });
    }
}

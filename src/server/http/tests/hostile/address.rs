//! Hostile text in the path, the parameters and the headers of a request.

use axum::http::StatusCode;

use super::{LANGUAGES, ask, page, read};
use crate::server::http::{
    error::Problem,
    tests::{
        fixture::{Server, vm},
        html::{Page, mark},
    },
};
use i18n::Lang;
use model::query::encode;

/// All parameters that forms and links send, and an unknown one.
const PARAMETERS: [&str; 24] = [
    "q",
    "namespace",
    "status",
    "node",
    "attention",
    "sort",
    "order",
    "view",
    "by",
    "color",
    "columns",
    "page",
    "kind",
    "resource",
    "span",
    "top",
    "lang",
    "vm",
    "only",
    "format",
    "last",
    "query",
    "group",
    "utm",
];

const PATHS: [&str; 19] = [
    "/",
    "/groups",
    "/insights",
    "/sources",
    "/vms/shop/web",
    "/nodes/node-1",
    "/nope",
    "/api/vms.csv",
    "/api/vms/web",
    "/api/vms/web/history",
    "/api/vms/stats",
    "/api/groups",
    "/api/nodes/node-1",
    "/api/insights",
    "/fn/home",
    "/fn/vm",
    "/fn/node",
    "/fn/history",
    "/at/h1/en/fn/home",
];

/// All headers that the program reads, and some that other programs read.
const HEADERS: [&str; 14] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "cookie",
    "forwarded",
    "host",
    "if-none-match",
    "last-event-id",
    "origin",
    "referer",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-request-id",
];

fn encoded(text: &str) -> String {
    let mut out = String::new();
    encode(&mut out, text);
    out
}

/// Texts that break out of their place, and addresses that run code or lead to another site if they are followed.
fn texts(name: &str) -> [String; 3] {
    [mark(name), format!("javascript:alert(1)//{}", mark(name)), format!("//evil.example/{}", mark(name))]
}

#[tokio::test]
async fn a_path_brings_no_markup() {
    let server = Server::new(vec![vm("shop", "web")]);
    let refresh = "</title><meta http-equiv=refresh content=\"0;url=https://evil.example\">";
    for text in texts("path").iter().map(String::as_str).chain([refresh]) {
        let text = encoded(text);
        for path in [
            format!("/vms/a/{text}"),
            format!("/vms/{text}/a"),
            format!("/vms/{text}"),
            format!("/vms/a/b/{text}"),
            format!("/{text}"),
            format!("/nodes/{text}"),
            format!("/nodes/a/{text}"),
            format!("/api/nodes/{text}"),
            format!("/fn/node?name={text}"),
            format!("/api/events?only=node&node={text}"),
            format!("/groups/{text}"),
            format!("//evil.example/{text}"),
            format!("/\\evil.example/{text}"),
            format!("/pkg/{text}"),
            format!("/api/{text}"),
            format!("/api/vms/{text}"),
            format!("/api/vms/{text}/history"),
            format!("/fn/{text}"),
            format!("/fn/vm?namespace=a&name={text}"),
            format!("/fn/vm?namespace={text}&name=a"),
            format!("/fn/history?namespace=a&name={text}"),
            format!("/at/{text}/en/fn/home"),
            format!("/at/h1/{text}/fn/home"),
            format!("/at/h1/en/{text}"),
            format!("/at/h1/en/vms/a/{text}"),
            format!("/api/events?vm=a/{text}"),
            format!("/api/events?vm={text}/a"),
        ] {
            for language in LANGUAGES {
                let answer = ask(&server.router, &path, &[language]).await;
                assert!(answer.status.is_client_error(), "{}: {path}", answer.status);
                read(&path, &answer);
            }
        }
    }
}

#[tokio::test]
async fn a_parameter_is_text_wherever_it_is_shown() {
    let server = Server::new(vec![vm("shop", "web")]);
    for path in PATHS {
        for name in PARAMETERS {
            for (text, language) in texts(name).iter().zip(LANGUAGES.into_iter().cycle()) {
                let needed = if path.starts_with("/fn/") { "namespace=shop&name=web&" } else { "" };
                let url = format!("{path}?{needed}{name}={}", encoded(text));
                read(&url, &ask(&server.router, &url, &[language]).await);
            }
        }
        // The name itself.
        let url = format!("{path}?{}=1", encoded(&mark("parameter")));
        read(&url, &ask(&server.router, &url, &[]).await);
    }
    let text = encoded(&mark("typed"));
    for url in
        [format!("/?q={text}"), format!("/?q={text}&view=table"), format!("/?q={text}&view=map&sort=cpu")]
    {
        let shown = page(&server.router, &url, StatusCode::OK).await;
        assert!(shown.marks().contains("typed"), "{url} shows what was looked for");
    }
}

#[tokio::test]
async fn a_header_is_shown_nowhere() {
    let server = Server::new(vec![vm("shop", "web")]);
    for path in PATHS {
        for name in HEADERS {
            for text in [mark(name), format!("lang={0}; columns={0}", mark(name))] {
                let answer = ask(&server.router, path, &[(name, &text)]).await;
                let shown = read(path, &answer);
                assert!(!shown.marks().contains(name), "{path} shows {name}");
                for (header, value) in &answer.headers {
                    let value = String::from_utf8_lossy(value.as_bytes());
                    assert!(!value.contains("evil"), "{path} sends {header}: {value}");
                }
            }
        }
    }
}

#[test]
fn what_a_problem_says_is_text() {
    for lang in [Lang::English, Lang::Chinese] {
        let problem = Problem::new(StatusCode::BAD_REQUEST, mark("problem"));
        let page = Page::read(&problem.page("", "/pkg/h1/app.css", lang));
        assert_eq!(page.leaks, Vec::<String>::new());
        assert!(page.marks().contains("problem"));
    }
}

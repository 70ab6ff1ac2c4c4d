//! Text from addresses, headers, objects and guests stays text. The tests parse whole pages as a browser does.

mod address;
mod cluster;
mod model;

use std::time::{Duration, Instant};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};

use super::{
    fixture::{self, Answer},
    html::Page,
};

/// The header and its values that request a page in each language.
const LANGUAGES: [(&str, &str); 2] = [("accept-language", "en"), ("accept-language", "zh-CN")];

/// The pages that show no single VM.
const PAGES: [&str; 9] = [
    "/",
    "/?view=table",
    "/?view=map",
    "/?view=map&by=namespace",
    "/groups",
    "/groups?by=namespace",
    "/insights",
    "/sources",
    "/nope",
];

async fn ask(router: &Router, url: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    fixture::answer(router.clone(), request.body(Body::empty()).unwrap()).await
}

/// Parses an answer as a browser does. Only pages are markup: any other answer must name its type and forbid guessing.
fn read(url: &str, answer: &Answer) -> Page {
    let kind = answer.header("content-type");
    if !kind.starts_with("text/html") {
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{url}: {kind}");
        assert!(!["", "image/svg+xml", "text/xml", "application/xml"].contains(&kind), "{url}: {kind}");
        return Page::default();
    }
    let page = Page::read(std::str::from_utf8(&answer.body).unwrap());
    assert!(page.leaks.is_empty(), "{url}:\n{}", page.leaks.join("\n"));
    page
}

/// Reads the page in both languages, checks both for leaks, and returns what both show. The cluster may change between
/// the two: pages that differ are read again.
async fn page(router: &Router, url: &str, status: StatusCode) -> Page {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut pages = Vec::new();
        for language in LANGUAGES {
            let answer = ask(router, url, &[language]).await;
            assert_eq!(answer.status, status, "{url}");
            pages.push(read(url, &answer));
        }
        let chinese = pages.pop().unwrap_or_default();
        let english = pages.pop().unwrap_or_default();
        if english.marks() == chinese.marks() {
            return english;
        }
        assert!(
            Instant::now() < deadline,
            "{url}: {:?} in English, {:?} in Chinese",
            english.marks(),
            chinese.marks()
        );
    }
}

/// Returns the marks of `wanted` that the page does not show.
fn absent<'a>(page: &Page, wanted: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let shown = page.marks();
    wanted.into_iter().filter(|mark| !shown.contains(*mark)).collect()
}

//! `--public-url` with a path: every page is read as a browser does, and all that it leads to lies below the path.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use tokio::sync::watch;
use tower::ServiceExt;

use super::{
    fixture::*,
    html::{Element, Page},
    sign_in::fixture::{SignInServer, cookies},
};
use crate::server::{
    config::{HttpConfig, PublicUrl, SignInConfig},
    http::{App, Assets, reader::Reader, router, sign_in::SessionKeys},
};
use wukong_core::frame::Identity;

/// The second is where the dashboard lives at the root of its host.
const BASES: [&str; 2] = ["/ops/vms", ""];
const LANGUAGES: [&str; 2] = ["en", "zh-CN"];

/// Every kind of page, and answers that are pages because a person asks.
const PAGES: [(&str, u16); 19] = [
    ("/", 200),
    ("/?view=table", 200),
    ("/?view=table&columns=cpu%2Cdisk&q=a", 200),
    ("/?view=map&by=namespace", 200),
    ("/?q=nothing-has-this-name", 200),
    ("/?page=2", 200),
    ("/vms/shop/vm-1", 200),
    ("/vms/shop/vm-1?span=7d", 200),
    ("/groups?by=namespace", 200),
    ("/nodes/node-1", 200),
    ("/nodes/nope", 404),
    ("/groups?by=node&namespace=shop", 200),
    ("/insights", 200),
    ("/sources", 200),
    ("/vms/shop/nobody", 404),
    ("/nope", 404),
    ("/?page=x", 400),
    ("/sources/", 404),
    ("/auth/nothing", 404),
];

fn public_url(base: &str) -> String {
    format!("https://ops.example{base}/")
}

/// A server whose pages link to every kind of file.
fn server(base: &str) -> Server {
    let vms = (1..=60).map(|n| vm("shop", &format!("vm-{n}"))).chain([vm("bank", "vault")]).collect();
    let (snapshots, receiver) = watch::channel(Arc::new(snapshot(1, vms)));
    let identity = Identity { cluster: "test".into(), demo: false, refresh: 1000 };
    let names = ["app.css", "later.css", "app.js", "theme.js", "keys.js", "favicon.svg"];
    let texts = LANGUAGES.iter().flat_map(|lang| [format!("{lang}.txt"), format!("{lang}.later.txt")]);
    let files = names.into_iter().map(str::to_owned).chain(texts).map(|name| (format!("pkg/h1/{name}"), "x"));
    let manifest = ("manifest.json".to_owned(), r#"{"css": "/pkg/h1/app.css", "js": "/pkg/h1/app.js"}"#);
    let files = files.chain([manifest, ("robots.txt".to_owned(), "x")]);
    let assets = Assets::new(files.map(|(path, content)| (path, content.as_bytes().into()))).unwrap();
    let url = PublicUrl::new(public_url(base).parse().unwrap()).unwrap();
    let sign_in = SignInConfig { public_url: Some(url), ..SignInConfig::default() };
    let http = HttpConfig { sign_in, ..HttpConfig::default() };
    let app = App::new(Reader::new(receiver, identity, || 0), assets, &http);
    Server { router: router(app.clone()), app, snapshots }
}

/// The same server with sign-in, where Ana may list one namespace.
fn gated(base: &str) -> SignInServer {
    let url = public_url(base);
    let gated = SignInServer::over(server(base), Some(&url), SessionKeys::of_this_process(), |sign_in| {
        sign_in.without_limits()
    });
    gated.kubernetes.add_user("ana");
    gated.kubernetes.allow_rows("ana", "shop");
    gated
}

async fn sign_in(gated: &SignInServer, base: &str, form: &str) -> Answer {
    gated.submit("", &format!("{base}/auth/sign-in"), form).await
}

/// Requests pages as one browser does, and each address that a page leads to once.
struct Crawl<'a> {
    server: &'a Server,
    base: &'static str,
    cookies: String,
    seen: BTreeSet<(Method, String)>,
    /// Path and status of the page that is read. It links to itself in other languages.
    page: (String, u16),
}

impl<'a> Crawl<'a> {
    fn new(server: &'a Server, base: &'static str, cookies: String) -> Self {
        Self { server, base, cookies, seen: BTreeSet::new(), page: Default::default() }
    }

    async fn request(&self, method: Method, address: &str, lang: &str) -> Answer {
        let headers = [("accept-language", lang), ("cookie", &self.cookies), ("host", "localhost")];
        let answer = self.server.send(method, address, &headers).await;
        self.check_headers(address, &answer);
        answer
    }

    /// Reads a page, and requests all that it leads to.
    async fn read(&mut self, path: &str, status: u16, lang: &str) {
        let address = [self.base, path].concat();
        let answer = self.request(Method::GET, &address, lang).await;
        assert_eq!(answer.status, status, "{address}");
        let page = Page::read(std::str::from_utf8(&answer.body).unwrap());
        self.page = (without_query(&address).to_owned(), status);
        assert!(page.elements.len() > 8, "{address} is a page: {:?}", answer.body);
        for element in &page.elements {
            self.check_element(&address, element, lang).await;
        }
    }

    async fn check_element(&mut self, page: &str, element: &Element, lang: &str) {
        // Where to go after the sign-in is written without the base path, so that it cannot lead out of it.
        if element.attribute("name") == "next" {
            return;
        }
        for (attribute, value) in &element.attributes {
            let place = format!("{page}: <{} {attribute}={value:?}>", element.name);
            let is_address = ["href", "action", "src", "formaction", "poster"].contains(&attribute.as_str());
            assert!(!value.contains("://"), "{place}");
            if value.starts_with('/') {
                assert!(self.is_below(value), "{place}");
            }
            // Links to the page itself, and to places in it.
            if !is_address || value.is_empty() || value.starts_with('#') {
                continue;
            }
            assert!(value.starts_with('/'), "{place}");
            let is_form = element.attribute("method").eq_ignore_ascii_case("post");
            self.follow(if is_form { Method::POST } else { Method::GET }, value, lang, &place).await;
        }
    }

    async fn follow(&mut self, method: Method, address: &str, lang: &str, place: &str) {
        let address = address.split('#').next().unwrap_or_default().to_owned();
        if !self.seen.insert((method.clone(), address.clone())) {
            return;
        }
        let answer = self.request(method.clone(), &address, lang).await;
        let is_there = match (method, answer.status) {
            // Only forms from a page of this server are read.
            (Method::POST, status) => status == StatusCode::FORBIDDEN,
            (_, StatusCode::SEE_OTHER) => self.cookies.is_empty() && self.server.app.sign_in.is_some(),
            (_, status) => {
                let is_same_page = without_query(&address) == self.page.0 && status == self.page.1;
                status == StatusCode::OK || is_same_page
            }
        };
        assert!(is_there, "{place}: {}", answer.status);
    }

    fn check_headers(&self, address: &str, answer: &Answer) {
        let place = format!("{address}: {:?}", answer.headers);
        for name in ["location", "content-location", "link", "refresh"] {
            let value = answer.header(name).trim_start_matches('<');
            assert!(value.is_empty() || self.is_below(value), "{place}");
        }
        for cookie in answer.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let path = cookie.split("; ").find_map(|part| part.strip_prefix("Path="));
            assert_eq!(path, Some([self.base, "/"].concat().as_str()), "{place}");
        }
    }

    fn is_below(&self, address: &str) -> bool {
        let inner = address.strip_prefix(self.base).unwrap_or_default();
        // With the base path twice it would be no address of this server.
        inner.starts_with('/')
            && !inner.starts_with("//")
            && (self.base.is_empty() || !inner.starts_with(self.base))
    }
}

fn without_query(address: &str) -> &str {
    address.split('?').next().unwrap_or_default()
}

#[tokio::test]
async fn every_page_leads_only_below_the_base_path() {
    for base in BASES {
        let server = server(base);
        let mut crawl = Crawl::new(&server, base, String::new());
        for lang in LANGUAGES {
            for (path, status) in PAGES {
                crawl.read(path, status, lang).await;
            }
        }
        assert!(crawl.seen.len() > 100, "{} addresses were followed", crawl.seen.len());
    }
}

#[tokio::test(start_paused = true)]
async fn every_page_leads_only_below_the_base_path_for_who_signs_in() {
    for base in BASES {
        let gated = gated(base);
        let session = cookies(&sign_in(&gated, base, "token=ana").await);
        let mut signed_in = Crawl::new(&gated.server, base, session);
        for lang in LANGUAGES {
            for (path, status) in PAGES {
                signed_in.read(path, status, lang).await;
            }
        }
        let addresses: Vec<_> = signed_in.seen.iter().map(|(_, address)| address.as_str()).collect();
        assert!(addresses.contains(&[base, "/auth/sign-out"].concat().as_str()), "{addresses:?}");
        let mut nobody = Crawl::new(&gated.server, base, String::new());
        for lang in LANGUAGES {
            for query in ["", "?next=%2Fsources", "?ended=1", "?signed-out=1"] {
                nobody.read(&["/auth/sign-in", query].concat(), 200, lang).await;
            }
        }
        for (path, _) in PAGES.iter().filter(|(path, _)| !path.starts_with("/auth")) {
            let answer = nobody.request(Method::GET, &[base, path].concat(), "en").await;
            assert!([303, 404].contains(&answer.status.as_u16()), "{path}: {}", answer.status);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_leads_back_to_the_page_and_its_cookie_stays_below_the_base_path() {
    for (base, prefix) in [("/ops/vms", "__Secure-"), ("", "__Host-")] {
        let gated = gated(base);
        let at = |path: &str| [base, path].concat();
        let answer = gated.browse("", &at("/sources?lang=en")).await;
        assert_eq!(answer.header("location"), at("/auth/sign-in?next=%2Fsources%3Flang%3Den"));
        let answer = sign_in(&gated, base, "token=ana&next=%2Fsources%3Flang%3Den").await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, &*at("/sources?lang=en")));
        let session = cookies(&answer);
        assert!(session.starts_with(&format!("{prefix}wukong-session-0=")), "{session}");
        assert_eq!(gated.browse(&session, &at("/sources")).await.status, 200);
        let answer = gated.submit(&session, &at("/auth/sign-out"), "").await;
        assert_eq!(answer.header("location"), at("/auth/sign-in?signed-out=1"));
        let ended: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
        let path = format!("; Path={base}/;");
        assert!(
            ended.len() == 2 && ended.iter().all(|set| set.to_str().unwrap().contains(&path)),
            "{ended:?}"
        );
        assert_eq!(gated.browse(&session, &at("/sources")).await.status, 303);
    }
}

#[tokio::test(start_paused = true)]
async fn no_sign_in_leads_out_of_the_base_path() {
    let gated = gated("/ops/vms");
    for (next, location) in [
        ("https%3A%2F%2Fevil.example", "/ops/vms/"),
        ("%2F%2Fevil.example", "/ops/vms/"),
        ("%2F%5Cevil.example", "/ops/vms/"),
        ("%2Fauth%2Fsign-out", "/ops/vms/"),
        ("%2Fother", "/ops/vms/other"),
        ("%2F..%2Fother", "/ops/vms/"),
        ("%2F%252e%252E%2Fother", "/ops/vms/"),
        ("%2F.%252e%3Fq", "/ops/vms/"),
        ("%2Fa%2F..%2F..%2F..%2Fother", "/ops/vms/"),
        ("%2F%3Fq=..%2F..", "/ops/vms/?q=../.."),
        ("", "/ops/vms/"),
    ] {
        let answer = sign_in(&gated, "/ops/vms", &format!("token=ana&next={next}")).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, location), "{next}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_but_probes_is_answered_outside_the_base_path() {
    let gated = gated("/ops/vms");
    let session = cookies(&sign_in(&gated, "/ops/vms", "token=ana").await);
    let open = server("/ops/vms");
    for path in [
        "/",
        "/sources",
        "/vms/shop/vm-1",
        "/api/vms",
        "/api/vms.csv",
        "/api/events",
        "/fn/sources",
        "/at/h1/en/fn/sources",
        "/pkg/h1/app.css",
        "/robots.txt",
        "/auth/sign-in",
        "/ops",
        "/ops/",
        "/ops/vmss/",
        "/ops/vms/ops/vms/sources",
        "/ops/VMS/sources",
        "/other/healthz",
    ] {
        let answers = [open.get(path).await, gated.browse(&session, path).await];
        for answer in answers {
            assert_eq!(answer.status, 404, "{path}");
            assert!(answer.headers.contains_key("content-security-policy"), "{path}");
            assert!(!String::from_utf8_lossy(&answer.body).contains("vm-2"), "{path}");
        }
    }
    assert_eq!(gated.submit("", "/auth/sign-in", "token=ana").await.status, 404);
    let said = open.get("/api/vms").await.json()["detail"].as_str().unwrap().to_owned();
    assert_eq!(
        said,
        "nothing exists at this address: the dashboard is below /ops/vms/, the path of --public-url. A proxy in front \
         must not remove this path."
    );
    for probe in ["/healthz", "/readyz", "/ops/vms/healthz", "/ops/vms/readyz"] {
        assert_eq!(open.get(probe).await.status, 200, "{probe}");
        assert_eq!(gated.browse("", probe).await.status, 200, "{probe}");
    }
}

#[tokio::test]
async fn the_base_path_without_its_slash_leads_to_the_dashboard() {
    let server = server("/ops/vms");
    for (address, location) in [("/ops/vms", "/ops/vms/"), ("/ops/vms?q=a%2Fb", "/ops/vms/?q=a%2Fb")] {
        for method in [Method::GET, Method::HEAD] {
            let answer = server.send(method, address, &[]).await;
            assert_eq!((answer.status.as_u16(), answer.header("location")), (307, location));
        }
    }
}

#[tokio::test]
async fn programs_and_the_browser_s_half_are_answered_below_the_base_path() {
    for base in BASES {
        let server = server(base);
        let paths = BTreeMap::from([
            ("/api/vms", "application/json"),
            ("/api/vms/vm-1", "application/json"),
            ("/api/vms.csv", "text/csv; charset=utf-8; header=present"),
            ("/at/h1/zh-CN/fn/sources", "application/x-postcard"),
            ("/pkg/h1/app.css", "text/css; charset=utf-8"),
            ("/robots.txt", "text/plain; charset=utf-8"),
        ]);
        for (path, kind) in paths {
            let answer = server.get(&[base, path].concat()).await;
            assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, kind), "{base}{path}");
        }
        assert_eq!(server.get(&format!("{base}/at/old/en/fn/sources")).await.status, 409);
        for path in ["/api/events", "/at/h1/en/api/events?format=postcard"] {
            let request = Request::get([base, path].concat()).body(Body::empty()).unwrap();
            let answer = server.router.clone().oneshot(request).await.unwrap();
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["x-accel-buffering"]),
                (200, &"no".parse().unwrap())
            );
            assert_eq!(answer.headers()["content-type"], "text/event-stream", "{base}{path}");
        }
    }
}

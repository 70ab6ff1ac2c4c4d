//! Paths and parameters of the REST API, as the router has them.

use std::{collections::BTreeSet, fs, net::SocketAddr};

use super::{CHINESE, HISTORY, PAGES, README, SLOW_VMS, code, joined, rows};
use crate::{
    code::src,
    program::{Running, get, program},
};
use model::query::Sort;

/// A value that no parameter accepts but the search text.
const WRONG: &str = "A_b!";

/// The paths in the tables of a page.
fn tabled(page: &str) -> BTreeSet<String> {
    let cells = rows(page).map(|cells| cells[0]).filter(|cell| cell.starts_with("`GET /"));
    cells.flat_map(code).map(|path| path.trim_start_matches("GET ").to_owned()).collect()
}

/// The paths of the router, without those of files and of unknown addresses.
fn routes() -> BTreeSet<String> {
    let router = fs::read_to_string(src().join("server/http/mod.rs")).unwrap();
    let routes = router.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
    routes.filter(|path| !path.starts_with("/pkg/")).map(str::to_owned).collect()
}

#[test]
fn every_route_is_documented_and_every_documented_route_exists() {
    for (page, text) in [("README.md", README), ("README.zh-CN.md", CHINESE)] {
        super::assert_same(page, &tabled(text), &routes());
    }
    let routes = routes();
    for page in PAGES {
        for path in code(page).into_iter().filter_map(|text| text.strip_prefix("GET ")) {
            let path = path.split('?').next().unwrap_or_default();
            assert!(routes.contains(path), "{path} is no route");
        }
    }
}

#[test]
fn documented_routes_answer_and_read_their_parameters() {
    let (_running, address) = Running::start(&mut program(&["demo", "--listen=127.0.0.1:0"]));
    while !get(address, "/readyz").starts_with("HTTP/1.1 200") {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let path = |path: &str| {
        let name = if path.starts_with("/api/nodes/") { "worker-01" } else { "legacy-erp" };
        path.replace("{name}", name)
    };
    // A stream of events has no end.
    for route in routes().iter().filter(|route| *route != "/api/events") {
        assert_eq!(status(address, &path(route)), "200", "{route}");
    }
    for page in [README, CHINESE] {
        for cells in rows(page).filter(|cells| cells[0].starts_with("`GET /")) {
            for route in code(cells[0]).iter().map(|path| path.trim_start_matches("GET ")) {
                let text = joined(&cells[1..].join(" "));
                parameters(&text).iter().for_each(|name| assert_is_read(address, &path(route), name));
            }
        }
    }
    let mut found = 0;
    for text in code(HISTORY).into_iter().filter_map(|text| text.strip_prefix("GET ")) {
        let text: String = text.split_whitespace().collect();
        if let Some((route, query)) = text.split_once('?') {
            for name in query.split('&').filter_map(|pair| pair.split('=').next()) {
                assert_is_read(address, &path(route), name);
                found += 1;
            }
        }
    }
    assert!(found > 5, "{found}");
}

/// The parameters that a cell names: `?a=1`, `b=`, or the list that begins with `q`.
fn parameters(cell: &str) -> Vec<&str> {
    let texts = code(cell).into_iter();
    let names = texts.flat_map(|text| match text {
        _ if text.starts_with("q, ") => text.split(", ").collect(),
        _ if text.starts_with('?') || text.ends_with('=') => {
            text.trim_start_matches('?').split('=').take(1).collect()
        }
        _ => Vec::new(),
    });
    names.filter(|name| !name.is_empty()).collect()
}

/// Asserts that a wrong value of the parameter is refused by its name. Some have no wrong values.
fn assert_is_read(address: SocketAddr, path: &str, name: &str) {
    match name {
        "q" => {
            let (all, none) = (get(address, path), get(address, &format!("{path}?q={WRONG}")));
            assert!(none.len() < all.len() / 2, "{path} does not read q");
        }
        // An event id that is not known is ignored: a whole view is sent.
        "last" => {}
        _ => {
            let answer = get(address, &format!("{path}?{name}={WRONG}"));
            let named = answer.contains(&format!(r#""field":"{name}""#));
            assert!(answer.starts_with("HTTP/1.1 400") && named, "{path} does not read {name}: {answer}");
        }
    }
}

fn status(address: SocketAddr, path: &str) -> String {
    get(address, path).split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn each_sort_by_what_guests_do_is_documented() {
    let codes: BTreeSet<&str> = code(SLOW_VMS).into_iter().collect();
    for sort in
        [Sort::GuestMemory, Sort::Network, Sort::Storage, Sort::Operations, Sort::Latency, Sort::Contention]
    {
        assert!(codes.contains(sort.code()), "{}", sort.code());
        assert!([README, CHINESE].iter().all(|page| page.contains(sort.code())), "{}", sort.code());
    }
}

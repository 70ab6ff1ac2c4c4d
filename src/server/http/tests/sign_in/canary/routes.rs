//! Every address that shows something of a cluster, for the VMs of all its namespaces.

use std::collections::BTreeSet;

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

use ::model::query::Sort;

use super::{
    objects::{NAMESPACES, NODES, name, namespace, node_name},
    world::CanaryCluster,
};
use model::query::encode;

/// What everybody may see: files, probes and the sign-in.
const PUBLIC: [&str; 8] =
    ["/pkg/{*path}", "/{path}", "/healthz", "/readyz", "/pkg/", "/api/", "/fn/", "/fn/{*rest}"];

/// A request, and the route that answers it.
#[derive(Clone, Debug)]
pub struct RouteRequest {
    pub route: &'static str,
    pub url: String,
    /// Requested by a program, with a token in its header.
    pub by_program: bool,
    pub headers: Vec<(&'static str, &'static str)>,
}

/// The parameters of a list, by the values that they may have in this cluster.
fn list_queries(world: &CanaryCluster, rng: &mut StdRng) -> Vec<String> {
    let mut queries: Vec<String> = [
        "",
        "view=table",
        "view=map",
        "view=map&by=namespace&color=memory",
        "attention=1",
        "attention=down&view=table",
        "attention=unknown",
        "status=running&sort=cpu",
        "status=pending&view=table&sort=memory-used&order=desc",
        "page=2&q=zq&sort=age",
        "view=table&sort=network",
    ]
    .map(str::to_owned)
    .to_vec();
    for _ in 0..4 {
        let row = world.rows.choose(rng).unwrap();
        let one_of = |rng: &mut StdRng, values: &[&str]| (*values.choose(rng).unwrap()).to_owned();
        let filter = match rng.random_range(0..5) {
            0 => format!("namespace={}", namespace(row.namespace)),
            1 => format!("node={}", node_name(rng.random_range(0..6))),
            2 => format!("q={}", name(row)),
            3 => format!("q={}&attention=1", namespace(row.namespace)),
            _ => format!("status={}", one_of(rng, &["running", "stopped", "error", "creating", "unknown"])),
        };
        let sort = Sort::ALL.choose(rng).unwrap().code();
        let view = one_of(rng, &["cards", "table", "map", "map&color=disk", "map&by=namespace"]);
        queries.push(format!("{filter}&sort={sort}&order={}&view={view}", one_of(rng, &["asc", "desc"])));
    }
    queries
}

const GROUPS: [&str; 5] = [
    "by=node",
    "by=namespace&sort=memory",
    "by=node&sort=cpu-allocated&order=asc",
    "by=namespace&sort=vms",
    "page=9",
];
const INSIGHTS: [&str; 4] =
    ["", "kind=undersized", "resource=memory&sort=reclaimable", "sort=days&order=desc&page=2"];
const LANGUAGES: [(&str, &str); 2] = [("accept-language", "en"), ("accept-language", "zh-CN")];
const CODINGS: [(&str, &str); 3] =
    [("accept-encoding", "identity"), ("accept-encoding", "br"), ("accept-encoding", "gzip")];

/// Returns requests of every route.
pub fn requests(world: &CanaryCluster, rng: &mut StdRng) -> Vec<RouteRequest> {
    let mut requests = Vec::new();
    let mut add = |route, url: String| {
        let at = requests.len();
        let headers = vec![LANGUAGES[at % 2], CODINGS[at % 3]];
        requests.push(RouteRequest {
            route,
            by_program: url.starts_with("/api/") && at % 4 == 0,
            url,
            headers,
        });
    };
    for query in list_queries(world, rng) {
        let mut coded = String::new();
        encode(&mut coded, &query);
        add("/", format!("/?{query}"));
        add("/fn/home", format!("/fn/home?query={coded}"));
        add("/api/vms", format!("/api/vms?{query}"));
        add("/api/vms.csv", format!("/api/vms.csv?{query}"));
        add("/api/vms.json", format!("/api/vms.json?{query}"));
        let group = if query.contains("by=namespace") {
            namespace(rng.random_range(0..NAMESPACES))
        } else {
            node_name(rng.random_range(0..6))
        };
        add("/fn/map-names", format!("/fn/map-names?query={coded}&group={group}&block=0"));
    }
    let mut groups: Vec<String> = GROUPS.map(str::to_owned).to_vec();
    let mut insights: Vec<String> = INSIGHTS.map(str::to_owned).to_vec();
    for _ in 0..2 {
        let of = namespace(world.rows.choose(rng).unwrap().namespace);
        groups.push(format!("by=node&namespace={of}"));
        insights.push(format!("namespace={of}"));
        insights.push(format!("node={}", node_name(rng.random_range(0..NODES))));
    }
    for query in groups {
        let mut coded = String::new();
        encode(&mut coded, &query);
        add("/groups", format!("/groups?{query}"));
        add("/fn/groups", format!("/fn/groups?query={coded}"));
        add("/api/groups", format!("/api/groups?{query}"));
    }
    for query in insights {
        let mut coded = String::new();
        encode(&mut coded, &query);
        add("/insights", format!("/insights?{query}"));
        add("/fn/insights", format!("/fn/insights?query={coded}"));
        add("/api/insights", format!("/api/insights?{query}"));
    }
    // The last one is nowhere.
    for (at, node) in (0..=NODES).map(node_name).enumerate() {
        let top = ["memory", "cpu", "network", "disk-io"][at % 4];
        add("/nodes/:name", format!("/nodes/{node}?top={top}"));
        add("/fn/node", format!("/fn/node?name={node}"));
        add("/api/nodes/{name}", format!("/api/nodes/{node}"));
    }
    let mut rows: Vec<_> = world.rows.choose_multiple(rng, 3).collect();
    // Names of several namespaces, which conflict.
    rows.extend(world.rows.iter().filter(|row| row.shared.is_some()).take(3));
    for (at, row) in rows.into_iter().enumerate() {
        let (namespace, name) = (namespace(row.namespace), name(row));
        let span = ["1h", "24h", "7d", "30d"][at % 4];
        add("/vms/:namespace/:name", format!("/vms/{namespace}/{name}?span={span}"));
        add("/fn/vm", format!("/fn/vm?namespace={namespace}&name={name}"));
        add("/fn/history", format!("/fn/history?namespace={namespace}&name={name}&span={span}"));
        // Without a wait, it has what others have asked for before.
        add("/fn/timeline", format!("/fn/timeline?namespace={namespace}&name={name}&wait=true"));
        add("/api/vms/{name}", format!("/api/vms/{name}"));
        add("/api/vms/{name}", format!("/api/vms/{name}?namespace={namespace}"));
        let figures = "network,storage,latency,contention,guest-memory,volumes";
        add("/api/vms/{name}/history", format!("/api/vms/{name}/history?span={span}&figures={figures}"));
        add("/api/vms/{name}/history", format!("/api/vms/{name}/history?namespace={namespace}&span={span}"));
        add("/at/{build}/{lang}/{*path}", format!("/at/h1/zh-CN/fn/vm?namespace={namespace}&name={name}"));
        add("/api/vms/stats", format!("/api/vms/stats?namespace={namespace}"));
    }
    for _ in 0..3 {
        add("/api/vms", "/api/vms".to_owned());
    }
    for (route, url) in [
        ("/sources", "/sources"),
        ("/sources", "/sources?lang=zh-CN"),
        ("/fn/sources", "/fn/sources"),
        ("/api/sources", "/api/sources"),
        ("/api/stats", "/api/stats"),
        ("/api/attention", "/api/attention"),
        ("/api/search", "/api/search?q=n"),
        ("/api/search", "/api/search?q=-"),
        ("/api/search", "/api/search"),
        ("/api/attention", "/api/attention?x=1"),
        ("/api/vms/stats", "/api/vms/stats"),
        ("/at/{build}/{lang}/{*path}", "/at/h1/en/fn/home?query="),
        ("/at/{build}/{lang}/{*path}", "/at/h1/en/fn/sources"),
        ("/at/{build}/{lang}/{*path}", "/at/other/en/fn/home"),
        ("/api", "/api"),
        ("/api/{*rest}", "/api/nothing"),
        ("/", "/?sort=odd"),
        ("/", "/nothing/here"),
        ("/api/vms/{name}", "/api/vms/NOT-A-NAME"),
        ("/api/groups", "/api/groups?by=odd"),
        ("/api/nodes/{name}", "/api/nodes/NOT-A-NAME"),
        ("/nodes/:name", "/nodes/NOT-A-NAME"),
    ] {
        add(route, url.to_owned());
    }
    requests
}

/// Returns the routes that the program's source names.
fn routes_of_the_program() -> BTreeSet<String> {
    let pages = include_str!("../../../../../app.rs");
    let functions = include_str!("../../../../../server_fns.rs");
    let paths = pages.split("path!(\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned);
    let endpoints = functions.split("endpoint = \"").skip(1).filter_map(|rest| rest.split('"').next());
    let functions = endpoints.map(|name| format!("/fn/{name}"));
    let others = [include_str!("../../../mod.rs"), include_str!("../../../build.rs")];
    // Every text that is a path of the router.
    let others = others.map(|code| code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default());
    let texts = others.into_iter().flat_map(|code| code.split('"').skip(1).step_by(2));
    let texts =
        texts.filter(|text| text.starts_with('/') && text.len() > 1 && *text != "/at/").map(str::to_owned);
    paths.chain(functions).chain(texts).collect()
}

#[test]
fn every_route_is_asked() {
    use rand::SeedableRng;
    let mut rng = StdRng::seed_from_u64(1);
    let world = CanaryCluster::random(&mut rng, 30);
    let asked: BTreeSet<String> =
        requests(&world, &mut rng).iter().map(|request| request.route.to_owned()).collect();
    let mut covered: BTreeSet<String> = asked.into_iter().chain(PUBLIC.map(str::to_owned)).collect();
    // The streams have tests of their own.
    covered.insert("/api/events".to_owned());
    assert_eq!(routes_of_the_program(), covered);
}

//! Names in queries are texts and never patterns: what a query selects is read back, and is exactly what was wanted.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::{
    budget::Budget,
    outside::{Site, SiteLimits},
};
use simulator::{Clock, Disk, Guest, Handle, Options, start};

fn one(namespace: &str, instance: &str, claims: &[&str]) -> VmSelection {
    let claims = claims.iter().map(|claim| (*claim).to_owned()).collect();
    VmSelection::One { namespace: namespace.into(), instance: instance.into(), claims }
}

fn scope(ours: Option<&[String]>) -> Scope {
    let trusted = ["kubevirt".to_owned(), "kube-system".to_owned()];
    Scope { namespaces: ours.map(Into::into), trusted: trusted.into(), names: None }
}

fn range_queries(matchers: &[(String, String)], ours: Option<&[String]>, of: &VmSelection) -> RangeQueries {
    Queries { matchers, scope: &scope(ours), nodes: &[] }.range_queries(of)
}

fn samples(matchers: &[(String, String)], scope: &Scope) -> Vec<String> {
    let Samples { own, moved } = Queries { matchers, scope, nodes: &[] }.samples(CPU, &[]);
    [own].into_iter().chain(moved).collect()
}

/// GoogleCloudPlatform/prometheus-engine#1601.
#[test]
fn a_metric_is_asked_for_by_its_exact_name() {
    assert_eq!(samples(&[], &scope(None)), ["kubevirt_vmi_cpu_usage_seconds_total[3m]"]);
    let namespaces = ["prod".to_owned(), "dev-1".to_owned()];
    let matchers = [("cluster".to_owned(), "a".to_owned())];
    let want = [
        r#"kubevirt_vmi_cpu_usage_seconds_total{cluster="a",namespace=~"prod|dev-1"}[3m]"#,
        r#"kubevirt_vmi_cpu_usage_seconds_total{cluster="a",namespace=~"kubevirt|kube-system",exported_namespace=~"prod|dev-1"}[3m]"#,
    ];
    assert_eq!(samples(&matchers, &scope(Some(&namespaces))), want);
    let nobody = Scope { trusted: Default::default(), ..scope(Some(&namespaces)) };
    assert_eq!(samples(&matchers, &nobody), want[..1]);
    let every = [
        range_queries(&matchers, None, &one("prod", "web", &["root"])),
        range_queries(&[], Some(&namespaces), &VmSelection::All(Arc::default())),
    ];
    for RangeQueries { cpu, memory, volumes } in every {
        for query in [vec![cpu, memory], volumes.unwrap().to_vec()].concat() {
            assert!(!query.contains("__name__"), "{query}");
        }
    }
}

#[test]
fn namespaces_that_are_apart_are_in_no_query_for_all() {
    let apart = ["evil".to_owned(), "b.d".to_owned()];
    for (ours, all, alone) in [
        (
            None,
            r#"kubevirt_vmi_cpu_usage_seconds_total{namespace!~"evil|b\\.d"}[3m]"#,
            r#"kubevirt_vmi_cpu_usage_seconds_total{namespace="evil"}[3m]"#,
        ),
        (
            Some(["evil".to_owned(), "prod".to_owned()]),
            r#"kubevirt_vmi_cpu_usage_seconds_total{namespace=~"evil|prod",namespace!~"evil|b\\.d"}[3m]"#,
            r#"kubevirt_vmi_cpu_usage_seconds_total{namespace=~"evil|prod",namespace="evil"}[3m]"#,
        ),
    ] {
        let scope = scope(ours.as_ref().map(<[String; 2]>::as_slice));
        let queries = Queries { matchers: &[], scope: &scope, nodes: &[] };
        assert_eq!(queries.samples(CPU, &apart).own, all);
        assert_eq!(queries.samples_of(CPU, "evil"), alone);
    }
}

#[test]
fn samples_of_some_nodes_are_asked_for_by_their_names() {
    let scope = scope(None);
    let query = |nodes: &[Box<str>]| Queries { matchers: &[], scope: &scope, nodes }.samples(CPU, &[]).own;
    assert_eq!(query(&["n1".into()]), format!(r#"{CPU}{{node="n1"}}[3m]"#));
    assert_eq!(query(&["n1".into(), "n.2".into()]), format!(r#"{CPU}{{node=~"n1|n\\.2"}}[3m]"#));
    let many: Vec<Box<str>> = (0..1000).map(|n| format!("node-{n}").into()).collect();
    assert_eq!(query(&many), format!("{CPU}[3m]"), "a longer list is left out");
}

#[test]
fn the_past_of_one_vm_is_asked_for_by_its_names_in_its_namespace() {
    let past_of =
        range_queries(&[("cluster".into(), "a".into())], None, &one("prod", "we\"b", &["root", "data.1"]));
    let cpu = concat!(
        r#"max by (namespace,exported_namespace,name,exported_name,node,exported_node) ("#,
        r#"kubevirt_vmi_cpu_usage_seconds_total{cluster="a",name="we\"b",namespace="prod"} or "#,
        r#"kubevirt_vmi_cpu_usage_seconds_total{cluster="a",name="we\"b",namespace=~"kubevirt|kube-system",exported_namespace="prod"} or "#,
        r#"kubevirt_vmi_cpu_usage_seconds_total{cluster="a",exported_name="we\"b",namespace=~"kubevirt|kube-system",exported_namespace="prod"})"#
    );
    assert_eq!(past_of.cpu, cpu);
    let [used, capacity] = past_of.volumes.unwrap();
    let claims = r#"{cluster="a",persistentvolumeclaim=~"root|data\\.1",namespace="prod"}"#;
    assert!(
        used.contains(&format!("{USED}{claims}")) && capacity.contains(&format!("{CAPACITY}{claims}")),
        "{used}"
    );
    assert_eq!(range_queries(&[], None, &one("prod", "web", &[])).volumes, None);
    let ours = range_queries(&[], Some(&["prod".into(), "dev".into()]), &one("prod", "web", &["root"]));
    let both = r#"{name="web",namespace=~"prod|dev",namespace="prod"}"#;
    assert!(ours.memory.contains(both), "beside the namespaces of the program: {}", ours.memory);
    let all = range_queries(&[], Some(&["prod".into()]), &VmSelection::All(Arc::default())).volumes.unwrap();
    assert!(all[0].contains(r#"_used_bytes{namespace="prod"} or "#), "{}", all[0]);
    assert_eq!(
        range_queries(&[], None, &VmSelection::All(Arc::default())).memory,
        format!("max by (namespace,exported_namespace,name,exported_name) ({RESIDENT})")
    );
}

#[test]
fn what_a_guest_did_is_asked_for_as_rates_over_a_step() {
    let scope = scope(None);
    let queries = Queries { matchers: &[], scope: &scope, nodes: &[] };
    let of = one("prod", "we\"b", &[]);
    let all = queries.activity_queries(&of, 1_800_000).unwrap();
    let place = r#"name="we\"b",namespace="prod""#;
    let receive = concat!(
        "sum by (namespace,exported_namespace,name,exported_name) (",
        "max by (namespace,exported_namespace,name,exported_name,node,exported_node,interface) (",
        "rate(kubevirt_vmi_network_receive_bytes_total{"
    );
    assert!(all[0].starts_with(&format!("{receive}{place}}}[1800s]) or rate(")), "{}", all[0]);
    assert!(all[8].starts_with("avg by (") && all[8].contains(",exported_node,id) (rate("), "{}", all[8]);
    assert!(all[9].starts_with("max by (") && !all[9].contains("rate("), "{}", all[9]);
    assert_eq!(queries.activity_queries(&VmSelection::All(Arc::default()), 60_000), None);
}

#[test]
fn a_list_that_makes_the_address_too_long_is_left_out() {
    let many: Vec<String> = (0..1000).map(|n| format!("claim-{n}")).collect();
    let of = VmSelection::One { namespace: "prod".into(), instance: "web".into(), claims: many };
    for volumes in range_queries(&[], None, &of).volumes.unwrap() {
        assert!(volumes.len() < 500 && volumes.contains(r#"namespace="prod""#), "{volumes}");
    }
}

#[test]
fn a_label_cannot_end_its_matcher() {
    let value = "a\"} or up{x=\"\\\n".to_owned();
    let want = r#"kubevirt_vmi_cpu_usage_seconds_total{cluster="a\"} or up{x=\"\\\n"}[3m]"#;
    assert_eq!(samples(&[("cluster".into(), value)], &scope(None)), [want]);
}

/// One matcher as Prometheus reads it.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    label: String,
    values: Vec<String>,
}

/// The matchers of every selector of a query. Panics at whatever is no selector, no string, or a pattern that matches
/// anything but a list of texts.
fn read(query: &str) -> Vec<Vec<Read>> {
    let mut selectors = Vec::new();
    let mut rest = query;
    while let Some(begin) = rest.find('{') {
        rest = &rest[begin + 1..];
        let mut matchers = Vec::new();
        while !rest.starts_with('}') {
            let (matcher, after) = read_matcher(rest.trim_start_matches(','));
            matchers.push(matcher);
            rest = after;
        }
        selectors.push(matchers);
    }
    selectors
}

fn read_matcher(text: &str) -> (Read, &str) {
    let end = text.find('=').expect("an operator");
    let (label, operator) = (text[..end].to_owned(), &text[end..]);
    let is_label = |c: char| c.is_ascii_alphanumeric() || c == '_';
    assert!(!label.is_empty() && label.chars().all(is_label), "{label:?}");
    let (is_pattern, quoted) = match operator.strip_prefix("=~\"") {
        Some(quoted) => (true, quoted),
        None => (false, operator.strip_prefix("=\"").expect("a string in double quotes")),
    };
    let (value, rest) = read_string(quoted);
    let values = if is_pattern { read_literals(&value) } else { vec![value] };
    (Read { label, values }, rest)
}

/// The text up to the closing quote, and what follows it. A line's end must not stand in it.
fn read_string(text: &str) -> (String, &str) {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\n' => panic!("a line ends inside a string"),
            '\\' => value.push(match chars.next().expect("something escaped").1 {
                'n' => '\n',
                same @ ('\\' | '"') => same,
                other => panic!("\\{other} is no escape that is needed"),
            }),
            c => value.push(c),
        }
    }
    panic!("no closing quote")
}

/// The alternatives of a pattern of plain texts.
fn read_literals(pattern: &str) -> Vec<String> {
    let (mut values, mut chars) = (vec![String::new()], pattern.chars());
    while let Some(c) = chars.next() {
        let last = values.last_mut().unwrap();
        match c {
            '|' => values.push(String::new()),
            '\\' => {
                let c = chars.next().expect("something escaped");
                // `\d` and the like mean classes; an escaped punctuation mark is itself.
                assert!(c.is_ascii_punctuation(), "\\{c}");
                last.push(c);
            }
            '.' | '+' | '*' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' => {
                panic!("{c} is a pattern")
            }
            c => last.push(c),
        }
    }
    values
}

fn expected(label: &str, values: &[String]) -> Read {
    Read { label: label.to_owned(), values: values.to_vec() }
}

/// Names as tenants write them: valid ones, patterns, and anything.
fn name() -> impl Strategy<Value = String> {
    let pattern = proptest::sample::select(vec![
        "[^x]+",
        ".*",
        "a|b",
        "root)",
        "(?i)root",
        "\\d+",
        "a.b",
        "x{1,9}",
        "^a$",
        "a\nb",
        "\"",
        "\\",
        "\\\"} or up{a=\"",
    ]);
    prop_oneof![pattern.prop_map(str::to_owned), "[a-z]{1,8}([-.][a-z0-9]{1,4})?", any::<String>()]
}

proptest! {
    #[test]
    fn a_query_selects_exactly_the_names_that_it_was_made_for(
        namespace in name(),
        instance in name(),
        claims in prop::collection::vec(name(), 1..5),
        value in name(),
        ours in prop::option::of(prop::collection::vec(name(), 1..3)),
    ) {
        let of = VmSelection::One { namespace: namespace.clone(), instance: instance.clone(), claims: claims.clone() };
        let past = range_queries(&[("cluster".to_owned(), value.clone())], ours.as_deref(), &of);
        let own = [("name", vec![instance]), ("persistentvolumeclaim", claims)];
        let [used, capacity] = past.volumes.as_ref().unwrap();
        let queries = [(&past.cpu, &own[0]), (&past.memory, &own[0]), (used, &own[1]), (capacity, &own[1])];
        let trusted = ["kubevirt".to_owned(), "kube-system".to_owned()];
        let scope = scope(ours.as_deref());
        let matchers = [("cluster".to_owned(), value.clone())];
        let activity = Queries { matchers: &matchers, scope: &scope, nodes: &[] }.activity_queries(&of, 60_000).unwrap();
        let queries = queries.into_iter().chain(activity.iter().map(|query| (query, &own[0])));
        for (query, (label, values)) in queries {
            let selectors = read(query);
            prop_assert_eq!(selectors.len(), 3, "{}", query);
            let exported = format!("exported_{label}");
            let places = [(*label, "namespace"), (*label, "exported_namespace"), (&*exported, "exported_namespace")];
            for (selector, (label, place)) in selectors.iter().zip(places) {
                let mut want = vec![expected("cluster", std::slice::from_ref(&value)), expected(label, values)];
                want.extend((place != "namespace").then(|| expected("namespace", &trusted)));
                want.extend(ours.as_deref().map(|ours| expected(place, ours)));
                want.push(expected(place, std::slice::from_ref(&namespace)));
                prop_assert_eq!(&selector[..], &want[..], "{}", query);
            }
        }
    }
}

/// The claims, with their namespaces, that a Prometheus selects for these.
async fn selected(sim: &Handle, claims: &[&str]) -> BTreeSet<(String, String)> {
    let [query, _] = range_queries(&[], None, &one("a", "one-vm", claims)).volumes.unwrap();
    let limits = SiteLimits { deadline: Duration::from_secs(20), limit: 1 << 20, budget: Budget::new(&[]) };
    let mut site = Site::new("Prometheus", sim.prometheus_url().parse().unwrap(), None, limits);
    let session = site.open().await.unwrap();
    let mut url = session.url(&["api", "v1", "query_range"]);
    let seconds = |millis: i64| (millis / 1000).to_string();
    url.query_pairs_mut()
        .append_pair("query", &query)
        .append_pair("start", &seconds(NOW - 600_000))
        .append_pair("end", &seconds(NOW))
        .append_pair("step", "60");
    let request = http::Request::get(url.as_str()).body(Vec::new()).unwrap();
    let reply = session.send(request).await.unwrap();
    let answer = reply.decode(|text| serde_json::from_slice::<serde_json::Value>(text).ok()).await.unwrap();
    assert_eq!(answer["status"], "success", "{query}: {answer}");
    let text = |series: &serde_json::Value, label: &str| series["metric"][label].as_str().unwrap().to_owned();
    let series = answer["data"]["result"].as_array().unwrap().iter();
    series.map(|series| (text(series, "namespace"), text(series, "persistentvolumeclaim"))).collect()
}

const NOW: i64 = 1_700_049_600_000;

/// What a pattern would select as well: other claims of the namespace, and the same names in another one.
#[tokio::test]
async fn a_prometheus_selects_the_claims_that_are_named_and_no_others() {
    let sim = start(Options { clock: Clock::fixed(NOW), ..Options::empty() }).await.unwrap();
    let names = ["root", "a.b", "axb", "[^x]+", "a|b", "a", "b", ".*", "quo\"te", "back\\slash"];
    for namespace in ["a", "b"] {
        let disk = |name: &&str| Disk {
            claim: (*name).to_owned(),
            ..Disk::new("one", name, "10Gi").holds(3 << 30, 10 << 30)
        };
        let guest = Guest::new(namespace, "one").disks(names.iter().map(disk).collect());
        sim.world().put(guest.running_on("n1", NOW - 86_400_000));
    }
    for name in names {
        assert_eq!(selected(&sim, &[name]).await, [("a".to_owned(), name.to_owned())].into(), "{name}");
    }
    let several = ["[^x]+", "a.b", "a|b"];
    let want = several.map(|name| ("a".to_owned(), name.to_owned()));
    assert_eq!(selected(&sim, &several).await, want.into());
    assert!(selected(&sim, &["[a-z]+", "(?i)ROOT", "r..t"]).await.is_empty());
    sim.shutdown().await;
}

//! The metrics that the queries to Prometheus name.

use std::{collections::BTreeSet, fs};

use super::PAGES;
use crate::code::{member, rust_files, without_tests};

const PREFIXES: [&str; 2] = ["kubelet_volume_stats_", "kubevirt_vmi_"];

#[test]
fn every_metric_is_documented_and_every_documented_metric_is_queried() {
    let documented = PAGES.into_iter().flat_map(metrics).collect();
    let folder = member("collector").join("src/prometheus");
    let mut queried = BTreeSet::new();
    for file in rust_files(&folder) {
        let source = fs::read_to_string(file).unwrap();
        let program = without_tests(&source);
        let texts = program.split('"').skip(1).step_by(2);
        queried.extend(texts.filter(|text| is_metric(text)).map(str::to_owned));
    }
    super::assert_same("metrics", &documented, &queried);
}

/// The names on a page; `a_{b,c}_d` stands for two.
fn metrics(page: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || ['_', '{', ',', '}'].contains(&c);
    // Without a closing brace, the brace begins the matchers of a query.
    let words = page.split(|c| !is_part(c));
    let words =
        words.map(|word| if word.contains('}') { word } else { word.split('{').next().unwrap_or(word) });
    let names = words.filter(|word| PREFIXES.iter().any(|prefix| word.starts_with(prefix)));
    names.flat_map(expanded).filter(|name| is_metric(name)).collect()
}

fn expanded(name: &str) -> Vec<String> {
    let parts = name.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    match parts {
        Some((before, (inner, after))) => {
            inner.split(',').map(|part| [before, part, after].concat()).collect()
        }
        None => vec![name.to_owned()],
    }
}

/// A whole name, not the beginning that a pattern matches.
fn is_metric(name: &str) -> bool {
    let has_name = |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty());
    PREFIXES.into_iter().any(has_name) && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

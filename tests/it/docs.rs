//! What README.md and the pages in docs/ say is true: their flags, permissions, routes, metrics, sources and reasons are
//! those of the program and of deploy/, and none is left out.

mod flags;
mod metrics;
mod permissions;
mod reasons;
mod rest;

use std::collections::BTreeSet;

use model::source::SourceId;

const README: &str = include_str!("../../README.md");
const ATTENTION: &str = include_str!("../../docs/attention.md");
const CHINESE: &str = include_str!("../../README.zh-CN.md");
const CONNECTING: &str = include_str!("../../docs/connecting.md");
const DEPLOY: &str = include_str!("../../docs/deploy.md");
const EVENTS: &str = include_str!("../../docs/events.md");
const HISTORY: &str = include_str!("../../docs/history.md");
const REASONS: &str = include_str!("../../docs/reasons.md");
const SECURITY: &str = include_str!("../../docs/security.md");
const SLOW_VMS: &str = include_str!("../../docs/slow-vms.md");
const SIGN_IN: &str = include_str!("../../docs/sign-in.md");
const SOURCES: &str = include_str!("../../docs/sources.md");
const VM: &str = include_str!("../../docs/vm.md");
const PAGES: [&str; 13] = [
    README, ATTENTION, CHINESE, CONNECTING, DEPLOY, EVENTS, HISTORY, REASONS, SECURITY, SIGN_IN, SLOW_VMS,
    SOURCES, VM,
];

#[test]
fn every_source_is_explained() {
    let sections = sections(SOURCES);
    for id in SourceId::ALL {
        let own = sections.iter().any(|(title, _)| *title == id.code());
        let watched = sections.iter().any(|(_, text)| text.contains(&format!("\n| `{}` |", id.code())));
        assert!(own || watched, "{} is not in docs/sources.md", id.code());
    }
    for id in SourceId::DISK {
        let (_, text) = sections.iter().find(|(title, _)| *title == id.code()).expect("a section of its own");
        for part in ["**Measures**", "**Permission**", "**Cost**", "**Limits**", "**Unknown**"] {
            assert!(text.contains(part), "{} does not say {part}", id.code());
        }
    }
}

/// Second-level headings, each with the text under it.
fn sections(page: &str) -> Vec<(&str, &str)> {
    page.split("\n## ").skip(1).filter_map(|section| section.split_once('\n')).collect()
}

/// The cells of each row of each table.
fn rows(page: &str) -> impl Iterator<Item = Vec<&str>> {
    page.lines().filter_map(|line| {
        let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
        // An empty cell is a single blank.
        Some(row.split(" |").map(str::trim).collect())
    })
}

/// The texts in backticks.
fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The text with its line breaks and runs of blanks as single blanks.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Asserts that the documented things are the program's.
fn assert_same<T: Ord + std::fmt::Debug>(place: &str, documented: &BTreeSet<T>, real: &BTreeSet<T>) {
    let unknown: Vec<_> = documented.difference(real).collect();
    let missing: Vec<_> = real.difference(documented).collect();
    assert!(unknown.is_empty() && missing.is_empty(), "{place}: unknown {unknown:?}, missing {missing:?}");
}

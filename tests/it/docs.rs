//! The pages in docs/ say what the program says: no reason and no source is left out, none is made up.

use std::{collections::BTreeSet, process::Command};

use model::{reason::Reason, source::SourceId};

use crate::program::PROGRAM;

const README: &str = include_str!("../../README.md");
const CHINESE: &str = include_str!("../../README.zh-CN.md");
const REASONS: &str = include_str!("../../docs/reasons.md");
const SOURCES: &str = include_str!("../../docs/sources.md");

#[test]
fn every_reason_has_its_cause_and_its_fix() {
    let codes: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    let sections = sections(REASONS);
    assert_eq!(sections.iter().map(|(title, _)| *title).collect::<BTreeSet<_>>(), codes);
    assert_eq!(sections.len(), codes.len(), "a reason stands twice");
    for (code, text) in sections {
        for part in ["**Cause.** ", "**Fix.** "] {
            let said = text.split_once(part).map_or("", |(_, rest)| rest);
            assert!(said.len() > 20 && !said.starts_with('\n'), "{code} lacks its {part}");
        }
    }
}

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

#[test]
fn links_into_the_reasons_lead_somewhere() {
    let codes: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    let links: Vec<&str> =
        SOURCES.split("reasons.md#").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(!links.is_empty());
    assert!(links.iter().all(|link| codes.contains(link)), "{links:?}");
}

#[test]
fn every_flag_is_explained() {
    let help = help(&[]);
    let told: BTreeSet<&str> = flags(README).chain(flags(SOURCES)).collect();
    let untold: Vec<&str> =
        flags(&help).filter(|flag| !["--help", "--version"].contains(flag) && !told.contains(flag)).collect();
    assert!(untold.is_empty(), "neither in README.md nor in docs/sources.md: {untold:?}");
}

#[test]
fn every_flag_that_is_explained_is_there() {
    let help = ["demo", "sim", "check"].map(|command| help(&[command])).concat() + &help(&[]);
    let known: BTreeSet<&str> = flags(&help).collect();
    let pages = [README, CHINESE, SOURCES, REASONS];
    let unknown: BTreeSet<&str> =
        pages.into_iter().flat_map(flags).filter(|flag| !known.contains(flag) && *flag != "--raw").collect();
    assert!(unknown.is_empty(), "the program does not know {unknown:?}");
}

fn help(command: &[&str]) -> String {
    let output = Command::new(PROGRAM).args(command).arg("--help").env("COLUMNS", "200").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Whatever begins with two hyphens and a letter, behind a blank, a bracket or a backtick.
fn flags(page: &str) -> impl Iterator<Item = &str> {
    let starts = page.match_indices("--").filter(|(at, _)| page[..*at].ends_with([' ', '`', '(', '"']));
    let flags = starts.map(|(at, _)| {
        let end = page[at..].find(|c: char| c != '-' && !c.is_ascii_lowercase()).unwrap_or(page.len() - at);
        &page[at..at + end]
    });
    flags.filter(|flag| flag.len() > 3 && flag[2..].starts_with(|c: char| c.is_ascii_lowercase()))
}

/// Second-level headings, each with what stands under it.
fn sections(page: &str) -> Vec<(&str, &str)> {
    page.split("\n## ").skip(1).filter_map(|section| section.split_once('\n')).collect()
}

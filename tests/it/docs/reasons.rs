//! Reasons why a figure is missing, and how to fix them.

use std::{
    collections::BTreeSet,
    thread::sleep,
    time::{Duration, Instant},
};

use model::reason::Reason;
use serde_json::Value;

use super::{PAGES, REASONS, code, joined, sections};
use crate::program::{Running, get, program};

#[test]
fn every_reason_has_its_cause_and_its_fix() {
    let codes: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    let sections = sections(REASONS);
    super::assert_same("docs/reasons.md", &sections.iter().map(|(title, _)| *title).collect(), &codes);
    assert_eq!(sections.len(), codes.len(), "a reason stands twice");
    for (code, text) in sections {
        for part in ["**Cause.** ", "**Fix.** "] {
            let explained = text.split_once(part).map_or("", |(_, rest)| rest);
            assert!(explained.len() > 20 && !explained.starts_with('\n'), "{code} lacks its {part}");
        }
    }
}

#[test]
fn links_into_the_reasons_lead_somewhere() {
    let codes: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    let links = PAGES.iter().flat_map(|page| page.split("reasons.md#").skip(1));
    let links: Vec<&str> = links.filter_map(|rest| rest.split(')').next()).collect();
    assert!(!links.is_empty());
    assert!(links.iter().all(|link| codes.contains(link)), "{links:?}");
}

/// The commands and flags of the fixes that the demo shows are in the section of their reason.
#[test]
fn fixes_of_the_program_are_documented() {
    /// Of nine reasons that the demo shows within seconds.
    const REASONS_SHOWN: usize = 8;
    const WAIT: Duration = Duration::from_secs(40);
    let (_running, address) = Running::start(&mut program(&["demo", "--listen=127.0.0.1:0"]));
    let begun = Instant::now();
    let mut fixes: BTreeSet<(String, String)> = BTreeSet::new();
    while fixes.iter().map(|(reason, _)| reason).collect::<BTreeSet<_>>().len() < REASONS_SHOWN {
        assert!(begun.elapsed() < WAIT, "{fixes:?}");
        sleep(Duration::from_millis(500));
        for path in ["/api/vms", "/api/sources"] {
            let answer = get(address, path);
            let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
            collect_fixes(&serde_json::from_str(body).unwrap_or(Value::Null), &mut fixes);
        }
    }
    let sections = sections(REASONS);
    let mut undocumented = Vec::new();
    for (reason, fix) in &fixes {
        let (_, text) = sections.iter().find(|(title, _)| title == reason).expect("a section");
        let text = joined(text);
        if let Some(at) = ["kubectl ", "rbd "].into_iter().find_map(|tool| fix.find(tool)) {
            let known = |command: &&str| matches_template(command, &fix[at..]);
            if !code(&text).iter().any(known) {
                undocumented.push(format!("{reason}: {fix}"));
            }
        } else if let Some(flag) = fix.split([' ', ':', '.', '?']).find(|word| word.starts_with("--"))
            && !text.contains(flag)
        {
            undocumented.push(format!("{reason}: {flag}"));
        }
    }
    assert!(undocumented.is_empty(), "not in docs/reasons.md: {undocumented:#?}");
}

/// Adds every pair of a reason and its fix.
fn collect_fixes(value: &Value, fixes: &mut BTreeSet<(String, String)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_fixes(item, fixes)),
        Value::Object(fields) => {
            if let (Some(reason), Some(fix)) = (fields.get("reason"), fields.get("fix"))
                && let (Some(reason), Some(fix)) =
                    (reason.as_str(), fix.as_str().filter(|fix| !fix.is_empty()))
            {
                fixes.insert((reason.to_owned(), fix.to_owned()));
            }
            fields.values().for_each(|field| collect_fixes(field, fixes));
        }
        _ => {}
    }
}

/// Whether the text begins with the command, in which words in capitals stand for any name.
fn matches_template(command: &str, text: &str) -> bool {
    let mut words = text.split_whitespace();
    !command.is_empty()
        && command.split_whitespace().all(|expected| {
            let parts = |word: &str| word.split('/').map(str::to_owned).collect::<Vec<_>>();
            let word = words.next().unwrap_or_default().trim_end_matches([';', '?', '.']);
            let (expected, found) = (parts(expected), parts(word));
            let is_name = |part: &str| part.len() > 1 && part.bytes().all(|b| b.is_ascii_uppercase());
            expected.len() == found.len() && expected.iter().zip(&found).all(|(e, f)| e == f || is_name(e))
        })
}

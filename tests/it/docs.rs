//! The pages in docs/ say what the program says: no reason and no source is left out, none is made up.

use std::collections::BTreeSet;

use wukong_dashboard::model::{reason::Reason, source::SourceId};

const REASONS: &str = include_str!("../../docs/reasons.md");
const SOURCES: &str = include_str!("../../docs/sources.md");

#[test]
fn every_reason_has_its_cause_and_its_mend() {
    let codes: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    let sections = sections(REASONS);
    assert_eq!(sections.iter().map(|(title, _)| *title).collect::<BTreeSet<_>>(), codes);
    assert_eq!(sections.len(), codes.len(), "a reason stands twice");
    for (code, text) in sections {
        for part in ["**Cause.** ", "**Mend.** "] {
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

/// Second-level headings, each with what stands under it.
fn sections(page: &str) -> Vec<(&str, &str)> {
    page.split("\n## ").skip(1).filter_map(|section| section.split_once('\n')).collect()
}

//! Permissions, as deploy/ grants them.

use std::collections::BTreeSet;

use super::{CHINESE, PAGES, README, SOURCES, code, joined, rows};
use crate::deploy::{TIERS, VERBS, grants};

type Grants = BTreeSet<(String, String)>;

fn all_grants() -> Grants {
    TIERS.into_iter().flat_map(grants).collect()
}

#[test]
fn tables_of_permissions_are_what_the_tiers_grant() {
    for (page, text) in [("README.md", README), ("README.zh-CN.md", CHINESE), ("docs/sources.md", SOURCES)] {
        let documented: Grants = rows(text).flatten().flat_map(permissions).collect();
        super::assert_same(page, &documented, &all_grants());
    }
}

/// The permissions that a cell names: ``list, watch `pods` `` or ``get `a`, or get `b` ``, the group in the name or beside it.
fn permissions(cell: &str) -> Grants {
    let words = |text: &str| text.split([' ', ',', '、']).map(str::to_owned).collect::<Vec<_>>();
    let verbs: Vec<_> = words(cell.split('`').next().unwrap_or_default());
    if !verbs.first().is_some_and(|verb| VERBS.contains(&verb.as_str())) {
        return Grants::new();
    }
    let mut names: Vec<&str> = code(cell).into_iter().filter(|name| !name.starts_with('-')).collect();
    let group = match cell {
        _ if cell.contains("` in `") => names.pop(),
        _ if cell.contains("` 的 `") => Some(names.remove(0)),
        _ => None,
    };
    let verbs = verbs.iter().filter(|verb| VERBS.contains(&verb.as_str()));
    let name = |name: &&str| group.map_or_else(|| (*name).to_owned(), |group| format!("{name}.{group}"));
    verbs.flat_map(|verb| names.iter().map(move |n| (verb.clone(), name(n)))).collect()
}

/// Wherever a page says that something needs ``get `x` ``.
#[test]
fn every_permission_in_a_sentence_is_granted() {
    let granted = all_grants();
    let mut found = 0;
    for page in PAGES {
        // Tables are checked above.
        let sentences: Vec<&str> = page.lines().filter(|line| !line.starts_with('|')).collect();
        let page = joined(&sentences.join("\n"));
        for verb in VERBS {
            for (at, before) in page.match_indices(&format!("{verb} `")) {
                let rest = &page[at + before.len()..];
                let Some((name, after)) = rest.split_once('`') else { continue };
                let group = after.strip_prefix(" in `").and_then(|rest| rest.split('`').next());
                let name = group.map_or_else(|| name.to_owned(), |group| format!("{name}.{group}"));
                assert!(granted.contains(&(verb.to_owned(), name.clone())), "no tier grants {verb} {name}");
                found += 1;
            }
        }
    }
    assert!(found >= 5, "{found}");
}

#[test]
fn the_tiers_of_the_readmes_are_those_of_deploy() {
    for page in [README, CHINESE] {
        let tiers = rows(page).filter_map(|cells| code(cells[0]).first()?.strip_prefix("deploy/")).collect();
        super::assert_same("tiers", &tiers, &BTreeSet::from(TIERS));
    }
}

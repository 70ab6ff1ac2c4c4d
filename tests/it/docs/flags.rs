//! Flags, their environment variables and defaults, as `--help` shows them.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    time::Duration,
};

use super::{CHINESE, PAGES, README, SOURCES, code, joined, rows};
use crate::program::PROGRAM;

const COMMANDS: [&str; 3] = ["demo", "sim", "check"];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Flag {
    variable: Option<String>,
    default: Option<String>,
}

/// The flags of the program without a command.
fn serve_flags() -> BTreeMap<String, Flag> {
    flags_of_help(&help(&[]))
}

fn help(command: &[&str]) -> String {
    let output = Command::new(PROGRAM).args(command).arg("--help").env("COLUMNS", "200").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn flags_of_help(help: &str) -> BTreeMap<String, Flag> {
    let mut flags = BTreeMap::new();
    let mut current: Option<(String, String)> = None;
    let (_, options) = help.split_once("\nOptions:\n").expect("a list of options");
    for line in options.lines().chain(["  --end"]) {
        let text = line.trim_start();
        let begins = text.starts_with('-') && line.len() - text.len() <= 6;
        if begins {
            if let Some((name, description)) = current.take() {
                let part = |key| {
                    let (_, rest) = description.split_once(&format!("[{key}: "))?;
                    rest.split_once(']').map(|(value, _)| value.trim_end_matches('=').to_owned())
                };
                flags.insert(name, Flag { variable: part("env"), default: part("default") });
            }
            let name = names(text).next().unwrap_or_default().to_owned();
            current = Some((name, text.to_owned()));
        } else if let Some((_, description)) = &mut current {
            description.push(' ');
            description.push_str(text);
        }
    }
    flags.retain(|name, _| !["--help", "--version"].contains(&name.as_str()));
    flags
}

/// Words that begin with two hyphens and a letter, after a blank, a bracket, a quote or a backtick.
fn names(page: &str) -> impl Iterator<Item = &str> {
    let starts = page.match_indices("--").filter(|(at, _)| {
        let before = &page[..*at];
        before.is_empty() || before.ends_with([' ', '`', '(', '"', '\n'])
    });
    let names = starts.map(|(at, _)| {
        let end = page[at..].find(|c: char| c != '-' && !c.is_ascii_lowercase()).unwrap_or(page.len() - at);
        &page[at..at + end]
    });
    names.filter(|name| name.len() > 3 && name[2..].starts_with(|c: char| c.is_ascii_lowercase()))
}

/// The flags in the tables of a page, each with its row.
fn tabled(page: &str) -> BTreeMap<String, Vec<&str>> {
    let rows = rows(page).filter(|cells| cells.len() == 4 && cells[0].starts_with("`--"));
    rows.flat_map(|cells| code(cells[0]).into_iter().map(move |flag| (flag.to_owned(), cells.clone())))
        .collect()
}

#[test]
fn tables_of_flags_name_their_variables_and_defaults() {
    let flags = serve_flags();
    for (page, text) in [("README.md", README), ("README.zh-CN.md", CHINESE), ("docs/sources.md", SOURCES)] {
        let tabled = tabled(text);
        assert!(tabled.len() > 10, "{page}: {tabled:?}");
        for (flag, cells) in tabled {
            let known =
                |flag: &&str| flags.get(*flag).unwrap_or_else(|| panic!("{page}: {flag} does not exist"));
            let row: Vec<Flag> = code(cells[0]).iter().map(known).cloned().collect();
            let variables: Vec<_> = row.iter().filter_map(|flag| flag.variable.as_deref()).collect();
            let defaults: Vec<_> = row.iter().filter_map(|flag| flag.default.as_deref()).collect();
            // kubectl's own variable, which the program reads without a flag.
            let documented: Vec<_> =
                code(cells[1]).into_iter().filter(|name| *name != "KUBECONFIG").collect();
            assert_eq!(documented, variables, "{page}: the variable of {flag}");
            assert_eq!(code(cells[2]), defaults, "{page}: the default of {flag}");
        }
    }
}

#[test]
fn every_flag_is_in_a_table() {
    let documented = [README, SOURCES].into_iter().flat_map(tabled).map(|(flag, _)| flag).collect();
    super::assert_same("README.md and docs/sources.md", &documented, &serve_flags().into_keys().collect());
    let keys = |page| tabled(page).into_keys().collect::<BTreeSet<_>>();
    super::assert_same("README.zh-CN.md", &keys(CHINESE), &keys(README));
}

#[test]
fn every_flag_of_the_other_commands_is_in_both_readmes() {
    let serve = serve_flags();
    for (name, flag) in COMMANDS.iter().flat_map(|command| flags_of_help(&help(&[command]))) {
        if serve.contains_key(&name) {
            continue;
        }
        for page in [README, CHINESE] {
            assert!(names(page).any(|known| known == name), "{name} is in no README");
            if let Some(default) = flag.default.as_deref().filter(|default| default.parse::<u64>().is_ok()) {
                let open = if std::ptr::eq(page, README) { [" (", ")"] } else { ["（", "）"] };
                let text = ["`", &name, "`", open[0], default, open[1]].concat();
                assert!(page.contains(&text), "{text} is in no README");
            }
        }
    }
}

#[test]
fn every_flag_that_is_explained_exists() {
    let help = COMMANDS.map(|command| help(&[command])).concat() + &help(&[]);
    let known: BTreeSet<&str> = names(&help).collect();
    // kubectl's.
    let others = [
        "--raw",
        "--namespace",
        "--all-namespaces",
        "--audience",
        "--clusterrole",
        "--user",
        "--group",
        "--from-file",
        "--verb",
        "--resource",
        "--show-labels",
    ];
    let unknown: BTreeSet<&str> = PAGES
        .into_iter()
        .flat_map(names)
        .filter(|flag| !known.contains(flag) && !others.contains(flag))
        .collect();
    assert!(unknown.is_empty(), "the program does not know {unknown:?}");
}

/// A page that names a flag may give its default in brackets: `--kubelet-deadline` (5 s).
#[test]
fn defaults_in_brackets_are_the_programs() {
    let flags = serve_flags();
    let mut found = 0;
    for page in PAGES.map(joined) {
        for (at, _) in page.match_indices("` (") {
            let flag = page[..at].rsplit('`').next().unwrap_or_default();
            let text = page[at + 3..].split([')', ',']).next().unwrap_or_default();
            let Some(default) = flags.get(flag).and_then(|flag| flag.default.as_deref()) else { continue };
            if text.starts_with(|c: char| c.is_ascii_digit()) {
                assert_eq!(comparable(text), comparable(default), "{flag} ({text})");
                found += 1;
            }
        }
    }
    assert!(found > 10, "{found}");
}

/// A duration, a size or a number in one notation.
fn comparable(text: &str) -> String {
    let text = text.replace(' ', "");
    let duration: Option<Duration> = humantime::parse_duration(&text).ok();
    duration.map_or_else(|| text.trim_end_matches('B').to_owned(), |duration| format!("{duration:?}"))
}

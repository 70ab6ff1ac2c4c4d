//! Keeps the folders' imports honest: the flow is one way, `model` and the join do no I/O.

use std::fs;

use crate::code::{rust_files, src};

/// A folder or file of `src`, and the paths of this crate that it may name.
struct Border {
    place: &'static str,
    may_name: &'static [&'static str],
}

const BORDERS: &[Border] = &[
    Border { place: "server/snapshot", may_name: &["crate::server::snapshot"] },
    Border { place: "server/k8s", may_name: &["crate::server::k8s"] },
    Border {
        place: "server/collect",
        may_name: &[
            "crate::server::clock",
            "crate::server::collect",
            "crate::server::config",
            "crate::server::k8s",
            "crate::server::snapshot::archive",
            "crate::server::snapshot::facts",
        ],
    },
    Border {
        place: "server/serve",
        may_name: &[
            "crate::app",
            "crate::server::clock",
            "crate::server::config",
            "crate::server::serve",
            "crate::server::snapshot",
            "crate::server_fns",
        ],
    },
    Border {
        place: "server/check",
        may_name: &[
            "crate::server::check",
            "crate::server::collect::client",
            "crate::server::config",
            "crate::server::pipeline",
            "crate::server::snapshot",
        ],
    },
    Border { place: "ui", may_name: &["crate::app", "crate::server_fns", "crate::ui"] },
    Border { place: "app.rs", may_name: &["crate::app", "crate::server_fns", "crate::ui"] },
];

/// Crates that do I/O or tell the time: none of a pure folder's business.
const IMPURE: &[&str] =
    &["kube::", "axum::", "reqwest::", "std::fs", "std::net", "SystemTime", "Instant::now", "tracing::"];
const PURE: &[&str] = &["../crates/model/src", "server/snapshot"];
/// The one writer and the keeper of the past wait and tick; no other file of the join does.
const EXCEPT: [&str; 2] = ["server/snapshot/publish.rs", "server/snapshot/keeper.rs"];

#[test]
fn folders_name_only_what_comes_before_them() {
    let mut broken = Vec::new();
    for border in BORDERS {
        for file in rust_files(&src().join(border.place)) {
            let strays = crate_paths(&fs::read_to_string(&file).unwrap());
            let strays = strays.into_iter().filter(|path| !allowed(path, border.may_name));
            broken.extend(strays.map(|path| format!("{}: {path}", file.display())));
        }
    }
    assert!(broken.is_empty(), "imports that cross a border:\n{}", broken.join("\n"));
}

#[test]
fn pure_folders_do_no_io_and_read_no_clock() {
    let mut broken = Vec::new();
    for file in PURE
        .iter()
        .flat_map(|place| rust_files(&src().join(place)))
        .filter(|file| !EXCEPT.iter().any(|except| file.ends_with(except)))
    {
        let text = code(&fs::read_to_string(&file).unwrap());
        broken.extend(
            IMPURE
                .iter()
                .filter(|name| text.contains(**name))
                .map(|name| format!("{}: {name}", file.display())),
        );
    }
    assert!(broken.is_empty(), "a pure folder does I/O:\n{}", broken.join("\n"));
}

/// What writes a text into a page as it is, or reads an address by rules of its own, and the files that may.
const FEW_PLACES: [(&str, &[&str]); 8] = [
    ("leptos_meta", &["ui/components/title.rs", "src/app.rs"]),
    ("<Title", &["ui/components/title.rs"]),
    ("inner_html", &[]),
    ("innerHTML", &[]),
    ("use_query_map", &[]),
    ("extract::Query", &[]),
    ("OriginalUri", &[]),
    ("form_urlencoded", &[]),
];

#[test]
fn titles_are_written_and_addresses_are_read_in_few_places() {
    let places = ["ui", "app.rs", "server/serve", "server_fns.rs"].map(|place| src().join(place));
    let files: Vec<_> = places.iter().flat_map(|place| rust_files(place)).collect();
    let mut broken = Vec::new();
    for file in &files {
        let text = code(&fs::read_to_string(file).unwrap());
        let strays = FEW_PLACES.iter().filter(|(name, _)| text.contains(name));
        let strays = strays.filter(|(_, places)| !places.iter().any(|place| file.ends_with(place)));
        broken.extend(strays.map(|(name, _)| format!("{}: {name}", file.display())));
    }
    assert!(broken.is_empty(), "names are text, and an address has one meaning:\n{}", broken.join("\n"));
    assert!(files.iter().any(|file| file.ends_with("ui/components/title.rs")));
}

#[test]
fn scripts_write_text_and_no_markup() {
    for folder in ["public", "scripts"] {
        for entry in fs::read_dir(src().join("..").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "js") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for name in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
            {
                assert!(!text.contains(name), "{}: {name}", path.display());
            }
        }
    }
}

#[test]
fn the_scan_sees_nested_imports() {
    let text = "use crate::{\n    model::Millis,\n    server::{clock, snapshot::{Scope, facts::Key}},\n};\nlet x = crate::app::App;";
    let want = [
        "crate::model::Millis",
        "crate::server::clock",
        "crate::server::snapshot::Scope",
        "crate::server::snapshot::facts::Key",
        "crate::app::App",
    ];
    assert_eq!(crate_paths(text), want);
}

fn allowed(path: &str, may_name: &[&str]) -> bool {
    may_name
        .iter()
        .any(|prefix| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
}

/// Without comment lines: prose may name what code may not.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Every path that starts with `crate::`, braces of `use` trees written out.
fn crate_paths(text: &str) -> Vec<String> {
    let text = code(text);
    let starts = text
        .match_indices("crate::")
        .filter(|(at, _)| !text[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$'));
    starts.flat_map(|(at, _)| expand("crate", &text[at + "crate::".len()..]).0).collect()
}

/// Reads one branch of a `use` tree; answers its paths and how many bytes it took.
fn expand(prefix: &str, text: &str) -> (Vec<String>, usize) {
    if text.starts_with('{') {
        return expand_list(prefix, text);
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let path = format!("{prefix}::{}", &text[..end]);
    match text[end..].strip_prefix("::") {
        Some(rest) if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '{') => {
            let (paths, taken) = expand(&path, rest);
            (paths, end + 2 + taken)
        }
        _ => (vec![path], end),
    }
}

fn expand_list(prefix: &str, text: &str) -> (Vec<String>, usize) {
    let (mut paths, mut at) = (Vec::new(), 1);
    loop {
        at += text[at..].find(|c: char| !c.is_whitespace() && c != ',').unwrap_or(text.len() - at);
        if text[at..].is_empty() || text[at..].starts_with('}') {
            return (paths, at + 1);
        }
        let (more, taken) = expand(prefix, &text[at..]);
        paths.extend(more);
        // `as name` and the like.
        at += taken;
        at += text[at..].find([',', '}']).unwrap_or(text.len() - at);
    }
}

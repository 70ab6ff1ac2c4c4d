//! Borders that crates cannot keep: pages name nothing of the server, and pure crates do not use the I/O and clocks of std.

use std::fs;

use crate::code::{member, rust_files, src};

/// Of std and of what every crate may have: what tells the time or does I/O. What a crate depends on, its Cargo.toml says.
const IMPURE: &[&str] = &["std::fs", "std::net", "std::env", "std::process", "SystemTime", "Instant::now"];
const PURE: &[&str] = &["model", "i18n", "core"];

#[test]
fn pages_name_nothing_of_the_server() {
    let mut broken = Vec::new();
    let files = ["ui", "app.rs"].map(|place| rust_files(&src().join(place))).concat();
    for file in &files {
        let paths = crate_paths(&fs::read_to_string(file).unwrap());
        let strays = paths.into_iter().filter(|path| path.starts_with("crate::server::"));
        broken.extend(strays.map(|path| format!("{}: {path}", file.display())));
    }
    assert!(broken.is_empty(), "pages reach data through server functions:\n{}", broken.join("\n"));
    assert!(files.len() > 30, "{} files were read", files.len());
}

#[test]
fn pure_crates_do_no_io_and_read_no_clock() {
    let mut broken = Vec::new();
    let files: Vec<_> = PURE.iter().flat_map(|name| rust_files(&member(name).join("src"))).collect();
    for file in &files {
        let text = code(&fs::read_to_string(file).unwrap());
        let found = IMPURE.iter().filter(|name| text.contains(**name));
        broken.extend(found.map(|name| format!("{}: {name}", file.display())));
    }
    assert!(broken.is_empty(), "a pure crate does I/O:\n{}", broken.join("\n"));
    assert!(files.len() > 50, "{} files were read", files.len());
}

/// Files that may name the snapshot itself: the reader, which returns what is visible of it.
const MAY_NAME_THE_SNAPSHOT: &[&str] = &["server/http/reader.rs"];

#[test]
fn the_http_server_reaches_no_vm_but_through_a_scope() {
    let files = rust_files(&src().join("server/http"));
    let names_it = |file: &&std::path::PathBuf| {
        let text = code(&fs::read_to_string(file).unwrap());
        text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "Snapshot")
    };
    let named: Vec<_> = files.iter().filter(names_it).collect();
    assert!(
        named.iter().all(|file| MAY_NAME_THE_SNAPSHOT.iter().any(|may| file.ends_with(may))),
        "only the reader may hold a snapshot, and others take what is visible of it: {named:?}"
    );
    assert_eq!(named.len(), MAY_NAME_THE_SNAPSHOT.len(), "{} files were read", files.len());
}

/// What writes text into a page without escaping, reads an address by other rules, or writes one without the base path, and
/// the files that may do it.
const FEW_PLACES: [(&str, &[&str]); 11] = [
    ("leptos_meta", &["ui/components/title.rs", "src/app.rs"]),
    ("<Title", &["ui/components/title.rs"]),
    ("inner_html", &["ui/pages/home.rs"]),
    ("innerHTML", &[]),
    ("use_query_map", &[]),
    ("extract::Query", &[]),
    ("OriginalUri", &[]),
    ("form_urlencoded", &[]),
    ("href=\"/", &["tests/http.rs", "tests/sign_in/pages.rs"]),
    ("action=\"/", &["tests/sign_in/pages.rs"]),
    ("use_navigate", &["ui/address.rs"]),
];

#[test]
fn titles_are_written_and_addresses_are_read_in_few_places() {
    let places = ["ui", "app.rs", "server/http", "server_fns.rs"].map(|place| src().join(place));
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
    let text = "use crate::{\n    model::Millis,\n    server::{clock, snapshot::{Scope, observation::Key}},\n};\nlet x = crate::app::App;";
    let want = [
        "crate::model::Millis",
        "crate::server::clock",
        "crate::server::snapshot::Scope",
        "crate::server::snapshot::observation::Key",
        "crate::app::App",
    ];
    assert_eq!(crate_paths(text), want);
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

/// Reads one branch of a `use` tree. Returns its paths and its length in bytes.
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

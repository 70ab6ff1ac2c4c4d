//! The languages say the same, every text is used, and no page has words of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

use crate::code::{member, rust_files, src, without_tests};

const ENGLISH: &str = include_str!("../../crates/i18n/locales/en.json");
const CHINESE: &str = include_str!("../../crates/i18n/locales/zh-CN.json");
/// The parts of the texts, by the pages that need them; see `crates/i18n/build/tables.rs`.
const PARTS: [&str; 3] = ["first", "later", "server"];

/// A text that joins others, and is empty in a language without blanks.
const MAY_BE_EMPTY: &[&str] = &["card.between"];
/// A name and a unit that are the same everywhere, a code that KubeVirt uses, and the keyboard's keys.
const NO_WORDS: &[&str] = &[
    "wukong-dashboard",
    "Gi",
    "Running",
    "Home",
    "End",
    "Enter",
    "Esc",
    "Escape",
    "ArrowRight",
    "ArrowLeft",
    "ArrowDown",
    "ArrowUp",
];

/// `section.key` → its forms: `""` of a plain text, else `one` and `other`.
type Texts = BTreeMap<String, BTreeMap<String, String>>;

type Sections = BTreeMap<String, BTreeMap<String, Value>>;

fn parts(json: &str) -> [Sections; 3] {
    let mut parts: BTreeMap<String, Sections> = serde_json::from_str(json).unwrap();
    assert_eq!(parts.len(), PARTS.len());
    PARTS.map(|part| parts.remove(part).unwrap())
}

fn read(json: &str) -> Texts {
    let forms = |value: Value| match value {
        Value::String(text) => BTreeMap::from([(String::new(), text)]),
        forms => serde_json::from_value(forms).expect("a text, or its forms"),
    };
    let texts = parts(json).into_iter().flatten().flat_map(|(section, keys)| {
        keys.into_iter().map(move |(key, value)| (format!("{section}.{key}"), forms(value)))
    });
    texts.collect()
}

fn placeholders(forms: &BTreeMap<String, String>) -> BTreeSet<&str> {
    let pieces = forms.values().flat_map(|text| text.split('{').skip(1));
    pieces.map(|piece| piece.split_once('}').expect("a closed placeholder").0).collect()
}

#[test]
fn both_languages_have_the_same_texts_with_the_same_placeholders() {
    let (english, chinese) = (read(ENGLISH), read(CHINESE));
    let missing: Vec<_> = english.keys().filter(|key| !chinese.contains_key(*key)).collect();
    let extra: Vec<_> = chinese.keys().filter(|key| !english.contains_key(*key)).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "not in zh-CN.json: {missing:?}; not in en.json: {extra:?}"
    );
    for (key, forms) in &english {
        assert_eq!(placeholders(forms), placeholders(&chinese[key]), "{key}");
    }
}

#[test]
fn texts_have_the_forms_that_their_language_needs() {
    let forms = |forms: &BTreeMap<String, String>| forms.keys().cloned().collect::<Vec<_>>();
    let chinese = read(CHINESE);
    for (key, english) in read(ENGLISH) {
        if english.contains_key("") {
            assert_eq!(forms(&chinese[&key]), [""], "{key}");
        } else {
            assert_eq!(
                (forms(&english), forms(&chinese[&key])),
                (vec!["one".into(), "other".into()], vec!["other".into()]),
                "{key}"
            );
            assert!(placeholders(&english).contains("n"), "{key} has forms, but no {{n}}");
        }
    }
}

#[test]
fn no_text_is_empty_and_chinese_ones_have_chinese_punctuation() {
    for (language, texts) in [("en", read(ENGLISH)), ("zh-CN", read(CHINESE))] {
        for (key, forms) in &texts {
            for text in forms.values() {
                assert!(!text.is_empty() || MAY_BE_EMPTY.contains(&key.as_str()), "{language} {key}");
                let chinese = text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
                // Each language has its own name for itself.
                assert!(!chinese || language == "zh-CN" || key == "language.zh", "{language} {key}: {text}");
                let half = |mark: &str| {
                    text.match_indices(mark)
                        .any(|(at, _)| text[..at].ends_with(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)))
                };
                assert!(![",", ":", ";", "?", "!"].into_iter().any(half), "{language} {key}: {text}");
            }
        }
    }
}

#[test]
fn every_text_is_used() {
    let crates = ["i18n", "core", "collector"].map(|name| member(name).join("src"));
    let places = crates.into_iter().chain([src()]).collect::<Vec<_>>();
    let code: String = places.iter().flat_map(|place| rust_files(place)).map(|file| code(&file)).collect();
    let code: String = code.split_whitespace().collect();
    let used = |key: &String| {
        ["t!(", "key!(", "msg!("].iter().any(|call| {
            code.match_indices(&[call, key.as_str()].concat()).any(|(at, found)| {
                !code[at + found.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
            })
        })
    };
    let texts = read(ENGLISH);
    let unused: Vec<_> = texts.keys().filter(|key| !used(key)).collect();
    assert!(unused.is_empty(), "nobody says {unused:?}");
}

/// The browser has the words of the part `later` only once it has asked for them, which the code of these does, and never
/// those of `server`.
const LATER: &[&str] = &[
    "chart",
    "map",
    "pages/groups",
    "pages/insights.rs",
    "pages/node",
    "pages/sources.rs",
    "pages/table.rs",
    "pages/vm",
];
/// Parts of pages that the server alone writes.
const WRITTEN_ONCE: [&str; 2] = ["components/account/server.rs", "components/keys.rs"];

#[test]
fn pages_say_nothing_that_a_browser_does_not_have() {
    let ui = src().join("ui");
    let [first, later, server] = parts(ENGLISH).map(|sections| sections.into_keys().collect::<Vec<_>>());
    let used_sections = |file: &Path, sections: &[String]| {
        let code: String = code(file).split_whitespace().collect();
        sections
            .iter()
            .filter(|section| {
                ["t!(", "key!("].iter().any(|call| code.contains(&[call, section.as_str(), "."].concat()))
            })
            .cloned()
            .collect::<Vec<_>>()
    };
    let mut seen = 0;
    for file in rust_files(&ui) {
        let name = file.strip_prefix(&ui).unwrap();
        if WRITTEN_ONCE.iter().any(|written| name == Path::new(written)) {
            continue;
        }
        let (early, never) = (used_sections(&file, &later), used_sections(&file, &server));
        assert!(never.is_empty(), "{} says {never:?}, which a browser never has", name.display());
        if LATER.iter().any(|later| name.starts_with(later)) {
            seen += early.len();
        } else {
            assert!(early.is_empty(), "{} says {early:?}, which may not be there yet", name.display());
        }
    }
    assert!(seen > 5, "the others do");
    let mut all = [first, later, server].concat();
    all.sort();
    assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "a section is in one place: {all:?}");
}

#[test]
fn pages_have_no_words_of_their_own() {
    let mut found = Vec::new();
    for file in rust_files(&src().join("ui")).into_iter().chain([src().join("app.rs")]) {
        let code = code(&file);
        found.extend(own_words(&code).into_iter().map(|words| format!("{}: {words:?}", file.display())));
    }
    assert!(found.is_empty(), "these belong into crates/i18n/locales/:\n{}", found.join("\n"));
}

#[test]
fn the_scan_finds_words_where_pages_have_them() {
    let page = r#"view! { <p class="one two" title="Old">"Why " {x} " is"<b>{y}</b></p> } match z { A => "ok", _ => "Not yet" }"#;
    assert_eq!(own_words(page), ["Old", "Why ", " is", "Not yet"]);
}

/// Returns literals between the tags of a view, in attributes for people, and those that begin like a sentence.
fn own_words(code: &str) -> Vec<String> {
    let literals = literals(code);
    let mut found = Vec::new();
    for (start, end) in literals {
        let (before, text, after) =
            (code[..start].trim_end(), &code[start + 1..end], code[end + 1..].trim_start());
        let child = (before.ends_with('>') && !before.ends_with("=>") && !before.ends_with("->")
            || before.ends_with('}'))
            && after.starts_with(['<', '{']);
        let read = ["title=", "aria-label=", "placeholder=", "alt=", "data-th="]
            .iter()
            .any(|name| before.ends_with(name));
        let mut letters = text.chars();
        let sentence = letters.next().is_some_and(|c| c.is_ascii_uppercase())
            && letters.next().is_some_and(|c| c.is_ascii_lowercase());
        let words = text.as_bytes().windows(2).any(|pair| pair.iter().all(u8::is_ascii_alphabetic));
        if words && (child || read || sentence) && !NO_WORDS.contains(&text) {
            found.push(text.to_owned());
        }
    }
    found
}

/// Where each string literal begins and ends, its quotes included.
fn literals(code: &str) -> Vec<(usize, usize)> {
    let bytes = code.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let start = at;
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                found.push((start, at.min(bytes.len() - 1)));
            }
            // A quote as a character begins no text.
            b'\'' if bytes.get(at + 2) == Some(&b'\'') => at += 2,
            _ => {}
        }
        at += 1;
    }
    found
}

/// Without comments, and without the tests at its end.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let text = without_tests(&text);
    let text = text.split("#[cfg(all(test").next().unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| line.split(" // ").next().unwrap_or(line).to_owned() + "\n")
        .collect()
}

//! Makes the tables of `locales/`, three for each language: those that a browser fetches, and the one that
//! only the server uses. `build.rs` of this crate and `tools/bundle` use it.
//!
//! A table has one line per text, in the order of the keys. A placeholder `{name}` becomes one control
//! character, whose code is the position of the argument among the text's arguments, sorted by name. So
//! filling in needs no search.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use serde_json::Value;

/// The language that defines the keys. Texts that another language lacks are taken from it.
pub const FIRST: &str = "en";
const LANGUAGES: [&str; 2] = [FIRST, "zh-CN"];
/// The parts of a language's file: texts of the first page, of the other pages, and of the server alone.
pub const PARTS: [&str; 3] = ["first", "later", "server"];
/// How many parts, from the first on, have tables that a browser fetches.
pub const FETCHED: usize = 2;
/// The plural forms of a text. Languages without a singular form have only `other`.
const FORMS: [&str; 2] = ["one", "other"];

/// `section.key` → text, or `section.key.one` and `section.key.other`.
pub type Texts = BTreeMap<String, String>;

/// Returns file names and contents. `locales` is the folder with one file per language. Fails if a file
/// cannot be read or is not valid.
pub fn tables(locales: &str, parts: &[&'static str]) -> io::Result<Vec<(String, String)>> {
    let each = LANGUAGES.iter().flat_map(|language| parts.iter().map(move |part| (*language, *part)));
    each.map(|(language, part)| {
        let suffix = if part == PARTS[0] { String::new() } else { format!(".{part}") };
        Ok((format!("{language}{suffix}.txt"), table(locales, part, language)?))
    })
    .collect()
}

fn table(locales: &str, part: &str, language: &str) -> io::Result<String> {
    let first = read(locales, part, FIRST)?;
    let own = read(locales, part, language)?;
    let lines = first.iter().map(|(key, text)| {
        let names = names(&first, key);
        let other = key.strip_suffix(".one").map(|stem| format!("{stem}.other"));
        let own = own.get(key).or_else(|| own.get(&other?)).unwrap_or(text);
        mark(own, &names)
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// Replaces placeholders with control characters. The first argument is 1.
fn mark(text: &str, names: &BTreeSet<String>) -> String {
    names.iter().enumerate().fold(text.to_owned(), |text, (index, name)| {
        text.replace(&format!("{{{name}}}"), &char::from(index as u8 + 1).to_string())
    })
}

/// Reads the texts of one part in one language.
pub fn read(locales: &str, part: &str, language: &str) -> io::Result<Texts> {
    let path = Path::new(locales).join(format!("{language}.json"));
    let file = fs::read_to_string(&path)?;
    let bad = |what: &str| io::Error::other(format!("{}: {what}", path.display()));
    let json: Value = serde_json::from_str(&file).map_err(|error| bad(&error.to_string()))?;
    let mut texts = Texts::new();
    let sections = json.get(part).ok_or_else(|| bad(&format!("there is no part {part}")))?;
    flatten("", sections, &mut texts).map_err(|key| bad(&format!("{key} is no text")))?;
    match texts.iter().find(|(_, text)| text.contains(char::is_control)) {
        Some((key, _)) => Err(bad(&format!("{key} has more than one line"))),
        None => Ok(texts),
    }
}

fn flatten(path: &str, value: &Value, into: &mut Texts) -> Result<(), String> {
    match value {
        Value::String(text) => {
            into.insert(path.to_owned(), text.clone());
            Ok(())
        }
        Value::Object(members) => members.iter().try_for_each(|(name, value)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            flatten(&path, value, into)
        }),
        _ => Err(path.to_owned()),
    }
}

/// Returns the placeholders of a text, in all of its plural forms.
pub fn names(texts: &Texts, key: &str) -> BTreeSet<String> {
    let stem = stem(key);
    let forms = texts.iter().filter(|(other, _)| self::stem(other) == stem);
    let names =
        forms.flat_map(|(_, text)| text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)));
    names.map(str::to_owned).collect()
}

/// Returns the key that code names: without the plural form.
pub fn stem(key: &str) -> &str {
    FORMS.iter().find_map(|form| key.strip_suffix(form)?.strip_suffix('.')).unwrap_or(key)
}

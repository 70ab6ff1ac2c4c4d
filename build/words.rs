//! Makes of `locales/` what `src/words` needs: a key for each text, and the texts of each language as three tables: what
//! the first page says, what only the others do (`locales/later`), which a browser fetches along with their code, and
//! what the server alone writes (`locales/server`).
//!
//! A table has one line a text, in the order of the keys. A placeholder `{name}` stands in it as one control character
//! that says which of the text's arguments, sorted by name, goes there: filling needs no search. `scripts/pack.mjs`
//! makes the same tables for the browser; [`check`] holds the two to each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs, io,
    path::Path,
};

use serde_json::Value;

/// The language whose keys count; what another lacks is read in this one.
const FIRST: &str = "en";
const LANGUAGES: [&str; 2] = [FIRST, "zh-CN"];
/// Folders of `locales/`, and of its tables.
const PARTS: [&str; 3] = ["", "later", "server"];
/// How many of them a browser fetches.
const FETCHED: usize = 2;
/// The forms of a text that depends on a number. Languages without a form for one thing have the other alone.
const FORMS: [&str; 2] = ["one", "other"];
/// The number that such a text depends on.
const COUNT: &str = "n";

/// `section.key` → text, or `section.key.one` and `section.key.other`.
type Texts = BTreeMap<String, String>;

pub fn generate() -> io::Result<()> {
    println!("cargo:rerun-if-changed=locales");
    println!("cargo:rerun-if-changed=build");
    let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    let out = Path::new(&out);
    fs::write(out.join("keys.rs"), keys()?)?;
    for (name, table) in tables(&PARTS)? {
        fs::write(out.join(name), table)?;
    }
    Ok(())
}

/// The bundle's tables are those of this source.
pub fn check(site: &Path) -> io::Result<()> {
    let folders = fs::read_dir(site.join("pkg"))?.collect::<Result<Vec<_>, _>>()?;
    for (name, table) in tables(&PARTS[..FETCHED])? {
        for folder in &folders {
            let file = folder.path().join(&name);
            if fs::read_to_string(&file)? != table {
                let text = format!("{} is not what locales/ says: make the bundle anew", file.display());
                return Err(io::Error::other(text));
            }
        }
    }
    Ok(())
}

/// File names and contents.
fn tables(parts: &[&'static str]) -> io::Result<Vec<(String, String)>> {
    let each = LANGUAGES.iter().flat_map(|language| parts.iter().map(move |part| (*language, *part)));
    each.map(|(language, part)| {
        let dot = if part.is_empty() { "" } else { "." };
        Ok((format!("{language}{dot}{part}.txt"), table(part, language)?))
    })
    .collect()
}

fn table(part: &str, language: &str) -> io::Result<String> {
    let first = read(part, FIRST)?;
    let own = read(part, language)?;
    let lines = first.iter().map(|(key, text)| {
        let names = names(&first, key);
        let other = key.strip_suffix(".one").map(|stem| format!("{stem}.other"));
        let own = own.get(key).or_else(|| own.get(&other?)).unwrap_or(text);
        mark(own, &names)
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// Placeholders as control characters: the first argument is 1.
fn mark(text: &str, names: &BTreeSet<String>) -> String {
    names.iter().enumerate().fold(text.to_owned(), |text, (index, name)| {
        text.replace(&format!("{{{name}}}"), &char::from(index as u8 + 1).to_string())
    })
}

fn read(part: &str, language: &str) -> io::Result<Texts> {
    let path = Path::new("locales").join(part).join(format!("{language}.json"));
    let file = fs::read_to_string(&path)?;
    let bad = |what: &str| io::Error::other(format!("{}: {what}", path.display()));
    let json: Value = serde_json::from_str(&file).map_err(|error| bad(&error.to_string()))?;
    let mut texts = Texts::new();
    flatten("", &json, &mut texts).map_err(|key| bad(&format!("{key} is no text")))?;
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

/// The placeholders of a text, in all of its forms.
fn names(texts: &Texts, key: &str) -> BTreeSet<String> {
    let stem = stem(key);
    let forms = texts.iter().filter(|(other, _)| self::stem(other) == stem);
    let names =
        forms.flat_map(|(_, text)| text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)));
    names.map(str::to_owned).collect()
}

/// The key that code names: without the form.
fn stem(key: &str) -> &str {
    FORMS.iter().find_map(|form| key.strip_suffix(form)?.strip_suffix('.')).unwrap_or(key)
}

/// One module a section; in it a constant for each plain text and a type for each that has something to fill in.
/// `messages` has the latter once more, for texts that one writes and another reads.
fn keys() -> io::Result<String> {
    let parts = PARTS.iter().map(|part| read(part, FIRST)).collect::<Result<Vec<_>, _>>()?;
    let mut sections = BTreeMap::<&str, [String; 2]>::new();
    let all = parts.iter().flat_map(|texts| texts.keys().map(move |key| (texts, key)));
    for (index, (texts, key)) in all.enumerate() {
        if key.ends_with(".other") {
            continue;
        }
        let Some((section, name)) = stem(key).split_once('.').filter(|(_, name)| !name.contains('.')) else {
            return Err(io::Error::other(format!("locales: {key} is not of the form section.key")));
        };
        let text = Text { name, index, names: names(texts, key), plural: stem(key) != key };
        let [own, messages] = sections.entry(section).or_default();
        own.push_str(&if text.names.is_empty() { text.constant() } else { text.filled() });
        if !text.names.is_empty() {
            messages.push_str(&text.message());
        }
    }
    let module = |section: &str, code: &str| format!("pub mod {section} {{ use super::*;\n{code}}}\n");
    let own: String = sections.iter().map(|(section, [own, _])| module(section, own)).collect();
    let messages: String =
        sections.iter().map(|(section, [_, messages])| module(section, messages)).collect();
    let counts: Vec<_> = parts[..FETCHED].iter().map(BTreeMap::len).collect();
    Ok(format!(
        "use crate::model::message::{{Key, Message}};\n\
         /// How many lines the tables have that a browser fetches.\npub const COUNTS: [usize; {FETCHED}] = {counts:?};\n{own}\
         #[cfg(feature = \"ssr\")]\npub mod messages {{ use super::Message; use super::Key;\n{messages}}}\n"
    ))
}

/// A text, as code names it.
struct Text<'a> {
    name: &'a str,
    index: usize,
    names: BTreeSet<String>,
    plural: bool,
}

impl Text<'_> {
    fn constant(&self) -> String {
        format!("pub const {}: Key = Key({});\n", self.name, self.index)
    }

    fn filled(&self) -> String {
        let argument = |name: &str| {
            if self.counts(name) {
                format!("&crate::words::count(*self.{name})")
            } else {
                format!("self.{name}")
            }
        };
        format!(
            "pub struct {0}<'a> {{ {1} }}\n\
             impl {0}<'_> {{ pub fn text(self) -> String {{ crate::words::fill({2}, &[{3}]) }} }}\n",
            self.name,
            self.each(|name| format!("pub {name}: &'a {}", if self.counts(name) { "u32" } else { "str" })),
            self.key("*self.n"),
            self.each(argument),
        )
    }

    fn message(&self) -> String {
        let argument = |name: &str| {
            if self.counts(name) {
                format!("crate::words::count(self.{name}).into()")
            } else {
                format!("self.{name}")
            }
        };
        format!(
            "pub struct {0} {{ {1} }}\n\
             impl {0} {{ pub fn message(self) -> Message {{ Message::Said({2}, vec![{3}]) }} }}\n",
            self.name,
            self.each(|name| format!("pub {name}: {}", if self.counts(name) { "u32" } else { "Message" })),
            self.key("self.n"),
            self.each(argument),
        )
    }

    fn key(&self, n: &str) -> String {
        if self.plural {
            format!("crate::words::form(Key({}), {n})", self.index)
        } else {
            format!("Key({})", self.index)
        }
    }

    fn counts(&self, name: &str) -> bool {
        self.plural && name == COUNT
    }

    fn each(&self, code: impl Fn(&str) -> String) -> String {
        self.names.iter().map(|name| code(name)).collect::<Vec<_>>().join(", ")
    }
}

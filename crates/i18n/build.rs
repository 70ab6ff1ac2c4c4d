//! Generates a key for each text of `locales/`, and the tables of each language, which `src/lib.rs` includes.

#[path = "build/tables.rs"]
mod tables;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs, io,
    path::Path,
};

use tables::{FETCHED, FIRST, PARTS, names, read, stem, tables};

/// The placeholder for the number that the plural form of a text depends on.
const COUNT: &str = "n";
/// The folder of the texts. Cargo runs this script in the folder of the crate.
const LOCALES: &str = "locales";

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=locales");
    println!("cargo:rerun-if-changed=build");
    let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    let out = Path::new(&out);
    fs::write(out.join("keys.rs"), keys()?)?;
    for (name, table) in tables(LOCALES, &PARTS)? {
        fs::write(out.join(name), table)?;
    }
    Ok(())
}

/// Returns one module per section, with a constant for each plain text and a type for each text with
/// placeholders. `messages` repeats the latter for texts that the server writes and each reader reads in
/// their own language.
fn keys() -> io::Result<String> {
    let parts = PARTS.iter().map(|part| read(LOCALES, part, FIRST)).collect::<Result<Vec<_>, _>>()?;
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
        "use crate::{{Key, Message}};\n\
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
            if self.counts(name) { format!("&crate::count(*self.{name})") } else { format!("self.{name}") }
        };
        format!(
            "pub struct {0}<'a> {{ {1} }}\n\
             impl {0}<'_> {{ pub fn text(self) -> String {{ crate::fill({2}, &[{3}]) }} }}\n",
            self.name,
            self.each(|name| format!("pub {name}: &'a {}", if self.counts(name) { "u32" } else { "str" })),
            self.key("*self.n"),
            self.each(argument),
        )
    }

    fn message(&self) -> String {
        let argument = |name: &str| {
            if self.counts(name) {
                format!("crate::count(self.{name}).into()")
            } else {
                format!("self.{name}")
            }
        };
        format!(
            "pub struct {0} {{ {1} }}\n\
             impl {0} {{ pub fn message(self) -> Message {{ Message::Template({2}, vec![{3}]) }} }}\n",
            self.name,
            self.each(|name| format!("pub {name}: {}", if self.counts(name) { "u32" } else { "Message" })),
            self.key("self.n"),
            self.each(argument),
        )
    }

    fn key(&self, n: &str) -> String {
        if self.plural {
            format!("crate::form(Key({}), {n})", self.index)
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

//! All text that people read, in their language. The texts are in `locales/`, one file per language.
//!
//! `t!(section.key)` returns a text, `t!(section.key, name = value)` a text with its placeholders filled in;
//! a key or name that is not in `locales/en.json` does not compile. `msg!` makes a [`Message`] in the same
//! way, for text that the server writes and each reader gets in their own language. The server holds all
//! languages and takes the one to use from the request's context. The browser's half holds none: the page's
//! script fetches the table of the page's language beside the WebAssembly, so nobody downloads a language
//! they do not read, and once the page is interactive no text has to be waited for. Texts that the first page
//! does not need (the part `later`) come with the code of the other pages. The browser never gets the texts
//! that only the server writes (the part `server`), since a `Message` is sent as text.
//!
//! leptos_i18n does the same and is maintained, but with a single text it made the first download 36.6 kB
//! larger, of 160 kB in all (its hydration reads JavaScript values through serde, and its context includes
//! the cookies and locales of leptos-use).

mod lang;
#[cfg(feature = "ssr")]
mod localize;
mod names;

pub use lang::Lang;
#[cfg(feature = "ssr")]
pub use localize::Localize;
pub use names::{attention_kind, expected, gives, permission, reason, source_state, status};
#[cfg(feature = "ssr")]
pub use names::{expected_english, expected_message, span};

pub use model::message::{Key, Message};

/// A constant or a type for each text in `locales/en.json`, with the name it has there (hence the naming
/// lints, and a section `keys`). Each section's module imports what its texts need.
#[allow(clippy::module_inception, non_camel_case_types, non_upper_case_globals, unused_imports)]
pub mod keys {
    include!(concat!(env!("OUT_DIR"), "/keys.rs"));
}

/// Returns a text: `t!(list.heading)`. With placeholders:
/// `t!(list.range, first = "1", last = number, all = all)`. All placeholders are given by name, each as a
/// string; `n` of a text with plural forms is a `u32`.
#[macro_export]
macro_rules! t {
    ($section:ident.$key:ident) => { $crate::text($crate::keys::$section::$key) };
    ($section:ident.$key:ident, $($name:ident = $value:expr),+ $(,)?) => {
        $crate::keys::$section::$key { $($name: &$value),+ }.text()
    };
}
/// Returns the key of a text without placeholders, for constants and choices. [`text`] returns its text.
#[macro_export]
macro_rules! key {
    ($section:ident.$key:ident) => {
        $crate::keys::$section::$key
    };
}
/// Makes a [`Message`] with the syntax of `t!`. An argument may be a message, a key or a string.
#[cfg(feature = "ssr")]
#[macro_export]
macro_rules! msg {
    ($section:ident.$key:ident) => { $crate::Message::from($crate::keys::$section::$key) };
    ($section:ident.$key:ident, $($name:ident = $value:expr),+ $(,)?) => {
        $crate::keys::messages::$section::$key { $($name: ($value).into()),+ }.message()
    };
}
/// A placeholder's value that is replaced by an element: fill it in, and split the text there with
/// [`around`].
pub const MARK: &str = "\u{1}";

/// Returns the text in the language of the request, or of the page.
pub fn text(key: Key) -> &'static str {
    table::line(key.0.into())
}

/// Returns a text with its arguments filled in. Placeholders are the control characters from 1 on.
pub fn fill(key: Key, arguments: &[&str]) -> String {
    fill_in(text(key), arguments)
}

fn fill_in(text: &str, arguments: &[&str]) -> String {
    let mut out = String::new();
    for piece in text.split_inclusive(is_placeholder) {
        let words = piece.trim_end_matches(is_placeholder);
        out.push_str(words);
        if let Some(mark) = piece.as_bytes().get(words.len()) {
            out.push_str(arguments.get(usize::from(*mark) - 1).copied().unwrap_or_default());
        }
    }
    out
}

fn is_placeholder(c: char) -> bool {
    c != '\0' && c < ' '
}

/// Returns the text before and after the [`MARK`].
pub fn around(text: &str) -> (String, String) {
    let (before, after) = text.split_once(MARK).unwrap_or((text, ""));
    (before.to_owned(), after.to_owned())
}

/// Returns the key of the plural form for `n`. The form for 1 comes before the other; a language without it
/// has the other twice.
pub fn form(one: Key, n: u32) -> Key {
    if n == 1 { one } else { Key(one.0 + 1) }
}

/// Returns a number for use in a sentence, with thousands grouped.
pub fn count(n: u32) -> String {
    model::format::grouped(n.into())
}

/// Renders a [`Message`] as text.
#[cfg(feature = "ssr")]
pub trait Render {
    fn render(&self, lang: Lang) -> String;

    /// Renders the message in English, for programs, logs and terminals.
    fn english(&self) -> String {
        self.render(Lang::English)
    }
}

#[cfg(feature = "ssr")]
impl Render for Message {
    fn render(&self, lang: Lang) -> String {
        match self {
            Self::Raw(text) => text.clone(),
            Self::Template(key, arguments) => {
                let arguments: Vec<String> = arguments.iter().map(|argument| argument.render(lang)).collect();
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                fill_in(text_in(lang, *key), &arguments)
            }
            Self::List(parts) => {
                let parts: Vec<String> = parts.iter().map(|part| part.render(lang)).collect();
                parts.join(text_in(lang, key!(error.between)))
            }
        }
    }
}

#[cfg(feature = "ssr")]
pub use table::{text_in, within};

#[cfg(feature = "ssr")]
mod table {
    use std::sync::LazyLock;

    use reactive_graph::owner::{Owner, provide_context, use_context};

    use super::{Key, Lang};

    static TABLES: LazyLock<[Vec<&str>; 2]> = LazyLock::new(|| {
        let en = [
            include_str!(concat!(env!("OUT_DIR"), "/en.txt")),
            include_str!(concat!(env!("OUT_DIR"), "/en.later.txt")),
            include_str!(concat!(env!("OUT_DIR"), "/en.server.txt")),
        ];
        let zh = [
            include_str!(concat!(env!("OUT_DIR"), "/zh-CN.txt")),
            include_str!(concat!(env!("OUT_DIR"), "/zh-CN.later.txt")),
            include_str!(concat!(env!("OUT_DIR"), "/zh-CN.server.txt")),
        ];
        [en, zh].map(|parts| parts.iter().flat_map(|part| part.split('\n')).collect())
    });

    pub fn line(index: usize) -> &'static str {
        line_in(use_context().unwrap_or_default(), index)
    }

    /// Returns a text without placeholders in a given language.
    pub fn text_in(lang: Lang, key: Key) -> &'static str {
        line_in(lang, key.0.into())
    }

    fn line_in(lang: Lang, index: usize) -> &'static str {
        TABLES[lang as usize].get(index).copied().unwrap_or_default()
    }

    /// Runs `write` with a given language, whatever the request's language is.
    pub fn within<T>(lang: Lang, write: impl FnOnce() -> T) -> T {
        Owner::new().with(|| {
            provide_context(lang);
            write()
        })
    }
}

#[cfg(not(feature = "ssr"))]
pub use table::{later, load};

/// Always true: the server has every text.
#[cfg(feature = "ssr")]
pub async fn later() -> bool {
    true
}

#[cfg(not(feature = "ssr"))]
mod table {
    use std::sync::OnceLock;

    use js_sys::{Promise, futures::JsFuture};
    use wasm_bindgen::prelude::*;

    use super::keys::COUNTS;

    type Table = OnceLock<Vec<&'static str>>;

    static FIRST: Table = Table::new();
    static LATER: Table = Table::new();

    #[wasm_bindgen]
    extern "C" {
        /// A function of the page's script: fetches the texts and styles that the first page does not need.
        #[wasm_bindgen(js_name = wukongLater)]
        fn fetch_later() -> Promise;
    }

    /// Loads the page's table. Returns false if it is of another build, whose lines would not match the keys.
    pub fn load(texts: String) -> bool {
        fill(&FIRST, texts, COUNTS[0])
    }

    /// Loads the texts of the other pages. Returns false if they cannot be fetched now.
    pub async fn later() -> bool {
        LATER.get().is_some() || {
            let texts = JsFuture::from(fetch_later())
                .await
                .ok()
                .and_then(|texts| texts.as_string())
                .unwrap_or_default();
            // Two pages may have waited for the same fetch.
            LATER.get().is_some() || fill(&LATER, texts, COUNTS[1])
        }
    }

    fn fill(table: &Table, texts: String, count: usize) -> bool {
        let complete = texts.split('\n').count() == count;
        if complete {
            // Leaked only if the texts are kept, so that repeated fetches do not fill the memory.
            table.get_or_init(|| texts.leak().split('\n').collect());
        }
        complete
    }

    pub fn line(index: usize) -> &'static str {
        let (table, index) = match index.checked_sub(COUNTS[0]) {
            Some(index) => (&LATER, index),
            None => (&FIRST, index),
        };
        table.get().and_then(|lines| lines.get(index)).copied().unwrap_or_default()
    }
}

#[cfg(all(test, feature = "ssr"))]
mod tests;

//! Every word that people read, in their language. The words themselves are in `locales/`, one file a language.
//!
//! `t!(section.key)` is a text, `t!(section.key, name = value)` one with something to fill in; a key or a name that
//! `locales/en.json` does not have does not compile. `msg!` is the same as a [`Message`], for what the server writes and
//! each reader reads in a language of their own. The server holds all languages and asks the request's context for the
//! one to use. The browser's half holds none: the page's script fetches the table of the page's language beside the
//! WebAssembly, so that nobody downloads what they do not read, and texts need no waiting once the page is alive. What
//! the first page does not say (the part `later`) comes with the other pages' code; what the server alone writes
//! (the part `server`) it never sees, for a `Message` goes out as the reader's words.
//!
//! leptos_i18n does the same and is kept, but with a single text it made the first download 36.6 kB larger (its hydration
//! reads JavaScript values through serde, its context brings cookies and locales of leptos-use), of 160 kB for all.

mod lang;
#[cfg(feature = "ssr")]
mod localize;
mod names;

pub use lang::Lang;
#[cfg(feature = "ssr")]
pub use localize::Localize;
pub use names::{expected, gives, permission, reason, source_state, status};
#[cfg(feature = "ssr")]
pub use names::{expected_english, expected_message, span};

pub use model::message::{Key, Message};

/// What `locales/en.json` has: a constant or a type for each text, called as it is there (hence the names, and a section
/// `keys`); each section's module uses what its texts need.
#[allow(clippy::module_inception, non_camel_case_types, non_upper_case_globals, unused_imports)]
pub mod keys {
    include!(concat!(env!("OUT_DIR"), "/keys.rs"));
}

/// A text: `t!(list.heading)`. With placeholders: `t!(list.range, first = "1", last = number, all = all)`, all of them
/// by name, each a string; `n` of a text with forms for one and other is a `u32`.
#[macro_export]
macro_rules! t {
    ($section:ident.$key:ident) => { $crate::text($crate::keys::$section::$key) };
    ($section:ident.$key:ident, $($name:ident = $value:expr),+ $(,)?) => {
        $crate::keys::$section::$key { $($name: &$value),+ }.text()
    };
}
/// The key of a text without placeholders, for constants and choices: [`text`] reads it.
#[macro_export]
macro_rules! key {
    ($section:ident.$key:ident) => {
        $crate::keys::$section::$key
    };
}
/// A [`Message`], written as with `t!`; what is filled in may be a message, a key or a string.
#[cfg(feature = "ssr")]
#[macro_export]
macro_rules! msg {
    ($section:ident.$key:ident) => { $crate::Message::from($crate::keys::$section::$key) };
    ($section:ident.$key:ident, $($name:ident = $value:expr),+ $(,)?) => {
        $crate::keys::messages::$section::$key { $($name: ($value).into()),+ }.message()
    };
}
/// Fill it in for what becomes an element of its own, and cut the text there with [`around`].
pub const MARK: &str = "\u{1}";

/// In the language of the request, or of the page.
pub fn text(key: Key) -> &'static str {
    table::line(key.0.into())
}

/// A text with its arguments in place. Placeholders are the control characters from 1.
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

/// What stands before and after the [`MARK`].
pub fn around(text: &str) -> (String, String) {
    let (before, after) = text.split_once(MARK).unwrap_or((text, ""));
    (before.to_owned(), after.to_owned())
}

/// The form for a number: the one for 1 stands before the other. A language without it has the other twice.
pub fn form(one: Key, n: u32) -> Key {
    if n == 1 { one } else { Key(one.0 + 1) }
}

/// A number in a sentence.
pub fn count(n: u32) -> String {
    model::format::grouped(n.into())
}

/// Gives a [`Message`] its words.
#[cfg(feature = "ssr")]
pub trait Render {
    fn render(&self, lang: Lang) -> String;

    /// In English, which is what programs, logs and terminals read.
    fn english(&self) -> String {
        self.render(Lang::English)
    }
}

#[cfg(feature = "ssr")]
impl Render for Message {
    fn render(&self, lang: Lang) -> String {
        match self {
            Self::Raw(text) => text.clone(),
            Self::Said(key, arguments) => {
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

    /// A text without placeholders in a language.
    pub fn text_in(lang: Lang, key: Key) -> &'static str {
        line_in(lang, key.0.into())
    }

    fn line_in(lang: Lang, index: usize) -> &'static str {
        TABLES[lang as usize].get(index).copied().unwrap_or_default()
    }

    /// Runs what writes words in a language of its own, whatever the request's is.
    pub fn within<T>(lang: Lang, write: impl FnOnce() -> T) -> T {
        Owner::new().with(|| {
            provide_context(lang);
            write()
        })
    }
}

#[cfg(not(feature = "ssr"))]
pub use table::{later, load};

/// On the server every word is there.
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
        /// Of the page's script: the words, and the styles with them, that the first page does without.
        #[wasm_bindgen(js_name = wukongLater)]
        fn fetch_later() -> Promise;
    }

    /// Takes the page's table over. False where it is not that of this build: its words would stand in wrong places.
    pub fn load(texts: String) -> bool {
        fill(&FIRST, texts, COUNTS[0])
    }

    /// Brings the words of every page but the first. False where they cannot be had now.
    pub async fn later() -> bool {
        LATER.get().is_some() || {
            let texts = JsFuture::from(fetch_later())
                .await
                .ok()
                .and_then(|texts| texts.as_string())
                .unwrap_or_default();
            // Two pages may have waited for them.
            LATER.get().is_some() || fill(&LATER, texts, COUNTS[1])
        }
    }

    fn fill(table: &Table, texts: String, count: usize) -> bool {
        // Kept for ever only where it is taken: what cannot be had is asked for again and again.
        texts.split('\n').count() == count && table.set(texts.leak().split('\n').collect()).is_ok()
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

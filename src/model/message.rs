//! A sentence whose words are chosen when somebody reads it: the server writes it, each reader has a language.

use serde::{Deserialize, Serialize};

/// Names one text of `locales/`: its line in each language's table. Made by `build.rs` alone; see `words::keys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key(pub u16);

/// A sentence, a command or what a source said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// The same in every language: a command, a name, somebody else's words.
    Raw(String),
    /// A text, and what is filled in, in the order of its placeholders' names.
    Said(Key, Vec<Message>),
    /// One after another.
    List(Vec<Message>),
}

impl Message {
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Raw(text) => text.is_empty(),
            Self::Said(..) => false,
            Self::List(parts) => parts.is_empty(),
        }
    }
}

impl Default for Message {
    fn default() -> Self {
        Self::Raw(String::new())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Raw(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Raw(text.to_owned())
    }
}

impl From<Key> for Message {
    fn from(key: Key) -> Self {
        Self::Said(key, Vec::new())
    }
}

//! A sentence without a language. The server writes it as a key and its arguments; `i18n` renders it in each
//! reader's language.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Identifies one text of `locales/`: its line in each language's table. Only `build.rs` of `i18n` makes
/// keys; see `i18n::keys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key(pub u16);

/// A sentence, a command, or what a source said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A text that is the same in every language: a command, a name, the words of a source. Localized
    /// messages are of this kind.
    Raw(String),
    /// A text and its arguments, in the order of the placeholders' names.
    Template(Key, Vec<Message>),
    /// Several messages, one after another.
    List(Vec<Message>),
}

impl Message {
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Raw(text) => text.is_empty(),
            Self::Template(..) => false,
            Self::List(parts) => parts.is_empty(),
        }
    }

    /// Returns the text of a localized message, as views hold it. This crate has no texts: of a message that
    /// was not localized only the arguments are left, and a debug build panics.
    pub fn text(&self) -> String {
        match self {
            Self::Raw(text) => text.clone(),
            Self::Template(_, parts) | Self::List(parts) => {
                debug_assert!(false, "this message is not localized: {self:?}");
                parts.iter().map(Self::text).collect::<Vec<_>>().join(" ")
            }
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
        Self::Template(key, Vec::new())
    }
}

/// Serializes the message as its text: see [`Message::text`].
impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Raw(text) => serializer.serialize_str(text),
            Self::Template(..) | Self::List(_) => serializer.serialize_str(&self.text()),
        }
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::Raw)
    }
}

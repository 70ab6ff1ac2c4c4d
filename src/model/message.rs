//! A sentence whose words are chosen when somebody reads it: the server writes it, each reader has a language.

use serde::{Deserialize, Serialize};

/// Names one text of `locales/`: its line in each language's table. Made by `build.rs` alone; see `words::keys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key(pub u16);

#[cfg(feature = "ssr")]
pub use said::Message;
#[cfg(not(feature = "ssr"))]
pub use words::Message;

#[cfg(feature = "ssr")]
mod said {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Key;

    /// A sentence, a command or what a source said.
    #[derive(Clone, Debug, PartialEq, Eq)]
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

    /// It goes out in the language of whoever is being answered, as the words that it is.
    impl Serialize for Message {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(&self.text())
        }
    }

    impl<'de> Deserialize<'de> for Message {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            String::deserialize(deserializer).map(Self::Raw)
        }
    }
}

#[cfg(not(feature = "ssr"))]
mod words {
    use serde::{Deserialize, Serialize};

    /// A sentence as the server wrote it, in the page's language.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Message(String);

    impl Message {
        pub fn is_empty(&self) -> bool {
            self.0.is_empty()
        }

        pub fn text(&self) -> String {
            self.0.clone()
        }
    }
}

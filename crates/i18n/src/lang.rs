//! The languages of the program.

/// A language of `locales/`, in the order of the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lang {
    #[default]
    English,
    Chinese,
}

impl Lang {
    /// The tag, as in `lang` attributes, addresses and the file names of `locales/`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// Returns the language of an RFC 5646 tag, by its first subtag: readers of any Chinese get the Chinese
    /// texts.
    #[cfg(feature = "ssr")]
    pub fn of_tag(tag: &str) -> Option<Self> {
        match tag.split('-').next() {
            Some(first) if first.eq_ignore_ascii_case("en") => Some(Self::English),
            Some(first) if first.eq_ignore_ascii_case("zh") => Some(Self::Chinese),
            _ => None,
        }
    }
}

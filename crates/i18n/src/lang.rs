//! The languages that there are.

/// A language of `locales/`, in the order of the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lang {
    #[default]
    English,
    Chinese,
}

impl Lang {
    /// As in `lang` attributes, addresses and the names of `locales/`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// The language of a tag of RFC 5646, by its first part: whoever reads any Chinese is better off with this one.
    #[cfg(feature = "ssr")]
    pub fn of_tag(tag: &str) -> Option<Self> {
        match tag.split('-').next() {
            Some(first) if first.eq_ignore_ascii_case("en") => Some(Self::English),
            Some(first) if first.eq_ignore_ascii_case("zh") => Some(Self::Chinese),
            _ => None,
        }
    }
}

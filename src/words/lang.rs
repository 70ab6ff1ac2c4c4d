//! The languages that there are.

/// A language of `locales/`, in the order of the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    #[default]
    English,
    Chinese,
}

impl Lang {
    pub const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// As in `lang` attributes, addresses and the names of `locales/`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }
}

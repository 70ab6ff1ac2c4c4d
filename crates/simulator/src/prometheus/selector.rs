//! Which series a query means.

use super::pattern::Pattern;

/// The metric's name is the label `__name__`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selector(pub Vec<Matcher>);

#[derive(Clone, Debug, PartialEq)]
pub struct Matcher {
    pub label: String,
    pub wanted: bool,
    pub pattern: Test,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    Equal(String),
    Like(Pattern),
}

impl Selector {
    pub fn matches(&self, labels: &[(String, String)]) -> bool {
        let value =
            |name: &str| labels.iter().find(|(label, _)| label == name).map_or("", |(_, value)| value);
        self.0.iter().all(|matcher| matcher.allows(value(&matcher.label)))
    }

    /// Whether a series with this one label alone would match, as far as that label goes.
    pub fn allows(&self, label: &str, value: &str) -> bool {
        self.0.iter().filter(|matcher| matcher.label == label).all(|matcher| matcher.allows(value))
    }
}

impl Matcher {
    fn allows(&self, value: &str) -> bool {
        let found = match &self.pattern {
            Test::Equal(text) => text == value,
            Test::Like(pattern) => pattern.matches(value),
        };
        found == self.wanted
    }
}

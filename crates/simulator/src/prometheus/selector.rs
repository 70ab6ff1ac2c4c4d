//! Matchers that select series.

use super::pattern::Pattern;

/// A selector. The metric's name is the label `__name__`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selector(pub Vec<Matcher>);

/// A label matcher. `wanted` is false for `!=` and `!~`.
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
    /// Whether a series with these labels matches. A missing label counts as empty.
    pub fn matches(&self, labels: &[(String, String)]) -> bool {
        let value =
            |name: &str| labels.iter().find(|(label, _)| label == name).map_or("", |(_, value)| value);
        self.0.iter().all(|matcher| matcher.allows(value(&matcher.label)))
    }

    /// Whether the matchers of this label accept the value; other labels are not checked.
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

//! Regular expressions of label matchers. Prometheus uses RE2, whose syntax the `regex` crate shares.

use regex::Regex;

/// A pattern that must match the whole text, since Prometheus anchors its patterns.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Parses a pattern. The error is a message in Prometheus' words.
    pub fn parse(text: &str) -> Result<Self, String> {
        // `model/labels/regexp.go` of Prometheus: `^(?s:` + pattern + `)$`.
        let anchored = format!("^(?s:{text})$");
        Regex::new(&anchored).map(Self).map_err(|_| format!("error parsing regexp: `{text}`"))
    }

    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, yes, no) in [
            ("a|b", &["a", "b"][..], &["ab", "", "c"][..]),
            ("x_(a|b)_y|z", &["x_a_y", "x_b_y", "z"], &["x_a", "x_c_y", "zz"]),
            ("shop.*", &["shop", "shop-eu1", "shop\n"], &["ashop"]),
            (".+-db", &["web-db"], &["web", "web-db-2"]),
            ("a\\.b", &["a.b"], &["axb"]),
            ("[^x]+", &["root", "["], &["x", ""]),
            ("\\[\\^x\\]\\+", &["[^x]+"], &["root"]),
        ] {
            let pattern = Pattern::parse(pattern).unwrap();
            assert!(yes.iter().all(|text| pattern.matches(text)), "{pattern:?}");
            assert!(!no.iter().any(|text| pattern.matches(text)), "{pattern:?}");
        }
        for odd in ["(a", "a)", "[ab", "\\"] {
            assert!(Pattern::parse(odd).is_err(), "{odd}");
        }
    }
}

//! Regular expressions, as far as label matchers need them: alternatives, groups, and `.*` or `.+` for anything.

use std::{iter::Peekable, str::Chars};

/// What anything stands for in an alternative.
const ANY: char = '\0';

/// A pattern as the list of what it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<String>);

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut chars = text.chars().peekable();
        let found = alternatives(&mut chars, text)?;
        match chars.next() {
            None => Ok(Self(found)),
            Some(_) => Err(format!("error parsing regexp: unexpected ): `{text}`")),
        }
    }

    /// The whole text, as Prometheus anchors its patterns.
    pub fn matches(&self, text: &str) -> bool {
        self.0.iter().any(|alternative| fits(alternative, text))
    }
}

/// Up to the end, or to a closing parenthesis that is left to the caller.
fn alternatives(chars: &mut Peekable<Chars<'_>>, whole: &str) -> Result<Vec<String>, String> {
    let (mut done, mut now) = (Vec::new(), vec![String::new()]);
    loop {
        let tails = match chars.peek() {
            None | Some(')') => {
                done.append(&mut now);
                return Ok(done);
            }
            Some('|') => {
                done.append(&mut now);
                now.push(String::new());
                chars.next();
                continue;
            }
            Some(_) => atom(chars, whole)?,
        };
        now = now.iter().flat_map(|head| tails.iter().map(move |tail| format!("{head}{tail}"))).collect();
    }
}

fn atom(chars: &mut Peekable<Chars<'_>>, whole: &str) -> Result<Vec<String>, String> {
    let odd = || format!("this simulated Prometheus cannot read the pattern `{whole}`");
    match chars.next().ok_or_else(odd)? {
        '(' => {
            let inner = alternatives(chars, whole)?;
            chars.next().ok_or_else(odd).map(|_| inner)
        }
        '\\' => Ok(vec![chars.next().ok_or_else(odd)?.to_string()]),
        '.' => match chars.next() {
            Some('*' | '+') => Ok(vec![ANY.to_string()]),
            _ => Err(odd()),
        },
        '*' | '+' | '?' | '[' | ']' | '{' | '}' | '^' | '$' => Err(odd()),
        literal => Ok(vec![literal.to_string()]),
    }
}

fn fits(alternative: &str, text: &str) -> bool {
    let mut parts = alternative.split(ANY);
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            let Some(at) = rest.find(middle) else { return false };
            rest = &rest[at + middle.len()..];
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, yes, no) in [
            ("a|b", &["a", "b"][..], &["ab", "", "c"][..]),
            ("x_(a|b)_y|z", &["x_a_y", "x_b_y", "z"], &["x_a", "x_c_y", "zz"]),
            ("shop.*", &["shop", "shop-eu1"], &["ashop"]),
            (".+-db", &["web-db"], &["web", "web-db-2"]),
            ("a.*b.*c", &["abc", "a-b-c"], &["acb", "ab"]),
            ("a\\.b", &["a.b"], &["axb"]),
        ] {
            let pattern = Pattern::parse(pattern).unwrap();
            assert!(yes.iter().all(|text| pattern.matches(text)), "{pattern:?}");
            assert!(!no.iter().any(|text| pattern.matches(text)), "{pattern:?}");
        }
        for odd in ["(a", "a)", "a?", "[ab]", "a.b", "\\"] {
            assert!(Pattern::parse(odd).is_err(), "{odd}");
        }
    }
}

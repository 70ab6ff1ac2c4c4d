//! Parses the query parameters of an address. Pages, the API and server functions use it, on the server and
//! in the browser, so that an address means the same to all of them.
//!
//! The format is `application/x-www-form-urlencoded`
//! (<https://url.spec.whatwg.org/#concept-urlencoded-parser>). Each text is decoded once, and whatever other
//! parsers read differently is rejected: a parameter appears once, a `%` begins a byte, bytes are UTF-8, and
//! no text holds invisible characters. (leptos_router 0.8.17 decodes twice, in `ParamsMap::insert`, and reads
//! bytes that are not UTF-8 differently in the browser than on the server.)

use super::bad_param::{BadParam, Expected};

/// The most parameters of one address. The list's page has 12, and a language.
const MOST: usize = 64;

/// The parameters of one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Parses a query string, with or without its question mark. The error names the parameter.
    pub fn parse(query: &str) -> Result<Self, BadParam> {
        let mut params = Self::default();
        let query = query.strip_prefix('?').unwrap_or(query);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            params.add(pair)?;
        }
        Ok(params)
    }

    /// Returns the value without blanks around it; `None` if it is empty, since forms send every field.
    pub fn get(&self, name: &str) -> Option<String> {
        let value = self.0.iter().find(|(known, _)| known == name)?.1.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// Returns names and values, in the order of the address.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn add(&mut self, pair: &str) -> Result<(), BadParam> {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = visible(name).map_err(|expected| bad_pair("", expected))?;
        let value = visible(value).map_err(|expected| bad_pair(&name, expected))?;
        if self.0.iter().any(|(known, _)| *known == name) {
            return Err(bad_pair(&name, Expected::Single));
        }
        if self.0.len() == MOST {
            return Err(bad_pair("", Expected::ParamCount));
        }
        self.0.push((name, value));
        Ok(())
    }
}

/// The error for a pair. A parameter name with unusual characters is not repeated in the answer.
fn bad_pair(name: &str, expected: Expected) -> BadParam {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    let named = (1..=32).contains(&name.len()) && name.bytes().all(word);
    BadParam::new(if named { name } else { "query" }, expected)
}

fn visible(text: &str) -> Result<String, Expected> {
    let text = percent_decode(&text.replace('+', " ")).ok_or(Expected::Encoded)?;
    if text.contains(is_unseen) { Err(Expected::Visible) } else { Ok(text) }
}

/// Decodes each `%` and two hex digits to a byte. Returns `None` if a `%` begins no byte, or if the bytes are
/// not UTF-8.
pub fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Whether the character is invisible: a control character (C0, DEL, C1), a line or paragraph separator, or a
/// mark that changes the direction of the text. In a log, a terminal or a page these make one text look like
/// another.
pub fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::query::encode;

    fn get(query: &str, name: &str) -> Result<Option<String>, (String, Expected)> {
        Params::parse(query).map(|params| params.get(name)).map_err(|bad| (bad.field, bad.expected))
    }

    #[test]
    fn texts_are_decoded_once() {
        for (query, want) in [
            ("?q=a+b", "a b"),
            ("q=a%2Bb", "a+b"),
            ("q=%2525", "%25"),
            ("q=%25zz", "%zz"),
            ("%71=%C3%A9", "é"),
            ("x=1&&q=a=b;c&", "a=b;c"),
            ("q=+a+", "a"),
        ] {
            assert_eq!(get(query, "q"), Ok(Some(want.to_owned())), "{query}");
        }
        for query in ["", "?", "q", "q=", "q=+%20", "Q=a", "x=q=a"] {
            assert_eq!(get(query, "q"), Ok(None), "{query}");
        }
    }

    #[test]
    fn ambiguous_parameters_are_refused() {
        for (query, field, expected) in [
            ("q=a&q=a", "q", Expected::Single),
            ("q=&%71=", "q", Expected::Single),
            ("q=%", "q", Expected::Encoded),
            ("q=%4", "q", Expected::Encoded),
            ("q=%+1", "q", Expected::Encoded),
            ("q=%C3", "q", Expected::Encoded),
            ("%zz=1", "query", Expected::Encoded),
            ("q=%00", "q", Expected::Visible),
            ("q=\u{85}", "q", Expected::Visible),
            ("q=\u{202e}", "q", Expected::Visible),
            ("q=%E2%80%A9", "q", Expected::Visible),
            ("a%0Ab=1", "query", Expected::Visible),
            ("a b=%00", "query", Expected::Visible),
        ] {
            assert_eq!(get(query, "q"), Err((field.to_owned(), expected)), "{query}");
        }
        let many = (0..=MOST).map(|n| format!("p{n}=&")).collect::<String>();
        assert_eq!(get(&many, "q"), Err(("query".to_owned(), Expected::ParamCount)));
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_read_back(name in "[a-z]{1,8}", value in any::<String>()) {
            let mut query = [&name, "="].concat();
            encode(&mut query, &value);
            let read = get(&query, &name);
            match value.trim() {
                _ if value.contains(is_unseen) => prop_assert_eq!(read, Err((name, Expected::Visible))),
                "" => prop_assert_eq!(read, Ok(None)),
                text => prop_assert_eq!(read, Ok(Some(text.to_owned()))),
            }
        }

        #[test]
        fn any_text_is_read_or_refused(query in any::<String>()) {
            if let Ok(params) = Params::parse(&query) {
                prop_assert!(params.iter().all(|(name, value)| !name.contains(is_unseen) && !value.contains(is_unseen)));
            }
        }
    }
}

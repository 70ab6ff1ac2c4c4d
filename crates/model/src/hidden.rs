//! Shows characters that people do not see, in names and texts of others: with them, one name can look like another. Only
//! the server uses it. [`params::is_unseen`](super::params::is_unseen) has the fewer characters that an address may not
//! hold: some scripts need the others, such as joiners.

use std::borrow::Cow;

/// Whether the character is shown as nothing, or changes how those around it are shown: controls, formats and separators
/// of lines (general categories Cc, Cf, Zl and Zp), and what Unicode lets programs ignore, such as variation selectors,
/// tags and fillers (`Default_Ignorable_Code_Point`). A test compares it with Unicode's tables.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}' | '\u{891}'
            | '\u{8e2}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Returns the text with each hidden character as its number, such as `\u{202e}`.
pub fn escape_hidden(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_hidden(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn hidden_characters_are_those_of_unicode() {
        let unicode = Regex::new(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]").unwrap();
        let mut text = [0; 4];
        for c in '\0'..=char::MAX {
            assert_eq!(is_hidden(c), unicode.is_match(c.encode_utf8(&mut text)), "{:x}", u32::from(c));
        }
    }

    #[test]
    fn a_hidden_character_is_shown_as_its_number_and_others_stay() {
        for (text, shown) in [
            ("oidc:ana", "oidc:ana"),
            ("王小明 ünï José", "王小明 ünï José"),
            ("e\u{301}", "e\u{301}"),
            ("ana\u{200b}", r"ana\u{200b}"),
            ("\u{202e}nimda", r"\u{202e}nimda"),
            ("a\u{fe0f}b\u{e0041}c\u{e0100}", r"a\u{fe0f}b\u{e0041}c\u{e0100}"),
            ("a\u{2028}\u{2029}\n\u{9b}", r"a\u{2028}\u{2029}\u{a}\u{9b}"),
        ] {
            assert_eq!(escape_hidden(text), shown);
            assert!(!shown.contains(is_hidden));
        }
    }
}

//! Bounds texts from peers: an identifier is kept whole or not at all, a text for people is shortened.

/// Bytes of the longest identifier. Names have at most 253, label values 63, and KubeVirt accepts serials of
/// up to 256.
const LONGEST_IDENTIFIER: usize = 256;

/// Whether the text can be an identifier: short enough and without invisible characters. Otherwise it counts
/// as absent. It is never cut, since a part of it could identify something else.
pub fn is_identifier(text: &str) -> bool {
    text.len() <= LONGEST_IDENTIFIER && (is_plain(text) || !text.chars().any(is_unseen))
}

/// Shortens a text to at most `most` characters on one line, with an ellipsis at the end if it was longer.
/// Characters that would change how the text around them is shown, on a page, in a log or on a terminal, are
/// replaced.
pub fn readable(text: &str, most: usize) -> String {
    if text.len() <= most && is_plain(text) {
        return text.to_owned();
    }
    let mut chars = text.chars().map(seen);
    let mut kept: String = chars.by_ref().take(most).collect();
    if chars.next().is_some() {
        kept.pop();
        kept.push('…');
    }
    kept.shrink_to_fit();
    kept
}

/// Whether the text is ASCII without control characters, as nearly all are.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn seen(c: char) -> char {
    match c {
        '\t' | '\n' | '\r' | '\u{2028}' | '\u{2029}' => ' ',
        c if is_unseen(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// Whether this is a control character, or a Unicode character that reorders, joins or hides text (UAX #9,
/// UTR #36). The joiners U+200C and U+200D are allowed, since several scripts need them.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_for_people_is_cut_at_a_character_and_says_so() {
        for (text, want) in [
            ("debian", "debian"),
            ("debian-12", "debia…"),
            ("德彬系统一二三", "德彬系统一…"),
            ("德彬系统一二", "德彬系统一二"),
            ("éééééé", "éééééé"),
            ("ééééééé", "ééééé…"),
            ("", ""),
        ] {
            assert_eq!(readable(text, 6), want, "{text}");
        }
        let million = "é".repeat(1_000_000);
        let kept = readable(&million, 200);
        assert_eq!((kept.chars().count(), kept.capacity() < 1000), (200, true));
    }

    #[test]
    fn nothing_that_changes_the_text_around_it_is_shown() {
        for (text, want) in [
            ("a\u{1b}[2Jb", "a\u{fffd}[2Jb"),
            ("a\u{202e}b\u{2066}c\u{200f}", "a\u{fffd}b\u{fffd}c\u{fffd}"),
            ("two\nlines\tand\r\u{2028}more", "two lines and  more"),
            ("a\0b\u{7f}c\u{9b}d", "a\u{fffd}b\u{fffd}c\u{fffd}d"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
            ("日本語 ünï", "日本語 ünï"),
        ] {
            assert_eq!(readable(text, 50), want, "{text:?}");
        }
    }

    #[test]
    fn an_identifier_is_whole_or_none() {
        for (text, want) in [
            ("web-1.example.org", true),
            ("", true),
            ("Serial 7/ü", true),
            ("a\nb", false),
            ("a\u{202e}b", false),
            ("a\u{0}", false),
        ] {
            assert_eq!(is_identifier(text), want, "{text:?}");
        }
        assert!(is_identifier(&"a".repeat(256)));
        assert!(!is_identifier(&"a".repeat(257)));
        assert!(!is_identifier(&"é".repeat(129)), "it is counted in bytes");
    }
}

//! Escapes text for HTML, for titles and problem pages, which Leptos does not escape.

/// Returns the text escaped for an HTML element, a title, or an attribute in either kind of quotes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_characters_are_escaped() {
        assert_eq!(escape("</title>&\"'"), "&lt;/title&gt;&amp;&quot;&#39;");
        assert_eq!(escape("web · 商店"), "web · 商店");
    }
}

//! JSON templates: parsed once, then filled by appending to a string, so that rendering 10,000 pods is fast.

/// Text with `${name}` placeholders.
#[derive(Debug)]
pub struct Template {
    /// Each literal, and the placeholder after it.
    parts: Vec<(String, String)>,
    tail: String,
}

impl Template {
    /// Parses a template. White space outside strings is dropped, since the API server writes none.
    pub fn new(source: &str) -> Self {
        let compact = minify(source);
        let mut parts = Vec::new();
        let mut rest = compact.as_str();
        while let Some((literal, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else { break };
            parts.push((literal.to_owned(), name.to_owned()));
            rest = after;
        }
        Self { parts, tail: rest.to_owned() }
    }

    /// Writes the text; `fill` writes the value of each placeholder.
    pub fn render(&self, out: &mut String, mut fill: impl FnMut(&mut String, &str)) {
        for (literal, name) in &self.parts {
            out.push_str(literal);
            fill(out, name);
        }
        out.push_str(&self.tail);
    }
}

/// A JSON string: `"…"` with all necessary escapes, for use in `format!` and the like.
pub struct Quoted<'a>(pub &'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("\"")?;
        let plain = |c: char| c >= ' ' && c != '"' && c != '\\';
        if self.0.chars().all(plain) {
            f.write_str(self.0)?;
        } else {
            self.0.chars().try_for_each(|c| {
                if plain(c) { write!(f, "{c}") } else { write!(f, "\\u{:04x}", c as u32) }
            })?;
        }
        f.write_str("\"")
    }
}

/// Appends to a string, which cannot fail.
macro_rules! put {
    ($out:expr, $($argument:tt)*) => {{
        use std::fmt::Write as _;
        let _ = write!($out, $($argument)*);
    }};
}
pub(crate) use put;

/// Writes `items` with commas between them.
pub fn join<T>(out: &mut String, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut String, T)) {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
}

fn minify(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let (mut inside, mut escaped) = (false, false);
    for c in source.chars() {
        if inside || !c.is_whitespace() {
            out.push(c);
        }
        if c == '"' && !escaped {
            inside = !inside;
        }
        escaped = inside && c == '\\' && !escaped;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_white_space_goes_except_in_strings() {
        let template = Template::new("{ \"a b\": ${x},\n \"c\": \"\\\" ${y} d\" }");
        let mut out = String::new();
        template.render(&mut out, |out, name| out.push_str(if name == "x" { "1" } else { "two" }));
        assert_eq!(out, "{\"a b\":1,\"c\":\"\\\" two d\"}");
    }

    #[test]
    fn any_text_can_be_quoted() {
        let odd = "a\"b\\c\n\u{1}<é>";
        let back: String = serde_json::from_str(&Quoted(odd).to_string()).unwrap();
        assert_eq!(back, odd);
    }
}

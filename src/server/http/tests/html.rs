//! Parses a page as a browser does, and finds hostile text that became markup.

use std::collections::{BTreeMap, BTreeSet};

use html5gum::{DefaultEmitter, HtmlString, StartTag, Token, Tokenizer};

/// Ends a text, an attribute in either kind of quotes, every element whose content is not markup, and a comment. If it
/// breaks out of its place, the page has an element and an attribute that no page has otherwise.
pub const BREAK: &str = "'\"></title></script></style></textarea>--><x-evil x-evil=1>";

/// The name that `BREAK` leaves in a page that it breaks.
const EVIL: &str = "x-evil";

/// Returns a hostile text that contains its own name.
pub fn mark(name: &str) -> String {
    format!("~{name}~{BREAK}")
}

/// Attributes whose values are addresses.
const ADDRESSES: [&str; 12] = [
    "action",
    "background",
    "cite",
    "data",
    "formaction",
    "href",
    "manifest",
    "ping",
    "poster",
    "src",
    "srcset",
    "xlink:href",
];

/// Elements that no page has, since each can make a browser load another address.
const FOREIGN: [&str; 6] = ["applet", "base", "embed", "frame", "iframe", "object"];

/// Elements whose content is code.
const CODE: [&str; 2] = ["script", "style"];

/// A start tag.
#[derive(Debug)]
pub struct Element {
    pub name: String,
    pub attributes: BTreeMap<String, String>,
}

impl Element {
    /// Returns an attribute's value; empty if there is none.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

#[derive(Debug, Default)]
pub struct Page {
    pub elements: Vec<Element>,
    /// Every text and every attribute value of the page, decoded.
    texts: String,
    title: String,
    /// The fields of its forms: name → value.
    pub fields: BTreeMap<String, String>,
    /// Fields that occur twice in one form: the form's address would have two values for them.
    pub repeated: Vec<String>,
    /// The labels of its cards.
    pub cards: Vec<String>,
    pub leaks: Vec<String>,
}

impl Page {
    pub fn read(html: &str) -> Self {
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        let mut page = Self::default();
        let mut inside = String::new();
        let mut form = BTreeSet::new();
        for Ok(token) in Tokenizer::new_with_emitter(html, emitter) {
            match token {
                Token::StartTag(tag) => {
                    inside = text(&tag.name);
                    page.take_tag(&inside, &tag);
                    page.take_field(&mut form, &inside, &tag);
                    page.texts.push('\n');
                }
                Token::EndTag(_) => {
                    inside.clear();
                    page.texts.push('\n');
                }
                Token::String(string) => page.take_text(&inside, &text(&string)),
                Token::Comment(comment) => page.suspect("a comment", &text(&comment)),
                Token::Doctype(_) | Token::Error(_) => {}
            }
        }
        page
    }

    /// The names of the marks that are whole in the page's text.
    pub fn marks(&self) -> BTreeSet<String> {
        let pieces = self.texts.split(BREAK).collect::<Vec<_>>();
        let before_a_break = pieces.iter().take(pieces.len().saturating_sub(1));
        let name = |piece: &&str| Some(piece.strip_suffix('~')?.rsplit('~').next()?.to_owned());
        before_a_break.filter_map(name).collect()
    }

    pub fn title(&self) -> &str {
        &self.title
    }

    fn take_tag(&mut self, name: &str, tag: &StartTag<()>) {
        let attributes: BTreeMap<String, String> =
            tag.attributes.iter().map(|(name, value)| (text(name), text(value))).collect();
        if name == EVIL || FOREIGN.contains(&name) || name == "meta" && attributes.contains_key("http-equiv")
        {
            self.leaks.push(format!("an element <{name}> {attributes:?}"));
        }
        if let ("article", Some(label)) = (name, attributes.get("aria-labelledby")) {
            self.cards.push(label.clone());
        }
        if let ("input", Some(field), Some(value)) = (name, attributes.get("name"), attributes.get("value")) {
            self.fields.insert(field.clone(), value.clone());
        }
        for (attribute, value) in &attributes {
            let runs = attribute.starts_with("on") || attribute == "srcdoc" || attribute.contains(EVIL);
            let styles = attribute == "style" && value.contains(EVIL);
            let leads_away = ADDRESSES.contains(&attribute.as_str()) && !is_local(value);
            if runs || styles || leads_away {
                self.leaks.push(format!("an attribute of <{name}>: {attribute}={value}"));
            }
            self.texts.push('\n');
            self.texts.push_str(value);
        }
        self.elements.push(Element { name: name.to_owned(), attributes });
    }

    /// Buttons may share a name, since only one of them is pressed.
    fn take_field(&mut self, form: &mut BTreeSet<String>, name: &str, tag: &StartTag<()>) {
        if name == "form" {
            form.clear();
        }
        let field = tag.attributes.get(&b"name"[..]).map(|value| text(value));
        if let Some(field) = field.filter(|_| ["input", "select", "textarea"].contains(&name))
            && !form.insert(field.clone())
        {
            self.repeated.push(field);
        }
    }

    fn take_text(&mut self, inside: &str, text: &str) {
        if CODE.contains(&inside) {
            return self.suspect(inside, text);
        }
        if inside == "title" {
            self.title.push_str(text);
        }
        self.texts.push_str(text);
    }

    fn suspect(&mut self, place: &str, text: &str) {
        if text.contains(EVIL) {
            self.leaks.push(format!("in {place}: {text}"));
        }
    }
}

/// Returns whether an address is on this server. Browsers read `//host` and `/\host` as another server.
fn is_local(address: &str) -> bool {
    address.starts_with('#') || address.starts_with('/') && !address[1..].starts_with(['/', '\\'])
}

fn text(html: &HtmlString) -> String {
    String::from_utf8_lossy(html).into_owned()
}

#[test]
fn escaped_marks_are_found_whole() {
    let escaped =
        mark("a").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let page = Page::read(&format!(
        "<title>{escaped}</title><p title=\"{escaped}\">{}</p><a href=\"/x\">y</a>",
        escaped.replace("~a~", "~b.c~").replace("&quot;", "\"")
    ));
    assert_eq!(page.leaks, Vec::<String>::new());
    assert_eq!(page.marks().into_iter().collect::<Vec<_>>(), ["a", "b.c"]);
    assert_eq!(page.title(), mark("a"));
}

#[test]
fn a_planted_leak_is_found_wherever_it_is() {
    let evil = mark("a");
    let quoted = evil.replace('<', "&lt;").replace('>', "&gt;");
    for html in [
        format!("<title>{evil}</title>"),
        format!("<p>{evil}</p>"),
        format!("<p title=\"{evil}\">"),
        // Only the quotes are left.
        format!("<p title='{}'>", quoted.replace('>', " x-evil=1 ")),
        format!("<p title=\"{}\">", quoted.replace("&gt;", " x-evil=1 ")),
        format!("<p title={evil}>"),
        format!("<script>let a = \"{evil}\"</script>"),
        "<script>let a = \"x-evil\"</script>".to_owned(),
        "<style>.x-evil {}</style>".to_owned(),
        format!("<!-- {evil} -->"),
        "<a href=\"javascript:alert(1)\">".to_owned(),
        "<a href=\"//evil.example\">".to_owned(),
        "<a href=\"/\\evil.example\">".to_owned(),
        "<a href=\"https://evil.example\">".to_owned(),
        "<form action=\"https://evil.example\">".to_owned(),
        "<p onclick=\"alert(1)\">".to_owned(),
        "<p style=\"--x-evil: 1\">".to_owned(),
        "<meta http-equiv=\"refresh\" content=\"0;url=https://evil.example\">".to_owned(),
        "<base href=\"/\">".to_owned(),
    ] {
        assert!(!Page::read(&html).leaks.is_empty(), "{html}");
    }
}

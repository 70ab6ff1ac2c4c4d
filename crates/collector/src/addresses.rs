//! Removes addresses from a peer's error text: readers of pages need not know where the metric stores are.

/// Replaces addresses by an ellipsis, with their paths, queries and fragments: `Get "http://store:10901/x?query=up": refused` →
/// `Get "…": refused`. Readers need not know where the metric stores are.
pub fn without_addresses(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(is_of_word) {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let word = &from[..from.find(|c| !is_of_word(c)).unwrap_or(from.len())];
        let length = match address_length(word, from, Quote::at_end(before)) {
            Some(length) => {
                out.push('…');
                length
            }
            None => {
                out.push_str(word);
                word.len()
            }
        };
        rest = &from[length..];
    }
    out.push_str(rest);
    out
}

/// Whether the character belongs to the part of an address before its query.
fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || ".:-_/[]@%".contains(c)
}

/// Returns the bytes of the address that `from` begins with; `None` if its first word is none. `opened` is the quote before
/// it.
fn address_length(word: &str, from: &str, opened: Option<Quote>) -> Option<usize> {
    let word = word.trim_end_matches([':', '.']);
    let host = word.split('/').next().unwrap_or_default();
    let is_url = word.contains("://");
    if !is_url && !is_host(word) && !is_host(host) {
        return None;
    }
    let goes_on = is_url || word.contains('/') || from[word.len()..].starts_with(['?', '#']);
    Some(if goes_on { url_length(from, opened) } else { word.len() })
}

/// A quote, and how many backslashes are before it: one that ends a text has as many as the one that began it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Quote {
    character: char,
    escapes: usize,
}

impl Quote {
    /// Returns the quote with which the text ends.
    fn at_end(text: &str) -> Option<Self> {
        let character = text.chars().next_back().filter(|c| "\"'`".contains(*c))?;
        let before = &text[..text.len() - character.len_utf8()];
        Some(Self { character, escapes: before.len() - before.trim_end_matches('\\').len() })
    }
}

/// Whether it is an IP address, a host with a port or a user, or a name of three parts or more, such as
/// `store.monitoring.svc`.
fn is_host(word: &str) -> bool {
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    let is_name = || {
        let last = word.rsplit('.').next().unwrap_or_default();
        word.matches('.').count() >= 2
            && word.split('.').all(is_label)
            && last.len() > 1
            && last.bytes().all(|c| c.is_ascii_alphabetic())
    };
    if word.contains('@') || is_name() {
        return true;
    }
    let is_host_and_port = || {
        let (host, port) = word.rsplit_once(':')?;
        (host.contains(|c: char| c.is_ascii_alphanumeric()) && port.parse::<u16>().is_ok()).then_some(())
    };
    word.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok() || is_host_and_port().is_some()
}

/// Returns the bytes of the URL at the beginning of a text: to the quote that closes the one before it, else to a blank. A query
/// may have any other character.
fn url_length(text: &str, opened: Option<Quote>) -> usize {
    let closes = |(at, c): &(usize, char)| Quote::at_end(&text[..at + c.len_utf8()]) == opened;
    let end =
        opened.and_then(|quote| text.char_indices().filter(|(_, c)| *c == quote.character).find(closes));
    if let Some((end, _)) = end {
        return text[..end].trim_end_matches('\\').len();
    }
    let end = text.find(|c: char| c.is_whitespace() || "<>".contains(c)).unwrap_or(text.len());
    text[..end].trim_end_matches([':', '.', ',', ';', ')', '\'', '"', '`']).len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn remarks_tell_no_addresses() {
        for (remark, want) in [
            ("a store is away", "a store is away"),
            (
                "rpc error: dial tcp 10.0.0.3:10901: connect: refused",
                "rpc error: dial tcp …: connect: refused",
            ),
            ("fetch from http://user:pw@store-1.mon.svc:10901/x failed", "fetch from … failed"),
            ("{addr=\"thanos-store-0.mon.svc:10901\"} [fd00::7]:9090, fd00::7.", "{addr=\"…\"} …, …."),
            (
                "PromQL info: metric might not be a counter: \"x\" (1:6)",
                "PromQL info: metric might not be a counter: \"x\" (…)",
            ),
        ] {
            assert_eq!(without_addresses(remark), want);
        }
    }

    /// A query says which metrics are asked for, and may hold a credential.
    #[test]
    fn an_address_is_removed_with_its_query_and_fragment() {
        for (remark, want) in [
            (
                "Post \"http://store.mon:10901/api/v1/query?query=up%7Bx%3D1%7D&time=1\": dial tcp: no such host",
                "Post \"…\": dial tcp: no such host",
            ),
            ("http://store/x?a=(b)&c={d},e;f'g'#part: refused", "…: refused"),
            ("fetch http://store/x#part.", "fetch …."),
            ("(see http://store/x?token=a)", "(see …)"),
            ("'http://store/?q=sum by (x)' failed", "'…' failed"),
            ("{\\\"url\\\":\\\"http://store/?q=1\\\"}", "{\\\"url\\\":\\\"…\\\"}"),
            ("<https://store?q=1> is away", "<…> is away"),
            ("dial store:10901?token=secret: refused", "dial …: refused"),
            ("dial store:10901/api?token=secret, 10.0.0.3/api?token=secret", "dial …, …"),
            ("is it up? yes#1", "is it up? yes#1"),
            ("http://s/api?query=up{job=\"x\"}&token=abc: refused", "…: refused"),
            (r#"Get "http://s/api?query=up{job=\"x\"}&token=abc": refused"#, r#"Get "…": refused"#),
            (r#"{\"url\":\"http://s/?q=up{a=\\\"x\\\"}&b\"}"#, r#"{\"url\":\"…\"}"#),
            ("lookup thanos-store-0.mon.svc.cluster.local on 10.0.0.3:53", "lookup … on …"),
            ("dial user:pw@store: refused", "dial …: refused"),
            ("v1.34.1 of e.g. a.b", "v1.34.1 of e.g. a.b"),
            ("http://", "…"),
            ("HTTP 503: a/b?c", "HTTP 503: a/b?c"),
        ] {
            assert_eq!(without_addresses(remark), want);
        }
    }

    proptest! {
        #[test]
        fn nothing_of_a_query_is_left(before in "[a-z (]{0,9}", rest in "[?#][!-~&&[^<>]]{0,40}Z", after in "( [a-z]{0,9})?") {
            let line = format!("{before}http://store:9090/api{rest}{after}");
            prop_assert_eq!(without_addresses(&line), format!("{}…{}", before.trim_end_matches(is_of_word), after));
        }

        #[test]
        fn any_text_is_read(line in any::<String>()) {
            without_addresses(&line);
        }
    }
}

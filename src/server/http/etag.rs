//! Entity tags: made from the bytes, compared weakly (RFC 9110, 8.8.3 and 13.1.2).

use axum::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

/// A weak tag: the same content in another coding has the same one. 128 bits of SHA-256.
pub fn of(bytes: &[u8]) -> HeaderValue {
    let digest = Sha256::digest(bytes);
    let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("W/\"{hex}\"")).unwrap_or(HeaderValue::from_static("W/\"\""))
}

/// Whether the client has this already.
pub fn matches(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let Ok(etag) = etag.to_str() else { return false };
    let lines = headers.get_all(header::IF_NONE_MATCH).iter();
    lines.filter_map(|line| line.to_str().ok()).any(|line| lists(line, opaque(etag)))
}

fn lists(line: &str, wanted: &str) -> bool {
    line.trim() == "*" || tags(line).any(|tag| tag == wanted)
}

/// The quoted parts: a tag may itself hold a comma, so the list is not split at commas.
fn tags(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').skip(1).step_by(2)
}

fn opaque(etag: &str) -> &str {
    tags(etag).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(line: &'static str) -> bool {
        let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(line))]);
        matches(&headers, &HeaderValue::from_static("W/\"abc\""))
    }

    #[test]
    fn tags_compare_weakly_in_lists_and_by_star() {
        for line in ["\"abc\"", "W/\"abc\"", "\"x\", W/\"abc\"", "\"a,b\" , \"abc\"", "*", " * "] {
            assert!(matched(line), "{line}");
        }
        for line in ["\"abcd\"", "abc", "", "\"x\", \"y\"", "W/\"\"", "\"*\"", "\", \""] {
            assert!(!matched(line), "{line}");
        }
        assert!(!matches(&HeaderMap::new(), &HeaderValue::from_static("\"a\"")));
    }

    #[test]
    fn equal_bytes_have_equal_tags() {
        assert_eq!(of(b"x"), of(b"x"));
        assert_ne!(of(b"x"), of(b"y"));
    }
}

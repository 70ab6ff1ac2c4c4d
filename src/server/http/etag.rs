//! Entity tags, made from the bytes and compared weakly (RFC 9110, 8.8.3 and 13.1.2). Files and the list of
//! VMs use them.

use axum::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};
use wukong_core::Scope;

/// Returns a weak tag of 128 bits of SHA-256 for content that everybody may see. It is weak because the same
/// content in another coding has the same tag.
pub fn of(bytes: &[u8]) -> HeaderValue {
    tag(Sha256::new(), bytes)
}

/// Returns a weak tag of content in a scope. Viewers of other scopes have other tags, even for equal content.
pub fn of_scope(scope: &Scope, bytes: &[u8]) -> HeaderValue {
    tag(Sha256::new_with_prefix(scope.digest().to_be_bytes()), bytes)
}

fn tag(hasher: Sha256, bytes: &[u8]) -> HeaderValue {
    let digest = hasher.chain_update(bytes).finalize();
    let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("W/\"{hex}\"")).unwrap_or(HeaderValue::from_static("W/\"\""))
}

/// Returns whether `If-None-Match` names the tag, so that the client has the content already.
pub fn matches(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let Ok(etag) = etag.to_str() else { return false };
    let lines = headers.get_all(header::IF_NONE_MATCH).iter();
    lines.filter_map(|line| line.to_str().ok()).any(|line| lists(line, opaque(etag)))
}

fn lists(line: &str, wanted: &str) -> bool {
    line.trim() == "*" || tags(line).any(|tag| tag == wanted)
}

/// Returns the quoted parts. The list is not split at commas, since a tag may contain one.
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

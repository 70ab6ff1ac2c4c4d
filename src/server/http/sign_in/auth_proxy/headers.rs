//! The headers in which a proxy with a client certificate names the user, and spellings of headers that are refused.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::json;

use super::super::claims::Claims;
use crate::server::config::ClientCertificateConfig;

/// The claims that the headers make.
pub const USER: &str = "user";
pub const GROUPS: &str = "groups";

/// Whom the proxy names.
pub struct NamedUser {
    user: String,
    groups: Vec<String>,
}

impl NamedUser {
    pub fn claims(&self) -> Claims {
        [(USER.to_owned(), json!(self.user)), (GROUPS.to_owned(), json!(self.groups))].into_iter().collect()
    }
}

/// Returns whom the headers name. `None` if there is no user.
pub fn named_user(config: &ClientCertificateConfig, sent: &HeaderMap) -> Option<NamedUser> {
    let text = |name: &HeaderName| sent.get(name).map(text);
    let user = text(&config.user_header).filter(|user| !user.is_empty())?;
    let groups = text(&config.groups_header).unwrap_or_default();
    let groups = groups.split(',').map(str::trim).filter(|group| !group.is_empty());
    Some(NamedUser { user, groups: groups.map(str::to_owned).collect() })
}

/// Proxies send names as UTF-8. Anything else has a character that no name may have.
fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).replace(char::REPLACEMENT_CHARACTER, "\0").trim().to_owned()
}

/// Returns whether the header is there more than once, with several values in one line, or under another spelling that
/// other programs take for it: with underscores, `X_Forwarded_User` becomes the same variable of CGI.
pub fn is_ambiguous(name: &HeaderName, is_list: bool, sent: &HeaderMap) -> bool {
    let lines = sent.get_all(name);
    let has_comma = |value: &HeaderValue| value.as_bytes().contains(&b',');
    // Other schemes of `Authorization` have lists.
    let is_joined = |value: &HeaderValue| {
        let is_own = name != header::AUTHORIZATION
            || value.as_bytes().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"));
        !is_list && is_own && has_comma(value)
    };
    lines.iter().count() > 1
        || lines.iter().any(is_joined)
        || sent.keys().any(|other| other != name && is_same_word(other, name))
}

fn is_same_word(one: &HeaderName, other: &HeaderName) -> bool {
    let letters = |name: &HeaderName| -> Vec<u8> {
        name.as_str().bytes().map(|byte| if byte.is_ascii_alphanumeric() { byte } else { b'-' }).collect()
    };
    letters(one) == letters(other)
}

/// Returns the name as people write it, such as `X-Forwarded-User`.
pub fn title_case(name: &HeaderName) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    name.as_str().split('-').map(word).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_header_has_one_line_and_one_spelling() {
        let name = HeaderName::from_static("x-forwarded-user");
        for (lines, is_list, want) in [
            (&[("x-forwarded-user", "ana")][..], false, false),
            (&[("x-forwarded-users", "ana"), ("x-forwarded-user", "ana")], false, false),
            (&[("x-forwarded-user", "ana"), ("x-forwarded-user", "ana")], false, true),
            (&[("x-forwarded-user", "ana,root")], false, true),
            (&[("x-forwarded-user", "ana,root")], true, false),
            (&[("x_forwarded_user", "root")], false, true),
            (&[("x-forwarded_user", "root"), ("x-forwarded-user", "ana")], false, true),
            (&[("x.forwarded.user", "root")], true, true),
        ] {
            assert_eq!(is_ambiguous(&name, is_list, &sent(lines)), want, "{lines:?}");
        }
        for (value, want) in
            [("Bearer a.b.c", false), ("Bearer a, Bearer b", true), ("Digest a=1, b=2", false)]
        {
            let sent = sent(&[("authorization", value)]);
            assert_eq!(is_ambiguous(&header::AUTHORIZATION, false, &sent), want, "{value}");
        }
    }

    #[test]
    fn a_name_is_written_as_people_do() {
        let name = HeaderName::from_static("x-pomerium-jwt-assertion");
        assert_eq!(title_case(&name), "X-Pomerium-Jwt-Assertion");
    }
}

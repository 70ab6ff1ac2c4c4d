//! Reads the error text of a peer outside the cluster, in the formats of Prometheus, its relatives, Google
//! and Ceph.

use std::borrow::Cow;

use serde::Deserialize;

use super::text::readable;
use crate::addresses::without_addresses;

/// How many characters are shown, and how many of them are from the beginning of a longer text.
const LONGEST_LINE: usize = 200;
const BEGINNING: usize = 60;
/// How many characters are processed: more than is read of an error.
const LONGEST_TEXT: usize = 16 << 10;
/// Mimir's prefix of the name of each of its errors (pkg/util/globalerror).
const MIMIR: &str = "err-mimir-";

/// The content of an error's body, of which only the start is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerError {
    /// `errorType` of the Prometheus API; empty if the body has another format.
    pub kind: String,
    /// One line for people; empty if the body has none of the known formats.
    pub line: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow, default)]
    error_type: Cow<'a, str>,
    #[serde(borrow, default)]
    error: Option<Explanation<'a>>,
    #[serde(borrow, default)]
    detail: Option<Cow<'a, str>>,
}

/// A text, or an object that contains one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Explanation<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Google {
        #[serde(borrow)]
        message: Cow<'a, str>,
    },
}

impl PeerError {
    /// Reads the start of an error's body, in whichever known format it is.
    pub fn read(body: &[u8]) -> Self {
        if let Ok(Body { error_type, error, detail }) = serde_json::from_slice::<Body<'_>>(body) {
            let explained = error.map(|error| match error {
                Explanation::Text(text) | Explanation::Google { message: text } => text,
            });
            let text = explained.or(detail).unwrap_or_default();
            return Self { kind: readable(&error_type, LONGEST_LINE), line: line(&text) };
        }
        let text = String::from_utf8_lossy(body);
        let of_mimir = text.contains(MIMIR) && !text.trim_start().starts_with('<');
        Self { kind: String::new(), line: if of_mimir { line(&text) } else { String::new() } }
    }
}

/// Shortens a long text to its beginning and its end: VictoriaMetrics repeats the query twice before it says
/// what is wrong with it (`queryRangeHandler` in app/vmselect/prometheus/prometheus.go).
fn line(text: &str) -> String {
    // Before it is shortened: the rest of an address looks like none.
    let text = without_addresses(&readable(text.trim(), LONGEST_TEXT));
    let length = text.chars().count();
    if length <= LONGEST_LINE {
        return text;
    }
    let beginning: String = text.chars().take(BEGINNING).collect();
    let end: String = text.chars().skip(length - (LONGEST_LINE - BEGINNING - 3)).collect();
    format!("{beginning} … {end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_each_peer_are_read_and_no_others() {
        for (body, kind, line) in [
            (
                r#"{"status":"error","errorType":"execution","error":"query processing would load too many samples"}"#,
                "execution",
                "query processing would load too many samples",
            ),
            (
                r#"{"error":{"code":400,"message":"Unknown name \"timeout\"","status":"INVALID_ARGUMENT"}}"#,
                "",
                "Unknown name \"timeout\"",
            ),
            (
                r#"{"detail":"[errno 19] error opening image","code":"19"}"#,
                "",
                "[errno 19] error opening image",
            ),
            (
                "the request has been rejected (err-mimir-tenant-max-request-rate)",
                "",
                "the request has been rejected (err-mimir-tenant-max-request-rate)",
            ),
            ("<html>err-mimir-x</html>", "", ""),
            ("token t", "", ""),
            ("", "", ""),
            ("{}", "", ""),
            ("7", "", ""),
            (r#"{"error":7}"#, "", ""),
            (r#"{"error":"a\nb\u001b[31m"}"#, "", "a b\u{fffd}[31m"),
        ] {
            assert_eq!(
                PeerError::read(body.as_bytes()),
                PeerError { kind: kind.into(), line: line.into() },
                "{body}"
            );
        }
        let long = format!(r#"{{"error":"{}"}}"#, "x".repeat(3000));
        assert_eq!(PeerError::read(long.as_bytes()).line.chars().count(), LONGEST_LINE);
    }
}

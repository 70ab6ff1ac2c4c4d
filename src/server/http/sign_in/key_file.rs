//! Reads the keys of sessions from a file, which a Secret mounts: one base64 key of 32 bytes in each line.

use std::path::Path;

use anyhow::{Context, bail};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::session::{KEY_BYTES, SessionKeys};

/// Most bytes of the file: some hundred keys.
const LARGEST: usize = 8 << 10;

impl SessionKeys {
    /// Reads the keys of a file, the sealing one first. Fails if it has none, or a line that is no key. No error holds
    /// a key.
    pub async fn read(path: &Path) -> anyhow::Result<Self> {
        let text = tokio::fs::read_to_string(path)
            .await
            .with_context(|| format!("cannot read the session keys in {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("the session keys in {} cannot be used", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        if text.len() > LARGEST {
            bail!("the file is larger than {LARGEST} bytes");
        }
        let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
        let keys = lines.filter(|(_, line)| !line.is_empty()).map(|(at, line)| {
            let bytes = STANDARD.decode(line).ok().and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes).ok());
            bytes.with_context(|| {
                format!("line {at} is not a base64 key of {KEY_BYTES} bytes; `openssl rand -base64 {KEY_BYTES}` makes one")
            })
        });
        let keys = keys.collect::<anyhow::Result<Vec<_>>>()?;
        Self::new(&keys).context("the file has no key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_key_in_each_line() {
        let key = |byte: u8| STANDARD.encode([byte; KEY_BYTES]);
        for fine in [key(1), format!("{}\n{}\n", key(2), key(1)), format!("\n  {}  \r\n\n", key(1))] {
            assert!(SessionKeys::parse(&fine).is_ok(), "{fine:?}");
        }
        for (bad, want) in [
            (String::new(), "the file has no key"),
            ("\n \n".to_owned(), "the file has no key"),
            (format!("{}\nsecret", key(1)), "line 2"),
            (STANDARD.encode([1; 16]), "line 1"),
            (format!("{},{}", key(1), key(2)), "line 1"),
            ("x".repeat(LARGEST + 1), "larger"),
        ] {
            let error = SessionKeys::parse(&bad).err().map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(error.contains(want), "{bad:?}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}

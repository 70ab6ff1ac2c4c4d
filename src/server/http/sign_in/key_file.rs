//! Reads the keys of sessions from a file, which a Secret mounts: one base64 key of 32 bytes in each line.

use std::{io::ErrorKind, path::Path};

use anyhow::{Context, bail};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::session::{KEY_BYTES, SessionKeys};

/// Prints a key.
pub const KEY_COMMAND: &str = "`openssl rand -base64 32`";
/// Most bytes of the file: some hundred keys.
const LARGEST: usize = 8 << 10;

impl SessionKeys {
    /// Reads the keys of a file, the sealing one first. `None` if there is no file: the manifests mount a Secret that
    /// may not exist yet. Fails if it has no key, or a line that is no key. No error holds a key.
    pub async fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let text = match tokio::fs::read_to_string(path).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                bail!("the session keys in {} are not text; {KEY_COMMAND} makes a key", path.display());
            }
            text => text.with_context(|| format!("cannot read the session keys in {}", path.display()))?,
        };
        let keys = Self::parse(&text);
        keys.map(Some).with_context(|| format!("the session keys in {} cannot be used", path.display()))
    }

    /// Returns the keys of a file, or a key of this process if there is no file yet. Fails as [`Self::read`] does.
    pub async fn read_or_create(path: &Path) -> anyhow::Result<Self> {
        Ok(Self::read(path).await?.unwrap_or_else(|| {
            let path = path.display();
            tracing::warn!(%path, "there is no file with session keys yet: sessions end with this process");
            Self::of_this_process()
        }))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        if text.len() > LARGEST {
            bail!("the file is larger than {LARGEST} bytes");
        }
        let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
        let keys = lines.filter(|(_, line)| !line.is_empty()).map(|(at, line)| {
            let bytes = STANDARD.decode(line).ok().and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes).ok());
            bytes.with_context(|| {
                format!("line {at} is not a base64 key of {KEY_BYTES} bytes; {KEY_COMMAND} makes one")
            })
        });
        let keys = keys.collect::<anyhow::Result<Vec<_>>>()?;
        Self::new(&keys).with_context(|| format!("the file has no key; {KEY_COMMAND} makes one"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_does_not_exist_yet_is_no_failure_and_one_that_cannot_be_used_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        assert!(SessionKeys::read(&path).await.unwrap().is_none());
        assert!(SessionKeys::read_or_create(&path).await.is_ok());
        std::fs::write(&path, "no key").unwrap();
        assert!(SessionKeys::read_or_create(&path).await.is_err() && SessionKeys::read(&path).await.is_err());
        assert!(SessionKeys::read(folder.path()).await.is_err(), "a folder");
        std::fs::write(&path, [0xff; KEY_BYTES]).unwrap();
        let raw = SessionKeys::read(&path).await.err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(raw.contains("not text; `openssl rand -base64 32`"), "{raw}");
        std::fs::write(&path, STANDARD.encode([1; KEY_BYTES])).unwrap();
        assert!(SessionKeys::read(&path).await.unwrap().is_some());
    }

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

//! Sealed sessions: what a cookie holds, and the keys that seal it.
//!
//! Nothing is stored on the server, so that replicas share sessions by sharing keys, and a restart signs nobody
//! out. A cookie is opened by the key that sealed it, which its first bytes name: keys can be rotated.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    error::Unspecified,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Bytes that name a key.
const ID_BYTES: usize = 4;
/// Bound to every sealed session, so that nothing else that these keys seal can pass for one.
const PURPOSE: &[u8] = b"wukong-dashboard session 1";

/// What a session's cookie holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// A random number, by which one session can be ended.
    pub id: [u8; 16],
    /// When the user signed in, in seconds since 1970.
    pub began: i64,
    /// The Kubernetes token that the user signed in with. It is reviewed again every minute.
    pub token: String,
}

/// The keys of sessions: the first seals, all open.
pub struct SessionKeys(Vec<Key>);

struct Key {
    id: [u8; ID_BYTES],
    key: LessSafeKey,
}

impl SessionKeys {
    /// Returns a key that only this process has. Its sessions end with the process.
    pub fn of_this_process() -> Self {
        Self(vec![Key::new(&rand::random())])
    }

    /// Returns these keys, the sealing one first. `None` without a key.
    pub fn new(secrets: &[[u8; KEY_BYTES]]) -> Option<Self> {
        let keys: Vec<Key> = secrets.iter().map(Key::new).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// Seals a session as the value of a cookie. Fails if the session cannot be written, which it always can.
    pub fn seal(&self, session: &Session) -> Option<String> {
        let sealing = self.0.first()?;
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = postcard::to_allocvec(session).ok()?;
        let unique = Nonce::assume_unique_for_key(nonce);
        sealing.key.seal_in_place_append_tag(unique, Aad::from(PURPOSE), &mut sealed).ok()?;
        Some(URL_SAFE_NO_PAD.encode([&sealing.id[..], &nonce, &sealed].concat()))
    }

    /// Opens the value of a cookie. `None` unless one of the keys sealed it.
    pub fn open(&self, value: &str) -> Option<Session> {
        let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
        let (id, rest) = bytes.split_at_checked(ID_BYTES)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let key = self.0.iter().find(|key| key.id == id)?;
        postcard::from_bytes(&key.open(nonce, sealed).ok()?).ok()
    }
}

impl Key {
    fn new(secret: &[u8; KEY_BYTES]) -> Self {
        let digest = Sha256::digest(secret);
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&digest[..ID_BYTES]);
        let unbound = UnboundKey::new(&AES_256_GCM, secret);
        // A key of the algorithm's length is always taken.
        let key = LessSafeKey::new(unbound.expect("32 bytes are a key of AES-256"));
        Self { id, key }
    }

    fn open(&self, nonce: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let nonce = Nonce::try_assume_unique_for_key(nonce)?;
        let mut bytes = sealed.to_vec();
        let length = self.key.open_in_place(nonce, Aad::from(PURPOSE), &mut bytes)?.len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session { id: [7; 16], began: 1_800_000_000, token: "a.b.c".into() }
    }

    #[test]
    fn what_was_sealed_opens_and_shows_nothing_of_the_token() {
        let keys = SessionKeys::of_this_process();
        let value = keys.seal(&session()).unwrap();
        assert_eq!(keys.open(&value), Some(session()));
        assert!(!value.contains("a.b.c"));
        assert_ne!(keys.seal(&session()).unwrap(), value, "each time with another nonce");
    }

    #[test]
    fn whatever_was_changed_does_not_open() {
        let keys = SessionKeys::of_this_process();
        let value = keys.seal(&session()).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&value).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(keys.open(&URL_SAFE_NO_PAD.encode(changed)), None, "byte {at}");
            assert_eq!(keys.open(&URL_SAFE_NO_PAD.encode(&bytes[..at])), None, "{at} bytes");
        }
        assert_eq!(keys.open("nonsense!"), None);
        assert_eq!(SessionKeys::of_this_process().open(&value), None, "another process");
    }

    #[test]
    fn keys_are_rotated_by_adding_the_new_one_in_front() {
        let (old, new) = ([1; KEY_BYTES], [2; KEY_BYTES]);
        let before = SessionKeys::new(&[old]).unwrap();
        let both = SessionKeys::new(&[new, old]).unwrap();
        let after = SessionKeys::new(&[new]).unwrap();
        let value = before.seal(&session()).unwrap();
        assert_eq!(both.open(&value), Some(session()));
        assert_eq!(after.open(&value), None);
        assert_eq!(after.open(&both.seal(&session()).unwrap()), Some(session()), "the first one seals");
        assert!(SessionKeys::new(&[]).is_none());
    }
}

//! Sessions: what a cookie holds, and the keys that seal it.
//!
//! Nothing is stored on the server, so that replicas share sessions by sharing keys, and a restart signs nobody
//! out. A cookie is opened by the key that sealed it, which its first bytes name: keys can be rotated.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    error::Unspecified,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::server::config::SignInMode;
use collector::clock;
use wukong_core::access::UserInfo;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Bytes that name a key.
const ID_BYTES: usize = 4;

/// Absolute end of a session, in seconds after the sign-in.
pub const SESSION_ENDS: i64 = 10 * 60 * 60;
/// Seconds after which an identity is due for renewal, and for how many more it stands if it cannot be renewed.
pub const RENEWAL_DUE: i64 = 60 * 60;
pub const RENEWAL_WAITS: i64 = 15 * 60;
/// Seconds between two attempts.
const RENEWAL_PAUSE: i64 = 60;

/// What is sealed for one purpose. A value that was sealed for another purpose does not open.
pub trait Sealed: Serialize + DeserializeOwned {
    /// Bound to every sealed value.
    const PURPOSE: &'static [u8];
}

/// What a session's cookie holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// A random number, by which one session can be ended.
    pub id: [u8; 16],
    /// When the user signed in, in seconds since 1970.
    pub began: i64,
    pub proof: Proof,
}

/// What the user signed in with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// A Kubernetes token. It is reviewed again every minute.
    Token(String),
    /// What an identity provider said about the user.
    Identity(ClaimedIdentity),
}

/// A user as an identity provider's claims made them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedIdentity {
    pub user: Arc<UserInfo>,
    /// When the provider last said so, in seconds since 1970.
    pub renewed: i64,
    /// When that was last asked.
    pub tried: i64,
    /// The ID token, by which the provider knows whom to sign out. It is left out where it does not fit.
    pub id_token: Option<String>,
}

impl Sealed for Session {
    const PURPOSE: &'static [u8] = b"wukong-dashboard session 2";
}

impl Session {
    /// Returns whether the session is over at this time, in seconds since 1970.
    pub fn is_over(&self, now: i64) -> bool {
        let is_stale = match &self.proof {
            Proof::Token(_) => false,
            Proof::Identity(identity) => now >= identity.renewed + RENEWAL_DUE + RENEWAL_WAITS,
        };
        is_stale || now >= self.began + SESSION_ENDS
    }

    /// Returns after how many seconds the identity is due for renewal: none or fewer if it is. `None` if it needs none.
    pub fn renewal_in(&self, now: i64) -> Option<i64> {
        let Proof::Identity(identity) = &self.proof else { return None };
        Some((identity.renewed + RENEWAL_DUE).max(identity.tried + RENEWAL_PAUSE) - now)
    }

    /// Returns the same session, which was tried to be renewed now.
    pub fn tried(mut self, now: i64) -> Self {
        if let Proof::Identity(identity) = &mut self.proof {
            identity.tried = now;
        }
        self
    }

    /// Returns the same session without what it can do without.
    pub fn shortened(mut self) -> Self {
        if let Proof::Identity(identity) = &mut self.proof {
            identity.id_token = None;
        }
        self
    }

    /// Returns the ID token, if it was kept.
    pub fn id_token(&self) -> Option<&str> {
        match &self.proof {
            Proof::Identity(identity) => identity.id_token.as_deref(),
            Proof::Token(_) => None,
        }
    }

    /// Returns how the user signed in.
    pub fn mode(&self) -> SignInMode {
        match self.proof {
            Proof::Token(_) => SignInMode::Token,
            Proof::Identity(_) => SignInMode::Oidc,
        }
    }
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

    /// Seals a value as text for a cookie or an address. Fails if the value cannot be written, which it always can.
    pub fn seal<T: Sealed>(&self, value: &T) -> Option<String> {
        let sealing = self.0.first()?;
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = postcard::to_allocvec(value).ok()?;
        let unique = Nonce::assume_unique_for_key(nonce);
        sealing.key.seal_in_place_append_tag(unique, Aad::from(T::PURPOSE), &mut sealed).ok()?;
        Some(URL_SAFE_NO_PAD.encode([&sealing.id[..], &nonce, &sealed].concat()))
    }

    /// Opens a sealed value. `None` unless one of the keys sealed it, for the same purpose.
    pub fn open<T: Sealed>(&self, text: &str) -> Option<T> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (id, rest) = bytes.split_at_checked(ID_BYTES)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let key = self.0.iter().find(|key| key.id == id)?;
        postcard::from_bytes(&key.open(nonce, sealed, T::PURPOSE).ok()?).ok()
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

    fn open(&self, nonce: &[u8], sealed: &[u8], purpose: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let nonce = Nonce::try_assume_unique_for_key(nonce)?;
        let mut bytes = sealed.to_vec();
        let length = self.key.open_in_place(nonce, Aad::from(purpose), &mut bytes)?.len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// Returns a number of a digest, by which the audit log and limits tell apart what it is of.
pub fn short_hash(digest: &[u8]) -> u64 {
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Returns the time, in seconds since 1970.
pub fn seconds_now() -> i64 {
    clock::now() / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session { id: [7; 16], began: 1_800_000_000, proof: Proof::Token("a.b.c".into()) }
    }

    /// The same bytes for another purpose.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Other(Session);

    impl Sealed for Other {
        const PURPOSE: &'static [u8] = b"other";
    }

    #[test]
    fn a_value_opens_for_its_own_purpose() {
        let keys = SessionKeys::of_this_process();
        let other = keys.seal(&Other(session())).unwrap();
        assert_eq!(keys.open::<Session>(&other), None);
        assert_eq!(keys.open(&other), Some(Other(session())));
    }

    #[test]
    fn an_identity_stands_a_quarter_of_an_hour_after_its_renewal_was_due_and_no_session_longer_than_ten_hours()
     {
        let began = 1_800_000_000;
        let identity = |renewed| {
            let identity = ClaimedIdentity { user: Arc::default(), renewed, tried: renewed, id_token: None };
            Session { proof: Proof::Identity(identity), ..session() }
        };
        assert!(!identity(began).is_over(began + 75 * 60 - 1) && identity(began).is_over(began + 75 * 60));
        let renewed = identity(began + 36_000 - 60);
        assert!(!renewed.is_over(began + 36_000 - 1) && renewed.is_over(began + 36_000));
        assert!(!session().is_over(began + 36_000 - 1) && session().is_over(began + 36_000), "nor a token's");
        assert_eq!(identity(began).renewal_in(began + 600), Some(3_000));
        assert_eq!(
            identity(began).tried(began + 3_650).renewal_in(began + 3_660),
            Some(50),
            "a minute later"
        );
        assert_eq!(session().renewal_in(began), None);
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
    fn a_changed_session_does_not_open() {
        let keys = SessionKeys::of_this_process();
        let value = keys.seal(&session()).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&value).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(keys.open::<Session>(&URL_SAFE_NO_PAD.encode(changed)), None, "byte {at}");
            assert_eq!(keys.open::<Session>(&URL_SAFE_NO_PAD.encode(&bytes[..at])), None, "{at} bytes");
        }
        assert_eq!(keys.open::<Session>("nonsense!"), None);
        assert_eq!(SessionKeys::of_this_process().open::<Session>(&value), None, "another process");
    }

    #[test]
    fn keys_are_rotated_by_adding_the_new_one_in_front() {
        let (old, new) = ([1; KEY_BYTES], [2; KEY_BYTES]);
        let before = SessionKeys::new(&[old]).unwrap();
        let both = SessionKeys::new(&[new, old]).unwrap();
        let after = SessionKeys::new(&[new]).unwrap();
        let value = before.seal(&session()).unwrap();
        assert_eq!(both.open(&value), Some(session()));
        assert_eq!(after.open::<Session>(&value), None);
        assert_eq!(after.open(&both.seal(&session()).unwrap()), Some(session()), "the first one seals");
        assert!(SessionKeys::new(&[]).is_none());
    }
}

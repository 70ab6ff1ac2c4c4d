//! Whom the proxy has proved to be the user of one request.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::super::session::short_hash;
use wukong_core::access::UserInfo;

/// A user whom the authenticating proxy names, in one request.
#[derive(Clone, Debug)]
pub struct ProvenIdentity {
    pub user: Arc<UserInfo>,
    /// When it proves nothing any more, in seconds since 1970. Only a stream or a download lasts that long: the next
    /// request brings another.
    pub until: i64,
    /// By which it is denied after a sign-out. `None` if a later proof of the same user would be the same.
    pub id: Option<[u8; 16]>,
    /// By which the audit log tells sessions at the proxy apart.
    pub session: String,
}

impl ProvenIdentity {
    /// Takes the signed assertion, if there is one, and what is the same in each proof of one session.
    pub fn new(user: UserInfo, until: i64, assertion: Option<&str>, session: &str) -> Self {
        let id = assertion.map(|assertion| {
            // One assertion may have several valid signatures: of ECDSA, anybody can make a second from the first.
            let signed = assertion.rsplit_once('.').map_or(assertion, |(signed, _signature)| signed);
            let mut id = [0; 16];
            id.copy_from_slice(&Sha256::digest(signed)[..16]);
            id
        });
        let session = format!("{:016x}", short_hash(&Sha256::digest(session)));
        Self { user: Arc::new(user), until, id, session }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise an assertion that was signed out works again with its other signature.
    #[test]
    fn an_assertion_is_the_same_with_another_signature() {
        let id = |assertion| ProvenIdentity::new(UserInfo::default(), 0, Some(assertion), "").id.unwrap();
        assert_eq!(id("head.payload.signature"), id("head.payload.other"));
        assert_ne!(id("head.payload.signature"), id("head.other.signature"));
        assert_ne!(id("head"), id("other"));
    }
}

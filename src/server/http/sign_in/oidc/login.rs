//! A sign-in under way: what the browser keeps while a person is at the provider. The cookie proves that the answer
//! comes to the browser that asked; the `state` of the address says where it leads, even if the cookie is gone.

use axum::http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use super::super::{
    cookie::{CookieKind, LOGINS},
    session::{Sealed, SessionKeys},
};

/// Seconds that a person may take at the provider.
pub const LOGIN_ENDS: i64 = 10 * 60;
/// Longest path to return to. A longer one is a list's with many filters, and is forgotten.
const LONGEST_NEXT: usize = 1_500;

/// What the cookie of a sign-in holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    pub state: LoginState,
    /// The ID token must repeat it.
    pub nonce: String,
    /// Proves to the provider that the code is redeemed by the client that asked for it (RFC 7636).
    pub verifier: String,
}

/// What the address that the provider leads back to holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginState {
    pub id: [u8; 16],
    /// In seconds since 1970.
    pub began: i64,
    /// The checked path to go to afterwards.
    pub next: String,
    /// Whether it renews a session, without asking the person.
    pub renews: bool,
}

impl Sealed for Login {
    const PURPOSE: &'static [u8] = b"wukong-dashboard sign-in 1";
}

impl Sealed for LoginState {
    const PURPOSE: &'static [u8] = b"wukong-dashboard sign-in state 1";
}

impl LoginState {
    pub fn new(next: &str, renews: bool, now: i64) -> Self {
        let next = if next.len() > LONGEST_NEXT { "/" } else { next };
        Self { id: rand::random(), began: now, next: next.to_owned(), renews }
    }

    pub fn is_over(&self, now: i64) -> bool {
        now >= self.began + LOGIN_ENDS
    }
}

impl Login {
    /// Returns the header that keeps the sign-in in a browser, in place of the oldest if it has as many as it may.
    pub fn cookie(&self, kind: &CookieKind, headers: &HeaderMap, keys: &SessionKeys) -> Option<HeaderValue> {
        let began = |slot| {
            let login = read(slot, kind, headers, keys);
            login.filter(|login| !login.state.is_over(self.state.began)).map_or(0, |login| login.state.began)
        };
        // Of equal ones another each time: tabs that are opened at once do not know of each other.
        let first = usize::from(self.state.id[0]);
        let slot = (first..first + LOGINS).map(|slot| slot % LOGINS).min_by_key(|slot| began(*slot))?;
        kind.set_login(slot, &keys.seal(self)?, LOGIN_ENDS)
    }
}

/// Returns the sign-in of this browser that a `state` belongs to, and the header that clears its cookie.
pub fn find(
    state: &LoginState,
    kind: &CookieKind,
    headers: &HeaderMap,
    keys: &SessionKeys,
) -> Option<(Login, Option<HeaderValue>)> {
    let mut logins = (0..LOGINS).filter_map(|slot| Some((slot, read(slot, kind, headers, keys)?)));
    let (slot, login) = logins.find(|(_, login)| login.state == *state)?;
    Some((login, kind.set_login(slot, "", 0)))
}

fn read(slot: usize, kind: &CookieKind, headers: &HeaderMap, keys: &SessionKeys) -> Option<Login> {
    keys.open(&kind.read_login(slot, headers)?)
}

//! The login to Ceph's dashboard, and the guard that keeps a wrong password from locking the account.
//!
//! Ceph counts failed logins, resets the count only after a successful one, and by default locks the account
//! after ten. So refused credentials are tried three times in all, far apart; after that only other
//! credentials are tried.

use std::{path::PathBuf, time::Duration};

use http::{
    HeaderValue, Request,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use tokio::time::Instant;

use crate::{
    error::{Failure, source_error},
    k8s::ceph,
    outside::{Session, secret},
};
use i18n::{key, msg, span};
use model::{message::Message, reason::Reason};

/// How long to wait after the first and after the second refusal of the same credentials.
const WAITS: [Duration; 2] = [Duration::from_secs(15 * 60), Duration::from_secs(2 * 60 * 60)];
/// Bytes of the longest token that is kept.
const LONGEST_TOKEN: usize = 4 << 10;
const V1: &str = "application/vnd.ceph.api.v1.0+json";

/// User and password. It has no `Debug`, so that it is never printed.
#[derive(Clone, PartialEq, Eq)]
struct Credentials {
    user: String,
    password: String,
}

/// The login to one dashboard: the current token, the credential files, and the guard.
pub struct Login {
    user_file: PathBuf,
    password_file: PathBuf,
    token: Option<String>,
    guard: Guard,
}

impl Login {
    pub fn new(user_file: PathBuf, password_file: PathBuf) -> Self {
        Self { user_file, password_file, token: None, guard: Guard::default() }
    }

    /// Whether there is a token, valid or expired.
    pub fn is_done(&self) -> bool {
        self.token.is_some()
    }

    /// Adds the token to a request, if there is one.
    pub fn sign(&self, request: &mut Request<Vec<u8>>) -> Result<(), http::Error> {
        if let Some(token) = &self.token {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        Ok(())
    }

    /// Drops the token if the failure is a 401.
    pub fn forget_refused(&mut self, failure: &Failure) {
        if failure.is_status(401) {
            self.token = None;
        }
    }

    /// Logs in with the credentials that the files hold now.
    pub async fn renew(&mut self, session: &Session) -> Result<(), Failure> {
        self.token = None;
        let credentials = self.credentials().await?;
        self.guard.check(&credentials, Instant::now())?;
        match post(session, &credentials).await {
            Err(failure) if is_refusal(&failure) => Err(self.guard.refused(credentials, Instant::now())),
            Err(failure) => Err(failure),
            Ok(token) => {
                self.guard = Guard::default();
                self.token = Some(token);
                Ok(())
            }
        }
    }

    async fn credentials(&self) -> Result<Credentials, Failure> {
        Ok(Credentials {
            user: secret(&self.user_file, key!(collect.user_file)).await?,
            password: secret(&self.password_file, key!(collect.password_file)).await?,
        })
    }
}

async fn post(session: &Session, credentials: &Credentials) -> Result<String, Failure> {
    let body = serde_json::json!({"username": credentials.user, "password": credentials.password});
    let request = Request::post(session.url(&["api", "auth"]).as_str())
        .header(ACCEPT, V1)
        .header(CONTENT_TYPE, "application/json")
        .body(body.to_string().into_bytes())?;
    let reply = session.send(request).await?;
    reply.decode(token).await
}

/// Returns the token of an answer; `None` if no header can hold it. A token that was kept would make every later
/// request fail before it is sent.
fn token(answer: &[u8]) -> Option<String> {
    let ceph::Login { token } = serde_json::from_slice(answer).ok()?;
    let is_short = !token.is_empty() && token.len() <= LONGEST_TOKEN;
    (is_short && token.bytes().all(|of| matches!(of, b' '..=b'~'))).then_some(token)
}

/// Whether the login was refused. A wrong password is a 400; other versions, and proxies in front, answer 401
/// or 403.
fn is_refusal(failure: &Failure) -> bool {
    [400, 401, 403].into_iter().any(|code| failure.is_status(code))
}

/// Remembers refused credentials and when they may be tried again.
#[derive(Default)]
struct Guard {
    refused: Option<Credentials>,
    times: usize,
    /// When to try again; `None` means never.
    again: Option<Instant>,
}

impl Guard {
    /// Fails if these credentials must not be tried now.
    fn check(&self, credentials: &Credentials, now: Instant) -> Result<(), Failure> {
        let others = self.refused.as_ref() != Some(credentials);
        let may = others || self.again.is_some_and(|again| again <= now);
        if may { Ok(()) } else { Err(self.failure()) }
    }

    fn refused(&mut self, credentials: Credentials, now: Instant) -> Failure {
        if self.refused.as_ref() != Some(&credentials) {
            *self = Self { refused: Some(credentials), ..Self::default() };
        }
        self.again = WAITS.get(self.times).map(|wait| now + *wait);
        self.times += 1;
        self.failure()
    }

    fn failure(&self) -> Failure {
        Failure::Own(source_error(Reason::Forbidden, self.words()))
    }

    fn words(&self) -> Message {
        match WAITS.get(self.times.saturating_sub(1)) {
            Some(wait) => {
                msg!(collect.login_waits, wait = span(*wait))
            }
            None => msg!(collect.login_ends),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use i18n::Render;

    fn credentials(password: &str) -> Credentials {
        Credentials { user: "u".into(), password: password.into() }
    }

    #[test]
    fn a_token_that_no_header_can_hold_is_not_kept() {
        let of = |text: &str| token(serde_json::json!({"token": text}).to_string().as_bytes());
        for good in ["eyJhbGciOiJIUzI1NiJ9.e30.x_-", "a b", &"x".repeat(LONGEST_TOKEN)] {
            assert_eq!(of(good).as_deref(), Some(good));
        }
        for bad in ["", "abc\nX: 1", "\u{0}", "\u{202e}", "ü", &"x".repeat(LONGEST_TOKEN + 1)] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
        assert_eq!(token(b"{}"), None);
    }

    #[test]
    fn refused_credentials_are_tried_three_times_and_far_apart() {
        let (mut guard, start) = (Guard::default(), Instant::now());
        let mut tries = Vec::new();
        for minute in 0..7 * 24 * 60 {
            let now = start + Duration::from_secs(60 * minute);
            if guard.check(&credentials("bad"), now).is_ok() {
                guard.refused(credentials("bad"), now);
                tries.push(minute);
            }
        }
        assert_eq!(tries, [0, 15, 135]);
        assert!(
            guard.words().english().ends_with("is when their files change"),
            "{}",
            guard.words().english()
        );
    }

    #[test]
    fn other_credentials_are_tried_at_once_and_counted_again() {
        let (mut guard, now) = (Guard::default(), Instant::now());
        for _ in 0..3 {
            guard.refused(credentials("bad"), now);
        }
        assert!(guard.check(&credentials("other"), now).is_ok());
        guard.refused(credentials("other"), now);
        let words = guard.words().english();
        assert!(words.contains("is in 15 min, or when") && !words.contains("other"), "{words}");
        assert!(guard.check(&credentials("other"), now).is_err());
        assert!(guard.check(&credentials("other"), now + WAITS[0]).is_ok());
    }
}

//! The cookies of a session. A browser keeps 4 kB in one, so a long session takes two.

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use cookie::{Cookie, SameSite, time::Duration};

use crate::ui::address::BasePath;

/// Characters of one cookie's value.
const LONGEST: usize = 3_800;
/// Cookies of one session.
const MOST: usize = 2;
/// Sign-ins at a provider that a browser has under way at once, each in a cookie of its own.
pub const LOGINS: usize = 3;

/// How cookies are set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieKind {
    /// Over TLS; if not, over plain HTTP on this machine.
    is_secure: bool,
    /// The path of `--public-url`: other applications of the host do not get the cookies.
    base: BasePath,
}

impl CookieKind {
    pub fn secure(base: BasePath) -> Self {
        Self { is_secure: true, base }
    }

    pub fn local(base: BasePath) -> Self {
        Self { is_secure: false, base }
    }

    /// The prefix makes browsers refuse a cookie that plain HTTP set, and `__Host-` also one that another host set. That
    /// one allows no path.
    fn prefix(&self) -> &'static str {
        match () {
            () if !self.is_secure => "",
            () if self.base.0.is_empty() => "__Host-",
            () => "__Secure-",
        }
    }

    fn name(&self, part: usize) -> String {
        format!("{}wukong-session-{part}", self.prefix())
    }

    fn login_name(&self, slot: usize) -> String {
        format!("{}wukong-login-{slot}", self.prefix())
    }

    /// Returns the headers that set a session. `None` if it does not fit into the cookies.
    pub fn set(&self, value: &str, seconds: i64) -> Option<Vec<HeaderValue>> {
        if value.len() > LONGEST * MOST {
            return None;
        }
        let parts = (0..MOST).map(|part| {
            let of_part =
                value.get(part * LONGEST..value.len().min((part + 1) * LONGEST)).unwrap_or_default();
            self.header(self.name(part), of_part, if of_part.is_empty() { 0 } else { seconds })
        });
        parts.collect()
    }

    /// Returns whether a session takes one cookie alone.
    pub fn is_short(value: &str) -> bool {
        value.len() <= LONGEST
    }

    /// Returns the headers that end a session.
    pub fn clear(&self) -> Vec<HeaderValue> {
        (0..MOST).filter_map(|part| self.header(self.name(part), "", 0)).collect()
    }

    /// Returns the header that sets a sign-in under way, or with an empty value clears it. `None` if the value does
    /// not fit.
    pub fn set_login(&self, slot: usize, value: &str, seconds: i64) -> Option<HeaderValue> {
        self.header(self.login_name(slot), value, seconds).filter(|_| value.len() <= LONGEST)
    }

    fn header(&self, name: String, value: &str, seconds: i64) -> Option<HeaderValue> {
        let cookie = Cookie::build((name, value))
            .path([&*self.base.0, "/"].concat())
            .max_age(Duration::seconds(seconds))
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(self.is_secure);
        HeaderValue::from_str(&cookie.to_string()).ok()
    }

    /// Returns the value of the session that a request sends. `None` if it sends none, or one of its cookies
    /// more than once.
    pub fn read(&self, headers: &HeaderMap) -> Option<String> {
        let mut value = String::new();
        for part in 0..MOST {
            match read_one(&self.name(part), headers) {
                Ok(Some(only)) => value.push_str(&only),
                Ok(None) if part > 0 => {}
                _ => return None,
            }
        }
        (!value.is_empty()).then_some(value)
    }

    /// Returns the value of a sign-in under way that a request sends.
    pub fn read_login(&self, slot: usize, headers: &HeaderMap) -> Option<String> {
        read_one(&self.login_name(slot), headers).ok().flatten()
    }
}

/// Returns the value of a cookie; `None` if there is none. Fails if it is there more than once, or longer than it was
/// set.
fn read_one(name: &str, headers: &HeaderMap) -> Result<Option<String>, ()> {
    let mut found = cookies(headers).filter(|cookie| cookie.name() == name);
    match (found.next(), found.next()) {
        (Some(only), None) if only.value().len() <= LONGEST => Ok(Some(only.value().to_owned())),
        (None, _) => Ok(None),
        _ => Err(()),
    }
}

/// Adds headers that set cookies to an answer.
pub fn add(response: &mut Response, cookies: impl IntoIterator<Item = HeaderValue>) {
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = Cookie<'_>> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| Cookie::split_parse(line).filter_map(Result::ok))
}
#[cfg(test)]
mod tests {
    use super::*;

    fn secure() -> CookieKind {
        CookieKind::secure(BasePath::default())
    }

    fn local() -> CookieKind {
        CookieKind::local(BasePath::default())
    }

    fn below() -> BasePath {
        BasePath("/ops/vms".into())
    }

    /// Sends back what was set, as a browser does.
    fn returned(set: &[HeaderValue]) -> HeaderMap {
        let pairs = set.iter().map(|value| value.to_str().unwrap());
        let kept = pairs.filter(|text| !text.contains("Max-Age=0")).filter_map(|text| text.split(';').next());
        let line = kept.collect::<Vec<_>>().join("; ");
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(&line).unwrap())])
    }

    #[test]
    fn a_session_comes_back_in_one_cookie_or_two() {
        for kind in [secure(), local(), CookieKind::secure(below()), CookieKind::local(below())] {
            for length in [1, LONGEST, LONGEST + 1, MOST * LONGEST] {
                let value = "x".repeat(length);
                assert_eq!(kind.read(&returned(&kind.set(&value, 60).unwrap())), Some(value));
            }
            assert_eq!(kind.set(&"x".repeat(MOST * LONGEST + 1), 60), None, "and is never cut");
        }
    }

    #[test]
    fn a_shorter_session_leaves_nothing_of_a_longer_one() {
        let set = secure().set("short", 60).unwrap();
        assert!(set[1].to_str().unwrap().contains("Max-Age=0"), "{set:?}");
        assert!(secure().clear().iter().all(|line| line.to_str().unwrap().contains("Max-Age=0")));
    }

    #[test]
    fn cookies_are_hidden_from_scripts_and_other_sites() {
        let set = secure().set("x", 60).unwrap();
        let line = set[0].to_str().unwrap();
        for part in ["__Host-", "Path=/", "HttpOnly", "SameSite=Lax", "Secure"] {
            assert!(line.contains(part), "{line}");
        }
        assert!(!line.contains("Domain"));
        assert!(!local().set("x", 60).unwrap()[0].to_str().unwrap().contains("Secure"));
    }

    /// RFC 6265bis, 4.1.3: `__Host-` needs the path `/`.
    #[test]
    fn below_a_path_other_applications_of_the_host_do_not_get_it() {
        for kind in [CookieKind::secure(below()), CookieKind::local(below())] {
            for line in kind.set("x", 60).unwrap().iter().chain(&kind.clear()) {
                let line = line.to_str().unwrap();
                assert!(line.contains("; Path=/ops/vms/;") && !line.contains("__Host-"), "{line}");
                assert_eq!(line.starts_with("__Secure-"), line.contains("; Secure"), "{line}");
            }
        }
    }

    #[test]
    fn a_cookie_of_the_same_name_twice_is_no_session() {
        let twice = "wukong-session-0=a; wukong-session-0=b";
        let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(twice))]);
        assert_eq!(local().read(&headers), None);
        assert_eq!(local().read(&HeaderMap::new()), None);
        let others = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static("theme=dark; x"))]);
        assert_eq!(local().read(&others), None);
    }
}

//! How people sign in, and where they reach the server.

use std::path::PathBuf;

use http::Uri;

/// How a person proves who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SignInMode {
    /// Nobody signs in, and everybody sees everything.
    None,
    /// By a Kubernetes token.
    Token,
}

/// The address at which people reach the server. It may have a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(Uri);

impl PublicUrl {
    /// Takes an address of http or https without a query, whose path has one spelling only.
    pub fn new(uri: Uri) -> Option<Self> {
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        let has_host =
            uri.authority().is_some_and(|host| !host.host().is_empty() && !host.as_str().contains('@'));
        (is_web && has_host && is_plain(uri.path()) && uri.query().is_none()).then_some(Self(uri))
    }

    /// Returns the path without a slash at its end; empty if there is none.
    pub fn base_path(&self) -> String {
        self.0.path().trim_end_matches('/').to_owned()
    }

    pub fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// Returns the host without its port.
    pub fn host(&self) -> &str {
        self.0.host().unwrap_or_default()
    }

    /// Returns the origin, as browsers name it.
    pub fn origin(&self) -> String {
        let authority = self.0.authority().map_or("", |authority| authority.as_str());
        [self.0.scheme_str().unwrap_or_default(), "://", authority].concat()
    }
}

/// Returns whether each segment of a path consists of unreserved characters (RFC 3986, 2.3), and browsers resolve none
/// of them.
fn is_plain(path: &str) -> bool {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let path = path.strip_prefix('/').unwrap_or(path);
    let mut segments = path.strip_suffix('/').unwrap_or(path).split('/');
    path.is_empty()
        || segments.all(|part| !["", ".", ".."].contains(&part) && part.bytes().all(is_unreserved))
}

/// Settings of the sign-in.
#[derive(Clone, Debug, Default)]
pub struct SignInConfig {
    /// Whether people sign in by a Kubernetes token; if not, everybody sees everything.
    pub by_token: bool,
    /// File with the keys of sessions. Without it, sessions end with the process.
    pub session_key_file: Option<PathBuf>,
    pub public_url: Option<PublicUrl>,
}

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

/// The address at which people reach the server, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(Uri);

impl PublicUrl {
    /// Takes an address of http or https without a path.
    pub fn new(uri: Uri) -> Option<Self> {
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        (is_web && uri.host().is_some() && uri.path() == "/" && uri.query().is_none()).then_some(Self(uri))
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

/// Settings of the sign-in.
#[derive(Clone, Debug, Default)]
pub struct SignInConfig {
    /// Whether people sign in by a Kubernetes token; if not, everybody sees everything.
    pub by_token: bool,
    /// File with the keys of sessions. Without it, sessions end with the process.
    pub session_key_file: Option<PathBuf>,
    pub public_url: Option<PublicUrl>,
}

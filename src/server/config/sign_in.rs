//! How people sign in, and where they reach the server.

use std::{collections::BTreeSet, net::IpAddr, path::PathBuf};

use http::Uri;

use super::{AuthProxyConfig, ClaimMappings};

/// One way in which people prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignInMode {
    /// By a Kubernetes token.
    Token,
    /// At an OpenID Connect provider.
    Oidc,
    /// At an authenticating proxy, which proves in each request who asks.
    Proxy,
}

impl SignInMode {
    pub const ALL: [Self; 3] = [Self::Token, Self::Oidc, Self::Proxy];

    /// Returns the name of the mode in `--sign-in` and in the audit log.
    pub fn code(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Oidc => "oidc",
            Self::Proxy => "proxy",
        }
    }
}

/// The ways in which people sign in. Without any, everybody sees everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignInModes(BTreeSet<SignInMode>);

impl SignInModes {
    pub fn has(&self, mode: SignInMode) -> bool {
        self.0.contains(&mode)
    }

    /// Returns whether nobody signs in.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<SignInMode> for SignInModes {
    fn from_iter<T: IntoIterator<Item = SignInMode>>(modes: T) -> Self {
        Self(modes.into_iter().collect())
    }
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

    /// Returns whether only this machine reaches the address.
    pub fn is_this_machine(&self) -> bool {
        self.0.host().is_some_and(is_this_machine)
    }

    /// Returns the whole address of a path of the server.
    pub fn at(&self, path: &str) -> String {
        [self.origin(), self.base_path(), path.to_owned()].concat()
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

/// Returns whether the host of an address is the machine of the person who uses it.
pub fn is_this_machine(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse().ok();
    host == "localhost" || address.is_some_and(|address: IpAddr| address.is_loopback())
}

/// Settings of the sign-in.
#[derive(Clone, Debug, Default)]
pub struct SignInConfig {
    pub modes: SignInModes,
    /// File with the keys of sessions. Without it, sessions end with the process.
    pub session_key_file: Option<PathBuf>,
    pub public_url: Option<PublicUrl>,
    /// `None` unless people sign in at an OpenID Connect provider.
    pub oidc: Option<OidcConfig>,
    /// `None` unless people come through an authenticating proxy.
    pub auth_proxy: Option<AuthProxyConfig>,
}

/// An OpenID Connect provider, and this program as its client.
#[derive(Clone, Debug)]
pub struct OidcConfig {
    /// As it is written: a slash at its end makes another issuer.
    pub issuer: String,
    pub client_id: String,
    /// `None` for a public client.
    pub client_secret_file: Option<PathBuf>,
    pub scopes: Vec<String>,
    /// PEM file of the CA for all addresses of the provider.
    pub ca: Option<PathBuf>,
    pub mappings: ClaimMappings,
}

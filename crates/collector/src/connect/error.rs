//! Errors of connecting to a cluster: mistakes that a person must correct before the program can start, and
//! failures of credentials, TLS and proxies while it runs.
//!
//! The texts of the error types are for the operator's terminal and log. The texts for readers of pages are
//! in `locales/` and contain no paths and no addresses.

use std::{io, path::PathBuf, time::Duration};

use kube::config::InClusterError;

use crate::duration::seconds;
use i18n::msg;
use model::{message::Message, reason::Reason};

/// Why there is no cluster to connect to. It is returned before anything is sent over the network.
///
/// Underlying errors are described in words and not kept as a source: a YAML error quotes the lines around
/// it, and those can hold a credential.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(
        "no cluster is configured: there is no --kubeconfig or KUBECONFIG, no service account of a pod, and no \
         ~/.kube/config.\nTo see the dashboard without a cluster, run `wukong-dashboard demo`"
    )]
    NoCluster,
    #[error("cannot use the kubeconfig {path}: {why}")]
    File { path: PathBuf, why: String },
    #[error("cannot use the kubeconfig: {0}")]
    Kubeconfig(String),
    #[error("the kubeconfig has no contexts: is it the right file? See `kubectl config view`")]
    NoContexts,
    #[error(
        "the kubeconfig sets no current context: choose one with --context or `kubectl config use-context` \
         ({contexts})"
    )]
    NoCurrentContext { contexts: String },
    #[error("the kubeconfig has no context named {name}: choose one of {contexts} with --context")]
    NoContext { name: String, contexts: String },
    #[error(
        "the context {context} names the cluster {cluster}, which the kubeconfig does not have: add it, or choose \
         another context with --context"
    )]
    NoClusterOfContext { context: String, cluster: String },
    #[error(
        "the server of the cluster {cluster} is missing or not an address such as https://10.0.0.1:6443: correct it in the kubeconfig"
    )]
    Server { cluster: String },
    #[error(
        "the proxy-url of the cluster {cluster} is not an address of a proxy: write it as http://, https://, \
         socks5:// or socks5h://HOST:PORT"
    )]
    ProxyUrl { cluster: String },
    #[error("the {field} of {owner} is not base64: correct it in the kubeconfig")]
    Data { field: &'static str, owner: String },
    #[error("the {field} of {owner} has no certificates in PEM format: correct it in the kubeconfig")]
    Certificates { field: &'static str, owner: String },
    #[error("cannot read the {field} of {owner}, {path}: {why}")]
    Unreadable { field: &'static str, owner: String, path: PathBuf, why: io::Error },
    #[error(
        "the user {user} has a client certificate without a key, or a key without a certificate: the kubeconfig needs both"
    )]
    HalfCertificate { user: String },
    #[error("the user {user} has a token that cannot be sent: correct it in the kubeconfig")]
    Token { user: String },
    #[error("the user {user} uses the auth-provider {provider}, which {instead}")]
    Provider { user: String, provider: String, instead: &'static str },
    #[error("the credential plugin of the user {user} {why}")]
    Plugin { user: String, why: String },
    #[error("cannot obtain credentials: {0}")]
    Credentials(#[from] CredentialError),
    #[error("cannot use the pod's service account: {0}")]
    ServiceAccount(#[from] InClusterError),
    #[error("cannot set up the connection to the cluster: {0}")]
    Client(String),
    #[error("cannot use --kubelet-ca {path}: {why}")]
    KubeletCa { path: PathBuf, why: String },
}

impl From<TlsError> for ConnectError {
    fn from(error: TlsError) -> Self {
        Self::Client(error.to_string())
    }
}

impl From<kube::Error> for ConnectError {
    fn from(error: kube::Error) -> Self {
        Self::Client(error.to_string())
    }
}

/// Why a TLS configuration cannot be used, as far as that is known without a server.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("none of the authorities' certificates can be read")]
    Authorities,
    #[error("the tls-server-name is neither a name nor an address: correct it in the kubeconfig")]
    ServerName,
    #[error(transparent)]
    Identity(#[from] CredentialError),
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
    #[error(transparent)]
    Kube(#[from] kube::Error),
}

/// Why there are no credentials, or none but those that were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    #[error("the {what} {path} cannot be read: {why}")]
    Unreadable { what: &'static str, path: PathBuf, why: io::ErrorKind },
    #[error("the {what} {path} is empty")]
    Empty { what: &'static str, path: PathBuf },
    #[error("the token cannot be sent: it has more than one line")]
    Token,
    #[error("the client certificate and its key do not match, or are not in PEM format")]
    Certificate,
    #[error(
        "the key of the client certificate is not supported: it must be an RSA key of 2048 bits or more, an ECDSA key on \
         P-256 or P-384, or an Ed25519 key, without a password"
    )]
    UnsupportedKey,
    #[error("{0}")]
    Kubeconfig(String),
    #[error(
        "the context {0} of the kubeconfig points to a different cluster than at startup: restart to follow it"
    )]
    Moved(String),
    #[error("the id-token of the kubeconfig has expired: run kubectl once with this kubeconfig to renew it")]
    IdTokenEnded,
    #[error("the credential plugin {0} is not installed, or not in PATH")]
    PluginMissing(String),
    #[error("the credential plugin {plugin} cannot be started: {why}")]
    PluginNotStarted { plugin: String, why: io::ErrorKind },
    #[error(
        "the credential plugin {plugin} failed with exit code {code}: run kubectl with the same kubeconfig to see what \
         it says"
    )]
    PluginFailed { plugin: String, code: i32 },
    #[error(
        "the credential plugin {plugin} did not end within {} s: it may be waiting for input; log in with it on a \
         terminal first, for example by kubectl",
        seconds(*deadline)
    )]
    PluginLate { plugin: String, deadline: Duration },
    #[error("the credential plugin {plugin} printed no usable credentials: {why}")]
    PluginUseless { plugin: String, why: &'static str },
    #[error("the credentials are not available yet")]
    Pending,
    #[error("the task that obtains credentials panicked")]
    Internal,
}

impl CredentialError {
    /// The reason and the text for readers of pages.
    pub fn describe(&self) -> (Reason, Message) {
        let words = match self {
            Self::Moved(_) => msg!(collect.cluster_moved),
            Self::IdTokenEnded => msg!(collect.id_token_ended),
            Self::PluginMissing(plugin) => msg!(collect.plugin_missing, plugin = plugin.as_str()),
            Self::PluginNotStarted { plugin, .. } => msg!(collect.plugin_missing, plugin = plugin.as_str()),
            Self::PluginFailed { plugin, code } => {
                msg!(collect.plugin_failed, plugin = plugin.as_str(), code = code.to_string())
            }
            Self::PluginLate { plugin, deadline } => {
                msg!(collect.plugin_late, plugin = plugin.as_str(), seconds = seconds(*deadline))
            }
            Self::PluginUseless { plugin, .. } => msg!(collect.plugin_useless, plugin = plugin.as_str()),
            Self::Pending => msg!(collect.credentials_pending),
            _ => msg!(collect.no_credentials),
        };
        (Reason::Unauthenticated, words)
    }
}

/// Why a proxy did not connect to the server.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("the proxy cannot be reached")]
    Unreachable(#[source] tower::BoxError),
    #[error("the proxy requires a user and a password")]
    Login,
    #[error("the proxy refuses to connect to the server")]
    Refused(#[source] tower::BoxError),
}

impl ProxyError {
    /// The reason and the text for readers of pages; `peer` is the server behind the proxy.
    pub fn describe(&self, peer: Message) -> (Reason, Message) {
        let words = match self {
            Self::Unreachable(_) => msg!(collect.proxy_unreachable, peer = peer),
            Self::Login => msg!(collect.proxy_login, peer = peer),
            Self::Refused(_) => msg!(collect.proxy_refuses, peer = peer),
        };
        (Reason::Unreachable, words)
    }
}

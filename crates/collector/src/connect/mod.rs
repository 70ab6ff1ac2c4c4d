//! Connects to the cluster as kubectl does: to which cluster ([`target`], [`kubeconfig`]), through which
//! proxy (`config::ProxyRules`, [`dial`], [`tls`]), and with whose credentials ([`user`], [`plugin`],
//! [`credentials`], [`authenticate`]). The client below ([`http_client`], [`proxy`], [`tcp`], [`link`],
//! [`interim`], [`overhead`]) is also that of peers outside the cluster (`outside`).
//!
//! kube is only the transport. Its own handling of kubeconfigs, proxies and plugins is not used: kube 5
//! matches NO_PROXY against the proxy's own address and ignores proxies in a pod (`config/file_loader.rs`,
//! `proxy_url`), supports no `socks5h` and no login to a SOCKS proxy (`client/builder.rs`), refuses base64
//! with line breaks (`config/file_config.rs`), and runs a plugin once for each client, without a deadline,
//! and never again after a 401 (`client/auth/mod.rs`).

mod authenticate;
mod credentials;
mod dial;
mod error;
mod http_client;
mod interim;
mod kubeconfig;
mod link;
mod overhead;
mod plugin;
mod proxy;
mod target;
mod tcp;
mod tls;
mod user;

#[cfg(any(test, feature = "fuzzing"))]
pub use self::kubeconfig::Context;
pub use self::{
    authenticate::{Authenticated, OnRefusal},
    credentials::Credentials,
    dial::Connections,
    error::{ConnectError, CredentialError, ProxyError, TlsError},
    http_client::{Http, HttpConfig},
    interim::TooManyInterim,
    kubeconfig::KubeconfigLocation,
    overhead::{AnswerBody, TooMuchOverhead},
    proxy::ProxyHop,
    target::{Summary, Target, find, of_kubeconfig},
    tcp::CONNECT_TIMEOUT,
};

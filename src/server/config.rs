//! The validated configuration of the program. No code outside this module reads flags or the environment.
//!
//! [`flags`] defines the command line for clap with the parsers of [`parse`], [`empty`] leaves out empty values,
//! [`validate`] checks the rest, and [`convert`] makes these types.

use std::{fmt, net::SocketAddr, path::PathBuf};

use clap::ValueEnum;
use ipnet::IpNet;

use collector::config::{CollectConfig, KubernetesConfig};

mod auth_proxy;
mod claim_mappings;
mod convert;
mod empty;
mod flags;
mod parse;
mod sign_in;
mod validate;

pub use auth_proxy::{AssertionConfig, AuthProxyConfig, ClientCertificateConfig, ProxyProof};
pub use claim_mappings::ClaimMappings;
pub use sign_in::{OidcConfig, PublicUrl, SignInConfig, SignInMode, SignInModes};
pub use validate::read;

/// The command to run, and how to log.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub log: LogConfig,
    pub task: Task,
}

/// One of the program's commands.
#[derive(Clone, Debug)]
pub enum Task {
    /// Serve the dashboard of a real cluster.
    Serve(Config),
    /// Serve the dashboard of the built-in simulated cluster.
    Demo(Config, SimSize),
    /// Run the simulated cluster alone.
    Sim(SimConfig),
    /// Ask every source once, and report what is missing.
    Check(Config, Output),
    /// Ask the dashboard at this address whether it is alive, as a container's health check does. With files, it
    /// speaks TLS.
    Healthcheck(Listen, Option<TlsFiles>),
}

/// The address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    Address(SocketAddr),
    /// All IPv4 and IPv6 addresses of the machine, as `:8081` means in Go.
    EveryFamily {
        port: u16,
    },
}

impl Listen {
    /// Returns whether only this machine can reach the address.
    pub fn is_loopback(self) -> bool {
        matches!(self, Self::Address(address) if address.ip().to_canonical().is_loopback())
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::EveryFamily { port } => write!(f, ":{port}"),
        }
    }
}

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Text,
    Json,
}

/// Everything that `serve` needs to run.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: Listen,
    pub kubernetes: KubernetesConfig,
    pub collect: CollectConfig,
    pub http: HttpConfig,
}

/// Which Host headers are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AllowedHosts {
    /// On a loopback listener, the machine's own names; on any other listener, every name.
    #[default]
    ByListener,
    /// These names in lower case, each with or without a port. On a loopback listener also the machine's own
    /// names.
    Named(Vec<String>),
    Every,
}

/// Settings of the HTTP server.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    pub allowed_hosts: AllowedHosts,
    /// Networks of proxies whose X-Forwarded-For header is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Most clients of the event stream at the same time. Further clients are told to come back later.
    pub max_event_clients: usize,
    pub sign_in: SignInConfig,
    /// `None` serves plain HTTP.
    pub tls: Option<TlsFiles>,
}

/// The PEM files of `--tls-cert` and `--tls-key`, and of the authority of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The PEM file of `--proxy-client-ca`. With it, clients may show a certificate of that authority.
    pub client_ca: Option<PathBuf>,
}

impl HttpConfig {
    /// Returns the same with these settings of the sign-in. Where a proxy proves itself by a certificate, the listener
    /// asks for it.
    pub fn with_sign_in(self, sign_in: SignInConfig) -> Self {
        let certificate = sign_in.auth_proxy.as_ref().and_then(AuthProxyConfig::client_certificate);
        let client_ca = certificate.map(|certificate| certificate.ca.clone());
        let tls = self.tls.map(|files| TlsFiles { client_ca, ..files });
        Self { sign_in, tls, ..self }
    }

    /// Returns whether browsers come over TLS. `--public-url` says so, else the listener.
    pub fn is_https(&self) -> bool {
        self.sign_in.public_url.as_ref().map_or(self.tls.is_some(), PublicUrl::is_https)
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            allowed_hosts: AllowedHosts::default(),
            trusted_proxies: Vec::new(),
            max_event_clients: 2000,
            sign_in: SignInConfig::default(),
            tls: None,
        }
    }
}

/// The size of the simulated cluster. The same seed gives the same cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimSize {
    pub vms: u32,
    pub nodes: u32,
    pub seed: u64,
    /// Whether its KubeVirt is of version 1.0, which reports less.
    pub old_kubevirt: bool,
}

/// Settings of the simulated cluster that runs alone.
#[derive(Clone, Debug)]
pub struct SimConfig {
    pub size: SimSize,
    pub listen: SocketAddr,
    pub tls: bool,
    /// Where to write a kubeconfig for it.
    pub kubeconfig_out: Option<PathBuf>,
    pub viewers: Vec<SimViewer>,
}

/// A person who may list the VMs of some namespaces of the simulated cluster, as may everybody in one of their groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimViewer {
    pub name: String,
    pub groups: Vec<String>,
    pub namespaces: Vec<String>,
}

/// Settings of the log, which goes to standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    pub format: LogFormat,
    /// Valid directives of `tracing_subscriber::EnvFilter`.
    pub filter: String,
}

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

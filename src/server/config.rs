//! What the program was told, validated: nothing behind this file reads flags or the environment.
//!
//! [`flags`] holds the command line as it was typed, [`validate`] turns it into these types or into one report of
//! every mistake in it.

use std::{fmt, net::SocketAddr, path::PathBuf};

use ipnet::IpNet;

use collector::config::{CollectConfig, KubernetesConfig};

mod flags;
mod parse;
mod sources;
mod validate;

pub use validate::{Mistake, Refusal, read};

/// What to do, and how to log while doing it.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub log: LogConfig,
    pub task: Task,
}

/// One of the program's commands.
#[derive(Clone, Debug)]
pub enum Task {
    /// Serve a real cluster.
    Serve(Config),
    /// Serve the built-in simulated cluster.
    Demo(Config, SimSize),
    /// Run the simulated cluster alone.
    Sim(SimConfig),
    /// Ask every source once, and say what is missing.
    Check(Config, Output),
    /// Ask the dashboard at this address whether it is alive.
    Healthcheck(Listen),
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    Address(SocketAddr),
    /// Every address of every family that there is, which is what `:8081` means to Go.
    EveryFamily {
        port: u16,
    },
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::EveryFamily { port } => write!(f, ":{port}"),
        }
    }
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Which Host headers are answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AllowedHosts {
    /// Of this machine's own names on a loopback listener, every one on any other.
    #[default]
    ByListener,
    /// These, in lower case, each with or without a port; on a loopback listener this machine's own names too.
    Named(Vec<String>),
    Every,
}

/// How the program answers browsers.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    pub allowed_hosts: AllowedHosts,
    /// Proxies that say in X-Forwarded-For whose request it is.
    pub trusted_proxies: Vec<IpNet>,
    /// Clients of the event stream at the same time; more are told to come back.
    pub max_event_clients: usize,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { allowed_hosts: AllowedHosts::default(), trusted_proxies: Vec::new(), max_event_clients: 2000 }
    }
}

/// The simulated cluster's size; the same seed gives the same cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimSize {
    pub vms: u32,
    pub nodes: u32,
    pub seed: u64,
}

/// The simulated cluster as a program of its own.
#[derive(Clone, Debug)]
pub struct SimConfig {
    pub size: SimSize,
    pub listen: SocketAddr,
    pub tls: bool,
    /// Where to write a kubeconfig that leads to it.
    pub kubeconfig_out: Option<PathBuf>,
}

/// What is written to standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    pub format: LogFormat,
    /// Directives of `tracing_subscriber::EnvFilter`, known to parse.
    pub filter: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

//! The command line as it was typed: every value is text, so that all mistakes can be told at once.
//!
//! The text of each flag says its unit; clap adds the default and the environment variable.

use clap::{Args, Parser, Subcommand};

/// Shows how much CPU, memory and disk every virtual machine of a KubeVirt cluster really uses
///
/// Without a command it serves the cluster of --kubeconfig, $KUBECONFIG, the pod's service account or
/// ~/.kube/config, the first that exists. It only ever reads.
#[derive(Debug, Parser)]
#[command(name = "wukong-dashboard", version, args_conflicts_with_subcommands = true)]
#[command(after_help = "Exit codes: 0 stopped as asked, 1 failure, 2 wrong usage. RUST_LOG filters the log.")]
pub struct Flags {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub serve: ServeFlags,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a simulated cluster that is built in: nothing else is needed
    Demo(DemoFlags),
    /// Run the simulated cluster alone, for any Kubernetes client
    Sim(SimFlags),
    /// Ask every source once, and say what is missing and how to mend it; exit code 1 where something is
    Check(CheckFlags),
    /// Ask the dashboard that listens at --listen whether it is alive: a container's health check, without a shell
    #[command(hide = true)]
    Healthcheck(HttpFlags),
}

#[derive(Debug, Args)]
pub struct ServeFlags {
    /// File that says which cluster and as whom; else $KUBECONFIG, the service account, ~/.kube/config
    #[arg(long, value_name = "FILE", env = "WUKONG_KUBECONFIG", hide_env_values = true)]
    pub kubeconfig: Option<String>,
    /// Context of the kubeconfig; else its current one
    #[arg(long, value_name = "NAME", env = "WUKONG_CONTEXT", hide_env_values = true)]
    pub context: Option<String>,
    #[command(flatten)]
    pub http: HttpFlags,
    #[command(flatten)]
    pub collect: CollectFlags,
    #[command(flatten)]
    pub log: LogFlags,
}

#[derive(Debug, Args)]
pub struct DemoFlags {
    #[command(flatten)]
    pub size: SizeFlags,
    #[command(flatten)]
    pub http: HttpFlags,
    #[command(flatten)]
    pub collect: CollectFlags,
    #[command(flatten)]
    pub log: LogFlags,
}

#[derive(Debug, Args)]
pub struct CheckFlags {
    /// Form of the report on standard output: text or json
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    pub output: String,
    /// File that says which cluster and as whom; else $KUBECONFIG, the service account, ~/.kube/config
    #[arg(long, value_name = "FILE", env = "WUKONG_KUBECONFIG", hide_env_values = true)]
    pub kubeconfig: Option<String>,
    /// Context of the kubeconfig; else its current one
    #[arg(long, value_name = "NAME", env = "WUKONG_CONTEXT", hide_env_values = true)]
    pub context: Option<String>,
    #[command(flatten)]
    pub collect: CollectFlags,
    #[command(flatten)]
    pub log: LogFlags,
}

#[derive(Debug, Args)]
pub struct SimFlags {
    #[command(flatten)]
    pub size: SizeFlags,
    /// Address and port of the simulated Kubernetes API; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", env = "WUKONG_SIM_LISTEN", hide_env_values = true)]
    #[arg(default_value = "127.0.0.1:0")]
    pub listen: String,
    /// Speak TLS, with a certificate made for the run; its CA is in the kubeconfig
    #[arg(long)]
    pub tls: bool,
    /// Write a kubeconfig that leads to the simulated cluster
    #[arg(long, value_name = "FILE", env = "WUKONG_SIM_KUBECONFIG_OUT", hide_env_values = true)]
    pub kubeconfig_out: Option<String>,
    #[command(flatten)]
    pub log: LogFlags,
}

#[derive(Debug, Args)]
pub struct HttpFlags {
    /// Address and port of the pages and the API; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", env = "WUKONG_LISTEN", hide_env_values = true)]
    #[arg(default_value = "127.0.0.1:8081")]
    pub listen: String,
    /// Host headers to answer, comma-separated, each with or without a port; empty answers every one
    #[arg(long, value_name = "HOSTS", env = "WUKONG_ALLOWED_HOSTS", hide_env_values = true)]
    #[arg(default_value = "")]
    pub allowed_hosts: String,
}

#[derive(Debug, Args)]
pub struct CollectFlags {
    /// Namespaces to read, comma-separated; empty reads all
    #[arg(long, value_name = "NAMESPACES", env = "NAMESPACE", hide_env_values = true)]
    #[arg(default_value = "")]
    pub namespace: String,
    /// Time between two readings of CPU and memory, 1s to 1h
    #[arg(long, value_name = "DURATION", env = "WUKONG_METRICS_INTERVAL", hide_env_values = true)]
    #[arg(default_value = "15s")]
    pub metrics_interval: String,
    /// Time between two readings of disks, 1s to 1h
    #[arg(long, value_name = "DURATION", env = "WUKONG_DISK_INTERVAL", hide_env_values = true)]
    #[arg(default_value = "60s")]
    pub disk_interval: String,
    /// Longest wait for the metrics API's answer, 100ms to 5m
    #[arg(long, value_name = "DURATION", env = "WUKONG_METRICS_DEADLINE", hide_env_values = true)]
    #[arg(default_value = "10s")]
    pub metrics_deadline: String,
    /// Longest wait for one kubelet's answer, 100ms to 5m
    #[arg(long, value_name = "DURATION", env = "WUKONG_KUBELET_DEADLINE", hide_env_values = true)]
    #[arg(default_value = "5s")]
    pub kubelet_deadline: String,
    /// Kubelets asked at the same time, 1 to 1024
    #[arg(long, value_name = "NUMBER", env = "WUKONG_KUBELET_CONCURRENCY", hide_env_values = true)]
    #[arg(default_value = "16")]
    pub kubelet_concurrency: String,
    /// Time without a byte after which a watch is taken for dead and reopened, 1s to 1h
    #[arg(long, value_name = "DURATION", env = "WUKONG_WATCH_IDLE", hide_env_values = true)]
    #[arg(default_value = "90s")]
    pub watch_idle: String,
}

#[derive(Debug, Args)]
pub struct SizeFlags {
    /// Simulated virtual machines, 1 to 10000
    #[arg(long, value_name = "NUMBER", env = "WUKONG_VMS", hide_env_values = true)]
    #[arg(default_value = "60")]
    pub vms: String,
    /// Simulated nodes, 1 to 500
    #[arg(long, value_name = "NUMBER", env = "WUKONG_NODES", hide_env_values = true)]
    #[arg(default_value = "6")]
    pub nodes: String,
    /// Number that the simulated cluster grows from: the same seed, the same cluster
    #[arg(long, value_name = "NUMBER", env = "WUKONG_SEED", hide_env_values = true)]
    #[arg(default_value = "1")]
    pub seed: String,
}

#[derive(Debug, Args)]
pub struct LogFlags {
    /// Form of the log on standard error: text or json
    #[arg(long, value_name = "FORMAT", env = "WUKONG_LOG_FORMAT", hide_env_values = true)]
    #[arg(default_value = "text")]
    pub log_format: String,
}

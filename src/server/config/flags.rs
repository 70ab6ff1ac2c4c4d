//! The command line as it was typed. Every value is text, so that all mistakes can be reported at once.
//!
//! The doc comments of flags are the text of `--help` and say the unit; clap adds the default and the
//! environment variable.

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
    Demo(Box<DemoFlags>),
    /// Run the simulated cluster alone, for any Kubernetes client
    Sim(SimFlags),
    /// Ask every source once, and say what is missing and how to fix it; exit code 1 where something is
    Check(Box<CheckFlags>),
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
    /// Write a kubeconfig that leads to the simulated cluster, in place of a file of that name; its owner alone may read it
    #[arg(long, value_name = "FILE", env = "WUKONG_SIM_KUBECONFIG_OUT", hide_env_values = true)]
    pub kubeconfig_out: Option<String>,
    #[command(flatten)]
    pub log: LogFlags,
}

#[derive(Debug, Args)]
pub struct HttpFlags {
    /// Address and port of the pages and the API; :PORT takes every IPv4 and IPv6 address, port 0 a free port
    #[arg(long, value_name = "ADDRESS:PORT", env = "WUKONG_LISTEN", hide_env_values = true)]
    #[arg(default_value = "127.0.0.1:8081")]
    pub listen: String,
    /// Host headers to answer, comma-separated, each with or without a port; * answers every one. On a loopback
    /// address they add to localhost, 127.0.0.1 and [::1]; on any other, empty answers every one
    #[arg(long, value_name = "HOSTS", env = "WUKONG_ALLOWED_HOSTS", hide_env_values = true)]
    #[arg(default_value = "")]
    pub allowed_hosts: String,
    /// Networks of proxies that say in X-Forwarded-For whose request it is, comma-separated; the address counts for
    /// limits and logs, and never as an identity
    #[arg(long, value_name = "CIDRS", env = "WUKONG_TRUSTED_PROXIES", hide_env_values = true)]
    #[arg(default_value = "")]
    pub trusted_proxies: String,
    /// Clients that may follow events at the same time, 1 to 2500; more are told to come back
    #[arg(long, value_name = "NUMBER", env = "WUKONG_MAX_EVENT_CLIENTS", hide_env_values = true)]
    #[arg(default_value = "2000")]
    pub max_event_clients: String,
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
    /// Memory for the objects of one kind, 1Mi to 4Gi, of which one namespace takes half at most; more are left out
    #[arg(long, value_name = "BYTES", env = "WUKONG_COLLECTION_LIMIT", hide_env_values = true)]
    #[arg(default_value = "64Mi")]
    pub collection_limit: String,
    #[command(flatten)]
    pub sources: SourceFlags,
}

/// The sources of disk figures, and those beside the API server.
#[derive(Debug, Args)]
pub struct SourceFlags {
    /// Where disk figures come from, comma-separated, the first that knows a volume wins; others are not asked
    #[arg(long, value_name = "SOURCES", env = "WUKONG_DISK_SOURCES", hide_env_values = true)]
    #[arg(default_value = "kubelet,prometheus,guest-agent,longhorn,ceph")]
    pub disk_sources: String,
    /// Way to the kubelets: proxy (through the API server), direct, or auto (direct where that works, and sends no kubelet a
    /// kubeconfig's token)
    #[arg(long, value_name = "WAY", env = "WUKONG_KUBELET_ACCESS", hide_env_values = true)]
    #[arg(default_value = "auto")]
    pub kubelet_access: String,
    /// File with the authority (PEM) of the kubelets' certificates; else the cluster's
    #[arg(long, value_name = "FILE", env = "WUKONG_KUBELET_CA", hide_env_values = true)]
    pub kubelet_ca: Option<String>,
    /// Accept any certificate of a kubelet; whoever answers at its address then gets the credentials (true or false)
    #[arg(long, value_name = "BOOL", env = "WUKONG_KUBELET_INSECURE_TLS", hide_env_values = true)]
    #[arg(default_value = "false", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub kubelet_insecure_tls: String,
    /// Port of the kubelets, 1 to 65535
    #[arg(long, value_name = "PORT", env = "WUKONG_KUBELET_PORT", hide_env_values = true)]
    #[arg(default_value = "10250")]
    pub kubelet_port: String,
    /// Address of a Prometheus-compatible API, without /api/v1; without it none is asked
    #[arg(long, value_name = "URL", env = "WUKONG_PROMETHEUS_URL", hide_env_values = true)]
    pub prometheus_url: Option<String>,
    /// File with the bearer token for Prometheus, read anew each time
    #[arg(long, value_name = "FILE", env = "WUKONG_PROMETHEUS_BEARER_TOKEN_FILE", hide_env_values = true)]
    pub prometheus_bearer_token_file: Option<String>,
    /// File with user:password for Prometheus, read anew each time
    #[arg(long, value_name = "FILE", env = "WUKONG_PROMETHEUS_BASIC_AUTH_FILE", hide_env_values = true)]
    pub prometheus_basic_auth_file: Option<String>,
    /// File with the authority (PEM) of Prometheus' certificate; else the system's
    #[arg(long, value_name = "FILE", env = "WUKONG_PROMETHEUS_CA", hide_env_values = true)]
    pub prometheus_ca: Option<String>,
    /// Labels that every series must have, such as cluster=a,env=b
    #[arg(long, value_name = "LABELS", env = "WUKONG_PROMETHEUS_MATCHERS", hide_env_values = true)]
    #[arg(default_value = "")]
    pub prometheus_matchers: String,
    /// Tenant, sent as X-Scope-OrgID; or any header, such as THANOS-TENANT: a
    #[arg(long, value_name = "TENANT", env = "WUKONG_PROMETHEUS_TENANT", hide_env_values = true)]
    pub prometheus_tenant: Option<String>,
    /// Namespaces of KubeVirt and of the kubelets' Service, comma-separated; exporters there alone may speak for other
    /// namespaces, where a scrape does not honour labels
    #[arg(
        long,
        value_name = "NAMESPACES",
        env = "WUKONG_PROMETHEUS_TRUSTED_NAMESPACES",
        hide_env_values = true
    )]
    #[arg(default_value = "kube-system,kubevirt,openshift-cnv,kubevirt-hyperconverged,harvester-system")]
    pub prometheus_trusted_namespaces: String,
    /// Longest wait for one answer of Prometheus, 100ms to 5m
    #[arg(long, value_name = "DURATION", env = "WUKONG_PROMETHEUS_DEADLINE", hide_env_values = true)]
    #[arg(default_value = "10s")]
    pub prometheus_deadline: String,
    /// Address of a ceph-mgr's dashboard; without it none is asked
    #[arg(long, value_name = "URL", env = "WUKONG_CEPH_URL", hide_env_values = true)]
    pub ceph_url: Option<String>,
    /// File with the name of a user of Ceph's dashboard who may read rbd-image
    #[arg(long, value_name = "FILE", env = "WUKONG_CEPH_USER_FILE", hide_env_values = true)]
    pub ceph_user_file: Option<String>,
    /// File with the password of that user
    #[arg(long, value_name = "FILE", env = "WUKONG_CEPH_PASSWORD_FILE", hide_env_values = true)]
    pub ceph_password_file: Option<String>,
    /// File with the authority (PEM) of the dashboard's certificate; else the system's
    #[arg(long, value_name = "FILE", env = "WUKONG_CEPH_CA", hide_env_values = true)]
    pub ceph_ca: Option<String>,
    /// Time between two readings of Ceph, 1s to 1h
    #[arg(long, value_name = "DURATION", env = "WUKONG_CEPH_INTERVAL", hide_env_values = true)]
    #[arg(default_value = "5m")]
    pub ceph_interval: String,
    /// Longest time that one reading of Ceph may take, 100ms to 1h, no shorter than --ceph-deadline
    #[arg(long, value_name = "DURATION", env = "WUKONG_CEPH_BUDGET", hide_env_values = true)]
    #[arg(default_value = "60s")]
    pub ceph_budget: String,
    /// Longest wait for one answer of Ceph, 100ms to 5m
    #[arg(long, value_name = "DURATION", env = "WUKONG_CEPH_DEADLINE", hide_env_values = true)]
    #[arg(default_value = "15s")]
    pub ceph_deadline: String,
    /// Guest agents asked at the same time, 1 to 1024
    #[arg(long, value_name = "NUMBER", env = "WUKONG_GUEST_AGENT_CONCURRENCY", hide_env_values = true)]
    #[arg(default_value = "8")]
    pub guest_agent_concurrency: String,
    /// Longest wait for one guest agent's answer, 100ms to 5m
    #[arg(long, value_name = "DURATION", env = "WUKONG_GUEST_AGENT_DEADLINE", hide_env_values = true)]
    #[arg(default_value = "5s")]
    pub guest_agent_deadline: String,
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

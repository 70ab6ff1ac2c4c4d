//! The command line: every flag with its environment variable, its default and the parser of its value. A value that
//! cannot be used is refused by clap.
//!
//! The doc comments of flags are the text of `--help` and say the unit and the range; clap adds the default and the
//! environment variable.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use clap::{
    ArgAction, Args, Parser, Subcommand,
    builder::{BoolValueParser, EnumValueParser},
    value_parser,
};
use http::Uri;

mod auth_proxy;
mod oidc;

pub use auth_proxy::AuthProxyFlags;
pub use oidc::OidcFlags;

use super::{
    AllowedHosts, Listen, LogFormat, Output, PublicUrl, SignInModes, SimViewer,
    parse::{self, DiskSources, Hidden, Matchers, Namespaces, Networks, Tenant, trimmed},
};
use collector::config::KubeletAccess;

const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
const DEADLINE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(300);
const BUDGET: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
const CONCURRENCY: RangeInclusive<u64> = 1..=1024;
const COLLECTION: RangeInclusive<u64> = 1 << 20..=4 << 30;
/// Range of --max-event-clients. Pages must find a connection beside the event streams.
pub const EVENT_CLIENTS: RangeInclusive<u64> = 1..=2500;

/// Shows how much CPU, memory and disk every virtual machine of a KubeVirt cluster really uses
///
/// Without a command, the program serves the dashboard of a real cluster. It uses the first of these that exists:
/// --kubeconfig, $KUBECONFIG, the service account of its pod, ~/.kube/config. It only reads from the cluster.
#[derive(Debug, Parser)]
#[command(name = "wukong-dashboard", version, args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Exit codes: 0 stopped on request, 1 failure, 2 wrong usage. RUST_LOG sets the log filter."
)]
pub struct Flags {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub serve: ServeFlags,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the dashboard of a simulated cluster. It needs no Kubernetes
    Demo(Box<DemoFlags>),
    /// Run only the simulated cluster, as an API server for any Kubernetes client
    Sim(SimFlags),
    /// Query every source once, and report what is missing and how to fix it. The exit code is 1 if anything
    /// is missing
    Check(Box<CheckFlags>),
    /// Ask the dashboard that listens on --listen whether it is alive. For the health check of a container
    /// without a shell
    #[command(hide = true)]
    Healthcheck(HttpFlags),
}

#[derive(Debug, Args)]
pub struct ServeFlags {
    #[command(flatten)]
    pub cluster: ClusterFlags,
    #[command(flatten)]
    pub http: HttpFlags,
    #[command(flatten)]
    pub sign_in: SignInFlags,
    #[command(flatten)]
    pub collect: CollectFlags,
    #[command(flatten)]
    pub log: LogFlags,
}

/// The cluster to connect to.
#[derive(Debug, Args)]
pub struct ClusterFlags {
    /// Path of the kubeconfig file. If it is not set, the program uses $KUBECONFIG, then the service account
    /// of its pod, then ~/.kube/config
    #[arg(long, value_name = "FILE", env = "WUKONG_KUBECONFIG", hide_env_values = true)]
    #[arg(value_parser = parse::path())]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig. If it is not set, the program uses the current context
    #[arg(long, value_name = "NAME", env = "WUKONG_CONTEXT", hide_env_values = true)]
    #[arg(value_parser = parse::text)]
    pub context: Option<String>,
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
    /// Format of the report on standard output
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    #[arg(value_parser = trimmed(EnumValueParser::<Output>::new()))]
    pub output: Output,
    /// All of them, so that `check` takes the line that the dashboard is started with.
    #[command(flatten)]
    pub serve: ServeFlags,
}

#[derive(Debug, Args)]
pub struct SimFlags {
    #[command(flatten)]
    pub size: SizeFlags,
    /// Address and port of the simulated Kubernetes API. Port 0 selects a free port
    #[arg(long, value_name = "ADDRESS:PORT", env = "WUKONG_SIM_LISTEN", hide_env_values = true)]
    #[arg(default_value = "127.0.0.1:0", value_parser = parse::socket)]
    pub listen: SocketAddr,
    /// Serve HTTPS with a certificate that is created for this run. The kubeconfig contains its CA
    #[arg(long)]
    pub tls: bool,
    /// Write a kubeconfig for the simulated cluster to this path. An existing file is replaced, and only its
    /// owner can read the new one
    #[arg(long, value_name = "FILE", env = "WUKONG_SIM_KUBECONFIG_OUT", hide_env_values = true)]
    #[arg(value_parser = parse::path())]
    pub kubeconfig_out: Option<PathBuf>,
    /// A person who can sign in to a dashboard of the simulated cluster, and the namespaces whose VMs they and their
    /// groups may list, such as oidc:ana+oidc:ops=shop,payments. The flag can be repeated; the variable separates
    /// people by semicolons. The token of each is printed
    #[arg(long, value_name = "NAME[+GROUP]=NAMESPACES", env = "WUKONG_SIM_VIEWER", hide_env_values = true)]
    #[arg(value_parser = parse::viewer, value_delimiter = ';')]
    pub viewer: Vec<SimViewer>,
    #[command(flatten)]
    pub log: LogFlags,
}

#[derive(Debug, Args)]
pub struct HttpFlags {
    /// Address and port of the dashboard. :PORT listens on all IPv4 and IPv6 addresses; port 0 selects a free
    /// port
    #[arg(long, value_name = "ADDRESS:PORT", env = "WUKONG_LISTEN", hide_env_values = true)]
    #[arg(default_value = "127.0.0.1:8081", value_parser = parse::listen)]
    pub listen: Listen,
    /// Accepted Host headers, comma-separated, each with or without a port; * accepts all. A loopback address
    /// always accepts localhost, 127.0.0.1, [::1] and the host of --public-url. If the flag is not set, any
    /// other address accepts all
    #[arg(long, value_name = "HOSTS", env = "WUKONG_ALLOWED_HOSTS", hide_env_values = true)]
    #[arg(value_parser = parse::hosts)]
    pub allowed_hosts: Option<AllowedHosts>,
    /// Networks (CIDR) of proxies whose X-Forwarded-For header is trusted, comma-separated. The client's
    /// address in it counts for limits and logs; it is never an identity
    #[arg(long, value_name = "CIDRS", env = "WUKONG_TRUSTED_PROXIES", hide_env_values = true)]
    #[arg(value_parser = parse::networks)]
    pub trusted_proxies: Option<Networks>,
    /// Maximum number of clients of the event stream at the same time, 1 to 2500. Further clients get 503
    /// with Retry-After
    #[arg(long, value_name = "NUMBER", env = "WUKONG_MAX_EVENT_CLIENTS", hide_env_values = true)]
    #[arg(default_value = "2000", value_parser = parse::count(EVENT_CLIENTS))]
    pub max_event_clients: usize,
    #[command(flatten)]
    pub tls: TlsFlags,
}

#[derive(Debug, Args)]
pub struct TlsFlags {
    /// PEM file with the certificate of the dashboard, followed by its chain: the dashboard then serves HTTPS. It
    /// requires --tls-key. Both files are read again when they change. If it is not set, the dashboard serves HTTP
    #[arg(long, value_name = "FILE", env = "WUKONG_TLS_CERT", hide_env_values = true)]
    #[arg(value_parser = parse::path(), requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the private key of that certificate
    #[arg(long, value_name = "FILE", env = "WUKONG_TLS_KEY", hide_env_values = true)]
    #[arg(value_parser = parse::path(), requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct SignInFlags {
    /// How people sign in, comma-separated: token asks for a Kubernetes token and shows the VMs that its user
    /// may list; oidc leads to an OpenID Connect provider; proxy trusts an authenticating proxy in front that proves itself;
    /// none, alone, shows every VM to everybody. If the flag is not set, a loopback address has none; any other
    /// address is refused, as are --public-url and --trusted-proxies, by which others come
    #[arg(long, value_name = "MODES", env = "WUKONG_SIGN_IN", hide_env_values = true)]
    #[arg(value_parser = parse::sign_in_modes)]
    pub sign_in: Option<SignInModes>,
    /// File with the keys of sessions, one base64 key of 32 bytes on each line. The first key encrypts
    /// new sessions; all keys decrypt. The file is read again when it changes. If it is not set, sessions end
    /// with the process
    #[arg(long, value_name = "FILE", env = "WUKONG_SESSION_KEY_FILE", hide_env_values = true)]
    #[arg(value_parser = parse::path())]
    pub session_key_file: Option<PathBuf>,
    /// Address at which browsers reach the dashboard, such as https://vms.example.com or
    /// https://ops.example.com/vms/. If it has a path, everything is answered below that path, which a proxy
    /// must not remove. Without the flag, browsers can sign in at localhost only
    #[arg(long, value_name = "URL", env = "WUKONG_PUBLIC_URL", hide_env_values = true)]
    #[arg(value_parser = parse::public_url)]
    pub public_url: Option<PublicUrl>,
    #[command(flatten)]
    pub oidc: OidcFlags,
    #[command(flatten)]
    pub auth_proxy: AuthProxyFlags,
}

#[derive(Debug, Args)]
pub struct CollectFlags {
    /// Namespaces to read, comma-separated. If it is not set, all namespaces are read
    #[arg(long, value_name = "NAMESPACES", env = "NAMESPACE", hide_env_values = true)]
    #[arg(value_parser = parse::namespaces)]
    pub namespace: Option<Namespaces>,
    /// Time between two readings of CPU and memory, 1s to 1h
    #[arg(long, value_name = "DURATION", env = "WUKONG_METRICS_INTERVAL", hide_env_values = true)]
    #[arg(default_value = "15s", value_parser = parse::duration(INTERVAL))]
    pub metrics_interval: Duration,
    /// Time between two readings of disks, 1s to 1h
    #[arg(long, value_name = "DURATION", env = "WUKONG_DISK_INTERVAL", hide_env_values = true)]
    #[arg(default_value = "60s", value_parser = parse::duration(INTERVAL))]
    pub disk_interval: Duration,
    /// Timeout for a response from the metrics API, 100ms to 5m
    #[arg(long, value_name = "DURATION", env = "WUKONG_METRICS_DEADLINE", hide_env_values = true)]
    #[arg(default_value = "10s", value_parser = parse::duration(DEADLINE))]
    pub metrics_deadline: Duration,
    /// Timeout for a response from one kubelet, 100ms to 5m
    #[arg(long, value_name = "DURATION", env = "WUKONG_KUBELET_DEADLINE", hide_env_values = true)]
    #[arg(default_value = "5s", value_parser = parse::duration(DEADLINE))]
    pub kubelet_deadline: Duration,
    /// Maximum number of kubelets that are queried at the same time, 1 to 1024
    #[arg(long, value_name = "NUMBER", env = "WUKONG_KUBELET_CONCURRENCY", hide_env_values = true)]
    #[arg(default_value = "16", value_parser = parse::count(CONCURRENCY))]
    pub kubelet_concurrency: usize,
    /// Time without any data after which a watch is reopened, 1s to 1h
    #[arg(long, value_name = "DURATION", env = "WUKONG_WATCH_IDLE", hide_env_values = true)]
    #[arg(default_value = "90s", value_parser = parse::duration(INTERVAL))]
    pub watch_idle: Duration,
    /// Memory for the objects of one kind, 1Mi to 4Gi. One namespace can use half of it. Objects beyond the
    /// limit are left out
    #[arg(long, value_name = "BYTES", env = "WUKONG_COLLECTION_LIMIT", hide_env_values = true)]
    #[arg(default_value = "64Mi", value_parser = parse::bytes(COLLECTION))]
    pub collection_limit: usize,
    #[command(flatten)]
    pub sources: SourceFlags,
}

/// The sources of disk usage, and the sources other than the API server.
#[derive(Debug, Args)]
pub struct SourceFlags {
    /// Sources of disk usage, comma-separated, in order of preference. Each volume uses the first source that
    /// knows it. Sources that are not listed are not used
    #[arg(long, value_name = "SOURCES", env = "WUKONG_DISK_SOURCES", hide_env_values = true)]
    #[arg(default_value = "kubelet,prometheus,guest-agent,longhorn,ceph")]
    #[arg(value_parser = parse::disk_sources)]
    pub disk_sources: DiskSources,
    /// How kubelets are queried: proxy uses the API server, direct connects to the node, auto connects to the
    /// node if that works and uses the API server otherwise. auto never sends the token of a kubeconfig to a
    /// kubelet
    #[arg(long, value_name = "MODE", env = "WUKONG_KUBELET_ACCESS", hide_env_values = true)]
    #[arg(default_value = "auto", value_parser = parse::kubelet_access())]
    pub kubelet_access: KubeletAccess,
    /// PEM file with the CA of the kubelets' certificates. If it is not set, the cluster's CA is used
    #[arg(long, value_name = "FILE", env = "WUKONG_KUBELET_CA", hide_env_values = true)]
    #[arg(value_parser = parse::path())]
    pub kubelet_ca: Option<PathBuf>,
    /// Accept any certificate of a kubelet. Anyone who answers at a node's address then receives the
    /// credentials
    #[arg(long, value_name = "BOOL", env = "WUKONG_KUBELET_INSECURE_TLS", hide_env_values = true)]
    #[arg(default_value = "false", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    #[arg(action = ArgAction::Set, value_parser = trimmed(BoolValueParser::new()))]
    pub kubelet_insecure_tls: bool,
    /// Port of the kubelets, 1 to 65535
    #[arg(long, value_name = "PORT", env = "WUKONG_KUBELET_PORT", hide_env_values = true)]
    #[arg(default_value = "10250", value_parser = trimmed(value_parser!(u16).range(1..)))]
    pub kubelet_port: u16,
    /// Namespace of KubeVirt, whose virt-handlers are asked what guests do. If it is not set, it is that of the
    /// KubeVirt object; with --namespace, virt-handlers are then not asked
    #[arg(long, value_name = "NAMESPACE", env = "WUKONG_KUBEVIRT_NAMESPACE", hide_env_values = true)]
    #[arg(value_parser = parse::namespace)]
    pub kubevirt_namespace: Option<String>,
    /// PEM file with the CA of the certificates of virt-handlers. If it is not set, it is read from KubeVirt's
    /// ConfigMap kubevirt-ca
    #[arg(long, value_name = "FILE", env = "WUKONG_VIRT_HANDLER_CA", hide_env_values = true)]
    #[arg(value_parser = parse::path())]
    pub virt_handler_ca: Option<PathBuf>,
    /// Accept any certificate of a virt-handler. Anyone who answers at its address can then invent figures
    #[arg(long, value_name = "BOOL", env = "WUKONG_VIRT_HANDLER_INSECURE_TLS", hide_env_values = true)]
    #[arg(default_value = "false", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    #[arg(action = ArgAction::Set, value_parser = trimmed(BoolValueParser::new()))]
    pub virt_handler_insecure_tls: bool,
    /// Base URL of a Prometheus-compatible API, without /api/v1. If it is not set, Prometheus is not queried
    #[arg(long, value_name = "URL", env = "WUKONG_PROMETHEUS_URL", hide_env_values = true)]
    #[arg(value_parser = Hidden(parse::url))]
    pub prometheus_url: Option<Uri>,
    /// File with the bearer token for Prometheus. The file is read again for each round
    #[arg(long, value_name = "FILE", env = "WUKONG_PROMETHEUS_BEARER_TOKEN_FILE", hide_env_values = true)]
    #[arg(value_parser = parse::path())]
    #[arg(conflicts_with = "prometheus_basic_auth_file")]
    pub prometheus_bearer_token_file: Option<PathBuf>,
    /// File with one line USER:PASSWORD for Prometheus. The file is read again for each round
    #[arg(long, value_name = "FILE", env = "WUKONG_PROMETHEUS_BASIC_AUTH_FILE", hide_env_values = true)]
    #[arg(value_parser = parse::path())]
    pub prometheus_basic_auth_file: Option<PathBuf>,
    /// PEM file with the CA of the certificate of Prometheus. If it is not set, the system's CAs are used
    #[arg(long, value_name = "FILE", env = "WUKONG_PROMETHEUS_CA", hide_env_values = true)]
    #[arg(value_parser = parse::path())]
    pub prometheus_ca: Option<PathBuf>,
    /// Labels that every series must have, comma-separated, such as cluster=a,env=b
    #[arg(long, value_name = "LABELS", env = "WUKONG_PROMETHEUS_MATCHERS", hide_env_values = true)]
    #[arg(value_parser = parse::matchers)]
    pub prometheus_matchers: Option<Matchers>,
    /// Tenant, which is sent in the header X-Scope-OrgID. Another header can be named, such as
    /// THANOS-TENANT: a
    #[arg(long, value_name = "TENANT", env = "WUKONG_PROMETHEUS_TENANT", hide_env_values = true)]
    #[arg(value_parser = Hidden(parse::tenant))]
    pub prometheus_tenant: Option<Tenant>,
    /// Namespaces of KubeVirt and of the kubelets' Service, comma-separated. Only exporters in them may
    /// report on other namespaces if a scrape does not honor labels. Empty trusts none
    #[arg(
        long,
        value_name = "NAMESPACES",
        env = "WUKONG_PROMETHEUS_TRUSTED_NAMESPACES",
        hide_env_values = true
    )]
    #[arg(default_value = "kube-system,kubevirt,openshift-cnv,kubevirt-hyperconverged,harvester-system")]
    #[arg(value_parser = parse::namespaces)]
    pub prometheus_trusted_namespaces: Namespaces,
    /// Timeout for a response from Prometheus, 100ms to 5m
    #[arg(long, value_name = "DURATION", env = "WUKONG_PROMETHEUS_DEADLINE", hide_env_values = true)]
    #[arg(default_value = "10s", value_parser = parse::duration(DEADLINE))]
    pub prometheus_deadline: Duration,
    /// URL of the dashboard of a ceph-mgr. It requires --ceph-user-file and --ceph-password-file. If it is
    /// not set, Ceph is not queried
    #[arg(long, value_name = "URL", env = "WUKONG_CEPH_URL", hide_env_values = true)]
    #[arg(value_parser = Hidden(parse::url))]
    #[arg(requires = "ceph_user_file", requires = "ceph_password_file")]
    pub ceph_url: Option<Uri>,
    /// File with the name of a user of the Ceph dashboard who can read rbd-image
    #[arg(long, value_name = "FILE", env = "WUKONG_CEPH_USER_FILE", hide_env_values = true)]
    #[arg(value_parser = parse::path())]
    pub ceph_user_file: Option<PathBuf>,
    /// File with the password of that user
    #[arg(long, value_name = "FILE", env = "WUKONG_CEPH_PASSWORD_FILE", hide_env_values = true)]
    #[arg(value_parser = parse::path())]
    pub ceph_password_file: Option<PathBuf>,
    /// PEM file with the CA of the certificate of the Ceph dashboard. If it is not set, the system's CAs are
    /// used
    #[arg(long, value_name = "FILE", env = "WUKONG_CEPH_CA", hide_env_values = true)]
    #[arg(value_parser = parse::path())]
    pub ceph_ca: Option<PathBuf>,
    /// Time between two readings of Ceph, 1s to 1h
    #[arg(long, value_name = "DURATION", env = "WUKONG_CEPH_INTERVAL", hide_env_values = true)]
    #[arg(default_value = "5m", value_parser = parse::duration(INTERVAL))]
    pub ceph_interval: Duration,
    /// Maximum duration of one reading of Ceph, 100ms to 1h. It cannot be shorter than --ceph-deadline
    #[arg(long, value_name = "DURATION", env = "WUKONG_CEPH_BUDGET", hide_env_values = true)]
    #[arg(default_value = "60s", value_parser = parse::duration(BUDGET))]
    pub ceph_budget: Duration,
    /// Timeout for a response from Ceph, 100ms to 5m
    #[arg(long, value_name = "DURATION", env = "WUKONG_CEPH_DEADLINE", hide_env_values = true)]
    #[arg(default_value = "15s", value_parser = parse::duration(DEADLINE))]
    pub ceph_deadline: Duration,
    /// Maximum number of guest agents that are queried at the same time, 1 to 1024
    #[arg(long, value_name = "NUMBER", env = "WUKONG_GUEST_AGENT_CONCURRENCY", hide_env_values = true)]
    #[arg(default_value = "8", value_parser = parse::count(CONCURRENCY))]
    pub guest_agent_concurrency: usize,
    /// Timeout for a response from one guest agent, 100ms to 5m
    #[arg(long, value_name = "DURATION", env = "WUKONG_GUEST_AGENT_DEADLINE", hide_env_values = true)]
    #[arg(default_value = "5s", value_parser = parse::duration(DEADLINE))]
    pub guest_agent_deadline: Duration,
}

#[derive(Debug, Args)]
pub struct SizeFlags {
    /// Number of simulated virtual machines, 1 to 10000
    #[arg(long, value_name = "NUMBER", env = "WUKONG_VMS", hide_env_values = true)]
    #[arg(default_value = "60", value_parser = trimmed(value_parser!(u32).range(1..=10_000)))]
    pub vms: u32,
    /// Number of simulated nodes, 1 to 500
    #[arg(long, value_name = "NUMBER", env = "WUKONG_NODES", hide_env_values = true)]
    #[arg(default_value = "6", value_parser = trimmed(value_parser!(u32).range(1..=500)))]
    pub nodes: u32,
    /// Seed of the simulated cluster, a whole number. The same seed creates the same cluster
    #[arg(long, value_name = "NUMBER", env = "WUKONG_SEED", hide_env_values = true)]
    #[arg(default_value = "1", value_parser = trimmed(value_parser!(u64)))]
    pub seed: u64,
    /// Simulate KubeVirt 1.0, which names metrics otherwise and does not report how long vCPUs wait
    #[arg(long, value_name = "BOOL", env = "WUKONG_OLD_KUBEVIRT", hide_env_values = true)]
    #[arg(default_value = "false", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    #[arg(action = ArgAction::Set, value_parser = trimmed(BoolValueParser::new()))]
    pub old_kubevirt: bool,
}

#[derive(Debug, Args)]
pub struct LogFlags {
    /// Format of the log on standard error
    #[arg(long, value_name = "FORMAT", env = "WUKONG_LOG_FORMAT", hide_env_values = true)]
    #[arg(default_value = "text", value_parser = trimmed(EnumValueParser::<LogFormat>::new()))]
    pub log_format: LogFormat,
}

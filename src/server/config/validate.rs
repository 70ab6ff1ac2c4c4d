//! Turns raw flags into an [`Invocation`]. Every value is checked before anything is refused. `main` calls
//! [`read`].

use std::{ffi::OsString, fmt, ops::RangeInclusive, path::PathBuf, time::Duration};

use clap::Parser;

use super::{
    Config, HttpConfig, Invocation, Listen, LogConfig, LogFormat, Output, SimConfig, SimSize, Task,
    flags::{
        CheckFlags, CollectFlags, Command, DemoFlags, Flags, HttpFlags, LogFlags, ServeFlags, SimFlags,
        SizeFlags,
    },
    parse::{self, Expected},
};
use collector::config::{CollectConfig, KubernetesConfig, ProxyRules};

pub(super) const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
pub(super) const DEADLINE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(300);
pub(super) const CONCURRENCY: RangeInclusive<u64> = 1..=1024;
const COLLECTION: RangeInclusive<u64> = 1 << 20..=4 << 30;
/// Range of --max-event-clients. Pages must find a connection beside the event streams.
const EVENT_CLIENTS: RangeInclusive<u64> = 1..=2500;
const VMS: RangeInclusive<u64> = 1..=10_000;
const NODES: RangeInclusive<u64> = 1..=500;
/// The default log filter. kube's client logs whole answers that it cannot decode, and failures that
/// `collector` logs itself.
const LOG_FILTER: &str = "info,kube_client=off";

/// Why the command line gave no invocation.
#[derive(Debug)]
pub enum Refusal {
    /// clap's answer: the help text, the version, or a flag that does not exist.
    Clap(clap::Error),
    /// All values that cannot be used.
    Mistakes(Vec<Mistake>),
}

/// A value of a flag or an environment variable that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The flag and its environment variable.
    pub setting: &'static str,
    pub value: String,
    pub expected: Expected,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?} cannot be used, expected {}", self.setting, self.value, self.expected)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clap(error) => error.fmt(f),
            Self::Mistakes(mistakes) => {
                for mistake in mistakes {
                    writeln!(f, "error: {mistake}")?;
                }
                writeln!(f, "\nFor every setting, try --help.")
            }
        }
    }
}

/// Reads and validates the command line and the environment. Fails with every mistake at once, or with
/// clap's answer.
pub fn read(arguments: impl IntoIterator<Item = OsString>, rust_log: &str) -> Result<Invocation, Refusal> {
    let flags = Flags::try_parse_from(arguments).map_err(Refusal::Clap)?;
    let mut check = Check::default();
    let invocation = match flags.command {
        None => check.serve(&flags.serve, rust_log),
        Some(Command::Demo(demo)) => check.demo(&demo, rust_log),
        Some(Command::Sim(sim)) => check.sim(&sim, rust_log),
        Some(Command::Check(flags)) => check.check(&flags, rust_log),
        Some(Command::Healthcheck(http)) => check.healthcheck(&http),
    };
    if check.mistakes.is_empty() { Ok(invocation) } else { Err(Refusal::Mistakes(check.mistakes)) }
}

/// Collects mistakes. A value that cannot be used is replaced by its default, so that the rest is checked
/// too.
#[derive(Default)]
pub(super) struct Check {
    pub(super) mistakes: Vec<Mistake>,
}

impl Check {
    fn serve(&mut self, flags: &ServeFlags, rust_log: &str) -> Invocation {
        let kubernetes = kubernetes(flags.kubeconfig.as_deref(), flags.context.as_deref());
        let config = self.config(kubernetes, &flags.http, &flags.collect);
        Invocation { log: self.log(&flags.log, rust_log), task: Task::Serve(config) }
    }

    /// The log of `check` is off unless RUST_LOG is set: the report says everything that went wrong.
    fn check(&mut self, flags: &CheckFlags, rust_log: &str) -> Invocation {
        let kubernetes = kubernetes(flags.kubeconfig.as_deref(), flags.context.as_deref());
        let config = Config {
            listen: Listen::Address(([127, 0, 0, 1], 0).into()),
            kubernetes,
            collect: self.collect(&flags.collect),
            http: HttpConfig::default(),
        };
        let output = self.value("--output", &flags.output, Output::Text, parse::output);
        let quiet = if rust_log.is_empty() { "off" } else { rust_log };
        Invocation { log: self.log(&flags.log, quiet), task: Task::Check(config, output) }
    }

    fn demo(&mut self, flags: &DemoFlags, rust_log: &str) -> Invocation {
        let size = self.size(&flags.size);
        let config = self.config(KubernetesConfig::default(), &flags.http, &flags.collect);
        Invocation { log: self.log(&flags.log, rust_log), task: Task::Demo(config, size) }
    }

    fn sim(&mut self, flags: &SimFlags, rust_log: &str) -> Invocation {
        let any_port = ([127, 0, 0, 1], 0).into();
        let sim = SimConfig {
            size: self.size(&flags.size),
            listen: self.value("--listen (WUKONG_SIM_LISTEN)", &flags.listen, any_port, parse::socket),
            tls: flags.tls,
            kubeconfig_out: given(flags.kubeconfig_out.as_deref()).map(PathBuf::from),
        };
        Invocation { log: self.log(&flags.log, rust_log), task: Task::Sim(sim) }
    }

    /// The health check logs nothing: its exit code says everything.
    fn healthcheck(&mut self, http: &HttpFlags) -> Invocation {
        let log = LogConfig { format: LogFormat::Text, filter: String::new() };
        Invocation { log, task: Task::Healthcheck(self.listen(http)) }
    }

    fn listen(&mut self, http: &HttpFlags) -> Listen {
        let seed_port = Listen::Address(([127, 0, 0, 1], 8081).into());
        self.value("--listen (WUKONG_LISTEN)", &http.listen, seed_port, parse::listen)
    }

    fn config(&mut self, kubernetes: KubernetesConfig, http: &HttpFlags, collect: &CollectFlags) -> Config {
        Config {
            listen: self.listen(http),
            kubernetes,
            collect: self.collect(collect),
            http: HttpConfig {
                allowed_hosts: self.value(
                    "--allowed-hosts (WUKONG_ALLOWED_HOSTS)",
                    &http.allowed_hosts,
                    HttpConfig::default().allowed_hosts,
                    parse::hosts,
                ),
                trusted_proxies: self.value(
                    "--trusted-proxies (WUKONG_TRUSTED_PROXIES)",
                    &http.trusted_proxies,
                    Vec::new(),
                    parse::networks,
                ),
                max_event_clients: self.value(
                    "--max-event-clients (WUKONG_MAX_EVENT_CLIENTS)",
                    &http.max_event_clients,
                    HttpConfig::default().max_event_clients,
                    |text| parse::number(text, &EVENT_CLIENTS).map(|number| number as usize),
                ),
            },
        }
    }

    fn collect(&mut self, flags: &CollectFlags) -> CollectConfig {
        let default = CollectConfig::default();
        CollectConfig {
            namespaces: self.value("--namespace (NAMESPACE)", &flags.namespace, None, parse::namespaces),
            metrics_interval: self.value(
                "--metrics-interval (WUKONG_METRICS_INTERVAL)",
                &flags.metrics_interval,
                default.metrics_interval,
                within(INTERVAL),
            ),
            disk_interval: self.value(
                "--disk-interval (WUKONG_DISK_INTERVAL)",
                &flags.disk_interval,
                default.disk_interval,
                within(INTERVAL),
            ),
            metrics_deadline: self.value(
                "--metrics-deadline (WUKONG_METRICS_DEADLINE)",
                &flags.metrics_deadline,
                default.metrics_deadline,
                within(DEADLINE),
            ),
            kubelet_deadline: self.value(
                "--kubelet-deadline (WUKONG_KUBELET_DEADLINE)",
                &flags.kubelet_deadline,
                default.kubelet_deadline,
                within(DEADLINE),
            ),
            kubelet_concurrency: self.value(
                "--kubelet-concurrency (WUKONG_KUBELET_CONCURRENCY)",
                &flags.kubelet_concurrency,
                default.kubelet_concurrency,
                |text| parse::number(text, &CONCURRENCY).map(|number| number as usize),
            ),
            watch_idle: self.value(
                "--watch-idle (WUKONG_WATCH_IDLE)",
                &flags.watch_idle,
                default.watch_idle,
                within(INTERVAL),
            ),
            disk_sources: self.value(
                "--disk-sources (WUKONG_DISK_SOURCES)",
                &flags.sources.disk_sources,
                default.disk_sources,
                parse::disk_sources,
            ),
            kubelet: self.kubelet(&flags.sources),
            prometheus: self.prometheus(&flags.sources),
            ceph: self.ceph(&flags.sources),
            guest_concurrency: self.value(
                "--guest-agent-concurrency (WUKONG_GUEST_AGENT_CONCURRENCY)",
                &flags.sources.guest_agent_concurrency,
                default.guest_concurrency,
                |text| parse::number(text, &CONCURRENCY).map(|number| number as usize),
            ),
            guest_deadline: self.value(
                "--guest-agent-deadline (WUKONG_GUEST_AGENT_DEADLINE)",
                &flags.sources.guest_agent_deadline,
                default.guest_deadline,
                within(DEADLINE),
            ),
            answer_limit: default.answer_limit,
            proxies: ProxyRules::from_env(),
            collection_limit: self.value(
                "--collection-limit (WUKONG_COLLECTION_LIMIT)",
                &flags.collection_limit,
                default.collection_limit,
                |text| parse::bytes(text, &COLLECTION).map(|bytes| bytes as usize),
            ),
        }
    }

    fn size(&mut self, flags: &SizeFlags) -> SimSize {
        let count = |range: RangeInclusive<u64>| {
            move |text: &str| parse::number(text, &range).map(|number| number as u32)
        };
        SimSize {
            vms: self.value("--vms (WUKONG_VMS)", &flags.vms, 60, count(VMS)),
            nodes: self.value("--nodes (WUKONG_NODES)", &flags.nodes, 6, count(NODES)),
            seed: self
                .value("--seed (WUKONG_SEED)", &flags.seed, 1, |text| parse::number(text, &(0..=u64::MAX))),
        }
    }

    fn log(&mut self, flags: &LogFlags, rust_log: &str) -> LogConfig {
        let format = "--log-format (WUKONG_LOG_FORMAT)";
        LogConfig {
            format: self.value(format, &flags.log_format, LogFormat::Text, parse::log_format),
            filter: self.value("RUST_LOG", rust_log, LOG_FILTER.to_owned(), parse::log_filter),
        }
    }

    /// Parses one value, and returns `default` after a mistake. An empty value counts as not given:
    /// manifests often set a variable to nothing.
    pub(super) fn value<T>(
        &mut self,
        setting: &'static str,
        text: &str,
        default: T,
        parse: impl Fn(&str) -> Result<T, Expected>,
    ) -> T {
        let Some(text) = given(Some(text)) else { return default };
        parse(text).unwrap_or_else(|expected| {
            self.mistakes.push(Mistake { setting, value: text.to_owned(), expected });
            default
        })
    }
}

fn kubernetes(kubeconfig: Option<&str>, context: Option<&str>) -> KubernetesConfig {
    KubernetesConfig {
        kubeconfig: given(kubeconfig).map(PathBuf::from),
        context: given(context).map(str::to_owned),
        embedded: None,
    }
}

pub(super) fn within(range: RangeInclusive<Duration>) -> impl Fn(&str) -> Result<Duration, Expected> {
    move |text| parse::duration(text, &range)
}

pub(super) fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;

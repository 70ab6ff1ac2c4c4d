//! The program: one match on what was asked for. Exit codes: 0 stopped as asked, 1 failure, 2 wrong usage.

use std::{
    env,
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use wukong_dashboard::{
    server::{
        Server, check,
        config::{
            self, CephConfig, CollectConfig, Config, Invocation, KubeletAccess, Listen, LogFormat, Output,
            PrometheusConfig, Refusal, SimConfig, SimSize, Task,
        },
        listen, log, memory, private_file,
        serve::ask_health,
    },
    sim,
};

/// What still runs on threads when everything else has ended is not waited for any longer.
const LAST_THREADS: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    memory::use_small_pages();
    let filter = env::var("RUST_LOG").unwrap_or_default();
    match config::read(env::args_os(), &filter) {
        Ok(invocation) => start(invocation),
        Err(refusal) => refuse(&refusal),
    }
}

fn start(Invocation { log: log_config, task }: Invocation) -> ExitCode {
    log::start(&log_config);
    let error = match run(task) {
        Ok(code) => return code,
        Err(error) => error,
    };
    match log_config.format {
        LogFormat::Text => eprintln!("error: {error:#}"),
        LogFormat::Json => tracing::error!("{error:#}"),
    }
    ExitCode::FAILURE
}

fn run(task: Task) -> anyhow::Result<ExitCode> {
    let runtime = Runtime::new()?;
    let result = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        tokio::spawn(cancel_on_signal(signals()?, shutdown.clone()));
        match task {
            Task::Serve(config) => serve(config, shutdown).await?,
            Task::Demo(config, size) => demo(config, size, shutdown).await?,
            Task::Sim(config) => simulate(config, shutdown).await?,
            Task::Check(config, output) => return check(config, output).await,
            Task::Healthcheck(listen) => ask_health(&listen::within_reach(listen)).await?,
        }
        Ok(ExitCode::SUCCESS)
    });
    runtime.shutdown_timeout(LAST_THREADS);
    result
}

async fn serve(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let address = config.listen;
    let server = Server::prepare(config).await?;
    let listener = bind(address)?;
    announce("http", listener.local_addr()?);
    server.run(listener, shutdown).await
}

async fn demo(mut config: Config, size: SimSize, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut options = options(size);
    // A demo that is asked more often has something new to say more often.
    options.metrics_interval = options.metrics_interval.min(config.collect.metrics_interval);
    options.volumes_interval = options.volumes_interval.min(config.collect.disk_interval);
    let cluster = sim::start(options).await?;
    config.kubernetes.embedded = Some(cluster.kubeconfig());
    let secrets = Secrets::create().inspect_err(|error| {
        tracing::warn!(%error, "no private folder for the demo's credentials: it goes without Ceph and direct kubelets");
    });
    ask_beside(&mut config.collect, &cluster, secrets.as_ref().ok())?;
    let result = serve(config, shutdown).await;
    cluster.shutdown().await;
    result
}

/// Something that is missing is no failure of this program, and still exit code 1.
async fn check(config: Config, output: Output) -> anyhow::Result<ExitCode> {
    let report = check::run(&config).await?;
    let text = match output {
        Output::Text => report.text(),
        Output::Json => serde_json::to_string_pretty(&report)? + "\n",
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The Prometheus and the Ceph that stand beside the simulated cluster, and its kubelets that can be asked straight.
fn ask_beside(
    collect: &mut CollectConfig,
    cluster: &sim::Handle,
    secrets: Option<&Secrets>,
) -> anyhow::Result<()> {
    collect.prometheus.get_or_insert(PrometheusConfig {
        url: cluster.prometheus_url().parse()?,
        bearer_token_file: None,
        basic_auth_file: None,
        ca: None,
        matchers: Vec::new(),
        trusted_namespaces: Vec::new(),
        tenant: None,
        deadline: collect.metrics_deadline,
    });
    match (cluster.kubelets(), secrets) {
        (Some((port, authority)), Some(secrets)) => {
            let ca = Some(secrets.write("kubelet-ca.pem", authority)?);
            collect.kubelet = config::KubeletConfig { port, ca, ..collect.kubelet.clone() };
        }
        _ => collect.kubelet.access = KubeletAccess::Proxy,
    }
    if let Some(secrets) = secrets {
        collect.ceph.get_or_insert(CephConfig {
            url: cluster.ceph_url().parse()?,
            user_file: secrets.write("user", &cluster.ceph().user)?,
            password_file: secrets.write("password", &cluster.ceph().password)?,
            ca: None,
            // As far apart as the 5 min of a real cluster are from its minute.
            interval: collect.disk_interval * 5,
            budget: Duration::from_secs(30),
            deadline: collect.metrics_deadline,
        });
    }
    Ok(())
}

/// A folder for the demo's credentials, which are read from files. It goes when the demo ends.
struct Secrets(PathBuf);

impl Secrets {
    /// Fails where the folder exists: then it is somebody else's.
    fn create() -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let path = env::temp_dir().join(format!("wukong-demo-{:016x}", rand::random::<u64>()));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    fn write(&self, name: &str, content: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        private_file::write(&path, content)?;
        Ok(path)
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        // What cannot be removed is of no use to anybody: it led to a peer that is gone.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn simulate(config: SimConfig, shutdown: CancellationToken) -> anyhow::Result<()> {
    let SimConfig { size, listen, tls, .. } = config;
    let cluster = sim::start(sim::Options { listen, tls, ..options(size) }).await?;
    if let Some(path) = &config.kubeconfig_out {
        private_file::write(path, &cluster.kubeconfig())
            .with_context(|| format!("writing {}", path.display()))?;
    }
    announce(if tls { "https" } else { "http" }, cluster.address());
    shutdown.cancelled().await;
    cluster.shutdown().await;
    Ok(())
}

fn options(SimSize { vms, nodes, seed }: SimSize) -> sim::Options {
    sim::Options { vms, nodes, seed, ..sim::Options::default() }
}

fn bind(listen: Listen) -> anyhow::Result<TcpListener> {
    listen::bind(listen).with_context(|| format!("cannot listen on {listen}"))
}

/// The first line of standard output. Nobody may be reading it.
fn announce(scheme: &str, address: SocketAddr) {
    let _ = writeln!(io::stdout(), "listening on {scheme}://{address}");
}

fn signals() -> io::Result<(Signal, Signal)> {
    Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
}

/// The first signal asks to drain; whoever sends a second does not want to wait.
async fn cancel_on_signal((mut terminate, mut interrupt): (Signal, Signal), shutdown: CancellationToken) {
    let mut next = async || tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} };
    next().await;
    tracing::info!("stopping; answers under way are let through");
    shutdown.cancel();
    next().await;
    std::process::exit(1);
}

fn refuse(refusal: &Refusal) -> ExitCode {
    match refusal {
        Refusal::Clap(error) => {
            // Help goes to standard output, wrong usage to standard error; either may be closed.
            let _ = error.print();
            ExitCode::from(error.exit_code() as u8)
        }
        Refusal::Mistakes(_) => {
            eprint!("{refusal}");
            ExitCode::from(2)
        }
    }
}

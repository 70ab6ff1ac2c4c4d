//! The program: one match on what was asked for. Exit codes: 0 stopped as asked, 1 failure, 2 wrong usage.

use std::{
    env,
    io::{self, Write},
    net::SocketAddr,
    path::Path,
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
        config::{self, Config, Invocation, LogFormat, Output, Refusal, SimConfig, SimSize, Task},
        log,
        serve::ask_health,
    },
    sim,
};

/// The system's allocator keeps what thousands of short-lived objects leave behind.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What still runs on threads when everything else has ended is not waited for any longer.
const LAST_THREADS: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
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
            Task::Healthcheck(address) => ask_health(address).await?,
        }
        Ok(ExitCode::SUCCESS)
    });
    runtime.shutdown_timeout(LAST_THREADS);
    result
}

async fn serve(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let address = config.listen;
    let server = Server::prepare(config).await?;
    let listener = bind(address).await?;
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

async fn simulate(config: SimConfig, shutdown: CancellationToken) -> anyhow::Result<()> {
    let SimConfig { size, listen, tls, .. } = config;
    let cluster = sim::start(sim::Options { listen, tls, ..options(size) }).await?;
    if let Some(path) = &config.kubeconfig_out {
        write_private(path, &cluster.kubeconfig()).with_context(|| format!("writing {}", path.display()))?;
    }
    announce(if tls { "https" } else { "http" }, cluster.address());
    shutdown.cancelled().await;
    cluster.shutdown().await;
    Ok(())
}

fn options(SimSize { vms, nodes, seed }: SimSize) -> sim::Options {
    sim::Options { vms, nodes, seed, ..sim::Options::default() }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// The first line of standard output. Nobody may be reading it.
fn announce(scheme: &str, address: SocketAddr) {
    let _ = writeln!(io::stdout(), "listening on {scheme}://{address}");
}

/// A kubeconfig holds credentials: nobody else may read it.
fn write_private(path: &Path, content: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content.as_bytes())
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

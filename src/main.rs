//! The program's entry point: reads the command line and runs the command that it names.
//!
//! Exit codes: 0 stopped as asked, 1 failure, 2 wrong usage.

#[cfg(feature = "demo")]
mod demo;
mod serve;

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use serve::serve;
use wukong_dashboard::server::{
    check,
    config::{self, Config, Invocation, LogFormat, Output, Task},
    http::ask_health,
    listen, log, memory, tls,
};

/// Longest wait for blocking threads that still run after everything else has ended.
const LAST_THREADS: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    memory::use_small_pages();
    let filter = env::var("RUST_LOG").unwrap_or_default();
    match config::read(env::args_os(), &filter) {
        Ok(invocation) => start(invocation),
        Err(error) => {
            // Help goes to standard output, wrong usage to standard error; either may be closed.
            let _ = error.print();
            ExitCode::from(error.exit_code() as u8)
        }
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
            #[cfg(feature = "demo")]
            Task::Demo(config, size) => demo::demo(config, size, shutdown).await?,
            #[cfg(feature = "demo")]
            Task::Sim(config) => demo::simulate(config, shutdown).await?,
            #[cfg(not(feature = "demo"))]
            Task::Demo(..) | Task::Sim(_) => {
                anyhow::bail!("this program was built without the feature `demo`")
            }
            Task::Check(config, output) => return check(config, output).await,
            Task::Healthcheck(listen, tls) => {
                let connector = tls.map(|files| tls::connector(&files.certificate)).transpose()?;
                ask_health(&listen::within_reach(listen), connector.as_ref()).await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    });
    runtime.shutdown_timeout(LAST_THREADS);
    result
}

/// Writes the report of `check` to standard output. Exit code 1 if anything is missing, although that is not
/// a failure of this program.
async fn check(config: Config, output: Output) -> anyhow::Result<ExitCode> {
    let report = check::run(&config).await?;
    let text = match output {
        Output::Text => report.text(),
        Output::Json => serde_json::to_string_pretty(&report)? + "\n",
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn signals() -> io::Result<(Signal, Signal)> {
    Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
}

/// Cancels `shutdown` on the first signal, so that running answers can finish. A second signal ends the
/// program at once with exit code 1.
async fn cancel_on_signal((mut terminate, mut interrupt): (Signal, Signal), shutdown: CancellationToken) {
    let mut next = async || tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} };
    next().await;
    tracing::info!("shutting down, finishing requests in flight");
    shutdown.cancel();
    next().await;
    std::process::exit(1);
}

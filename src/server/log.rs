//! Starts the log on standard error, as text or JSON. Standard output is left to the address and to reports.

use std::{
    io::{self, IsTerminal},
    panic::PanicHookInfo,
};

use tracing::Metadata;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    fmt,
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use super::config::{LogConfig, LogFormat};

/// Starts logging and logs panics. Only the first call sets the format and the filter.
pub fn start(config: &LogConfig) {
    let is_line = |about: &Metadata<'_>| ![TELLS_ANSWERS, AUDIT].contains(&about.target());
    let filter = EnvFilter::new(&config.filter).and(filter_fn(is_line));
    // No filter silences the audit log.
    let audit = lines(LogFormat::Json).with_filter(filter_fn(|about| about.target() == AUDIT));
    // Fails only if logging was already started.
    let _ =
        tracing_subscriber::registry().with(lines(config.format).with_filter(filter)).with(audit).try_init();
    std::panic::set_hook(Box::new(panicked));
}

/// Logs a panic as an error, in the format of the log.
fn panicked(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let message = panic.payload_as_str().unwrap_or("no message");
    tracing::error!(place, "panicked: {message}");
}

/// The target of the audit log, whose lines are always JSON.
pub const AUDIT: &str = "audit";
/// The target of kube that logs a whole answer that it cannot decode, which may hold passwords of a VM's
/// cloud-init. The collectors report what is wrong with such an answer.
const TELLS_ANSWERS: &str = "kube_client::client";

fn lines<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    }
}

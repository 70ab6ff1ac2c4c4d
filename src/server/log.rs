//! The log, on standard error: standard output belongs to the address.

use std::{
    io::{self, IsTerminal},
    panic::PanicHookInfo,
};

use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    fmt,
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use super::config::{LogConfig, LogFormat};

/// Starts logging. Later calls change nothing.
pub fn start(config: &LogConfig) {
    let filter = EnvFilter::new(&config.filter).and(filter_fn(|about| about.target() != TELLS_ANSWERS));
    // Only a second start can fail.
    let _ = tracing_subscriber::registry().with(lines(config.format).with_filter(filter)).try_init();
    std::panic::set_hook(Box::new(panicked));
}

/// A bug is a line of the log like any other: JSON where JSON is asked for, and at every level.
fn panicked(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let message = panic.payload_as_str().unwrap_or("no message");
    tracing::error!(place, "panicked: {message}");
}

/// This part of kube logs the whole of an answer that it cannot read: passwords in a VM's cloud-init among it. What
/// is wrong with the answer is told by the collectors.
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

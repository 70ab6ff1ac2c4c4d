//! The log, on standard error: standard output belongs to the address.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt};

use super::config::{LogConfig, LogFormat};

/// Starts logging. Later calls change nothing.
pub fn start(config: &LogConfig) {
    let log = fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_env_filter(EnvFilter::new(&config.filter));
    // Only a second start can fail.
    let _ = match config.format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
}

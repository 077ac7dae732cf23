//! Logging to standard error.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging. `NCS_LOG` takes a filter such as `debug` or `info,ncs_worker=trace`.
pub fn start() {
    // lapin logs each broken connection as an error, with whole messages; we say it once.
    let filter = std::env::var("NCS_LOG").unwrap_or_else(|_| "info,lapin=off".to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_writer(std::io::stderr)
        .init();
}

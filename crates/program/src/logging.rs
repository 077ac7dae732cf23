//! Logging to standard error.

use std::io::IsTerminal;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

/// Starts logging. `NCS_LOG` takes a filter such as `debug` or `info,ncs_worker=trace`; lapin says no
/// more than at `debug`.
pub fn start() {
    start_on(std::io::stderr);
}

/// The same by way of something else that writes to standard error, such as what makes room for the lines
/// on a terminal on which a program draws.
pub fn start_on<W>(writer: W)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // lapin logs each broken connection as an error, with whole messages; we say it once.
    let filter = std::env::var("NCS_LOG").unwrap_or_else(|_| "info,lapin=off".to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_writer(writer)
        // It would panic where standard error is full, and take the process with it.
        .log_internal_errors(false)
        .finish()
        // At this level it writes whole frames byte by byte: the password, and images.
        .with(filter_fn(|event| {
            *event.level() < Level::TRACE || !event.target().starts_with("lapin")
        }))
        .init();
}

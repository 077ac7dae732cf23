//! What every command needs of its process: a runtime, an end by signals, a name for the broker, its share of
//! the CPU.

use crate::traffic::Signals;
use anyhow::Context;
use ncs_program::shutdown;
use std::future::Future;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Runs a command's work to its end.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let end = runtime.block_on(work);
    // Dropping it would wait for a name that is still being resolved.
    runtime.shutdown_background();
    end
}

/// Lets a first signal cancel `token`, and a second one end the process. No C library is loaded here
/// whose cleaning up could hang.
pub(crate) fn end_on_signal(token: &CancellationToken) -> anyhow::Result<()> {
    shutdown::on_signal(token, |code| std::process::exit(code.into()))?;
    Ok(())
}

/// The same where the second signal shall not end the process, but the waiting, so that what was found
/// is told; a third ends it.
pub(crate) fn stop_on_signals(signals: &Signals) -> anyhow::Result<()> {
    shutdown::on_signals(&signals.finish, &signals.stop, |code| {
        std::process::exit(code.into())
    })?;
    Ok(())
}

/// What a connection for this purpose is called in RabbitMQ's own lists: whoever finds it there finds
/// the process.
pub(crate) fn connection_name(purpose: &str) -> String {
    let host = gethostname::gethostname();
    let host = host.to_string_lossy();
    format!("ncs-producer {host}/{} {purpose}", std::process::id())
}

/// The CPU time that this process has used, on all cores; unknown where the system does not tell it.
pub(crate) fn cpu_time() -> Option<Duration> {
    #[cfg(unix)]
    {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::try_from(used).ok()
    }
    #[cfg(not(unix))]
    None
}

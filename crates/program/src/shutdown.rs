//! Signals, caught in one place.

use anyhow::Context;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// What a shell reports of a program that Ctrl-C ended: 128 + SIGINT.
const EXIT_INTERRUPTED: u8 = 130;

/// Signals that come so soon after another are the same one.
const SAME_SIGNAL: Duration = Duration::from_millis(100);

/// Catches SIGTERM and Ctrl-C from now on. The first of them cancels the token; a second one calls
/// `end` with 130, to end the process at once.
///
/// How to end is the program's to say: [`std::process::exit`] runs the destructors of C libraries,
/// and those of OpenVINO may wait for ever for a call that is stuck in it, which is when somebody
/// sends a second signal.
pub fn on_signal(token: &CancellationToken, end: fn(u8) -> !) -> anyhow::Result<()> {
    catch(vec![token.clone()], end)
}

/// The same in one step more: the first signal cancels `finish`, the second one `stop`, and a third calls
/// `end`.
pub fn on_signals(
    finish: &CancellationToken,
    stop: &CancellationToken,
    end: fn(u8) -> !,
) -> anyhow::Result<()> {
    catch(vec![finish.clone(), stop.clone()], end)
}

fn catch(tokens: Vec<CancellationToken>, end: fn(u8) -> !) -> anyhow::Result<()> {
    let mut signals = Signals::catch()?;
    tokio::spawn(async move {
        let mut last: Option<Instant> = None;
        let mut tokens = tokens.into_iter();
        loop {
            let name = signals.next().await;
            // Terminals and programs such as timeout(1) signal a process and its group: that is one.
            if last.is_some_and(|last| last.elapsed() <= SAME_SIGNAL) {
                continue;
            }
            let Some(token) = tokens.next() else {
                tracing::warn!("{name} again: ending at once");
                end(EXIT_INTERRUPTED);
            };
            if last.is_some() {
                tracing::warn!("{name} again: ending");
            } else {
                tracing::info!("{name}: finishing what is in hand; once more ends at once");
            }
            token.cancel();
            last = Some(Instant::now());
        }
    });
    Ok(())
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn catch() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot catch SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot catch Ctrl-C")?,
        })
    }

    /// Waits for a signal and names it.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "Ctrl-C",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn catch() -> anyhow::Result<Self> {
        Ok(Self)
    }

    /// Waits for a signal and names it.
    async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            // It cannot be caught: the system ends the process by itself.
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}

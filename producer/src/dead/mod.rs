//! `ncs-producer dead`: what is in the dead letters, why, and since when; putting jobs back, or deleting
//! them.
//!
//! Reading order: `letter`, what one of them is; `look`, taking them out of their queue and putting them
//! back; `select`, which ones are meant; then a module for each command.

mod body;
mod letter;
mod list;
mod look;
mod purge;
mod retry;
mod select;
mod show;

pub use letter::UNKNOWN;
pub use look::MOST_IN_HAND;
pub use retry::MOST_BYTES_IN_HAND;

use crate::cli::DeadCommand;
use crate::process;
use anyhow::Context;
use ncs_broker::{BrokerError, Connection};
use ncs_program::cli::BrokerArgs;
use ncs_protocol::topology::DEAD;
use std::io::Write;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

/// What there is to say of a broker without the queue, which workers declare.
const NEVER_ANY: &str = "no dead letters: no worker has ever run on this broker";

/// Does it. The exit code is a failure where something was asked for that was not done.
pub fn run(command: &DeadCommand) -> anyhow::Result<ExitCode> {
    process::block_on(async {
        let shutdown = CancellationToken::new();
        process::end_on_signal(&shutdown)?;
        match command {
            DeadCommand::List(arguments) => list::run(arguments, &shutdown).await,
            DeadCommand::Show(arguments) => show::run(arguments, &shutdown).await,
            DeadCommand::Retry(arguments) => retry::run(arguments, &shutdown).await,
            DeadCommand::Purge(arguments) => purge::run(arguments, &shutdown).await,
        }
    })
}

/// Connects, under a name that says what for.
async fn connect(broker: &BrokerArgs, command: &str) -> Result<Connection, BrokerError> {
    Connection::open(&broker.address()?, &connection_name(command)).await
}

fn connection_name(command: &str) -> String {
    process::connection_name(&format!("dead {command}"))
}

/// Prints to standard output.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot print the answer")
}

/// The exit code: whether all was done that was asked for.
fn outcome(all_done: bool) -> ExitCode {
    if all_done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// "1 dead letter", "12 dead letters".
fn letters(count: usize) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} dead letter{s}")
}

/// What there is to say of ids that nothing has.
fn no_such(ids: &[&str]) -> String {
    let line = |id: &&str| format!("no letter in {DEAD} is called {}\n", letter::printable(id));
    ids.iter().map(line).collect()
}

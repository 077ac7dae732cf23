//! `dead purge`.

use super::letter::Letter;
use super::look::Look;
use super::select::Selection;
use super::{NEVER_ANY, connect, letters, no_such, outcome, print};
use crate::cli::PurgeArgs;
use anyhow::{Context, bail};
use ncs_broker::{Connection, Ticket};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How long to wait for a person's answer. Meanwhile nobody sees the dead letters, and after 30 minutes
/// RabbitMQ would take them back.
const ANSWER_LIMIT: Duration = Duration::from_secs(5 * 60);

pub(super) async fn run(
    arguments: &PurgeArgs,
    shutdown: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let connection = connect(&arguments.broker, "purge").await?;
    let mut selection = Selection::new(&arguments.select);
    let end = match Look::begin(&connection, u32::MAX, shutdown).await? {
        Some(mut look) => {
            let end = purge(
                &connection,
                &mut look,
                &mut selection,
                arguments.yes,
                shutdown,
            )
            .await;
            let ended = look.end().await;
            end.and_then(|text| Ok(ended.map(|()| text)?))
        }
        None => Ok(NEVER_ANY.to_owned()),
    };
    connection.close().await;
    print(&format!("{}\n", end?))?;
    Ok(outcome(selection.missing().is_empty()))
}

/// Deletes what is meant, if the person agrees, and says what came of it. For certain only when the
/// look has ended.
async fn purge(
    connection: &Connection,
    look: &mut Look<'_>,
    selection: &mut Selection<'_>,
    yes: bool,
    shutdown: &CancellationToken,
) -> anyhow::Result<String> {
    let mut condemned: Vec<Ticket> = Vec::new();
    let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut not_looked_at = look.there;
    while let Some(delivery) = look.next().await? {
        not_looked_at -= 1;
        let letter = Letter::of(&delivery);
        if selection.takes(&letter) {
            *codes.entry(letter.code).or_default() += 1;
            condemned.push(delivery.ticket);
        }
    }
    let mut text = no_such(&selection.missing());
    // Writing to a String cannot fail.
    for (code, count) in codes {
        let _ = writeln!(text, "{count} x {code}");
    }
    if not_looked_at > 0 {
        let _ = writeln!(text, "not looked at: the newest {not_looked_at}");
    }
    print(&text)?;
    if condemned.is_empty() {
        let there = letters(look.there as usize);
        return Ok(format!("nothing was deleted: none of {there} is meant"));
    }
    let count = letters(condemned.len());
    if !yes && !agreed(&count, connection, shutdown).await? {
        return Ok("nothing was deleted".to_owned());
    }
    for ticket in condemned {
        look.ack(ticket).await?;
    }
    Ok(format!("deleted {count}"))
}

/// Asks the person at the terminal.
async fn agreed(
    count: &str,
    connection: &Connection,
    shutdown: &CancellationToken,
) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nothing was deleted: there is no terminal to ask on; give --yes to delete {count}");
    }
    eprint!("Delete {count}? [y/N] ");
    let (answered, answer) = oneshot::channel();
    // Not a task of the runtime's, which could not end before it.
    std::thread::Builder::new()
        .name("answer".to_owned())
        .spawn(move || {
            let mut line = String::new();
            let read = std::io::stdin().read_line(&mut line);
            // Nobody listens any more: the time is over.
            let _ = answered.send(read.map(|_| line));
        })
        .context("cannot start a thread")?;
    tokio::select! {
        answer = answer => {
            let line = answer.context("the thread that reads the answer ended")?;
            let line = line.context("cannot read the answer")?;
            Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
        }
        () = shutdown.cancelled() => bail!("interrupted; nothing was deleted"),
        error = connection.lost() => Err(error.into()),
        () = sleep(ANSWER_LIMIT) => {
            let limit = humantime::format_duration(ANSWER_LIMIT);
            bail!("no answer for {limit}: nothing was deleted");
        }
    }
}

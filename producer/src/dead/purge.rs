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
    let end = purge(&connection, arguments, shutdown).await;
    connection.close().await;
    end
}

async fn purge(
    connection: &Connection,
    arguments: &PurgeArgs,
    shutdown: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let mut selection = Selection::new(&arguments.select);
    let Some(mut look) = Look::begin(connection, u32::MAX, shutdown).await? else {
        print(&format!("{NEVER_ANY}\n"))?;
        return Ok(outcome(selection.missing().is_empty()));
    };
    let yes = arguments.yes;
    let condemned = condemn(&mut look, &mut selection, yes, connection, shutdown).await;
    let all_seen = selection.has_seen_all(look.not_looked_at());
    match condemned {
        Ok(condemned) if !condemned.is_empty() => delete(look, condemned).await?,
        none => {
            let ended = look.end().await;
            none?;
            ended?;
        }
    }
    Ok(outcome(all_seen))
}

/// What is meant, if the person agrees; else nothing. Says so.
async fn condemn(
    look: &mut Look<'_>,
    selection: &mut Selection<'_>,
    yes: bool,
    connection: &Connection,
    shutdown: &CancellationToken,
) -> anyhow::Result<Vec<Ticket>> {
    let mut condemned = Vec::new();
    let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
    while let Some(delivery) = look.next().await? {
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
    if look.not_looked_at() > 0 {
        let _ = writeln!(text, "not looked at: the newest {}", look.not_looked_at());
    }
    if condemned.is_empty() {
        let seen = letters(look.looked_at as usize);
        let _ = writeln!(text, "nothing was deleted: none of {seen} is meant");
    }
    print(&text)?;
    let count = letters(condemned.len());
    if !condemned.is_empty() && !yes && !agreed(&count, connection, shutdown).await? {
        print("nothing was deleted\n")?;
        condemned.clear();
    }
    Ok(condemned)
}

async fn delete(mut look: Look<'_>, condemned: Vec<Ticket>) -> anyhow::Result<()> {
    let count = letters(condemned.len());
    let mut begun = 0;
    let deleted = async {
        for ticket in condemned {
            begun += 1;
            look.ack(ticket).await?;
        }
        look.end().await
    };
    let deleted = deleted.await;
    // What the broker has done of it, nobody has told us.
    deleted.with_context(|| format!("up to {begun} of {count} were deleted; list again"))?;
    print(&format!("deleted {count}\n"))
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

//! `ncs-producer status`: what the fleet is doing now, from the broker.
//!
//! Reading order: `fleet`, what a look finds; `amqp` (with `crew`, the workers that announce themselves), what
//! AMQP alone tells; `management` (with `hosts`), what RabbitMQ's management API tells; `look`, which puts them together; `table` and `screen`,
//! how people see it.
//!
//! It changes nothing in the broker: queues are looked at without declaring them, and no message is taken,
//! since each return counts against the message.

mod amqp;
mod crew;
mod fleet;
mod hosts;
mod look;
mod management;
mod screen;
mod table;

use crate::cli::StatusArgs;
use crate::process;
use anyhow::Context;
use fleet::Fleet;
use look::Looks;
use ncs_broker::Outage;
use screen::Screen;
use std::process::ExitCode;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Looks once, or again and again. The exit code is a failure where a model was named that no worker has
/// ever served.
pub fn run(arguments: &StatusArgs) -> anyhow::Result<ExitCode> {
    process::block_on(async {
        let mut looks = Looks::new(arguments)?;
        match arguments.watch {
            None => {
                let fleet = looks.look().await;
                looks.end().await;
                let fleet = fleet?;
                Screen::plain().show(&fleet, arguments)?;
                Ok(if fleet.never_served.is_empty() {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                })
            }
            Some(pause) => {
                let shutdown = CancellationToken::new();
                process::end_on_signal(&shutdown)?;
                let watched = tokio::select! {
                    ended = watch(&mut looks, pause, arguments) => ended,
                    () = shutdown.cancelled() => Ok(()),
                };
                looks.end().await;
                watched.map(|()| ExitCode::SUCCESS)
            }
        }
    })
}

/// Ends with an error only. May be dropped at any time.
async fn watch(looks: &mut Looks, pause: Duration, arguments: &StatusArgs) -> anyhow::Result<()> {
    let mut screen = Screen::for_watching(arguments);
    let mut outage = Outage::default();
    let mut seen_once = false;
    loop {
        match looks.look().await {
            Ok(fleet) => {
                outage.over();
                seen_once = true;
                screen.show(&fleet, arguments)?;
                looks.rest(pause).await;
            }
            // A broker that was never there may be a mistaken address.
            Err(error) if seen_once && error.is_temporary() => outage.wait(&error).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// One line of JSON, or several.
fn json(fleet: &Fleet, one_line: bool) -> anyhow::Result<String> {
    let json = if one_line {
        serde_json::to_string(fleet)
    } else {
        serde_json::to_string_pretty(fleet)
    };
    Ok(json.context("cannot encode the figures")? + "\n")
}

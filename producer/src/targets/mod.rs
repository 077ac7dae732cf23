//! `ncs-producer targets`: tells Prometheus which workers to scrape, from what they announce.
//!
//! `page` is what Prometheus reads (its HTTP service discovery, `http_sd_configs`).

mod page;

use crate::cli::TargetsArgs;
use crate::process;
use crate::workers::{Listener, Roster};
use ncs_broker::{Address, BrokerError, Connection, Outage};
use ncs_program::http::{self, Endpoint, Page};
use ncs_protocol::announcement;
use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Serves until a signal.
pub fn run(arguments: &TargetsArgs) -> anyhow::Result<ExitCode> {
    let address = arguments.broker.address()?;
    process::block_on(async {
        let shutdown = CancellationToken::new();
        process::end_on_signal(&shutdown)?;
        let endpoint = Endpoint::bind(arguments.listen).await?;
        tracing::info!(address = %endpoint.address()?, "serving /targets");
        let targets = Targets::default();
        let shown = targets.clone();
        let listening = listen(&address, &targets, arguments.forget_after);
        tokio::select! {
            error = listening => Err(error),
            never = endpoint.serve(move |path| shown.answer(path)) => match never {},
            () = shutdown.cancelled() => Ok(ExitCode::SUCCESS),
        }
    })
}

/// The workers that were heard, as the pages show them.
#[derive(Clone, Default)]
struct Targets(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    roster: Roster,
    /// When it began to listen, the first time. Before everybody has had a chance to speak, an empty list
    /// would make Prometheus drop what it has.
    since: Option<Instant>,
}

impl Targets {
    fn with<T>(&self, change: impl FnOnce(&mut Heard) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn answer(&self, path: &str) -> Page {
        match path {
            "/targets" => self.with(|heard| match heard.since {
                Some(since) if since.elapsed() >= announcement::SILENCE => {
                    http::json(page::of(heard.roster.workers()))
                }
                // Prometheus keeps the list that it has.
                _ => http::unavailable("listening to the workers; ask again in some seconds\n"),
            }),
            "/healthz" => http::ok("alive\n"),
            _ => http::not_found("there are /targets and /healthz\n"),
        }
    }
}

/// Hears the workers for ever, from connection to connection. Ends only where the broker declines at the
/// start, when a person watches.
async fn listen(address: &Address, targets: &Targets, forget_after: Duration) -> anyhow::Error {
    let mut outage = Outage::default();
    let mut was_connected = false;
    loop {
        let Err(error) = hear(address, targets, forget_after, &mut outage).await;
        was_connected |= targets.with(|heard| heard.since.is_some());
        if error.is_temporary() {
            outage.wait(&error).await;
        } else if was_connected {
            outage.wait_for_help(&error).await;
        } else {
            return error.into();
        }
    }
}

/// Hears them over one connection, to its end.
async fn hear(
    address: &Address,
    targets: &Targets,
    forget_after: Duration,
    outage: &mut Outage,
) -> Result<Infallible, BrokerError> {
    let connection = Connection::open(address, &process::connection_name("targets")).await?;
    connection.declare(&announcement::for_listener()).await?;
    let mut listener = Listener::open(&connection).await?;
    outage.over();
    tracing::info!(broker = %address, "listening to the workers");
    targets.with(|heard| {
        let now = Instant::now();
        heard.roster.excuse(now);
        heard.since.get_or_insert(now);
    });
    let mut turn = tokio::time::interval(announcement::INTERVAL);
    loop {
        let announcement = tokio::select! {
            announcement = listener.next() => Some(announcement?),
            _ = turn.tick() => None,
            error = connection.lost() => return Err(error),
        };
        targets.with(|heard| {
            let now = Instant::now();
            if let Some(announcement) = announcement {
                heard.roster.hear(announcement, now);
            }
            heard.roster.forget(forget_after, now);
        });
    }
}

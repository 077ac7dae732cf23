//! `ncs-producer flood`: keep the fleet busy and report how fast it is.
//!
//! A closed loop: at most `window` jobs are unanswered at any time, because a producer that
//! publishes as fast as it can takes the broker's time from the consumers, and then measures that.

mod collecting;
mod sending;

pub use sending::MAX_UNCONFIRMED;

use crate::cli::FloodArgs;
use crate::images::{self, Image};
use crate::ledger::Ledger;
use crate::progress::{self, Progress};
use crate::report::{self, Report};
use anyhow::Context;
use collecting::ACKED_TOGETHER;
use ncs_broker::connection::QueueState;
use ncs_broker::{Address, BrokerError, Connection, Consumer, Publisher, reconnect_delays};
use ncs_program::shutdown;
use ncs_protocol::topology;
use std::cell::{Cell, RefCell};
use std::process::ExitCode;
use std::time::Instant;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Floods, prints the report, and says in the exit code whether every job was classified.
pub fn run(arguments: &FloodArgs) -> anyhow::Result<ExitCode> {
    let images = images::load(&arguments.source)?;
    if let Some(path) = arguments.json.as_deref() {
        report::check(path)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let flood = Flood::new(arguments, images)?;
    let end = runtime.block_on(flood.run());
    let report = Report::new(arguments, &flood.ledger.into_inner());
    // Whatever ended it, what was found until then is told.
    if end.is_ok() || report.sent > 0 {
        report.write(arguments.json.as_deref())?;
    }
    end?;
    Ok(if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The end at a second signal. No C library is loaded here whose cleaning up could hang.
fn end_process(code: u8) -> ! {
    std::process::exit(code.into())
}

/// One flood, over as many connections as it takes.
///
/// All its futures run in one task, so the cells are never borrowed across an await.
struct Flood<'a> {
    arguments: &'a FloodArgs,
    address: Address,
    images: Vec<Image>,
    result_queue: String,
    ledger: RefCell<Ledger>,
    /// A permit for each job that may still be unanswered. Forgotten when a job is sent, added
    /// when it is answered.
    window: Semaphore,
    start: Instant,
    last_progress: Cell<Instant>,
    /// The broker refuses jobs at the moment; said once until it takes them again.
    refusing: Cell<bool>,
    shutdown: CancellationToken,
}

/// What one connection needs: two, so that a blocked publisher does not stop acks.
struct Link {
    jobs: Connection,
    results: Connection,
    publisher: Publisher,
    consumer: Consumer,
}

impl<'a> Flood<'a> {
    fn new(arguments: &'a FloodArgs, images: Vec<Image>) -> Result<Self, BrokerError> {
        Ok(Self {
            address: arguments.broker.amqp_url.check()?,
            arguments,
            images,
            result_queue: format!("ncs.results.{}", Uuid::now_v7()),
            ledger: RefCell::default(),
            window: Semaphore::new(usize::from(arguments.window)),
            start: Instant::now(),
            last_progress: Cell::new(Instant::now()),
            refusing: Cell::new(false),
            shutdown: CancellationToken::new(),
        })
    }

    /// Until all jobs are sent and answered, or nothing moves any more.
    async fn run(&self) -> anyhow::Result<()> {
        shutdown::on_signal(&self.shutdown, end_process)?;
        let mut link = self.connect().await?;
        let end = self.run_from(&mut link).await;
        // Its last user is done with it; without this it would wait a day for its expiry.
        if let Err(error) = link.results.delete_queue(&self.result_queue).await {
            tracing::debug!(%error, "cannot delete the result queue");
        }
        tokio::join!(link.jobs.close(), link.results.close());
        end
    }

    /// The same from the first connection on; `link` is the last one afterwards.
    async fn run_from(&self, link: &mut Link) -> anyhow::Result<()> {
        self.check_queue(link).await?;
        let mut progress = Progress::new(self.arguments.extent.jobs);
        loop {
            match self.serve(link, &mut progress).await {
                Err(error) if is_temporary(&error) => {
                    tracing::warn!("{error:#}; trying until it is back");
                }
                end => return end,
            }
            match self.connect_again().await? {
                Some(again) => *link = again,
                None => return Ok(()),
            }
        }
    }

    /// Until the broker is back; `None` when there is nothing left to wait for, or nobody wants to.
    async fn connect_again(&self) -> Result<Option<Link>, BrokerError> {
        if self.all_sent() && self.ledger.borrow().unanswered() == 0 {
            return Ok(None);
        }
        let timeout = self.arguments.timeout;
        let trying = async {
            // They never end.
            for delay in reconnect_delays() {
                tokio::time::sleep(delay).await;
                match self.connect().await {
                    Err(error) if error.is_temporary() => {}
                    connected => return connected.map(Some),
                }
            }
            Ok(None)
        };
        tokio::select! {
            link = trying => {
                let link = link?;
                tracing::info!("connected again");
                // The fleet has had no chance to answer meanwhile.
                self.last_progress.set(Instant::now());
                Ok(link)
            }
            () = tokio::time::sleep(timeout) => {
                let timeout = humantime::format_duration(timeout);
                tracing::error!("no broker for {timeout}; giving up");
                Ok(None)
            }
            () = self.shutdown.cancelled() => Ok(None),
        }
    }

    /// No more jobs are to be sent.
    fn all_sent(&self) -> bool {
        let extent = &self.arguments.extent;
        self.shutdown.is_cancelled()
            || extent
                .jobs
                .is_some_and(|jobs| self.ledger.borrow().sent >= jobs)
            || extent
                .duration
                .is_some_and(|duration| self.start.elapsed() >= duration)
    }

    async fn connect(&self) -> Result<Link, BrokerError> {
        let FloodArgs { model, window, .. } = self.arguments;
        let name = format!("ncs-producer {} flood {model}", std::process::id());
        let jobs = Connection::open(&self.address, &format!("{name} jobs")).await?;
        let results = Connection::open(&self.address, &format!("{name} results")).await?;
        results
            .declare(&topology::for_producer(&self.result_queue))
            .await?;
        let publisher = jobs.publisher().await?;
        let consumer = results
            .consumer(&self.result_queue, window.saturating_add(ACKED_TOGETHER))
            .await?;
        Ok(Link {
            jobs,
            results,
            publisher,
            consumer,
        })
    }

    /// A model that nobody ever served is a mistake; one that nobody serves now may be a plan.
    async fn check_queue(&self, link: &Link) -> anyhow::Result<()> {
        let model = &self.arguments.model;
        match link.jobs.queue_state(&topology::jobs_queue(model)).await {
            Ok(QueueState { consumers: 0, .. }) => {
                tracing::warn!("no worker takes jobs for {model} at the moment; waiting for one");
            }
            Ok(QueueState { messages, .. }) if messages > 0 => {
                tracing::warn!("{messages} other jobs for {model} are waiting; they come first");
            }
            Ok(_) => {}
            Err(BrokerError::NotFound(_)) => return Err(self.no_queue()),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn no_queue(&self) -> anyhow::Error {
        let model = &self.arguments.model;
        anyhow::anyhow!(
            "there is no queue for the model '{model}'; check the name, or start a worker that \
             serves it (ncs-worker run --model {model}.xml), which creates the queue"
        )
    }

    /// Over one connection: send and collect, side by side, and watch that something moves.
    async fn serve(&self, link: &mut Link, progress: &mut Progress) -> anyhow::Result<()> {
        let Link {
            jobs,
            results,
            publisher,
            consumer,
        } = link;
        let all_sent = Cell::new(false);
        let sending = async {
            self.send(publisher).await?;
            all_sent.set(true);
            Ok(())
        };
        let collecting = self.collect(consumer, &all_sent);
        let watching = async {
            while !self.has_timed_out() {
                tokio::time::sleep(progress::INTERVAL).await;
                progress.show(&self.ledger.borrow());
            }
        };
        tokio::select! {
            end = async { tokio::try_join!(sending, collecting) } => end.map(|_| ()),
            error = jobs.lost() => Err(error.into()),
            error = results.lost() => Err(error.into()),
            () = watching => Ok(()),
        }
    }

    /// Jobs are unanswered, and none has been answered for too long.
    fn has_timed_out(&self) -> bool {
        let timeout = self.arguments.timeout;
        let unanswered = self.ledger.borrow().unanswered();
        let timed_out = unanswered > 0 && self.last_progress.get().elapsed() > timeout;
        if timed_out {
            let timeout = humantime::format_duration(timeout);
            tracing::error!("no answer for {timeout}; giving up {unanswered} unanswered jobs");
        }
        timed_out
    }
}

fn is_temporary(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<BrokerError>()
        .is_some_and(BrokerError::is_temporary)
}

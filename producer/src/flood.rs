//! `ncs-producer flood`: keep the fleet busy and report how fast it is.
//!
//! A closed loop: at most `window` jobs are unanswered at any time, because a producer that
//! publishes as fast as it can takes the broker's time from the consumers, and then measures that.

mod collecting;
mod results;
mod sending;

pub use sending::MAX_UNCONFIRMED;

use crate::cli::FloodArgs;
use crate::images::{self, Image};
use crate::ledger::Ledger;
use crate::process;
use crate::progress::{self, Progress};
use crate::report::{self, Report};
use collecting::ACKED_TOGETHER;
use ncs_broker::connection::QueueState;
use ncs_broker::{Address, BrokerError, Consumer, Link, Outage, Publisher};
use ncs_protocol::topology;
use results::Results;
use std::cell::{Cell, RefCell};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Floods, prints the report, and says in the exit code whether every job was classified.
pub fn run(arguments: &FloodArgs) -> anyhow::Result<ExitCode> {
    let images = images::load(&arguments.source)?;
    if let Some(path) = arguments.json.as_deref() {
        report::check(path)?;
    }
    let flood = Flood::new(arguments, images)?;
    let end = process::block_on(flood.run());
    let Flood {
        ledger, results, ..
    } = flood;
    let written = results.map_or(Ok(()), Results::finish);
    let report = Report::new(arguments, &ledger.into_inner());
    // Whatever ended it, what was found until then is told.
    if end.is_ok() || report.sent > 0 {
        report.write(arguments.json.as_deref())?;
    }
    // Results that cannot be written are why it ended.
    written.and(end)?;
    Ok(if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Silence that makes us ask the broker whether it blocks publishers, and say so if it does.
const SILENCE: Duration = Duration::from_secs(5);

/// A broker that takes longer for an empty message holds up the workers' results too.
const HELD_UP: Duration = Duration::from_secs(1);

/// One flood, over as many links as it takes.
///
/// All its futures run in one task, so the cells are never borrowed across an await.
struct Flood<'a> {
    arguments: &'a FloodArgs,
    address: Address,
    images: Vec<Image>,
    result_queue: String,
    ledger: RefCell<Ledger>,
    /// Where each single result is written, if anywhere.
    results: Option<Results>,
    /// A permit for each job that may still be unanswered. Forgotten when a job is sent, added
    /// when it is answered.
    window: Semaphore,
    start: Instant,
    last_progress: Cell<Instant>,
    /// When the broker was last asked whether it blocks publishers.
    asked: Cell<Instant>,
    /// The broker refuses jobs at the moment; said once until it takes them again.
    refusing: Cell<bool>,
    shutdown: CancellationToken,
}

/// A link, and what is open on it.
struct Session {
    link: Link,
    publisher: Publisher,
    consumer: Consumer,
}

impl<'a> Flood<'a> {
    fn new(arguments: &'a FloodArgs, images: Vec<Image>) -> anyhow::Result<Self> {
        let results = arguments.results.as_deref();
        Ok(Self {
            address: arguments.broker.address()?,
            results: results.map(Results::create).transpose()?,
            arguments,
            images,
            result_queue: format!("ncs.results.{}", Uuid::now_v7()),
            ledger: RefCell::default(),
            window: Semaphore::new(usize::from(arguments.window)),
            start: Instant::now(),
            last_progress: Cell::new(Instant::now()),
            asked: Cell::new(Instant::now()),
            refusing: Cell::new(false),
            shutdown: CancellationToken::new(),
        })
    }

    /// Until all jobs are sent and answered, or nothing moves any more.
    async fn run(&self) -> anyhow::Result<()> {
        process::end_on_signal(&self.shutdown)?;
        let mut session = self.connect().await?;
        let end = self.run_from(&mut session).await;
        let link = session.link;
        // Its last user is done with it; without this it would wait a day for its expiry.
        if let Err(error) = link.consuming.delete_queue(&self.result_queue).await {
            tracing::debug!(%error, "cannot delete the result queue");
        }
        link.close().await;
        end
    }

    /// The same from the first session on; `session` is the last one afterwards.
    async fn run_from(&self, session: &mut Session) -> anyhow::Result<()> {
        self.check_queue(&session.link).await?;
        let mut progress = Progress::new(self.arguments.extent.jobs);
        let mut outage = Outage::default();
        loop {
            outage.over();
            let error = match self.serve(session, &mut progress).await {
                Err(error) if is_temporary(&error) => error,
                end => return end,
            };
            match self.connect_again(error, &mut outage).await? {
                Some(again) => *session = again,
                None => return Ok(()),
            }
        }
    }

    /// Until the broker is back; `None` when there is nothing left to wait for, or nobody wants to.
    async fn connect_again(
        &self,
        lost: anyhow::Error,
        outage: &mut Outage,
    ) -> Result<Option<Session>, BrokerError> {
        if self.all_sent() && self.ledger.borrow().unanswered() == 0 {
            return Ok(None);
        }
        let timeout = self.arguments.timeout;
        let trying = async {
            outage.wait(&lost).await;
            loop {
                match self.connect().await {
                    Err(error) if error.is_temporary() => outage.wait(&error).await,
                    connected => return connected,
                }
            }
        };
        tokio::select! {
            session = trying => {
                let session = session?;
                tracing::info!("connected again");
                // The fleet has had no chance to answer meanwhile.
                self.last_progress.set(Instant::now());
                Ok(Some(session))
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

    async fn connect(&self) -> Result<Session, BrokerError> {
        let FloodArgs { model, window, .. } = self.arguments;
        let name = process::connection_name(model.as_str());
        let link = Link::open(&self.address, &name).await?;
        link.consuming
            .declare(&topology::for_producer(&self.result_queue))
            .await?;
        let publisher = link.publishing.publisher().await?;
        let prefetch = window.saturating_add(ACKED_TOGETHER);
        let consumer = link
            .consuming
            .consumer(&self.result_queue, prefetch)
            .await?;
        Ok(Session {
            link,
            publisher,
            consumer,
        })
    }

    /// A model that nobody ever served is a mistake; one that nobody serves now may be a plan.
    async fn check_queue(&self, link: &Link) -> anyhow::Result<()> {
        let model = &self.arguments.model;
        match link
            .consuming
            .queue_state(&topology::jobs_queue(model))
            .await
        {
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

    /// Over one link: send and collect, side by side, and watch that something moves.
    async fn serve(&self, session: &mut Session, progress: &mut Progress) -> anyhow::Result<()> {
        let Session {
            link,
            publisher,
            consumer,
        } = session;
        let all_sent = Cell::new(false);
        let sending = async {
            self.send(publisher).await?;
            all_sent.set(true);
            Ok(())
        };
        let collecting = self.collect(consumer, &all_sent);
        let publisher = &*publisher;
        let watching = async {
            while !self.has_timed_out(publisher).await? {
                tokio::time::sleep(progress::INTERVAL).await;
                progress.show(&self.ledger.borrow());
            }
            Ok(())
        };
        tokio::select! {
            end = async { tokio::try_join!(sending, collecting) } => end.map(|_| ()),
            error = link.lost() => Err(error.into()),
            end = watching => end,
        }
    }

    /// Jobs are unanswered, and none has been answered for too long, although workers may publish.
    async fn has_timed_out(&self, publisher: &Publisher) -> anyhow::Result<bool> {
        let timeout = self.arguments.timeout;
        let silent_for = |limit| {
            let silence = self.last_progress.get().elapsed();
            self.ledger.borrow().unanswered() > 0 && silence > limit
        };
        if publisher.is_blocked() {
            self.last_progress.set(Instant::now());
        }
        // With a full window we publish nothing, so we are not told that publishers are blocked: we ask
        // early in each silence, and once more before we give up.
        let was_asked = self.asked.get() > self.last_progress.get();
        let patience = if was_asked {
            timeout
        } else {
            SILENCE.min(timeout)
        };
        if !silent_for(patience) {
            return Ok(false);
        }
        let now = Instant::now();
        self.asked.set(now);
        publisher.knock().await?;
        if now.elapsed() > HELD_UP {
            self.last_progress.set(Instant::now());
        }
        if !silent_for(timeout) {
            return Ok(false);
        }
        let unanswered = self.ledger.borrow().unanswered();
        let timeout = humantime::format_duration(timeout);
        tracing::error!("no answer for {timeout}; giving up {unanswered} unanswered jobs");
        Ok(true)
    }
}

fn is_temporary(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<BrokerError>()
        .is_some_and(BrokerError::is_temporary)
}

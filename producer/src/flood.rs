//! `ncs-producer flood`: keep the fleet busy and report how fast it is.
//!
//! A closed loop: at most `window` jobs are unanswered at any time, because a producer that
//! publishes as fast as it can takes the broker's time from the consumers, and then measures that.

use crate::cli::FloodArgs;
use crate::images::{self, Image};
use crate::ledger::{Entry, Ledger, Unconfirmed};
use crate::progress::{self, Progress};
use crate::report::Report;
use anyhow::Context;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ncs_broker::connection::QueueState;
use ncs_broker::{
    Address, BrokerError, Connection, Consumer, Message, Publisher, Ticket, reconnect_delays,
};
use ncs_program::shutdown;
use ncs_protocol::{Job, JobResult, topology};
use std::cell::{Cell, RefCell};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Messages that wait for the broker's confirm at once. Enough to hide the round trip; more only
/// make the broker serve the producer before the workers.
pub const MAX_UNCONFIRMED: usize = 8;
/// Results that are acked together: each ack costs the broker as much as the result itself.
const ACKED_TOGETHER: u16 = 16;
/// How long to wait before a job is published again that the broker has refused.
const REFUSED_DELAY: Duration = Duration::from_millis(100);

/// Floods, prints the report, and says in the exit code whether every job was classified.
pub fn run(arguments: &FloodArgs) -> anyhow::Result<ExitCode> {
    let images = images::load(&arguments.source)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let flood = Flood::new(arguments, images)?;
    let end = runtime.block_on(flood.run());
    // Whatever ended it, what was found until then is told.
    let report = Report::new(arguments, &flood.ledger.into_inner());
    report.write(arguments.json.as_deref())?;
    end?;
    Ok(if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
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
            address: arguments.amqp_url.check()?,
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
        shutdown::on_signal(&self.shutdown)?;
        let mut link = self.connect().await?;
        self.check_queue(&link).await?;
        let mut progress = Progress::new(self.arguments.extent.jobs);
        loop {
            match self.serve(&mut link, &mut progress).await {
                Ok(()) => break,
                Err(error) if is_temporary(&error) => {
                    tracing::warn!("{error:#}; trying until it is back");
                }
                Err(error) => return Err(error),
            }
            match self.connect_again().await? {
                Some(again) => link = again,
                None => return Ok(()),
            }
        }
        drop(progress);
        // Its last user is done with it; without this it would wait a day for its expiry.
        if let Err(error) = link.results.delete_queue(&self.result_queue).await {
            tracing::debug!(%error, "cannot delete the result queue");
        }
        tokio::join!(link.jobs.close(), link.results.close());
        Ok(())
    }

    /// Until the broker is back; `None` when there is nothing left to wait for, or nobody wants to.
    async fn connect_again(&self) -> anyhow::Result<Option<Link>> {
        let timeout = self.arguments.timeout;
        let trying = async {
            for delay in reconnect_delays() {
                tokio::time::sleep(delay).await;
                match self.connect().await {
                    Ok(link) => return Ok(Some(link)),
                    Err(error) if error.is_temporary() => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(None)
        };
        if self.all_sent() && self.ledger.borrow().unanswered() == 0 {
            return Ok(None);
        }
        tokio::select! {
            link = trying => {
                tracing::info!("connected again");
                // The fleet has had no chance to answer meanwhile.
                self.last_progress.set(Instant::now());
                link
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

    /// Publishes what the last connection left unconfirmed, then new jobs until enough are sent.
    async fn send(&self, publisher: &Publisher) -> anyhow::Result<()> {
        let mut confirming = FuturesUnordered::new();
        let mut again = self.ledger.borrow().unconfirmed().into_iter();
        loop {
            let job = if let Some(job) = again.next() {
                job
            } else {
                tokio::select! {
                    job = self.next_job() => match job {
                        Some(job) => job,
                        None => break,
                    },
                    Some(confirmed) = confirming.next() => {
                        confirmed?;
                        continue;
                    }
                }
            };
            confirming.push(self.publish(publisher, job));
            while confirming.len() >= MAX_UNCONFIRMED {
                confirming.next().await.transpose()?;
            }
        }
        while let Some(confirmed) = confirming.next().await {
            confirmed?;
        }
        Ok(())
    }

    /// Waits until another job may be sent, and enters it in the ledger; `None` when all are sent.
    /// May be dropped while it waits: a job is only taken when it is returned.
    async fn next_job(&self) -> Option<Unconfirmed> {
        if self.all_sent() {
            return None;
        }
        let number = self.ledger.borrow().sent;
        let due = async {
            if let Some(rate) = self.arguments.rate {
                #[expect(clippy::cast_precision_loss, reason = "a number of jobs fits")]
                let due = self.start + Duration::from_secs_f64(number as f64 / rate);
                tokio::time::sleep_until(due.into()).await;
            }
            self.window.acquire().await
        };
        let over = async {
            match self.arguments.extent.duration {
                Some(duration) => tokio::time::sleep_until((self.start + duration).into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // An error: the semaphore is closed, which it never is.
            permit = due => permit.ok()?.forget(),
            () = over => return None,
            () = self.shutdown.cancelled() => return None,
        }
        let image = usize::try_from(number).unwrap_or(0) % self.images.len();
        let job = Unconfirmed {
            id: Uuid::now_v7().to_string(),
            image,
        };
        let now = Instant::now();
        let mut ledger = self.ledger.borrow_mut();
        if ledger.unanswered() == 0 {
            self.last_progress.set(now);
        }
        ledger.sent(job.id.clone(), image, now);
        Some(job)
    }

    /// Publishes one job until the broker has it.
    async fn publish(&self, publisher: &Publisher, job: Unconfirmed) -> anyhow::Result<()> {
        let message = self.message(&job)?;
        loop {
            let confirmed = publisher.publish(&message).await?.confirmed().await?;
            if confirmed.returned.is_some() {
                return Err(self.no_queue());
            }
            if confirmed.accepted {
                self.ledger.borrow_mut().confirmed(&job.id);
                self.refusing.set(false);
                return Ok(());
            }
            self.ledger.borrow_mut().refused += 1;
            if !self.refusing.replace(true) {
                tracing::warn!("the queue is full: the broker refuses jobs; trying until it takes");
            }
            tokio::time::sleep(REFUSED_DELAY).await;
        }
    }

    fn message(&self, Unconfirmed { id, image }: &Unconfirmed) -> anyhow::Result<Message> {
        let encoding = self.arguments.encoding.into();
        let submitted_at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let job = Job {
            id: id.into(),
            correlation_id: None,
            reply_to: Some(self.result_queue.as_str().into()),
            submitted_at_us: u64::try_from(submitted_at.as_micros()).ok(),
            accept: encoding,
            top_k: self.arguments.top_k,
            content: self.images[*image].content(),
        };
        let (properties, body) = job.to_message(encoding)?;
        Ok(Message {
            exchange: topology::JOBS_EXCHANGE.to_owned(),
            routing_key: self.arguments.model.to_string(),
            mandatory: true,
            properties,
            body,
        })
    }

    /// Enters results in the ledger until all jobs are sent and answered.
    async fn collect(&self, consumer: &mut Consumer, sent: &Cell<bool>) -> anyhow::Result<()> {
        // The last result that is not acked yet, which stands for all before it, and their number.
        let mut unacked: Option<Ticket> = None;
        let mut together = 0;
        while !sent.get() || self.ledger.borrow().unanswered() > 0 {
            let next = tokio::select! {
                next = consumer.next() => next,
                // To ack what came, and to notice that the last job was sent and answered before.
                () = tokio::time::sleep(progress::INTERVAL) => {
                    if let Some(ticket) = unacked.take() {
                        ticket.ack_with_earlier().await?;
                        together = 0;
                    }
                    continue;
                }
            };
            let Some(delivery) = next else {
                let reason = format!("the queue {} was deleted", self.result_queue);
                return Err(BrokerError::Lost {
                    doing: "collecting results",
                    reason,
                }
                .into());
            };
            let delivery = delivery?;
            match JobResult::from_message(&delivery.properties, &delivery.body) {
                Ok(result) => self.enter(&result),
                Err(error) => tracing::warn!(%error, "this message in the result queue is none"),
            }
            unacked = Some(delivery.ticket);
            together += 1;
            if together == ACKED_TOGETHER
                && let Some(ticket) = unacked.take()
            {
                ticket.ack_with_earlier().await?;
                together = 0;
            }
        }
        // What is not acked goes with the queue, which nobody needs any more.
        Ok(())
    }

    fn enter(&self, result: &JobResult) {
        let now = Instant::now();
        if self.ledger.borrow_mut().answered(result, now) == Entry::First {
            self.last_progress.set(now);
            self.window.add_permits(1);
        }
    }
}

fn is_temporary(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<BrokerError>()
        .is_some_and(BrokerError::is_temporary)
}

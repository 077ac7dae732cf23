//! One connection's life: consume → pool; finished → publish → confirm → ack.
//!
//! Two connections, in truth: while RabbitMQ blocks a publisher it reads nothing from that
//! connection, and acks must still get through.

use crate::in_hand::InHand;
use crate::metrics::{JobOutcome, Metrics};
use crate::pool::{Finished, Pool, Received};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ncs_broker::{
    Address, BrokerError, Connection, Consumer, Message, Publisher, Returned, Settled,
};
use ncs_protocol::Topology;
use ncs_protocol::properties::HEADER_DEAD_CODE;
use ncs_protocol::topology::RESULTS_QUEUE;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long to wait before a result is published again that the broker has refused.
const REFUSED_DELAY: Duration = Duration::from_millis(250);
/// For how long a refused result is tried again. A client's own queue may be full because nobody
/// reads it; it must not keep the worker from everybody else's jobs.
const REFUSED_LIMIT: Duration = Duration::from_secs(30);

/// What to serve, and how.
pub struct Settings {
    /// The broker.
    pub address: Address,
    /// The worker's name, as RabbitMQ's own UI shows it.
    pub name: String,
    /// What to declare.
    pub topology: Topology,
    /// The queue of jobs.
    pub queue: String,
    /// Jobs in hand at most.
    pub prefetch: u16,
    /// How long to finish what is in hand after shutdown.
    pub drain_timeout: Duration,
    /// The worker's figures.
    pub metrics: Metrics,
}

/// An open session: connected, declared, consuming.
pub struct Session<'a> {
    settings: &'a Settings,
    jobs: Connection,
    results: Connection,
    /// Its channel also carries the acks, so it lives as long as the session.
    consumer: Consumer,
    publisher: Publisher,
}

/// How a session ended that was told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Jobs that the drain timeout did not cover; the broker hands them out again.
    pub left: u64,
}

impl<'a> Session<'a> {
    /// Connects, declares, and asks for jobs.
    pub async fn open(settings: &'a Settings) -> Result<Self, BrokerError> {
        let Settings { address, name, .. } = settings;
        let jobs = Connection::open(address, &format!("{name} jobs")).await?;
        let results = Connection::open(address, &format!("{name} results")).await?;
        jobs.declare(&settings.topology).await?;
        let publisher = results.publisher().await?;
        let consumer = jobs.consumer(&settings.queue, settings.prefetch).await?;
        Ok(Self {
            settings,
            jobs,
            results,
            consumer,
            publisher,
        })
    }

    /// Serves until `shutdown`, then finishes what is in hand.
    ///
    /// On an error, what was in hand is delivered again by the broker. Dropping this future is
    /// like losing the connection.
    pub async fn serve(self, pool: &Pool, shutdown: &CancellationToken) -> anyhow::Result<Drained> {
        let Self {
            settings,
            jobs,
            results,
            mut consumer,
            publisher,
        } = self;
        let work = Work {
            settings,
            in_hand: InHand::begin(&settings.metrics),
        };
        let (finished, to_publish) = mpsc::channel(usize::from(settings.prefetch));
        let overdue = async {
            shutdown.cancelled().await;
            tokio::time::sleep(settings.drain_timeout).await;
        };
        let end = tokio::select! {
            done = async {
                tokio::try_join!(
                    work.take_jobs(&mut consumer, pool, finished, shutdown),
                    work.publish_results(&publisher, to_publish),
                )
            } => done.map(|_| Drained { left: 0 }),
            error = jobs.lost() => Err(error.into()),
            error = results.lost() => Err(error.into()),
            () = overdue => Ok(Drained { left: work.in_hand.count() }),
        };
        drop(work);
        pool.discard_waiting();
        if end.is_ok() {
            tokio::join!(jobs.close(), results.close());
        }
        end
    }
}

/// What a session does; its futures share it within one task.
struct Work<'a> {
    settings: &'a Settings,
    in_hand: InHand,
}

impl Work<'_> {
    /// Consumes until shutdown, then until the broker has stopped sending.
    async fn take_jobs(
        &self,
        consumer: &mut Consumer,
        pool: &Pool,
        finished: mpsc::Sender<Finished>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut cancelled = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled(), if !cancelled => {
                    cancelled = true;
                    self.settings.metrics.broker_connected.set(0);
                    consumer.cancel().await?;
                }
                next = consumer.next() => match next {
                    Some(delivery) => {
                        let received = Received::now(delivery?, finished.clone());
                        self.in_hand.taken();
                        pool.submit(received)?;
                    }
                    // The jobs in hand hold senders too: the publishing ends with the last.
                    None if cancelled => return Ok(()),
                    None => {
                        let reason = format!("the queue {} was deleted", self.settings.queue);
                        return Err(BrokerError::Lost { doing: "consuming", reason }.into());
                    }
                },
            }
        }
    }

    /// Publishes what the pool has finished, and acks what is confirmed, until the last job in
    /// hand is settled.
    async fn publish_results(
        &self,
        publisher: &Publisher,
        mut to_publish: mpsc::Receiver<Finished>,
    ) -> anyhow::Result<()> {
        let mut settling = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(finished) = to_publish.recv() => {
                    settling.push(self.settle(publisher, finished));
                }
                Some(settled) = settling.next() => settled?,
                else => return Ok(()),
            }
        }
    }

    /// Publishes one job's answer, waits until the broker has it, and acks the job: in this order,
    /// so that a job can be done twice, but never be lost.
    async fn settle(&self, publisher: &Publisher, finished: Finished) -> Result<(), BrokerError> {
        let Finished {
            ticket,
            messages,
            outcome,
            at,
        } = finished;
        let mut settled = None;
        for message in &messages {
            match self.publish(publisher, message).await {
                Ok(()) => {}
                // Another try would fail the same way, here and at every other worker.
                Err(BrokerError::InvalidMessage(reason)) => {
                    tracing::error!(reason, "an answer cannot be sent; its job is dead-lettered");
                    settled = Some(JobOutcome::DeadLettered(ncs_protocol::ErrorCode::Internal));
                }
                Err(error) => return Err(error),
            }
        }
        self.settings.metrics.observe_publish(at.elapsed());
        let told = match settled {
            None => ticket.ack().await?,
            Some(_) => ticket.reject().await?,
        };
        self.in_hand.settled(match told {
            Settled::Told => settled.unwrap_or(outcome),
            Settled::WillBeRedelivered => JobOutcome::Returned,
        });
        Ok(())
    }

    /// Publishes until the broker has the message, or nobody will ever get it.
    async fn publish(&self, publisher: &Publisher, message: &Message) -> Result<(), BrokerError> {
        let start = Instant::now();
        loop {
            let confirmed = publisher.publish(message).await?.confirmed().await?;
            if let Some(returned) = &confirmed.returned {
                self.undelivered(returned)?;
            }
            if confirmed.accepted {
                return Ok(());
            }
            if start.elapsed() > REFUSED_LIMIT {
                let queue = &message.routing_key;
                tracing::warn!(
                    queue,
                    "this queue is full and nobody reads it: a result is dropped"
                );
                self.settings.metrics.results_undelivered.inc();
                return Ok(());
            }
            tokio::time::sleep(REFUSED_DELAY).await;
        }
    }

    /// A message that reached no queue. Whoever asked for a result has gone, and it is dropped; but
    /// the queues that we declare ourselves must be there.
    fn undelivered(&self, returned: &Returned) -> Result<(), BrokerError> {
        let queue = &returned.routing_key;
        if queue == RESULTS_QUEUE || returned.properties.text(HEADER_DEAD_CODE).is_some() {
            let reason = "a queue of the fleet's own was deleted".to_owned();
            return Err(BrokerError::Lost {
                doing: "publishing",
                reason,
            });
        }
        self.settings.metrics.results_undelivered.inc();
        tracing::debug!(queue, "nobody waits for this result");
        Ok(())
    }
}

//! One connection's life: consume → pool; finished → publish → confirm → ack.
//!
//! Two connections, in truth: while RabbitMQ blocks a publisher it reads nothing from that
//! connection, and acks must still get through.

use crate::metrics::{JobOutcome, Metrics};
use crate::pool::{Finished, Pool, Received};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ncs_broker::{Address, BrokerError, Connection, Consumer, Message, Publisher, Settled};
use ncs_protocol::Topology;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long to wait before a result is published again that the broker has refused.
const REFUSED_DELAY: Duration = Duration::from_millis(250);

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
    pub left: i64,
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
        let metrics = &settings.metrics;
        metrics.broker_connected.set(1);
        let (finished, to_publish) = mpsc::channel(usize::from(settings.prefetch));
        let overdue = async {
            shutdown.cancelled().await;
            tokio::time::sleep(settings.drain_timeout).await;
        };
        let end = tokio::select! {
            done = async {
                tokio::try_join!(
                    settings.take_jobs(&mut consumer, pool, finished, shutdown),
                    settings.publish_results(&publisher, to_publish),
                )
            } => done.map(|_| Drained { left: 0 }),
            error = jobs.lost() => Err(error.into()),
            error = results.lost() => Err(error.into()),
            () = overdue => Ok(Drained { left: metrics.jobs_in_hand.get() }),
        };
        metrics.broker_connected.set(0);
        metrics.jobs_in_hand.set(0);
        pool.discard_waiting();
        if end.is_ok() {
            tokio::join!(jobs.close(), results.close());
        }
        end
    }
}

impl Settings {
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
                    consumer.cancel().await?;
                }
                next = consumer.next() => match next {
                    Some(delivery) => {
                        self.metrics.jobs_in_hand.inc();
                        pool.submit(Received::now(delivery?, finished.clone()))?;
                    }
                    // The jobs in hand hold senders too: the publishing ends with the last.
                    None if cancelled => return Ok(()),
                    None => {
                        let reason = format!("the queue {} was deleted", self.queue);
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
        for message in &messages {
            self.publish(publisher, message).await?;
        }
        self.metrics.observe_publish(at.elapsed());
        let outcome = match ticket.ack().await? {
            Settled::Told => outcome,
            Settled::WillBeRedelivered => JobOutcome::Returned,
        };
        self.metrics.count(outcome);
        self.metrics.jobs_in_hand.dec();
        Ok(())
    }

    async fn publish(&self, publisher: &Publisher, message: &Message) -> Result<(), BrokerError> {
        loop {
            let confirmed = publisher.publish(message).await?.confirmed().await?;
            if let Some(returned) = confirmed.returned {
                // Whoever asked has gone, and the result with nobody to read it is dropped.
                self.metrics.results_unroutable.inc();
                tracing::debug!(queue = returned.routing_key, "nobody waits for this result");
            }
            if confirmed.accepted {
                return Ok(());
            }
            tokio::time::sleep(REFUSED_DELAY).await;
        }
    }
}

//! One connection's life: consume → queue; finished → publish → confirm → ack.
//!
//! Two connections, in truth: while RabbitMQ blocks a publisher it reads nothing from that
//! connection, and acks must still get through.

use crate::in_hand::InHand;
use crate::metrics::{JobOutcome, Metrics};
use crate::pool::Jobs;
use crate::received::{Answer, Finished, Received};
use crate::supervisor::Service;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ncs_broker::{
    Address, BrokerError, Connection, Consumer, Message, Publisher, Returned, Settled, Ticket,
};
use ncs_protocol::properties::HEADER_DEAD_CODE;
use ncs_protocol::topology::RESULTS_QUEUE;
use ncs_protocol::{ModelName, Topology};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How long to wait before a result is published again that the broker has refused.
const REFUSED_DELAY: Duration = Duration::from_millis(250);
/// For how long a refused result is tried again. A client's own queue may be full because nobody
/// reads it; it must not keep the worker from everybody else's jobs.
const REFUSED_LIMIT: Duration = Duration::from_secs(30);

/// Room for the answers of all jobs that may be in hand: AMQP's prefetch is no larger, and while it
/// changes, the jobs of the old and of the new one are.
const MOST_IN_HAND: usize = 2 * u16::MAX as usize;

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
    /// The model that it is for.
    pub model: ModelName,
    /// How long to finish what is in hand after shutdown.
    pub drain_timeout: Duration,
    /// The worker's figures.
    pub metrics: Metrics,
    /// Where jobs wait for an infer request.
    pub jobs: Arc<Jobs>,
    /// What this host can do for them.
    pub service: watch::Receiver<Service>,
}

/// An open session: connected, declared, ready to consume.
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
    /// Connects and declares.
    pub async fn open(settings: &'a Settings) -> Result<Self, BrokerError> {
        let Settings { address, name, .. } = settings;
        let jobs = Connection::open(address, &format!("{name} jobs")).await?;
        let results = Connection::open(address, &format!("{name} results")).await?;
        jobs.declare(&settings.topology).await?;
        let publisher = results.publisher().await?;
        let consumer = jobs.idle_consumer(&settings.queue).await?;
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
    pub async fn serve(self, shutdown: &CancellationToken) -> anyhow::Result<Drained> {
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
        let (finished, to_publish) = mpsc::channel(MOST_IN_HAND);
        let overdue = async {
            shutdown.cancelled().await;
            tokio::time::sleep(settings.drain_timeout).await;
        };
        let end = tokio::select! {
            done = work.publish_results(&publisher, to_publish) => done.map(|()| Drained { left: 0 }),
            error = work.take_jobs(&mut consumer, finished, shutdown) => Err(error),
            error = jobs.lost() => Err(error.into()),
            error = results.lost() => Err(error.into()),
            () = overdue => Ok(Drained { left: work.in_hand.count() }),
        };
        drop(work);
        // Their session is over.
        drop(settings.jobs.take_waiting());
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
    /// Consumes as this host's devices allow, until shutdown; then until the broker has stopped
    /// sending. Ends by itself only with an error: the end of the work is the end of the publishing.
    async fn take_jobs(
        &self,
        consumer: &mut Consumer,
        finished: mpsc::Sender<Finished>,
        shutdown: &CancellationToken,
    ) -> anyhow::Error {
        let Err(error) = self.consume(consumer, finished, shutdown).await;
        error.into()
    }

    async fn consume(
        &self,
        consumer: &mut Consumer,
        finished: mpsc::Sender<Finished>,
        shutdown: &CancellationToken,
    ) -> Result<Infallible, BrokerError> {
        let Settings { jobs, model, .. } = self.settings;
        let mut service = self.settings.service.clone();
        // Dropped at the end of consuming. The jobs in hand hold senders too: the publishing ends
        // with the last of them.
        let mut finished = Some(finished);
        // The prefetch that the consumer was started with, and whether it is told to stop.
        let (mut started, mut cancelled) = (None, false);
        let mut watching = true;
        loop {
            let now = *service.borrow_and_update();
            if now == Service::Down {
                for job in jobs.take_waiting() {
                    job.hand_back(model);
                }
            }
            let wanted = match now {
                _ if shutdown.is_cancelled() => None,
                Service::Up { prefetch } => Some(prefetch),
                Service::Interrupted => started,
                Service::Down => None,
            };
            if shutdown.is_cancelled() {
                self.settings.metrics.broker_connected.set(0);
            }
            if started.is_some() && started != wanted && !cancelled {
                cancelled = true;
                consumer.cancel().await?;
            }
            if started.is_none()
                && let Some(prefetch) = wanted
            {
                consumer.start(prefetch).await?;
                started = wanted;
                tracing::info!(prefetch, "taking jobs");
            }
            if started.is_none() && shutdown.is_cancelled() {
                finished = None;
            }
            tokio::select! {
                () = shutdown.cancelled(), if !shutdown.is_cancelled() => {}
                // An error: the supervisor has ended, and the worker is about to.
                changed = service.changed(), if watching => watching = changed.is_ok(),
                next = consumer.next(), if started.is_some() => match (next, &finished) {
                    (Some(delivery), Some(finished)) => {
                        let job = Received::now(delivery?, finished.clone());
                        self.in_hand.taken();
                        if now == Service::Down {
                            job.hand_back(model);
                        } else {
                            jobs.submit(job);
                        }
                    }
                    (None, _) if cancelled => (started, cancelled) = (None, false),
                    _ => {
                        let reason = format!("the queue {} was deleted", self.settings.queue);
                        return Err(BrokerError::Lost { doing: "consuming", reason });
                    }
                },
                // Nothing more to come: the publishing ends the session.
                else => std::future::pending().await,
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
        let Finished { ticket, answer, at } = finished;
        let (messages, outcome) = match answer {
            Answer::Messages(messages, outcome) => (messages, outcome),
            Answer::HandBack(job) => return self.hand_back(publisher, ticket, &job).await,
        };
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
        self.told(told, settled.unwrap_or(outcome));
        Ok(())
    }

    /// Puts a job back into its queue, as a new message. Where the queue takes no more for a while, the
    /// broker returns the old one to it, at the price of one of its deliveries.
    async fn hand_back(
        &self,
        publisher: &Publisher,
        ticket: Ticket,
        job: &Message,
    ) -> Result<(), BrokerError> {
        let start = Instant::now();
        while start.elapsed() < REFUSED_LIMIT {
            let confirmed = match publisher.publish(job).await {
                Ok(confirm) => confirm.confirmed().await?,
                Err(BrokerError::InvalidMessage(_)) => break,
                Err(error) => return Err(error),
            };
            // lapin may attach the return of another message.
            let id = &job.properties.message_id;
            let returned = confirmed.returned.as_ref();
            if returned.is_some_and(|returned| returned.properties.message_id == *id) {
                break;
            }
            if confirmed.accepted {
                self.told(ticket.ack().await?, JobOutcome::HandedBack);
                return Ok(());
            }
            tokio::time::sleep(REFUSED_DELAY).await;
        }
        ticket.requeue().await?;
        self.in_hand.settled(JobOutcome::Returned);
        Ok(())
    }

    /// Books what the broker was told of a job.
    fn told(&self, told: Settled, outcome: JobOutcome) {
        self.in_hand.settled(match told {
            Settled::Told => outcome,
            Settled::WillBeRedelivered => JobOutcome::Returned,
        });
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

//! Where jobs come from: the model's queue, and the suspects.
//!
//! A worker that is lost returns all jobs in its hands, so each return makes suspects of many innocent
//! jobs and of one that may be the reason. Suspects are set aside in a queue of their own. There a job is
//! tried with nothing else in the worker's hands: if it kills the worker, the broker counts that
//! against this job alone, and after [`SUSPECT_DELIVERY_LIMIT`] times dead-letters it. An innocent one
//! is answered at its first try.

use super::Work;
use crate::received::{Finished, Received};
use crate::supervisor::Service;
use ncs_broker::{BrokerError, Connection, Consumer, Delivery, Getter};
use ncs_protocol::topology;
#[cfg(doc)]
use ncs_protocol::topology::SUSPECT_DELIVERY_LIMIT;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often a worker looks whether others have set suspects aside. Looking costs the broker one small
/// request.
const SUSPECTS_LOOK: Duration = Duration::from_secs(5);

impl Work<'_> {
    /// Takes jobs as this host's devices allow, until shutdown; then until the broker has stopped
    /// sending. Ends by itself only with an error: the end of the work is the end of the publishing.
    pub(super) async fn take_jobs(
        &self,
        connection: &Connection,
        consumer: &mut Consumer,
        suspects: &Getter,
        finished: mpsc::Sender<Finished>,
        shutdown: &CancellationToken,
    ) -> Result<Infallible, BrokerError> {
        let jobs = &self.settings.jobs;
        let model = &self.settings.answers.model;
        let suspects_queue = topology::suspects_queue(model);
        let mut service = self.settings.service.clone();
        let mut tap = Tap {
            consumer,
            prefetch: None,
            closing: false,
        };
        // Dropped at the end of consuming. The jobs in hand hold senders too: the publishing ends
        // with the last of them.
        let mut finished = Some(finished);
        let mut watching = true;
        let mut look = interval(SUSPECTS_LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = *service.borrow_and_update();
            let ending = shutdown.is_cancelled();
            if now == Service::Down {
                for job in jobs.take_waiting() {
                    job.hand_back(model);
                }
            }
            if ending {
                self.settings.metrics.broker_connected.set(0);
            }
            let prefetch = match now {
                _ if ending || self.suspects.get() => None,
                Service::Up { prefetch } => Some(prefetch),
                Service::Interrupted => tap.prefetch,
                Service::Down => None,
            };
            tap.turn(prefetch).await?;
            if tap.is_closed() && ending {
                finished = None;
            }
            let Some(finished) = &finished else {
                // Nothing more to come: the publishing ends the session.
                return std::future::pending().await;
            };
            let up = matches!(now, Service::Up { .. });
            let alone = tap.is_closed() && self.in_hand.count() == 0;
            if self.suspects.get() && up && alone {
                let Some(suspect) = suspects.get().await? else {
                    self.suspects.set(false);
                    continue;
                };
                let suspect = self.take(suspect, finished);
                tracing::warn!(
                    id = suspect.properties.message_id.as_deref().unwrap_or_default(),
                    attempt = suspect.attempt(),
                    "trying a job alone: workers were lost that had it"
                );
                jobs.submit(suspect);
            }
            tokio::select! {
                () = shutdown.cancelled(), if !ending => {}
                // An error: the supervisor has ended, and the worker is about to.
                changed = service.changed(), if watching => watching = changed.is_ok(),
                () = self.suspects_changed.notified() => {}
                _ = look.tick(), if up && !ending && !self.suspects.get() => {
                    let state = connection.queue_state(&suspects_queue).await;
                    self.suspects.set(state.map_err(BrokerError::while_working)?.messages > 0);
                }
                delivery = tap.next(), if !tap.is_closed() => if let Some(delivery) = delivery? {
                    let job = self.take(delivery, finished);
                    if now == Service::Down {
                        job.hand_back(model);
                    } else if job.is_suspect() {
                        job.set_aside(model);
                    } else {
                        jobs.submit(job);
                    }
                },
            }
        }
    }

    fn take(&self, delivery: Delivery, finished: &mpsc::Sender<Finished>) -> Arc<Received> {
        self.in_hand.taken(delivery.body.len());
        Received::now(delivery, finished.clone())
    }
}

/// The consumer of the model's queue, and how far it is open.
struct Tap<'c> {
    consumer: &'c mut Consumer,
    /// What it was opened with.
    prefetch: Option<u16>,
    /// The broker was told to send no more; what is on its way still comes.
    closing: bool,
}

impl Tap<'_> {
    /// Opens it, or begins to close it. To change the prefetch takes both, one after the other.
    async fn turn(&mut self, prefetch: Option<u16>) -> Result<(), BrokerError> {
        if self.prefetch.is_some() && self.prefetch != prefetch && !self.closing {
            self.closing = true;
            self.consumer.cancel().await?;
        }
        if let (None, Some(prefetch)) = (self.prefetch, prefetch) {
            self.consumer.start(prefetch).await?;
            self.prefetch = Some(prefetch);
            tracing::info!(prefetch, "taking jobs");
        }
        Ok(())
    }

    fn is_closed(&self) -> bool {
        self.prefetch.is_none()
    }

    /// The next delivery; `None` when it has closed. May be dropped and called again: nothing is lost.
    async fn next(&mut self) -> Result<Option<Delivery>, BrokerError> {
        match self.consumer.next().await {
            Some(delivery) => delivery.map(Some),
            None if self.closing => {
                (self.prefetch, self.closing) = (None, false);
                Ok(None)
            }
            None => Err(BrokerError::Lost {
                doing: "consuming",
                reason: "the queue of jobs was deleted".to_owned(),
            }),
        }
    }
}

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
use ncs_broker::{BrokerError, Consumer, Delivery, Getter};
#[cfg(doc)]
use ncs_protocol::topology::SUSPECT_DELIVERY_LIMIT;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

impl Work<'_> {
    /// Takes jobs as this host's devices allow, until shutdown; then until the broker has stopped
    /// sending. Ends by itself only with an error: the end of the work is the end of the publishing.
    pub(super) async fn take_jobs(
        &self,
        consumer: &mut Consumer,
        suspects: &Getter,
        finished: mpsc::Sender<Finished>,
        shutdown: &CancellationToken,
    ) -> Result<Infallible, BrokerError> {
        let jobs = &self.settings.jobs;
        let model = &self.settings.answers.model;
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
        loop {
            let now = *service.borrow_and_update();
            let ending = shutdown.is_cancelled();
            if now == Service::Down {
                // The supervisor has said so, and a prefetch that grew may have come after it.
                self.settings.metrics.network.set_prefetch(0);
                for job in jobs.take_waiting() {
                    job.hand_back(model);
                }
            }
            if ending {
                self.settings.metrics.broker_connected.set(0);
            }
            let prefetch = match now {
                _ if ending || self.suspects.get() => None,
                Service::Up { prefetch, devices } => Some(self.prefetch(prefetch, devices)),
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
                () = self.news.notified() => {}
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

    /// How many jobs may be in hand with so many devices, where there are so many to begin with.
    fn prefetch(&self, start: u16, devices: u16) -> u16 {
        let Some(growth) = &self.settings.growth else {
            return start;
        };
        let prefetch = growth.borrow_mut().with(devices, start);
        self.settings.metrics.network.set_prefetch(prefetch);
        prefetch
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
    /// Opens it, or begins to close it, or opens it more or less wide: then jobs keep coming, and those in
    /// hand and the new prefetch may be in hand together for a moment.
    async fn turn(&mut self, prefetch: Option<u16>) -> Result<(), BrokerError> {
        // What closes has to be closed first.
        if self.prefetch == prefetch || self.closing {
            return Ok(());
        }
        match (self.prefetch, prefetch) {
            (_, None) => {
                self.closing = true;
                return self.consumer.cancel().await;
            }
            (None, Some(prefetch)) => {
                self.consumer.start(prefetch).await?;
                tracing::info!(prefetch, "taking jobs");
            }
            (Some(before), Some(prefetch)) => {
                self.consumer.change(prefetch).await?;
                tracing::info!(prefetch, before, "taking another number of jobs at once");
            }
        }
        self.prefetch = prefetch;
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

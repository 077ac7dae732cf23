//! What becomes of jobs: their answers, published, confirmed, and then acked.

use super::Work;
use crate::metrics::JobOutcome;
use crate::received::{Answer, Finished};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ncs_broker::{BrokerError, Message, Publisher, Returned, Settled, Tries};
use ncs_protocol::topology::{self, RESULTS_QUEUE};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long to wait before a message is published again that the broker has refused.
const REFUSED_DELAY: Duration = Duration::from_millis(250);
/// For how long a refused message is tried again. A client's own queue may be full because nobody
/// reads it; it must not keep the worker from everybody else's jobs.
const REFUSED_LIMIT: Duration = Duration::from_secs(30);

impl Work<'_> {
    /// Publishes what the pool has finished, and acks what is confirmed, until the last job in
    /// hand is settled.
    pub(super) async fn publish_results(
        &self,
        publisher: &Publisher,
        mut to_publish: mpsc::Receiver<Finished>,
    ) -> Result<(), BrokerError> {
        let mut settling = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(finished) = to_publish.recv(),
                    if settling.len() < self.settings.max_unconfirmed_results =>
                {
                    settling.push(self.settle(publisher, finished));
                }
                Some(settled) = settling.next() => self.settled(settled?),
                else => return Ok(()),
            }
        }
    }

    /// Publishes one job's answer, waits until the broker has it, and acks the job: in this order,
    /// so that a job can be done twice, but never be lost.
    async fn settle(
        &self,
        publisher: &Publisher,
        finished: Finished,
    ) -> Result<JobOutcome, BrokerError> {
        let Finished { ticket, answer, at } = finished;
        let (told, outcome) = match answer {
            Answer::Messages(messages, outcome) => {
                let mut sent = true;
                for message in &messages {
                    sent &= self
                        .deliver_answer(publisher, message, REFUSED_LIMIT)
                        .await?;
                }
                self.settings.metrics.observe_publish(at.elapsed());
                if sent {
                    (ticket.ack().await?, outcome)
                } else {
                    let outcome = JobOutcome::DeadLettered(ncs_protocol::ErrorCode::Internal);
                    (ticket.reject().await?, outcome)
                }
            }
            Answer::Moved(job, outcome) => match self.deliver(publisher, &job, REFUSED_LIMIT).await
            {
                Ok(true) => (ticket.ack().await?, outcome),
                // The broker hands it out again, at the price of one of its deliveries.
                Ok(false) | Err(BrokerError::InvalidMessage(_)) => {
                    (ticket.requeue().await?, JobOutcome::Returned)
                }
                Err(error) => return Err(error),
            },
        };
        Ok(match told {
            Settled::Told => outcome,
            Settled::WillBeRedelivered => JobOutcome::Returned,
        })
    }

    fn settled(&self, outcome: JobOutcome) {
        self.in_hand.settled(outcome);
        if outcome == JobOutcome::SetAside {
            self.suspects.set(true);
        }
        if self.suspects.get() {
            self.news.notify_one();
        }
    }

    /// Publishes an answer, for so long if its queue is full; `false` if it cannot be sent. Another try
    /// would fail the same way, here and at every other worker.
    pub(super) async fn deliver_answer(
        &self,
        publisher: &Publisher,
        message: &Message,
        refused_limit: Duration,
    ) -> Result<bool, BrokerError> {
        match self.deliver(publisher, message, refused_limit).await {
            Ok(true) => Ok(true),
            Ok(false) => {
                let queue = &message.routing_key;
                tracing::warn!(
                    queue,
                    "this queue is full and nobody reads it: a result is dropped"
                );
                self.settings.metrics.results_undelivered.inc();
                Ok(true)
            }
            Err(BrokerError::InvalidMessage(reason)) => {
                tracing::error!(reason, "an answer cannot be sent; its job is dead-lettered");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Publishes until the broker has the message, or nobody will ever get it; `false` if the queue
    /// takes no more.
    async fn deliver(
        &self,
        publisher: &Publisher,
        message: &Message,
        refused_limit: Duration,
    ) -> Result<bool, BrokerError> {
        let mut tries = Tries::default();
        loop {
            let confirmed = publisher.try_once(message, &mut tries).await?;
            if let Some(returned) = &confirmed.returned {
                self.undelivered(returned)?;
            }
            if confirmed.accepted {
                return Ok(true);
            }
            if tries.refused_for() > refused_limit {
                return Ok(false);
            }
            tokio::time::sleep(REFUSED_DELAY).await;
        }
    }

    /// A message that reached no queue; not necessarily the one whose confirm it came with. Whoever
    /// asked for a result has gone, and it is dropped; but the queues that we declare ourselves must
    /// be there.
    fn undelivered(&self, returned: &Returned) -> Result<(), BrokerError> {
        let queue = &returned.routing_key;
        let suspects = topology::suspects_queue(&self.settings.answers.model);
        if !returned.exchange.is_empty() || queue == RESULTS_QUEUE || *queue == suspects {
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

//! Sending: new jobs within the window, and again what the last connection left unconfirmed.

use super::Flood;
use crate::ledger::Unconfirmed;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ncs_broker::{Message, Publisher};
use ncs_protocol::{Job, topology};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// Messages that wait for the broker's confirm at once, of a window of 256 unanswered jobs or less.
/// Enough to hide the round trip; more only make the broker serve the producer before the workers.
pub const MAX_UNCONFIRMED: usize = 8;
/// A wider window is there for a faster fleet, which takes more messages per round trip. So many
/// jobs of the window for one unconfirmed message.
const WINDOW_PER_UNCONFIRMED: usize = 32;

/// How many messages may wait for their confirm, of a window of unanswered jobs.
fn max_unconfirmed(window: usize) -> usize {
    (window / WINDOW_PER_UNCONFIRMED).clamp(MAX_UNCONFIRMED, 8 * MAX_UNCONFIRMED)
}
/// How long to wait before a job is published again that the broker has refused.
const REFUSED_DELAY: Duration = Duration::from_millis(100);

impl Flood<'_> {
    /// Publishes what the last connection left unconfirmed, then new jobs until enough are sent.
    pub(super) async fn send(&self, publisher: &Publisher) -> anyhow::Result<()> {
        let mut confirming = FuturesUnordered::new();
        let max_unconfirmed = max_unconfirmed(self.arguments.window.into());
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
            while confirming.len() >= max_unconfirmed {
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
}

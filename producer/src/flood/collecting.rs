//! Collecting: results into the ledger.

use super::Flood;
use super::results::First;
use crate::ledger::Entry;
use crate::progress;
use ncs_broker::{BrokerError, Consumer, Ticket};
use ncs_protocol::JobResult;
use std::cell::Cell;
use std::time::Instant;

/// Results that are acked together: one message to the broker instead of this many. Small, because
/// what is not acked when the connection breaks comes again and counts as a duplicate.
pub(super) const ACKED_TOGETHER: u16 = 16;

impl Flood<'_> {
    /// Enters results in the ledger until all jobs are sent and answered.
    pub(super) async fn collect(
        &self,
        consumer: &mut Consumer,
        sent: &Cell<bool>,
    ) -> anyhow::Result<()> {
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
                Ok(result) => self.enter(&result).await?,
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

    async fn enter(&self, result: &JobResult) -> anyhow::Result<()> {
        let now = Instant::now();
        let entry = self.ledger.borrow_mut().answered(result, now);
        let first = match entry {
            Entry::First { image, latency } => Some(First { image, latency }),
            Entry::Duplicate => None,
        };
        if first.is_some() {
            self.last_progress.set(now);
            self.window.add_permits(1);
        }
        match &self.results {
            Some(results) => results.add(result, first).await,
            None => Ok(()),
        }
    }
}

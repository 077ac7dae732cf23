//! Collecting: every result in the books, and acked when the campaign has it safe.

use super::{Arrival, Campaign, INTERVAL, Traffic};
use ncs_broker::{BrokerError, Consumer, Ticket};
use ncs_protocol::JobResult;
use std::cell::Cell;
use std::time::Instant;

/// The last result that is not acked yet, which stands for all before it, and their number.
#[derive(Default)]
struct Unacked {
    last: Option<Ticket>,
    results: u16,
}

/// While it lives, results wait for the campaign: for its disk, or for whoever reads its pipe.
struct Held<'a>(&'a Cell<bool>);

impl<'a> Held<'a> {
    fn by(held: &'a Cell<bool>) -> Self {
        held.set(true);
        Self(held)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl<C: Campaign> Traffic<'_, C> {
    /// Enters results in the books until all jobs are sent and answered.
    pub(super) async fn collect(&self, consumer: &mut Consumer) -> anyhow::Result<()> {
        let mut unacked = Unacked::default();
        let mut ack_at = tokio::time::Instant::now() + INTERVAL;
        while !self.all_sent.get() || self.books.borrow().unanswered() > 0 {
            tokio::select! {
                next = consumer.next() => {
                    let Some(delivery) = next else {
                        return Err(self.queue_is_gone().into());
                    };
                    let delivery = delivery?;
                    // A campaign that makes it wait does not make the fleet slower.
                    let at = Instant::now();
                    match JobResult::from_message(&delivery.properties, &delivery.body) {
                        Ok(result) => {
                            {
                                let _held = Held::by(&self.held);
                                self.campaign.room().await?;
                            }
                            // From here on nothing waits: what is in the books, the campaign has.
                            self.enter(result, delivery.redelivered, at)?;
                        }
                        Err(error) => {
                            tracing::warn!(%error, "this message in the result queue is none");
                        }
                    }
                    unacked.last = Some(delivery.ticket);
                    unacked.results += 1;
                }
                // Also to notice that the last job was sent and answered before.
                () = tokio::time::sleep_until(ack_at) => {}
            }
            let due = tokio::time::Instant::now() >= ack_at;
            if due || unacked.results >= self.route.acked_together {
                self.ack(&mut unacked).await?;
                ack_at = tokio::time::Instant::now() + INTERVAL;
            }
        }
        self.ack(&mut unacked).await
    }

    async fn ack(&self, unacked: &mut Unacked) -> anyhow::Result<()> {
        if let Some(ticket) = unacked.last.take() {
            {
                let _held = Held::by(&self.held);
                self.campaign.secure().await?;
            }
            ticket.ack_with_earlier().await?;
            unacked.results = 0;
        }
        Ok(())
    }

    /// A result that has come at this time.
    fn enter(&self, result: JobResult, redelivered: bool, at: Instant) -> anyhow::Result<()> {
        let job = self.books.borrow_mut().answered(&result.job_id, at);
        if job.is_some() {
            self.window.give_back();
        }
        // An answer to an earlier run's job shows too that the fleet is at work.
        if job.is_some() || !redelivered {
            self.last_progress.set(Instant::now());
        }
        self.campaign.answered(Arrival {
            result,
            job,
            redelivered,
        })
    }

    fn queue_is_gone(&self) -> BrokerError {
        BrokerError::Lost {
            doing: "collecting results",
            reason: format!("the queue {} was deleted", self.route.result_queue),
        }
    }
}

//! Telling the submitters of jobs that the broker itself has dead-lettered: they expired, or came back
//! too often. No worker had them then, so any of them answers, whatever its model.

use super::Work;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ncs_broker::{BrokerError, Consumer, Delivery, Publisher};
use std::convert::Infallible;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// For how long a letter is tried again whose submitter's queue is full: others wait behind it.
const FULL_QUEUE_LIMIT: Duration = Duration::from_secs(2);

impl Work<'_> {
    /// Answers as many at once as it is sent, until shutdown. Ends by itself only with an error.
    pub(super) async fn answer_dead(
        &self,
        unanswered: &mut Consumer,
        publisher: &Publisher,
        shutdown: &CancellationToken,
    ) -> Result<Infallible, BrokerError> {
        let mut answering = FuturesUnordered::new();
        loop {
            let next = tokio::select! {
                next = unanswered.next() => next,
                Some(answered) = answering.next() => {
                    answered?;
                    continue;
                }
                // The session ends when its jobs are settled; what comes now is for others.
                () = shutdown.cancelled() => std::future::pending().await,
            };
            let Some(delivery) = next else {
                return Err(BrokerError::Lost {
                    doing: "answering dead letters",
                    reason: "their queue was deleted".to_owned(),
                });
            };
            answering.push(self.answer_one(publisher, delivery?));
        }
    }

    async fn answer_one(
        &self,
        publisher: &Publisher,
        mut letter: Delivery,
    ) -> Result<(), BrokerError> {
        // Nobody looks at it.
        letter.body = Vec::new();
        if let Some((code, message)) = self.settings.answers.obituary(&letter) {
            self.deliver_answer(publisher, &message, FULL_QUEUE_LIMIT)
                .await?;
            self.settings.metrics.count_obituary(code);
        }
        letter.ticket.ack().await?;
        Ok(())
    }
}

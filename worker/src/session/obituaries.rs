//! Telling the submitters of jobs that the broker itself has dead-lettered: they expired, or came back
//! too often. No worker had them then, so any of them answers, whatever its model.

use super::Work;
use ncs_broker::{BrokerError, Consumer, Publisher};
use std::convert::Infallible;
use tokio_util::sync::CancellationToken;

impl Work<'_> {
    /// Answers one after another, until shutdown. Ends by itself only with an error.
    pub(super) async fn answer_dead(
        &self,
        unanswered: &mut Consumer,
        publisher: &Publisher,
        shutdown: &CancellationToken,
    ) -> Result<Infallible, BrokerError> {
        loop {
            let next = tokio::select! {
                next = unanswered.next() => next,
                // The session ends when its jobs are settled; what comes now is for others.
                () = shutdown.cancelled() => std::future::pending().await,
            };
            let Some(delivery) = next else {
                return Err(BrokerError::Lost {
                    doing: "answering dead letters",
                    reason: "their queue was deleted".to_owned(),
                });
            };
            let delivery = delivery?;
            if let Some((code, message)) = self.settings.answers.obituary(&delivery) {
                self.deliver_answer(publisher, &message).await?;
                self.settings.metrics.count_obituary(code);
            }
            delivery.ticket.ack().await?;
        }
    }
}

//! Looking at dead letters: taking them out of their queue, and putting back what is left of them.
//!
//! RabbitMQ shows no message in its place. What is taken and not acked goes back when the channel is
//! closed, whatever closes it. Its place then is behind whatever else has come back before, and before
//! what was never taken. So the letters keep their order if each look takes all of them, or as many as
//! every other look, and if *one consumer* takes them: only what one has goes back in its order. (Each
//! `basic.get` counts as a consumer of its own: 3,000 letters taken so came back shuffled, after 40
//! times as long.)
//!
//! The broker sends what is looked at without waiting for us, and lapin keeps without a limit what we
//! have not read: at worst the bodies of [`MOST_IN_HAND`] letters, of the 1 GiB that the queue holds.
//! Reading is quicker than a network, mostly: of 880 MiB of letters, up to 130 MiB were in memory at
//! once. When the last one wanted is read no more are asked for, so acking brings none.

use anyhow::bail;
use ncs_broker::connection::QueueState;
use ncs_broker::{BrokerError, Connection, Consumer, Delivery, OPERATION_LIMIT, Settled, Ticket};
use ncs_protocol::topology::DEAD;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Dead letters looked at by one command. Each is known by some 500 bytes here, and acking those in the
/// midst of many takes RabbitMQ seconds: it searches all that are not acked.
pub const MOST_IN_HAND: u32 = 10_000;

/// How long to wait until what was put back is there again. It takes milliseconds.
const BACK_LIMIT: Duration = Duration::from_secs(5);

/// What errors say that we were doing.
const LOOKING: &str = "looking at dead letters";

/// Somebody else consumes the queue, and holds what we do not see.
const IN_OTHER_HANDS: &str = "another command has the dead letters in hand; try again when it has ended \
    (RabbitMQ calls its connection 'ncs-producer HOST/PROCESS dead …')";

/// Dead letters that are out of their queue. Dropping it puts back those that were not acked.
pub(super) struct Look<'a> {
    connection: &'a Connection,
    consumer: Consumer,
    shutdown: &'a CancellationToken,
    /// How many there were in the queue when it began.
    pub(super) there: u32,
    /// Of these, the oldest ones that were given out.
    pub(super) looked_at: u32,
    /// Not given out yet.
    left: u32,
    acked: u32,
}

impl<'a> Look<'a> {
    /// Takes all, or the oldest `most` or [`MOST_IN_HAND`] of them. `None`: there is no queue. An error
    /// where somebody else has some in hand. (Of two that begin in the same instant, each gets a part:
    /// [`Look::next`] notices when no more come.)
    pub(super) async fn begin(
        connection: &'a Connection,
        most: u32,
        shutdown: &'a CancellationToken,
    ) -> anyhow::Result<Option<Self>> {
        let there = match connection.queue_state(DEAD).await {
            Ok(QueueState {
                messages,
                consumers: 0,
            }) => messages,
            Ok(_) => bail!(IN_OTHER_HANDS),
            Err(BrokerError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let left = there.min(most).min(MOST_IN_HAND);
        let mut consumer = connection.idle_consumer(DEAD).await?;
        // A prefetch of 0 would be one without a limit.
        if let Some(prefetch) = u16::try_from(left).ok().filter(|some| *some > 0) {
            consumer.start(prefetch).await?;
        }
        Ok(Some(Self {
            connection,
            consumer,
            shutdown,
            there,
            looked_at: 0,
            left,
            acked: 0,
        }))
    }

    /// The next letter, of those that were there when it began.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Delivery>> {
        if self.left == 0 {
            return Ok(None);
        }
        let next = tokio::select! {
            next = timeout(OPERATION_LIMIT, self.consumer.next()) => next,
            () = self.shutdown.cancelled() => bail!(
                "interrupted; what was neither put back nor deleted is in {DEAD} as before"
            ),
        };
        match next {
            Ok(Some(delivery)) => {
                let delivery = delivery?;
                self.looked_at += 1;
                self.left -= 1;
                if self.left == 0 {
                    self.consumer.cancel().await?;
                }
                Ok(Some(delivery))
            }
            Ok(None) => {
                let reason = format!("{DEAD} was deleted");
                let doing = LOOKING;
                Err(BrokerError::Lost { doing, reason }.into())
            }
            Err(_elapsed) => match self.connection.queue_state(DEAD).await? {
                // The other is ourselves.
                QueueState { consumers: 2.., .. } => bail!(IN_OTHER_HANDS),
                // The rest was dropped or deleted between our counting and our taking.
                QueueState { messages: 0, .. } => {
                    self.left = 0;
                    self.consumer.cancel().await?;
                    Ok(None)
                }
                _ => Err(BrokerError::TimedOut { doing: LOOKING }.into()),
            },
        }
    }

    /// Those behind the last that was given out.
    pub(super) fn not_looked_at(&self) -> u32 {
        self.there - self.looked_at
    }

    /// Deletes a letter that was given out, when [`Look::next`] has given out the last. For certain only
    /// after [`Look::end`].
    pub(super) async fn ack(&mut self, ticket: Ticket) -> Result<(), BrokerError> {
        match ticket.ack().await? {
            Settled::Told => {
                self.acked += 1;
                Ok(())
            }
            Settled::WillBeRedelivered => Err(BrokerError::Lost {
                doing: "deleting a dead letter",
                reason: "its channel is closed".to_owned(),
            }),
        }
    }

    /// Puts back what was not acked, and waits until it is there again and we are gone, so that whoever
    /// looks next sees all.
    pub(super) async fn end(mut self) -> Result<(), BrokerError> {
        if self.acked > 0 {
            // RabbitMQ passes 32 acks of a channel on to a quorum queue, and the others when these are
            // done; what it has not passed on when the channel closes is forgotten, and those letters
            // come back. Consuming again waits in the queue's log behind the first 32. It may give us
            // one letter more, the oldest of those behind ours, which goes back behind ours.
            self.consumer.start(1).await?;
            self.consumer.cancel().await?;
        }
        drop(self.consumer);
        let expected = self.there - self.acked;
        let start = Instant::now();
        loop {
            let state = self.connection.queue_state(DEAD).await?;
            if state.messages >= expected && state.consumers == 0 {
                break;
            }
            if start.elapsed() > BACK_LIMIT {
                tracing::debug!(expected, "not all dead letters are back in their queue yet");
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

//! Publishing with confirms.

use crate::properties::{from_amqp, short, to_amqp};
use crate::{BrokerError, OPERATION_LIMIT};
use lapin::options::BasicPublishOptions;
use lapin::{Channel, Confirmation, ConnectionStatus, PublisherConfirm};
use ncs_protocol::{MAX_BODY_BYTES, Properties};
use std::future::Future;
use std::pin::pin;

/// A message and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The exchange; empty for the default one, whose routing key is a queue's name.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// Return the message if it reaches no queue, instead of dropping it silently.
    pub mandatory: bool,
    /// Its properties.
    pub properties: Properties,
    /// Its body; at most [`MAX_BODY_BYTES`].
    pub body: Vec<u8>,
}

/// A channel in confirm mode.
pub struct Publisher {
    channel: Channel,
    connection: ConnectionStatus,
}

/// A message that is on its way: wait for it to know that the broker has it.
///
/// Dropping it loses that knowledge, not the message.
pub struct Confirm {
    confirm: PublisherConfirm,
    connection: ConnectionStatus,
}

/// What the broker said.
#[derive(Debug)]
pub struct Confirmed {
    /// The broker took responsibility for the message. `false`: it refused, for example because
    /// the queue is at its length limit; publish it again later.
    pub accepted: bool,
    /// A message that reached no queue. lapin may attach it to the confirm of *another* message
    /// of the same channel: know it by its `message_id`.
    pub returned: Option<Returned>,
}

/// A mandatory message that reached no queue.
#[derive(Debug)]
pub struct Returned {
    /// Its properties.
    pub properties: Properties,
    /// To which exchange it was published; empty for the default one.
    pub exchange: String,
    /// Where it should have gone.
    pub routing_key: String,
    /// Why not, in the broker's words, for example `NO_ROUTE`.
    pub reason: String,
}

impl Publisher {
    pub(crate) fn new(channel: Channel, connection: ConnectionStatus) -> Self {
        Self {
            channel,
            connection,
        }
    }

    /// Whether the broker blocks publishers, as far as we know: it only tells who publishes.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.connection.blocked()
    }

    /// Answers when the broker takes messages, however long it blocks publishers. It is asked with
    /// empty messages that no queue gets: with two, because RabbitMQ blocks a connection only after
    /// one more message from it.
    pub async fn knock(&self) -> Result<(), BrokerError> {
        let nobody = Message {
            exchange: String::new(),
            routing_key: "ncs.nobody".to_owned(),
            mandatory: false,
            properties: Properties::default(),
            body: Vec::new(),
        };
        for _ in 0..2 {
            self.publish(&nobody).await?.confirmed().await?;
        }
        Ok(())
    }

    /// Writes the message to the broker; await the [`Confirm`] to know that it arrived.
    ///
    /// Waits as long as the broker blocks publishers. An error other than
    /// [`BrokerError::InvalidMessage`] means that nobody knows whether the message arrived.
    pub async fn publish(&self, message: &Message) -> Result<Confirm, BrokerError> {
        if message.body.len() > MAX_BODY_BYTES {
            // RabbitMQ 4 would close the channel, with everything that is under way on it.
            return Err(BrokerError::InvalidMessage(format!(
                "its body has {} bytes; at most {MAX_BODY_BYTES} are allowed",
                message.body.len()
            )));
        }
        let options = BasicPublishOptions {
            mandatory: message.mandatory,
            immediate: false,
        };
        let publishing = self.channel.basic_publish(
            short("exchange", &message.exchange)?,
            short("routing key", &message.routing_key)?,
            options,
            &message.body,
            to_amqp(&message.properties)?,
        );
        let confirm = unless_blocked(&self.connection, "publishing", publishing).await?;
        Ok(Confirm {
            confirm,
            connection: self.connection.clone(),
        })
    }
}

impl Confirm {
    /// Waits for the broker's word.
    pub async fn confirmed(self) -> Result<Confirmed, BrokerError> {
        let Self {
            confirm,
            connection,
        } = self;
        let confirmation = unless_blocked(&connection, "waiting for a confirm", confirm).await?;
        let accepted = confirmation.is_ack();
        debug_assert_ne!(confirmation, Confirmation::NotRequested);
        let returned = confirmation.take_message().map(|message| Returned {
            properties: from_amqp(&message.delivery.properties),
            exchange: message.delivery.exchange.to_string(),
            routing_key: message.delivery.routing_key.to_string(),
            reason: message.reply_text.to_string(),
        });
        Ok(Confirmed { accepted, returned })
    }
}

/// Like [`crate::limit::limited`], but while the broker blocks the connection, the clock stands.
async fn unless_blocked<T>(
    connection: &ConnectionStatus,
    doing: &'static str,
    operation: impl Future<Output = Result<T, lapin::Error>>,
) -> Result<T, BrokerError> {
    let mut operation = pin!(operation);
    loop {
        match tokio::time::timeout(OPERATION_LIMIT, &mut operation).await {
            Ok(result) => return result.map_err(|error| BrokerError::lost(doing, &error)),
            Err(_elapsed) if connection.blocked() => {}
            Err(_elapsed) => return Err(BrokerError::TimedOut { doing }),
        }
    }
}

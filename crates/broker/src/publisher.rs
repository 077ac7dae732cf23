//! Publishing with confirms.

use crate::properties::{from_amqp, short, to_amqp};
use crate::{BrokerError, OPERATION_LIMIT};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation, ConnectionStatus, PublisherConfirm};
use ncs_protocol::{MAX_BODY_BYTES, Properties};
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For how long a message may be refused until it is tried over another channel; and the time between two such
/// tries for the same queue.
///
/// A channel whose first message to a quorum queue came before a cluster had a new leader for the queue asks the
/// node that led it, each time, and refuses as long as that node is down, although there is room (`enqueue` in
/// `rabbit_fifo_client`, `RabbitMQ` 3.10.8). Another one asks the new leader.
const DOUBT: Duration = Duration::from_secs(1);

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

/// A channel in confirm mode; another one takes its place when it refuses what it should not, see
/// [`Self::try_once`].
pub struct Publisher {
    connection: Arc<lapin::Connection>,
    /// No borrow lives across an await. Each [`Confirm`] has its share: a channel closes with its last one.
    channel: RefCell<Arc<Channel>>,
    /// Where a message went over another channel, and when, within the last [`DOUBT`].
    doubted: RefCell<HashMap<Route, Instant>>,
}

/// An exchange and a routing key.
type Route = (String, String);

/// The tries of one message.
#[derive(Debug, Default)]
pub struct Tries {
    refused_since: Option<Instant>,
}

/// A message that is on its way: wait for it to know that the broker has it.
///
/// Dropping it loses that knowledge, not the message.
pub struct Confirm {
    word: PublisherConfirm,
    channel: Arc<Channel>,
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
    pub(crate) async fn open(connection: Arc<lapin::Connection>) -> Result<Self, BrokerError> {
        let status = connection.status();
        let opening = connection.create_channel();
        let channel = unless_blocked(status, "opening a channel", opening).await?;
        let asking = channel.confirm_select(ConfirmSelectOptions::default());
        unless_blocked(status, "asking for confirms", asking).await?;
        Ok(Self {
            connection,
            channel: RefCell::new(Arc::new(channel)),
            doubted: RefCell::default(),
        })
    }

    /// Whether the broker blocks publishers, as far as we know: it only tells who publishes.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
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
        let channel = self.channel.borrow().clone();
        let connection = self.connection.status().clone();
        let publishing = channel.basic_publish(
            short("exchange", &message.exchange)?,
            short("routing key", &message.routing_key)?,
            options,
            &message.body,
            to_amqp(&message.properties)?,
        );
        let word = unless_blocked(&connection, "publishing", publishing).await?;
        Ok(Confirm {
            word,
            channel,
            connection,
        })
    }

    /// Publishes the message, and waits until the broker has it or refuses it. The caller decides whether, and
    /// when, it is tried again, with the same `tries`: some go over a new channel. If the broker takes the
    /// message from that one, so does all that follows.
    ///
    /// Waits, and errors, are those of [`Self::publish`].
    pub async fn try_once(
        &self,
        message: &Message,
        tries: &mut Tries,
    ) -> Result<Confirmed, BrokerError> {
        let confirmed = if self.takes_doubt(message, tries) {
            let other = Self::open(self.connection.clone()).await?;
            let confirmed = other.publish(message).await?.confirmed().await?;
            if confirmed.accepted {
                // A full queue that has just got room looks the same: no reason for alarm.
                tracing::debug!("a channel refused what another takes: going on over that one");
                self.channel.swap(&other.channel);
            }
            confirmed
        } else {
            self.publish(message).await?.confirmed().await?
        };
        if !confirmed.accepted {
            tries.refused_since.get_or_insert_with(Instant::now);
        }
        Ok(confirmed)
    }

    /// Whether it is this message's turn to go over another channel. Of those that wait for a full queue, one
    /// each [`DOUBT`] is enough: it is work for a broker that has too much.
    fn takes_doubt(&self, message: &Message, tries: &Tries) -> bool {
        if tries.refused_for() < DOUBT || self.is_blocked() {
            return false;
        }
        let mut doubted = self.doubted.borrow_mut();
        doubted.retain(|_, at| at.elapsed() < DOUBT);
        let route = (message.exchange.clone(), message.routing_key.clone());
        match doubted.entry(route) {
            Entry::Occupied(_) => false,
            Entry::Vacant(turn) => {
                turn.insert(Instant::now());
                true
            }
        }
    }
}

impl Tries {
    /// For how long the broker has refused the message now.
    #[must_use]
    pub fn refused_for(&self) -> Duration {
        self.refused_since
            .map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl Confirm {
    /// Waits for the broker's word.
    pub async fn confirmed(self) -> Result<Confirmed, BrokerError> {
        let Self {
            word,
            channel: _open,
            connection,
        } = self;
        let confirmation = unless_blocked(&connection, "waiting for a confirm", word).await?;
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

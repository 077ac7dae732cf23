//! Consuming a queue.

use crate::BrokerError;
use crate::limit::limited;
use crate::properties::{from_amqp, short};
use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{Acker, Channel};
use ncs_protocol::Properties;

/// A subscription to one queue. Dropping it returns what was not acked to the broker.
pub struct Consumer {
    channel: Channel,
    deliveries: lapin::Consumer,
    tag: ShortString,
}

/// A message that the broker has handed out.
#[derive(Debug)]
pub struct Delivery {
    /// Its properties.
    pub properties: Properties,
    /// Its body.
    pub body: Vec<u8>,
    /// It was handed out before, to us or to somebody else.
    pub redelivered: bool,
    /// What settles it. Dropped unused, the message returns to the broker when the channel ends.
    pub ticket: Ticket,
}

/// The right to settle one delivery, once.
#[derive(Debug)]
pub struct Ticket(Acker);

/// What became of settling a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The broker was told.
    Told,
    /// The channel is gone: the broker will deliver the message again.
    WillBeRedelivered,
}

impl Consumer {
    pub(crate) async fn start(
        channel: Channel,
        queue: &str,
        prefetch: u16,
    ) -> Result<Self, BrokerError> {
        // Per consumer, not per channel: RabbitMQ 4 has no global qos on quorum queues.
        let qos = channel.basic_qos(prefetch, BasicQosOptions { global: false });
        limited("setting the prefetch", qos).await?;
        let queue = short("queue's name", queue)?;
        let consuming = channel.basic_consume(
            queue,
            ShortString::default(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let deliveries = limited("starting to consume", consuming).await?;
        let tag = deliveries.tag();
        Ok(Self {
            channel,
            deliveries,
            tag,
        })
    }

    /// The next delivery; `None` after [`Self::cancel`], or when the broker cancelled the
    /// subscription because the queue was deleted. May be dropped and called again: nothing is
    /// lost.
    pub async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        let delivery = self.deliveries.next().await?;
        Some(match delivery {
            Ok(delivery) => Ok(Delivery {
                properties: from_amqp(&delivery.properties),
                body: delivery.data,
                redelivered: delivery.redelivered,
                ticket: Ticket(delivery.acker),
            }),
            Err(error) => Err(BrokerError::lost("consuming", &error)),
        })
    }

    /// Asks for no more. What is on its way still comes from [`Self::next`], then `None`.
    pub async fn cancel(&self) -> Result<(), BrokerError> {
        let cancelling = self
            .channel
            .basic_cancel(self.tag.clone(), BasicCancelOptions::default());
        limited("cancelling the consumer", cancelling).await
    }
}

impl Ticket {
    /// The message is done.
    pub async fn ack(self) -> Result<Settled, BrokerError> {
        let acking = self.0.ack(BasicAckOptions::default());
        limited("acking a delivery", acking)
            .await
            .map(Settled::from_told)
    }

    /// The message is done, and so are all that were delivered before it by the same consumer.
    pub async fn ack_with_earlier(self) -> Result<Settled, BrokerError> {
        let acking = self.0.ack(BasicAckOptions { multiple: true });
        limited("acking deliveries", acking)
            .await
            .map(Settled::from_told)
    }

    /// The message cannot be done: the broker moves it to the queue's dead letters.
    pub async fn reject(self) -> Result<Settled, BrokerError> {
        let rejecting = self.0.reject(BasicRejectOptions { requeue: false });
        limited("rejecting a delivery", rejecting)
            .await
            .map(Settled::from_told)
    }
}

impl Settled {
    fn from_told(told: bool) -> Self {
        if told {
            Self::Told
        } else {
            Self::WillBeRedelivered
        }
    }
}

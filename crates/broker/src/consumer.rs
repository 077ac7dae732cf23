//! Consuming a queue.

use crate::BrokerError;
use crate::death::Death;
use crate::limit::limited;
use crate::properties::{from_amqp, short};
use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicQosOptions,
    BasicRejectOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{Acker, Channel};
use ncs_protocol::Properties;
use std::future::poll_fn;
use std::task::Poll;

/// A channel that consumes one queue, now or later. Its tickets live as long as it does: dropping
/// it returns what was not acked to the broker.
pub struct Consumer {
    channel: Channel,
    queue: ShortString,
    /// None before [`Consumer::start`] and after the end of what it began. The last one goes on, unless
    /// it was cancelled; those before it were cancelled, and are read to their ends.
    subscriptions: Vec<Subscription>,
    /// How often it was started.
    starts: u32,
}

struct Subscription {
    deliveries: lapin::Consumer,
    tag: ShortString,
}

/// A channel that takes messages out of one queue, each when it is asked for. Its tickets live as
/// long as it does, as those of a [`Consumer`].
pub struct Getter {
    channel: Channel,
    queue: ShortString,
}

/// A message that the broker has handed out.
#[derive(Debug)]
pub struct Delivery {
    /// Under which it came to its queue.
    pub routing_key: String,
    /// Why it was dead-lettered the last time, if the broker did that.
    pub death: Option<Death>,
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
    pub(crate) fn new(channel: Channel, queue: &str) -> Result<Self, BrokerError> {
        Ok(Self {
            channel,
            queue: short("queue's name", queue)?,
            subscriptions: Vec::new(),
            starts: 0,
        })
    }

    /// Asks for messages, at most `prefetch` of them in hand. What is returned at the end goes back in the
    /// order of the starts.
    pub async fn start(&mut self, prefetch: u16) -> Result<(), BrokerError> {
        // Per consumer, not per channel: RabbitMQ 4 has no global qos on quorum queues.
        let options = BasicQosOptions { global: false };
        let qos = self.channel.basic_qos(prefetch, options);
        limited("setting the prefetch", qos).await?;
        // Up to 3.13 a quorum queue takes back what a channel's consumers have in the order of their
        // tags, and those that the broker gives are random.
        self.starts += 1;
        let tag = short("consumer's tag", &format!("{:010}", self.starts))?;
        let consuming = self.channel.basic_consume(
            self.queue.clone(),
            tag,
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let deliveries = limited("starting to consume", consuming).await?;
        let tag = deliveries.tag();
        self.subscriptions.push(Subscription { deliveries, tag });
        Ok(())
    }

    /// Asks for at most so many from now on, without a gap. What is in hand stays in hand, and does not count
    /// against the new prefetch.
    pub async fn change(&mut self, prefetch: u16) -> Result<(), BrokerError> {
        let before = self.subscriptions.last().map(|before| before.tag.clone());
        // A prefetch is a consumer's for its life, so there has to be another one. It comes first.
        self.start(prefetch).await?;
        match before {
            Some(tag) => self.cancel_one(tag).await,
            None => Ok(()),
        }
    }

    /// The next delivery; `None` after [`Self::cancel`], when the broker cancelled the subscription
    /// because the queue was deleted, or before [`Self::start`]. May be dropped and called again:
    /// nothing is lost.
    pub async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        loop {
            if self.subscriptions.is_empty() {
                return None;
            }
            let subscriptions = &mut self.subscriptions;
            let (index, delivery) = poll_fn(|context| {
                let mut each = subscriptions.iter_mut().enumerate();
                let ready = each.find_map(|(index, subscription)| {
                    match subscription.deliveries.poll_next_unpin(context) {
                        Poll::Ready(delivery) => Some((index, delivery)),
                        Poll::Pending => None,
                    }
                });
                ready.map_or(Poll::Pending, Poll::Ready)
            })
            .await;
            return Some(match delivery {
                Some(Ok(delivery)) => Ok(Delivery::from_amqp(delivery)),
                Some(Err(error)) => Err(BrokerError::lost("consuming", &error)),
                None => {
                    self.subscriptions.remove(index);
                    continue;
                }
            });
        }
    }

    /// Asks for no more. What is on its way still comes from [`Self::next`], then `None`.
    pub async fn cancel(&self) -> Result<(), BrokerError> {
        match self.subscriptions.last() {
            Some(subscription) => self.cancel_one(subscription.tag.clone()).await,
            None => Ok(()),
        }
    }

    async fn cancel_one(&self, tag: ShortString) -> Result<(), BrokerError> {
        let cancelling = self
            .channel
            .basic_cancel(tag, BasicCancelOptions::default());
        limited("cancelling the consumer", cancelling).await
    }
}

impl Getter {
    pub(crate) fn new(channel: Channel, queue: &str) -> Result<Self, BrokerError> {
        Ok(Self {
            channel,
            queue: short("queue's name", queue)?,
        })
    }

    /// The next message, if there is one.
    pub async fn get(&self) -> Result<Option<Delivery>, BrokerError> {
        let getting = self
            .channel
            .basic_get(self.queue.clone(), BasicGetOptions::default());
        let message = limited("taking a message", getting).await?;
        Ok(message.map(|message| Delivery::from_amqp(message.delivery)))
    }
}

impl Delivery {
    fn from_amqp(delivery: lapin::message::Delivery) -> Self {
        Self {
            routing_key: delivery.routing_key.to_string(),
            death: Death::last(&delivery.properties),
            properties: from_amqp(&delivery.properties),
            body: delivery.data,
            redelivered: delivery.redelivered,
            ticket: Ticket(delivery.acker),
        }
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

    /// The message cannot be done here: the broker hands it out again, and counts that against the
    /// queue's delivery limit.
    pub async fn requeue(self) -> Result<Settled, BrokerError> {
        let returning = self.0.reject(BasicRejectOptions { requeue: true });
        limited("returning a delivery", returning)
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

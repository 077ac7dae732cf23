//! One connection: opening it, declaring on it, and knowing when it is lost.

use crate::limit::{limited, limited_declaration};
use crate::properties::short;
use crate::{Address, BrokerError, Consumer, Getter, OPERATION_LIMIT, Publisher, opening};
use futures_util::StreamExt;
use lapin::Event;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use ncs_protocol::Topology;
use ncs_protocol::topology::{Argument, ExchangeKind};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

/// An open connection. Publish and consume on two: while RabbitMQ blocks a publisher, nothing is
/// written on its connection, acks included.
pub struct Connection {
    /// Publishers open channels of their own.
    amqp: Arc<lapin::Connection>,
    local_ip: IpAddr,
    node: Address,
}

/// Messages that wait for a listener at most, on either side of the network.
pub const MOST_OVERHEARD: u16 = 4_096;

/// What is known about an existing queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueState {
    /// Messages ready for delivery.
    pub messages: u32,
    /// Consumers on all connections.
    pub consumers: u32,
}

impl Connection {
    /// Connects to one of the broker's nodes, the first that answers, and logs in. `name` is what RabbitMQ's
    /// own UI shows. May be dropped at any time, and then leaves nothing behind.
    pub async fn open(address: &Address, name: &str) -> Result<Self, BrokerError> {
        let mut failures = Vec::new();
        for (place, node) in address.in_turn() {
            match Self::open_at(&node, name, address.is_cluster()).await {
                Ok(connection) => {
                    address.has_answered(place);
                    return Ok(connection);
                }
                // The nodes of a cluster agree on what they decline.
                Err(error) if !error.is_temporary() => return Err(error),
                Err(error) => failures.push((node, error)),
            }
        }
        if failures.len() == 1
            && let Some((_, error)) = failures.pop()
        {
            return Err(error);
        }
        let reasons = failures.into_iter().map(|(node, error)| match error {
            BrokerError::Unreachable { reason, .. } => format!("{node}: {reason}"),
            error => error.to_string(),
        });
        Err(BrokerError::Unreachable {
            address: address.clone(),
            reason: reasons.collect::<Vec<_>>().join("; "),
        })
    }

    async fn open_at(node: &Address, name: &str, has_others: bool) -> Result<Self, BrokerError> {
        let connect_limit = has_others.then_some(opening::SILENCE_LIMIT);
        let opening = opening::open(node, name, connect_limit);
        match tokio::time::timeout(OPERATION_LIMIT, opening).await {
            Ok(opened) => opened.map(|(amqp, local_ip)| Self {
                amqp: Arc::new(amqp),
                local_ip,
                node: node.clone(),
            }),
            Err(_elapsed) => Err(BrokerError::Unreachable {
                address: node.clone(),
                reason: format!("no answer within {} s", OPERATION_LIMIT.as_secs()),
            }),
        }
    }

    /// Which address of this host it is from: the one under which the broker's network knows us.
    #[must_use]
    pub fn local_ip(&self) -> IpAddr {
        self.local_ip
    }

    /// The node that it goes to.
    #[must_use]
    pub fn node(&self) -> &Address {
        &self.node
    }

    /// Creates what does not exist yet; what exists with other arguments is an error.
    pub async fn declare(&self, topology: &Topology) -> Result<(), BrokerError> {
        let channel = limited("opening a channel", self.amqp.create_channel()).await?;
        for exchange in &topology.exchanges {
            let kind = match exchange.kind {
                ExchangeKind::Direct => lapin::ExchangeKind::Direct,
                ExchangeKind::Fanout => lapin::ExchangeKind::Fanout,
            };
            let options = ExchangeDeclareOptions {
                durable: true,
                ..Default::default()
            };
            let name = exchange.name.into();
            let declaring = channel.exchange_declare(name, kind, options, FieldTable::default());
            limited_declaration("declaring an exchange", declaring).await?;
        }
        for queue in &topology.queues {
            let mut arguments = FieldTable::default();
            for (name, value) in &queue.arguments {
                let value = match value {
                    Argument::Text(text) => AMQPValue::LongString(text.as_ref().into()),
                    Argument::Integer(value) => AMQPValue::LongLongInt(*value),
                };
                arguments.insert((*name).into(), value);
            }
            let options = QueueDeclareOptions {
                durable: true,
                ..Default::default()
            };
            let name = short("queue's name", &queue.name)?;
            limited_declaration(
                "declaring a queue",
                channel.queue_declare(name, options, arguments),
            )
            .await?;
        }
        for binding in &topology.bindings {
            let binding = channel.queue_bind(
                short("queue's name", &binding.queue)?,
                binding.exchange.into(),
                short("routing key", &binding.routing_key)?,
                QueueBindOptions::default(),
                FieldTable::default(),
            );
            limited_declaration("binding a queue", binding).await?;
        }
        close(&channel).await;
        Ok(())
    }

    /// Looks at an existing queue; [`BrokerError::NotFound`] where there is none.
    ///
    /// An error costs the connection a channel: lapin (4.12.3) never frees the number of one that the
    /// broker has closed. RabbitMQ allows 2,047 of them by default; then none can be opened.
    pub async fn queue_state(&self, queue: &str) -> Result<QueueState, BrokerError> {
        let channel = limited("opening a channel", self.amqp.create_channel()).await?;
        let options = QueueDeclareOptions {
            passive: true,
            ..Default::default()
        };
        let name = short("queue's name", queue)?;
        let looking = channel.queue_declare(name, options, FieldTable::default());
        let state = limited_declaration("looking at a queue", looking).await?;
        close(&channel).await;
        Ok(QueueState {
            messages: state.message_count(),
            consumers: state.consumer_count(),
        })
    }

    /// Deletes a queue with all that is in it; one that is not there is no error.
    pub async fn delete_queue(&self, queue: &str) -> Result<(), BrokerError> {
        let channel = limited("opening a channel", self.amqp.create_channel()).await?;
        let name = short("queue's name", queue)?;
        let deleting = channel.queue_delete(name, lapin::options::QueueDeleteOptions::default());
        limited_declaration("deleting a queue", deleting).await?;
        close(&channel).await;
        Ok(())
    }

    /// Opens a channel that publishes with confirms.
    pub async fn publisher(&self) -> Result<Publisher, BrokerError> {
        Publisher::open(self.amqp.clone()).await
    }

    /// Opens a channel that consumes `queue` with at most `prefetch` messages in hand.
    pub async fn consumer(&self, queue: &str, prefetch: u16) -> Result<Consumer, BrokerError> {
        let mut consumer = self.idle_consumer(queue).await?;
        consumer.start(prefetch).await?;
        Ok(consumer)
    }

    /// Opens a channel that will consume `queue` once it is started.
    pub async fn idle_consumer(&self, queue: &str) -> Result<Consumer, BrokerError> {
        let channel = limited("opening a channel", self.amqp.create_channel()).await?;
        Consumer::new(channel, queue)
    }

    /// Listens to what comes to an exchange from now on, in a queue of this connection alone, which goes
    /// with it. [`BrokerError::NotFound`] where there is no such exchange.
    ///
    /// Of more than [`MOST_OVERHEARD`] messages that wait, the newest are kept.
    pub async fn listen(&self, exchange: &str, queue: &str) -> Result<Consumer, BrokerError> {
        let channel = limited("opening a channel", self.amqp.create_channel()).await?;
        let options = QueueDeclareOptions {
            exclusive: true,
            auto_delete: true,
            ..Default::default()
        };
        let mut arguments = FieldTable::default();
        let most = AMQPValue::LongLongInt(MOST_OVERHEARD.into());
        arguments.insert("x-max-length".into(), most);
        let name = short("queue's name", queue)?;
        let declaring = channel.queue_declare(name.clone(), options, arguments);
        limited_declaration("declaring a queue", declaring).await?;
        let binding = channel.queue_bind(
            name,
            short("exchange's name", exchange)?,
            ShortString::default(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        limited_declaration("binding a queue", binding).await?;
        close(&channel).await;
        self.consumer(queue, MOST_OVERHEARD).await
    }

    /// Opens a channel that takes messages out of `queue` one by one.
    pub async fn getter(&self, queue: &str) -> Result<Getter, BrokerError> {
        let channel = limited("opening a channel", self.amqp.create_channel()).await?;
        Getter::new(channel, queue)
    }

    /// Completes when the connection is lost, and logs when the broker blocks and unblocks it.
    ///
    /// May be dropped at any time; call it again to go on watching.
    pub async fn lost(&self) -> BrokerError {
        let lost = |reason| BrokerError::Lost {
            doing: "waiting for work",
            reason,
        };
        let mut events = pin!(self.amqp.events_listener());
        // An error that came before we listened is not told again.
        if !self.amqp.status().connected() {
            return lost("it is closed".to_owned());
        }
        loop {
            match events.next().await {
                Some(Event::ConnectionBlocked(reason)) => {
                    tracing::warn!(reason, "the broker blocks publishers; waiting");
                }
                Some(Event::ConnectionUnblocked) => {
                    tracing::info!("the broker lets publishers go on");
                }
                Some(Event::Error(error)) => return lost(error.to_string()),
                Some(_) => {}
                None => return lost("it was closed".to_owned()),
            }
        }
    }

    /// Says goodbye. An error is of no use to anybody: the connection is gone either way. While the
    /// broker blocks it, nothing is written on it, so it ends without a word then.
    pub async fn close(self) {
        if self.amqp.status().blocked() {
            return;
        }
        let goodbye = self.amqp.close(200, ShortString::from("goodbye"));
        if let Err(error) = limited("closing the connection", goodbye).await {
            tracing::debug!(%error, "closing the connection");
        }
    }
}

async fn close(channel: &lapin::Channel) {
    let closing = channel.close(200, ShortString::from("done"));
    if let Err(error) = limited("closing a channel", closing).await {
        tracing::debug!(%error, "closing a channel");
    }
}

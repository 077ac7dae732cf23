//! What AMQP alone tells: of a queue, how many messages wait, and how many consumers there are; and which
//! workers announce themselves. It is told as of now.

use super::crew::Crew;
use crate::process;
use ncs_broker::connection::QueueState;
use ncs_broker::{Address, BrokerError, Connection};
use ncs_protocol::Announcement;
use std::convert::Infallible;

/// A look at a queue that is not there costs its connection one of 2,047 channels, for good.
const MOST_MISSES: u32 = 500;

/// The broker, over AMQP.
pub(super) struct Amqp {
    address: Address,
    /// Opened by the first look, and by the next after a failure.
    connection: Option<Connection>,
    /// The workers that are heard over it.
    crew: Option<Crew>,
    /// Queues that were not there, over this connection.
    misses: u32,
}

impl Amqp {
    pub(super) fn new(address: Address) -> Self {
        Self {
            address,
            connection: None,
            crew: None,
            misses: 0,
        }
    }

    /// Connects, unless it is connected.
    pub(super) async fn open(&mut self) -> Result<(), BrokerError> {
        let connection = self.connection().await?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Looks at a queue without declaring it; `None`: there is none. After an error, and where a look is
    /// dropped half-way, the next one opens a new connection.
    pub(super) async fn queue(&mut self, name: &str) -> Result<Option<QueueState>, BrokerError> {
        let connection = self.connection().await?;
        let state = match connection.queue_state(name).await {
            Ok(state) => Some(state),
            Err(BrokerError::NotFound(_)) => {
                self.misses += 1;
                None
            }
            Err(error) => return Err(error),
        };
        self.connection = Some(connection);
        Ok(state)
    }

    /// The workers that announce themselves, when so many were heard, or everybody has had a chance to
    /// speak.
    pub(super) async fn workers(&mut self, count: u64) -> Result<Vec<Announcement>, BrokerError> {
        let Some(crew) = &mut self.crew else {
            return Ok(Vec::new());
        };
        crew.hear(usize::try_from(count).unwrap_or(usize::MAX))
            .await?;
        Ok(crew.workers().cloned().collect())
    }

    /// Listens to them for as long as it is polled.
    pub(super) async fn listen(&mut self) -> Infallible {
        match &mut self.crew {
            Some(crew) => crew.listen().await,
            None => std::future::pending().await,
        }
    }

    /// Takes the connection out, or opens one.
    async fn connection(&mut self) -> Result<Connection, BrokerError> {
        if self.misses >= MOST_MISSES {
            self.close().await;
        }
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        (self.misses, self.crew) = (0, None);
        let name = process::connection_name("status");
        let connection = Connection::open(&self.address, &name).await?;
        self.crew = Some(Crew::of(&connection).await?);
        Ok(connection)
    }

    /// Says goodbye.
    pub(super) async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close().await;
        }
    }
}

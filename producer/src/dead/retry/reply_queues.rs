//! Whether those who wait for results still do.

use crate::dead::connection_name;
use ncs_broker::{Address, BrokerError, Connection};
use std::collections::BTreeMap;

/// Queues that are gone, by which a connection can be told so. Half of what
/// [`Connection::queue_state`] allows.
const MOST_GONE: u32 = 1_000;

/// Answers that are remembered, of at most 256 bytes each.
const MOST_KNOWN: usize = 10_000;

/// Which reply queues are there, each asked for once, unless there are very many.
pub(super) struct ReplyQueues {
    address: Address,
    /// Its own: it is opened anew from time to time.
    connection: Connection,
    /// What it was told that there is not.
    gone: u32,
    known: BTreeMap<String, bool>,
}

impl ReplyQueues {
    pub(super) async fn open(address: &Address) -> Result<Self, BrokerError> {
        Ok(Self {
            address: address.clone(),
            connection: connect(address).await?,
            gone: 0,
            known: BTreeMap::new(),
        })
    }

    pub(super) async fn has(&mut self, queue: &str) -> Result<bool, BrokerError> {
        if let Some(there) = self.known.get(queue) {
            return Ok(*there);
        }
        if self.gone == MOST_GONE {
            let worn = std::mem::replace(&mut self.connection, connect(&self.address).await?);
            worn.close().await;
            self.gone = 0;
        }
        let there = match self.connection.queue_state(queue).await {
            // Refused: it is there, though not for us to look at. Another connection's own, for example.
            Ok(_) | Err(BrokerError::Refused { .. }) => true,
            Err(BrokerError::NotFound(_)) => false,
            Err(error) => return Err(error),
        };
        self.gone += u32::from(!there);
        if self.known.len() == MOST_KNOWN {
            self.known.clear();
        }
        self.known.insert(queue.to_owned(), there);
        Ok(there)
    }

    pub(super) async fn close(self) {
        self.connection.close().await;
    }
}

async fn connect(address: &Address) -> Result<Connection, BrokerError> {
    Connection::open(address, &connection_name("retry asking")).await
}

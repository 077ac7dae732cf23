//! Hearing announcements over a connection to the broker.

use ncs_broker::{BrokerError, Connection, Consumer};
use ncs_protocol::Announcement;
use ncs_protocol::announcement::{WORKERS_EXCHANGE, listeners_queue};
use uuid::Uuid;

/// What listens. It goes with its connection.
pub(crate) struct Listener {
    announcements: Consumer,
    /// What was no announcement is told once.
    told: bool,
}

impl Listener {
    /// Begins to listen; [`BrokerError::NotFound`] where no worker that announces itself has ever run.
    pub(crate) async fn open(connection: &Connection) -> Result<Self, BrokerError> {
        let queue = listeners_queue(&Uuid::now_v7().to_string());
        Ok(Self {
            announcements: connection.listen(WORKERS_EXCHANGE, &queue).await?,
            told: false,
        })
    }

    /// The next announcement. May be dropped and called again: nothing is lost but, at worst, one
    /// announcement, and the next comes soon.
    pub(crate) async fn next(&mut self) -> Result<Announcement, BrokerError> {
        loop {
            let Some(delivery) = self.announcements.next().await else {
                return Err(BrokerError::Lost {
                    doing: "listening to workers",
                    reason: "their exchange or our queue was deleted".to_owned(),
                });
            };
            let delivery = delivery?;
            delivery.ticket.ack().await?;
            match Announcement::from_message(&delivery.properties, &delivery.body) {
                Ok(announcement) => return Ok(announcement),
                Err(error) if !self.told => {
                    self.told = true;
                    tracing::warn!("a message in {WORKERS_EXCHANGE} is no announcement: {error}");
                }
                Err(_) => {}
            }
        }
    }
}

//! A link, and what is open on it.

use super::{Campaign, Traffic};
use crate::process;
use ncs_broker::connection::QueueState;
use ncs_broker::{BrokerError, Connection, Consumer, Link, Publisher};
use ncs_protocol::{ModelName, topology};

/// The two connections of any program with the broker, and those that only publish.
pub(super) struct Session {
    pub(super) link: Link,
    /// Publishing connections beyond the link's.
    pub(super) more: Vec<Connection>,
    /// One on each publishing connection; never empty.
    pub(super) publishers: Vec<Publisher>,
    pub(super) consumer: Consumer,
}

impl Session {
    /// Says goodbye on all connections.
    pub(super) async fn close(self) {
        let more = self.more.into_iter().map(Connection::close);
        tokio::join!(self.link.close(), futures_util::future::join_all(more));
    }
}

impl<C: Campaign> Traffic<'_, C> {
    pub(super) async fn connect(&self) -> Result<Session, BrokerError> {
        let route = &self.route;
        let name = process::connection_name(&route.name);
        let link = Link::open(&route.address, &name).await?;
        let declaring = if route.address.is_cluster() {
            topology::for_producer_on_cluster(&route.result_queue)
        } else {
            topology::for_producer(&route.result_queue)
        };
        link.consuming.declare(&declaring).await?;
        let mut publishers = vec![link.publishing.publisher().await?];
        let mut more = Vec::new();
        for number in 2..=route.connections {
            let name = format!("{name} publishing {number}");
            let connection = Connection::open(&route.address, &name).await?;
            publishers.push(connection.publisher().await?);
            more.push(connection);
        }
        // Those that wait for their common ack, and enough beside them to hide its round trip.
        let prefetch = route.acked_together.saturating_mul(8);
        let consumer = link
            .consuming
            .consumer(&route.result_queue, prefetch)
            .await?;
        Ok(Session {
            link,
            more,
            publishers,
            consumer,
        })
    }

    /// How many workers take jobs. A model that nobody ever served is a mistake; one that nobody serves
    /// now may be a plan.
    pub(super) async fn look_at_queue(&self, link: &Link) -> anyhow::Result<u32> {
        let model = &self.route.model;
        let queue = topology::jobs_queue(model);
        match link.consuming.queue_state(&queue).await {
            Ok(QueueState {
                messages,
                consumers,
            }) => {
                if consumers == 0 {
                    tracing::warn!(
                        "no worker takes jobs for {model} at the moment; waiting for one"
                    );
                } else if messages > 0 {
                    tracing::warn!("{messages} jobs for {model} wait already; they come first");
                }
                Ok(consumers)
            }
            Err(BrokerError::NotFound(_)) => Err(self.no_queue()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn no_queue(&self) -> anyhow::Error {
        no_queue(&self.route.model)
    }
}

/// Nobody ever served this model.
pub(crate) fn no_queue(model: &ModelName) -> anyhow::Error {
    anyhow::anyhow!(
        "there is no queue for the model '{model}'; check the name, or start a worker that serves it \
         (ncs-worker run --model {model}.xml), which creates the queue"
    )
}

//! What an earlier run has left at the broker: answers that wait, and jobs that are yet to be answered.

use super::batch::Batch;
use super::campaign::Sending;
use super::marks::Mark;
use crate::process;
use crate::traffic::{Arrival, Campaign, no_queue};
use anyhow::{Context, bail};
use ncs_broker::{Address, BrokerError, Connection};
use ncs_protocol::{JobResult, ModelName, topology};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the connection of a run that was killed may still be there: RabbitMQ drops one after two
/// heartbeats of silence, and sooner where the process's host still lives.
const LAST_RUN: Duration = Duration::from_secs(20);
/// How often the queue is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(200);
/// Answers that are acked together.
const TOGETHER: usize = 256;

/// Finds out before a batch is begun that nobody ever served its model.
pub(super) async fn check_model(address: &Address, model: &ModelName) -> anyhow::Result<()> {
    let connection = Connection::open(address, &process::connection_name("submit")).await?;
    let queue = topology::jobs_queue(model);
    let state = connection.queue_state(&queue).await;
    connection.close().await;
    match state {
        Ok(_) => Ok(()),
        Err(BrokerError::NotFound(_)) => Err(no_queue(model)),
        Err(error) => Err(error.into()),
    }
}

/// Keeps the answers that wait, and finds out which jobs are yet to be answered. Where the result queue is
/// gone, so are all answers: their images are unsent then. Jobs that a run has given up are waited for
/// as long as any job waits in the queue of the model, and are lost otherwise.
pub(super) async fn collect(
    address: &Address,
    batch: &Arc<Batch>,
    sending: &Sending,
) -> anyhow::Result<()> {
    let queue = &batch.description.result_queue;
    let connection =
        Connection::open(address, &process::connection_name("submit --resume")).await?;
    let state = alone(&connection, queue).await;
    let collected = match state {
        Ok(()) => {
            drain(&connection, queue, sending).await?;
            let now = overdue(&connection, batch).await?;
            replace(batch, vec![(Mark::Overdue, now)]).await
        }
        Err(error) if is_absent(&error) => {
            same_broker(address, batch)?;
            let lost = [Mark::Sent, Mark::Overdue].map(|mark| (mark, Mark::Unsent));
            replace(batch, lost.into()).await
        }
        Err(error) => Err(error),
    };
    connection.close().await;
    collected
}

fn is_absent(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(BrokerError::NotFound(_)))
}

/// An error where this may be another broker than the one that the batch was begun with: that one may
/// have its answers.
fn same_broker(address: &Address, batch: &Batch) -> anyhow::Result<()> {
    let (here, begun) = (address.to_string(), &batch.description.broker);
    if here == *begun {
        return Ok(());
    }
    bail!(
        "{here} has no answers for this batch, which was begun with {begun}: resume it with that broker \
         (--amqp-url). If it is gone for good, write {here} into {}: then what it had is sent again",
        batch.described_in()
    )
}

/// What jobs are that a run has given up: still with the broker, or lost.
async fn overdue(connection: &Connection, batch: &Batch) -> anyhow::Result<Mark> {
    let Ok(model) = batch.description.model.parse::<ModelName>() else {
        return Ok(Mark::Sent);
    };
    match connection.queue_state(&topology::jobs_queue(&model)).await {
        Ok(state) if state.messages > 0 => Ok(Mark::Sent),
        Ok(_) | Err(BrokerError::NotFound(_)) => Ok(Mark::Unsent),
        Err(error) => Err(error.into()),
    }
}

async fn replace(batch: &Arc<Batch>, marks: Vec<(Mark, Mark)>) -> anyhow::Result<()> {
    let batch = Arc::clone(batch);
    let replacing = tokio::task::spawn_blocking(move || {
        let mut each = marks.into_iter();
        each.try_for_each(|(old, new)| batch.marks.replace(old, new))
    });
    replacing
        .await?
        .context("cannot write the batch's progress")
}

/// Waits until nobody else has messages of this queue in hand.
async fn alone(connection: &Connection, queue: &str) -> anyhow::Result<()> {
    let start = Instant::now();
    while connection.queue_state(queue).await?.consumers > 0 {
        if start.elapsed() > LAST_RUN {
            bail!(
                "another program takes the results of this batch out of {queue}; end it, or, if its \
                 host was lost, try again in a minute"
            );
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

async fn drain(connection: &Connection, queue: &str, sending: &Sending) -> anyhow::Result<()> {
    let getter = connection.getter(queue).await?;
    let mut waited = 0_usize;
    let mut last = None;
    loop {
        let message = getter.get().await?;
        let is_end = message.is_none();
        if let Some(delivery) = message {
            match JobResult::from_message(&delivery.properties, &delivery.body) {
                Ok(result) => {
                    sending.room().await?;
                    sending.answered(Arrival {
                        result,
                        job: None,
                        redelivered: delivery.redelivered,
                    })?;
                }
                Err(error) => tracing::warn!(%error, "this message in the result queue is none"),
            }
            last = Some(delivery.ticket);
            waited += 1;
        }
        if is_end || waited.is_multiple_of(TOGETHER) {
            sending.secure().await?;
            if let Some(ticket) = last.take() {
                ticket.ack_with_earlier().await?;
            }
        }
        if is_end {
            break;
        }
    }
    if waited > 0 {
        tracing::info!("{waited} answers had waited for this batch");
    }
    Ok(())
}

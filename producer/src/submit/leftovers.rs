//! What an earlier run has left at the broker: answers that wait, and jobs that are yet to be answered.

use super::batch::Batch;
use super::campaign::Sending;
use super::marks::Mark;
use crate::process;
use crate::traffic::{Arrival, Campaign, no_queue};
use anyhow::{Context, bail};
use ncs_broker::{Address, BrokerError, Connection, Getter};
use ncs_protocol::{JobResult, ModelName, topology};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the connection of a run that was killed may still be there: RabbitMQ drops one after two
/// heartbeats of silence, and sooner where the process's host still lives.
const LAST_RUN: Duration = Duration::from_secs(20);
/// How often the queue is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(200);
/// How long a job that no longer waits may be in a worker's hands: one that hangs for `--infer-timeout`,
/// and is tried again over a network that was rebuilt; or one of a host that has vanished, which the broker
/// notices after 18 s.
const IN_HAND: Duration = Duration::from_secs(30);
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
/// gone, so are all answers: their images are unsent then.
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
            let now = overdue(&connection, batch, sending).await?;
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

/// What jobs are that a run has given up, once the answers that wait are kept: still with the broker as
/// long as any job of the model waits, or the word about a dead one; or lost.
///
/// The broker does not tell which jobs are in the hands of workers. So where none waits, their answers
/// have [`IN_HAND`] to come.
async fn overdue(
    connection: &Connection,
    batch: &Arc<Batch>,
    sending: &Sending,
) -> anyhow::Result<Mark> {
    let getter = connection.getter(&batch.description.result_queue).await?;
    let model = batch.description.model.parse::<ModelName>().ok();
    let mut last_answer = Instant::now();
    let mut is_told = false;
    loop {
        // Before the answers are taken: what leaves this queue later may be answered later.
        let waiting = match &model {
            Some(model) => waiting(connection, model).await?,
            None => None,
        };
        if drain(&getter, sending).await? > 0 {
            last_answer = Instant::now();
        }
        match waiting {
            Some(1..) => return Ok(Mark::Sent),
            None => return Ok(Mark::Unsent),
            Some(0) if last_answer.elapsed() > IN_HAND => return Ok(Mark::Unsent),
            Some(0) => {}
        }
        let missing = count(batch, Mark::Overdue).await?;
        if missing == 0 {
            return Ok(Mark::Unsent);
        }
        if !is_told {
            is_told = true;
            tracing::info!("{missing} jobs of an earlier run may be in the hands of a worker");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Jobs of this model that wait, suspects included, and dead letters whose submitters wait for a word;
/// `None` where its queue is gone.
async fn waiting(connection: &Connection, model: &ModelName) -> Result<Option<u32>, BrokerError> {
    let mut sum = 0_u32;
    let jobs = topology::jobs_queue(model);
    let others = [
        topology::suspects_queue(model),
        topology::UNANSWERED.to_owned(),
    ];
    for queue in std::iter::once(&jobs).chain(&others) {
        match connection.queue_state(queue).await {
            Ok(state) => sum = sum.saturating_add(state.messages),
            Err(BrokerError::NotFound(_)) if *queue == jobs => return Ok(None),
            // Each such look costs a channel, of which there are 2,047; this makes some hundreds at worst.
            Err(BrokerError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(sum))
}

async fn count(batch: &Arc<Batch>, wanted: Mark) -> anyhow::Result<u64> {
    let batch = Arc::clone(batch);
    let counting = tokio::task::spawn_blocking(move || batch.marks.count(wanted));
    counting.await?.context("cannot read the batch's progress")
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

/// Keeps the answers that wait, and says how many messages there were.
async fn drain(getter: &Getter, sending: &Sending) -> anyhow::Result<usize> {
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
    Ok(waited)
}

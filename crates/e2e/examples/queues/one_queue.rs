//! Traffic through one queue of one node, with nothing behind it.
//!
//! A producer publishes jobs, confirmed, within a window of unanswered ones; a fleet that needs no time
//! answers each with a result, confirmed, and then acks it: two messages, two confirms, two acks.

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ncs_broker::{Address, Connection, Delivery, Link, Message, Publisher};
use ncs_e2e::rabbitmq::RabbitMq;
use ncs_protocol::{ModelName, Properties, Topology, topology};
use std::cell::Cell;
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// As a result of five classes, in bytes.
const RESULT: usize = 500;

/// Jobs in the fleet's hands: as 64 sticks have.
const PREFETCH: u16 = 256;

/// Unmeasured, until caches and queues are as they stay.
const WARM_UP: Duration = Duration::from_secs(3);

/// What passes through.
pub(crate) struct Traffic {
    /// Names the queue of jobs.
    pub(crate) model: ModelName,
    /// With that queue.
    pub(crate) topology: Topology,
    /// Of each job.
    pub(crate) bytes: usize,
    /// Unanswered jobs at most.
    pub(crate) window: u32,
}

/// What did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) jobs_per_second: f64,
    /// Of the broker.
    pub(crate) cpu_ms_per_job: f64,
}

impl Traffic {
    /// Runs it through a node for so long, and deletes the queues of jobs and results.
    pub(crate) async fn measure(&self, node: &RabbitMq, seconds: Duration) -> Result<Measured> {
        let address: Address = node.amqp_url().parse()?;
        let (jobs, results) = (topology::jobs_queue(&self.model), "ncs.results.bench");
        let fleet = Link::open(&address, "fleet").await?;
        let producer = Link::open(&address, "producer").await?;
        producer.consuming.declare(&self.topology).await?;
        let declaring = topology::for_producer(results);
        producer.consuming.declare(&declaring).await?;

        let books = Books::default();
        let job = Message {
            exchange: String::new(),
            routing_key: jobs.clone(),
            mandatory: true,
            properties: Properties::default(),
            body: vec![7; self.bytes],
        };
        let measuring = async {
            tokio::time::sleep(WARM_UP).await;
            let (from, cpu, start) = (books.answered.get(), node.usage()?.cpu_time, Instant::now());
            tokio::time::sleep(seconds).await;
            let jobs = f64::from(books.answered.get() - from);
            let cpu = node.usage()?.cpu_time.saturating_sub(cpu);
            if jobs < 1.0 {
                bail!("no job was answered");
            }
            Ok(Measured {
                jobs_per_second: jobs / start.elapsed().as_secs_f64(),
                cpu_ms_per_job: 1_000.0 * cpu.as_secs_f64() / jobs,
            })
        };
        let measured = tokio::select! {
            measured = measuring => measured?,
            Err(error) = answer(&fleet, &jobs, results) => return Err(error),
            Err(error) = publish(&producer.publishing, &job, self.window, &books) => return Err(error),
            Err(error) = collect(&producer.consuming, results, &books) => return Err(error),
        };
        fleet.close().await;
        for queue in [&*jobs, results] {
            producer.consuming.delete_queue(queue).await?;
        }
        producer.close().await;
        Ok(measured)
    }
}

#[derive(Default)]
struct Books {
    unanswered: Cell<u32>,
    answered: Cell<u32>,
    room: Notify,
}

/// Publishes within the window, with as few unconfirmed messages as a flood has.
async fn publish(
    connection: &Connection,
    job: &Message,
    window: u32,
    books: &Books,
) -> Result<Infallible> {
    let publisher = connection.publisher().await?;
    let most = (window / 16).clamp(8, 64) as usize;
    let mut confirming = FuturesUnordered::new();
    loop {
        if books.unanswered.get() < window && confirming.len() < most {
            books.unanswered.set(books.unanswered.get() + 1);
            confirming.push(confirmed(&publisher, job));
            continue;
        }
        tokio::select! {
            Some(done) = confirming.next() => done?,
            () = books.room.notified() => {}
        }
    }
}

async fn confirmed(publisher: &Publisher, message: &Message) -> Result<()> {
    let confirmed = publisher.publish(message).await?.confirmed().await?;
    if !confirmed.accepted || confirmed.returned.is_some() {
        bail!("the broker does not take a message: {confirmed:?}");
    }
    Ok(())
}

/// Takes the results, acking each.
async fn collect(connection: &Connection, queue: &str, books: &Books) -> Result<Infallible> {
    let mut consumer = connection.consumer(queue, 1_000).await?;
    loop {
        let result = consumer
            .next()
            .await
            .context("the results' queue is gone")??;
        result.ticket.ack().await?;
        books.answered.set(books.answered.get() + 1);
        books.unanswered.set(books.unanswered.get() - 1);
        books.room.notify_one();
    }
}

/// Answers each job at once.
async fn answer(link: &Link, jobs: &str, results: &str) -> Result<Infallible> {
    let publisher = link.publishing.publisher().await?;
    let mut consumer = link.consuming.consumer(jobs, PREFETCH).await?;
    let result = Message {
        exchange: String::new(),
        routing_key: results.to_owned(),
        mandatory: true,
        properties: Properties::default(),
        body: vec![7; RESULT],
    };
    let settle = async |job: Delivery| -> Result<()> {
        confirmed(&publisher, &result).await?;
        job.ticket.ack().await?;
        Ok(())
    };
    let mut settling = FuturesUnordered::new();
    loop {
        tokio::select! {
            job = consumer.next() => {
                settling.push(settle(job.context("the jobs' queue is gone")??));
            }
            Some(done) = settling.next() => done?,
        }
    }
}

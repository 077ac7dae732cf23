//! How many jobs per second pass through one queue of one broker node, by their size and the queue's
//! kind: `cargo xtask bench --only broker`.
//!
//! A producer publishes jobs, confirmed, within a window of unanswered ones; a fleet that needs no time
//! answers each with a result, confirmed, and then acks it. So a job takes what it takes in the fleet:
//! two messages, two confirms, two acks. Everything is on this machine.
#![cfg(unix)]

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ncs_broker::{Address, Connection, Delivery, Link, Message, Publisher};
use ncs_e2e::rabbitmq::{RabbitMq, RabbitMqOptions};
use ncs_protocol::{ModelName, Properties, Topology, topology};
use std::cell::Cell;
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What one saturated stick does.
const STICK: f64 = 92.68;

/// A photo at the network's size, the network's input as a tensor, and a photo as a camera makes it; with
/// unanswered jobs that keep the fleet busy and memory small.
const SIZES: [(&str, usize, u32); 3] = [
    ("20 kB", 20_000, 1024),
    ("150 kB", 150_528, 512),
    ("1 MB", 1_000_000, 128),
];

/// As a result of five classes, in bytes.
const RESULT: usize = 500;

/// Jobs in the fleet's hands: as 64 sticks have.
const PREFETCH: u16 = 256;

/// Unmeasured, until caches and queues are as they stay.
const WARM_UP: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Quorum,
    Classic,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Quorum => "quorum",
            Self::Classic => "classic",
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    jobs_per_second: f64,
    /// Of the broker.
    cpu_ms_per_job: f64,
}

fn main() -> Result<()> {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse::<u32>());
    let (Some(Ok(rounds)), Some(Ok(seconds)), None) =
        (numbers.next(), numbers.next(), numbers.next())
    else {
        bail!("expected two numbers: rounds, and seconds for each measurement");
    };
    let node = RabbitMq::start(RabbitMqOptions::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    println!("| queue | job | jobs/s | broker, CPU ms per job | sticks that this feeds |");
    println!("| --- | --- | --- | --- | --- |");
    for kind in [Kind::Quorum, Kind::Classic] {
        for size in SIZES {
            let mut measured = Vec::new();
            for _ in 0..rounds {
                let seconds = Duration::from_secs(seconds.into());
                measured.push(runtime.block_on(measure(&node, kind, size, seconds))?);
            }
            measured.sort_by(|one, other| one.jobs_per_second.total_cmp(&other.jobs_per_second));
            let middle = measured[measured.len() / 2];
            println!(
                "| {} | {} | {:.0} | {:.2} | {:.0} |",
                kind.name(),
                size.0,
                middle.jobs_per_second,
                middle.cpu_ms_per_job,
                (middle.jobs_per_second / STICK).floor(),
            );
        }
    }
    node.stop()
}

async fn measure(
    node: &RabbitMq,
    kind: Kind,
    (_, bytes, window): (&str, usize, u32),
    seconds: Duration,
) -> Result<Measured> {
    let address: Address = node.amqp_url().parse()?;
    let model: ModelName = format!("bench-{}", kind.name()).parse()?;
    let (jobs, results) = (topology::jobs_queue(&model), "ncs.results.bench");
    let fleet = Link::open(&address, "fleet").await?;
    let producer = Link::open(&address, "producer").await?;
    producer.consuming.declare(&topology(kind, &model)).await?;
    let declaring = topology::for_producer(results);
    producer.consuming.declare(&declaring).await?;

    let books = Books::default();
    let job = Message {
        exchange: String::new(),
        routing_key: jobs.clone(),
        mandatory: true,
        properties: Properties::default(),
        body: vec![7; bytes],
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
        Err(error) = publish(&producer.publishing, &job, window, &books) => return Err(error),
        Err(error) = collect(&producer.consuming, results, &books) => return Err(error),
    };
    fleet.close().await;
    for queue in [&*jobs, results] {
        producer.consuming.delete_queue(queue).await?;
    }
    producer.close().await;
    Ok(measured)
}

/// As a worker declares it; or with nothing but its name, as the classic queues of old were.
fn topology(kind: Kind, model: &ModelName) -> Topology {
    let mut topology = topology::for_worker(model);
    let jobs = topology::jobs_queue(model);
    if kind == Kind::Classic {
        for queue in topology
            .queues
            .iter_mut()
            .filter(|queue| queue.name == jobs)
        {
            queue.arguments.clear();
        }
    }
    topology
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
    let most = (window / 32).clamp(8, 64) as usize;
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

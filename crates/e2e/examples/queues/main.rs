//! How many jobs per second pass through one queue of one broker node, by their size and the queue's
//! kind: `cargo xtask bench --only broker`.
//!
//! A job takes what it takes in the fleet, but whoever takes part needs next to no time. Everything is on
//! this machine.
#![cfg(unix)]

mod one_queue;

use anyhow::{Result, bail};
use ncs_e2e::rabbitmq::{RabbitMq, RabbitMqOptions};
use ncs_protocol::{ModelName, Topology, topology};
use one_queue::Traffic;
use std::time::Duration;

/// What one saturated stick does.
const STICK: f64 = 92.68;

/// A photo at the network's size, the network's input as a tensor, and a photo as a camera makes it; with
/// unanswered jobs that keep the fleet busy and memory small.
const SIZES: [(&str, usize, u32); 3] = [
    ("20 kB", 20_000, 1024),
    ("150 kB", 150_528, 512),
    ("1 MB", 1_000_000, 128),
];

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
            let model: ModelName = format!("bench-{}", kind.name()).parse()?;
            let traffic = Traffic {
                topology: topology(kind, &model),
                model,
                bytes: size.1,
                window: size.2,
            };
            for _ in 0..rounds {
                let seconds = Duration::from_secs(seconds.into());
                measured.push(runtime.block_on(traffic.measure(&node, seconds))?);
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

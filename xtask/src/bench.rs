//! The fleet beside OpenVINO's own `benchmark_app`: same IR, same device, same number of requests,
//! in one run.
//!
//! `benchmark_app` has the machine to itself and feeds itself from memory; the fleet shares it with
//! a broker and a producer, and decodes. The ratio of the two says what all of that costs. Rounds
//! alternate between the two, and medians over the rounds are shown, because machines are noisy.

mod alone;
mod fleet;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use ncs_e2e::paths::{GOOGLENET_U8, Runtime};
use serde::Serialize;

use crate::broker::Broker;
use crate::cargo;
use crate::setup::{self, Scope};

#[derive(Debug, Clone, Args)]
pub(crate) struct BenchOptions {
    /// Measurements of each kind; the medians are shown.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Seconds per measurement.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(4..))]
    seconds: u64,

    /// Let both compute in this precision instead of the device's own choice. A CPU with AMX chooses
    /// bf16 and infers several times faster than others, so that all else weighs more; f32 shows
    /// what other CPUs show.
    #[arg(long, value_name = "f32|bf16", value_parser = ["f32", "bf16"])]
    precision: Option<String>,

    /// Write every single figure there, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One kind of job, and the IR that it is compared on.
struct Kind {
    name: &'static str,
    model: &'static str,
    images: PathBuf,
}

/// What one program did in one measurement.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Measurement {
    /// Images per second.
    pub(crate) images_per_second: f64,
    /// CPU time of the inferring process, in milliseconds.
    pub(crate) cpu_ms_per_image: f64,
}

/// Both programs, one after the other.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Round {
    kind: &'static str,
    model: &'static str,
    alone: Measurement,
    fleet: Measurement,
}

pub(crate) fn run(options: &BenchOptions) -> Result<ExitCode> {
    setup::run(Scope::Demo)?;
    cargo::build_programs()?;
    let runtime = Runtime::locate()?;
    let broker = Broker::start()?;
    let kinds = [
        Kind {
            name: "JPEG 224x224",
            model: GOOGLENET_U8,
            images: runtime.small_photos_dir(),
        },
        Kind {
            name: "u8 tensor 224x224",
            model: GOOGLENET_U8,
            images: runtime.small_tensors_dir(),
        },
        Kind {
            name: "JPEG 640x427",
            model: GOOGLENET_U8,
            images: runtime.photos_dir(),
        },
    ];
    let mut rounds = Vec::new();
    for number in 1..=options.rounds {
        for kind in &kinds {
            let round = measure(kind, &runtime, &broker.amqp_url(), options)?;
            println!(
                "round {number} of {}: {:<18} benchmark_app {:6.1} images/s, fleet {:6.1}",
                options.rounds,
                kind.name,
                round.alone.images_per_second,
                round.fleet.images_per_second,
            );
            rounds.push(round);
        }
    }
    broker.stop()?;
    println!("\n{}", table::of(&rounds));
    println!("The models have random weights: the same cost per image as the real one.");
    if let Some(file) = &options.json {
        let json = serde_json::to_string_pretty(&rounds).context("cannot encode the figures")?;
        std::fs::write(file, json)
            .with_context(|| format!("cannot write the figures to {}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(
    kind: &Kind,
    runtime: &Runtime,
    amqp_url: &str,
    options: &BenchOptions,
) -> Result<Round> {
    let model = runtime.model(kind.model)?;
    let alone = alone::measure(&runtime.python()?, &model, options)?;
    let fleet = fleet::measure(runtime, kind.model, &kind.images, amqp_url, options)?;
    Ok(Round {
        kind: kind.name,
        model: kind.model,
        alone,
        fleet,
    })
}

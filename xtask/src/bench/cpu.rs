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

use anyhow::Result;
use ncs_e2e::paths::{GOOGLENET_U8, Runtime};
use serde::Serialize;

use super::BenchOptions;
use super::figures::Figures;

const ROUNDS: u32 = 5;

/// One kind of job, and the IR that it is compared on.
struct Kind {
    name: &'static str,
    model: &'static str,
    images: PathBuf,
}

/// What one program did in one measurement.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Measurement {
    /// Images per second.
    images_per_second: f64,
    /// CPU time of the inferring process, in milliseconds.
    cpu_ms_per_image: f64,
}

/// Both programs, one after the other.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Round {
    kind: &'static str,
    model: &'static str,
    alone: Measurement,
    fleet: Measurement,
}

pub(super) fn run(
    options: &BenchOptions,
    runtime: &Runtime,
    amqp_url: &str,
    figures: &mut Figures,
) -> Result<()> {
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
    let rounds = options.rounds.unwrap_or(ROUNDS);
    for number in 1..=rounds {
        for kind in &kinds {
            let round = measure(kind, runtime, amqp_url, options)?;
            println!(
                "round {number} of {rounds}: {:<18} benchmark_app {:6.1} images/s, fleet {:6.1}",
                kind.name, round.alone.images_per_second, round.fleet.images_per_second,
            );
            figures.cpu.push(round);
            figures.save()?;
        }
    }
    println!("\n{}", table::of(&figures.cpu));
    println!("The models have random weights: the same cost per image as the real one.");
    Ok(())
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

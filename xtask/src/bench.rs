//! Measuring the fleet, in two parts: [`cpu`] beside OpenVINO's own `benchmark_app`, and [`sticks`]
//! over emulated Neural Compute Sticks. A third, [`broker`](fn@broker), measures what the fleet shares.
//!
//! Machines are noisy: everything is measured in several rounds, and medians are shown. [`figures`]
//! keeps each single figure.

mod cpu;
mod figures;
mod median;
mod sticks;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use ncs_e2e::paths::Runtime;

use crate::broker::Broker;
use crate::setup::{self, Scope};
use crate::{cargo, emulated};
use figures::Figures;

/// From one stick to more than two cores can feed.
const STICKS: [u16; 7] = [1, 2, 4, 8, 16, 24, 32];

#[derive(Debug, Clone, Args)]
pub(crate) struct BenchOptions {
    /// Measure only this part [default: cpu and sticks, one after the other].
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<Part>,

    /// So many emulated sticks, each number in its turn; means --only sticks
    /// [default: 1,2,4,8,16,24,32].
    #[arg(long, value_name = "N,N,...", value_delimiter = ',',
          value_parser = clap::value_parser!(u16).range(1..=emulated::MOST))]
    sticks: Vec<u16>,

    /// Measurements of each kind; the medians are shown [default: 5, of emulated sticks 3].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,

    /// Seconds per measurement.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(4..))]
    seconds: u64,

    /// Let both programs of the part with the CPU compute in this precision instead of the device's
    /// own choice. A CPU with AMX chooses bf16 and infers several times faster than others, so that
    /// all else weighs more; f32 shows what other CPUs show.
    #[arg(long, value_name = "f32|bf16", value_parser = ["f32", "bf16"])]
    precision: Option<String>,

    /// Write every single figure there, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The fleet beside OpenVINO's own `benchmark_app`.
    Cpu,
    /// Emulated sticks.
    Sticks,
    /// How many jobs per second pass through one queue, by their size and the queue's kind.
    Broker,
}

/// What the broker is measured with: 6 cases, each so often and so long, and as long again for warming up.
const BROKER_ROUNDS: u32 = 3;

impl BenchOptions {
    fn parts(&self) -> Result<&'static [Part]> {
        let only_sticks = self.only == Some(Part::Sticks) || !self.sticks.is_empty();
        if only_sticks && matches!(self.only, Some(Part::Cpu | Part::Broker)) {
            bail!("--only cpu and broker leave out what --sticks asks for: drop one of them");
        }
        if self.only == Some(Part::Broker) && (self.precision.is_some() || self.json.is_some()) {
            bail!("--precision and --json are not for --only broker: drop them");
        }
        if only_sticks && self.precision.is_some() {
            bail!("--precision is not for emulated sticks, which compute nothing: drop it");
        }
        Ok(match self.only {
            Some(Part::Cpu) => &[Part::Cpu],
            Some(Part::Broker) => &[Part::Broker],
            _ if only_sticks => &[Part::Sticks],
            _ => &[Part::Cpu, Part::Sticks],
        })
    }

    /// Each number once, the smallest first.
    fn stick_counts(&self) -> Vec<u16> {
        let mut counts = self.sticks.clone();
        if counts.is_empty() {
            counts.extend(STICKS);
        }
        counts.sort_unstable();
        counts.dedup();
        counts
    }
}

pub(crate) fn run(options: &BenchOptions) -> Result<ExitCode> {
    let parts = options.parts()?;
    let mut figures = Figures::new(options.json.clone());
    setup::run(Scope::Demo)?;
    if options.only == Some(Part::Broker) {
        return broker(options);
    }
    cargo::build_programs()?;
    let runtime = Runtime::locate()?;
    let broker = Broker::start()?;
    for part in parts {
        println!();
        match part {
            Part::Cpu => cpu::run(options, &runtime, &broker.amqp_url(), &mut figures)?,
            Part::Sticks => sticks::run(options, &runtime, &broker, &mut figures)?,
            // It has a node of its own.
            Part::Broker => {}
        }
    }
    broker.stop()?;
    Ok(ExitCode::SUCCESS)
}

/// By a program of its own: nothing of xtask's may need an AMQP client, which needs cmake to be built.
fn broker(options: &BenchOptions) -> Result<ExitCode> {
    let rounds = options.rounds.unwrap_or(BROKER_ROUNDS);
    let mut run = cargo::command("run")?;
    run.args([
        "--release",
        "--package",
        "ncs-e2e",
        "--example",
        "queues",
        "--",
    ])
    .args([rounds.to_string(), options.seconds.to_string()]);
    Ok(crate::test::exit_code(cargo::status(&mut run)?))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: BenchOptions,
    }

    fn parse(arguments: &str) -> Result<BenchOptions, clap::Error> {
        let words = std::iter::once("bench").chain(arguments.split_whitespace());
        Line::try_parse_from(words).map(|line| line.options)
    }

    #[test]
    fn both_parts_are_measured_unless_one_is_asked_for() {
        let parts = |arguments| parse(arguments).expect("a command line").parts().ok();
        assert_eq!(parts(""), Some(&[Part::Cpu, Part::Sticks][..]));
        assert_eq!(parts("--only cpu"), Some(&[Part::Cpu][..]));
        assert_eq!(parts("--only sticks"), Some(&[Part::Sticks][..]));
        assert_eq!(parts("--sticks 4"), Some(&[Part::Sticks][..]));
        assert_eq!(parts("--only broker"), Some(&[Part::Broker][..]));
        assert_eq!(parts("--only broker --sticks 4"), None);
        assert_eq!(parts("--only broker --json f"), None);
        assert_eq!(parts("--only cpu --sticks 4"), None);
        assert_eq!(parts("--sticks 4 --precision f32"), None);
    }

    #[test]
    fn the_numbers_of_sticks_are_a_list_from_1_to_64() {
        let counts = |arguments| parse(arguments).map(|options| options.stick_counts()).ok();
        assert_eq!(counts(""), Some(STICKS.to_vec()));
        assert_eq!(counts("--sticks 16,1,4,1"), Some(vec![1, 4, 16]));
        for wrong in [
            "--sticks 0",
            "--sticks 65",
            "--sticks 1,,2",
            "--sticks many",
        ] {
            assert_eq!(counts(wrong), None, "{wrong}");
        }
    }
}

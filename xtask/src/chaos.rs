//! The chaos run: everything that happens to fleets, in an order that a seed decides.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Args;
use ncs_e2e::chaos::{self, ChaosOptions};
use ncs_e2e::rabbitmq::Release;

use crate::cargo;
use crate::setup::{self, Scope};

#[derive(Debug, Clone, Args)]
pub(crate) struct ChaosArgs {
    /// For how long things happen, about; starting and judging come on top. From 110 s on there is
    /// room for every kind of fault. Below 60 s the workers' heartbeat is 2 s instead of the default.
    #[arg(long, value_name = "N", default_value_t = 120,
          value_parser = clap::value_parser!(u64).range(10..=86_400))]
    seconds: u64,

    /// Decides what happens, in which order, and to whom [default: another one each time].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// The broker's release: 3, 4 or installed.
    #[arg(long, value_name = "RELEASE", default_value = "installed")]
    broker: Release,

    /// Keep the logs and results of a good run too.
    #[arg(long)]
    keep: bool,

    /// Show what would happen, and do nothing.
    #[arg(long)]
    plan: bool,
}

impl ChaosArgs {
    fn options(&self) -> ChaosOptions {
        ChaosOptions {
            seed: self.seed.unwrap_or_else(any_seed),
            seconds: self.seconds,
            release: self.broker,
            keep: self.keep,
        }
    }
}

pub(crate) fn run(arguments: &ChaosArgs) -> Result<ExitCode> {
    let options = arguments.options();
    let seed = options.seed;
    println!("seed {seed}");
    if arguments.plan {
        print!("{}", options.plan());
        return Ok(ExitCode::SUCCESS);
    }
    setup::run(Scope::All)?;
    cargo::build_programs()?;
    println!(
        "Broker {}: starting it, two workers, and a flood",
        options.release
    );
    let report = chaos::run(&options, &mut |line| println!("{line}"))?;
    print!("\n{report}");
    println!("seed {seed}");
    Ok(if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Short enough to be typed.
fn any_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().subsec_micros().into()
}

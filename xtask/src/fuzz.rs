//! Fuzzing the doors through which strangers' bytes come in: each target in turn, for a while.
//!
//! `fuzz/` holds the targets, [`build`] builds them, [`session`] runs one, and [`log`] reads what
//! libFuzzer says. `docs/fuzzing.md` tells what the targets hold.

mod build;
mod log;
mod session;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use ncs_e2e::paths::Runtime;

use crate::setup::{self, Scope};
use session::Session;

#[derive(Debug, Clone, Args)]
pub(crate) struct FuzzOptions {
    /// Seconds for each target.
    #[arg(long, value_name = "N", default_value_t = 60,
          value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,

    /// Only this one [default: each in turn].
    #[arg(long, value_enum, value_name = "NAME")]
    target: Option<Target>,
}

/// A binary of `fuzz/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Target {
    /// The body of a bincode job.
    JobBody,
    /// A job as a whole message: AMQP's properties and the body.
    JobMessage,
    /// The body of a result, as bincode and as JSON.
    Result,
    /// From an encoded image to the input tensor.
    Image,
}

impl Target {
    const fn name(self) -> &'static str {
        match self {
            Self::JobBody => "job_body",
            Self::JobMessage => "job_message",
            Self::Result => "result",
            Self::Image => "image",
        }
    }

    /// The longest inputs that are tried, in bytes. Jobs and results that are longer have nothing
    /// new in them; images have room for more than one picture's worth of segments and chunks.
    const fn max_len(self) -> usize {
        match self {
            Self::JobBody | Self::JobMessage => 1 << 10,
            Self::Result => 4 << 10,
            Self::Image => 16 << 10,
        }
    }
}

pub(crate) fn run(options: &FuzzOptions) -> Result<ExitCode> {
    let toolchain = build::Nightly::find()?;
    setup::run(Scope::Fuzz)?;
    let runtime = Runtime::locate()?;
    let binaries = toolchain.build(&runtime)?;

    let targets = options
        .target
        .map_or_else(|| Target::value_variants().to_vec(), |one| vec![one]);
    let mut reports = Vec::new();
    for target in targets {
        let session = Session::new(target, &binaries, &runtime)?;
        println!(
            "Fuzzing {} for {} s; what it says is in {}",
            target.name(),
            options.seconds,
            session.log().display()
        );
        reports.push(session.run(options.seconds)?);
    }
    println!();
    for report in &reports {
        println!("{report}");
    }
    let found = reports.iter().any(|report| report.finding.is_some());
    Ok(if found {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ncs_e2e::paths;

    use super::*;

    #[test]
    fn every_target_has_a_program_and_seeds_that_are_tried_whole() {
        let fuzz = paths::repository_root().join("fuzz");
        for target in Target::value_variants() {
            let name = target.name();
            assert_eq!(Target::from_str(name, false).as_ref(), Ok(target));
            let program = fuzz.join("fuzz_targets").join(format!("{name}.rs"));
            assert!(program.is_file(), "{}", program.display());
            for seed in fs::read_dir(fuzz.join("corpus").join(name)).expect("seeds") {
                let seed = seed.expect("a seed");
                let len = seed.metadata().expect("a size").len();
                let max = u64::try_from(target.max_len()).expect("a small number");
                assert!(len <= max, "{} has {len} bytes", seed.path().display());
            }
        }
    }
}

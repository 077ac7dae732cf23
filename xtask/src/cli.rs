//! The command line.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::bench::BenchOptions;
use crate::chaos::ChaosArgs;
use crate::demo::DemoOptions;
use crate::fuzz::FuzzOptions;
use crate::setup::Scope;
use crate::{bench, chaos, demo, fuzz, setup, test};

/// The tasks of this repository. Each sets up first what it needs and what is missing, into
/// `.runtime/`.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub(crate) struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Set up everything, and run nothing.
    Setup,
    /// Classify real photos: a producer floods, a worker infers, a report is printed.
    ///
    /// Example: cargo xtask demo --jobs 1000 --images ~/Pictures
    ///
    /// On emulated Neural Compute Sticks: cargo xtask demo --sticks 4
    Demo(DemoOptions),
    /// Measure the fleet beside OpenVINO's own `benchmark_app`, then on emulated Neural Compute
    /// Sticks, and print the ratios.
    ///
    /// Example: cargo xtask bench --only cpu --rounds 3
    ///
    /// Only emulated sticks, so many: cargo xtask bench --sticks 1,2,4,8
    Bench(BenchOptions),
    /// Fuzz whatever takes bytes from strangers: jobs, results, images. Needs a nightly Rust.
    ///
    /// Example: cargo xtask fuzz --seconds 600
    ///
    /// Only one of the targets: cargo xtask fuzz --target image
    Fuzz(FuzzOptions),
    /// Let everything happen to a fleet that happens to fleets, and hold it to its promise that no job
    /// is lost.
    ///
    /// Example: cargo xtask chaos --seconds 60 --seed 7 --broker 4
    Chaos(ChaosArgs),
    /// Run every test of the workspace.
    ///
    /// Example: cargo xtask test -- --package ncs-e2e
    Test {
        /// Passed on to `cargo test`.
        #[arg(last = true, value_name = "CARGO TEST ARGUMENTS")]
        arguments: Vec<OsString>,
    },
}

pub(crate) fn run(cli: Cli) -> Result<ExitCode> {
    match cli.task {
        Task::Setup => setup::run(Scope::All).map(|()| ExitCode::SUCCESS),
        Task::Demo(options) => demo::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Chaos(options) => chaos::run(&options),
        Task::Test { arguments } => test::run(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

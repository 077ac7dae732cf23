//! The `ncs-producer` program.

use clap::Parser;
use ncs_producer::cli::{Cli, Command};
use ncs_producer::{AboveProgress, dead, flood, status, targets};
use ncs_program::{exit, logging, start};
use std::process::ExitCode;

fn main() -> ExitCode {
    start::hide_password();
    let cli = Cli::parse();
    logging::start_on(|| AboveProgress);
    let outcome = match &cli.command {
        Command::Flood(arguments) => flood::run(arguments),
        #[cfg(unix)]
        Command::Submit(arguments) => ncs_producer::submit::run(arguments),
        Command::Dead(command) => dead::run(command),
        Command::Status(arguments) => status::run(arguments),
        Command::Targets(arguments) => targets::run(arguments),
    };
    exit::report("ncs-producer", outcome)
}

//! The `ncs-worker` program.

use clap::Parser;
use ncs_program::{exit, logging, start};
use ncs_worker::cli::{Cli, Command};
use ncs_worker::{bench, devices, doctor, health, service};
use std::process::ExitCode;

fn main() -> ExitCode {
    start::hide_password();
    let cli = Cli::parse();
    logging::start();
    let outcome = match &cli.command {
        Command::Run(arguments) => service::run(arguments).map(|never| match never {}),
        Command::Devices(arguments) => devices::print(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Health(arguments) => health::check(arguments),
        Command::Doctor(arguments) => return doctor::run(arguments),
    };
    exit::report("ncs-worker", outcome.map(|()| ExitCode::SUCCESS))
}

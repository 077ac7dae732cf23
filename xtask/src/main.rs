//! `cargo xtask`: sets up what this repository needs, shows it at work, and tests it.
//!
//! Read [`setup`] first: one small file per step. [`demo`] and [`mod@test`] set up, start a
//! [`broker`], and run the fleet or the tests against it; [`mod@bench`] measures it. Where there are
//! sticks, they are [`emulated`]. [`fuzz`] needs no fleet: it tries what strangers may send.

#[cfg(unix)]
mod bench;
#[cfg(unix)]
mod broker;
#[cfg(unix)]
mod cargo;
#[cfg(unix)]
mod chaos;
#[cfg(unix)]
mod cli;
#[cfg(unix)]
mod demo;
#[cfg(unix)]
mod docker;
#[cfg(unix)]
mod emulated;
#[cfg(unix)]
mod fuzz;
#[cfg(unix)]
mod setup;
#[cfg(unix)]
mod test;

use std::process::ExitCode;

#[cfg(unix)]
fn main() -> ExitCode {
    use clap::Parser;

    cli::run(cli::Cli::parse()).unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(not(unix))]
fn main() -> ExitCode {
    eprintln!("xtask: this needs Linux, or another Unix");
    ExitCode::FAILURE
}

//! Running cargo from a program that cargo itself runs.

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, bail};
use ncs_e2e::paths;

/// What `cargo run` tells the program about its package. Passed on, it would look like a changed
/// environment to build scripts that watch it, and they would build again.
const ABOUT_US: [&str; 6] = [
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_BIN_",
    "CARGO_CRATE_NAME",
    "CARGO_PRIMARY_PACKAGE",
    "OUT_DIR",
];

/// Read by cargo relative to its current folder, which is another one for us.
const TARGET_DIRS: [&str; 2] = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"];

/// `cargo <subcommand>` in the repository's root, whatever folder it was called from.
pub(crate) fn command(subcommand: &str) -> Result<Command> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    in_repository(command.arg(subcommand))?;
    Ok(command)
}

/// A program that runs cargo, in the repository's root and without what describes ourselves.
pub(crate) fn in_repository(command: &mut Command) -> Result<&mut Command> {
    command.current_dir(paths::repository_root());
    for (name, _) in env::vars_os() {
        if is_about_us(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    for name in TARGET_DIRS {
        if let Some(dir) = env::var_os(name).filter(|dir| !dir.is_empty()) {
            command.env(name, std::path::absolute(dir)?);
        }
    }
    Ok(command)
}

/// Builds the two programs, and the library that emulates sticks for them.
pub(crate) fn build_programs() -> Result<()> {
    println!(
        "Building ncs-worker, ncs-producer and the stick emulator (the first time takes minutes)"
    );
    build(&[
        "--package",
        "ncs-worker",
        "--package",
        "ncs-producer",
        "--package",
        "ncs-stick-emulator",
    ])
}

/// Builds the same, and all tests: with the features that tests add to dependencies, so that these are built
/// once and not once for the programs and once more for the tests.
pub(crate) fn build_programs_and_tests() -> Result<()> {
    println!("Building everything (the first time takes minutes)");
    build(&["--workspace", "--all-targets"])
}

fn build(what: &[&str]) -> Result<()> {
    let mut build = command("build")?;
    build.arg("--release").args(what);
    let status = status(&mut build)?;
    if !status.success() {
        bail!("`cargo build` failed, {status}; what it says is above");
    }
    Ok(())
}

pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    command.status().context("cannot start cargo")
}

fn is_about_us(name: &str) -> bool {
    ABOUT_US.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::is_about_us;

    #[test]
    fn only_what_describes_xtask_is_kept_from_cargo() {
        for name in ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "OUT_DIR"] {
            assert!(is_about_us(name), "{name}");
        }
        for name in [
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_NET_OFFLINE",
            "RUSTFLAGS",
            "PATH",
        ] {
            assert!(!is_about_us(name), "{name}");
        }
    }
}

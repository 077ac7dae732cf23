//! Building the targets, which takes a nightly Rust.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use ncs_e2e::paths::{self, Runtime};

use crate::cargo;

/// How C is compiled, here libjpeg-turbo's: with AddressSanitizer, and so that libFuzzer sees which
/// way an input takes in it. rustc's LLVM does the same to Rust; clang's may be years older, since
/// what the two call has not changed.
const INSTRUMENTED_C: [(&str, &str); 3] = [
    ("CC", "clang"),
    ("CFLAGS", "-fsanitize=address,fuzzer-no-link"),
    // libFuzzer itself; for one compiler to suffice.
    ("CXX", "clang++"),
];

/// Only a nightly compiler instruments what it builds.
pub(super) struct Nightly {
    /// The target triple of this machine, which cargo-fuzz builds for.
    host: String,
}

impl Nightly {
    pub(super) fn find() -> Result<Self> {
        let output = Command::new("rustup")
            .args(["run", "nightly", "rustc", "--version", "--verbose"])
            .output()
            .context(
                "cannot start rustup, which fuzzing takes for its nightly Rust: install rustup, \
                 then run `rustup toolchain install nightly`",
            )?;
        if !output.status.success() {
            bail!(
                "fuzzing takes a nightly Rust ({}): run `rustup toolchain install nightly --profile \
                 minimal`",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let said = String::from_utf8_lossy(&output.stdout);
        let host = said.lines().find_map(|line| line.strip_prefix("host: "));
        Ok(Self {
            host: host
                .context("the nightly rustc does not tell what it builds for")?
                .to_owned(),
        })
    }

    /// Builds all targets, and returns their folder.
    pub(super) fn build(&self, runtime: &Runtime) -> Result<PathBuf> {
        println!("Building the fuzz targets (the first time takes minutes)");
        let target_dir = paths::bin_dir()?.with_file_name("fuzz");
        let mut build = Command::new("rustup");
        build
            .args(["run", "nightly"])
            .arg(runtime.cargo_fuzz())
            .args(["build", "--target", &self.host, "--target-dir"])
            .arg(&target_dir);
        for (name, value) in INSTRUMENTED_C {
            build.env(format!("{name}_{}", self.host.replace('-', "_")), value);
        }
        let status = cargo::status(cargo::in_repository(&mut build)?)?;
        if !status.success() {
            bail!("building the fuzz targets failed, {status}; what it says is above");
        }
        Ok(target_dir.join(&self.host).join("release"))
    }
}

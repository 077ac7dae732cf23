//! Chaos: a fleet under load to which everything happens that happens to fleets, and the proof that
//! no job was lost.
//!
//! Read in this order:
//!
//! - [`fault`]: what can happen; [`plan`]: what will, decided by a seed, with `random`'s numbers;
//! - `fleet` and its `host`s: what it happens to; `strike`: making it happen, and mending it;
//! - `answers`: what was answered; `verdict`: what must be true of it;
//! - [`recovery`]: how long it took until answers came again; [`report`]: all of it.

mod answers;
pub mod fault;
mod fleet;
mod host;
pub mod plan;
mod random;
pub mod recovery;
pub mod report;
mod strike;
mod verdict;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::paths::Runtime;
use crate::rabbitmq::Release;
use crate::run_dir::RunDir;
use answers::Answers;
use fleet::Fleet;
pub use plan::Plan;
pub use report::Report;

/// Which chaos.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChaosOptions {
    /// Decides, with [`seconds`](Self::seconds), what happens.
    pub seed: u64,
    /// For how long things happen, about.
    pub seconds: u64,
    /// The broker.
    pub release: Release,
    /// Keep logs and results of a good run too.
    pub keep: bool,
}

impl ChaosOptions {
    /// What will happen.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan::new(self.seed, Duration::from_secs(self.seconds))
    }

    /// How to run exactly this again.
    #[must_use]
    pub fn command(&self) -> String {
        let Self { seed, seconds, .. } = self;
        let broker = self
            .release
            .major()
            .map(|major| format!(" --broker {major}"));
        let broker = broker.unwrap_or_default();
        format!("cargo xtask chaos --seconds {seconds} --seed {seed}{broker}")
    }
}

/// Runs it, telling each step with a line. Broken promises are in the report; with them, logs and
/// results are kept.
///
/// # Errors
/// When the fleet cannot be started or judged, or does not come to rest: also with where the logs are.
pub fn run(options: &ChaosOptions, tell: &mut dyn FnMut(&str)) -> Result<Report> {
    let dir = RunDir::create("chaos")?;
    let mut report = run_in(dir.path(), options, tell).or_else(|error| {
        let kept = keep(dir.path(), options)?;
        bail!(
            "{error:#}\nlogs and results: {}\nto run exactly this again: {}",
            kept.display(),
            options.command()
        )
    })?;
    if options.keep || !report.is_good() {
        report.kept = Some(keep(dir.path(), options)?);
    }
    Ok(report)
}

fn run_in(dir: &Path, options: &ChaosOptions, tell: &mut dyn FnMut(&str)) -> Result<Report> {
    let plan = options.plan();
    let mut fleet = Fleet::start(options.release, plan.heartbeat, dir)?;
    let start = Instant::now();
    let mut records = Vec::new();
    let survived = plan.steps.iter().try_for_each(|step| {
        let at = start.elapsed() + step.calm;
        tell(&format!("{:6.1} s  {step}", at.as_secs_f64()));
        fleet.suffer(step, &mut records)
    });
    let took = start.elapsed();
    fs::write(dir.join("faults.log"), strike::log_of(&records))?;
    fs::write(dir.join("rabbitmq.log"), fleet.broker.log())?;
    fs::write(dir.join("producer.stderr"), fleet.producer.stderr())?;
    survived?;
    tell("waiting until every job is answered");
    let remains = fleet.end()?;
    fs::write(dir.join("producer.stderr"), &remains.flood.stderr)?;
    let answers = Answers::read(&dir.join("results.jsonl"))?;
    Ok(Report::new(
        options, &plan, took, &records, &answers, &remains,
    ))
}

/// Moves the folder to where it stays until the same run fails again.
fn keep(dir: &Path, options: &ChaosOptions) -> Result<PathBuf> {
    let ChaosOptions {
        seed,
        seconds,
        release,
        ..
    } = options;
    let parent = Runtime::locate()?.dir().join("chaos");
    let kept = parent.join(format!("seed-{seed}-seconds-{seconds}-broker-{release}"));
    let _ = fs::remove_dir_all(&kept);
    fs::create_dir_all(&parent)
        .and_then(|()| fs::rename(dir, &kept))
        .with_context(|| format!("cannot keep the logs in {}", kept.display()))?;
    Ok(kept)
}

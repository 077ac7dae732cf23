//! `ncs-producer flood` as a child process.

use std::ffi::OsString;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::paths;
use crate::place::Place;
use crate::process::{Output, Process};
use crate::run_dir::RunDir;
use crate::worker::without_inherited_settings;

/// How a flood shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloodOptions {
    /// The model's name, as in its queue's.
    pub model: String,
    /// The broker.
    pub amqp_url: String,
    /// Where the jobs come from, how many, and whatever else `ncs-producer flood` takes.
    pub arguments: Vec<OsString>,
    /// Further environment variables. `NCS_…` variables are not inherited from us.
    pub environment: Vec<(OsString, OsString)>,
    /// On which host it runs.
    pub place: Place,
}

impl FloodOptions {
    /// A flood to be described by its [`arguments`](Self::arguments).
    #[must_use]
    pub fn new(model: &str, amqp_url: &str) -> Self {
        Self {
            model: model.to_owned(),
            amqp_url: amqp_url.to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            place: Place::default(),
        }
    }

    /// On this host.
    #[must_use]
    pub fn on(mut self, place: &Place) -> Self {
        self.place = place.clone();
        self
    }

    /// A flood of `jobs` jobs made of the images in `dir`.
    #[must_use]
    pub fn images(self, dir: &Path, jobs: u64) -> Self {
        let jobs = jobs.to_string();
        self.arguments([
            OsString::from("--images"),
            dir.into(),
            "--jobs".into(),
            jobs.into(),
        ])
    }

    /// With further arguments of `ncs-producer flood`, for example `["--window", "64"]`.
    #[must_use]
    pub fn arguments<A: Into<OsString>>(mut self, more: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(more.into_iter().map(Into::into));
        self
    }

    /// With a further environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The command; its standard output and error are still the caller's to choose.
    ///
    /// # Errors
    /// When the program is not built.
    pub fn command(&self) -> Result<Command> {
        let mut command = Command::new(paths::binary("ncs-producer")?);
        without_inherited_settings(&mut command)
            .args(["flood", "--model", &self.model])
            .env("NCS_AMQP_URL", &self.amqp_url)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }
}

/// What is left of a producer that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Success only if every job was answered and none failed.
    pub status: ExitStatus,
    /// The report that people read.
    pub stdout: String,
    /// Warnings and errors.
    pub stderr: String,
    /// The report of `--json`, if it came to that.
    pub report: Option<Value>,
}

/// A flooding producer process. It derefs to its [`Process`]; dropping it kills it.
#[derive(Debug)]
pub struct Producer {
    process: Process,
    report: PathBuf,
    _dir: RunDir,
}

impl Producer {
    /// Starts `ncs-producer flood` with `--json` added, its output caught.
    ///
    /// # Errors
    /// When the program is not built or cannot be started.
    pub fn flood(options: &FloodOptions) -> Result<Self> {
        let dir = RunDir::create("ncs-producer")?;
        let report = dir.path().join("report.json");
        let mut command = options.command()?;
        command.arg("--json").arg(&report);
        let output = Output::Files(dir.path().to_owned());
        let place = &options.place;
        let process = place.run(|| Process::spawn("ncs-producer", command, output))??;
        Ok(Self {
            process,
            report,
            _dir: dir,
        })
    }

    /// Waits until it has ended, and reads its report.
    ///
    /// # Errors
    /// When it takes longer than `limit`, or its report is not JSON.
    pub fn finish(mut self, limit: Duration) -> Result<Finished> {
        let status = self.process.wait_with_limit(limit)?;
        let report = match std::fs::read(&self.report) {
            Ok(json) => Some(serde_json::from_slice(&json).context("the producer's report")?),
            Err(_) => None,
        };
        let (stdout, stderr) = (self.process.stdout(), self.process.stderr());
        Ok(Finished {
            status,
            stdout,
            stderr,
            report,
        })
    }
}

impl Deref for Producer {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Producer {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

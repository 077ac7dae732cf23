//! `ncs-worker run` as a child process.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::http::{HttpResponse, http_get};
use crate::paths::{self, Runtime};
use crate::place::Place;
use crate::process::{Output, Process};
use crate::run_dir::RunDir;
use crate::{free_port, poll_until};

/// How a worker shall be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerOptions {
    /// The IR's `.xml`; its name without that is the model's.
    pub model: PathBuf,
    /// The broker.
    pub amqp_url: String,
    /// The folder of `libopenvino_c.so`.
    pub openvino_dir: PathBuf,
    /// Further arguments of `ncs-worker run`.
    pub arguments: Vec<OsString>,
    /// Further environment variables. `NCS_…` variables are not inherited from us.
    pub environment: Vec<(OsString, OsString)>,
    /// Where its output goes, after what is there already; `None`: to a folder that goes with it.
    pub logs: Option<PathBuf>,
    /// On which host it runs.
    pub place: Place,
    /// How long it may take until it is ready. Compiling `GoogLeNet` takes about a second.
    pub ready_limit: Duration,
}

impl WorkerOptions {
    /// A worker on the OpenVINO and the model that `cargo xtask setup` has made; see
    /// [`paths::GOOGLENET`].
    ///
    /// # Errors
    /// When one of them is missing.
    pub fn new(runtime: &Runtime, model: &str, amqp_url: &str) -> Result<Self> {
        Ok(Self::with_model(
            runtime.openvino()?,
            runtime.model(model)?,
            amqp_url,
        ))
    }

    /// A worker on this folder of `libopenvino_c.so` and this IR.
    #[must_use]
    pub fn with_model(openvino_dir: PathBuf, model: PathBuf, amqp_url: &str) -> Self {
        Self {
            model,
            amqp_url: amqp_url.to_owned(),
            openvino_dir,
            arguments: Vec::new(),
            environment: Vec::new(),
            logs: None,
            place: Place::default(),
            ready_limit: Duration::from_secs(60),
        }
    }

    /// With further arguments of `ncs-worker run`, for example `["--devices", "MULTI:CPU"]`.
    #[must_use]
    pub fn arguments<A: Into<OsString>>(mut self, more: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(more.into_iter().map(Into::into));
        self
    }

    /// On this host.
    #[must_use]
    pub fn on(mut self, place: &Place) -> Self {
        self.place = place.clone();
        self
    }

    /// With its output appended to `ncs-worker.stdout` and `ncs-worker.stderr` in this folder.
    #[must_use]
    pub fn logs(mut self, dir: PathBuf) -> Self {
        self.logs = Some(dir);
        self
    }

    /// With a further environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }
}

/// A worker process. It derefs to its [`Process`]; dropping it kills it.
#[derive(Debug)]
pub struct Worker {
    process: Process,
    metrics_addr: SocketAddr,
    place: Place,
    ready_limit: Duration,
    _dir: RunDir,
}

impl Worker {
    /// Starts a worker and waits until it is ready.
    ///
    /// # Errors
    /// When it ends before that or takes too long, with the end of what it wrote.
    pub fn start(options: &WorkerOptions) -> Result<Self> {
        let mut worker = Self::spawn(options)?;
        worker.wait_until_ready()?;
        Ok(worker)
    }

    /// Starts a worker and does not wait, for tests of a start that fails.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(options: &WorkerOptions) -> Result<Self> {
        let dir = RunDir::create("ncs-worker")?;
        let metrics_addr: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()?).into();
        let mut command = Command::new(paths::binary("ncs-worker")?);
        without_inherited_settings(&mut command)
            .arg("run")
            .arg("--model")
            .arg(&options.model)
            .arg("--openvino-dir")
            .arg(&options.openvino_dir)
            .env("NCS_AMQP_URL", &options.amqp_url)
            .args(["--metrics-addr", &metrics_addr.to_string()])
            .args(&options.arguments)
            .envs(
                options
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            );
        let output = Output::Files(options.logs.clone().unwrap_or(dir.path().to_owned()));
        let place = options.place.clone();
        let process = place.run(|| Process::spawn("ncs-worker", command, output))??;
        Ok(Self {
            process,
            metrics_addr,
            place,
            ready_limit: options.ready_limit,
            _dir: dir,
        })
    }

    /// Whether `/readyz` answers 200.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.get("/readyz").is_ok_and(|got| got.status == 200)
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// When the worker ends before that or takes too long, with the end of what it wrote.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        let limit = self.ready_limit;
        let ready = poll_until(limit, || match self.process.try_wait() {
            Ok(None) => self.is_ready().then_some(Ok(())),
            Ok(Some(status)) => Some(Err(format!(
                "the worker ended before it was ready, {status}"
            ))),
            Err(error) => Some(Err(format!("{error:#}"))),
        });
        match ready {
            Some(Ok(())) => Ok(()),
            Some(Err(why)) => bail!("{why}{}", self.process.last_words()),
            None => bail!(
                "the worker is not ready within {limit:?}{}",
                self.process.last_words()
            ),
        }
    }

    /// Where it serves `/metrics`, `/healthz` and `/readyz` on its own host.
    #[must_use]
    pub fn metrics_addr(&self) -> SocketAddr {
        self.metrics_addr
    }

    /// `GET` of one of its pages.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn get(&self, path: &str) -> Result<HttpResponse> {
        self.place.run(|| http_get(self.metrics_addr, path))?
    }

    /// Its `/metrics` page.
    ///
    /// # Errors
    /// When it does not answer, or not with 200.
    pub fn metrics(&self) -> Result<String> {
        let got = self.get("/metrics")?;
        if got.status != 200 {
            bail!("/metrics answered {}: {}", got.status, got.body);
        }
        Ok(got.body)
    }

    /// Asks it to end (SIGTERM) and waits until it has finished what it had in hand.
    ///
    /// # Errors
    /// When it takes longer than `limit`, with the end of what it wrote.
    pub fn drain(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.process.terminate()?;
        self.process.wait_with_limit(limit)
    }
}

impl Deref for Worker {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Worker {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Every flag of our programs can also come from the environment: what the user of this machine
/// has set there must not decide how a test goes.
pub(crate) fn without_inherited_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("NCS_") {
            command.env_remove(name);
        }
    }
    command
}

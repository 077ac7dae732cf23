//! OpenVINO on a thread that can be given up.
//!
//! A stick in a bad state can keep a call into OpenVINO for ever, and nothing ends such a call. So
//! the calls that load and list run on a thread of their own, and whoever asks waits for so long and
//! no longer.

use anyhow::{Context, anyhow};
use ncs_engine::{Device, EngineError, Runtime};
use ncs_program::exit::StartMeAgain;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

type Task = Box<dyn FnOnce(&mut Runtime) + Send>;

/// Starting OpenVINO reads some files, and on a host with sticks looks through its USB devices.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Listing devices looks through the host's USB devices.
const LIST_LIMIT: Duration = Duration::from_secs(15);

/// Freeing a network talks to its sticks.
const FREE_LIMIT: Duration = Duration::from_secs(3);

/// Letting go of the sticks, at the end.
const END_LIMIT: Duration = Duration::from_secs(3);

/// Threads that may be given up in the life of a process: each keeps what it had of OpenVINO.
const MAX_GIVEN_UP: u32 = 16;

/// An OpenVINO runtime, and the thread that it lives on.
pub(super) struct OpenVino {
    directory: Option<PathBuf>,
    /// None after a call that did not come back.
    thread: Option<Thread>,
    given_up: u32,
}

struct Thread {
    tasks: Sender<Task>,
    /// Disconnected when the thread has ended and its runtime is gone.
    alive: Receiver<()>,
}

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// It did not come back. Its thread is given up, with its runtime.
    #[error("openvino does not come back from {action} after {limit:?}")]
    Stuck {
        action: &'static str,
        limit: Duration,
    },
    /// It failed.
    #[error(transparent)]
    Failed(#[from] EngineError),
}

impl OpenVino {
    /// With a runtime that was loaded from this directory.
    pub(super) fn new(runtime: Runtime, directory: Option<PathBuf>) -> anyhow::Result<Self> {
        let thread = Thread::start(move || Ok(runtime))?;
        Ok(Self {
            directory,
            thread: Some(thread),
            given_up: 0,
        })
    }

    /// Calls OpenVINO; with a new runtime, if the last call did not come back. The outer error ends
    /// the worker.
    pub(super) fn call<T: Send + 'static>(
        &mut self,
        action: &'static str,
        limit: Duration,
        call: impl FnOnce(&mut Runtime) -> Result<T, EngineError> + Send + 'static,
    ) -> anyhow::Result<Result<T, Refused>> {
        let thread = match self.thread.take() {
            Some(thread) => thread,
            None => self.start()?,
        };
        let (answer, answered) = mpsc::sync_channel(1);
        let task: Task = Box::new(move |runtime| {
            // Nobody waits any more: its value is dropped here.
            let _ = answer.send(call(runtime));
        });
        if thread.tasks.send(task).is_ok()
            && let Ok(value) = answered.recv_timeout(limit)
        {
            self.thread = Some(thread);
            return Ok(value.map_err(Refused::from));
        }
        self.given_up += 1;
        Ok(Err(Refused::Stuck { action, limit }))
    }

    /// Lists the devices.
    pub(super) fn devices(&mut self) -> anyhow::Result<Result<Vec<Device>, Refused>> {
        self.call("listing the devices", LIST_LIMIT, |runtime| {
            runtime.devices()
        })
    }

    /// A stick's temperature in °C, if it says one.
    pub(super) fn temperature(
        &mut self,
        stick: &str,
    ) -> anyhow::Result<Result<Option<f64>, Refused>> {
        let stick = stick.to_owned();
        self.call("reading a temperature", LIST_LIMIT, move |runtime| {
            Ok(runtime.temperature(&stick))
        })
    }

    /// Whether each call came back, in its time.
    pub(super) fn all_came_back(&self) -> bool {
        self.given_up == 0
    }

    /// Starts over with a new runtime. The one before goes first, if it does, so that its plugin lets
    /// go of the sticks. An error ends the worker.
    pub(super) fn renew(&mut self) -> anyhow::Result<()> {
        self.end(START_LIMIT);
        self.thread = Some(self.start()?);
        Ok(())
    }

    /// Lets go of the runtime.
    pub(super) fn close(mut self) {
        self.end(END_LIMIT);
    }

    fn end(&mut self, limit: Duration) {
        let Some(Thread { tasks, alive }) = self.thread.take() else {
            return;
        };
        drop(tasks);
        if alive.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            self.given_up += 1;
        }
    }

    fn start(&mut self) -> anyhow::Result<Thread> {
        if self.given_up >= MAX_GIVEN_UP {
            let reason = format!("{MAX_GIVEN_UP} calls into openvino have not come back");
            return Err(StartMeAgain(reason).into());
        }
        let directory = self.directory.clone();
        let load = move || Runtime::load(directory.as_deref()).map_err(anyhow::Error::from);
        Thread::start(load).map_err(|error| {
            // It may be inside OpenVINO still.
            self.given_up += 1;
            StartMeAgain(format!("{error:#}")).into()
        })
    }
}

impl Thread {
    fn start(
        load: impl FnOnce() -> anyhow::Result<Runtime> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (tasks, to_do) = channel::<Task>();
        let (life, alive) = channel();
        let (started, start) = mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name("openvino".to_owned())
            .spawn(move || {
                // Dropped last, after the runtime.
                let _life = life;
                let mut runtime = match load() {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        let _ = started.send(Err(error));
                        return;
                    }
                };
                let _ = started.send(Ok(()));
                for task in to_do {
                    task(&mut runtime);
                }
            })
            .context("cannot start a thread for openvino")?;
        start
            .recv_timeout(START_LIMIT)
            .map_err(|_| anyhow!("openvino does not start within {START_LIMIT:?}"))??;
        Ok(Self { tasks, alive })
    }
}

/// Frees what is no longer used on a thread of its own, and waits a while for its end. Returns the
/// thread that does not come back.
pub(super) fn free<T: Send + 'static>(unused: T) -> Option<JoinHandle<()>> {
    let (done, freed) = mpsc::sync_channel(1);
    let freeing = std::thread::Builder::new()
        .name("free".to_owned())
        .spawn(move || {
            drop(unused);
            let _ = done.send(());
        });
    // No thread, and it was freed here.
    let freeing = freeing.ok()?;
    if freed.recv_timeout(FREE_LIMIT).is_ok() {
        return None;
    }
    tracing::warn!("openvino does not come back from freeing a network; left it behind");
    Some(freeing)
}

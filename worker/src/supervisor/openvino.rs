//! OpenVINO on a thread that can be given up.
//!
//! A stick in a bad state can keep a call into OpenVINO for ever, and nothing ends such a call. So
//! the calls that load and list run on a thread of their own, and whoever asks waits for so long and
//! no longer.

use anyhow::{Context, anyhow, bail};
use ncs_engine::Runtime;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

type Task = Box<dyn FnOnce(&mut Runtime) + Send>;

/// Starting OpenVINO reads some files, and on a host with sticks looks through its USB devices.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Threads that may be given up in the life of a process: each keeps what it had of OpenVINO.
const MAX_GIVEN_UP: u32 = 16;

/// An OpenVINO runtime, and the thread that it lives on.
pub struct OpenVino {
    directory: Option<PathBuf>,
    thread: Option<Thread>,
    given_up: u32,
}

struct Thread {
    tasks: Sender<Task>,
    /// Disconnected when the thread has ended and its runtime is gone.
    alive: Receiver<()>,
}

/// A call did not come back.
#[derive(Debug, thiserror::Error)]
#[error("openvino does not come back from {action} after {limit:?}")]
pub struct Stuck {
    action: &'static str,
    limit: Duration,
}

impl OpenVino {
    /// With a runtime that was loaded from this directory.
    pub fn new(runtime: Runtime, directory: Option<PathBuf>) -> anyhow::Result<Self> {
        let thread = Thread::start(move || Ok(runtime))?;
        Ok(Self {
            directory,
            thread: Some(thread),
            given_up: 0,
        })
    }

    /// Calls OpenVINO. After [`Stuck`], the thread is given up with its runtime, and
    /// [`Self::is_lost`] until [`Self::renew`].
    pub fn call<T: Send + 'static>(
        &mut self,
        action: &'static str,
        limit: Duration,
        call: impl FnOnce(&mut Runtime) -> T + Send + 'static,
    ) -> Result<T, Stuck> {
        let stuck = Stuck { action, limit };
        let Some(thread) = &self.thread else {
            return Err(stuck);
        };
        let (answer, answered) = mpsc::sync_channel(1);
        let task: Task = Box::new(move |runtime| {
            // Nobody waits any more: its value is dropped here.
            let _ = answer.send(call(runtime));
        });
        if thread.tasks.send(task).is_ok()
            && let Ok(value) = answered.recv_timeout(limit)
        {
            return Ok(value);
        }
        self.thread = None;
        self.given_up += 1;
        Err(stuck)
    }

    /// Whether a call did not come back.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.thread.is_none()
    }

    /// Whether each call came back, in its time.
    #[must_use]
    pub fn all_came_back(&self) -> bool {
        self.given_up == 0
    }

    /// Starts over with a new runtime. The one before goes first, if it does, so that its plugin lets
    /// go of the sticks.
    pub fn renew(&mut self) -> anyhow::Result<()> {
        if self.given_up >= MAX_GIVEN_UP {
            bail!("{MAX_GIVEN_UP} calls into openvino have not come back");
        }
        if let Some(Thread { tasks, alive }) = self.thread.take() {
            drop(tasks);
            if alive.recv_timeout(START_LIMIT) == Err(RecvTimeoutError::Timeout) {
                self.given_up += 1;
            }
        }
        let directory = self.directory.clone();
        let load = move || Runtime::load(directory.as_deref()).map_err(anyhow::Error::from);
        self.thread = Some(Thread::start(load)?);
        Ok(())
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

//! A worker that is started again whenever it ends, as a supervisor such as systemd does.

use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::worker::{Worker, WorkerOptions};

/// How often its state is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// The worker, and the thread that watches it. Dropping it ends both.
#[derive(Debug)]
pub struct Supervised {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    options: WorkerOptions,
    /// From a worker's end to the next one's start.
    pause: Duration,
    worker: Mutex<Worker>,
    starts: AtomicU32,
    ending: AtomicBool,
}

impl Supervised {
    /// Starts the worker and waits until it is ready. From then on, each end is followed by another
    /// start after `pause`.
    ///
    /// # Errors
    /// When the first worker does not become ready.
    pub fn start(options: WorkerOptions, pause: Duration) -> Result<Self> {
        let worker = Worker::start(&options)?;
        let shared = Arc::new(Shared {
            options,
            pause,
            worker: Mutex::new(worker),
            starts: AtomicU32::new(1),
            ending: AtomicBool::new(false),
        });
        let watched = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("supervisor".to_owned())
            .spawn(move || watched.watch())
            .context("cannot start a thread")?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// The worker of this moment. While it is held, none is started.
    pub fn worker(&self) -> MutexGuard<'_, Worker> {
        self.shared.worker()
    }

    /// How often it was started.
    #[must_use]
    pub fn starts(&self) -> u32 {
        self.shared.starts.load(Ordering::Relaxed)
    }

    /// Asks the worker to end, and starts no other. Where the last one has just been killed, the next
    /// one is started first, so that the status is that of a worker that was asked.
    ///
    /// # Errors
    /// When none becomes ready, or it does not end, within `limit`, with the end of what it wrote.
    pub fn drain(self, limit: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        let mut worker = loop {
            let worker = self.worker();
            if worker.is_ready() {
                break worker;
            }
            anyhow::ensure!(start.elapsed() < limit, "the worker is not ready");
            drop(worker);
            std::thread::sleep(LOOK);
        };
        self.shared.ending.store(true, Ordering::Relaxed);
        worker.drain(limit)
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of it was printed by itself.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn worker(&self) -> MutexGuard<'_, Worker> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self) {
        let mut ended: Option<Instant> = None;
        while !self.ending.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK);
            let mut worker = self.worker();
            if matches!(worker.try_wait(), Ok(None)) || self.ending.load(Ordering::Relaxed) {
                continue;
            }
            if ended.get_or_insert_with(Instant::now).elapsed() < self.pause {
                continue;
            }
            // Another try follows where this one fails.
            if let Ok(next) = Worker::spawn(&self.options) {
                *worker = next;
                self.starts.fetch_add(1, Ordering::Relaxed);
                ended = None;
            }
        }
    }
}

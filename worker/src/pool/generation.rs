//! The threads of one network.

use super::infer::{Shared, Worker};
use super::jobs::Jobs;
use crate::metrics::Stopwatch;
use crate::received::Received;
use anyhow::Context;
use ncs_engine::InferRequest;
use ncs_image::{ImageDecoder, InputSpec, PreprocessingError};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Threads with one infer request each.
pub struct Generation {
    /// Counts up; what troubles an earlier one is no trouble any more.
    pub id: u64,
    jobs: Arc<Jobs>,
    shared: Arc<Shared>,
    threads: Vec<(Arc<Slot>, JoinHandle<()>)>,
    answered: Arc<AtomicU64>,
}

/// What ended a thread of a generation.
pub struct Trouble {
    /// Whose thread it was.
    pub generation: u64,
    /// What kind.
    pub cause: Cause,
    /// Its job had not failed before: it is hardly the job's fault.
    pub first: bool,
    /// What exactly.
    pub error: anyhow::Error,
}

/// Why a network has to be rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// An inference failed.
    InferenceFailed,
    /// An inference did not end in time.
    TimedOut,
    /// A call into OpenVINO does not come back.
    Stuck,
    /// A thread panicked.
    Panicked,
    /// A device is gone.
    Lost,
    /// A device is there that the network does not use yet.
    Appeared,
}

impl Cause {
    /// All of them, for the metrics.
    pub const ALL: [Self; 6] = [
        Self::InferenceFailed,
        Self::TimedOut,
        Self::Stuck,
        Self::Panicked,
        Self::Lost,
        Self::Appeared,
    ];

    /// As the metrics say it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InferenceFailed => "inference_failed",
            Self::TimedOut => "timed_out",
            Self::Stuck => "stuck",
            Self::Panicked => "panicked",
            Self::Lost => "lost",
            Self::Appeared => "appeared",
        }
    }

    /// Whether the other requests of the network go on while it is rebuilt. A device that fails at
    /// once is the one with the fewest requests in hand, always, so MULTI gives it every job; one
    /// that hangs keeps those that it has, and the others go on.
    #[must_use]
    pub fn leaves_others_working(self) -> bool {
        !matches!(self, Self::InferenceFailed | Self::Panicked)
    }
}

/// What a thread is at, for those who watch it.
pub(super) struct Slot {
    /// The job in its hands.
    job: Mutex<Option<Arc<Received>>>,
    begun: Instant,
    /// Milliseconds since `begun`, plus one, when its inference started; 0 while none runs.
    inferring_since: AtomicU64,
}

impl Slot {
    fn new() -> Self {
        Self {
            job: Mutex::new(None),
            begun: Instant::now(),
            inferring_since: AtomicU64::new(0),
        }
    }

    fn job(&self) -> MutexGuard<'_, Option<Arc<Received>>> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// An inference starts.
    pub(super) fn inferring(&self) {
        self.inferring_since
            .store(self.now() + 1, Ordering::Relaxed);
    }

    /// It has ended.
    pub(super) fn idle(&self) {
        self.inferring_since.store(0, Ordering::Relaxed);
    }

    fn is_inferring_for(&self, limit: Duration) -> bool {
        let since = self.inferring_since.load(Ordering::Relaxed);
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        since != 0 && self.now().saturating_sub(since - 1) > limit
    }
}

impl Generation {
    /// Starts a thread for each request and lets them take the jobs, in place of the generation
    /// before. A thread that is in trouble puts its job back, tells it, and ends.
    pub fn start(
        id: u64,
        requests: Vec<InferRequest>,
        input: InputSpec,
        shared: &Arc<Shared>,
        jobs: &Arc<Jobs>,
        tell: &(impl Fn(Trouble) + Clone + Send + 'static),
    ) -> anyhow::Result<Self> {
        let answered = Arc::new(AtomicU64::new(0));
        let mut threads = Vec::with_capacity(requests.len());
        let decoders = requests
            .iter()
            .map(|_| ImageDecoder::new(input, shared.preprocessing.clone(), shared.images))
            .collect::<Result<Vec<_>, PreprocessingError>>()?;
        // Before the threads start: they would find that another one serves, and end.
        jobs.serve(Some(id));
        for (number, (request, decoder)) in requests.into_iter().zip(decoders).enumerate() {
            let slot = Arc::new(Slot::new());
            let thread = Thread {
                generation: id,
                idle: shared.metrics.network.idle.clone(),
                jobs: Arc::clone(jobs),
                slot: Arc::clone(&slot),
                answered: Arc::clone(&answered),
            };
            let mut worker = Worker::new(request, decoder, input, Arc::clone(shared), slot.clone());
            let tell = tell.clone();
            let handle = std::thread::Builder::new()
                .name(format!("infer-{number}"))
                .spawn(move || {
                    if let Err(trouble) = thread.work(&mut worker) {
                        tell(trouble);
                    }
                })
                .context("cannot start an inference thread")?;
            threads.push((slot, handle));
        }
        Ok(Self {
            id,
            jobs: Arc::clone(jobs),
            shared: Arc::clone(shared),
            threads,
            answered,
        })
    }

    /// Jobs answered so far.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Whether an inference runs for longer than `limit`, which waits for it should have ended.
    #[must_use]
    pub fn has_inference_over(&self, limit: Duration) -> bool {
        let mut slots = self.threads.iter().map(|(slot, _)| slot);
        slots.any(|slot| slot.is_inferring_for(limit))
    }

    /// Ends the threads, each after the job that it has in hand; the jobs of those that wait for their
    /// turn to decode go to the next generation. Jobs of those that take longer than `limit` are tried
    /// again by the next generation; the threads are left to themselves, since nothing can end a call
    /// into OpenVINO, and returned.
    #[must_use]
    pub fn retire(self, limit: Duration) -> Vec<JoinHandle<()>> {
        self.shared.decoding.look_again();
        let deadline = Instant::now() + limit;
        let mut left = Vec::new();
        for (slot, thread) in self.threads {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                // It catches its panics.
                let _ = thread.join();
                continue;
            }
            left.push(thread);
            let job = slot.job().take();
            if let Some(job) = job.filter(|job| !job.is_over()) {
                self.jobs.retry(job);
            }
        }
        left
    }
}

/// One thread's dealings with the queue.
struct Thread {
    generation: u64,
    /// While it waits for a job.
    idle: Stopwatch,
    jobs: Arc<Jobs>,
    slot: Arc<Slot>,
    answered: Arc<AtomicU64>,
}

impl Thread {
    fn next(&self) -> Option<Arc<Received>> {
        let _idle = self.idle.start();
        self.jobs.next(self.generation)
    }

    /// Answers jobs until another generation serves, or until there is trouble.
    fn work(&self, worker: &mut Worker) -> Result<(), Trouble> {
        while let Some(job) = self.next() {
            *self.slot.job() = Some(Arc::clone(&job));
            let is_given_up = || job.is_over() || !self.jobs.is_serving(self.generation);
            let answered = worker.answer(&job, &is_given_up);
            let mine = self.slot.job().take().is_some();
            match answered {
                Ok(Some((messages, outcome))) => {
                    job.answer(messages, outcome);
                    self.answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(None) if mine => self.jobs.retry(job),
                // This thread was given up, and the job is with another one.
                Ok(None) => {}
                Err((cause, error)) => {
                    // Before the job is put back: another thread of this network would take it, and
                    // fail as well.
                    if !cause.leaves_others_working() {
                        self.jobs.stop(self.generation);
                    }
                    // Not mine: this thread was given up, and the job is with another one.
                    let first = mine && worker.try_again(job, &error, &self.jobs) == 1;
                    return Err(Trouble {
                        generation: self.generation,
                        cause,
                        first,
                        error,
                    });
                }
            }
        }
        Ok(())
    }
}

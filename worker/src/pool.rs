//! The threads that infer: one per infer request.
//!
//! A thread decodes straight into its request's input tensor, starts the request, waits for it,
//! reads the best classes and hands on the encoded answer. With 4 requests per stick, 3 threads
//! decode, wait or encode while the stick works for the fourth.

use crate::answer::{Answers, image_failure};
use crate::metrics::{JobOutcome, Metrics};
use anyhow::{Context, anyhow};
use crossbeam_channel::{Receiver, Sender, TrySendError};
use ncs_broker::{Delivery, Message, Ticket};
use ncs_engine::{
    EngineError, ImageDecoder, ImageError, ImageFormat, InferRequest, InputSpec, copy_tensor,
};
use ncs_protocol::{Content, ErrorCode, Failure, ImageType, Job, Outcome, StageTimes};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// A delivery on its way to an infer request.
pub struct Received {
    delivery: Delivery,
    at: Instant,
    at_us: u64,
    /// Where its session waits for it. Once the session is over, nobody does, and the broker hands
    /// the job out again.
    finished: mpsc::Sender<Finished>,
}

/// A job that is answered, but not yet published.
pub struct Finished {
    /// What settles it, once all messages are confirmed.
    pub ticket: Ticket,
    /// The answer.
    pub messages: Vec<Message>,
    /// What it came to.
    pub outcome: JobOutcome,
    /// Since when it waits to be published.
    pub at: Instant,
}

/// The threads. Dropping it ends them after the job that each has in hand.
pub struct Pool {
    jobs: Sender<Received>,
    waiting: Receiver<Received>,
    threads: Vec<JoinHandle<()>>,
}

/// What each thread works with.
struct Worker {
    request: InferRequest,
    decoder: ImageDecoder,
    shared: Arc<Shared>,
}

/// What all threads share.
pub struct Shared {
    /// How to answer.
    pub answers: Answers,
    /// What the network takes.
    pub input: InputSpec,
    /// Where stage times are recorded.
    pub metrics: Metrics,
    /// How long an inference may take.
    pub infer_timeout: Duration,
}

impl Received {
    /// A delivery that has just arrived.
    #[must_use]
    pub fn now(delivery: Delivery, finished: mpsc::Sender<Finished>) -> Self {
        let at_us = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_micros();
        let at_us = u64::try_from(at_us).unwrap_or(u64::MAX);
        Self {
            delivery,
            at: Instant::now(),
            at_us,
            finished,
        }
    }
}

impl Pool {
    /// Starts a thread for each request. `capacity` bounds the jobs that wait for one: the
    /// prefetch. The first inference that fails, or thread that panics, is sent to `failures`.
    pub fn start(
        requests: Vec<(InferRequest, ImageDecoder)>,
        capacity: usize,
        shared: &Arc<Shared>,
        failures: &mpsc::Sender<anyhow::Error>,
    ) -> anyhow::Result<Self> {
        let (jobs, waiting) = crossbeam_channel::bounded::<Received>(capacity);
        let mut threads = Vec::with_capacity(requests.len());
        for (number, (request, decoder)) in requests.into_iter().enumerate() {
            let mut worker = Worker {
                request,
                decoder,
                shared: Arc::clone(shared),
            };
            let (jobs, failures) = (waiting.clone(), failures.clone());
            let thread = std::thread::Builder::new()
                .name(format!("infer-{number}"))
                .spawn(move || {
                    // Decoders' panics are caught by the engine. Whatever else panics may have left
                    // anything half-done.
                    let working = AssertUnwindSafe(|| worker.work(&jobs));
                    let end = std::panic::catch_unwind(working)
                        .map_err(|_| anyhow!("an inference thread panicked"))
                        .and_then(|end| end.map_err(anyhow::Error::from));
                    if let Err(error) = end {
                        // Full: another thread has reported one before.
                        let _ = failures.try_send(error);
                    }
                })
                .context("cannot start an inference thread")?;
            threads.push(thread);
        }
        Ok(Self {
            jobs,
            waiting,
            threads,
        })
    }

    /// Hands a job to the next free thread. Never blocks: the broker hands out no more jobs than
    /// the capacity.
    pub fn submit(&self, job: Received) -> anyhow::Result<()> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => anyhow!("more jobs in hand than the prefetch allows"),
            TrySendError::Disconnected(_) => anyhow!("all inference threads have ended"),
        })
    }

    /// Forgets the jobs that wait for a thread: their session is over.
    pub fn discard_waiting(&self) {
        while self.waiting.try_recv().is_ok() {}
    }

    /// Ends the threads and waits for those that end within `limit`, so that OpenVINO is left in
    /// peace before the process ends.
    pub fn stop(self, limit: Duration) {
        let Self {
            jobs,
            waiting,
            threads,
        } = self;
        drop((jobs, waiting));
        let deadline = Instant::now() + limit;
        for thread in threads {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                // Its panic, if it was one, was reported as a failure.
                let _ = thread.join();
            }
        }
    }
}

impl Worker {
    /// Answers jobs until there are no more to come, or until the device fails.
    fn work(&mut self, jobs: &Receiver<Received>) -> Result<(), EngineError> {
        for received in jobs {
            if received.finished.is_closed() {
                continue;
            }
            let Received {
                delivery,
                at,
                at_us,
                finished,
            } = received;
            let wait_us = micros(at.elapsed());
            let (messages, outcome) = self.answer(&delivery, at_us, wait_us)?;
            let ticket = delivery.ticket;
            // Closed: the session ended meanwhile, and the broker hands the job out again.
            let _ = finished.blocking_send(Finished {
                ticket,
                messages,
                outcome,
                at: Instant::now(),
            });
        }
        Ok(())
    }

    /// Everything about one delivery, from the message to the messages that answer it.
    fn answer(
        &mut self,
        delivery: &Delivery,
        at_us: u64,
        wait_us: u64,
    ) -> Result<(Vec<Message>, JobOutcome), EngineError> {
        let job = match Job::from_message(&delivery.properties, &delivery.body) {
            Ok(job) => job,
            Err(error) => {
                let messages = self.shared.answers.dead_letter(delivery, &error);
                return Ok((messages, JobOutcome::DeadLettered(error.code())));
            }
        };
        let queue_us = job
            .submitted_at_us
            .map(|submitted| at_us.saturating_sub(submitted));
        let mut times = StageTimes {
            queue_us,
            wait_us,
            ..StageTimes::default()
        };
        let outcome = self.infer(&job, &mut times)?;
        let counted = match &outcome {
            Outcome::Classes(_) => {
                self.shared.metrics.observe(&times);
                JobOutcome::Classified
            }
            Outcome::Error(failure) => JobOutcome::Failed(failure.code),
        };
        let attempt = delivery.properties.attempt(delivery.redelivered);
        let message = self.shared.answers.result(&job, attempt, outcome, times);
        Ok((vec![message], counted))
    }

    /// Image → tensor → scores → classes. An error is the device's; the job's own is an outcome.
    fn infer(&mut self, job: &Job<'_>, times: &mut StageTimes) -> Result<Outcome, EngineError> {
        let start = Instant::now();
        let filled = self.fill(job)?;
        times.decode_us = micros(start.elapsed());
        if let Err(error) = filled {
            return Ok(Outcome::Error(image_failure(&error)));
        }
        let start = Instant::now();
        self.request.infer(self.shared.infer_timeout)?;
        let answers = &self.shared.answers;
        let top_k = job.top_k.unwrap_or(answers.top_k);
        let scores = self
            .request
            .top_k(usize::try_from(top_k).unwrap_or(usize::MAX))?;
        times.infer_us = micros(start.elapsed());
        if let Some(score) = scores.iter().find(|score| !score.score.is_finite()) {
            let message = format!(
                "the network gave class {} the score {}; it may be broken, or overflow in this \
                 precision",
                score.index, score.score
            );
            return Ok(Outcome::Error(Failure {
                code: ErrorCode::Internal,
                message,
            }));
        }
        Ok(answers.classes(&scores))
    }

    /// Writes the job's image or tensor into the request's input.
    fn fill(&mut self, job: &Job<'_>) -> Result<Result<(), ImageError>, EngineError> {
        let mut tensor = self.request.input_mut()?;
        Ok(match job.content {
            Content::Image(image_type, bytes) => {
                self.decoder
                    .decode_into(bytes, Some(format_of(image_type)), &mut tensor)
            }
            Content::Tensor(bytes) => copy_tensor(bytes, &self.shared.input, &mut tensor),
        })
    }
}

fn format_of(image_type: ImageType) -> ImageFormat {
    match image_type {
        ImageType::Jpeg => ImageFormat::Jpeg,
        ImageType::Png => ImageFormat::Png,
        ImageType::Bmp => ImageFormat::Bmp,
        ImageType::Webp => ImageFormat::Webp,
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

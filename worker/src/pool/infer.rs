//! What one thread does with one job: decode → infer → top-k → encode.
//!
//! It decodes straight into its request's input tensor. With 4 requests per stick, 3 threads
//! decode, wait or encode while the stick works for the fourth.

use super::gate::{Gate, Place};
use super::generation::{Cause, Slot};
use super::jobs::Jobs;
use crate::answer::{Answers, image_failure, job_failure};
use crate::metrics::{JobOutcome, Metrics};
use crate::received::Received;
use anyhow::anyhow;
use ncs_broker::Message;
use ncs_engine::{EngineError, InferRequest};
use ncs_image::{
    ImageDecoder, ImageError, ImageFormat, ImageLimits, InputSpec, Preprocessing, copy_tensor,
};
use ncs_protocol::{
    Content, ErrorCode, Failure, ImageType, Job, JobError, Outcome, StageTimes, job,
};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many inferences of one job may fail before the job gets an error result. A device that fails
/// is left out after the first or second; a job that fails on each is itself the cause, and would
/// have the network rebuilt for ever.
const MAX_FAILURES: u32 = 8;

/// What all threads of all generations share.
pub struct Shared {
    /// How to answer.
    pub answers: Arc<Answers>,
    /// How pixels become tensor elements.
    pub preprocessing: Preprocessing,
    /// The most bytes of a message.
    pub max_body: usize,
    /// How large an image may be.
    pub images: ImageLimits,
    /// How many images are decoded at once, by the threads of all generations.
    pub decoding: Gate,
    /// Where stage times are recorded.
    pub metrics: Metrics,
    /// How long an inference may take.
    pub infer_timeout: Duration,
}

impl Shared {
    /// Reads the job of a message that is not too large.
    fn job<'r>(&self, received: &'r Received) -> Result<Job<'r>, JobError> {
        job::check_size(received.body.len(), self.max_body)?;
        Job::from_message(&received.properties, &received.body)
    }
}

/// An infer request and what it takes to use it.
pub(super) struct Worker {
    request: InferRequest,
    decoder: ImageDecoder,
    input: InputSpec,
    shared: Arc<Shared>,
    slot: Arc<Slot>,
}

type Answered = (Vec<Message>, JobOutcome);

impl Worker {
    pub(super) fn new(
        request: InferRequest,
        decoder: ImageDecoder,
        input: InputSpec,
        shared: Arc<Shared>,
        slot: Arc<Slot>,
    ) -> Self {
        Self {
            request,
            decoder,
            input,
            shared,
            slot,
        }
    }

    /// The messages that answer a job; `None` if it is given up while it waits to be decoded. An error
    /// is the device's; the job's own is an answer.
    pub(super) fn answer(
        &mut self,
        job: &Received,
        is_given_up: &dyn Fn() -> bool,
    ) -> Result<Option<Answered>, (Cause, anyhow::Error)> {
        // Decoders' panics are caught by the decoder. Whatever else panics may have left anything
        // half-done, so the network is rebuilt.
        let answering = AssertUnwindSafe(|| self.answer_delivery(job, is_given_up));
        match std::panic::catch_unwind(answering) {
            Ok(Ok(answered)) => Ok(answered),
            Ok(Err(error)) => Err((cause_of(&error), error.into())),
            Err(_) => Err((Cause::Panicked, anyhow!("an inference thread panicked"))),
        }
    }

    /// Puts a job back whose inference has failed, unless it has failed too often. Returns how often.
    pub(super) fn try_again(&self, job: Arc<Received>, error: &anyhow::Error, jobs: &Jobs) -> u32 {
        let failures = job.failed();
        if failures < MAX_FAILURES {
            self.shared.metrics.network.retries.inc();
            jobs.retry(job);
            return failures;
        }
        let failure = Failure {
            code: ErrorCode::Internal,
            message: format!("its inference failed {failures} times: {error:#}"),
        };
        match self.shared.job(&job) {
            Ok(parsed) => {
                let outcome = Outcome::Error(failure);
                let times = StageTimes::default();
                let answers = &self.shared.answers;
                let message = answers.result(&parsed, job.attempt(), outcome, times);
                job.answer(vec![message], JobOutcome::Failed(ErrorCode::Internal));
            }
            Err(error) => {
                let (messages, outcome) = self.dead_letter(&job, job_failure(&error));
                job.answer(messages, outcome);
            }
        }
        failures
    }

    /// Everything about one delivery, from the message to the messages that answer it.
    fn answer_delivery(
        &mut self,
        received: &Received,
        is_given_up: &dyn Fn() -> bool,
    ) -> Result<Option<Answered>, EngineError> {
        if let Some(expired) = self.expired(received) {
            return Ok(Some(expired));
        }
        let job = match self.shared.job(received) {
            Ok(job) => job,
            Err(error) => return Ok(Some(self.dead_letter(received, job_failure(&error)))),
        };
        let shared = Arc::clone(&self.shared);
        let place = match job.content {
            Content::Image(..) => match shared.decoding.enter(is_given_up) {
                Some(place) => Some(place),
                None => return Ok(None),
            },
            Content::Tensor(_) => None,
        };
        // Others' images may have taken long.
        if let Some(expired) = self.expired(received) {
            return Ok(Some(expired));
        }
        let wait_us = micros(received.at.elapsed());
        let queue_us = job
            .submitted_at_us
            .map(|submitted| received.at_us.saturating_sub(submitted));
        let mut times = StageTimes {
            queue_us,
            wait_us,
            ..StageTimes::default()
        };
        let outcome = self.infer(&job, place, &mut times)?;
        let counted = match &outcome {
            Outcome::Classes(_) => {
                self.shared.metrics.observe(&times);
                JobOutcome::Classified
            }
            Outcome::Error(failure) => JobOutcome::Failed(failure.code),
        };
        let answers = &self.shared.answers;
        let message = answers.result(&job, received.attempt(), outcome, times);
        Ok(Some((vec![message], counted)))
    }

    /// What becomes of a job whose deadline has passed.
    fn expired(&self, received: &Received) -> Option<Answered> {
        let overdue = received.overdue()?;
        let failure = Failure {
            code: ErrorCode::Expired,
            message: format!(
                "its deadline passed {} ms before a device was free for it",
                overdue.as_millis()
            ),
        };
        Some(self.dead_letter(received, failure))
    }

    fn dead_letter(&self, received: &Received, failure: Failure) -> Answered {
        let outcome = JobOutcome::DeadLettered(failure.code);
        (self.shared.answers.dead_letter(received, failure), outcome)
    }

    /// Image → tensor → scores → classes. The place is given back once the image is decoded.
    fn infer(
        &mut self,
        job: &Job<'_>,
        place: Option<Place<'_>>,
        times: &mut StageTimes,
    ) -> Result<Outcome, EngineError> {
        let start = Instant::now();
        let filled = self.fill(job)?;
        drop(place);
        times.decode_us = micros(start.elapsed());
        if let Err(error) = filled {
            return Ok(Outcome::Error(image_failure(&error)));
        }
        let start = Instant::now();
        self.slot.inferring();
        let inferred = self.request.infer(self.shared.infer_timeout);
        self.slot.idle();
        inferred?;
        let answers = &self.shared.answers;
        let top_k = usize::try_from(answers.top_k(job)).unwrap_or(usize::MAX);
        let scores = self.request.top_k(top_k)?;
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
            Content::Tensor(bytes) => copy_tensor(bytes, &self.input, &mut tensor),
        })
    }
}

fn cause_of(error: &EngineError) -> Cause {
    match error {
        EngineError::Timeout { .. } => Cause::TimedOut,
        _ => Cause::InferenceFailed,
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

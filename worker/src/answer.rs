//! What a job comes to, as messages: a result, an error result, or a dead letter.

use crate::identity::Identity;
use crate::labels::Labels;
use crate::received::Received;
use ncs_broker::{Delivery, Message};
use ncs_engine::Score;
use ncs_image::ImageError;
use ncs_protocol::properties::{
    HEADER_DEAD_AT, HEADER_DEAD_CODE, HEADER_DEAD_REASON, HEADER_DELIVERY_COUNT,
    HEADER_EARLIER_ATTEMPTS,
};
use ncs_protocol::topology::{DEAD, RESULTS_QUEUE, deliveries_until_death};
use ncs_protocol::{
    Class, Encoding, ErrorCode, Failure, HeaderValue, Job, JobError, JobResult, MAX_BODY_BYTES,
    ModelName, Outcome, Properties, StageTimes,
};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// What all answers of this worker have in common.
pub struct Answers {
    /// Who answers.
    pub identity: Identity,
    /// With which model.
    pub model: ModelName,
    /// How its classes are called.
    pub labels: Labels,
    /// How many classes a result names, where the job does not say.
    pub top_k: u32,
    /// And how many at most.
    pub max_top_k: u32,
}

impl Answers {
    /// How many classes the job's result names.
    #[must_use]
    pub fn top_k(&self, job: &Job<'_>) -> u32 {
        job.top_k.unwrap_or(self.top_k).min(self.max_top_k)
    }

    /// Names the scores' classes.
    #[must_use]
    pub fn classes(&self, scores: &[Score]) -> Outcome {
        let class = |score: &Score| Class {
            index: score.index,
            label: self.labels.of(score.index).map(str::to_owned),
            score: score.score,
        };
        Outcome::Classes(scores.iter().map(class).collect())
    }

    /// The result of a job, for whoever shall have it.
    #[must_use]
    pub fn result(
        &self,
        job: &Job<'_>,
        attempt: u32,
        outcome: Outcome,
        times: StageTimes,
    ) -> Message {
        let correlation_id = job.correlation_id.as_ref().unwrap_or(&job.id);
        let result = self.job_result(&job.id, attempt, outcome, times);
        result_message(&result, job.accept, correlation_id, job.reply_to.as_deref())
    }

    /// What becomes of a message that is no job, or no longer one: a dead letter with the reason, and
    /// an error result for whoever left an address. A job that has expired is answered in any case, as
    /// one is whose time has passed in its queue.
    #[must_use]
    pub fn dead_letter(&self, delivery: &Received, failure: Failure) -> Vec<Message> {
        let attempt = delivery.attempt();
        let mut properties = delivery.properties.clone();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_us = i64::try_from(now.unwrap_or_default().as_micros()).unwrap_or(i64::MAX);
        properties.headers.extend([
            (
                HEADER_DEAD_REASON.to_owned(),
                HeaderValue::Text(failure.message.clone()),
            ),
            (
                HEADER_DEAD_CODE.to_owned(),
                HeaderValue::Text(failure.code.to_string()),
            ),
            (HEADER_DEAD_AT.to_owned(), HeaderValue::Integer(now_us)),
            (
                HEADER_EARLIER_ATTEMPTS.to_owned(),
                HeaderValue::Integer(attempt.into()),
            ),
        ]);
        // The queue of dead letters counts there how often somebody has looked at them.
        properties.headers.remove(HEADER_DELIVERY_COUNT);
        properties.persistent = true;
        // The client's deadline for its answer is not one for whoever looks at dead letters.
        properties.expiration = None;
        // What the broker would not take back, or we would not have, goes without its body.
        let body = match failure.code {
            ErrorCode::TooLarge => Vec::new(),
            _ => delivery.body.clone(),
        };
        let mut messages = vec![Message {
            exchange: DEAD.to_owned(),
            routing_key: self.model.to_string(),
            mandatory: true,
            properties,
            body,
        }];
        if delivery.properties.reply_to.is_some() || failure.code == ErrorCode::Expired {
            messages.push(self.error_result(&delivery.properties, &self.model, attempt, failure));
        }
        messages
    }

    /// What the submitter of a job is told that the broker itself has dead-lettered, and under which
    /// code. Nothing where a worker has told it already.
    #[must_use]
    pub fn obituary(&self, delivery: &Delivery) -> Option<(ErrorCode, Message)> {
        let Delivery {
            properties, death, ..
        } = delivery;
        let death = death.as_ref()?;
        if properties.text(HEADER_DEAD_CODE).is_some() {
            return None;
        }
        let model: ModelName = delivery.routing_key.parse().ok()?;
        let (code, why) = ErrorCode::of_death(&death.reason);
        let message = format!("{why}; it is in {DEAD} now, from {}", death.queue);
        let earlier = properties.attempt(false) - 1;
        let attempt = earlier.saturating_add(deliveries_until_death(&death.reason, &death.queue));
        let failure = Failure { code, message };
        Some((
            code,
            self.error_result(properties, &model, attempt, failure),
        ))
    }

    /// An error result for a message that may be no job.
    fn error_result(
        &self,
        properties: &Properties,
        model: &ModelName,
        attempt: u32,
        failure: Failure,
    ) -> Message {
        let id = properties.message_id.as_deref();
        let reference = properties.correlation_id.as_deref();
        let result = JobResult {
            model: model.to_string(),
            ..self.job_result(
                id.or(reference).unwrap_or(""),
                attempt,
                Outcome::Error(failure),
                StageTimes::default(),
            )
        };
        result_message(
            &result,
            Encoding::accepted(properties),
            reference.or(id).unwrap_or(""),
            properties.reply_to.as_deref(),
        )
    }

    fn job_result(&self, id: &str, attempt: u32, outcome: Outcome, times: StageTimes) -> JobResult {
        JobResult {
            job_id: id.to_owned(),
            worker: self.identity.worker.clone(),
            host: self.identity.host.clone(),
            model: self.model.to_string(),
            outcome,
            attempt,
            times,
        }
    }
}

/// How a dead letter, and a result, report a message that is no job.
#[must_use]
pub fn job_failure(error: &JobError) -> Failure {
    let message = match error {
        // It can be raised up to the protocol's.
        JobError::TooLarge { limit, .. } if *limit < MAX_BODY_BYTES => {
            format!("{error} (--max-body)")
        }
        _ => error.to_string(),
    };
    Failure {
        code: error.code(),
        message,
    }
}

/// How a result reports an image that did not become a tensor.
#[must_use]
pub fn image_failure(error: &ImageError) -> Failure {
    let code = match error {
        ImageError::TooLarge { .. } => ErrorCode::ImageTooLarge,
        ImageError::WrongTensorSize { .. } => ErrorCode::WrongTensorSize,
        ImageError::Unsupported(_) => ErrorCode::UnsupportedContentType,
        // What cannot be decoded, and whatever the engine may tell apart one day.
        _ => ErrorCode::UndecodableImage,
    };
    let message = match *error {
        ImageError::TooLarge {
            width,
            height,
            max_side,
            ..
        } if width.max(height) > max_side.into() => format!(
            "the image is {width}x{height} pixels; the worker decodes at most {max_side} per side \
             (--max-image-side)"
        ),
        ImageError::TooLarge {
            width,
            height,
            max_pixels,
            ..
        } => format!(
            "the image is {width}x{height} pixels; the worker decodes at most {max_pixels} pixels \
             (--max-image-pixels)"
        ),
        _ => error.to_string(),
    };
    Failure { code, message }
}

fn result_message(
    result: &JobResult,
    encoding: Encoding,
    correlation_id: &str,
    reply_to: Option<&str>,
) -> Message {
    let message_id = Uuid::now_v7().to_string();
    let (properties, body) = result.to_message(encoding, message_id, correlation_id.to_owned());
    Message {
        exchange: String::new(),
        routing_key: reply_to.unwrap_or(RESULTS_QUEUE).to_owned(),
        mandatory: true,
        properties,
        body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_refused_is_told_which_limit_it_was() {
        let too_large = |width, height| ImageError::TooLarge {
            width,
            height,
            max_pixels: 1000,
            max_side: 100,
        };
        for (error, limit) in [
            (
                too_large(50, 50),
                "at most 1000 pixels (--max-image-pixels)",
            ),
            (too_large(101, 2), "at most 100 per side (--max-image-side)"),
            (too_large(2, 101), "at most 100 per side (--max-image-side)"),
        ] {
            let failure = image_failure(&error);
            assert_eq!(failure.code, ErrorCode::ImageTooLarge);
            assert!(failure.message.ends_with(limit), "{}", failure.message);
        }
        let too_large = |limit| JobError::TooLarge {
            bytes: MAX_BODY_BYTES + 1,
            limit,
        };
        let failure = job_failure(&too_large(2048));
        assert_eq!(failure.code, ErrorCode::TooLarge);
        let expected = "the body has 16777217 bytes; at most 2048 are allowed (--max-body)";
        assert_eq!(failure.message, expected);
        // The protocol's own limit cannot be raised.
        let failure = job_failure(&too_large(MAX_BODY_BYTES));
        assert!(failure.message.ends_with("allowed"), "{}", failure.message);
    }
}

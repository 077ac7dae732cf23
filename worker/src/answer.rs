//! What a job comes to, as messages: a result, an error result, or a dead letter.

use crate::identity::Identity;
use crate::labels::Labels;
use crate::received::Received;
use ncs_broker::Message;
use ncs_engine::{ImageError, Score};
use ncs_protocol::properties::{HEADER_DEAD_CODE, HEADER_DEAD_REASON};
use ncs_protocol::topology::{DEAD, RESULTS_QUEUE};
use ncs_protocol::{
    Class, Encoding, ErrorCode, Failure, HeaderValue, Job, JobError, JobResult, ModelName, Outcome,
    StageTimes,
};
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
}

impl Answers {
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

    /// What becomes of a message that is no job: a dead letter with the reason, and an error
    /// result for whoever left an address.
    #[must_use]
    pub fn dead_letter(&self, delivery: &Received, error: &JobError) -> Vec<Message> {
        let mut properties = delivery.properties.clone();
        let reason = HeaderValue::Text(error.to_string());
        let code = HeaderValue::Text(error.code().to_string());
        properties
            .headers
            .insert(HEADER_DEAD_REASON.to_owned(), reason);
        properties.headers.insert(HEADER_DEAD_CODE.to_owned(), code);
        properties.persistent = true;
        // The client's deadline for its answer is not one for whoever looks at dead letters.
        properties.expiration = None;
        // What the broker would not take back goes without its body.
        let body = match error {
            JobError::TooLarge(_) => Vec::new(),
            _ => delivery.body.clone(),
        };
        let mut messages = vec![Message {
            exchange: DEAD.to_owned(),
            routing_key: self.model.to_string(),
            mandatory: true,
            properties,
            body,
        }];
        let properties = &delivery.properties;
        if let Some(reply_to) = properties.reply_to.as_deref() {
            let id = properties.message_id.as_deref();
            let reference = properties.correlation_id.as_deref();
            let outcome = Outcome::Error(Failure {
                code: error.code(),
                message: error.to_string(),
            });
            let result = self.job_result(
                id.or(reference).unwrap_or(""),
                delivery.attempt(),
                outcome,
                StageTimes::default(),
            );
            messages.push(result_message(
                &result,
                Encoding::accepted(properties),
                reference.or(id).unwrap_or(""),
                Some(reply_to),
            ));
        }
        messages
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
    Failure {
        code,
        message: error.to_string(),
    }
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

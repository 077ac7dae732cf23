//! A result: the classes of one image, or why there are none.

use crate::properties::{CONTENT_TYPE_BINCODE, CONTENT_TYPE_JSON};
use crate::quote::{NAME, REASON, quote};
use crate::{Encoding, Properties, body};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// AMQP `type` of a result, in either encoding.
pub const RESULT_KIND: &str = "ncs.result.v1";

/// What a worker answers to one job. The order of the fields is the bincode wire format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobResult {
    /// The job's id.
    pub job_id: String,
    /// The worker that answered: unique per process.
    pub worker: String,
    /// The host it runs on.
    pub host: String,
    /// The model that it served.
    pub model: String,
    /// The classes, or the error.
    pub outcome: Outcome,
    /// How often the broker had handed the job out, this time included: 1 on the first delivery.
    pub attempt: u32,
    /// Where the time went.
    pub times: StageTimes,
}

/// The classes, or the error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The best classes, highest score first.
    Classes(Vec<Class>),
    /// The job cannot be answered; trying it again would not help.
    Error(Failure),
}

/// One class of a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Class {
    /// Index in the network's output.
    pub index: u32,
    /// Its label, where the worker was given labels.
    pub label: Option<String>,
    /// The network's score; a probability where the network ends in a softmax. Finite: JSON has no
    /// other numbers, so a result with another is not read, and not to be written.
    #[serde(deserialize_with = "finite")]
    pub score: f32,
}

/// Why a job has no classes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure, for programs.
    pub code: ErrorCode,
    /// One sentence, for people.
    pub message: String,
}

/// The fixed list of failures. New ones are added at the end: the order is the bincode wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The message is not a job.
    MalformedJob,
    /// A job of a version that this worker does not know.
    UnsupportedVersion,
    /// Neither a job nor an image of a supported format.
    UnsupportedContentType,
    /// The message is over the size limit.
    TooLarge,
    /// The image is damaged, truncated or not of the announced format.
    UndecodableImage,
    /// The image has more pixels than the worker decodes.
    ImageTooLarge,
    /// The tensor does not have the size of the network's input.
    WrongTensorSize,
    /// The worker failed while it handled this job, in a way that another try would repeat.
    Internal,
    /// The job's deadline passed before it was inferred.
    Expired,
    /// The job came back to the broker more often than its delivery limit allows.
    DeliveryLimit,
}

/// Time spent in each stage, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTimes {
    /// From submission to arrival at the worker: the submitter's clock against the worker's.
    /// Absent when the job does not say when it was submitted.
    pub queue_us: Option<u64>,
    /// Waiting in the worker for a free infer request, and for the image's turn to be decoded.
    pub wait_us: u64,
    /// Decoding the image into the input tensor.
    pub decode_us: u64,
    /// Inference, waiting for the device included.
    pub infer_us: u64,
}

/// Why a message is not a result.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    /// Another kind or version.
    #[error("the message is of type '{0}'; this program understands '{RESULT_KIND}'")]
    UnsupportedVersion(String),
    /// Neither bincode nor JSON.
    #[error(
        "content type '{0}' is not a result's; expected {CONTENT_TYPE_BINCODE} or {CONTENT_TYPE_JSON}"
    )]
    UnsupportedContentType(String),
    /// The body is not what its content type says.
    #[error("the body is no {RESULT_KIND}: {0}")]
    Malformed(String),
}

impl ErrorCode {
    /// All codes, for tables of metrics and documentation.
    pub const ALL: [Self; 10] = [
        Self::MalformedJob,
        Self::UnsupportedVersion,
        Self::UnsupportedContentType,
        Self::TooLarge,
        Self::UndecodableImage,
        Self::ImageTooLarge,
        Self::WrongTensorSize,
        Self::Internal,
        Self::Expired,
        Self::DeliveryLimit,
    ];

    /// The code as it stands in JSON, metrics and headers, for example `undecodable_image`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedJob => "malformed_job",
            Self::UnsupportedVersion => "unsupported_version",
            Self::UnsupportedContentType => "unsupported_content_type",
            Self::TooLarge => "too_large",
            Self::UndecodableImage => "undecodable_image",
            Self::ImageTooLarge => "image_too_large",
            Self::WrongTensorSize => "wrong_tensor_size",
            Self::Internal => "internal",
            Self::Expired => "expired",
            Self::DeliveryLimit => "delivery_limit",
        }
    }

    /// The code of a job that the broker itself has dead-lettered, from the reason that it gives
    /// (`x-death`), and what happened, in words.
    #[must_use]
    pub fn of_death(reason: &str) -> (Self, &'static str) {
        match reason {
            "expired" => (Self::Expired, "its deadline passed while it waited"),
            "delivery_limit" => (
                Self::DeliveryLimit,
                "it came back too often: each worker that tried it was lost",
            ),
            // A worker rejects a job whose answer the broker would not take.
            _ => (Self::Internal, "its answer could not be sent"),
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl JobResult {
    /// Reads a result in either encoding.
    pub fn from_message(properties: &Properties, body: &[u8]) -> Result<Self, ResultError> {
        let kind = properties.kind.as_deref().unwrap_or("");
        if kind != RESULT_KIND {
            return Err(ResultError::UnsupportedVersion(quote(kind, NAME)));
        }
        let decoded = match properties.content_type.as_deref().unwrap_or("") {
            CONTENT_TYPE_BINCODE => body::decode(body),
            CONTENT_TYPE_JSON => serde_json::from_slice(body).map_err(|error| error.to_string()),
            other => return Err(ResultError::UnsupportedContentType(quote(other, NAME))),
        };
        // serde_json quotes a name that it does not know, however long that is.
        decoded.map_err(|reason| ResultError::Malformed(quote(&reason, REASON)))
    }

    /// Writes the result as a message. `message_id` is the result's own id and `correlation_id`
    /// the client's reference, both chosen by the caller.
    ///
    /// # Panics
    ///
    /// Never: a result is plain data, which both encodings can write.
    #[must_use]
    pub fn to_message(
        &self,
        encoding: Encoding,
        message_id: String,
        correlation_id: String,
    ) -> (Properties, Vec<u8>) {
        let body = match encoding {
            Encoding::Bincode => body::encode(self).map_err(|error| error.to_string()),
            Encoding::Json => serde_json::to_vec(self).map_err(|error| error.to_string()),
        };
        let properties = Properties {
            content_type: Some(encoding.content_type().to_owned()),
            kind: Some(RESULT_KIND.to_owned()),
            message_id: Some(message_id),
            correlation_id: Some(correlation_id),
            persistent: true,
            ..Properties::default()
        };
        // Strings, numbers and lists of them: neither encoding has a reason to refuse.
        (properties, body.expect("a result can be encoded"))
    }
}

/// A number of JSON may be finite and yet no `f32`, and bincode carries any bits.
fn finite<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    let score = f32::deserialize(deserializer)?;
    if score.is_finite() {
        Ok(score)
    } else {
        Err(D::Error::custom(format!(
            "the score {score} is not a finite f32"
        )))
    }
}

#[cfg(test)]
mod tests;

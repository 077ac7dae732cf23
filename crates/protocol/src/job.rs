//! A job: one image to classify, as a bincode message or as a bare image.

use crate::properties::{
    CONTENT_TYPE_BINCODE, CONTENT_TYPE_JSON, CONTENT_TYPE_TENSOR, HEADER_ACCEPT,
    HEADER_SUBMITTED_AT, HEADER_TOP_K,
};
use crate::quote::{NAME, REASON, quote};
use crate::{ErrorCode, HeaderValue, MAX_BODY_BYTES, Properties, body};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// AMQP `type` of a bincode job.
pub const JOB_KIND: &str = "ncs.job.v1";
/// The longest job id, in bytes.
pub const MAX_ID_BYTES: usize = 128;
/// The most classes that a job may ask for.
pub const MAX_TOP_K: u32 = 1_000;

/// A job, borrowed from the message that carried it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job<'m> {
    /// Unique among the submitter's jobs; at most [`MAX_ID_BYTES`].
    pub id: Cow<'m, str>,
    /// The client's own reference; results carry it instead of the id where it is set.
    pub correlation_id: Option<Cow<'m, str>>,
    /// The queue for the result; `ncs.results` where absent.
    pub reply_to: Option<Cow<'m, str>>,
    /// When it was submitted, in microseconds since the Unix epoch, by the submitter's clock.
    pub submitted_at_us: Option<u64>,
    /// How the result shall be encoded.
    pub accept: Encoding,
    /// How many classes the result shall name; the worker's default where absent.
    pub top_k: Option<u32>,
    /// What to classify.
    pub content: Content<'m>,
}

/// What to classify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'m> {
    /// An encoded image.
    Image(ImageType, &'m [u8]),
    /// The bytes of the network's input tensor, in its own layout and element type.
    Tensor(&'m [u8]),
}

/// The image formats that a worker decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageType {
    /// `image/jpeg`
    Jpeg,
    /// `image/png`
    Png,
    /// `image/bmp`
    Bmp,
    /// `image/webp`
    Webp,
}

/// How a message's body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-bincode`
    Bincode,
    /// `application/json`, or a bare image for a job.
    Json,
}

/// Why a message is not a job. Such a message goes to the dead letters.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Neither `message_id` nor `correlation_id` names the job.
    #[error("the job has no id; set the AMQP property message_id")]
    MissingId,
    /// The id is longer than [`MAX_ID_BYTES`].
    #[error("the job's id has {0} bytes; at most {MAX_ID_BYTES} are allowed")]
    IdTooLong(usize),
    /// A bincode body of another kind or version.
    #[error("the message is of type '{0}'; this program understands '{JOB_KIND}'")]
    UnsupportedVersion(String),
    /// A content type that is neither a job nor an image.
    #[error(
        "content type '{0}' is not supported; send image/jpeg, image/png, image/bmp, image/webp, {CONTENT_TYPE_TENSOR} or {CONTENT_TYPE_BINCODE}"
    )]
    UnsupportedContentType(String),
    /// More than [`MAX_BODY_BYTES`], or than a worker takes that is told to take less.
    #[error("the body has {bytes} bytes; at most {limit} are allowed")]
    TooLarge {
        /// Bytes of the body.
        bytes: usize,
        /// The most that are taken.
        limit: usize,
    },
    /// The body is empty.
    #[error("the body is empty; it must hold an image or a tensor")]
    Empty,
    /// Not the bincode of a job.
    #[error("the body is no {JOB_KIND}: {0}")]
    Malformed(String),
}

/// The bincode body of a job. The order of the fields and variants is the wire format.
#[derive(Serialize, Deserialize)]
struct JobBody<'m> {
    content: ContentKind,
    #[serde(borrow, with = "serde_bytes")]
    bytes: &'m [u8],
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum ContentKind {
    Image(ImageType),
    Tensor,
}

impl ImageType {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Jpeg, Self::Png, Self::Bmp, Self::Webp];

    /// The media type, for example `image/jpeg`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Bmp => "image/bmp",
            Self::Webp => "image/webp",
        }
    }

    /// The format that the first bytes of a file announce.
    #[must_use]
    pub fn of_content(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [b'B', b'M', ..] => Some(Self::Bmp),
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                ..,
            ] => Some(Self::Webp),
            _ => None,
        }
    }
}

impl Encoding {
    /// The content type of this encoding.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Bincode => CONTENT_TYPE_BINCODE,
            Self::Json => CONTENT_TYPE_JSON,
        }
    }

    /// How the answer to a message shall be encoded: as its [`HEADER_ACCEPT`] says, else bincode
    /// for bincode and JSON for everything else.
    #[must_use]
    pub fn accepted(properties: &Properties) -> Self {
        let asked = properties
            .text(HEADER_ACCEPT)
            .and_then(Self::of_content_type);
        asked.unwrap_or_else(|| {
            let content_type = properties.content_type.as_deref().unwrap_or("");
            match media_type(content_type).as_str() {
                CONTENT_TYPE_BINCODE => Self::Bincode,
                _ => Self::Json,
            }
        })
    }

    fn of_content_type(content_type: &str) -> Option<Self> {
        match content_type {
            CONTENT_TYPE_BINCODE => Some(Self::Bincode),
            CONTENT_TYPE_JSON => Some(Self::Json),
            _ => None,
        }
    }
}

impl JobError {
    /// The code under which results and dead letters report this error.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::MissingId | Self::IdTooLong(_) | Self::Empty | Self::Malformed(_) => {
                ErrorCode::MalformedJob
            }
            Self::UnsupportedVersion(_) => ErrorCode::UnsupportedVersion,
            Self::UnsupportedContentType(_) => ErrorCode::UnsupportedContentType,
            Self::TooLarge { .. } => ErrorCode::TooLarge,
        }
    }
}

impl<'m> Job<'m> {
    /// Reads a job from a message, without copying the image.
    pub fn from_message(properties: &'m Properties, body: &'m [u8]) -> Result<Self, JobError> {
        check_size(body.len(), MAX_BODY_BYTES)?;
        if body.is_empty() {
            return Err(JobError::Empty);
        }
        let id = job_id(properties)?;
        let content_type = properties.content_type.as_deref().unwrap_or("");
        let content = match media_type(content_type).as_str() {
            CONTENT_TYPE_BINCODE => decode_body(properties, body)?,
            CONTENT_TYPE_TENSOR => Content::Tensor(body),
            other => match ImageType::ALL
                .into_iter()
                .find(|t| t.content_type() == other)
            {
                Some(image_type) => Content::Image(image_type, body),
                None => return Err(JobError::UnsupportedContentType(quote(content_type, NAME))),
            },
        };
        let top_k = properties.integer(HEADER_TOP_K).map(|k| {
            let k = k.clamp(1, i64::from(MAX_TOP_K));
            u32::try_from(k).unwrap_or(MAX_TOP_K)
        });
        Ok(Self {
            id: Cow::Borrowed(id),
            correlation_id: properties.correlation_id.as_deref().map(Cow::Borrowed),
            reply_to: properties.reply_to.as_deref().map(Cow::Borrowed),
            submitted_at_us: properties
                .integer(HEADER_SUBMITTED_AT)
                .and_then(|us| u64::try_from(us).ok()),
            accept: Encoding::accepted(properties),
            top_k,
            content,
        })
    }

    /// Writes the job as a message: its properties and its body.
    ///
    /// With [`Encoding::Bincode`] the body is an `ncs.job.v1`; with [`Encoding::Json`] it is the
    /// bare image or tensor, as a client in another language would send it.
    pub fn to_message(&self, encoding: Encoding) -> Result<(Properties, Vec<u8>), JobError> {
        let (kind, content_type, body) = match encoding {
            Encoding::Bincode => {
                let (content, bytes) = match self.content {
                    Content::Image(image_type, bytes) => (ContentKind::Image(image_type), bytes),
                    Content::Tensor(bytes) => (ContentKind::Tensor, bytes),
                };
                let body = body::encode(&JobBody { content, bytes })
                    .map_err(|error| JobError::Malformed(error.to_string()))?;
                (Some(JOB_KIND.to_owned()), CONTENT_TYPE_BINCODE, body)
            }
            Encoding::Json => match self.content {
                Content::Image(image_type, bytes) => {
                    (None, image_type.content_type(), bytes.to_vec())
                }
                Content::Tensor(bytes) => (None, CONTENT_TYPE_TENSOR, bytes.to_vec()),
            },
        };
        check_size(body.len(), MAX_BODY_BYTES)?;
        let mut properties = Properties {
            content_type: Some(content_type.to_owned()),
            kind,
            message_id: Some(self.id.clone().into_owned()),
            correlation_id: self
                .correlation_id
                .as_ref()
                .map(|id| id.clone().into_owned()),
            reply_to: self
                .reply_to
                .as_ref()
                .map(|queue| queue.clone().into_owned()),
            timestamp: self.submitted_at_us.map(|us| us / 1_000_000),
            persistent: true,
            ..Properties::default()
        };
        let headers = &mut properties.headers;
        if let Some(us) = self.submitted_at_us.and_then(|us| i64::try_from(us).ok()) {
            headers.insert(HEADER_SUBMITTED_AT.into(), HeaderValue::Integer(us));
        }
        if let Some(k) = self.top_k {
            headers.insert(HEADER_TOP_K.into(), HeaderValue::Integer(i64::from(k)));
        }
        if self.accept != encoding {
            let accept = self.accept.content_type().to_owned();
            headers.insert(HEADER_ACCEPT.into(), HeaderValue::Text(accept));
        }
        Ok((properties, body))
    }
}

/// Refuses a body of more bytes than `limit`.
pub fn check_size(bytes: usize, limit: usize) -> Result<(), JobError> {
    if bytes > limit {
        return Err(JobError::TooLarge { bytes, limit });
    }
    Ok(())
}

/// The id that names the job in its result: `message_id`, else the client's `correlation_id`.
fn job_id(properties: &Properties) -> Result<&str, JobError> {
    let id = [&properties.message_id, &properties.correlation_id]
        .into_iter()
        .flatten()
        .find(|id| !id.is_empty())
        .ok_or(JobError::MissingId)?;
    if id.len() > MAX_ID_BYTES {
        return Err(JobError::IdTooLong(id.len()));
    }
    Ok(id)
}

fn decode_body<'m>(properties: &Properties, body: &'m [u8]) -> Result<Content<'m>, JobError> {
    let kind = properties.kind.as_deref().unwrap_or("");
    if kind != JOB_KIND {
        return Err(JobError::UnsupportedVersion(quote(kind, NAME)));
    }
    let JobBody { content, bytes } =
        body::decode(body).map_err(|reason| JobError::Malformed(quote(&reason, REASON)))?;
    if bytes.is_empty() {
        return Err(JobError::Empty);
    }
    Ok(match content {
        ContentKind::Image(image_type) => Content::Image(image_type, bytes),
        ContentKind::Tensor => Content::Tensor(bytes),
    })
}

/// `image/JPEG; charset=binary` → `image/jpeg`; browsers and libraries add such parameters.
fn media_type(content_type: &str) -> String {
    let essence = content_type.split(';').next().unwrap_or("").trim();
    match essence.to_ascii_lowercase().as_str() {
        "image/jpg" | "image/pjpeg" => "image/jpeg".to_owned(),
        "image/x-ms-bmp" | "image/x-bmp" => "image/bmp".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests;

//! What both ends of the fleet agree on: jobs, results, their encodings, and the queues.
//!
//! This crate is plain data. It knows no AMQP client, no async runtime and no OpenVINO; the broker
//! crate turns [`Properties`] and [`topology`] into AMQP.
//!
//! Reading order:
//!
//! 1. [`properties`]: the envelope, as AMQP's own message properties;
//! 2. [`job`]: what a worker accepts, bincode or a bare image;
//! 3. [`result`]: what it answers, bincode or JSON;
//! 4. [`announcement`]: what a worker says of itself every few seconds;
//! 5. [`topology`]: exchanges, queues and their arguments.
//!
//! `docs/protocol.md` describes the same for clients in other languages.

pub mod announcement;
mod body;
pub mod job;
pub mod model_name;
pub mod properties;
mod quote;
pub mod result;
pub mod topology;

pub use announcement::Announcement;
pub use job::{Content, Encoding, ImageType, Job, JobError};
pub use model_name::ModelName;
pub use properties::{HeaderValue, Properties};
pub use result::{Class, ErrorCode, Failure, JobResult, Outcome, ResultError, StageTimes};
pub use topology::Topology;

/// The largest message body either end sends or accepts, in bytes.
///
/// RabbitMQ 4 closes the channel of a publisher whose message is over 16 MiB (its default
/// `max_message_size`), so both ends refuse such a message before it reaches the broker.
pub const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

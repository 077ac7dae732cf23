//! The envelope of a message: the AMQP properties that the fleet uses, as plain data.

use std::collections::BTreeMap;
use std::time::Duration;

/// `content_type` of a bincode body.
pub const CONTENT_TYPE_BINCODE: &str = "application/x-bincode";
/// `content_type` of a JSON body.
pub const CONTENT_TYPE_JSON: &str = "application/json";
/// `content_type` of a ready input tensor.
pub const CONTENT_TYPE_TENSOR: &str = "application/octet-stream";

/// Header of a job: when it was submitted, in microseconds since the Unix epoch.
pub const HEADER_SUBMITTED_AT: &str = "ncs-submitted-at-us";
/// Header of a job: the content type its result shall have.
pub const HEADER_ACCEPT: &str = "ncs-accept";
/// Header of a job: how many classes its result shall name.
pub const HEADER_TOP_K: &str = "ncs-top-k";
/// Header of a dead letter that a worker wrote: why it is no job.
pub const HEADER_DEAD_REASON: &str = "ncs-dead-reason";
/// Header of a dead letter that a worker wrote: the [`crate::ErrorCode`] of that reason.
pub const HEADER_DEAD_CODE: &str = "ncs-dead-code";
/// Header of a dead letter that a worker wrote: when, in microseconds since the Unix epoch.
pub const HEADER_DEAD_AT: &str = "ncs-dead-at-us";
/// Header of a job that a worker has put into a queue again, or into the dead letters: how often it was
/// handed out before that, which the queue does not know.
pub const HEADER_EARLIER_ATTEMPTS: &str = "ncs-earlier-attempts";
/// Header that RabbitMQ's quorum queues add on redelivery: how often the message came back before.
pub const HEADER_DELIVERY_COUNT: &str = "x-delivery-count";

/// A header's value. Other AMQP types have no meaning here and are not carried.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HeaderValue {
    /// Any AMQP integer, a timestamp included.
    Integer(i64),
    /// A short or long string that is UTF-8.
    Text(String),
}

/// The AMQP properties of a message, those that the fleet reads or writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// What the body is.
    pub content_type: Option<String>,
    /// AMQP's `type`: the message's kind and version, such as `ncs.job.v1`.
    pub kind: Option<String>,
    /// The message's id.
    pub message_id: Option<String>,
    /// What the message refers to, in the client's own terms.
    pub correlation_id: Option<String>,
    /// The queue for the answer.
    pub reply_to: Option<String>,
    /// Seconds since the Unix epoch.
    pub timestamp: Option<u64>,
    /// Milliseconds after which the broker moves the message to the dead letters, in decimal.
    pub expiration: Option<String>,
    /// The broker keeps the message over a restart.
    pub persistent: bool,
    /// Headers, by name.
    pub headers: BTreeMap<String, HeaderValue>,
}

impl Properties {
    /// The header's value, where it is an integer or a text that reads as one.
    #[must_use]
    pub fn integer(&self, header: &str) -> Option<i64> {
        match self.headers.get(header)? {
            HeaderValue::Integer(value) => Some(*value),
            HeaderValue::Text(text) => text.parse().ok(),
        }
    }

    /// The header's value, where it is a text.
    #[must_use]
    pub fn text(&self, header: &str) -> Option<&str> {
        match self.headers.get(header)? {
            HeaderValue::Text(text) => Some(text),
            HeaderValue::Integer(_) => None,
        }
    }

    /// How much of its [`expiration`](Self::expiration) a job has left when it is handed out at
    /// `now_us`, in microseconds since the Unix epoch. `None`: it has no deadline.
    ///
    /// The broker hands out no message whose time is over. So where the submitter's clock says that it
    /// is, or that the job is younger than nothing, the clocks disagree, and it has all of its time.
    #[must_use]
    pub fn time_left(&self, now_us: u64) -> Option<Duration> {
        let expiration = Duration::from_millis(self.expiration.as_deref()?.parse().ok()?);
        let submitted = self.integer(HEADER_SUBMITTED_AT);
        let age = submitted
            .and_then(|submitted_us| now_us.checked_sub(u64::try_from(submitted_us).ok()?))
            .map(Duration::from_micros);
        let left = age.and_then(|age| expiration.checked_sub(age));
        Some(left.filter(|left| !left.is_zero()).unwrap_or(expiration))
    }

    /// How often this message was handed out, this time included: 1 on the first delivery.
    ///
    /// Quorum queues count in [`HEADER_DELIVERY_COUNT`]; where that is missing, `redelivered`
    /// (AMQP's own flag) tells 1 from "at least 2". What was before a worker put the job into a queue
    /// again is in [`HEADER_EARLIER_ATTEMPTS`].
    #[must_use]
    pub fn attempt(&self, redelivered: bool) -> u32 {
        let count = |header| u32::try_from(self.integer(header).unwrap_or(0)).unwrap_or(0);
        count(HEADER_DELIVERY_COUNT)
            .max(u32::from(redelivered))
            .saturating_add(count(HEADER_EARLIER_ATTEMPTS))
            .saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attempt_counts_earlier_deliveries() {
        let mut properties = Properties::default();
        assert_eq!(properties.attempt(false), 1);
        assert_eq!(properties.attempt(true), 2);
        let count = HeaderValue::Integer(4);
        properties
            .headers
            .insert(HEADER_DELIVERY_COUNT.into(), count);
        assert_eq!(properties.attempt(true), 5);
        let before = HeaderValue::Integer(3);
        properties
            .headers
            .insert(HEADER_EARLIER_ATTEMPTS.into(), before);
        assert_eq!(properties.attempt(true), 8);
    }

    #[test]
    fn a_deadline_is_counted_from_the_submission_unless_the_clocks_disagree() {
        let submitted = 1_000_000_000_000_i64;
        let mut properties = Properties::default();
        assert_eq!(properties.time_left(0), None);
        properties.expiration = Some("5000".into());
        let left = |properties: &Properties, after_ms: i64| {
            let now_us = u64::try_from(submitted + 1_000 * after_ms).unwrap();
            properties.time_left(now_us).map(|left| left.as_millis())
        };
        assert_eq!(left(&properties, 0), Some(5_000));
        let header = HeaderValue::Integer(submitted);
        properties
            .headers
            .insert(HEADER_SUBMITTED_AT.into(), header);
        assert_eq!(left(&properties, 2_000), Some(3_000));
        for disagreeing in [5_000, 60_000, -1] {
            assert_eq!(left(&properties, disagreeing), Some(5_000));
        }
        properties.expiration = Some("soon".into());
        assert_eq!(left(&properties, 0), None);
    }

    #[test]
    fn a_header_that_a_client_sent_as_text_still_counts_as_a_number() {
        let mut properties = Properties::default();
        let text = HeaderValue::Text("3".into());
        properties.headers.insert(HEADER_TOP_K.into(), text);
        assert_eq!(properties.integer(HEADER_TOP_K), Some(3));
    }
}

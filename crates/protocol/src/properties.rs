//! The envelope of a message: the AMQP properties that the fleet uses, as plain data.

use std::collections::BTreeMap;

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
/// Header that RabbitMQ's quorum queues add on redelivery: how often the message came back before.
pub const HEADER_DELIVERY_COUNT: &str = "x-delivery-count";

/// A header's value. Other AMQP types have no meaning here and are not carried.
#[derive(Debug, Clone, PartialEq, Eq)]
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

    /// How often this message was handed out, this time included: 1 on the first delivery.
    ///
    /// Quorum queues count in [`HEADER_DELIVERY_COUNT`]; where that is missing, `redelivered`
    /// (AMQP's own flag) tells 1 from "at least 2".
    #[must_use]
    pub fn attempt(&self, redelivered: bool) -> u32 {
        let earlier = self.integer(HEADER_DELIVERY_COUNT).unwrap_or(0);
        let earlier = u32::try_from(earlier).unwrap_or(0);
        earlier.max(u32::from(redelivered)).saturating_add(1)
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
    }

    #[test]
    fn a_header_that_a_client_sent_as_text_still_counts_as_a_number() {
        let mut properties = Properties::default();
        let text = HeaderValue::Text("3".into());
        properties.headers.insert(HEADER_TOP_K.into(), text);
        assert_eq!(properties.integer(HEADER_TOP_K), Some(3));
    }
}

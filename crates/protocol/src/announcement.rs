//! What a worker says of itself every few seconds, for whoever wants to know who is there.
//!
//! Announcements go to the exchange [`WORKERS_EXCHANGE`], whose messages reach those who listen at the
//! moment and nobody else: nothing is stored.

use crate::properties::CONTENT_TYPE_JSON;
use crate::quote::{NAME, REASON, quote};
use crate::topology::{Exchange, ExchangeKind};
use crate::{Properties, Topology};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The exchange of the announcements.
pub const WORKERS_EXCHANGE: &str = "ncs.workers";
/// AMQP `type` of an announcement, which is JSON.
pub const ANNOUNCEMENT_KIND: &str = "ncs.worker.v1";
/// How often each worker announces itself: often enough that `status` need not wait for long, and a
/// hundred workers cost the broker 50 small messages per second, which it drops where nobody listens.
pub const INTERVAL: Duration = Duration::from_secs(2);
/// A worker that has not been heard for so long is gone, or its broker blocks publishers.
pub const SILENCE: Duration = Duration::from_secs(7);
/// The longest announcement that is read. One has some 300 bytes.
pub const MAX_BYTES: usize = 16 * 1024;

/// What the queues begin with that listeners declare for themselves.
const LISTENERS: &str = "ncs.workers.";

/// A worker, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Its name, as in results: unique per process.
    pub worker: String,
    /// The host it runs on.
    pub host: String,
    /// The model that it serves.
    pub model: String,
    /// The release of the program.
    pub version: String,
    /// Where its `/metrics` can be reached, as `host:port`; absent where they are served to its own host
    /// alone.
    pub metrics: Option<String>,
    /// What it does now.
    pub state: State,
    /// Devices that its network runs on.
    pub devices: u32,
    /// Sticks that are left out for a while, because they failed.
    pub quarantined: u32,
    /// Sticks that are no longer there.
    pub lost: u32,
    /// Jobs that it may have in hand; 0 while it takes none.
    pub prefetch: u32,
}

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It takes jobs.
    Serving,
    /// It takes none now: it loads a network, or has no device.
    Waiting,
    /// It ends: this is its last word.
    Leaving,
}

/// Why a message is not an announcement.
#[derive(Debug, thiserror::Error)]
pub enum AnnouncementError {
    /// Another kind or version.
    #[error("the message is of type '{0}'; this program understands '{ANNOUNCEMENT_KIND}'")]
    UnsupportedVersion(String),
    /// Longer than any announcement.
    #[error("it has {0} bytes; an announcement has at most {MAX_BYTES}")]
    TooLong(usize),
    /// The body is not one.
    #[error("the body is no {ANNOUNCEMENT_KIND}: {0}")]
    Malformed(String),
}

impl Announcement {
    /// Reads a message.
    pub fn from_message(properties: &Properties, body: &[u8]) -> Result<Self, AnnouncementError> {
        let kind = properties.kind.as_deref().unwrap_or("");
        if kind != ANNOUNCEMENT_KIND {
            return Err(AnnouncementError::UnsupportedVersion(quote(kind, NAME)));
        }
        if body.len() > MAX_BYTES {
            return Err(AnnouncementError::TooLong(body.len()));
        }
        serde_json::from_slice(body)
            .map_err(|error| AnnouncementError::Malformed(quote(&error.to_string(), REASON)))
    }

    /// Writes it as a message, which is worth nothing after a while.
    ///
    /// # Panics
    ///
    /// Never: an announcement is plain data.
    #[must_use]
    pub fn to_message(&self) -> (Properties, Vec<u8>) {
        let properties = Properties {
            content_type: Some(CONTENT_TYPE_JSON.to_owned()),
            kind: Some(ANNOUNCEMENT_KIND.to_owned()),
            expiration: Some(SILENCE.as_millis().to_string()),
            ..Properties::default()
        };
        // Strings and numbers: JSON has no reason to refuse.
        let body = serde_json::to_vec(self).expect("an announcement can be encoded");
        (properties, body)
    }
}

/// The exchange, as workers and listeners declare it.
#[must_use]
pub fn exchange() -> Exchange {
    Exchange {
        name: WORKERS_EXCHANGE,
        kind: ExchangeKind::Fanout,
    }
}

/// What a listener declares that waits for the first worker: the exchange.
#[must_use]
pub fn for_listener() -> Topology {
    Topology {
        exchanges: vec![exchange()],
        ..Topology::default()
    }
}

/// The name of the queue of one listener, and of nobody else: `id` is in it.
#[must_use]
pub fn listeners_queue(id: &str) -> String {
    format!("{LISTENERS}{id}")
}

/// Whether this is the name of some [`listeners_queue`].
#[must_use]
pub fn is_listeners_queue(name: &str) -> bool {
    name.starts_with(LISTENERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement() -> Announcement {
        Announcement {
            worker: "nuc-3/4711-00ff".to_owned(),
            host: "nuc-3".to_owned(),
            model: "googlenet-v1".to_owned(),
            version: "0.1.0".to_owned(),
            metrics: Some("10.0.0.3:9464".to_owned()),
            state: State::Serving,
            devices: 2,
            quarantined: 0,
            lost: 1,
            prefetch: 8,
        }
    }

    #[test]
    fn an_announcement_survives_its_way() {
        let (properties, body) = announcement().to_message();
        assert!(!properties.persistent);
        let read = Announcement::from_message(&properties, &body).unwrap();
        assert_eq!(read, announcement());
        let text = String::from_utf8(body).unwrap();
        assert!(text.contains(r#""state":"serving""#), "{text}");
    }

    #[test]
    fn fields_of_later_releases_are_passed_over() {
        let (properties, mut body) = announcement().to_message();
        body.pop();
        body.extend_from_slice(br#","later":[1]}"#);
        Announcement::from_message(&properties, &body).unwrap();
    }

    #[test]
    fn what_is_none_is_told_and_quoted_briefly() {
        let (mut properties, body) = announcement().to_message();
        let told = |properties: &Properties, body: &[u8]| {
            Announcement::from_message(properties, body)
                .unwrap_err()
                .to_string()
        };
        assert!(told(&properties, b"{").starts_with("the body is no ncs.worker.v1: "));
        let long = vec![b' '; MAX_BYTES + 1];
        assert!(told(&properties, &long).contains("at most 16384"));
        properties.kind = Some("ncs.worker.v2".to_owned());
        assert!(told(&properties, &body).contains("'ncs.worker.v2'"));
    }

    #[test]
    fn a_listeners_queue_is_known_by_its_name() {
        assert!(is_listeners_queue(&listeners_queue("01a2")));
        assert!(!is_listeners_queue("ncs.workers"));
    }
}

//! What one look at the fleet has found: the figures as they are in JSON.

use ncs_protocol::announcement::is_listeners_queue;
use ncs_protocol::topology::{DEAD, RESULTS_QUEUE, UNANSWERED, jobs_queue, suspects_queue};
use ncs_protocol::{Announcement, ModelName};
use serde::Serialize;
use std::collections::BTreeSet;

/// What the queues begin with that producers declare for themselves.
const OWN_QUEUES: &str = "ncs.results.";

/// One look.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Fleet {
    /// When, RFC 3339.
    pub(super) at: String,
    /// The broker, without credentials.
    pub(super) broker: String,
    /// Absent where it was not to be asked.
    pub(super) management: Option<Management>,
    /// All of the fleet's queues that were looked at, by name.
    pub(super) queues: Vec<Queue>,
    /// Where workers run. Absent where neither the management API nor any worker says.
    pub(super) hosts: Option<Vec<Host>>,
    /// The workers that announce themselves.
    pub(super) workers: Vec<Announcement>,
    /// Models that were asked for and have no queue.
    pub(super) never_served: Vec<String>,
}

/// How the management API was found.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Management {
    /// Where, without credentials.
    pub(super) url: String,
    /// A person has said that it is there, so that a problem is an error.
    pub(super) asked_for: bool,
    /// Why figures of it are missing, and the remedy.
    pub(super) problem: Option<String>,
}

/// One queue. What is absent is not known.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) role: Role,
    /// Of jobs and suspects.
    pub(super) model: Option<String>,
    /// Messages that wait.
    pub(super) ready: u64,
    /// Messages handed out and not yet acked.
    pub(super) in_hand: Option<u64>,
    /// On all connections.
    pub(super) consumers: u64,
    /// Messages that came in, per second, in RabbitMQ's last sample of 5 s.
    pub(super) published_per_second: Option<f64>,
    /// Handed out.
    pub(super) delivered_per_second: Option<f64>,
    /// Done: acked.
    pub(super) acked_per_second: Option<f64>,
    /// How `ready` has changed since the look before, per second. Of `--watch`, from the second look on.
    pub(super) ready_change_per_second: Option<f64>,
    /// The age of the oldest that waits, by its timestamp, where the broker tells it: of classic queues.
    pub(super) oldest_age_seconds: Option<f64>,
    /// The same, guessed: how long it takes at the present pace until so many have come in as wait now.
    pub(super) oldest_age_estimate_seconds: Option<f64>,
    /// How long it takes at the present pace until all that wait are done.
    pub(super) time_left_estimate_seconds: Option<f64>,
}

/// What a queue is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    /// A model's jobs.
    Jobs,
    /// Those of them that may be what kills its workers.
    Suspects,
    /// Results of jobs that name no queue of their own.
    Results,
    /// Dead letters, for people.
    Dead,
    /// Dead letters, until a worker has told the submitter.
    Unanswered,
    /// A producer's own, for its results.
    Own,
    /// Another whose name begins as ours do.
    Other,
}

/// Where workers run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Host {
    /// Its name, as its workers know it; of other clients, their address.
    pub(super) name: String,
    /// Not our workers, but other consumers of jobs.
    pub(super) foreign: bool,
    /// Workers that are connected.
    pub(super) workers: usize,
    /// Those of them that take jobs. The others have no device, or load a network.
    pub(super) consuming: usize,
    /// How many jobs they may have in hand.
    pub(super) prefetch: u64,
    /// How many they have, in RabbitMQ's last sample of 5 s.
    pub(super) in_hand: Option<u64>,
    /// Devices that their networks run on. This and the two below only the workers know.
    pub(super) devices: Option<u64>,
    /// Sticks that are left out for a while, because they failed.
    pub(super) quarantined: Option<u64>,
    /// Sticks that are no longer there.
    pub(super) lost: Option<u64>,
    /// The models that they serve.
    pub(super) models: BTreeSet<String>,
}

impl Role {
    /// Of the queue with this name; with the model. `None`: it is none of the fleet's.
    pub(super) fn of(queue: &str) -> Option<(Self, Option<ModelName>)> {
        match queue {
            RESULTS_QUEUE => return Some((Self::Results, None)),
            DEAD => return Some((Self::Dead, None)),
            UNANSWERED => return Some((Self::Unanswered, None)),
            _ => {}
        }
        let rest = queue.strip_prefix("ncs.")?;
        if is_listeners_queue(queue) {
            return None;
        }
        if queue.starts_with(OWN_QUEUES) {
            return Some((Self::Own, None));
        }
        let model = rest.split_once('.').and_then(|(_, name)| name.parse().ok());
        Some(match model {
            Some(model) if jobs_queue(&model) == queue => (Self::Jobs, Some(model)),
            Some(model) if suspects_queue(&model) == queue => (Self::Suspects, Some(model)),
            _ => (Self::Other, None),
        })
    }
}

impl Queue {
    /// Nothing is known but its name.
    pub(super) fn new(name: &str, role: Role, model: Option<&ModelName>) -> Self {
        Self {
            name: name.to_owned(),
            role,
            model: model.map(ToString::to_string),
            ready: 0,
            in_hand: None,
            consumers: 0,
            published_per_second: None,
            delivered_per_second: None,
            acked_per_second: None,
            ready_change_per_second: None,
            oldest_age_seconds: None,
            oldest_age_estimate_seconds: None,
            time_left_estimate_seconds: None,
        }
    }

    /// Reckons what follows from the depth and the rates.
    pub(super) fn estimate(&mut self) {
        #[expect(clippy::cast_precision_loss, reason = "a number of messages fits")]
        let ready = self.ready as f64;
        let at = |rate: Option<f64>| {
            let rate = rate.filter(|rate| *rate > 0.0 && self.ready > 0);
            rate.map(|rate| ready / rate)
        };
        self.time_left_estimate_seconds = at(self.acked_per_second);
        self.oldest_age_estimate_seconds = match self.oldest_age_seconds {
            Some(_) => None,
            None => at(self.published_per_second),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_known_by_its_name() {
        for (name, expected, model) in [
            ("ncs.jobs.googlenet-v1", Role::Jobs, Some("googlenet-v1")),
            ("ncs.jobs.a.b", Role::Jobs, Some("a.b")),
            ("ncs.suspects.m", Role::Suspects, Some("m")),
            ("ncs.results", Role::Results, None),
            ("ncs.results.01a20ab8", Role::Own, None),
            ("ncs.dead", Role::Dead, None),
            ("ncs.dead.unanswered", Role::Unanswered, None),
            ("ncs.jobs", Role::Other, None),
            ("ncs.else.m", Role::Other, None),
        ] {
            let (role, of) = Role::of(name).unwrap();
            assert_eq!(role, expected, "{name}");
            assert_eq!(of.map(|of| of.to_string()).as_deref(), model, "{name}");
        }
        assert!(Role::of("orders").is_none());
        assert!(
            Role::of("ncs.workers.01a2").is_none(),
            "it is gone in a moment"
        );
    }

    #[test]
    fn nothing_is_guessed_from_a_standstill_or_beside_what_the_broker_tells() {
        let mut queue = Queue::new("ncs.jobs.m", Role::Jobs, None);
        queue.ready = 60;
        queue.published_per_second = Some(0.0);
        queue.acked_per_second = Some(30.0);
        queue.estimate();
        assert_eq!(queue.oldest_age_estimate_seconds, None);
        assert_eq!(queue.time_left_estimate_seconds, Some(2.0));
        queue.published_per_second = Some(20.0);
        queue.estimate();
        assert_eq!(queue.oldest_age_estimate_seconds, Some(3.0));
        queue.oldest_age_seconds = Some(7.0);
        queue.estimate();
        assert_eq!(queue.oldest_age_estimate_seconds, None);
    }
}

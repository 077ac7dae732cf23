//! What RabbitMQ's management API tells: which queues there are, their rates, and who consumes.
//!
//! Its answers are read leniently: what a release does not tell is absent, `null`, `""` or `[]`.

use super::fleet::{Host, Queue, Role};
use super::hosts;
use ncs_broker::{Management, ManagementError};
use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};

/// Columns keep the answers small. A queue's name is all that is always there.
const QUEUES: &str = "queues/{vhost}?columns=name,messages_ready,messages_unacknowledged,consumers,\
    head_message_timestamp,message_stats.publish_details.rate,message_stats.deliver_get_details.rate,\
    message_stats.ack_details.rate";
const CONSUMERS: &str = "consumers/{vhost}?columns=queue.name,prefetch_count,channel_details.name,\
    channel_details.connection_name,channel_details.peer_host";
const CONNECTIONS: &str = "vhosts/{vhost}/connections?columns=name,user_provided_name";
const CHANNELS: &str = "vhosts/{vhost}/channels?columns=name,messages_unacknowledged";

/// What it has told.
pub(super) struct Told {
    /// The fleet's.
    pub(super) queues: Vec<Queue>,
    /// Of all models.
    pub(super) hosts: Result<Vec<Host>, ManagementError>,
}

/// Asks, on a thread that may block. What is dropped meanwhile goes on there for 20 s at most.
pub(super) async fn ask(management: &Management) -> Result<Told, ManagementError> {
    let asked = management.clone();
    let told = tokio::task::spawn_blocking(move || {
        let queues = rows(&asked, QUEUES)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        Ok(Told {
            queues: queues.iter().filter_map(|row| queue(row, now)).collect(),
            hosts: hosts_of(&asked),
        })
    });
    match told.await {
        Ok(told) => told,
        Err(panicked) => Err(management.odd(&panicked.to_string())),
    }
}

fn hosts_of(management: &Management) -> Result<Vec<Host>, ManagementError> {
    let consumers = rows(management, CONSUMERS)?;
    let connections = rows(management, CONNECTIONS)?;
    let channels = rows(management, CHANNELS)?;
    Ok(hosts::of(&consumers, &connections, &channels))
}

fn rows(management: &Management, path: &str) -> Result<Vec<Value>, ManagementError> {
    let body = management.get(path)?;
    serde_json::from_slice(&body).map_err(|error| management.odd(&format!("no list: {error}")))
}

/// `None`: it is none of the fleet's. `now` is in seconds since the Unix epoch, as a message's timestamp.
fn queue(row: &Value, now: u64) -> Option<Queue> {
    let name = row.get("name")?.as_str()?;
    let (role, model) = Role::of(name)?;
    let number = |field: &str| row.get(field).and_then(Value::as_u64);
    let rate = |of: &str| {
        let rate = row.pointer(&format!("/message_stats/{of}_details/rate"));
        rate.and_then(Value::as_f64)
    };
    let head = number("head_message_timestamp").filter(|seconds| *seconds > 0);
    Some(Queue {
        ready: number("messages_ready").unwrap_or(0),
        in_hand: number("messages_unacknowledged"),
        consumers: number("consumers").unwrap_or(0),
        published_per_second: rate("publish"),
        delivered_per_second: rate("deliver_get"),
        acked_per_second: rate("ack"),
        #[expect(clippy::cast_precision_loss, reason = "an age in seconds fits")]
        oldest_age_seconds: head.map(|head| now.saturating_sub(head) as f64),
        ..Queue::new(name, role, model.as_ref())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As RabbitMQ 3.10.8 has answered, and 4.0.5 in the same words.
    const ANSWER: &str = r#"[
        {"consumers":1,"messages_ready":0,"messages_unacknowledged":0,"name":"ncs.dead.unanswered"},
        {"consumers":1,"message_stats":{"ack_details":{"rate":179.4},"deliver_get_details":{"rate":179.4},
         "publish_details":{"rate":179.6}},"messages_ready":56,"messages_unacknowledged":8,
         "name":"ncs.jobs.googlenet-v1"},
        {"consumers":1,"head_message_timestamp":null,"message_stats":{"ack_details":{"rate":179.2},
         "deliver_get_details":{"rate":179.4},"publish_details":{"rate":179.4}},"messages_ready":0,
         "messages_unacknowledged":8,"name":"ncs.results.01a20ab8-ae0e-71b0-9cdd-95c9c3fba4a6"},
        {"consumers":0,"head_message_timestamp":1795476240,"messages_ready":3,"messages_unacknowledged":0,
         "name":"ncs.results.old"},
        {"consumers":0,"messages_ready":7,"name":"orders"},
        {"name":"ncs.suspects.googlenet-v1"}
    ]"#;

    #[test]
    fn queues_are_read_as_both_releases_tell_them() {
        let rows: Vec<Value> = serde_json::from_str(ANSWER).unwrap();
        let queues: Vec<_> = rows
            .iter()
            .filter_map(|row| queue(row, 1_795_476_300))
            .collect();
        assert_eq!(queues.len(), 5, "orders is none of ours");
        let jobs = &queues[1];
        assert_eq!(
            (jobs.role, jobs.ready, jobs.in_hand),
            (Role::Jobs, 56, Some(8))
        );
        assert_eq!(jobs.published_per_second, Some(179.6));
        assert_eq!(jobs.acked_per_second, Some(179.4));
        assert_eq!(jobs.oldest_age_seconds, None);
        assert_eq!(queues[2].oldest_age_seconds, None);
        assert_eq!(queues[3].oldest_age_seconds, Some(60.0));
        // Declared a moment ago: nothing is counted yet.
        let suspects = &queues[4];
        assert_eq!((suspects.ready, suspects.in_hand), (0, None));
        assert_eq!(suspects.acked_per_second, None);
    }
}

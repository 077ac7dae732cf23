//! Who consumes, by host: our workers say in their connections' names where they run.

use super::fleet::{Host, Role};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A worker's connection, by its name: `ncs-worker HOST/PROCESS MODEL consuming`.
struct Worker<'a> {
    host: &'a str,
    model: &'a str,
}

impl<'a> Worker<'a> {
    /// Each worker has one connection that is called so; the other one publishes.
    fn named(name: &'a str) -> Option<Self> {
        let name = name.strip_prefix("ncs-worker ")?;
        let name = name.strip_suffix(" consuming")?;
        let (process, model) = name.rsplit_once(' ')?;
        let (host, _process) = process.rsplit_once('/')?;
        Some(Self { host, model })
    }
}

/// Puts together the API's consumers, connections and channels.
pub(super) fn of(consumers: &[Value], connections: &[Value], channels: &[Value]) -> Vec<Host> {
    let in_hand: BTreeMap<&str, u64> = channels
        .iter()
        .filter_map(|row| {
            Some((
                text(row, "/name")?,
                number(row, "/messages_unacknowledged")?,
            ))
        })
        .collect();
    let workers: BTreeMap<&str, Worker<'_>> = connections
        .iter()
        .filter_map(|row| {
            Some((
                text(row, "/name")?,
                Worker::named(text(row, "/user_provided_name")?)?,
            ))
        })
        .collect();

    let mut hosts = BTreeMap::new();
    for worker in workers.values() {
        let host = entry(&mut hosts, worker.host, false);
        host.workers += 1;
        host.models.insert(worker.model.to_owned());
    }
    let (mut consuming, mut counted) = (BTreeSet::new(), BTreeSet::new());
    for row in consumers {
        let queue = text(row, "/queue/name").and_then(Role::of);
        let Some((role @ (Role::Jobs | Role::Suspects), Some(model))) = queue else {
            continue;
        };
        // A channel that has just gone has no details.
        let Some(connection) = text(row, "/channel_details/connection_name") else {
            continue;
        };
        let host = if let Some(worker) = workers.get(connection) {
            entry(&mut hosts, worker.host, false)
        } else {
            let address = text(row, "/channel_details/peer_host").unwrap_or("?");
            entry(&mut hosts, address, true)
        };
        // A channel may have several consumers: what it has in hand counts once.
        let channel = text(row, "/channel_details/name").filter(|name| counted.insert(*name));
        if let Some(jobs) = channel.and_then(|name| in_hand.get(name)) {
            *host.in_hand.get_or_insert(0) += jobs;
        }
        // Suspects are tried while no jobs are taken, so they do not add to what may be in hand.
        if role == Role::Jobs {
            host.prefetch += number(row, "/prefetch_count").unwrap_or(0);
        }
        if consuming.insert(connection) {
            host.consuming += 1;
            if host.foreign {
                host.workers += 1;
            }
        }
        host.models.insert(model.to_string());
    }
    hosts.into_values().collect()
}

fn entry<'a>(
    hosts: &'a mut BTreeMap<(bool, String), Host>,
    name: &str,
    foreign: bool,
) -> &'a mut Host {
    let key = (foreign, name.to_owned());
    hosts.entry(key).or_insert_with(|| Host {
        name: name.to_owned(),
        foreign,
        ..Host::default()
    })
}

fn text<'a>(row: &'a Value, field: &str) -> Option<&'a str> {
    row.pointer(field)?.as_str()
}

fn number(row: &Value, field: &str) -> Option<u64> {
    row.pointer(field)?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn consumer(connection: &str, channel: u8, queue: &str, prefetch: u64) -> Value {
        json!({
            "channel_details": {
                "connection_name": connection,
                "name": format!("{connection} ({channel})"),
                "peer_host": "10.0.0.7",
            },
            "prefetch_count": prefetch,
            "queue": { "name": queue },
        })
    }

    fn connection(name: &str, ours: &str) -> Value {
        json!({ "name": name, "user_provided_name": ours })
    }

    fn channel(name: &str, unacked: u64) -> Value {
        json!({ "name": name, "messages_unacknowledged": unacked })
    }

    #[test]
    fn workers_are_counted_on_their_hosts_whether_they_consume_or_not() {
        let consumers = [
            consumer("a", 2, "ncs.jobs.m", 8),
            consumer("a", 4, "ncs.dead.unanswered", 8),
            consumer("b", 2, "ncs.jobs.m", 4),
            consumer("x", 1, "ncs.jobs.m", 100),
            consumer("x", 2, "ncs.results.own", 64),
            // Its channel is gone.
            json!({ "channel_details": [], "queue": { "name": "ncs.jobs.m" } }),
        ];
        let connections = [
            connection("a", "ncs-worker pi/71-00ff m consuming"),
            connection("a2", "ncs-worker pi/71-00ff m publishing"),
            connection("b", "ncs-worker pi/72-00aa m consuming"),
            connection("c", "ncs-worker attic/9-1234 m consuming"),
            connection("p", "ncs-producer pi/99 m consuming"),
            json!({ "name": "x" }),
        ];
        let channels = [
            channel("a (2)", 8),
            channel("a (4)", 1),
            channel("b (2)", 3),
        ];
        let hosts = of(&consumers, &connections, &channels);
        let host = |name: &str, foreign, workers, consuming, prefetch, in_hand| Host {
            name: name.to_owned(),
            foreign,
            workers,
            consuming,
            prefetch,
            in_hand,
            models: BTreeSet::from(["m".to_owned()]),
            ..Host::default()
        };
        let expected = [
            host("attic", false, 1, 0, 0, None),
            host("pi", false, 2, 2, 12, Some(11)),
            host("10.0.0.7", true, 1, 1, 100, None),
        ];
        assert_eq!(hosts, expected);
    }
}

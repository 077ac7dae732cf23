//! What the sticks did, for whoever tests a program against them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use serde_json::{Value, json};

use crate::host::Host;
use crate::network::Network;
use crate::stick::Counts;

/// How many networks are remembered.
const NETWORKS: usize = 64;

/// The networks that were compiled.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<Networks>);

#[derive(Debug, Default)]
struct Networks {
    total: u64,
    /// Requests of networks that are forgotten here.
    requests_before: u64,
    last: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    device: String,
    ports: Vec<String>,
    requests: Arc<AtomicU64>,
    network: Weak<Network>,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Networks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn compiled(&self, device: &str, network: &Arc<Network>) {
        let mut networks = self.lock();
        networks.total += 1;
        if networks.last.len() == NETWORKS {
            let forgotten = networks.last.pop_front();
            let requests = forgotten.map_or(0, |entry| entry.requests.load(Ordering::Relaxed));
            networks.requests_before += requests;
        }
        networks.last.push_back(Entry {
            device: device.to_owned(),
            ports: network.ports(),
            requests: Arc::clone(&network.requests),
            network: Arc::downgrade(network),
        });
    }
}

/// What is written into `stats-<pid>.json`; the crate's documentation shows it.
pub(crate) fn collect(host: &Host, now: Instant) -> Value {
    let sticks = host.all();
    let counts: Vec<Counts> = sticks.iter().map(|stick| stick.counts(now)).collect();
    let sum = |of: fn(&Counts) -> u64| counts.iter().map(of).sum::<u64>();
    let by_stick = sticks.iter().zip(&counts).map(|(stick, counts)| {
        json!({
            "port": stick.port,
            "state": stick.condition().to_string(),
            "inferences": counts.started,
            "in_flight": counts.in_hand,
            "max_in_flight": counts.max_in_hand,
        })
    });
    let networks = host.registry.lock();
    let requests = |entry: &Entry| entry.requests.load(Ordering::Relaxed);
    let compiled = networks.last.iter().map(|entry| {
        json!({
            "device": entry.device,
            "sticks": entry.ports,
            "requests": requests(entry),
            // The compiled model or one of its requests has not been freed.
            "alive": entry.network.strong_count() > 0,
        })
    });
    json!({
        "compiled": compiled.collect::<Value>(),
        "compiles_total": networks.total,
        "requests_created":
            networks.requests_before + networks.last.iter().map(requests).sum::<u64>(),
        "inferences": {
            "started": sum(|counts| counts.started),
            "completed": sum(|counts| counts.completed),
            "failed": sum(|counts| counts.failed),
        },
        "in_flight": counts.iter().map(|counts| counts.in_hand).sum::<usize>(),
        "max_in_flight": host.max_in_flight.load(Ordering::Relaxed),
        "sticks": by_stick.collect::<Value>(),
    })
}

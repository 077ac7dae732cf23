//! Exchanges and queues: their names, kinds and arguments, as plain data.
//!
//! Both programs declare what they use, so whoever starts first creates it. The arguments of an
//! existing queue cannot be changed: a new value here needs a new queue, or the old one deleted.

use crate::ModelName;

/// The direct exchange for jobs; the routing key is the model's name.
pub const JOBS_EXCHANGE: &str = "ncs.jobs";
/// Results of jobs that name no queue of their own.
pub const RESULTS_QUEUE: &str = "ncs.results";
/// The exchange and the queue for messages that nobody could answer.
pub const DEAD: &str = "ncs.dead";

/// How often a job may come back to the broker before it is dead-lettered.
///
/// Innocent returns count too (a worker that is killed returns all it had in hand), so this is
/// well above what a bad day brings. 20 is also what RabbitMQ 4 uses by itself; 3.10 has no limit.
pub const DELIVERY_LIMIT: i64 = 20;
/// Jobs waiting in one queue, in bytes of bodies; then publishers are told to wait.
/// 2 GiB is 100,000 photos of 20 kB, and fits beside the system on a small host's disk.
pub const JOBS_MAX_BYTES: i64 = 2 << 30;
/// Results that nobody fetches, in bytes of bodies; then the oldest are dropped.
pub const RESULTS_MAX_BYTES: i64 = 256 << 20;
/// Dead letters, in bytes of bodies; then the oldest are dropped.
pub const DEAD_MAX_BYTES: i64 = 1 << 30;
/// A producer's result queue disappears when nobody has used it for so long, in milliseconds.
pub const SESSION_EXPIRES_MS: i64 = 24 * 60 * 60 * 1000;

/// What to declare, in this order: exchanges, queues, bindings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    /// Durable exchanges.
    pub exchanges: Vec<Exchange>,
    /// Durable queues.
    pub queues: Vec<Queue>,
    /// Which exchange feeds which queue.
    pub bindings: Vec<Binding>,
}

/// A durable exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Its name.
    pub name: &'static str,
    /// How it routes.
    pub kind: ExchangeKind,
}

/// How an exchange routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeKind {
    /// To the queues bound with the message's routing key.
    Direct,
    /// To all queues bound.
    Fanout,
}

/// A durable queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Its arguments (`x-…`).
    pub arguments: Vec<(&'static str, Argument)>,
}

/// The value of a queue's argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A string.
    Text(&'static str),
    /// A 64-bit integer.
    Integer(i64),
}

/// An exchange that feeds a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// From this exchange,
    pub exchange: &'static str,
    /// with this routing key,
    pub routing_key: String,
    /// to this queue.
    pub queue: String,
}

/// The name of the queue that holds a model's jobs.
#[must_use]
pub fn jobs_queue(model: &ModelName) -> String {
    format!("{JOBS_EXCHANGE}.{model}")
}

/// What a worker declares: the model's jobs, the shared results and the dead letters.
#[must_use]
pub fn for_worker(model: &ModelName) -> Topology {
    let jobs = Queue {
        name: jobs_queue(model),
        arguments: vec![
            ("x-queue-type", Argument::Text("quorum")),
            ("x-delivery-limit", Argument::Integer(DELIVERY_LIMIT)),
            ("x-dead-letter-exchange", Argument::Text(DEAD)),
            // Without reject-publish, at-least-once silently becomes at-most-once.
            ("x-dead-letter-strategy", Argument::Text("at-least-once")),
            ("x-overflow", Argument::Text("reject-publish")),
            ("x-max-length-bytes", Argument::Integer(JOBS_MAX_BYTES)),
        ],
    };
    let jobs_binding = Binding {
        exchange: JOBS_EXCHANGE,
        routing_key: model.to_string(),
        queue: jobs.name.clone(),
    };
    let dead_binding = Binding {
        exchange: DEAD,
        routing_key: String::new(),
        queue: DEAD.to_owned(),
    };
    Topology {
        exchanges: vec![
            Exchange {
                name: JOBS_EXCHANGE,
                kind: ExchangeKind::Direct,
            },
            Exchange {
                name: DEAD,
                kind: ExchangeKind::Fanout,
            },
        ],
        queues: vec![
            jobs,
            bounded_quorum_queue(RESULTS_QUEUE, RESULTS_MAX_BYTES),
            bounded_quorum_queue(DEAD, DEAD_MAX_BYTES),
        ],
        bindings: vec![jobs_binding, dead_binding],
    }
}

/// What a producer declares: the exchange for its jobs and a queue for its results.
///
/// It does not declare the jobs' queue: a model that no worker has ever served is a mistake that
/// the producer reports, not a queue that fills up.
#[must_use]
pub fn for_producer(result_queue: &str) -> Topology {
    Topology {
        exchanges: vec![Exchange {
            name: JOBS_EXCHANGE,
            kind: ExchangeKind::Direct,
        }],
        queues: vec![Queue {
            name: result_queue.to_owned(),
            // Classic: this queue is young, and on RabbitMQ 3.10 a quorum queue does not come back
            // if its node is killed (kill -9) within the second after the declaration.
            arguments: vec![
                ("x-queue-type", Argument::Text("classic")),
                ("x-expires", Argument::Integer(SESSION_EXPIRES_MS)),
            ],
        }],
        bindings: Vec::new(),
    }
}

fn bounded_quorum_queue(name: &str, max_bytes: i64) -> Queue {
    Queue {
        name: name.to_owned(),
        arguments: vec![
            ("x-queue-type", Argument::Text("quorum")),
            ("x-max-length-bytes", Argument::Integer(max_bytes)),
            ("x-overflow", Argument::Text("drop-head")),
        ],
    }
}

//! Exchanges and queues: their names, kinds and arguments, as plain data.
//!
//! Both programs declare what they use, so whoever starts first creates it. The arguments of an
//! existing queue cannot be changed: a new value here needs a new queue, or the old one deleted.

use crate::{ModelName, announcement};
use std::borrow::Cow;

/// The direct exchange for jobs; the routing key is the model's name.
pub const JOBS_EXCHANGE: &str = "ncs.jobs";
/// Results of jobs that name no queue of their own.
pub const RESULTS_QUEUE: &str = "ncs.results";
/// The exchange and the queue for messages that nobody could answer.
pub const DEAD: &str = "ncs.dead";
/// A second queue of [`DEAD`]'s: what the broker itself has dead-lettered, until a worker has told
/// the submitter.
pub const UNANSWERED: &str = "ncs.dead.unanswered";

/// What the names of all [`suspects_queue`]s begin with.
const SUSPECTS: &str = "ncs.suspects";

/// How often a job may come back to its queue before it is dead-lettered.
///
/// Innocent returns count too (a worker that is killed returns all it had in hand), so this is
/// well above what a bad day brings. 20 is also what RabbitMQ 4 uses by itself; 3.10 has no limit.
/// A job that reaches a worker is set aside long before, see [`SUSPECT_AFTER`].
pub const DELIVERY_LIMIT: i64 = 20;
/// A job that has come back so often is a suspect: it may be what kills the workers. It moves to
/// [`suspects_queue`], and is tried there with nothing else in the worker's hands.
///
/// One return is a bad day's; with two, a job was in the hands of two workers when they were lost.
pub const SUSPECT_AFTER: i64 = 2;
/// How often a suspect may come back. Each time it was alone in the hands of a worker that was lost,
/// so it takes no innocents with it, and few are enough.
pub const SUSPECT_DELIVERY_LIMIT: i64 = 4;
/// For queues whose messages are looked at and put back: RabbitMQ 4 would drop them after 20 times.
const NO_DELIVERY_LIMIT: i64 = 1_000_000_000;
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
    Text(Cow<'static, str>),
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

/// The name of the queue that holds a model's jobs that may be what kills its workers.
#[must_use]
pub fn suspects_queue(model: &ModelName) -> String {
    format!("{SUSPECTS}.{model}")
}

/// The name of the queue for the results of one batch, and of nobody else's: its id is in it. Its name, for
/// people, is one of a [`ModelName`]'s characters.
#[must_use]
pub fn batch_results_queue(name: Option<&str>, id: &str) -> String {
    match name {
        Some(name) => format!("{RESULTS_QUEUE}.{name}.{id}"),
        None => format!("{RESULTS_QUEUE}.{id}"),
    }
}

/// Whether this is the name of some model's [`suspects_queue`].
#[must_use]
pub fn is_suspects_queue(name: &str) -> bool {
    let model = name.strip_prefix(SUSPECTS);
    model.is_some_and(|model| model.starts_with('.'))
}

/// How often a queue handed a job out until the broker dead-lettered it; `reason` is the broker's, in the
/// header `x-death`.
#[must_use]
pub fn deliveries_until_death(reason: &str, queue: &str) -> u32 {
    let deliveries = match reason {
        "delivery_limit" if is_suspects_queue(queue) => SUSPECT_DELIVERY_LIMIT + 1,
        "delivery_limit" => DELIVERY_LIMIT + 1,
        "rejected" => 1,
        _ => 0,
    };
    u32::try_from(deliveries).unwrap_or(u32::MAX)
}

/// What a worker declares: the model's jobs and suspects, the shared results and the dead letters.
#[must_use]
pub fn for_worker(model: &ModelName) -> Topology {
    let jobs = queue_of_jobs(model, jobs_queue(model), DELIVERY_LIMIT);
    let suspects = queue_of_jobs(model, suspects_queue(model), SUSPECT_DELIVERY_LIMIT);
    let jobs_binding = Binding {
        exchange: JOBS_EXCHANGE,
        routing_key: model.to_string(),
        queue: jobs.name.clone(),
    };
    let dead_binding = |queue: &str| Binding {
        exchange: DEAD,
        routing_key: String::new(),
        queue: queue.to_owned(),
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
            announcement::exchange(),
        ],
        queues: vec![
            jobs,
            suspects,
            bounded_quorum_queue(RESULTS_QUEUE, RESULTS_MAX_BYTES),
            bounded_quorum_queue(DEAD, DEAD_MAX_BYTES),
            bounded_quorum_queue(UNANSWERED, DEAD_MAX_BYTES),
        ],
        bindings: vec![jobs_binding, dead_binding(DEAD), dead_binding(UNANSWERED)],
    }
}

/// What a producer declares: the exchange for its jobs and a queue for its results.
///
/// It does not declare the jobs' queue: a model that no worker has ever served is a mistake that
/// the producer reports, not a queue that fills up.
#[must_use]
pub fn for_producer(result_queue: &str) -> Topology {
    // Classic: this queue is young, and on RabbitMQ 3.10 a quorum queue does not come back if its node is
    // killed (kill -9) within the second after the declaration.
    producers("classic", result_queue)
}

/// The same where the broker is a cluster: the results are on all of its nodes, as the jobs are. A classic
/// queue is on one, and while that is away it can neither be used nor declared.
#[must_use]
pub fn for_producer_on_cluster(result_queue: &str) -> Topology {
    producers("quorum", result_queue)
}

fn producers(queue_type: &'static str, result_queue: &str) -> Topology {
    Topology {
        exchanges: vec![Exchange {
            name: JOBS_EXCHANGE,
            kind: ExchangeKind::Direct,
        }],
        queues: vec![Queue {
            name: result_queue.to_owned(),
            arguments: vec![
                ("x-queue-type", Argument::Text(queue_type.into())),
                ("x-expires", Argument::Integer(SESSION_EXPIRES_MS)),
            ],
        }],
        bindings: Vec::new(),
    }
}

/// A queue whose jobs end in the dead letters, under the model as the routing key, when they expire
/// or come back too often.
fn queue_of_jobs(model: &ModelName, name: String, delivery_limit: i64) -> Queue {
    let text = |text: &'static str| Argument::Text(text.into());
    Queue {
        name,
        arguments: vec![
            ("x-queue-type", text("quorum")),
            ("x-delivery-limit", Argument::Integer(delivery_limit)),
            ("x-dead-letter-exchange", text(DEAD)),
            (
                "x-dead-letter-routing-key",
                Argument::Text(model.to_string().into()),
            ),
            // Without reject-publish, at-least-once silently becomes at-most-once.
            ("x-dead-letter-strategy", text("at-least-once")),
            ("x-overflow", text("reject-publish")),
            ("x-max-length-bytes", Argument::Integer(JOBS_MAX_BYTES)),
        ],
    }
}

fn bounded_quorum_queue(name: &str, max_bytes: i64) -> Queue {
    Queue {
        name: name.to_owned(),
        arguments: vec![
            ("x-queue-type", Argument::Text("quorum".into())),
            ("x-delivery-limit", Argument::Integer(NO_DELIVERY_LIMIT)),
            ("x-max-length-bytes", Argument::Integer(max_bytes)),
            ("x-overflow", Argument::Text("drop-head".into())),
        ],
    }
}

//! A job from its arrival at the worker to its answer.

use crate::metrics::JobOutcome;
use ncs_broker::{Delivery, Message, Ticket};
use ncs_protocol::properties::{HEADER_DELIVERY_COUNT, HEADER_EARLIER_ATTEMPTS};
use ncs_protocol::topology::{self, SUSPECT_AFTER};
use ncs_protocol::{HeaderValue, ModelName, Properties};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// A delivery in hand. Several may hold it at once: the queue, the thread that infers it, and, when
/// that thread does not come back from its device, the thread that tries it again. Whoever is first
/// answers it.
pub struct Received {
    /// The message's properties.
    pub properties: Properties,
    /// The message's body.
    pub body: Vec<u8>,
    /// It was handed out before.
    pub redelivered: bool,
    /// The queue that it goes back to, where it is that of the suspects.
    suspects: Option<String>,
    /// When it arrived.
    pub at: Instant,
    /// The same, in microseconds since 1970.
    pub at_us: u64,
    /// Whoever waits for its answer does so until then.
    deadline: Option<Instant>,
    failures: AtomicU32,
    /// Taken with the answer. The session ends with the last of the senders, so a thread that hangs
    /// on to an answered job must not hold one.
    due: Mutex<Option<Due>>,
}

/// The right to answer a job.
struct Due {
    ticket: Ticket,
    /// Where its session waits for it. Once the session is over, nobody does, and the broker hands
    /// the job out again.
    session: mpsc::Sender<Finished>,
}

/// A job that is answered, but not yet published.
pub struct Finished {
    /// What settles it, once all messages are confirmed.
    pub ticket: Ticket,
    /// What became of it.
    pub answer: Answer,
    /// Since when it waits to be published.
    pub at: Instant,
}

/// What became of a job here.
pub enum Answer {
    /// These messages, and what they come to.
    Messages(Vec<Message>, JobOutcome),
    /// None yet: the job goes into a queue again, as this new message.
    Moved(Box<Message>, JobOutcome),
}

impl Received {
    /// A delivery that has just arrived.
    #[must_use]
    pub fn now(delivery: Delivery, session: mpsc::Sender<Finished>) -> Arc<Self> {
        let at_us = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_micros();
        let at_us = u64::try_from(at_us).unwrap_or(u64::MAX);
        let at = Instant::now();
        let Delivery {
            properties,
            body,
            redelivered,
            routing_key,
            ticket,
            ..
        } = delivery;
        let left = properties.time_left(at_us);
        Arc::new(Self {
            deadline: left.and_then(|left| at.checked_add(left)),
            properties,
            body,
            redelivered,
            suspects: topology::is_suspects_queue(&routing_key).then_some(routing_key),
            at,
            at_us,
            failures: AtomicU32::new(0),
            due: Mutex::new(Some(Due { ticket, session })),
        })
    }

    /// Which try of the broker's this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.properties.attempt(self.redelivered)
    }

    /// Nobody waits for its answer any more: it was given, or its session is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.due()
            .as_ref()
            .is_none_or(|due| due.session.is_closed())
    }

    /// Counts a failed inference of this job, and tells how many there were.
    pub fn failed(&self) -> u32 {
        self.failures.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Answers it, unless somebody has.
    pub fn answer(&self, messages: Vec<Message>, outcome: JobOutcome) {
        self.finish(|| Answer::Messages(messages, outcome));
    }

    /// Its deadline has passed: since when.
    #[must_use]
    pub fn overdue(&self) -> Option<Duration> {
        let overdue = Instant::now().checked_duration_since(self.deadline?)?;
        (!overdue.is_zero()).then_some(overdue)
    }

    /// It may be what kills workers: it came back from more than a bad day's worth of them.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        let returns = self.properties.integer(HEADER_DELIVERY_COUNT);
        // At the first delivery, the count is something that its sender wrote.
        self.redelivered && returns.is_some_and(|returns| returns >= SUSPECT_AFTER)
    }

    /// Puts it back into its queue for other hosts, unless it was answered: this one can infer no more.
    /// As a new message, because the broker would count a return against the job's delivery limit.
    pub fn hand_back(&self, model: &ModelName) {
        self.finish(|| {
            let (exchange, queue) = match &self.suspects {
                Some(queue) => (String::new(), queue.clone()),
                None => (topology::JOBS_EXCHANGE.to_owned(), model.to_string()),
            };
            let job = self.again(self.attempt(), exchange, queue);
            Answer::Moved(Box::new(job), JobOutcome::HandedBack)
        });
    }

    /// Puts it where it is tried alone.
    pub fn set_aside(&self, model: &ModelName) {
        self.finish(|| {
            let queue = topology::suspects_queue(model);
            // This time it was not tried.
            let job = self.again(self.attempt() - 1, String::new(), queue);
            Answer::Moved(Box::new(job), JobOutcome::SetAside)
        });
    }

    /// The same job as a new message, with what is left of its time.
    fn again(&self, attempts: u32, exchange: String, routing_key: String) -> Message {
        let mut properties = self.properties.clone();
        properties.headers.remove(HEADER_DELIVERY_COUNT);
        let attempts = HeaderValue::Integer(attempts.into());
        let header = HEADER_EARLIER_ATTEMPTS.to_owned();
        properties.headers.insert(header, attempts);
        properties.persistent = true;
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            properties.expiration = Some(left.as_millis().to_string());
        }
        Message {
            exchange,
            routing_key,
            mandatory: true,
            properties,
            body: self.body.clone(),
        }
    }

    fn finish(&self, answer: impl FnOnce() -> Answer) {
        let Some(Due { ticket, session }) = self.due().take() else {
            return;
        };
        // Never full: it holds as many as a worker may have in hand. Closed: the session has ended
        // meanwhile, and the broker hands the job out again.
        let _ = session.try_send(Finished {
            ticket,
            answer: answer(),
            at: Instant::now(),
        });
    }

    fn due(&self) -> MutexGuard<'_, Option<Due>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

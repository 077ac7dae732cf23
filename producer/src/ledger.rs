//! Which jobs are unanswered, and what became of the others.

use hdrhistogram::Histogram;
use ncs_protocol::{ErrorCode, JobResult, Outcome};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// Latencies are kept to three digits, in microseconds, up to one hour.
const MAX_LATENCY_US: u64 = 3_600_000_000;

/// The books of one flood.
///
/// A job is *unanswered* from [`Ledger::sent`] to its first result. It is kept by its id, so that
/// a job that the fleet did twice is counted once.
pub struct Ledger {
    unanswered: HashMap<String, Unanswered>,
    /// Jobs handed to the broker.
    pub sent: u64,
    /// Jobs with a result, be it classes or an error.
    pub answered: u64,
    /// Answered with an error.
    pub failed: u64,
    /// Results of jobs that were answered before.
    pub duplicates: u64,
    /// Publishes that the broker refused, because the queue is full; each was tried again.
    pub refused: u64,
    /// Answers per worker.
    pub workers: BTreeMap<String, u64>,
    /// Failures per code, with the first one's sentence.
    pub failures: BTreeMap<&'static str, FailureCount>,
    /// From a job's submission to its result, in microseconds.
    pub latency_us: Histogram<u64>,
    first_sent: Option<Instant>,
    last_answered: Option<Instant>,
}

/// How often a failure came, and how it reads.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FailureCount {
    /// How often.
    pub count: u64,
    /// The first one's sentence.
    pub example: String,
}

struct Unanswered {
    submitted: Instant,
    image: usize,
    confirmed: bool,
}

/// A job that may not have reached the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unconfirmed {
    /// Its id.
    pub id: String,
    /// Which image it carries.
    pub image: usize,
}

/// What a result was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The first answer of a job.
    First {
        /// Which image the job carried.
        image: usize,
        /// From its submission.
        latency: Duration,
    },
    /// Another answer of a job, or of none of ours.
    Duplicate,
}

impl Default for Ledger {
    fn default() -> Self {
        // The bounds are constants within what the crate accepts.
        let latency_us = Histogram::new_with_bounds(1, MAX_LATENCY_US, 3);
        Self {
            unanswered: HashMap::new(),
            sent: 0,
            answered: 0,
            failed: 0,
            duplicates: 0,
            refused: 0,
            workers: BTreeMap::new(),
            failures: BTreeMap::new(),
            latency_us: latency_us.expect("valid bounds"),
            first_sent: None,
            last_answered: None,
        }
    }
}

impl Ledger {
    /// A job is about to be published.
    pub fn sent(&mut self, id: String, image: usize, now: Instant) {
        self.first_sent.get_or_insert(now);
        self.sent += 1;
        self.unanswered.insert(
            id,
            Unanswered {
                submitted: now,
                image,
                confirmed: false,
            },
        );
    }

    /// The broker has the job.
    pub fn confirmed(&mut self, id: &str) {
        if let Some(job) = self.unanswered.get_mut(id) {
            job.confirmed = true;
        }
    }

    /// A result has come.
    pub fn answered(&mut self, result: &JobResult, now: Instant) -> Entry {
        let Some(job) = self.unanswered.remove(&result.job_id) else {
            self.duplicates += 1;
            return Entry::Duplicate;
        };
        self.last_answered = Some(now);
        self.answered += 1;
        let latency = now.saturating_duration_since(job.submitted);
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(MAX_LATENCY_US);
        self.latency_us
            .saturating_record(latency_us.clamp(1, MAX_LATENCY_US));
        *self.workers.entry(result.worker.clone()).or_default() += 1;
        if let Outcome::Error(failure) = &result.outcome {
            self.failed += 1;
            self.count_failure(failure.code, &failure.message);
        }
        Entry::First {
            image: job.image,
            latency,
        }
    }

    fn count_failure(&mut self, code: ErrorCode, message: &str) {
        let first = || FailureCount {
            count: 0,
            example: message.to_owned(),
        };
        self.failures
            .entry(code.as_str())
            .or_insert_with(first)
            .count += 1;
    }

    /// How many jobs are unanswered.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// The jobs that must be published again after the connection was lost, under their old ids.
    #[must_use]
    pub fn unconfirmed(&self) -> Vec<Unconfirmed> {
        let unconfirmed = self.unanswered.iter().filter(|(_, job)| !job.confirmed);
        unconfirmed
            .map(|(id, job)| Unconfirmed {
                id: id.clone(),
                image: job.image,
            })
            .collect()
    }

    /// From the first job's submission to the last answer.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        match (self.first_sent, self.last_answered) {
            (Some(first), Some(last)) => last.saturating_duration_since(first),
            _ => Duration::ZERO,
        }
    }

    /// Images classified per second over [`Self::elapsed`]; failures do not count.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a number of jobs fits")]
    pub fn images_per_second(&self) -> f64 {
        let seconds = self.elapsed().as_secs_f64();
        if seconds > 0.0 {
            (self.answered - self.failed) as f64 / seconds
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ncs_protocol::{Failure, StageTimes};

    fn result(id: &str, outcome: Outcome) -> JobResult {
        JobResult {
            job_id: id.into(),
            worker: "w".into(),
            host: "h".into(),
            model: "m".into(),
            outcome,
            attempt: 1,
            times: StageTimes::default(),
        }
    }

    #[test]
    fn the_first_answer_counts_and_further_ones_are_duplicates() {
        let (mut ledger, start) = (Ledger::default(), Instant::now());
        ledger.sent("a".into(), 3, start);
        let answer = result("a", Outcome::Classes(vec![]));
        let latency = Duration::from_millis(250);
        let later = start + latency;
        let first = Entry::First { image: 3, latency };
        assert_eq!(ledger.answered(&answer, later), first);
        assert_eq!(ledger.answered(&answer, later), Entry::Duplicate);
        assert_eq!(
            ledger.answered(&result("zzz", Outcome::Classes(vec![])), later),
            Entry::Duplicate
        );
        assert_eq!((ledger.sent, ledger.answered, ledger.duplicates), (1, 1, 2));
        assert_eq!(ledger.latency_us.max() / 1_000, 250);
        assert!((ledger.images_per_second() - 4.0).abs() < 1e-9);
    }

    #[test]
    fn failures_are_answers_and_are_told_apart_by_code() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        for id in ["a", "b"] {
            ledger.sent(id.into(), 0, now);
            let failure = Failure {
                code: ErrorCode::UndecodableImage,
                message: id.into(),
            };
            ledger.answered(&result(id, Outcome::Error(failure)), now);
        }
        assert_eq!((ledger.answered, ledger.failed), (2, 2));
        let expected = FailureCount {
            count: 2,
            example: "a".into(),
        };
        assert_eq!(ledger.failures["undecodable_image"], expected);
    }

    #[test]
    fn only_what_is_neither_confirmed_nor_answered_is_published_again() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        for (image, id) in ["a", "b", "c"].into_iter().enumerate() {
            ledger.sent(id.into(), image, now);
        }
        ledger.confirmed("a");
        ledger.answered(&result("b", Outcome::Classes(vec![])), now);
        assert_eq!(
            ledger.unconfirmed(),
            [Unconfirmed {
                id: "c".into(),
                image: 2
            }]
        );
        assert_eq!(ledger.unanswered(), 2);
    }
}

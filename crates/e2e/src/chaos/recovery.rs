//! How long it took until answers came again.

use std::fmt;
use std::time::Duration;

use super::answers::{Answer, Answers};
use super::fault::Kind;
use super::strike::Record;

/// Times of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Samples {
    seen: Vec<Duration>,
    /// So many times no such answer came.
    unseen: usize,
}

/// All that is measured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// From the broker being back, which is when it speaks AMQP, to the first answer.
    pub broker_back: Samples,
    /// From a worker's SIGKILL to the first answer of the other worker to a job that was handed out
    /// before.
    pub worker_killed: Samples,
    /// The same where the broker must notice by itself: the host has vanished, or was paused or cut
    /// off for longer than that takes.
    pub host_silent: Samples,
}

impl Samples {
    fn add(&mut self, sample: Option<Duration>) {
        match sample {
            Some(took) => self.seen.push(took),
            None => self.unseen += 1,
        }
    }

    /// Half of them took no longer.
    #[must_use]
    pub fn median(&self) -> Option<Duration> {
        let mut sorted = self.seen.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len().saturating_sub(1) / 2).copied()
    }

    /// The longest.
    #[must_use]
    pub fn worst(&self) -> Option<Duration> {
        self.seen.iter().max().copied()
    }
}

impl Recovery {
    /// From what was done, in its order, and what was answered.
    pub(super) fn measure(records: &[Record], answers: &Answers, noticed: Duration) -> Self {
        let mut recovery = Self::default();
        let first = |from_us: u64, wanted: &dyn Fn(&Answer) -> bool| {
            let mut later = answers.all.iter().filter(|answer| answer.at_us > from_us);
            let found = later.find(|answer| wanted(answer))?;
            Some(Duration::from_micros(found.at_us - from_us))
        };
        for record in records {
            if let Some(back_us) = record.back_us {
                recovery.broker_back.add(first(back_us, &|_| true));
            }
            let samples = match record.fault.kind {
                Kind::WorkerKilled => &mut recovery.worker_killed,
                Kind::HostVanished => &mut recovery.host_silent,
                Kind::WorkerPaused | Kind::NetworkCut if record.lasted > noticed => {
                    &mut recovery.host_silent
                }
                _ => continue,
            };
            let Some(unhurt) = record.unhurt_worker else {
                continue;
            };
            samples.add(first(record.began_us, &|answer| {
                answer.worker == unhurt && answer.attempt > 1
            }));
        }
        recovery
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.median(), self.worst()) {
            (Some(median), Some(worst)) => write!(
                f,
                "median {:.2} s, worst {:.2} s of {}",
                median.as_secs_f64(),
                worst.as_secs_f64(),
                self.seen.len()
            )?,
            _ if self.unseen == 0 => f.write_str("not measured: it did not happen alone")?,
            _ => f.write_str("not measured")?,
        }
        match self.unseen {
            0 => Ok(()),
            unseen => write!(f, ", {unseen} not seen"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::fault::Fault;

    const SECOND: u64 = 1_000_000;

    fn record(kind: Kind, began_us: u64) -> Record {
        Record {
            fault: Fault {
                kind,
                host: 0,
                stick: 0,
            },
            began_us,
            lasted: Duration::from_secs(25),
            back_us: None,
            unhurt_worker: Some(2),
        }
    }

    /// Of worker, attempt and second.
    fn answers(all: &[(u32, u64, u64)]) -> Answers {
        let answer = |&(worker, attempt, second): &(u32, u64, u64)| Answer {
            job: String::new(),
            image: Some(0),
            duplicate: false,
            worker,
            attempt,
            at_us: second * SECOND,
            outcome: 0,
        };
        Answers {
            all: all.iter().map(answer).collect(),
            outcomes: Vec::new(),
        }
    }

    #[test]
    fn a_lost_workers_jobs_are_those_that_the_other_one_gets_again() {
        let answers = answers(&[(2, 2, 9), (1, 2, 12), (2, 1, 13), (2, 2, 15)]);
        let records = [
            record(Kind::WorkerKilled, 10 * SECOND),
            record(Kind::WorkerPaused, 11 * SECOND),
        ];
        let recovery = Recovery::measure(&records, &answers, Duration::from_secs(20));
        let samples = |seconds| Samples {
            seen: vec![Duration::from_secs(seconds)],
            unseen: 0,
        };
        assert_eq!(recovery.worker_killed, samples(5));
        assert_eq!(recovery.host_silent, samples(4));
        // A pause that the broker did not notice is not measured.
        let recovery = Recovery::measure(&records, &answers, Duration::from_secs(26));
        assert_eq!(recovery.host_silent, Samples::default());
    }

    #[test]
    fn a_recovery_that_never_came_is_told() {
        let mut killed = record(Kind::BrokerKilled, SECOND);
        killed.back_us = Some(3 * SECOND);
        let recovery = Recovery::measure(&[killed], &answers(&[(1, 1, 2)]), Duration::ZERO);
        assert_eq!(recovery.broker_back.to_string(), "not measured, 1 not seen");
    }

    #[test]
    fn the_median_is_of_the_sorted_times() {
        let seen = [5, 1, 3].map(Duration::from_secs).to_vec();
        let samples = Samples { seen, unseen: 0 };
        assert_eq!(samples.to_string(), "median 3.00 s, worst 5.00 s of 3");
    }
}

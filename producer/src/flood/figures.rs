//! What a flood counts and measures.

use super::load::Load;
use crate::traffic::Answered;
use hdrhistogram::Histogram;
use ncs_protocol::{ErrorCode, JobResult, Outcome};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Latencies end here, in microseconds: at an hour.
const MAX_LATENCY_US: u64 = 3_600_000_000;
/// Workers and hosts that are counted by name; a queue of results is open to whoever knows it.
const MOST_NAMES: usize = 1_000;
/// All others together.
const OTHERS: &str = "others";

/// The counts cover the whole flood, so that nothing lost is left out; latencies and images/s leave
/// out the warm-up.
pub(crate) struct Figures {
    /// Jobs handed to the broker.
    pub(crate) sent: u64,
    /// Jobs with a result, be it classes or an error.
    pub(crate) answered: u64,
    /// Answered with an error.
    pub(crate) failed: u64,
    /// Results of jobs that were answered before.
    pub(crate) duplicates: u64,
    /// Answers per worker.
    pub(crate) workers: BTreeMap<String, u64>,
    /// Answers per host.
    pub(crate) hosts: BTreeMap<String, u64>,
    /// Failures per code, with the first one's sentence.
    pub(crate) failures: BTreeMap<&'static str, FailureCount>,
    /// One for each of the load's.
    pub(crate) steps: Vec<StepFigures>,
    /// The longest that a job of an open loop was sent after it was due, the warm-up left out.
    pub(crate) latest: Duration,
}

/// A job that is about to be published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) step: usize,
    /// When its step began.
    pub(crate) began: Instant,
    /// How long after it was due.
    pub(crate) late: Duration,
}

/// How often a failure came, and how it reads.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct FailureCount {
    /// How often.
    pub(crate) count: u64,
    /// The first one's sentence.
    pub(crate) example: String,
}

/// One step of a flood.
pub(crate) struct StepFigures {
    /// Its jobs are left out of the figures.
    pub(crate) warm_up: bool,
    /// Its jobs that were sent.
    pub(crate) sent: u64,
    /// Its jobs that were answered.
    pub(crate) answered: u64,
    /// And answered with an error.
    pub(crate) failed: u64,
    /// Images that were classified while it lasted, whatever step their jobs belong to.
    pub(crate) classified: u64,
    /// From when its jobs were due to their results, in microseconds.
    pub(crate) latency_us: Histogram<u64>,
    /// When its time began: of a closed loop, when the first of its jobs was sent.
    pub(crate) began: Option<Instant>,
    /// When its time was over, or the last answer came, whichever is later.
    pub(crate) ended: Option<Instant>,
    /// Jobs unanswered when its time was over.
    pub(crate) unanswered: Option<u64>,
}

impl Figures {
    /// Of a load that is about to begin.
    pub(crate) fn new(load: &Load) -> Self {
        let steps = load.steps.iter().map(|step| StepFigures {
            warm_up: step.warm_up,
            sent: 0,
            answered: 0,
            failed: 0,
            classified: 0,
            latency_us: empty_histogram(),
            began: None,
            ended: None,
            unanswered: None,
        });
        Self {
            sent: 0,
            answered: 0,
            failed: 0,
            duplicates: 0,
            workers: BTreeMap::new(),
            hosts: BTreeMap::new(),
            failures: BTreeMap::new(),
            steps: steps.collect(),
            latest: Duration::ZERO,
        }
    }

    /// A job is about to be published.
    pub(crate) fn sent(&mut self, Sent { step, began, late }: Sent) {
        self.sent += 1;
        if let Some(step) = self.steps.get_mut(step) {
            step.sent += 1;
            step.began.get_or_insert(began);
            if !step.warm_up {
                self.latest = self.latest.max(late);
            }
        }
    }

    /// The first result of a job of this step has come, while the step `now_in` lasts.
    pub(crate) fn answered(
        &mut self,
        result: &JobResult,
        (job, step): (Answered, usize),
        now_in: usize,
        now: Instant,
    ) {
        self.answered += 1;
        count(&mut self.workers, &result.worker);
        count(&mut self.hosts, &result.host);
        let classified = match &result.outcome {
            Outcome::Classes(_) => 1,
            Outcome::Error(failure) => {
                self.failed += 1;
                self.count_failure(failure.code, &failure.message);
                0
            }
        };
        if let Some(step) = self.steps.get_mut(step) {
            step.answered += 1;
            step.failed += 1 - classified;
            let us = u64::try_from(job.latency.as_micros()).unwrap_or(MAX_LATENCY_US);
            // It grows up to the largest latency that there is.
            let _ = step.latency_us.record(us.clamp(1, MAX_LATENCY_US));
        }
        if let Some(step) = self.steps.get_mut(now_in) {
            step.classified += classified;
            step.ended = step.ended.max(Some(now));
        }
    }

    /// The time of a step is over.
    pub(crate) fn end_step(&mut self, step: usize, now: Instant) {
        let unanswered = self.unanswered();
        if let Some(step) = self.steps.get_mut(step) {
            step.unanswered = Some(unanswered);
            step.ended = step.ended.max(Some(now));
        }
    }

    /// Jobs sent and not answered.
    pub(crate) fn unanswered(&self) -> u64 {
        self.sent - self.answered
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

    /// The steps that count.
    pub(crate) fn measured(&self) -> impl Iterator<Item = &StepFigures> {
        self.steps.iter().filter(|step| !step.warm_up)
    }

    /// The latencies of all steps that count.
    pub(crate) fn latency_us(&self) -> Histogram<u64> {
        let mut all = empty_histogram();
        for step in self.measured() {
            // They are all alike, and grow by themselves.
            let _ = all.add(&step.latency_us);
        }
        all
    }

    /// From the first job that counts to the last answer.
    pub(crate) fn elapsed(&self) -> Duration {
        let first = self.measured().find_map(|step| step.began);
        let last = self.measured().filter_map(|step| step.ended).max();
        match (first, last) {
            (Some(first), Some(last)) => last.saturating_duration_since(first),
            _ => Duration::ZERO,
        }
    }

    /// Images classified until now, the warm-up included.
    pub(crate) fn classified(&self) -> u64 {
        self.answered - self.failed
    }

    /// Images classified per second over [`Self::elapsed`]; failures do not count.
    pub(crate) fn images_per_second(&self) -> f64 {
        let classified = self.measured().map(|step| step.classified).sum();
        per_second(classified, self.elapsed())
    }
}

impl StepFigures {
    /// Images classified per second while it lasted; failures do not count.
    pub(crate) fn images_per_second(&self) -> f64 {
        per_second(self.classified, self.elapsed())
    }

    /// How long it lasted.
    pub(crate) fn elapsed(&self) -> Duration {
        match (self.began, self.ended) {
            (Some(began), Some(ended)) => ended.saturating_duration_since(began),
            _ => Duration::ZERO,
        }
    }
}

/// Three digits, and it grows with what it is given.
fn empty_histogram() -> Histogram<u64> {
    // The crate refuses more than five digits only.
    Histogram::new(3).expect("three digits")
}

#[expect(clippy::cast_precision_loss, reason = "a number of jobs fits")]
fn per_second(images: u64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 {
        images as f64 / seconds
    } else {
        0.0
    }
}

fn count(names: &mut BTreeMap<String, u64>, name: &str) {
    let name = if names.len() < MOST_NAMES || names.contains_key(name) {
        name
    } else {
        OTHERS
    };
    if let Some(count) = names.get_mut(name) {
        *count += 1;
    } else {
        names.insert(name.to_owned(), 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Arrival;
    use crate::flood::load::Step;
    use ncs_protocol::{Failure, StageTimes};

    fn figures(steps: &[bool]) -> Figures {
        let steps = steps.iter().map(|&warm_up| Step {
            rate: None,
            length: Some(Duration::from_secs(1)),
            warm_up,
        });
        Figures::new(&Load {
            steps: steps.collect(),
            jobs: None,
            arrival: Arrival::Constant,
            is_ramp: false,
        })
    }

    fn result(outcome: Outcome) -> JobResult {
        JobResult {
            job_id: "a".into(),
            worker: "w".into(),
            host: "h".into(),
            model: "m".into(),
            outcome,
            attempt: 1,
            times: StageTimes::default(),
        }
    }

    fn answered(due: Instant, latency: Duration) -> Answered {
        Answered {
            image: 0,
            due,
            latency,
        }
    }

    fn send(figures: &mut Figures, step: usize, began: Instant) {
        let late = Duration::ZERO;
        figures.sent(Sent { step, began, late });
    }

    #[test]
    fn the_warm_up_counts_but_is_left_out_of_speed_and_latency() {
        let (mut figures, start) = (figures(&[true, false]), Instant::now());
        let second = Duration::from_secs(1);
        let classes = result(Outcome::Classes(vec![]));
        send(&mut figures, 0, start);
        send(&mut figures, 1, start + second);
        send(&mut figures, 1, start + second);
        // The answer to the slow job of the warm-up comes while the rest is measured: it is work done.
        let slow = answered(start, 2 * second);
        figures.answered(&classes, (slow, 0), 1, start + 2 * second);
        let quick = answered(start + second, second);
        figures.answered(&classes, (quick, 1), 1, start + 2 * second);
        figures.answered(&classes, (quick, 1), 1, start + 2 * second);
        assert_eq!((figures.sent, figures.answered), (3, 3));
        assert_eq!(figures.elapsed(), second);
        assert!((figures.images_per_second() - 3.0).abs() < 1e-9);
        let latency = figures.latency_us();
        assert_eq!((latency.len(), latency.max() / 100_000), (2, 10));
    }

    #[test]
    fn a_step_lasts_to_the_end_of_its_time_and_to_the_last_answer() {
        let (mut figures, start) = (figures(&[false]), Instant::now());
        let second = Duration::from_secs(1);
        let classes = result(Outcome::Classes(vec![]));
        send(&mut figures, 0, start);
        figures.answered(&classes, (answered(start, second), 0), 0, start + second);
        figures.end_step(0, start + 4 * second);
        assert!((figures.images_per_second() - 0.25).abs() < 1e-9);
        figures.end_step(0, start + 2 * second);
        assert_eq!(figures.elapsed(), 4 * second);
    }

    #[test]
    fn failures_are_answers_are_told_apart_by_code_and_are_no_images() {
        let (mut figures, now) = (figures(&[false]), Instant::now());
        for example in ["a", "b"] {
            send(&mut figures, 0, now);
            let failure = result(Outcome::Error(Failure {
                code: ErrorCode::UndecodableImage,
                message: example.into(),
            }));
            let later = Duration::from_secs(1);
            figures.answered(&failure, (answered(now, later), 0), 0, now + later);
        }
        assert_eq!((figures.answered, figures.failed), (2, 2));
        let expected = FailureCount {
            count: 2,
            example: "a".into(),
        };
        assert_eq!(figures.failures["undecodable_image"], expected);
        assert!(figures.images_per_second() < 1e-9);
    }

    #[test]
    fn names_beyond_the_bound_are_counted_together() {
        let mut names = BTreeMap::new();
        for n in 0..MOST_NAMES + 5 {
            count(&mut names, &n.to_string());
        }
        assert_eq!((names.len(), names[OTHERS]), (MOST_NAMES + 1, 5));
        count(&mut names, "7");
        assert_eq!(names["7"], 2);
    }
}

//! What a flood found: JSON keeps the figures, the text and the CSV are views of them.

mod output;
mod text;

pub(crate) use output::check;

use super::Flood;
use super::figures::{FailureCount, StepFigures};
use super::goals;
use crate::traffic::End;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Everything was sent and answered.
const COMPLETE: &str = "complete";
/// No more was sent after a signal.
const INTERRUPTED: &str = "interrupted";
const GAVE_UP: &str = "gave up";

/// The figures of one flood.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    /// The model.
    pub(crate) model: String,
    /// Jobs that were asked for, after the warm-up; absent for a duration.
    pub(crate) asked: Option<u64>,
    /// Jobs handed to the broker, those of the warm-up included.
    pub(crate) sent: u64,
    /// Those of the warm-up, which all other counts include, and speed and latency leave out.
    pub(crate) warm_up_jobs: u64,
    /// Jobs with a result, be it classes or an error.
    pub(crate) answered: u64,
    /// Answered with an error.
    pub(crate) failed: u64,
    /// Sent, but not answered within the timeout.
    pub(crate) lost: u64,
    /// Results of jobs that were answered before.
    pub(crate) duplicates: u64,
    /// Publishes that the broker refused, because the queue is full; each was tried again.
    pub(crate) refused: u64,
    /// From the first job's submission to the last answer.
    pub(crate) seconds: f64,
    /// Images classified per second, over that time; failures do not count.
    pub(crate) images_per_second: f64,
    /// From when a job should have been sent to its result. In a closed loop that is when it was sent.
    pub(crate) latency_ms: Latency,
    /// Jobs unanswered at most; 0 without a limit.
    pub(crate) window: u32,
    /// Consumers of the queue at the start, where there was one.
    pub(crate) consumers: Option<u32>,
    /// Connections that published.
    pub(crate) connections: u16,
    /// The longest that a job was sent after it was due.
    pub(crate) latest_ms: f64,
    /// The CPU that this process has used.
    pub(crate) cpu: Option<Cpu>,
    /// Answers per worker.
    pub(crate) workers: BTreeMap<String, u64>,
    /// Answers per host.
    pub(crate) hosts: BTreeMap<String, u64>,
    /// Failures by code.
    pub(crate) failures: BTreeMap<&'static str, FailureCount>,
    /// The warm-up, and each rate.
    pub(crate) steps: Vec<StepReport>,
    /// With a ramp: the highest rate that the fleet held, in jobs per second.
    pub(crate) highest_rate: Option<f64>,
    /// In an open loop: the first rate that the fleet did not hold, and why.
    pub(crate) broke: Option<String>,
    /// `complete`, `interrupted` (no more was sent after a signal) or `gave up`.
    pub(crate) ended: &'static str,
    /// What was asked for and not reached.
    pub(crate) missed: Vec<String>,
    /// Of a window: in which part of the time it had room, and was not filled because the broker had not
    /// confirmed earlier jobs.
    pub(crate) held_by_confirms: f64,
    #[serde(skip)]
    is_ramp: bool,
    /// All steps have had their time.
    #[serde(skip)]
    is_judged: bool,
    /// For the picture.
    #[serde(skip)]
    latency_us: Histogram<u64>,
}

/// Percentiles of a latency, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Latency {
    /// The median.
    pub(crate) p50: f64,
    /// 90 of 100 are faster.
    pub(crate) p90: f64,
    /// 99 of 100 are faster.
    pub(crate) p99: f64,
    /// The slowest.
    pub(crate) max: f64,
}

/// The CPU of this process while it sent and collected.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Cpu {
    /// Seconds of one core.
    pub(crate) seconds: f64,
    /// Of one core: 1 is a whole one.
    pub(crate) cores: f64,
}

/// One step.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StepReport {
    warm_up: bool,
    /// Absent in a closed loop.
    jobs_due_per_second: Option<f64>,
    seconds: f64,
    sent: u64,
    images_per_second: f64,
    latency_ms: Latency,
    /// When its time was over.
    unanswered_at_end: Option<u64>,
}

impl Report {
    /// Sums up.
    pub(crate) fn new(flood: &Flood, end: Option<End>) -> Self {
        let (arguments, figures) = (flood.arguments, flood.figures.borrow());
        let rates = flood.rates.borrow();
        let latency_us = figures.latency_us();
        let images_per_second = figures.images_per_second();
        let compared = if flood.load.is_ramp {
            rates.highest()
        } else {
            // A rate that was held was reached, although the last answers came after the last job.
            Some(images_per_second.max(rates.highest().unwrap_or_default()))
        };
        let p99 = (!latency_us.is_empty())
            .then(|| Duration::from_micros(latency_us.value_at_quantile(0.99)));
        // With a ramp, the limit of the latency has already decided which rates were held.
        let p99 = p99.filter(|_| !flood.load.is_ramp);
        let mut limits = arguments.goals;
        if flood.load.is_ramp {
            limits.fail_p99 = None;
        }
        let steps = figures.steps.iter().zip(&flood.load.steps);
        let warm_up_jobs = figures.steps.iter().filter(|step| step.warm_up);
        Self {
            model: arguments.model.to_string(),
            asked: arguments.extent.jobs,
            sent: figures.sent,
            warm_up_jobs: warm_up_jobs.map(|step| step.sent).sum(),
            answered: figures.answered,
            failed: figures.failed,
            lost: figures.unanswered(),
            duplicates: figures.duplicates,
            refused: flood.state.get().refused,
            seconds: figures.elapsed().as_secs_f64(),
            images_per_second,
            latency_ms: Latency::of(&latency_us),
            window: flood.window(),
            consumers: flood.found.get().map(|found| found.consumers),
            connections: arguments.pace.connections,
            latest_ms: rounded_ms(figures.latest),
            cpu: flood.cpu.get().map(Cpu::from),
            workers: figures.workers.clone(),
            hosts: figures.hosts.clone(),
            failures: figures.failures.clone(),
            steps: steps
                .filter(|(figures, _)| figures.sent > 0)
                .map(|(figures, step)| StepReport::new(figures, step.rate))
                .collect(),
            highest_rate: rates.highest().filter(|_| flood.load.is_ramp),
            broke: rates.broke().map(|broke| {
                let classified = figures.steps.get(broke.step);
                let classified = classified.map_or(0.0, StepFigures::images_per_second);
                if flood.load.is_ramp {
                    broke.told(classified)
                } else {
                    broke.why.to_string()
                }
            }),
            is_ramp: flood.load.is_ramp,
            is_judged: rates.judged() == flood.load.steps.len(),
            held_by_confirms: share(flood.state.get().held_by_confirms, figures.elapsed()),
            ended: match end {
                _ if flood.signals.finish.is_cancelled() => INTERRUPTED,
                Some(End::Answered) => COMPLETE,
                Some(End::Interrupted) => INTERRUPTED,
                Some(End::GaveUp) | None => GAVE_UP,
            },
            missed: goals::missed(limits, compared, p99),
            latency_us,
        }
    }

    /// Every job that was asked for was answered, none with an error, and the goals were reached.
    pub(crate) fn is_good(&self) -> bool {
        let measured = self.sent - self.warm_up_jobs;
        measured > 0
            && self.asked.is_none_or(|asked| measured == asked)
            && self.lost == 0
            && self.failed == 0
            && self.ended != GAVE_UP
            && (!self.is_ramp || self.highest_rate.is_some())
            && self.missed.is_empty()
    }
}

impl Latency {
    fn of(us: &Histogram<u64>) -> Self {
        let quantile = |q| milliseconds(us.value_at_quantile(q));
        Self {
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            max: milliseconds(us.max()),
        }
    }
}

fn share(part: Duration, whole: Duration) -> f64 {
    (part.as_secs_f64() / whole.as_secs_f64().max(f64::EPSILON)).min(1.0)
}

#[expect(clippy::cast_precision_loss, reason = "latencies end at an hour")]
fn milliseconds(us: u64) -> f64 {
    us as f64 / 1_000.0
}

/// To microseconds: what a clock tells, without the dust of binary fractions.
pub(crate) fn rounded_ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

impl From<(Duration, Duration)> for Cpu {
    /// So much was used, in so much time.
    fn from((used, time): (Duration, Duration)) -> Self {
        let seconds = used.as_secs_f64();
        Self {
            seconds,
            cores: seconds / time.as_secs_f64().max(f64::EPSILON),
        }
    }
}

impl StepReport {
    fn new(figures: &StepFigures, rate: Option<f64>) -> Self {
        Self {
            warm_up: figures.warm_up,
            jobs_due_per_second: rate,
            seconds: figures.elapsed().as_secs_f64(),
            sent: figures.sent,
            images_per_second: figures.images_per_second(),
            latency_ms: Latency::of(&figures.latency_us),
            unanswered_at_end: figures.unanswered,
        }
    }
}

//! Whether the fleet holds a rate: which is the highest that it does, and where it breaks.

use super::figures::{Figures, StepFigures};
use super::load::Load;
use std::fmt;
use std::time::Duration;

/// The backlog may grow by so much of what was due in a step. A fleet that is 2 % too slow grows it
/// without end; counting arrivals finer than that would need longer steps.
const GROWTH: f64 = 0.02;
/// Or by what is due in so much time: answers take longer at a higher rate, and come in bursts of what
/// a worker has in hand.
const SETTLING: Duration = Duration::from_millis(250);

/// Judges the steps of a ramp in order; those of other loads are all held.
pub(crate) struct Ramp {
    /// Absent where nothing is to be judged: no ramp, or the warm-up.
    rates: Vec<Option<f64>>,
    slowest: Option<Duration>,
    judged: usize,
    /// Unanswered when the step began.
    backlog: u64,
    highest: Option<f64>,
    broke: Option<Break>,
}

/// The first rate that was not held.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Break {
    /// Jobs due per second.
    pub(crate) rate: f64,
    /// Images classified per second meanwhile.
    pub(crate) classified: f64,
    pub(crate) why: Why,
}

/// Why a rate was not held.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Why {
    /// More jobs came than were answered: so many more were unanswered at the end.
    Backlog(u64),
    /// The 99th percentile of the latency, which was to be below a limit.
    Slow(Duration),
}

impl Ramp {
    pub(crate) fn new(load: &Load, slowest: Option<Duration>) -> Self {
        let judged = |warm_up: bool| load.is_ramp && !warm_up;
        let rates = load.steps.iter();
        Self {
            rates: rates
                .map(|step| step.rate.filter(|_| judged(step.warm_up)))
                .collect(),
            slowest,
            judged: 0,
            backlog: 0,
            highest: None,
            broke: None,
        }
    }

    /// How many steps are judged, which is the number of the one that lasts.
    pub(crate) fn judged(&self) -> usize {
        self.judged
    }

    /// Judges the next step, whose time is over.
    pub(crate) fn judge(&mut self, figures: &Figures) {
        let rate = self.rates.get(self.judged).copied().flatten();
        if let Some((rate, step)) = rate.zip(figures.steps.get(self.judged)) {
            match self.why_broken(rate, step) {
                None => self.highest = Some(rate),
                Some(why) => {
                    self.broke = Some(Break {
                        rate,
                        classified: step.images_per_second(),
                        why,
                    });
                }
            }
        }
        self.backlog = figures.unanswered();
        self.judged += 1;
    }

    #[expect(clippy::cast_precision_loss, reason = "a number of jobs fits")]
    fn why_broken(&self, rate: f64, step: &StepFigures) -> Option<Why> {
        let grown = step.unanswered.unwrap_or(0).saturating_sub(self.backlog);
        let allowed = (step.sent as f64 * GROWTH).max(rate * SETTLING.as_secs_f64());
        // One job more is no sign of anything.
        if grown as f64 > allowed.max(1.0) {
            return Some(Why::Backlog(grown));
        }
        let p99 = Duration::from_micros(step.latency_us.value_at_quantile(0.99));
        let slow = self.slowest.is_some_and(|slowest| p99 > slowest);
        slow.then_some(Why::Slow(p99))
    }

    /// All steps until now were held.
    pub(crate) fn is_held(&self) -> bool {
        self.broke.is_none()
    }

    /// The highest rate that was held.
    pub(crate) fn highest(&self) -> Option<f64> {
        self.highest
    }

    /// Where it broke.
    pub(crate) fn broke(&self) -> Option<&Break> {
        self.broke.as_ref()
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rate, classified, ..
        } = self;
        write!(
            f,
            "broke at {rate}/s: {classified:.1} images/s were classified"
        )?;
        match self.why {
            Why::Backlog(jobs) => write!(f, ", and {jobs} more jobs waited at its end"),
            Why::Slow(p99) => {
                let ms = p99.as_secs_f64() * 1_000.0;
                write!(
                    f,
                    ", and one answer in a hundred took longer than {ms:.1} ms"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Arrival;
    use crate::flood::load::Step;
    use std::time::Instant;

    const SECOND: Duration = Duration::from_secs(1);

    fn ramp(rates: &[f64], slowest: Option<Duration>) -> (Ramp, Figures) {
        let steps = rates.iter().map(|&rate| Step {
            rate: Some(rate),
            length: Some(10 * SECOND),
            warm_up: false,
        });
        let load = Load {
            steps: steps.collect(),
            jobs: None,
            arrival: Arrival::Constant,
            is_ramp: true,
        };
        (Ramp::new(&load, slowest), Figures::new(&load))
    }

    /// A step in which so many jobs were sent, and so many answered after `latency`.
    fn pass(ramp: &mut Ramp, figures: &mut Figures, sent: u64, answered: u64, latency: Duration) {
        let (step, start) = (ramp.judged(), Instant::now());
        for _ in 0..sent {
            figures.sent(step, start, Duration::ZERO);
        }
        for _ in 0..answered {
            figures.answered += 1;
            figures.steps[step].classified += 1;
            let us = u64::try_from(latency.as_micros()).unwrap();
            figures.steps[step].latency_us.record(us).unwrap();
        }
        figures.end_step(step, start + 10 * SECOND);
        ramp.judge(figures);
    }

    #[test]
    fn a_ramp_breaks_where_the_backlog_grows() {
        let (mut ramp, mut figures) = ramp(&[100.0, 200.0, 300.0], None);
        let quick = Duration::from_millis(20);
        pass(&mut ramp, &mut figures, 1_000, 996, quick);
        pass(&mut ramp, &mut figures, 2_000, 1_990, quick);
        assert!(ramp.is_held());
        pass(&mut ramp, &mut figures, 3_000, 2_500, quick);
        assert!(!ramp.is_held());
        assert_eq!(ramp.highest(), Some(200.0));
        let broke = ramp.broke().unwrap();
        assert_eq!(broke.why, Why::Backlog(500));
        assert_eq!(
            broke.to_string(),
            "broke at 300/s: 250.0 images/s were classified, and 500 more jobs waited at its end"
        );
    }

    #[test]
    fn a_rate_whose_answers_are_too_slow_is_not_held() {
        let (mut ramp, mut figures) = ramp(&[100.0, 200.0], Some(SECOND / 10));
        pass(&mut ramp, &mut figures, 1_000, 1_000, SECOND / 20);
        pass(&mut ramp, &mut figures, 2_000, 2_000, SECOND / 5);
        assert_eq!(ramp.highest(), Some(100.0));
        assert!(matches!(ramp.broke().unwrap().why, Why::Slow(_)));
    }
}

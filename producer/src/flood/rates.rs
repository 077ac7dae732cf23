//! Whether the fleet holds a rate; of a ramp, which is the highest that it does, and where it breaks.

use super::figures::{Figures, StepFigures};
use super::load::{Load, Rounded};
use std::fmt;
use std::time::Duration;

/// The backlog may grow by so much of what was due in a step. A fleet that is 2 % too slow grows it
/// without end; counting arrivals finer than that would need longer steps.
const GROWTH: f64 = 0.02;
/// Or by what is due in so much time, beside the quickest answer's, for which jobs are under way where none
/// waits: answers take longer at a higher rate, and come in bursts of what a worker has in hand.
const SETTLING: Duration = Duration::from_millis(250);

/// More errors than this among the answers of a step are not the fleet's work: they take no inference.
const FAILED: f64 = 0.01;

/// Judges the steps of an open loop in order; there is nothing to judge in a closed one.
pub(crate) struct Rates {
    /// Jobs due per second, of each step. Absent where nothing is to be judged: a closed loop, or the
    /// warm-up.
    due: Vec<Option<f64>>,
    slowest: Option<Duration>,
    judged: usize,
    /// Unanswered when the step began, or less: what piled up in earlier steps is not forgiven again.
    backlog: Option<u64>,
    highest: Option<f64>,
    broke: Option<Break>,
}

/// The first rate that was not held.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Break {
    /// Which step.
    pub(crate) step: usize,
    /// Jobs due per second.
    pub(crate) rate: f64,
    pub(crate) why: Why,
}

/// Why a rate was not held.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Why {
    /// More jobs came than were answered: so many more were unanswered at the end.
    Backlog(u64),
    /// More than one answer in a hundred took longer than this limit.
    Slow(Duration),
    /// Jobs could not be sent on time: this late at the end.
    Late(Duration),
    /// So many answers, more than one in a hundred, were errors.
    Failed(u64),
}

impl Rates {
    pub(crate) fn new(load: &Load, slowest: Option<Duration>) -> Self {
        let rates = load.steps.iter();
        Self {
            due: rates
                .map(|step| step.rate.filter(|_| !step.warm_up))
                .collect(),
            slowest,
            judged: 0,
            backlog: None,
            highest: None,
            broke: None,
        }
    }

    /// How many steps are judged, which is the number of the one that lasts.
    pub(crate) fn judged(&self) -> usize {
        self.judged
    }

    /// Judges the next step, whose time is over, and was over so long ago when its last job was sent.
    pub(crate) fn judge(&mut self, figures: &Figures, late: Duration) {
        let rate = self.due.get(self.judged).copied().flatten();
        if let Some((rate, step)) = rate.zip(figures.steps.get(self.judged)) {
            match self.why_broken(rate, step, late) {
                None => self.highest = Some(rate),
                Some(why) => {
                    self.broke = Some(Break {
                        step: self.judged,
                        rate,
                        why,
                    });
                }
            }
        }
        let unanswered = figures.unanswered();
        self.backlog = Some(
            self.backlog
                .map_or(unanswered, |least| least.min(unanswered)),
        );
        self.judged += 1;
    }

    #[expect(clippy::cast_precision_loss, reason = "a number of jobs fits")]
    fn why_broken(&self, rate: f64, step: &StepFigures, late: Duration) -> Option<Why> {
        if late > SETTLING {
            return Some(Why::Late(late));
        }
        let unanswered = step.unanswered.unwrap_or(0);
        let grown = unanswered.saturating_sub(self.backlog.unwrap_or(0));
        let quickest = Duration::from_micros(step.latency_us.min());
        let settling = SETTLING.saturating_add(quickest);
        let allowed = (step.sent as f64 * GROWTH).max(rate * settling.as_secs_f64());
        // One job more is no sign of anything.
        if grown as f64 > allowed.max(1.0) {
            return Some(Why::Backlog(grown));
        }
        if step.failed as f64 > step.answered as f64 * FAILED {
            return Some(Why::Failed(step.failed));
        }
        let slowest = self.slowest?;
        let limit = u64::try_from(slowest.as_micros()).unwrap_or(u64::MAX - 1);
        let slower = step.latency_us.count_between(limit + 1, u64::MAX) as f64;
        // No more than this can be due since the limit; whatever else is unanswered waits for longer.
        let overdue = (unanswered as f64 - rate * slowest.as_secs_f64()).max(0.0);
        let all = step.latency_us.len() as f64 + overdue;
        (slower + overdue > all * 0.01).then_some(Why::Slow(slowest))
    }

    /// All steps until now were held.
    pub(crate) fn are_held(&self) -> bool {
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

impl Break {
    /// What happened, with the images that were classified per second meanwhile.
    pub(crate) fn told(&self, classified: f64) -> String {
        let Self { rate, why, .. } = self;
        let rate = Rounded(*rate);
        format!("broke at {rate}/s: {classified:.1} images/s were classified, and {why}")
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backlog(jobs) => write!(f, "{jobs} more jobs waited at its end"),
            Self::Failed(answers) => write!(f, "{answers} answers were errors"),
            Self::Late(late) => write!(
                f,
                "at its end jobs were sent {:.1} s after they were due: the broker, or this host, did not \
                 take more",
                late.as_secs_f64()
            ),
            Self::Slow(limit) => {
                let ms = limit.as_secs_f64() * 1_000.0;
                write!(
                    f,
                    "more than one answer in a hundred took longer than {ms:.1} ms"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Arrival;
    use crate::flood::figures::Sent;
    use crate::flood::load::Step;
    use std::time::Instant;

    const SECOND: Duration = Duration::from_secs(1);

    fn ramp(rates: &[f64], slowest: Option<Duration>) -> (Rates, Figures) {
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
        (Rates::new(&load, slowest), Figures::new(&load))
    }

    /// A step in which so many jobs were sent, and so many answered after `latency`.
    fn pass(rates: &mut Rates, figures: &mut Figures, sent: u64, answered: u64, latency: Duration) {
        let (step, began) = (rates.judged(), Instant::now());
        for _ in 0..sent {
            let late = Duration::ZERO;
            figures.sent(Sent { step, began, late });
        }
        for _ in 0..answered {
            figures.answered += 1;
            figures.steps[step].answered += 1;
            figures.steps[step].classified += 1;
            let us = u64::try_from(latency.as_micros()).unwrap();
            figures.steps[step].latency_us.record(us).unwrap();
        }
        figures.end_step(step, began + 10 * SECOND);
        rates.judge(figures, Duration::ZERO);
    }

    #[test]
    fn a_ramp_breaks_where_the_backlog_grows() {
        let (mut rates, mut figures) = ramp(&[100.0, 200.0, 300.0], None);
        let quick = Duration::from_millis(20);
        pass(&mut rates, &mut figures, 1_000, 996, quick);
        pass(&mut rates, &mut figures, 2_000, 1_990, quick);
        assert!(rates.are_held());
        pass(&mut rates, &mut figures, 3_000, 2_500, quick);
        assert!(!rates.are_held());
        assert_eq!(rates.highest(), Some(200.0));
        let broke = rates.broke().unwrap();
        assert_eq!(broke.why, Why::Backlog(510));
        assert_eq!(
            broke.told(250.0),
            "broke at 300/s: 250.0 images/s were classified, and 510 more jobs waited at its end"
        );
    }

    #[test]
    fn jobs_that_are_under_way_where_none_waits_are_no_backlog() {
        let (mut rates, mut figures) = ramp(&[20.0, 100.0], None);
        // Each takes 0.4 s, however few there are.
        let slow = Duration::from_millis(400);
        pass(&mut rates, &mut figures, 200, 192, slow);
        pass(&mut rates, &mut figures, 1_000, 968, slow);
        assert_eq!(rates.highest(), Some(100.0));
    }

    #[test]
    fn a_rate_at_which_answers_are_errors_is_not_held() {
        let (mut rates, mut figures) = ramp(&[100.0, 200.0], None);
        let quick = Duration::from_millis(20);
        figures.steps[0].failed = 10;
        pass(&mut rates, &mut figures, 1_000, 1_000, quick);
        figures.steps[1].failed = 21;
        pass(&mut rates, &mut figures, 2_000, 2_000, quick);
        assert_eq!(rates.highest(), Some(100.0));
        assert_eq!(rates.broke().unwrap().why, Why::Failed(21));
    }

    #[test]
    fn a_backlog_that_grows_slowly_is_not_forgiven_at_each_step() {
        let (mut rates, mut figures) = ramp(&[100.0, 110.0, 120.0], None);
        let quick = Duration::from_millis(20);
        for (sent, answered) in [(1_000, 1_000), (1_100, 1_080), (1_200, 1_180)] {
            pass(&mut rates, &mut figures, sent, answered, quick);
        }
        assert_eq!(rates.highest(), Some(110.0));
    }

    #[test]
    fn a_rate_at_which_jobs_were_not_sent_on_time_is_not_held() {
        let (mut rates, mut figures) = ramp(&[100.0], None);
        let began = Instant::now();
        let late = SECOND;
        figures.sent(Sent {
            step: 0,
            began,
            late,
        });
        figures.end_step(0, began + 10 * SECOND);
        rates.judge(&figures, late);
        assert_eq!((rates.highest(), rates.are_held()), (None, false));
        assert!(
            rates
                .broke()
                .unwrap()
                .why
                .to_string()
                .contains("1.0 s after")
        );
    }

    #[test]
    fn a_rate_whose_answers_are_too_slow_or_do_not_come_is_not_held() {
        let (mut rates, mut figures) = ramp(&[100.0, 200.0], Some(SECOND / 10));
        pass(&mut rates, &mut figures, 1_000, 1_000, SECOND / 20);
        pass(&mut rates, &mut figures, 2_000, 2_000, SECOND / 5);
        assert_eq!(rates.highest(), Some(100.0));
        assert!(matches!(rates.broke().unwrap().why, Why::Slow(_)));
        let (mut rates, mut figures) = ramp(&[10.0], Some(SECOND / 10));
        pass(&mut rates, &mut figures, 100, 99, SECOND / 20);
        assert_eq!(rates.highest(), Some(10.0), "one may be due since");
        let (mut rates, mut figures) = ramp(&[10.0], Some(SECOND / 10));
        pass(&mut rates, &mut figures, 100, 97, SECOND / 20);
        assert_eq!(rates.highest(), None);
    }
}

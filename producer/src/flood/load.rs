//! When each job of a flood is due.
//!
//! A flood is a row of steps. In a closed loop a job is due when there is room for it in the window;
//! in an open loop the schedule alone says when, whatever the fleet does, so that a fleet that stalls is
//! seen to stall (what wrk2 calls coordinated omission is left out of its latencies otherwise).

use crate::cli::{Arrival, FloodArgs, Rate};
use std::fmt;
use std::time::Duration;

/// Steps of a ramp, at most: each keeps a histogram of its own.
const MOST_STEPS: usize = 200;
/// Shorter ones say nothing: answers come in bursts of what a worker has in hand.
const SHORTEST_STEP: Duration = Duration::from_secs(1);
/// The seed of Poisson arrivals: the same flood twice is the same flood.
const SEED: u64 = 0x6e63_735f_666c_6f6f;

/// One step of a flood.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step {
    /// Jobs due per second; absent in a closed loop.
    pub(crate) rate: Option<f64>,
    /// How long it lasts; absent where the number of jobs ends it.
    pub(crate) length: Option<Duration>,
    /// Its jobs are left out of the figures.
    pub(crate) warm_up: bool,
}

/// What a flood sends, and when.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Load {
    /// In order; never empty.
    pub(crate) steps: Vec<Step>,
    /// Jobs of the last step, where they end it.
    pub(crate) jobs: Option<u64>,
    pub(crate) arrival: Arrival,
    /// The rate rises from step to step until the fleet does not hold it.
    pub(crate) is_ramp: bool,
}

/// A job's place in the schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Due {
    /// Which step it belongs to.
    pub(crate) step: usize,
    /// When it is due, from the start; absent: now.
    pub(crate) at: Option<Duration>,
}

/// Hands out the jobs of a load in order.
#[derive(Debug)]
pub(crate) struct Schedule {
    load: Load,
    step: usize,
    /// When this step begins, from the start.
    begins: Duration,
    /// Jobs of this step that were taken.
    taken: u64,
    /// When the next job of this step is due, in seconds from its beginning.
    next: f64,
    random: fastrand::Rng,
}

impl Load {
    /// What the command line asks for; an error says which flags do not go together.
    pub(crate) fn new(arguments: &FloodArgs) -> Result<Self, String> {
        let FloodArgs { pace, extent, .. } = arguments;
        let (mut steps, is_ramp) = match (pace.rate, pace.step, pace.every) {
            (Some(Rate::Ramp { from, to }), Some(step), Some(every)) => {
                if extent.jobs.is_some() || extent.duration.is_some() {
                    return Err("a ramp ends by itself: leave out --jobs and --duration".to_owned());
                }
                if pace.window.is_some() {
                    return Err(
                        "a window would hold a ramp back: leave out --window, or --rate".to_owned(),
                    );
                }
                if every < SHORTEST_STEP {
                    let every = humantime::format_duration(every);
                    return Err(format!(
                        "--every {every} is too short to judge a rate; give 1s or more"
                    ));
                }
                (ramp(from, to, step, every)?, true)
            }
            (Some(Rate::Ramp { .. }), ..) => {
                return Err(
                    "a ramp needs --step and --every, such as --rate 50..500 --step 50 --every 10s"
                        .to_owned(),
                );
            }
            (_, Some(_), _) => {
                return Err("--step and --every need a ramp, such as --rate 50..500".to_owned());
            }
            (rate, ..) => {
                if extent.jobs.is_none() && extent.duration.is_none() {
                    return Err("say how much to send: --jobs N or --duration TIME".to_owned());
                }
                let rate = match rate {
                    Some(Rate::Constant(rate)) => Some(rate),
                    _ => None,
                };
                let step = Step {
                    rate,
                    length: extent.duration,
                    warm_up: false,
                };
                (vec![step], false)
            }
        };
        if let Some(warm_up) = pace.warm_up.filter(|time| !time.is_zero()) {
            let first = Step {
                length: Some(warm_up),
                warm_up: true,
                ..steps[0]
            };
            steps.insert(0, first);
        }
        Ok(Self {
            steps,
            jobs: extent.jobs,
            arrival: pace.arrival,
            is_ramp,
        })
    }

    /// Whether jobs are due by a schedule.
    pub(crate) fn is_open(&self) -> bool {
        self.steps.iter().any(|step| step.rate.is_some())
    }

    /// The step to which a job belongs that was due so long after the start.
    pub(crate) fn step_at(&self, due: Duration) -> usize {
        let mut ends = Duration::ZERO;
        let over = self.steps.iter().take_while(|step| {
            ends = ends.saturating_add(step.length.unwrap_or(Duration::MAX));
            due >= ends
        });
        over.count().min(self.steps.len() - 1)
    }

    /// How long it lasts, where that is known.
    pub(crate) fn length(&self) -> Option<Duration> {
        let add = |all: Duration, step: &Step| Some(all.saturating_add(step.length?));
        self.steps.iter().try_fold(Duration::ZERO, add)
    }
}

fn ramp(from: f64, to: f64, step: f64, every: Duration) -> Result<Vec<Step>, String> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and a huge one saturates"
    )]
    // A hair more, so that 0.1..0.3 by 0.1 has three.
    let further = ((to - from) / step + 1e-9).floor() as usize;
    if further >= MOST_STEPS {
        return Err(format!(
            "a ramp from {from} to {to} by {step} has more than {MOST_STEPS} steps; take a larger \
             --step"
        ));
    }
    #[expect(clippy::cast_precision_loss, reason = "few steps")]
    let rates = (0..=further).map(|n| from + step * n as f64);
    let steps = rates.map(|rate| Step {
        rate: Some(rate),
        length: Some(every),
        warm_up: false,
    });
    Ok(steps.collect())
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.warm_up, self.rate) {
            (true, _) => f.write_str("warming up"),
            (false, Some(rate)) => write!(f, "{}/s due", Rounded(rate)),
            (false, None) => Ok(()),
        }
    }
}

/// A rate without the digits that adding up has left: at most three behind the point.
pub(crate) struct Rounded(pub(crate) f64);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:.3}", self.0);
        f.write_str(digits.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Schedule {
    pub(crate) fn new(load: Load) -> Self {
        let mut schedule = Self {
            load,
            step: 0,
            begins: Duration::ZERO,
            taken: 0,
            next: 0.0,
            random: fastrand::Rng::with_seed(SEED),
        };
        schedule.begin_step(0, Duration::ZERO);
        schedule
    }

    /// The next job's place, when so much time has passed since the start; `None` when there are no
    /// more. The same again until it is [taken](Self::take).
    pub(crate) fn next(&mut self, elapsed: Duration) -> Option<Due> {
        loop {
            let step = self.load.steps[self.step];
            let is_last = self.step + 1 == self.load.steps.len();
            let at = match step.rate {
                Some(_) => self.begins + Duration::from_secs_f64(self.next),
                None => elapsed,
            };
            let over = step
                .length
                .is_some_and(|length| at >= self.begins.saturating_add(length))
                || is_last && self.load.jobs.is_some_and(|jobs| self.taken >= jobs);
            if !over {
                return Some(Due {
                    step: self.step,
                    at: step.rate.map(|_| at),
                });
            }
            if is_last {
                return None;
            }
            let begins = self.begins.saturating_add(step.length.unwrap_or_default());
            self.begin_step(self.step + 1, begins);
        }
    }

    /// When the step that is going on began, from the start.
    pub(crate) fn began(&self) -> Duration {
        self.begins
    }

    /// When an open loop ends: when another job would be due. In a closed loop there is no such time.
    pub(crate) fn ends(&self) -> Option<Duration> {
        let step = self.load.steps[self.step];
        step.rate?;
        let next = Duration::from_secs_f64(self.next);
        Some(self.begins.saturating_add(step.length.unwrap_or(next)))
    }

    /// The job that [`next`](Self::next) has told of is on its way.
    pub(crate) fn take(&mut self) {
        self.taken += 1;
        let Some(rate) = self.load.steps[self.step].rate else {
            return;
        };
        self.next = match self.load.arrival {
            // Multiplied, not added up: the thousandth job is as punctual as the first.
            #[expect(clippy::cast_precision_loss, reason = "a number of jobs fits")]
            Arrival::Constant => self.taken as f64 / rate,
            Arrival::Poisson => self.next + self.gap(rate),
        };
    }

    fn begin_step(&mut self, step: usize, begins: Duration) {
        self.step = step;
        self.begins = begins;
        self.taken = 0;
        let rate = self.load.steps[step].rate;
        self.next = match (rate, self.load.arrival) {
            (Some(rate), Arrival::Poisson) => self.gap(rate),
            _ => 0.0,
        };
    }

    /// The time between two arrivals of a Poisson process, in seconds: exponentially distributed.
    fn gap(&mut self, rate: f64) -> f64 {
        // From (0, 1]: the logarithm of 0 is none.
        -(1.0 - self.random.f64()).ln() / rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn load(steps: Vec<Step>, jobs: Option<u64>, arrival: Arrival) -> Load {
        Load {
            steps,
            jobs,
            arrival,
            is_ramp: false,
        }
    }

    fn step(rate: Option<f64>, length: Option<Duration>) -> Step {
        Step {
            rate,
            length,
            warm_up: false,
        }
    }

    /// All jobs, without waiting for any.
    fn all(schedule: &mut Schedule, elapsed: Duration) -> Vec<Due> {
        let mut jobs = Vec::new();
        while let Some(due) = schedule.next(elapsed) {
            schedule.take();
            jobs.push(due);
        }
        jobs
    }

    #[test]
    fn jobs_of_an_open_loop_are_due_by_the_clock_however_late_it_is() {
        let steps = vec![step(Some(4.0), Some(SECOND)), step(Some(8.0), Some(SECOND))];
        let mut schedule = Schedule::new(load(steps, None, Arrival::Constant));
        let jobs = all(&mut schedule, 100 * SECOND);
        let at: Vec<u128> = jobs.iter().map(|due| due.at.unwrap().as_millis()).collect();
        assert_eq!(
            at,
            [
                0, 250, 500, 750, 1000, 1125, 1250, 1375, 1500, 1625, 1750, 1875
            ]
        );
        assert_eq!(jobs.iter().filter(|due| due.step == 1).count(), 8);
    }

    #[test]
    fn a_closed_loop_ends_by_the_clock_or_by_its_jobs() {
        let mut schedule = Schedule::new(load(
            vec![step(None, Some(SECOND))],
            None,
            Arrival::Constant,
        ));
        let now = Due { step: 0, at: None };
        assert_eq!(schedule.next(SECOND / 2), Some(now));
        assert_eq!(schedule.next(SECOND), None);
        let mut schedule = Schedule::new(load(vec![step(None, None)], Some(3), Arrival::Constant));
        assert_eq!(all(&mut schedule, Duration::ZERO), [now; 3]);
    }

    #[test]
    fn jobs_of_the_warm_up_come_before_those_that_count() {
        let warm_up = Step {
            warm_up: true,
            ..step(Some(10.0), Some(SECOND))
        };
        let steps = vec![warm_up, step(Some(10.0), None)];
        let mut schedule = Schedule::new(load(steps, Some(5), Arrival::Constant));
        let jobs = all(&mut schedule, Duration::ZERO);
        assert_eq!(jobs.len(), 15);
        assert_eq!(jobs[9].step, 0);
        assert_eq!((jobs[10].step, jobs[10].at), (1, Some(SECOND)));
        let load = &schedule.load;
        assert_eq!((load.step_at(SECOND / 2), load.step_at(SECOND)), (0, 1));
        assert_eq!(load.step_at(1_000 * SECOND), 1);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread_of_their_name() {
        let steps = vec![step(Some(100.0), Some(100 * SECOND))];
        let jobs = all(
            &mut Schedule::new(load(steps, None, Arrival::Poisson)),
            Duration::ZERO,
        );
        // 10,000 expected, with a standard deviation of 100.
        assert!((9_500..10_500).contains(&jobs.len()), "{}", jobs.len());
        let at: Vec<f64> = jobs
            .iter()
            .map(|due| due.at.unwrap().as_secs_f64())
            .collect();
        let gaps: Vec<f64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let shorter = gaps.iter().filter(|gap| **gap < 0.01).count();
        #[expect(clippy::cast_precision_loss, reason = "few")]
        let share = shorter as f64 / gaps.len() as f64;
        // 1 - 1/e of them are shorter than the mean.
        assert!((share - 0.632).abs() < 0.02, "{share}");
    }

    #[test]
    fn a_ramp_has_a_step_for_each_rate_and_a_bound() {
        let rates =
            |steps: Vec<Step>| -> Vec<f64> { steps.iter().filter_map(|step| step.rate).collect() };
        let steps = ramp(50.0, 200.0, 50.0, SECOND).unwrap();
        assert_eq!(rates(steps), [50.0, 100.0, 150.0, 200.0]);
        let steps = ramp(0.1, 0.3, 0.1, SECOND).unwrap();
        assert_eq!(steps.len(), 3);
        assert_eq!(steps[2].to_string(), "0.3/s due");
        assert!(ramp(1.0, 1e6, 1.0, SECOND).unwrap_err().contains("--step"));
    }
}

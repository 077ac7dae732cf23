//! How many jobs a worker takes before it has answered them.
//!
//! Between the end of an inference and the next job in its place lie two round trips to the broker (the
//! result and its confirm, the ack and the next job) and some 3 ms of the broker's own. Jobs that are on
//! this way keep no device busy, so there must be more of them the farther the broker is. [`Growth`] finds
//! out how many.

use std::str::FromStr;
use std::time::Duration;

/// The most that anybody may ask for.
const MOST: u16 = 4096;

/// The most for each device.
///
/// A saturated stick needs 92.68/s × (24.4 ms + 3 ms + 2 × round trip), as it was measured: 5 at a round
/// trip of 10 ms, 10 at 40 ms. With 64 it is kept busy up to 330 ms, which is farther than anything on
/// earth. Each costs memory: the job's message, and a device's 64 photos of 150 kB are 10 MB.
const MOST_PER_DEVICE: u16 = 64;

/// How often is looked whether there should be more.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// Infer requests that wait for a job, as a share of all: no more than this is a matter of chance.
const CHANCE: f64 = 0.05;

/// When more than this share of them waits, none has had a job.
const RESTING: f64 = 0.999;

/// Intervals in a row in which requests have waited, before there are more jobs for them. The first one
/// after a change shows the change itself: the jobs of the old prefetch and of the new one are in hand.
const UNTIL_MORE: u32 = 2;

/// Intervals in a row in which none has waited, until that is said.
const UNTIL_SETTLED: u32 = 5;

/// Steps in a row that did not help, until the reason is sought elsewhere.
const USELESS: u32 = 2;

/// Hungry intervals until another step is tried after those that did not help; each further time twice as
/// many.
const REST: u32 = 60;
const LONGEST_REST: u32 = 3600;

/// What `--prefetch` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefetch {
    /// This number.
    Fixed(u16),
    /// As many as it takes.
    Auto,
}

impl FromStr for Prefetch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let number = text.parse().ok().filter(|jobs| (1..=MOST).contains(jobs));
        number
            .map(Self::Fixed)
            .ok_or_else(|| format!("expected a number from 1 to {MOST}, or auto"))
    }
}

/// Finds out how many jobs in hand keep the devices busy.
///
/// It begins with one for each infer request and adds as many as there are requests that wait, while the
/// queue has jobs for them. It never goes back: the way to the broker rarely becomes shorter, jobs in hand
/// cost little, and a number that goes up and down would be changed for ever. It outlives connections, and
/// when devices come or go it keeps the number for each device, because the way to the broker stays the
/// same.
#[derive(Debug, Default)]
pub struct Growth {
    devices: u16,
    /// Infer requests, and jobs in hand to begin with.
    requests: u16,
    prefetch: u16,
    /// Intervals in a row in which requests have waited, though there were jobs.
    hungry: u32,
    /// Intervals in a row in which none has waited.
    calm: u32,
    /// The last step, until it is judged.
    step: Option<Step>,
    /// Steps in a row that did not help.
    useless: u32,
    /// Hungry intervals since the last of them, and how many there shall be until the next step.
    rested: u32,
    rest: u32,
    /// What was said of this number.
    told: Option<Settled>,
}

/// What was before a step.
#[derive(Debug, Clone, Copy)]
struct Step {
    prefetch: u16,
    /// Requests that had a job.
    busy: f64,
}

/// What follows from an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing new.
    Keep,
    /// There shall be so many jobs in hand.
    Grow(u16),
    /// It stays as it is. Is said once for each number.
    Settled(Settled),
}

/// Why it stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// No request waits.
    Enough,
    /// There may be no more.
    Most,
    /// More does not help: what keeps the requests waiting is something else, as a broker that is busy.
    NoHelp,
}

impl Settled {
    /// For the log.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Enough => "no infer request waits for jobs",
            Self::Most => "infer requests wait still, and there may be no more for each device",
            Self::NoHelp => {
                "infer requests wait still, and more jobs in hand do not help: the broker or the \
                 network may be what is slow"
            }
        }
    }
}

impl Growth {
    /// Jobs in hand now, with so many devices and infer requests.
    pub fn with(&mut self, devices: u16, requests: u16) -> u16 {
        if (self.devices, self.requests) == (devices, requests) {
            return self.prefetch;
        }
        let kept = match self.devices {
            0 => 0,
            before => (u32::from(self.prefetch) * u32::from(devices)).div_ceil(u32::from(before)),
        };
        let most = most(devices, requests);
        let prefetch = u16::try_from(kept).unwrap_or(most).clamp(requests, most);
        *self = Self {
            devices,
            requests,
            prefetch,
            rest: REST,
            ..Self::default()
        };
        prefetch
    }

    /// Jobs in hand now.
    #[must_use]
    pub fn prefetch(&self) -> u16 {
        self.prefetch
    }

    /// Whether the queue is worth a look when so many requests wait, on the average. Where all of them have
    /// waited all the time, no job has come: the fleet rests.
    #[must_use]
    pub fn is_worth_a_look(&self, waiting: f64) -> bool {
        self.is_hungry(waiting) && waiting < RESTING * f64::from(self.requests)
    }

    /// Whether so many requests that wait on the average are more than chance.
    fn is_hungry(&self, waiting: f64) -> bool {
        waiting > CHANCE * f64::from(self.requests)
    }

    /// No jobs were taken for a while: what was seen until now says nothing.
    pub fn interrupted(&mut self) {
        (self.hungry, self.calm, self.step) = (0, 0, None);
    }

    /// An interval is over in which so many requests have waited for jobs, on the average. `ready` is how
    /// many jobs the queue has, where that was looked up.
    pub fn observe(&mut self, waiting: f64, ready: Option<u32>) -> Verdict {
        if !self.is_hungry(waiting) {
            self.calm += 1;
            (self.hungry, self.useless, self.rest) = (0, 0, REST);
            return self.settled(Settled::Enough, self.calm >= UNTIL_SETTLED);
        }
        self.calm = 0;
        // Fewer jobs than requests that wait: there is not enough to do, whatever the prefetch.
        if !ready.is_some_and(|ready| f64::from(ready) >= waiting) {
            self.hungry = 0;
            return Verdict::Keep;
        }
        self.hungry += 1;
        if self.hungry < UNTIL_MORE {
            return Verdict::Keep;
        }
        self.hungry = 0;
        let busy = f64::from(self.requests) - waiting;
        self.judge_step(busy);
        if self.useless >= USELESS {
            self.rested += UNTIL_MORE;
            if self.rested < self.rest {
                return self.settled(Settled::NoHelp, true);
            }
            self.rest = (2 * self.rest).min(LONGEST_REST);
            self.rested = 0;
            self.useless = USELESS - 1;
        }
        let most = most(self.devices, self.requests);
        if self.prefetch >= most {
            return self.settled(Settled::Most, true);
        }
        self.step = Some(Step {
            prefetch: self.prefetch,
            busy,
        });
        self.prefetch = self.prefetch.saturating_add(whole(waiting)).min(most);
        self.told = None;
        Verdict::Grow(self.prefetch)
    }

    /// Whether the last step has helped. Jobs in hand are at the requests or on their way, in a proportion
    /// that the distance gives: where the distance is what is wrong, so many times the jobs in hand keep
    /// as many times the requests busy. A quarter of that is taken for some.
    fn judge_step(&mut self, busy: f64) {
        let Some(before) = self.step.take() else {
            return;
        };
        let growth = f64::from(self.prefetch) / f64::from(before.prefetch) - 1.0;
        if busy >= before.busy * (1.0 + growth / 4.0) {
            self.useless = 0;
        } else {
            self.useless += 1;
            self.rested = 0;
        }
    }

    fn settled(&mut self, why: Settled, is_sure: bool) -> Verdict {
        if !is_sure || self.told == Some(why) {
            return Verdict::Keep;
        }
        self.told = Some(why);
        Verdict::Settled(why)
    }
}

fn most(devices: u16, requests: u16) -> u16 {
    let most = devices.saturating_mul(MOST_PER_DEVICE).min(MOST);
    // More requests for each device than that are what somebody wants.
    most.max(requests)
}

/// Rounded up, and at least one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is no more than the number of requests"
)]
fn whole(requests: f64) -> u16 {
    requests.ceil().max(1.0) as u16
}

#[cfg(test)]
mod tests;

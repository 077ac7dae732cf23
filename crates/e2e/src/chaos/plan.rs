//! What will happen: a list of faults that a seed and a length decide, and nothing else.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::fault::{Fault, Kind};
use super::random::Random;

/// One fault, or two at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Nothing happens for so long first.
    pub calm: Duration,
    /// What happens then.
    pub fault: Fault,
    /// How long it stays so. Zero for what happens in a moment.
    pub lasts: Duration,
    /// What else happens half-way through.
    pub meanwhile: Option<Fault>,
    /// Nothing happens for so long afterwards: what is measured then is not to be mistaken for what
    /// happens next.
    pub rest: Duration,
}

/// The whole schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What decided it.
    pub seed: u64,
    /// How long it was to take.
    pub length: Duration,
    /// Between each worker and the broker.
    pub heartbeat: Duration,
    /// In this order.
    pub steps: Vec<Step>,
}

/// How fast one thing follows another. Times are in milliseconds.
#[derive(Debug, Clone)]
struct Pace {
    heartbeat: Duration,
    calm: RangeInclusive<u64>,
    /// What lasts, and need not be noticed by anybody.
    lasts: RangeInclusive<u64>,
    /// Above what is measured after the broker is back: 3 s at most, on an idle machine.
    after_outage: u64,
}

/// Runs shorter than this are [`Pace::hasty`].
const HASTY_BELOW: Duration = Duration::from_secs(60);

impl Pace {
    fn of(length: Duration) -> Self {
        if length < HASTY_BELOW {
            Self::hasty()
        } else {
            Self::usual()
        }
    }

    /// With the default heartbeat of both programs.
    fn usual() -> Self {
        Self {
            heartbeat: Duration::from_secs(6),
            calm: 800..=2_000,
            lasts: 1_000..=3_000,
            after_outage: 4_000,
        }
    }

    /// With the usual heartbeat, a short run would consist of waiting for one lost host.
    fn hasty() -> Self {
        Self {
            heartbeat: Duration::from_secs(2),
            calm: 200..=500,
            lasts: 500..=1_000,
            after_outage: 1_500,
        }
    }

    /// After that, the broker has noticed that nothing comes any more. RabbitMQ looks once per
    /// heartbeat interval whether anything came, and closes a connection when nothing came twice in a
    /// row: 2 to 3 intervals after the last sign of life. One second for the rest.
    fn noticed(&self) -> Duration {
        3 * self.heartbeat + Duration::from_secs(1)
    }
}

impl Step {
    /// About how long it takes.
    fn takes(&self) -> Duration {
        let meanwhile = self.meanwhile.map(|fault| fault.kind.effort());
        let effort = self.fault.kind.effort() + meanwhile.unwrap_or_default();
        self.calm + self.lasts + effort + self.rest
    }

    /// `long`: a pause and a cut may be noticed by the broker.
    fn draw(kind: Kind, long: bool, pace: &Pace, random: &mut Random) -> Self {
        let fault = Fault::draw(kind, random);
        let meanwhile = Self::draw_meanwhile(kind, random);
        let lasts = match kind {
            Kind::WorkerKilled | Kind::WorkersKilled | Kind::ConnectionsClosed => Duration::ZERO,
            Kind::HostVanished => pace.noticed(),
            Kind::WorkerPaused | Kind::NetworkCut if long && random.one_in(2) => pace.noticed(),
            // Longer than an inference may take.
            Kind::StickHanging => random.millis(2_500..=3_500),
            _ => random.millis(pace.lasts.clone()),
        };
        let rest = if kind.is_outage() {
            Duration::from_millis(pace.after_outage)
        } else if kind == Kind::WorkerKilled {
            // Above what is measured: 1 s at most.
            Duration::from_millis(1_500)
        } else {
            Duration::ZERO
        };
        Self {
            calm: random.millis(pace.calm.clone()),
            fault,
            lasts,
            meanwhile,
            rest,
        }
    }

    /// What else happens, every other time where it makes sense.
    fn draw_meanwhile(kind: Kind, random: &mut Random) -> Option<Fault> {
        let kinds: &[Kind] = if kind.is_outage() {
            &[Kind::WorkerKilled, Kind::NetworkCut, Kind::StickUnplugged]
        } else if kind.is_alarm() {
            &[
                Kind::WorkerKilled,
                Kind::ConnectionsClosed,
                Kind::StickFailing,
            ]
        } else {
            return None;
        };
        let meanwhile = Fault::draw(random.pick(kinds), random);
        random.one_in(2).then_some(meanwhile)
    }
}

impl Plan {
    /// The schedule of this seed for about this length. Where there is room for it, each kind occurs
    /// once before any occurs twice.
    #[must_use]
    pub fn new(seed: u64, length: Duration) -> Self {
        let pace = Pace::of(length);
        let mut random = Random::seeded(seed);
        let mut steps = Vec::new();
        let mut left = length;
        for round in 0.. {
            let before = steps.len();
            let mut kinds = Kind::ALL;
            random.shuffle(&mut kinds);
            for kind in kinds {
                // With the usual heartbeat there is time for long ones once each kind is there.
                let long = round > 0 || length < HASTY_BELOW;
                let step = Step::draw(kind, long, &pace, &mut random);
                if let Some(rest) = left.checked_sub(step.takes()) {
                    left = rest;
                    steps.push(step);
                }
            }
            if steps.len() == before {
                break;
            }
        }
        random.shuffle(&mut steps);
        Self {
            seed,
            length,
            heartbeat: pace.heartbeat,
            steps,
        }
    }

    /// The kinds that occur, each as often as it does.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        let meanwhile = |step: &Step| step.meanwhile.map(|fault| fault.kind);
        self.steps
            .iter()
            .flat_map(move |step| std::iter::once(step.fault.kind).chain(meanwhile(step)))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fault)?;
        if !self.lasts.is_zero() {
            write!(f, ", for {:.1} s", self.lasts.as_secs_f64())?;
        }
        if let Some(meanwhile) = self.meanwhile {
            let later = self.lasts.as_secs_f64() / 2.0;
            write!(f, "; {later:.2} s later {meanwhile}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            let calm = step.calm.as_secs_f64();
            writeln!(f, "{:3}. after {calm:.1} s: {step}", index + 1)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64, seconds: u64) -> Plan {
        Plan::new(seed, Duration::from_secs(seconds))
    }

    #[test]
    fn seed_and_length_decide_the_schedule() {
        assert_eq!(plan(1, 120), plan(1, 120));
        assert_ne!(plan(1, 120).steps, plan(2, 120).steps);
        assert_ne!(plan(1, 120).steps, plan(1, 90).steps);
    }

    #[test]
    fn two_minutes_have_room_for_every_kind() {
        for seed in 0..200 {
            let plan = plan(seed, 120);
            for kind in Kind::ALL {
                assert!(
                    plan.steps.iter().any(|step| step.fault.kind == kind),
                    "{kind} is not in\n{plan}"
                );
            }
        }
    }

    #[test]
    fn a_schedule_keeps_to_its_length_and_uses_it() {
        for (seed, seconds) in (0..200).flat_map(|seed| [(seed, 20), (seed, 120), (seed, 600)]) {
            let plan = plan(seed, seconds);
            let takes: Duration = plan.steps.iter().map(Step::takes).sum();
            assert!(takes <= plan.length, "{takes:?}\n{plan}");
            assert!(
                takes + Duration::from_secs(4) > plan.length,
                "{takes:?}\n{plan}"
            );
        }
    }
}

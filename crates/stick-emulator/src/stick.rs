//! One stick: its time, its inferences in hand, and what its condition does to them.
//!
//! A stick is a server with one slot. An inference is first transferred to it, is then served when
//! the slot is free, and its result is transferred back; transfers of several inferences overlap.
//! When an inference starts, all of this is known, so its end is computed and nobody has to act
//! until then: there is no thread per stick, and the thread that waits for an inference sleeps until
//! that moment. The schedule is virtual: a thread that wakes late does not delay the next inference.

mod inference;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use self::inference::{Inference, Outcome};
use crate::condition::{Condition, Line};
use crate::settings::Pace;

/// A stick, by the port it is plugged into, whether it is plugged in or not.
#[derive(Debug)]
pub(crate) struct Stick {
    pub(crate) port: String,
    pace: Pace,
    boot: Duration,
    state: Mutex<State>,
    /// The condition has changed. Whoever compiles for a stuck stick waits for this.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    condition: Condition,
    celsius: f32,
    /// How often it was unplugged. A network remembers in which life of the stick it was compiled.
    life: u64,
    /// When it has booted; listed from then on.
    listed_from: Instant,
    /// When the slot is free, in virtual time.
    slot_free: Instant,
    last_started: Option<Instant>,
    /// Networks that are loaded on it.
    networks: usize,
    in_hand: Vec<Flight>,
    counts: Counts,
}

/// An inference that has not ended.
#[derive(Debug)]
struct Flight {
    inference: Arc<Inference>,
    end: End,
}

#[derive(Debug, Clone, Copy)]
enum End {
    At { moment: Instant, fails: bool },
    Never,
}

/// What a stick has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) started: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) in_hand: usize,
    pub(crate) max_in_hand: usize,
}

/// How busy a stick is, for choosing the idlest.
pub(crate) type Load = (usize, Option<Instant>);

impl Stick {
    /// A stick that has been in this condition for long.
    pub(crate) fn new(port: &str, line: Line, pace: Pace, boot: Duration, now: Instant) -> Self {
        let state = State {
            condition: line.condition,
            celsius: line.celsius.unwrap_or_else(|| usual_celsius(port)),
            life: 0,
            listed_from: now,
            slot_free: now,
            last_started: None,
            networks: 0,
            in_hand: Vec::new(),
            counts: Counts::default(),
        };
        Self {
            port: port.to_owned(),
            pace,
            boot,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the host sees it: it is plugged in and has booted.
    pub(crate) fn is_listed(&self, now: Instant) -> bool {
        self.lock().is_listed(now)
    }

    pub(crate) fn celsius(&self) -> f32 {
        self.lock().celsius
    }

    pub(crate) fn life(&self) -> u64 {
        self.lock().life
    }

    pub(crate) fn networks(&self) -> usize {
        self.lock().networks
    }

    /// How many inferences it has in hand, and when it was last given one.
    pub(crate) fn load(&self, now: Instant) -> Load {
        let mut state = self.lock();
        state.settle(now);
        (state.in_hand.len(), state.last_started)
    }

    pub(crate) fn condition(&self) -> Condition {
        self.lock().condition
    }

    pub(crate) fn counts(&self, now: Instant) -> Counts {
        let mut state = self.lock();
        state.settle(now);
        Counts {
            in_hand: state.in_hand.len(),
            ..state.counts
        }
    }

    /// Loads a network, which takes `time`, and returns the life in which it was loaded. On a stuck
    /// stick this takes until its condition changes. `None` if it cannot be loaded.
    pub(crate) fn load_network(&self, time: Duration) -> Option<u64> {
        let life = {
            let state = self.lock();
            state.is_listed(Instant::now()).then_some(state.life)?
        };
        std::thread::sleep(time);
        let is_stuck = |state: &mut State| state.condition == Condition::Stuck;
        let mut state = self
            .changed
            .wait_while(self.lock(), is_stuck)
            .unwrap_or_else(PoisonError::into_inner);
        let loads = state.life == life && state.condition != Condition::Uncompilable;
        loads.then(|| {
            state.networks += 1;
            life
        })
    }

    pub(crate) fn unload_network(&self) {
        let mut state = self.lock();
        state.networks = state.networks.saturating_sub(1);
    }

    /// Starts an inference of a network that was loaded in that life of the stick.
    pub(crate) fn start(self: &Arc<Self>, life: u64, now: Instant) -> Arc<Inference> {
        let inference = Arc::new(Inference::new(Arc::clone(self)));
        let mut state = self.lock();
        state.settle(now);
        state.counts.started += 1;
        state.last_started = Some(now);
        if life != state.life || state.condition == Condition::Failing {
            state.finish(&inference, Outcome::Failed);
        } else {
            let end = state.schedule(self.pace, now);
            let flight = Flight {
                inference: Arc::clone(&inference),
                end,
            };
            state.in_hand.push(flight);
            state.counts.max_in_hand = state.counts.max_in_hand.max(state.in_hand.len());
        }
        inference
    }

    /// Puts the stick into another condition. `None` is a stick without a line: unplugged.
    pub(crate) fn apply(&self, line: Option<Line>, now: Instant) {
        let condition = line.map_or(Condition::Unplugged, |line| line.condition);
        let mut state = self.lock();
        if let Some(line) = line {
            state.celsius = line.celsius.unwrap_or_else(|| usual_celsius(&self.port));
        }
        if condition == state.condition {
            return;
        }
        state.settle(now);
        if state.condition == Condition::Unplugged {
            state.listed_from = now + self.boot;
            state.slot_free = state.listed_from;
        }
        if condition == Condition::Unplugged {
            state.life += 1;
        }
        state.condition = condition;
        state.reconsider();
        drop(state);
        self.changed.notify_all();
    }
}

impl State {
    fn is_listed(&self, now: Instant) -> bool {
        self.condition != Condition::Unplugged && self.listed_from <= now
    }

    /// When an inference that starts now will end.
    fn schedule(&mut self, pace: Pace, now: Instant) -> End {
        if self.condition.hangs() {
            return End::Never;
        }
        let pace = match self.condition {
            Condition::Slow(factor) => pace.slowed(factor),
            _ => pace,
        };
        let served_from = self.slot_free.max(now + pace.transfer());
        self.slot_free = served_from + pace.service;
        let fails = match self.condition {
            Condition::Flaky(one_in) => self.counts.started.is_multiple_of(u64::from(one_in)),
            _ => false,
        };
        End::At {
            moment: self.slot_free + pace.transfer(),
            fails,
        }
    }

    /// Ends what is due.
    fn settle(&mut self, now: Instant) {
        let mut index = 0;
        while let Some(flight) = self.in_hand.get(index) {
            match flight.end {
                End::At { moment, fails } if moment <= now => {
                    let ended = self.in_hand.remove(index).inference;
                    let outcome = if fails {
                        Outcome::Failed
                    } else {
                        Outcome::Completed
                    };
                    // Its waiter needs no call: it sleeps until this very moment.
                    self.finish(&ended, outcome);
                }
                _ => index += 1,
            }
        }
    }

    /// What a new condition means for the inferences in hand.
    fn reconsider(&mut self) {
        let hangs = self.condition.hangs();
        let fails = matches!(self.condition, Condition::Unplugged | Condition::Failing);
        for mut flight in std::mem::take(&mut self.in_hand) {
            let hung = matches!(flight.end, End::Never);
            if fails {
                self.finish(&flight.inference, Outcome::Failed);
            } else if hung && !hangs {
                self.finish(&flight.inference, Outcome::Completed);
            }
            flight.inference.reschedule();
            if flight.inference.outcome().is_none() {
                if hangs {
                    flight.end = End::Never;
                }
                self.in_hand.push(flight);
            }
        }
    }

    fn finish(&mut self, inference: &Inference, outcome: Outcome) {
        match outcome {
            Outcome::Completed => self.counts.completed += 1,
            Outcome::Failed => self.counts.failed += 1,
        }
        inference.end(outcome);
    }

    fn end_of(&self, inference: &Arc<Inference>) -> Option<End> {
        let mine = |flight: &&Flight| Arc::ptr_eq(&flight.inference, inference);
        self.in_hand.iter().find(mine).map(|flight| flight.end)
    }
}

/// Each stick has its own temperature, so that a mix-up shows.
fn usual_celsius(port: &str) -> f32 {
    let sum: u16 = port.bytes().map(u16::from).sum();
    40.0 + f32::from(sum % 40) / 2.0
}

#[cfg(test)]
mod tests;

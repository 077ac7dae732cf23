//! One inference on one stick: how it ended, and waiting for that.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, PoisonError};
use std::time::Instant;

use super::{End, Stick};
use crate::condition::Condition;

/// One inference on one stick.
#[derive(Debug)]
pub(crate) struct Inference {
    stick: Arc<Stick>,
    /// Written under the stick's lock.
    outcome: AtomicU8,
    /// The end has moved, because the stick's condition has changed. Belongs to the stick's lock.
    rescheduled: Condvar,
}

const RUNNING: u8 = 0;
const COMPLETED: u8 = 1;
const FAILED: u8 = 2;

/// How an inference ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Completed,
    Failed,
}

impl Inference {
    pub(super) fn new(stick: Arc<Stick>) -> Self {
        Self {
            stick,
            outcome: AtomicU8::new(RUNNING),
            rescheduled: Condvar::new(),
        }
    }

    /// Under the stick's lock.
    pub(super) fn end(&self, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Completed => COMPLETED,
            Outcome::Failed => FAILED,
        };
        self.outcome.store(outcome, Ordering::Release);
    }

    /// Lets those who wait for the end look again when that is.
    pub(super) fn reschedule(&self) {
        self.rescheduled.notify_all();
    }

    /// How it ended, as far as anybody has noticed.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        match self.outcome.load(Ordering::Acquire) {
            RUNNING => None,
            COMPLETED => Some(Outcome::Completed),
            _ => Some(Outcome::Failed),
        }
    }

    /// How it has ended by now, if it has.
    pub(crate) fn ended(&self, now: Instant) -> Option<Outcome> {
        self.outcome().or_else(|| {
            self.stick.lock().settle(now);
            self.outcome()
        })
    }

    /// Waits for its end until `deadline`, or for ever. `None` if the deadline came first; on a
    /// stuck stick it never does.
    pub(crate) fn wait(self: &Arc<Self>, deadline: Option<Instant>) -> Option<Outcome> {
        let mut state = self.stick.lock();
        loop {
            let now = Instant::now();
            state.settle(now);
            let Some(end) = state.end_of(self) else {
                return self.outcome();
            };
            let deadline = deadline.filter(|_| state.condition != Condition::Stuck);
            if deadline.is_some_and(|deadline| deadline <= now) {
                return None;
            }
            let until = match (end, deadline) {
                (End::At { moment, .. }, Some(deadline)) => Some(moment.min(deadline)),
                (End::At { moment, .. }, None) => Some(moment),
                (End::Never, deadline) => deadline,
            };
            state = if let Some(until) = until {
                let time = until.saturating_duration_since(now);
                let woken = self.rescheduled.wait_timeout(state, time);
                woken.unwrap_or_else(PoisonError::into_inner).0
            } else {
                let woken = self.rescheduled.wait(state);
                woken.unwrap_or_else(PoisonError::into_inner)
            };
        }
    }
}

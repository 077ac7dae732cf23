//! The jobs in hand that wait for an infer request.

use crate::received::Received;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The queue between sessions and the threads of the network that serves. The broker bounds it: by the
/// prefetch, and after each change of the prefetch by what was in hand then and the new one together.
#[derive(Default)]
pub struct Jobs {
    state: Mutex<State>,
    /// There is a job, or another generation.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<Received>>,
    /// The generation whose threads may take jobs, if there is one.
    serving: Option<u64>,
}

impl Jobs {
    /// Adds a job that has just arrived.
    pub fn submit(&self, job: Arc<Received>) {
        self.state().waiting.push_back(job);
        self.changed.notify_one();
    }

    /// Adds a job again that was in hand and not answered, before all others.
    pub fn retry(&self, job: Arc<Received>) {
        self.state().waiting.push_front(job);
        self.changed.notify_one();
    }

    /// Waits for a job; `None` once another generation serves, or none.
    #[must_use]
    pub fn next(&self, generation: u64) -> Option<Arc<Received>> {
        let mut state = self.state();
        loop {
            if state.serving != Some(generation) {
                return None;
            }
            while let Some(job) = state.waiting.pop_front() {
                if !job.is_over() {
                    return Some(job);
                }
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets this generation take the jobs from now on; `None` lets nobody.
    pub fn serve(&self, generation: Option<u64>) {
        self.state().serving = generation;
        self.changed.notify_all();
    }

    /// Whether this generation may take jobs.
    #[must_use]
    pub fn is_serving(&self, generation: u64) -> bool {
        self.state().serving == Some(generation)
    }

    /// Lets nobody take jobs, if it is this generation that serves.
    pub fn stop(&self, generation: u64) {
        let mut state = self.state();
        if state.serving == Some(generation) {
            state.serving = None;
            self.changed.notify_all();
        }
    }

    /// Takes all jobs that wait.
    #[must_use]
    pub fn take_waiting(&self) -> VecDeque<Arc<Received>> {
        std::mem::take(&mut self.state().waiting)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

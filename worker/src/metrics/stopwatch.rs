//! Counting seconds that are still running.

use prometheus::{Counter, Registry};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Seconds that things spend in a state, summed over all of them, as a counter.
///
/// A thing that is in the state for an hour must not show up in one piece at its end: whoever reads
/// the counter calls [`Stopwatch::settle`] first, and then it is right to that moment.
#[derive(Clone)]
pub struct Stopwatch {
    seconds: Counter,
    state: Arc<Mutex<State>>,
}

struct State {
    /// How many things are in the state.
    running: u32,
    /// Counted up to here.
    counted: Instant,
}

/// A thing that is in the state until this is dropped.
#[must_use = "dropped at once, it counts nothing"]
pub struct Running<'s>(&'s Stopwatch);

impl Stopwatch {
    pub(super) fn register(
        registry: &Registry,
        name: &str,
        help: &str,
    ) -> prometheus::Result<Self> {
        let seconds = Counter::new(name, help)?;
        registry.register(Box::new(seconds.clone()))?;
        let state = State {
            running: 0,
            counted: Instant::now(),
        };
        Ok(Self {
            seconds,
            state: Arc::new(Mutex::new(state)),
        })
    }

    /// One more thing is in the state.
    pub fn start(&self) -> Running<'_> {
        let mut state = self.settled();
        state.running = state.running.saturating_add(1);
        Running(self)
    }

    /// So many things are in the state from now on: for those that know it themselves.
    pub fn set(&self, running: u32) {
        self.settled().running = running;
    }

    /// How many there are until now.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.settle();
        self.seconds.get()
    }

    /// Counts up to now.
    pub fn settle(&self) {
        drop(self.settled());
    }

    fn settled(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let elapsed = now.duration_since(state.counted).as_secs_f64();
        state.counted = now;
        if state.running > 0 {
            self.seconds.inc_by(elapsed * f64::from(state.running));
        }
        state
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.0.settled();
        state.running = state.running.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn stopwatch() -> Stopwatch {
        Stopwatch::register(&Registry::new(), "test_seconds_total", "For a test.").unwrap()
    }

    /// As if so much time had passed.
    fn wind(stopwatch: &Stopwatch, seconds: u64) {
        let mut state = stopwatch.state.lock().unwrap();
        state.counted = state
            .counted
            .checked_sub(Duration::from_secs(seconds))
            .expect("the machine runs for longer");
    }

    fn assert_counts(stopwatch: &Stopwatch, seconds: f64) {
        let counted = stopwatch.seconds();
        assert!((seconds..seconds + 5.0).contains(&counted), "{counted}");
    }

    #[test]
    fn whoever_reads_in_the_middle_sees_what_has_passed_so_far() {
        let stopwatch = stopwatch();
        let _one = stopwatch.start();
        let two = stopwatch.start();
        wind(&stopwatch, 10);
        assert_counts(&stopwatch, 20.0);
        drop(two);
        wind(&stopwatch, 10);
        assert_counts(&stopwatch, 30.0);
    }

    #[test]
    fn nothing_is_counted_while_nothing_runs() {
        let stopwatch = stopwatch();
        wind(&stopwatch, 10);
        assert_counts(&stopwatch, 0.0);
        stopwatch.set(1);
        wind(&stopwatch, 10);
        stopwatch.set(0);
        wind(&stopwatch, 10);
        assert_counts(&stopwatch, 10.0);
    }
}

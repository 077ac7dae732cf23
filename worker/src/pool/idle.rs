//! How long threads wait for jobs.

use std::time::{Duration, Instant};

/// Counts the time that threads spend waiting, all of them together: two that wait for a second make two
/// seconds. Whoever holds it says when one begins and when it ends.
pub(super) struct Idle {
    waiting: u32,
    total: Duration,
    /// Until when `total` is counted.
    counted: Instant,
}

impl Default for Idle {
    fn default() -> Self {
        Self {
            waiting: 0,
            total: Duration::ZERO,
            counted: Instant::now(),
        }
    }
}

impl Idle {
    /// A thread begins to wait.
    pub(super) fn begin(&mut self, now: Instant) {
        self.count(now);
        self.waiting += 1;
    }

    /// One of those that wait has what it waited for.
    pub(super) fn end(&mut self, now: Instant) {
        self.count(now);
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// How long threads have waited until now; the time of those that still wait is in it.
    pub(super) fn total(&mut self, now: Instant) -> Duration {
        self.count(now);
        self.total
    }

    fn count(&mut self, now: Instant) {
        self.total += self.waiting * now.saturating_duration_since(self.counted);
        self.counted = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_all_who_wait_is_added_up_whether_they_have_got_their_job_or_not() {
        let mut idle = Idle::default();
        let start = idle.counted;
        let at = |seconds| start + Duration::from_secs(seconds);
        idle.begin(at(1));
        idle.begin(at(3));
        assert_eq!(idle.total(at(4)), Duration::from_secs(4));
        idle.end(at(5));
        assert_eq!(idle.total(at(7)), Duration::from_secs(8));
        idle.end(at(7));
        assert_eq!(idle.total(at(100)), Duration::from_secs(8));
    }
}

//! How many jobs may be unanswered.

use std::cell::Cell;
use std::fmt;
use tokio::sync::Semaphore;

/// Unanswered jobs for each consumer of the queue, where the user names no number. A worker takes 4 for
/// each of its sticks in hand, and as many again must wait in the queue or be on their way: this is
/// enough for 16 sticks on each host. More would not make the fleet faster, and its answers later.
pub(crate) const PER_CONSUMER: u32 = 128;
/// And at most, for a fleet of whatever size.
pub(crate) const MOST_BY_ITSELF: u32 = 8_192;
/// With no window at all, and in open loop: what a producer keeps in mind. Each takes some 300 bytes.
pub(crate) const MOST_UNANSWERED: u32 = 500_000;

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// What suits the consumers that the queue has at the start.
    ByConsumers,
    /// So many.
    Jobs(u32),
    /// As many as the broker takes: up to [`MOST_UNANSWERED`].
    Unlimited,
    /// As many as become due: up to the same.
    BySchedule,
}

/// What was found at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// Consumers of the queue.
    pub(crate) consumers: u32,
    /// Jobs unanswered at most.
    pub(crate) window: u32,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { consumers, window } = self;
        let of = if *consumers == 1 {
            "consumer"
        } else {
            "consumers"
        };
        write!(f, "up to {window} jobs unanswered, for {consumers} {of}")
    }
}

/// A permit for each job that may still be unanswered.
pub(super) struct Window {
    choice: Choice,
    jobs: Cell<u32>,
    /// Forgotten when a job is sent, added when it is answered.
    permits: Semaphore,
}

impl Choice {
    /// The window for a queue with so many consumers.
    pub(crate) fn jobs(self, consumers: u32) -> u32 {
        match self {
            Self::ByConsumers => consumers
                .max(1)
                .saturating_mul(PER_CONSUMER)
                .min(MOST_BY_ITSELF),
            Self::Jobs(jobs) => jobs.min(MOST_UNANSWERED),
            Self::Unlimited | Self::BySchedule => MOST_UNANSWERED,
        }
    }
}

impl Window {
    /// Closed until it is [settled](Self::settle).
    pub(super) fn new(choice: Choice) -> Self {
        Self {
            choice,
            jobs: Cell::new(0),
            permits: Semaphore::new(0),
        }
    }

    /// Opens it. To be called once.
    pub(super) fn settle(&self, consumers: u32) -> Found {
        let window = self.choice.jobs(consumers);
        self.jobs.set(window);
        self.permits.add_permits(window as usize);
        Found { consumers, window }
    }

    /// What the user wants, and how many jobs that is.
    pub(super) fn choice(&self) -> (Choice, u32) {
        (self.choice, self.jobs.get())
    }

    /// Waits until there is room for one more. May be dropped while it waits.
    pub(super) async fn room(&self) {
        // An error: the semaphore is closed, which it never is.
        let _permit = self.permits.acquire().await;
    }

    /// Whether there is room at the moment, where there is a window at all.
    pub(super) fn has_room(&self) -> bool {
        let is_bounded = matches!(self.choice, Choice::ByConsumers | Choice::Jobs(_));
        is_bounded && self.permits.available_permits() > 0
    }

    /// A job takes its place; there must have been [`room`](Self::room) for it.
    pub(super) fn take(&self) {
        self.permits.forget_permits(1);
    }

    /// A job was answered.
    pub(super) fn give_back(&self) {
        self.permits.add_permits(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_follows_the_consumers_unless_it_is_named() {
        assert_eq!(Choice::ByConsumers.jobs(0), PER_CONSUMER);
        assert_eq!(Choice::ByConsumers.jobs(3), 3 * PER_CONSUMER);
        assert_eq!(Choice::ByConsumers.jobs(u32::MAX), MOST_BY_ITSELF);
        assert_eq!(Choice::Jobs(7).jobs(3), 7);
        assert_eq!(Choice::Unlimited.jobs(3), MOST_UNANSWERED);
    }

    #[tokio::test]
    async fn a_job_has_room_when_another_is_answered() {
        let window = Window::new(Choice::Jobs(1));
        window.settle(1);
        window.room().await;
        window.take();
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(20), window.room());
        assert!(waiting.await.is_err());
        window.give_back();
        window.room().await;
    }
}

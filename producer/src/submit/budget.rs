//! Bytes that may be in memory at once.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// How many bytes are left, and a bell for when there are more.
#[derive(Debug)]
pub(super) struct Budget {
    left: Mutex<usize>,
    more: Condvar,
    all: usize,
}

/// Bytes of a budget; they go back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(super) fn of(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            left: Mutex::new(bytes),
            more: Condvar::new(),
            all: bytes,
        })
    }

    /// Blocks until there are so many; more than there ever are, is all.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Share {
        let bytes = bytes.min(self.all);
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let enough = self.more.wait_while(left, |left| *left < bytes);
        *enough.unwrap_or_else(PoisonError::into_inner) -= bytes;
        Share {
            budget: Arc::clone(self),
            bytes,
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut left = self
            .budget
            .left
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *left += self.bytes;
        self.budget.more.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{self, RecvTimeoutError};
    use std::time::Duration;

    #[test]
    fn who_wants_more_than_is_left_waits_for_another_to_end() {
        let budget = Budget::of(10);
        let first = budget.take(8);
        let (taken, told) = mpsc::channel();
        let other = Arc::clone(&budget);
        let waiting = std::thread::spawn(move || {
            let share = other.take(1_000);
            taken.send(()).unwrap();
            drop(share);
        });
        let early = told.recv_timeout(Duration::from_millis(50));
        assert_eq!(early, Err(RecvTimeoutError::Timeout));
        drop(first);
        told.recv_timeout(Duration::from_secs(10)).unwrap();
        waiting.join().unwrap();
        drop(budget.take(10));
    }
}

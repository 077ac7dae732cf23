//! How many images are decoded at once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Lets so many threads through at a time; the others wait. There are more infer requests than cores
/// where there are many sticks, and each image that is being decoded takes memory.
pub struct Gate {
    /// Places that nobody has.
    free: Mutex<usize>,
    /// There is one more.
    freed: Condvar,
}

/// A place behind the gate; dropping it makes room for the next thread.
#[must_use = "dropped at once, it bounds nothing"]
pub(super) struct Place<'g>(&'g Gate);

impl Gate {
    /// A gate with so many places.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self {
            free: Mutex::new(places),
            freed: Condvar::new(),
        }
    }

    /// Waits for a place. While one is free, it costs as much as a lock.
    pub(super) fn enter(&self) -> Place<'_> {
        let free = self.free();
        let waited = self.freed.wait_while(free, |free| *free == 0);
        *waited.unwrap_or_else(PoisonError::into_inner) -= 1;
        Place(self)
    }

    fn free(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.free() += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn no_more_threads_than_places_are_behind_it_and_all_get_through() {
        const PLACES: usize = 3;
        let gate = Gate::new(PLACES);
        let (inside, most, through) = <(AtomicUsize, AtomicUsize, AtomicUsize)>::default();
        let all_places = std::sync::Barrier::new(PLACES);
        std::thread::scope(|threads| {
            for _ in 0..8 * PLACES {
                threads.spawn(|| {
                    let _place = gate.enter();
                    let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    // Nobody gets on before as many threads are inside as there are places.
                    all_places.wait();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    through.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        let [most, through] = [most, through].map(AtomicUsize::into_inner);
        assert_eq!((most, through), (PLACES, 8 * PLACES));
    }

    #[test]
    fn a_panic_gives_its_place_back() {
        let gate = Gate::new(1);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _place = gate.enter();
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        drop(gate.enter());
    }
}

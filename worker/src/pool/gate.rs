//! How many images are decoded at once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Lets so many threads through at a time; the others wait. There are more infer requests than cores
/// where there are many sticks, and each image that is being decoded takes memory.
pub struct Gate {
    /// Places that nobody has.
    free: Mutex<usize>,
    /// There is one more, or somebody may have to give up.
    changed: Condvar,
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
            changed: Condvar::new(),
        }
    }

    /// Waits for a place; `None` if it is given up. Whoever waits finds that out when a place becomes
    /// free, and when told to look again. While a place is free, it costs as much as a lock.
    pub(super) fn enter(&self, mut is_given_up: impl FnMut() -> bool) -> Option<Place<'_>> {
        let mut free = self.free();
        loop {
            if is_given_up() {
                // It may have been woken for a place, which is the next one's then.
                self.changed.notify_one();
                return None;
            }
            if *free > 0 {
                *free -= 1;
                return Some(Place(self));
            }
            let waited = self.changed.wait(free);
            free = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets all who wait see whether they are given up.
    pub(super) fn look_again(&self) {
        // Whoever has just seen that it is not waits by the time the lock is had.
        drop(self.free());
        self.changed.notify_all();
    }

    fn free(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.free() += 1;
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    #[test]
    fn no_more_threads_than_places_are_behind_it_and_all_get_through() {
        const PLACES: usize = 3;
        let gate = Gate::new(PLACES);
        let (inside, most, through) = <(AtomicUsize, AtomicUsize, AtomicUsize)>::default();
        let all_places = std::sync::Barrier::new(PLACES);
        std::thread::scope(|threads| {
            for _ in 0..8 * PLACES {
                threads.spawn(|| {
                    let _place = gate.enter(|| false);
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
            let _place = gate.enter(|| false);
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        assert!(gate.enter(|| false).is_some());
    }

    #[test]
    fn whoever_is_given_up_stops_waiting_and_leaves_a_place_to_the_next() {
        let gate = Gate::new(1);
        let given_up = AtomicBool::new(false);
        let never = AtomicBool::new(false);
        let waits = std::sync::Barrier::new(2);
        // As good as waiting: the gate's lock is held until it does.
        let enter = |given_up: &AtomicBool| {
            let mut looks = 0;
            let mut look = || {
                let is_given_up = given_up.load(Ordering::SeqCst);
                looks += 1;
                if looks == 1 {
                    waits.wait();
                }
                is_given_up
            };
            gate.enter(&mut look).is_some()
        };
        std::thread::scope(|threads| {
            let place = gate.enter(|| false);
            let told = threads.spawn(|| enter(&given_up));
            waits.wait();
            given_up.store(true, Ordering::SeqCst);
            gate.look_again();
            assert!(!told.join().expect("it ends"));

            given_up.store(false, Ordering::SeqCst);
            // Whoever waits longest is woken for the place.
            let woken = threads.spawn(|| enter(&given_up));
            waits.wait();
            let next = threads.spawn(|| enter(&never));
            waits.wait();
            given_up.store(true, Ordering::SeqCst);
            drop(place);
            assert!(!woken.join().expect("it ends"));
            assert!(next.join().expect("it ends"));
        });
    }
}

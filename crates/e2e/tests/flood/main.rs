//! The load generator: what it measures is true, and it gets out of the fleet's way. Real workers on
//! emulated sticks, and brokers of the tests' own.
#![cfg(unix)]

#[path = "../fleet/bed.rs"]
#[expect(dead_code, reason = "shared with the tests of the fleet")]
mod bed;
#[path = "../fleet/client.rs"]
#[expect(dead_code, reason = "shared with the tests of the fleet")]
mod client;
mod closed_loop;
#[path = "../../examples/queues/one_queue.rs"]
#[expect(dead_code, reason = "shared with the bench of the broker")]
mod one_queue;
mod open_loop;
mod outruns;
#[path = "../promises/stage.rs"]
#[expect(dead_code, reason = "shared with the tests of the fleet's promises")]
mod stage;
mod unlimited;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One test at a time: all of them measure, on two cores.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Several hosts: a broker on one, workers with emulated sticks on others, and a network between them
//! that is slow or is cut; and a broker that is a cluster of three.
#![cfg(unix)]

#[path = "../fleet/bed.rs"]
#[expect(dead_code, reason = "shared with the tests of the fleet")]
mod bed;
mod cluster;
mod cut;
mod distance;
mod fleet;
mod shards;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One test at a time: all of them measure, on two cores.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

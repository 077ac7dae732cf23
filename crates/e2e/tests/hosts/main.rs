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

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static MACHINE: RwLock<()> = RwLock::new(());

/// For tests that measure, on two cores.
pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// For those that mostly wait.
pub(crate) fn beside_others() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

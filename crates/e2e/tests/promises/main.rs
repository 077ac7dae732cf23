//! What a fleet promises when things break: no job lost, none unanswered. Real workers on emulated
//! sticks, and brokers of the tests' own.
#![cfg(unix)]

#[path = "../fleet/bed.rs"]
#[expect(dead_code, reason = "shared with the tests of the fleet")]
mod bed;
mod blocked;
mod bounds;
#[path = "../fleet/client.rs"]
#[expect(dead_code, reason = "shared with the tests of the fleet")]
mod client;
mod deadlines;
mod drain;
mod duplicates;
#[path = "../fleet/large.rs"]
#[expect(dead_code, reason = "shared with the tests of the fleet")]
mod large;
mod poison;
mod properties;
mod reconnect;
mod refused;
mod soak;
mod stage;

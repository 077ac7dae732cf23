//! `ncs-producer submit` over real processes: whatever ends it, each image gets one line, and no
//! answer is lost.
#![cfg(unix)]

#[path = "../fleet/bed.rs"]
#[expect(dead_code, reason = "shared with the tests of the fleet")]
mod bed;
mod bench;
#[path = "../fleet/client.rs"]
#[expect(dead_code, reason = "shared with the tests of the fleet")]
mod client;
mod digits;
mod disk;
mod kills;
mod many;
mod names;
mod pipe;
mod resume;
mod silence;

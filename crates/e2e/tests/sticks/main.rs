//! Sticks as they are: found, saturated, lost, hung, and plugged in again. Real workers, a real
//! broker, and the stick emulator in place of OpenVINO.
//!
//! Most of these tests measure a pace, so they run one after the other: each takes the [`host`] first.
#![cfg(unix)]

mod answers;
#[path = "../fleet/bed.rs"]
#[expect(dead_code, reason = "shared with the tests of the fleet")]
mod bed;
#[path = "../fleet/client.rs"]
#[expect(dead_code, reason = "shared with the tests of the fleet")]
mod client;
mod faults;
mod gone;
mod host;
mod pace;
mod runtimes;
mod supervision;

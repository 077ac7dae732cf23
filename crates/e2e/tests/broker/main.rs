//! How both programs reach the broker: TLS, secrets, and what they say when they cannot.
#![cfg(unix)]

#[path = "../fleet/bed.rs"]
#[expect(dead_code, reason = "shared with the tests of the fleet")]
mod bed;
mod certificates;
mod declined;
mod named;
mod node;
mod programs;
mod restart;
mod secrets;
mod servers;
mod strangers;
mod tls;

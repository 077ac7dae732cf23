//! What there is to be seen of a fleet: its figures, the rules that are made of them, and the dashboards.
//! Real workers on emulated sticks, real brokers, and the real Prometheus.
#![cfg(unix)]

#[path = "../fleet/bed.rs"]
#[expect(dead_code, reason = "shared with the tests of the fleet")]
mod bed;
#[path = "../fleet/client.rs"]
#[expect(dead_code, reason = "shared with the tests of the fleet")]
mod client;
mod cost;
mod dashboard;
mod layout;
mod listed;
mod place;
mod queries;
mod rules;
mod text;

//! `ncs-producer dead` over real letters: what it shows, puts back and deletes, and that it loses none.
//!
//! All of them are in one queue of a broker, so these tests have brokers of their own, and run one
//! after the other: each takes the [`place`] first.
#![cfg(unix)]

#[path = "../fleet/bed.rs"]
#[expect(dead_code, reason = "shared with the tests of the fleet")]
mod bed;
#[path = "../fleet/client.rs"]
#[expect(dead_code, reason = "shared with the tests of the fleet")]
mod client;
mod list;
mod many;
mod nothing;
mod place;
mod purge;
mod retry;
mod show;

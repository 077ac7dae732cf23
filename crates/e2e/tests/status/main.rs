//! `ncs-producer status` over real brokers of both releases: what it tells with AMQP alone and with the
//! management API, that it changes nothing, and how it watches.
#![cfg(unix)]

mod alone;
#[path = "../fleet/bed.rs"]
#[expect(dead_code, reason = "shared with the tests of the fleet")]
mod bed;
#[path = "../broker/certificates.rs"]
#[expect(dead_code, reason = "shared with the tests of the broker")]
mod certificates;
#[path = "../fleet/client.rs"]
#[expect(dead_code, reason = "shared with the tests of the fleet")]
mod client;
mod management;
mod place;
mod secrets;
mod watch;
mod workers;

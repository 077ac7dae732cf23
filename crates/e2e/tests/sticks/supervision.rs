//! When nothing on this host helps, the worker ends and says why, so that it is started again.

use crate::bed::LIMIT;
use crate::host::{Host, worker_on};
use ncs_e2e::poll_until;
use ncs_e2e::sticks::State;
use ncs_e2e::worker::Worker;

/// BSD's `EX_TEMPFAIL`.
const START_ME_AGAIN: i32 = 75;

#[test]
fn a_worker_whose_rebuilds_fail_ends_with_code_75_and_its_successor_does_the_jobs() {
    let mut host = Host::with(2, &["--max-failed-rebuilds", "2"]);
    let flood = host.flood();
    host.settles_at(2.0);
    host.sticks.set_all(State::Hanging).expect("set");
    let status = host.worker.wait_with_limit(LIMIT).expect("ended");
    let said = host.worker.stderr();
    assert_eq!(status.code(), Some(START_ME_AGAIN), "{said}");
    let reason = said.lines().last().unwrap_or_default();
    assert!(
        reason.starts_with("ncs-worker: the network could not be rebuilt, 2 times"),
        "{said}"
    );
    assert!(!said.contains("panicked"), "{said}");

    host.sticks.set_all(State::Ok).expect("set");
    host.worker = Worker::start(&worker_on(&host.sticks, &host.model, &[])).expect("ready");
    host.settles_at(2.0);
    flood.ends_with_every_job_answered_once(&host);
    host.end();
}

#[test]
fn temperatures_are_those_of_the_sticks_that_serve() {
    let host = Host::with(2, &[]);
    let temperature = |port: &str| {
        let series = "ncs_worker_stick_temperature_celsius";
        host.metric(&format!("{series}{{stick=\"MYRIAD.{port}-ma2480\"}}"))
    };
    let both = poll_until(LIMIT, || Some((temperature("1.1")?, temperature("1.2")?)));
    let (first, second) = both.expect("temperatures");
    assert!((20.0..90.0).contains(&first) && first < second);
    host.end();
}

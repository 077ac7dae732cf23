//! A short chaos on each release of RabbitMQ: no job is lost, and the fleet recovers in time.
//! `cargo xtask chaos` is the long one; `docs/chaos.md` says what it does.
//!
//! The bounds are those of a busy machine. What an idle one does is in `docs/chaos.md`.
#![cfg(unix)]

use ncs_e2e::chaos::fault::Kind;
use ncs_e2e::chaos::recovery::Recovery;
use ncs_e2e::chaos::{self, ChaosOptions, Report};
use ncs_e2e::rabbitmq::Release;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Seeds found by trying many: every kind of fault happens in one of them.
const ON_3: ChaosOptions = short(136, Release::V3);
const ON_4: ChaosOptions = short(2320, Release::V4);

/// Reconnecting is tried at least every 2 s, and takes a busy broker a moment.
const BROKER_BACK: Duration = Duration::from_secs(12);
/// The broker sees the connections close, and hands the jobs to the other worker.
const WORKER_KILLED: Duration = Duration::from_secs(8);
/// The same, once the broker has noticed: up to 3 heartbeats.
const NOTICED: Duration = Duration::from_secs(8);

const fn short(seed: u64, release: Release) -> ChaosOptions {
    ChaosOptions {
        seed,
        seconds: 25,
        release,
        keep: false,
    }
}

/// Holds a run to its promises.
fn survives(options: &ChaosOptions) -> Report {
    // They share two cores, and measure times.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);

    let report = chaos::run(options, &mut |line| println!("{line}"));
    let report = report.unwrap_or_else(|error| panic!("{error:#}"));
    assert!(report.is_good(), "{report}");
    assert!(report.redelivered > 0, "nothing was hurt:\n{report}");
    let Recovery {
        broker_back,
        worker_killed,
        host_silent,
    } = &report.recovery;
    for (samples, limit) in [(broker_back, BROKER_BACK), (worker_killed, WORKER_KILLED)] {
        let worst = samples.worst();
        let worst = worst.unwrap_or_else(|| panic!("a recovery was not seen:\n{report}"));
        assert!(worst < limit, "{worst:?} instead of {limit:?}:\n{report}");
    }
    let worst = host_silent.worst().unwrap_or_default();
    let limit = 3 * report.heartbeat + NOTICED;
    assert!(worst < limit, "{worst:?} instead of {limit:?}:\n{report}");
    report
}

#[test]
fn no_job_is_lost_in_a_chaos_on_rabbitmq_3() {
    survives(&ON_3);
}

#[test]
fn no_job_is_lost_in_a_chaos_on_rabbitmq_4_in_which_a_host_vanishes() {
    let report = survives(&ON_4);
    let silent = &report.recovery.host_silent;
    assert!(silent.worst().is_some(), "it was not seen:\n{report}");
}

#[test]
fn the_two_together_have_every_kind_of_fault() {
    let plans = [ON_3.plan(), ON_4.plan()];
    for kind in Kind::ALL {
        let occurs = plans
            .iter()
            .any(|plan| plan.kinds().any(|other| other == kind));
        assert!(
            occurs,
            "{kind} is in neither\n{}\nnor\n{}",
            plans[0], plans[1]
        );
    }
}

//! One stick of four fails, and the other three go on. No job is lost or answered twice.

use crate::host::Host;
use ncs_e2e::sticks::{State, Sticks};
use std::time::{Duration, Instant};

/// Besides this, nothing but the rebuild itself may keep the working sticks from their work.
const STANDSTILL: Duration = Duration::from_secs(1);

/// What a rebuild takes on the emulator where one stick is gone: compiling for the others, 200 ms for
/// each.
const REBUILD: Duration = Duration::from_millis(200 * 3);

const PREFETCH: &str = "ncs_worker_prefetch";

/// Four sticks under a flood: one is put into `state`, then mended. Besides `standstill`, nothing keeps
/// the others from their work.
fn one_of_four_is(state: State, sticks: Sticks, standstill: Duration) -> Host {
    let host = Host::of(sticks, &[]);
    let flood = host.flood();
    host.settles_at(4.0);

    let stood_still = host.standstill(Duration::from_secs(5), |sticks| {
        sticks.set("1.2", state).expect("set");
    });
    assert!(
        stood_still < standstill,
        "the others stood still for {stood_still:?}{}",
        host.worker.last_words()
    );
    host.wait_for_sticks(3);
    host.settles_at(3.0);
    assert_eq!(host.metric(PREFETCH), Some(12.0));

    host.sticks.set("1.2", State::Ok).expect("set");
    host.wait_for_sticks(4);
    host.settles_at(4.0);
    assert_eq!(host.metric(PREFETCH), Some(16.0));
    flood.ends_with_every_job_answered_once(&host);
    host
}

fn four() -> Sticks {
    Sticks::plugged_in(4).expect("sticks")
}

fn rebuilds(host: &Host, cause: &str) -> Option<f64> {
    host.metric(&format!("ncs_worker_rebuilds_total{{cause=\"{cause}\"}}"))
}

#[test]
fn a_stick_that_is_unplugged_costs_its_own_share_until_it_is_plugged_in_again() {
    let host = one_of_four_is(State::Unplugged, four(), STANDSTILL + REBUILD);
    assert!(rebuilds(&host, "lost") >= Some(1.0));
    host.end();
}

#[test]
fn a_stick_that_the_runtime_never_opens_again_is_taken_in_by_a_new_one() {
    let sticks = four().with("STICKS_KEEP_LOST", "1");
    let host = one_of_four_is(State::Unplugged, sticks, STANDSTILL + REBUILD);
    host.end();
}

#[test]
fn a_stick_that_hangs_costs_its_own_share() {
    // The others go on while the one that hangs is looked for, and until the next network is there.
    let host = one_of_four_is(State::Hanging, four(), STANDSTILL);
    assert!(rebuilds(&host, "timed_out") >= Some(1.0));
    host.end();
}

/// The stick on `port` keeps every call for ever.
fn one_of_four_is_stuck(port: &str) {
    let host = Host::of(four(), &["--load-timeout", "3s"]);
    let flood = host.flood();
    host.settles_at(4.0);
    let standstill = host.standstill(Duration::from_secs(10), |sticks| {
        sticks.set(port, State::Stuck).expect("set");
    });
    assert!(
        standstill < STANDSTILL,
        "{standstill:?}{}",
        host.worker.last_words()
    );
    host.wait_for_sticks(3);
    host.settles_at(3.0);
    assert!(rebuilds(&host, "stuck") >= Some(1.0));
    flood.ends_with_every_job_answered_once(&host);
    let start = Instant::now();
    host.end();
    let took = start.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_stick_whose_calls_never_return_blocks_neither_the_others_nor_the_shutdown() {
    one_of_four_is_stuck("1.2");
}

#[test]
fn nor_does_the_stick_that_is_tried_last() {
    one_of_four_is_stuck("1.4");
}

#[test]
fn two_sticks_that_fail_at_once_in_different_ways_leave_the_others_working() {
    let host = Host::of(four(), &[]);
    let flood = host.flood();
    host.settles_at(4.0);
    host.sticks.set("1.1", State::Hanging).expect("set");
    // The search for the one that hangs begins 2 s later; the other fails while it goes on.
    let _ = ncs_e2e::poll_until(Duration::from_millis(2300), || None::<()>);
    host.sticks.set("1.3", State::Failing).expect("set");
    host.wait_for_sticks(2);
    host.settles_at(2.0);
    host.sticks.plug_in_all().expect("mended");
    host.wait_for_sticks(4);
    flood.ends_with_every_job_answered_once(&host);
    host.end();
}

#[test]
fn a_stick_that_keeps_failing_is_left_out_and_not_taken_in_again_and_again() {
    let host = Host::with(4, &[]);
    let flood = host.flood();
    host.settles_at(4.0);
    host.sticks.set("1.2", State::Failing).expect("set");
    host.wait_for("ncs_worker_sticks{state=\"quarantined\"}", |n| n > 0.5);
    host.settles_at(3.0);
    let before = rebuilds(&host, "inference_failed");
    // Tried alone after 1, 2 and 4 s, beside the network that serves.
    let standstill = host.standstill(Duration::from_secs(8), |_| {});
    assert!(standstill < Duration::from_millis(500), "{standstill:?}");
    assert_eq!(rebuilds(&host, "inference_failed"), before);
    assert_eq!(rebuilds(&host, "appeared"), Some(0.0));
    flood.ends_with_every_job_answered_once(&host);
    host.end();
}

#[test]
fn a_stick_that_fails_now_and_then_is_found_out() {
    let host = Host::with(4, &[]);
    let flood = host.flood();
    host.settles_at(4.0);
    host.sticks.set("1.2", State::Flaky(40)).expect("set");
    host.wait_for("ncs_worker_sticks{state=\"quarantined\"}", |n| n > 0.5);
    host.sticks.set("1.2", State::Ok).expect("set");
    host.wait_for_sticks(4);
    flood.ends_with_every_job_answered_once(&host);
    host.end();
}

/// A worker gives up 16 threads at most, and each stick that is stuck may cost some.
const MOST_STUCK: u32 = 2;

#[test]
fn any_fault_in_any_order_loses_no_job_and_panics_nowhere() {
    // A xorshift generator: the same faults in the same order each time.
    let mut seed: u32 = 0x5eed;
    let mut next = |below: u32| {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed % below
    };
    let sticks = four().with("STICKS_COMPILE_MS", "50");
    let arguments =
        "--max-failed-rebuilds 1000 --infer-timeout 1s --load-timeout 1s --rescan 200ms";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let host = Host::of(sticks, &arguments);
    let flood = host.flood();
    host.settles_at(4.0);
    let (start, mut stuck) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(25) {
        let state = match next(14) {
            0 | 1 => State::Unplugged,
            2 | 3 => State::Failing,
            4 | 5 => State::Flaky(10),
            6 | 7 => State::Hanging,
            8 => State::Slow(8.0),
            9 => State::Uncompilable,
            10 if stuck < MOST_STUCK => {
                stuck += 1;
                State::Stuck
            }
            _ => State::Ok,
        };
        let port = format!("1.{}", 1 + next(4));
        host.sticks.set(&port, state).expect("set");
        let pause = Duration::from_millis(u64::from(next(800)));
        let _ = ncs_e2e::poll_until(pause, || None::<()>);
    }
    // As a person does: a stick that keeps calls for ever is only tried again once it was unplugged.
    host.sticks.unplug_all().expect("unplugged");
    host.wait_for("ncs_worker_sticks{state=\"lost\"}", |n| n > 3.5);
    host.sticks.plug_in_all().expect("mended");
    host.wait_for_sticks(4);
    flood.ends_with_every_job_answered_once(&host);
    host.end();
}

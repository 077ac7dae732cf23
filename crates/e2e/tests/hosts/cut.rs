//! A host that is cut off under load: nobody is told, and no job is lost.

use crate::alone;
use crate::fleet::{Fleet, assert_all_answered, wait_for_more};
use ncs_e2e::hosts::Way;
use std::time::Duration;

/// Two sticks that are left need 30 s for them: longer than the broker takes to notice.
const JOBS: u64 = 6_000;

#[test]
fn a_host_that_is_cut_off_costs_its_share_and_no_job_and_serves_again_afterwards() {
    cut_off(Way::best());
}

/// What machines without namespaces see of it.
#[test]
fn a_host_behind_a_proxy_that_is_cut_off_costs_its_share_and_no_job() {
    cut_off(Way::Loopback);
}

fn cut_off(way: Way) {
    let _alone = alone();
    let fleet = Fleet::new(way, Duration::ZERO, &[]);
    let jobs = JOBS.to_string();
    let flood = fleet.flood(&["--jobs", &jobs, "--timeout", "120s"]);
    fleet.wait_until_each_has_answered(300.0);
    let away = &fleet.hosts.others()[1];
    away.cut_off().expect("cut off");
    fleet.assert_busy(&[0], 0.9);
    let twice = assert_all_answered(flood, JOBS);
    println!("{twice} jobs were answered twice");

    away.reconnect().expect("reconnected");
    let flood = fleet.flood(&["--duration", "400s", "--timeout", "120s"]);
    wait_for_more(&fleet.workers[1], 200.0);
    fleet.assert_busy(&[0, 1], 0.9);
    crate::fleet::interrupt(flood);
    fleet.end();
}

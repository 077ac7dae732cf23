//! Hosts that are far from the broker: how many jobs in hand keep their sticks busy.

use crate::alone;
use crate::bed::{LIMIT, metric};
use crate::fleet::{Fleet, STICKS_EACH, interrupt};
use ncs_e2e::hosts::{Hosts, Way};
use ncs_e2e::poll_until;
use ncs_e2e::producer::Producer;
use ncs_e2e::worker::Worker;
use std::time::Duration;

/// What two hosts must do together, of what their sticks do.
const SHARE: f64 = 0.98;

const PREFETCH: &str = "ncs_worker_prefetch";
const ENDLESS: [&str; 4] = ["--duration", "400s", "--timeout", "60s"];
const BOTH: [usize; 2] = [0, 1];

fn prefetch(worker: &Worker) -> u16 {
    let shown = metric(worker, PREFETCH).expect("it shows it");
    format!("{shown}").parse().expect("a small number")
}

/// A host is no farther away than it should be, and no nearer.
fn assert_distance(hosts: &Hosts, round_trip: Duration) {
    for host in hosts.others() {
        let measured = host.round_trip().expect("the broker answers");
        println!("round trip: {measured:.1?}");
        assert!(measured >= round_trip, "{measured:?}");
        assert!(
            measured < round_trip + Duration::from_millis(5),
            "{measured:?}"
        );
    }
}

#[test]
fn at_5_ms_two_hosts_are_busy_with_the_default_prefetch() {
    let _alone = alone();
    let added = Duration::from_millis(5);
    let fleet = Fleet::new(Way::best(), added, &[]);
    assert_distance(&fleet.hosts, added);
    let flood = fleet.flood(&ENDLESS);
    fleet.wait_until_each_has_answered(200.0);
    fleet.assert_busy(&BOTH, SHARE);
    for worker in &fleet.workers {
        assert_eq!(prefetch(worker), 4 * STICKS_EACH);
    }
    interrupt(flood);
    fleet.end();
}

#[test]
fn at_10_ms_two_hosts_are_busy_once_their_prefetch_has_grown() {
    // 92.68/s × (24.4 ms + 3 ms + 2 × 10 ms) = 4.4
    grows(Duration::from_millis(10), 5);
}

#[test]
fn at_40_ms_two_hosts_are_busy_once_their_prefetch_has_grown() {
    // 92.68/s × (24.4 ms + 3 ms + 2 × 40 ms) = 9.95
    grows(Duration::from_millis(40), 10);
}

fn grows(added: Duration, at_least_each: u16) {
    let _alone = alone();
    let fleet = Fleet::new(Way::best(), added, &["--prefetch", "auto"]);
    assert_distance(&fleet.hosts, added);
    for worker in &fleet.workers {
        assert_eq!(prefetch(worker), 4 * STICKS_EACH, "before there are jobs");
    }
    let flood = fleet.flood(&ENDLESS);
    let settled = settled(&fleet, &flood);
    fleet.assert_busy(&BOTH, SHARE);
    for (worker, settled) in fleet.workers.iter().zip(settled) {
        let bounds = at_least_each * STICKS_EACH..=64 * STICKS_EACH;
        assert!(
            bounds.contains(&settled),
            "{settled}{}",
            worker.last_words()
        );
        assert!(prefetch(worker) >= settled, "{}", worker.last_words());
    }
    let report = interrupt(flood);
    assert_eq!(report["duplicates"], 0, "{report}");
    fleet.end();
}

/// What each worker has settled on, as it says, once all have.
fn settled(fleet: &Fleet, flood: &Producer) -> Vec<u16> {
    let each = fleet.workers.iter().map(|worker| {
        let mut said = None;
        poll_until(LIMIT, || {
            let log = worker.stderr();
            let line = log
                .lines()
                .rfind(|line| line.contains("prefetch has settled"))?;
            let (_, number) = line.split_once("prefetch=")?;
            said = number.split_whitespace().next()?.parse().ok();
            said
        });
        let settled = said
            .unwrap_or_else(|| panic!("not settled{}{}", worker.last_words(), flood.last_words()));
        println!("settled on {settled} jobs in hand");
        settled
    });
    each.collect()
}

//! An open loop sends by the clock, and what the fleet does shows.

use crate::alone;
use crate::bed::{CLASSIFIED, LIMIT, drain};
use crate::stage::{Stage, wait_for};
use ncs_e2e::poll_until;
use ncs_e2e::producer::{Finished, Producer};
use ncs_e2e::rabbitmq::Release;
use serde_json::Value;
use std::time::Duration;

fn flood(stage: &Stage, arguments: &[&str]) -> Finished {
    let producer = Producer::flood(&stage.flood(arguments)).expect("started");
    producer.finish(LIMIT).expect("finished")
}

fn report(finished: &Finished) -> &Value {
    finished.report.as_ref().expect("a report")
}

#[test]
fn a_worker_that_stands_still_for_three_seconds_shows_in_the_latency() {
    let _alone = alone();
    let stage = Stage::with_sticks(Release::V3, 2);
    let mut worker = stage.worker(&[]);
    let flood = stage.flood(&["--rate", "60", "--duration", "10s"]);
    let producer = Producer::flood(&flood).expect("started");
    wait_for(&worker, CLASSIFIED, |jobs| jobs >= 90.0);
    worker.pause().expect("stopped");
    let _ = poll_until(Duration::from_secs(3), || None::<()>);
    worker.resume().expect("continued");
    let finished = producer.finish(LIMIT).expect("finished");
    assert!(finished.status.success(), "{finished:?}");
    let report = report(&finished);
    // Every job that was due was sent, also those of the standstill.
    assert_eq!(report["sent"], 600, "{report}");
    let latency = |name| report["latency_ms"][name].as_f64().expect("a latency");
    assert!(latency("max") >= 2_500.0, "{report}");
    // A third of the jobs were due while it stood still, and most of them waited for a second or more.
    assert!(latency("p90") >= 1_000.0, "{report}");
    assert!(!finished.stdout.contains("did not keep up"), "{finished:?}");
    drain(worker);
    stage.end();
}

/// Nearly all jobs that were due meanwhile are sent only after it.
#[test]
fn jobs_that_could_not_be_sent_on_time_have_waited_since_they_were_due() {
    let _alone = alone();
    let stage = Stage::with_sticks(Release::V3, 2);
    let mut worker = stage.worker(&[]);
    let flood = stage.flood(&["--rate", "60", "--duration", "8s", "--window", "4"]);
    let producer = Producer::flood(&flood).expect("started");
    wait_for(&worker, CLASSIFIED, |jobs| jobs >= 90.0);
    worker.pause().expect("stopped");
    let _ = poll_until(Duration::from_secs(3), || None::<()>);
    worker.resume().expect("continued");
    let finished = producer.finish(LIMIT).expect("finished");
    assert!(finished.status.success(), "{finished:?}");
    let report = report(&finished);
    assert_eq!(report["sent"], 480, "{report}");
    let late = report["latest_ms"].as_f64().expect("how late");
    let p90 = report["latency_ms"]["p90"].as_f64().expect("a latency");
    assert!(late >= 2_500.0 && p90 >= 1_000.0, "{report}");
    assert!(finished.stdout.contains("late  "), "{finished:?}");
    drain(worker);
    stage.end();
}

#[test]
fn a_ramp_tells_the_highest_rate_that_the_fleet_held_and_where_it_broke() {
    let _alone = alone();
    let stage = Stage::with_sticks(Release::V3, 2);
    let worker = stage.worker(&[]);
    let csv = std::env::temp_dir().join(format!("ncs-ramp-{}.csv", std::process::id()));
    let file = csv.to_str().expect("UTF-8");
    let ramp = [
        "--rate", "100..500", "--step", "200", "--every", "4s", "--csv", file,
    ];
    // Two sticks do 185 images/s.
    let finished = flood(&stage, &ramp);
    let rows = std::fs::read_to_string(&csv).expect("the rows");
    std::fs::remove_file(&csv).expect("removed");
    assert!(finished.status.success(), "{finished:?}");
    let report = report(&finished);
    assert_eq!(report["highest_rate"], 100.0, "{report:#}");
    let broke = report["broke"].as_str().expect("where it broke");
    assert!(broke.starts_with("broke at 300/s: "), "{broke}");
    assert!(finished.stdout.contains(broke), "{}", finished.stdout);
    // 100, 300, and a head.
    assert_eq!(rows.lines().count(), 3, "{rows}");
    assert_eq!(report["steps"].as_array().map(Vec::len), Some(2));
    assert_eq!(report["lost"], 0, "{report}");

    let held = flood(&stage, &[&ramp[..6], &["--fail-below", "101/s"]].concat());
    assert_eq!(held.status.code(), Some(1), "{held:?}");
    assert!(held.stdout.contains("--fail-below 101/s"), "{held:?}");
    // An inference takes 24 ms.
    let slow = flood(&stage, &[&ramp[..6], &["--fail-p99", "5ms"]].concat());
    assert_eq!(slow.status.code(), Some(1), "{slow:?}");
    assert!(slow.stdout.contains("none of the rates"), "{slow:?}");
    drain(worker);
    stage.end();
}

#[test]
fn random_arrivals_have_the_rate_that_was_asked_for() {
    let _alone = alone();
    let stage = Stage::with_sticks(Release::V3, 2);
    let worker = stage.worker(&[]);
    let poisson = ["--rate", "100", "--arrival", "poisson", "--duration", "6s"];
    let finished = flood(&stage, &poisson);
    assert!(finished.status.success(), "{finished:?}");
    let sent = report(&finished)["sent"].as_u64().expect("a number");
    // 600 expected, with a standard deviation of 24.5; the seed is always the same.
    assert!((500..700).contains(&sent), "{sent}");
    assert_eq!(
        flood(&stage, &poisson).report.expect("a report")["sent"],
        sent
    );
    drain(worker);
    stage.end();
}

/// At such rates the next rate's first job is often due long after the last rate has ended.
#[test]
fn a_ramp_of_random_arrivals_judges_each_rate_when_its_time_is_over() {
    let _alone = alone();
    let stage = Stage::with_sticks(Release::V3, 2);
    let worker = stage.worker(&[]);
    let ramp = [
        "--rate",
        "1..5",
        "--step",
        "1",
        "--every",
        "2s",
        "--arrival",
        "poisson",
    ];
    let finished = flood(&stage, &ramp);
    assert!(finished.status.success(), "{finished:?}");
    assert_eq!(report(&finished)["highest_rate"], 5.0, "{finished:?}");
    assert!(
        finished.stdout.contains("it held all of them"),
        "{finished:?}"
    );
    drain(worker);
    stage.end();
}

#[test]
fn a_fleet_that_does_not_keep_up_is_told_as_such() {
    let _alone = alone();
    let stage = Stage::with_sticks(Release::V3, 1);
    let worker = stage.worker(&[]);
    let finished = flood(&stage, &["--rate", "200", "--duration", "4s"]);
    // All are answered, later.
    assert!(finished.status.success(), "{finished:?}");
    assert_eq!(report(&finished)["sent"], 800);
    assert!(
        finished.stdout.contains("did not keep up"),
        "{}",
        finished.stdout
    );
    drain(worker);
    stage.end();
}

//! The broker blocks whoever publishes, because it is short of memory or disk.

use crate::bed::{CLASSIFIED, LIMIT, drain, metric};
use crate::stage::{Stage, wait_for, wait_until_in_hand, wait_until_it_says};
use ncs_broker::OPERATION_LIMIT;
use ncs_e2e::poll_until;
use ncs_e2e::process::Process;
use ncs_e2e::producer::Producer;
use ncs_e2e::rabbitmq::Release;
use std::time::{Duration, Instant};

const MEMORY_ALARM: [&str; 3] = ["set_vm_memory_high_watermark", "absolute", "1MB"];
const ENOUGH_MEMORY: [&str; 2] = ["set_vm_memory_high_watermark", "0.9"];
const DISK_ALARM: [&str; 2] = ["set_disk_free_limit", "1000000GB"];
const ENOUGH_DISK: [&str; 2] = ["set_disk_free_limit", "50MB"];

const BLOCKED: &str = "the broker blocks publishers; waiting";
const UNBLOCKED: &str = "the broker lets publishers go on";

/// Of a worker on two sticks.
const PREFETCH: f64 = 8.0;

/// A flood that nobody answers asks after 5 s; its own timeout is far away.
const SOON: Duration = Duration::from_secs(10);

const UNTIL_INTERRUPTED: [&str; 4] = ["--duration", "170s", "--timeout", "170s"];

#[test]
fn a_memory_alarm_stops_a_flood_that_publishes_and_loses_nothing() {
    // Its window is never full.
    let publishing = ["--rate", "60", "--window", "1000"];
    a_flood_outlives(Release::V3, &publishing, &MEMORY_ALARM, &ENOUGH_MEMORY);
}

#[test]
fn a_disk_alarm_stops_a_flood_with_a_full_window_and_loses_nothing() {
    // It publishes after an answer only, and the broker tells only who publishes that it blocks.
    a_flood_outlives(Release::V4, &[], &DISK_ALARM, &ENOUGH_DISK);
}

fn a_flood_outlives(release: Release, pace: &[&str], alarm: &[&str], all_clear: &[&str]) {
    let stage = Stage::with_sticks(release, 2);
    let worker = stage.worker(&[]);
    let flood = stage
        .flood(&UNTIL_INTERRUPTED)
        .arguments(pace.iter().copied());
    let flood = Producer::flood(&flood).expect("started");
    wait_for(&worker, CLASSIFIED, |now| now > 100.0);
    stage.node.ctl(alarm).expect("an alarm");
    for program in [&*worker as &Process, &flood] {
        let told = Instant::now();
        wait_until_it_says(program, BLOCKED);
        assert!(told.elapsed() < SOON, "{:?}", told.elapsed());
    }
    // Longer than any other operation on the broker may take. What the broker had before it blocked is
    // confirmed still.
    let classified = || metric(&worker, CLASSIFIED).expect("a figure");
    let before = classified();
    let _ = poll_until(OPERATION_LIMIT + Duration::from_secs(3), || None::<()>);
    let meanwhile = classified() - before;
    assert!(meanwhile <= PREFETCH, "{meanwhile} answers meanwhile");

    stage.node.ctl(all_clear).expect("the all-clear");
    wait_for(&worker, CLASSIFIED, |now| now > before + 300.0);
    let stderr = ends_with_every_job_answered_once(flood);
    for log in [&stderr, &worker.stderr()] {
        for words in [BLOCKED, UNBLOCKED] {
            assert_eq!(log.matches(words).count(), 1, "{log}");
        }
        assert_eq!(log.matches("WARN").count(), 1, "{log}");
    }
    drain(worker);
    stage.end();
}

#[test]
fn results_are_acked_while_publishing_is_blocked() {
    let stage = Stage::with_sticks(Release::Installed, 2);
    let worker = stage.worker(&[]);
    let mut flood = Producer::flood(&stage.flood(&UNTIL_INTERRUPTED)).expect("started");
    wait_for(&worker, CLASSIFIED, |now| now > 100.0);
    // Its window's results wait for it in its queue; then it is blocked before it can ack them.
    flood.pause().expect("paused");
    wait_until_in_hand(&worker, 0);
    assert!(results_in_queue(&stage) > 0);
    stage.node.ctl(&MEMORY_ALARM).expect("an alarm");
    flood.resume().expect("resumed");
    wait_until_it_says(&flood, BLOCKED);
    let acked = poll_until(LIMIT, || (results_in_queue(&stage) == 0).then_some(()));
    assert!(acked.is_some(), "{}", flood.last_words());
    assert!(
        !flood.stderr().contains(UNBLOCKED),
        "{}",
        flood.last_words()
    );

    stage.node.ctl(&ENOUGH_MEMORY).expect("the all-clear");
    ends_with_every_job_answered_once(flood);
    drain(worker);
    stage.end();
}

/// Its inferences end, and their results cannot be sent.
#[test]
fn a_worker_that_is_told_to_end_while_it_is_blocked_gives_its_jobs_back_in_time() {
    const DRAIN: Duration = Duration::from_secs(1);
    let stage = Stage::with_sticks(Release::Installed, 1);
    let mut worker = stage.worker(&["--drain-timeout", "1s"]);
    let mut flood = Producer::flood(&stage.flood(&UNTIL_INTERRUPTED)).expect("started");
    wait_for(&worker, CLASSIFIED, |now| now > 30.0);
    stage.node.ctl(&MEMORY_ALARM).expect("an alarm");
    wait_until_it_says(&worker, BLOCKED);
    let told = Instant::now();
    let status = worker.drain(LIMIT).expect("it ends");
    let took = told.elapsed();
    assert!(status.success(), "{status}{}", worker.last_words());
    assert!(
        (DRAIN..DRAIN + Duration::from_secs(4)).contains(&took),
        "{took:?}"
    );

    stage.node.ctl(&ENOUGH_MEMORY).expect("the all-clear");
    let next = stage.worker(&[]);
    wait_for(&next, CLASSIFIED, |now| now > 100.0);
    flood.interrupt().expect("interrupted");
    let report = flood
        .finish(LIMIT)
        .expect("finished")
        .report
        .expect("a report");
    assert_eq!(report["answered"], report["sent"], "{report}");
    drain(next);
    stage.end();
}

/// Results that the flood has not acked.
fn results_in_queue(stage: &Stage) -> u32 {
    let queues = stage.node.ctl(&["list_queues", "name", "messages"]);
    let queues = queues.expect("the queues");
    let results = queues
        .lines()
        .filter(|line| line.starts_with("ncs.results."));
    let counts = results.filter_map(|line| line.split('\t').nth(1)?.parse::<u32>().ok());
    counts.sum()
}

/// Ends a flood; what it said besides its report.
fn ends_with_every_job_answered_once(mut flood: Producer) -> String {
    flood.interrupt().expect("interrupted");
    let finished = flood.finish(LIMIT).expect("finished");
    assert_eq!(finished.status.code(), Some(130), "{finished:?}");
    let report = finished.report.expect("a report");
    assert_eq!(report["answered"], report["sent"], "{report}");
    for figure in ["failed", "lost", "duplicates"] {
        assert_eq!(report[figure], 0, "{figure} in {report}");
    }
    finished.stderr
}

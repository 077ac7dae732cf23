//! A flood without a window: the queue pushes back, and the workers still get their share.

use crate::alone;
use crate::bed::{CLASSIFIED, LIMIT, drain, metric, runtime};
use crate::stage::{Stage, wait_for, wait_until_it_says};
use ncs_e2e::poll_until;
use ncs_e2e::producer::{FloodOptions, Producer};
use ncs_e2e::rabbitmq::Release;
use ncs_e2e::worker::Worker;
use std::time::{Duration, Instant};

/// What one saturated stick does.
const STICK: f64 = 92.68;

/// How long a pace is measured.
const WINDOW: Duration = Duration::from_secs(5);

/// More than a flood of one worker would leave unanswered that chose its window itself, which is 128.
const BACKLOG: u64 = 192;

/// 150 kB each: what the network's input takes.
fn endless(stage: &Stage, more: &[&str]) -> FloodOptions {
    FloodOptions::new(&stage.model, &stage.node.amqp_url())
        .arguments([
            "--images".into(),
            runtime().small_tensors_dir().into_os_string(),
        ])
        .arguments(["--window", "0", "--duration", "170s", "--timeout", "60s"])
        .arguments(more.iter().copied())
}

fn pace(worker: &Worker) -> f64 {
    let classified = || metric(worker, CLASSIFIED).expect("the worker counts");
    let (before, start) = (classified(), Instant::now());
    let _ = poll_until(WINDOW, || None::<()>);
    (classified() - before) / start.elapsed().as_secs_f64()
}

fn jobs_waiting(stage: &Stage) -> Option<u64> {
    let name = format!("ncs.jobs.{}", stage.model);
    let queues = stage.node.ctl(&["list_queues", "name", "messages"]);
    let queues = queues.expect("the queues");
    let mut lines = queues.lines().filter_map(|line| line.split_once('\t'));
    let (_, messages) = lines.find(|(queue, _)| *queue == name)?;
    messages.trim().parse().ok()
}

#[test]
fn sticks_stay_busy_while_a_flood_fills_the_queue_at_full_speed() {
    let _alone = alone();
    let stage = Stage::with_sticks(Release::V3, 4);
    let worker = stage.worker(&[]);
    let mut producer = Producer::flood(&endless(&stage, &[])).expect("started");
    wait_for(&worker, CLASSIFIED, |jobs| jobs >= 400.0);
    // Whatever else the machine does for a moment only makes it slower.
    let mut shares = Vec::new();
    while shares.len() < 6 && shares.iter().all(|share| *share < 0.95) {
        shares.push(pace(&worker) / (4.0 * STICK));
    }
    // It sends more than they do. How much more is up to the disk.
    let mut waiting = None;
    let is_flooded = poll_until(LIMIT, || {
        waiting = jobs_waiting(&stage);
        (waiting > Some(BACKLOG)).then_some(())
    });
    producer.kill().expect("killed");
    stage.end();
    assert!(
        shares.iter().any(|share| *share >= 0.95),
        "{shares:.3?} of what 4 sticks do, {waiting:?} jobs waiting"
    );
    assert!(
        is_flooded.is_some(),
        "it is no flood: {waiting:?} jobs wait"
    );
}

#[test]
fn a_full_queue_pushes_back_and_every_job_is_answered_once() {
    let _alone = alone();
    let stage = Stage::with_sticks(Release::V3, 2);
    let worker = stage.worker(&[]);
    // The queue's own limit is 2 GiB; the lower one counts.
    let limit = r#"{"max-length-bytes": 3000000}"#;
    stage
        .node
        .ctl(&["set_policy", "small", "^ncs\\.jobs\\.", limit])
        .expect("a policy");
    let mut producer = Producer::flood(&endless(&stage, &[])).expect("started");
    wait_until_it_says(&producer, "the broker refuses jobs");
    wait_for(&worker, CLASSIFIED, |jobs| jobs >= 400.0);
    producer.interrupt().expect("interrupted");
    let finished = producer.finish(LIMIT).expect("finished");
    let report = finished.report.as_ref().expect("a report");
    assert!(report["refused"].as_u64() > Some(0), "{finished:?}");
    assert_eq!(report["answered"], report["sent"], "{finished:?}");
    for figure in ["failed", "lost", "duplicates", "window"] {
        assert_eq!(report[figure], 0, "{figure} in {finished:?}");
    }
    assert!(finished.stdout.contains("refused "), "{finished:?}");
    drain(worker);
    stage.end();
}

//! The broker goes away and comes back: with its data, without, or only for the connections.

use crate::bed::{CLASSIFIED, LIMIT, drain};
use crate::client::block_on;
use crate::stage::{IN_HAND, Stage, wait_for};
use ncs_e2e::poll_until;
use ncs_e2e::process::Process;
use ncs_e2e::producer::Producer;
use ncs_e2e::rabbitmq::Release;
use ncs_e2e::sticks::State;
use ncs_protocol::Outcome;
use ncs_protocol::topology::DEAD;
use serde_json::Value;
use std::time::Duration;

/// Dozens of tries, with pauses of 2 s at most between them.
const AWAY: Duration = Duration::from_secs(10);

/// What a worker says of each link.
const CONNECTED: &str = " connected broker=";
/// What a producer says of each but the first.
const CONNECTED_AGAIN: &str = "connected again";

const UNTIL_INTERRUPTED: [&str; 4] = ["--duration", "170s", "--timeout", "170s"];

/// Ends a flood, and holds it to have lost nothing.
fn ends_without_a_loss(mut flood: Producer) -> (Value, String) {
    flood.interrupt().expect("interrupted");
    let finished = flood.finish(LIMIT).expect("finished");
    assert_eq!(finished.status.code(), Some(130), "{finished:?}");
    let report = finished.report.expect("a report");
    assert_eq!(report["answered"], report["sent"], "{report}");
    assert_eq!((&report["failed"], &report["lost"]), (&0.into(), &0.into()));
    (report, finished.stderr)
}

/// The lines that say so.
fn lines<'t>(log: &'t str, words: &str) -> Vec<&'t str> {
    log.lines().filter(|line| line.contains(words)).collect()
}

fn wait_until_it_has_said(program: &Process, words: &str, times: usize) {
    let said = || lines(&program.stderr(), words).len() >= times;
    let reached = poll_until(LIMIT, || said().then_some(()));
    assert!(reached.is_some(), "{}", program.last_words());
}

#[test]
fn a_broker_that_is_away_for_ten_seconds_is_worth_one_warning_and_one_connected() {
    let mut stage = Stage::with_sticks(Release::Installed, 2);
    let worker = stage.worker(&[]);
    let flood = Producer::flood(&stage.flood(&UNTIL_INTERRUPTED)).expect("started");
    let before = wait_for(&worker, CLASSIFIED, |now| now > 100.0);
    stage.node.shut_down().expect("shut down");
    let _ = poll_until(AWAY, || None::<()>);
    stage.node.restart().expect("it comes back");
    wait_for(&worker, CLASSIFIED, |now| now > before + 300.0);
    let (_, producer) = ends_without_a_loss(flood);

    let said = worker.stderr();
    for (log, connected, times) in [(&said, CONNECTED, 2), (&producer, CONNECTED_AGAIN, 1)] {
        assert_eq!(lines(log, connected).len(), times, "{log}");
        let warnings = lines(log, "WARN");
        assert_eq!(warnings.len(), 1, "{log}");
        assert!(warnings[0].ends_with("trying until it is back"), "{log}");
        assert_eq!(lines(log, "ERROR"), Vec::<&str>::new(), "{log}");
    }
    drain(worker);
    stage.end();
}

#[test]
fn jobs_in_hand_over_a_dead_connection_are_never_acked_on_the_next() {
    let stage = Stage::with_sticks(Release::Installed, 2);
    let worker = stage.worker(&["--prefetch", "32"]);
    let flood = Producer::flood(&stage.flood(&UNTIL_INTERRUPTED)).expect("started");
    wait_for(&worker, CLASSIFIED, |now| now > 50.0);
    // An inference takes half a second: those in hand end when the next connection is there.
    stage.sticks.set_all(State::Slow(20.0)).expect("slow");
    for round in 1..=2 {
        wait_for(&worker, IN_HAND, |now| now > 31.0);
        let reason = format!("round {round}");
        let closing = stage.node.ctl(&["close_all_connections", &reason]);
        closing.expect("closed");
        wait_until_it_has_said(&worker, CONNECTED, round + 1);
        wait_until_it_has_said(&flood, CONNECTED_AGAIN, round);
    }
    stage.sticks.set_all(State::Ok).expect("mended");
    let (report, _) = ends_without_a_loss(flood);
    println!(
        "{} of {} results were duplicates",
        report["duplicates"], report["sent"]
    );
    let log = stage.node.log();
    assert!(log.contains("round 2"), "{log}");
    let refused = lines(&log, "precondition_failed");
    assert_eq!(refused, Vec::<&str>::new());
    drain(worker);
    stage.end();
}

#[test]
fn a_worker_serves_on_when_its_broker_comes_back_without_any_data_on_rabbitmq_3() {
    serves_on_without_data(Release::V3);
}

#[test]
fn a_worker_serves_on_when_its_broker_comes_back_without_any_data_on_rabbitmq_4() {
    serves_on_without_data(Release::V4);
}

fn serves_on_without_data(release: Release) {
    let mut stage = Stage::with_sticks(release, 1);
    let mut worker = stage.worker(&[]);
    block_on(assert_serves(&stage));
    stage.node.restart_empty().expect("it comes back");
    wait_until_it_has_said(&worker, CONNECTED, 2);
    block_on(assert_serves(&stage));
    assert_eq!(worker.try_wait().expect("its state"), None);
    drain(worker);
    stage.end();
}

/// Holds the fleet to answer a job, and to keep what is none, for the first time.
async fn assert_serves(stage: &Stage) {
    let mut client = stage.client().await;
    let tensor = vec![1; 224 * 224 * 3];
    for (content_type, body) in [
        ("application/octet-stream", tensor),
        ("text/plain", vec![1]),
    ] {
        client.send_image("job", content_type, body).await;
    }
    let mut classified = Vec::new();
    for _ in 0..2 {
        let (_, result) = client.result().await;
        classified.push(matches!(result.outcome, Outcome::Classes(_)));
    }
    classified.sort_unstable();
    assert_eq!(classified, [false, true]);
    assert_eq!(client.ready(DEAD).await, 1);
    client.close().await;
}

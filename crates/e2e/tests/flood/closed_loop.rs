//! A closed loop: its window, its warm-up, its goals, and what can be seen of it.

use crate::alone;
use crate::bed::{CLASSIFIED, LIMIT, drain};
use crate::stage::{Stage, wait_for, wait_until_it_says};
use ncs_e2e::http::http_get;
use ncs_e2e::poll_until;
use ncs_e2e::producer::{Finished, Producer};
use ncs_e2e::rabbitmq::Release;
use ncs_e2e::sticks::State;
use serde_json::Value;

fn flood(stage: &Stage, arguments: &[&str]) -> Finished {
    let producer = Producer::flood(&stage.flood(arguments)).expect("started");
    producer.finish(LIMIT).expect("finished")
}

fn report(finished: &Finished) -> &Value {
    finished.report.as_ref().expect("a report")
}

#[test]
fn the_window_follows_the_workers_that_there_are_and_is_shown() {
    let _alone = alone();
    let stage = Stage::with_sticks(Release::V3, 1);
    let workers = [stage.worker(&[]), stage.worker(&[])];
    let finished = flood(&stage, &["--jobs", "600"]);
    assert!(finished.status.success(), "{finished:?}");
    let found = report(&finished);
    assert_eq!(
        (&found["consumers"], &found["window"]),
        (&2.into(), &256.into())
    );
    assert!(
        finished
            .stderr
            .contains("256 jobs unanswered, for 2 consumers"),
        "{finished:?}"
    );
    assert_eq!(
        found["workers"].as_object().map(serde_json::Map::len),
        Some(2)
    );
    // Both are on this host.
    let hosts = found["hosts"].as_object().expect("hosts");
    assert_eq!(hosts.values().collect::<Vec<_>>(), [600]);
    workers.into_iter().for_each(drain);
    stage.end();
}

#[test]
fn what_warms_up_is_counted_and_left_out_of_the_figures() {
    let _alone = alone();
    let stage = Stage::with_sticks(Release::V3, 2);
    let worker = stage.worker(&[]);
    let arguments = [
        "--warm-up",
        "2s",
        "--jobs",
        "300",
        "--window",
        "16",
        "--connections",
        "3",
    ];
    let finished = flood(&stage, &arguments);
    assert!(finished.status.success(), "{finished:?}");
    let found = report(&finished);
    let number = |name: &str| found[name].as_f64().expect(name);
    assert!(number("warm_up_jobs") > 50.0, "{found}");
    assert!(
        (number("sent") - number("warm_up_jobs") - 300.0).abs() < 0.5,
        "{found}"
    );
    // 300 images at the pace of two sticks.
    assert!(number("seconds") > 1.2, "{found}");
    drain(worker);
    stage.end();
}

#[test]
fn a_goal_that_is_missed_is_told_and_sets_the_exit_code() {
    let _alone = alone();
    let stage = Stage::with_sticks(Release::V3, 1);
    let worker = stage.worker(&[]);
    let jobs = ["--jobs", "100", "--window", "8"];
    let goals = |goals: &[&str]| flood(&stage, &[&jobs, goals].concat());
    let reached = goals(&["--fail-below", "50/s", "--fail-p99", "10s"]);
    assert!(reached.status.success(), "{reached:?}");
    for (goal, told) in [
        (["--fail-below", "500/s"], "is below --fail-below 500/s"),
        (["--fail-p99", "20ms"], "is above --fail-p99 20.0 ms"),
    ] {
        let missed = goals(&goal);
        assert_eq!(missed.status.code(), Some(1), "{missed:?}");
        assert!(missed.stdout.contains(told), "{missed:?}");
        assert_eq!(report(&missed)["lost"], 0);
    }
    drain(worker);
    stage.end();
}

#[test]
fn a_flood_that_gives_up_is_no_success_and_says_why_it_ended() {
    let _alone = alone();
    let stage = Stage::with_sticks(Release::V3, 1);
    let worker = stage.worker(&[]);
    let arguments = ["--duration", "170s", "--window", "8", "--timeout", "3s"];
    let producer = Producer::flood(&stage.flood(&arguments)).expect("started");
    wait_for(&worker, CLASSIFIED, |jobs| jobs >= 30.0);
    stage.sticks.set("1.1", State::Hanging).expect("set");
    let finished = producer.finish(LIMIT).expect("finished");
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert_eq!(report(&finished)["ended"], "gave up");
    assert_eq!(report(&finished)["lost"], 8);
    assert!(
        finished.stdout.contains("\nended       gave up"),
        "{finished:?}"
    );
    stage.sticks.set("1.1", State::Ok).expect("set");
    drain(worker);
    stage.end();
}

#[test]
fn prometheus_and_people_without_a_terminal_see_how_far_it_is() {
    let _alone = alone();
    let stage = Stage::with_sticks(Release::V3, 1);
    let worker = stage.worker(&[]);
    let arguments = ["--duration", "170s", "--metrics-addr", "127.0.0.1:0"];
    let mut producer = Producer::flood(&stage.flood(&arguments)).expect("started");
    wait_for(&worker, CLASSIFIED, |jobs| jobs >= 30.0);
    let address = poll_until(LIMIT, || {
        let said = producer.stderr();
        let (_, rest) = said.split_once("127.0.0.1:")?;
        let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
        port.parse::<u16>().ok()
    });
    let address = ([127, 0, 0, 1], address.expect("the port")).into();
    let page = http_get(address, "/metrics").expect("the page").body;
    for series in [
        "ncs_producer_jobs_sent_total ",
        "ncs_producer_answers_total{outcome=\"classified\"} ",
        "ncs_producer_latency_seconds_bucket{le=\"0.001\"} 0",
        "ncs_producer_jobs_unanswered ",
        "ncs_producer_broker_connected 1",
    ] {
        assert!(page.contains(series), "{series} is not in\n{page}");
    }
    wait_until_it_says(&producer, " queued");
    let said = producer.stderr();
    for part in ["/s now", "/s overall", " queued", "p50 ", "p99 ", " left"] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    producer.interrupt().expect("interrupted");
    let finished = producer.finish(LIMIT).expect("finished");
    assert!(finished.stdout.contains("  <= "), "{}", finished.stdout);
    drain(worker);
    stage.end();
}

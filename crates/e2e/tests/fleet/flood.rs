//! The main job: a producer floods, a worker infers, every photo is answered.

use crate::bed::{
    LIMIT, amqp_url, drain, googlenet, runtime, start, steady_flood, unique, wait_for_metric,
    wait_until_busy,
};
use crate::client::clean_up;
use ncs_e2e::producer::{Finished, FloodOptions, Producer};

/// Floods a worker with photos and holds the report to what the job promises.
fn flood_300_photos(worker: &[&str], producer: &[&str]) -> Finished {
    let model = unique("flood");
    let worker = start(&googlenet(&model).arguments(worker.iter().copied()));
    let flood = FloodOptions::new(&model, &amqp_url())
        .images(&runtime().small_photos_dir(), 300)
        .arguments(producer.iter().copied());
    let finished = Producer::flood(&flood)
        .expect("started")
        .finish(LIMIT)
        .expect("finished");
    assert!(finished.status.success(), "{finished:?}");
    let report = finished.report.as_ref().expect("a report");
    for (figure, expected) in [
        ("sent", 300),
        ("answered", 300),
        ("failed", 0),
        ("lost", 0),
        ("duplicates", 0),
    ] {
        assert_eq!(report[figure], expected, "{figure} in {report}");
    }
    let latency = &report["latency_ms"];
    let figures = ["p50", "p90", "p99", "max"].map(|name| latency[name].as_f64().expect(name));
    assert!(figures[0] > 0.0 && figures.is_sorted(), "{latency}");
    assert!(
        report["images_per_second"]
            .as_f64()
            .is_some_and(|speed| speed > 0.0),
        "{report}"
    );
    let workers = report["workers"].as_object().expect("workers");
    assert_eq!(
        workers
            .values()
            .filter_map(serde_json::Value::as_u64)
            .sum::<u64>(),
        300
    );

    wait_for_metric(&worker, "ncs_worker_jobs_total{outcome=\"classified\"} 300");
    drain(worker);
    clean_up(&model);
    finished
}

#[test]
fn three_hundred_photos_are_answered_with_the_defaults() {
    let finished = flood_300_photos(&[], &[]);
    assert!(
        finished.stdout.contains("lost        0"),
        "{}",
        finished.stdout
    );
}

#[test]
fn three_hundred_photos_are_answered_through_the_real_multi_plugin() {
    flood_300_photos(&["--devices", "MULTI:CPU"], &[]);
}

#[test]
fn three_hundred_photos_are_answered_one_at_a_time() {
    flood_300_photos(&["--sync"], &[]);
}

#[test]
fn three_hundred_bare_photos_are_answered_in_json() {
    flood_300_photos(&[], &["--encoding", "bare"]);
}

#[test]
fn bare_and_bincode_jobs_are_served_side_by_side() {
    let model = unique("mixed");
    let worker = start(&googlenet(&model));
    let photos = runtime().small_photos_dir();
    let flood = FloodOptions::new(&model, &amqp_url()).images(&photos, 150);
    let bincode = Producer::flood(&flood).expect("started");
    let bare = Producer::flood(&flood.arguments(["--encoding", "bare"])).expect("started");
    for producer in [bincode, bare] {
        let finished = producer.finish(LIMIT).expect("finished");
        assert!(finished.status.success(), "{finished:?}");
        assert_eq!(finished.report.expect("a report")["answered"], 150);
    }
    drain(worker);
    clean_up(&model);
}

#[test]
fn a_flood_for_a_duration_at_a_rate_sends_just_that() {
    let model = unique("rate");
    let worker = start(&googlenet(&model));
    let flood = FloodOptions::new(&model, &amqp_url()).arguments([
        "--synthetic",
        "224x224",
        "--duration",
        "2s",
        "--rate",
        "20",
    ]);
    let finished = Producer::flood(&flood)
        .expect("started")
        .finish(LIMIT)
        .expect("finished");
    assert!(finished.status.success(), "{finished:?}");
    let report = finished.report.expect("a report");
    assert_eq!(report["sent"], 40, "{report}");
    drain(worker);
    clean_up(&model);
}

#[test]
fn a_model_that_nobody_ever_served_is_an_error_that_says_so() {
    let model = unique("unknown");
    let flood = FloodOptions::new(&model, &amqp_url()).images(&runtime().small_photos_dir(), 1);
    let finished = Producer::flood(&flood)
        .expect("started")
        .finish(LIMIT)
        .expect("finished");
    assert!(!finished.status.success());
    assert!(
        finished
            .stderr
            .contains(&format!("no queue for the model '{model}'")),
        "{finished:?}"
    );
}

#[test]
fn an_interrupted_flood_reports_what_it_did_and_is_no_success() {
    let model = unique("interrupted");
    let worker = start(&googlenet(&model));
    let mut producer = steady_flood(&model, &amqp_url(), 100_000);
    wait_until_busy(&worker);
    producer.interrupt().expect("interrupted");
    let finished = producer.finish(LIMIT).expect("finished");
    assert_eq!(finished.status.code(), Some(130), "{finished:?}");
    let report = finished.report.expect("a report");
    assert_eq!(report["lost"], 0, "{report}");
    assert_eq!(report["sent"], report["answered"], "{report}");
    drain(worker);
    clean_up(&model);
}

//! The worker's HTTP side, and what it prints at start.

use crate::bed::{amqp_url, digits, drain, runtime, start, unique};
use crate::client::clean_up;
use ncs_e2e::paths::binary;
use ncs_e2e::worker::{Worker, WorkerOptions};
use std::process::Command;

#[test]
fn a_ready_worker_says_so_and_shows_its_figures() {
    let model = unique("http");
    let worker = start(&digits(&model).arguments(["--requests-per-stick", "3"]));
    for path in ["/healthz", "/readyz"] {
        assert_eq!(worker.get(path).expect("an answer").status, 200, "{path}");
    }
    assert_eq!(health(&worker), (Some(0), "ready\n".to_owned()));
    assert_eq!(worker.get("/nonsense").expect("an answer").status, 404);
    let metrics = worker.metrics().expect("metrics");
    for series in [
        "ncs_worker_broker_connected 1",
        "ncs_worker_devices 1",
        "ncs_worker_infer_requests 3",
        "ncs_worker_prefetch 3",
        "ncs_worker_jobs_in_hand 0",
        "ncs_worker_stage_seconds_count{stage=\"infer\"} 0",
        "process_resident_memory_bytes ",
    ] {
        assert!(metrics.contains(series), "{series} is not in\n{metrics}");
    }
    let stdout = worker.stdout();
    assert!(stdout.contains("Device name : CPU"), "{stdout}");
    assert!(
        stdout.contains("input [1, 1, 8, 8] f32 NCHW, 10 classes"),
        "{stdout}"
    );
    let stderr = worker.stderr();
    assert!(
        stderr.contains("no stick found: running on the CPU"),
        "{stderr}"
    );
    drain(worker);
    clean_up(&model);
}

/// What `ncs-worker health` says of it.
fn health(worker: &Worker) -> (Option<i32>, String) {
    let output = Command::new(binary("ncs-worker").expect("the worker"))
        .args([
            "health",
            "--metrics-addr",
            &worker.metrics_addr().to_string(),
        ])
        .args(["--timeout", "20s"])
        .output()
        .expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// Starts a worker that cannot start, and returns its one line of reason.
fn reason_not_to_start(options: &WorkerOptions) -> (Option<i32>, String) {
    let mut worker = Worker::spawn(options).expect("started");
    let status = worker.wait_with_limit(crate::bed::LIMIT).expect("ended");
    let stderr = worker.stderr();
    let reason = stderr.lines().last().unwrap_or_default().to_owned();
    assert!(reason.starts_with("ncs-worker: "), "{stderr}");
    (status.code(), reason)
}

#[test]
fn a_worker_that_cannot_start_says_why_in_one_line() {
    let model = unique("wrong");
    let (code, reason) = reason_not_to_start(&digits(&model).arguments(["--devices", "sticks"]));
    assert_eq!(code, Some(1));
    assert!(reason.contains("CPU"), "it lists what there is: {reason}");

    let missing = runtime().models_dir().join("missing.xml");
    let openvino = runtime().openvino().expect("OpenVINO");
    let options = WorkerOptions::with_model(openvino, missing, &amqp_url());
    let (code, reason) = reason_not_to_start(&options);
    assert_eq!(code, Some(1));
    assert!(reason.contains("missing.xml"), "{reason}");
}

#[test]
fn a_broker_that_declines_ends_the_worker_with_code_69_and_no_password_in_its_words() {
    let mut options = digits(&unique("declined"));
    let address = amqp_url();
    let host = address
        .rsplit(['@', '/'])
        .find(|part| part.contains(':'))
        .expect("host:port");
    options.amqp_url = format!("amqp://nobody:s3cret@{host}");
    let (code, reason) = reason_not_to_start(&options);
    assert_eq!(code, Some(69), "{reason}");
    assert!(
        reason.contains("declines") && !reason.contains("s3cret"),
        "{reason}"
    );
}

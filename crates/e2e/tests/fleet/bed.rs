//! What the tests start from: the broker, the runtime, a worker under a name of its own.

use ncs_e2e::paths::Runtime;
use ncs_e2e::poll_until;
use ncs_e2e::producer::{FloodOptions, Producer};
use ncs_e2e::worker::{Worker, WorkerOptions};
use std::time::Duration;
use uuid::Uuid;

/// Longer than any test takes on a slow machine; a hang must not take the whole of CI's time.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

/// Jobs that a worker has answered with classes.
pub(crate) const CLASSIFIED: &str = "ncs_worker_jobs_total{outcome=\"classified\"}";

/// The broker that `cargo xtask test` has started, or that `NCS_AMQP_URL` names.
pub(crate) fn amqp_url() -> String {
    std::env::var("NCS_AMQP_URL")
        .expect("NCS_AMQP_URL names no broker; run `cargo xtask test`, which starts one")
}

pub(crate) fn runtime() -> Runtime {
    Runtime::locate().expect("run `cargo xtask test`, which sets it up")
}

/// A name for a model that no other test uses.
pub(crate) fn unique(name: &str) -> String {
    format!("{name}-{}", Uuid::now_v7().simple())
}

/// How to start a worker that serves the random GoogLeNet under `name`.
pub(crate) fn googlenet(name: &str) -> WorkerOptions {
    let model = ncs_e2e::paths::GOOGLENET;
    WorkerOptions::new(&runtime(), model, &amqp_url())
        .expect("run `cargo xtask test`, which makes the model")
        .arguments(["--model-name", name])
}

/// How to start a worker that serves the digits' classifier under `name`.
pub(crate) fn digits(name: &str) -> WorkerOptions {
    let runtime = runtime();
    let openvino = runtime
        .openvino()
        .expect("run `cargo xtask test`, which installs OpenVINO");
    let folder = runtime.digits_dir();
    WorkerOptions::with_model(openvino, folder.join("digits.xml"), &amqp_url())
        .arguments(["--model-name", name])
        .arguments([
            "--labels".into(),
            folder.join("labels.txt").into_os_string(),
        ])
}

pub(crate) fn start(options: &WorkerOptions) -> Worker {
    Worker::start(options).expect("the worker becomes ready")
}

/// Ends the worker as its supervisor would, and holds it to an orderly end.
pub(crate) fn drain(mut worker: Worker) {
    let status = worker.drain(LIMIT).expect("the worker ends");
    assert!(status.success(), "{status}{}", worker.last_words());
}

/// A figure of the worker's; none while it does not answer or has no such series.
pub(crate) fn metric(worker: &Worker, series: &str) -> Option<f64> {
    let metrics = worker.metrics().ok()?;
    let line = metrics.lines().find(|line| {
        line.strip_prefix(series)
            .is_some_and(|rest| rest.starts_with(' '))
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Waits until the worker's metrics show `series`, a whole line. It counts a job when its result is
/// confirmed and acked, which is after the result has arrived.
pub(crate) fn wait_for_metric(worker: &Worker, series: &str) {
    let mut last = String::new();
    let shown = poll_until(LIMIT, || {
        last = worker.metrics().ok()?;
        last.lines().any(|line| line == series).then_some(())
    });
    assert!(shown.is_some(), "{series} does not appear in\n{last}");
}

/// Waits until the worker has answered some of a flood.
pub(crate) fn wait_until_busy(worker: &Worker) {
    let busy = poll_until(LIMIT, || {
        metric(worker, CLASSIFIED).filter(|jobs| *jobs >= 30.0)
    });
    assert!(
        busy.is_some(),
        "the worker is under load{}",
        worker.last_words()
    );
}

/// A flood that lasts, on any host, longer than what a test does to the fleet meanwhile.
pub(crate) fn steady_flood(model: &str, amqp_url: &str, jobs: u64) -> Producer {
    let flood = FloodOptions::new(model, amqp_url)
        .images(&runtime().small_photos_dir(), jobs)
        .arguments(["--rate", "60", "--timeout", "170s"]);
    Producer::flood(&flood).expect("started")
}

/// Holds a flood to have been under way when the fleet was hurt.
pub(crate) fn assert_still_flooding(producer: &mut Producer) {
    assert_eq!(
        producer.try_wait().expect("its state"),
        None,
        "the flood was over too soon"
    );
}

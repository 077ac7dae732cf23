//! What the tests start from: the broker, the runtime, a worker under a name of its own.

use ncs_e2e::paths::Runtime;
use ncs_e2e::poll_until;
use ncs_e2e::worker::{Worker, WorkerOptions};
use std::time::Duration;
use uuid::Uuid;

/// Longer than any test takes on a slow machine; a hang must not take the whole of CI's time.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

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

/// Waits until the worker has answered some of a flood.
pub(crate) fn wait_until_busy(worker: &Worker) {
    let busy = poll_until(LIMIT, || {
        let metrics = worker.metrics().ok()?;
        let line = metrics
            .lines()
            .find(|line| line.contains("outcome=\"classified\"}"))?;
        line.rsplit(' ')
            .next()?
            .parse::<u64>()
            .ok()
            .filter(|classified| *classified >= 30)
    });
    assert!(
        busy.is_some(),
        "the worker is under load{}",
        worker.last_words()
    );
}

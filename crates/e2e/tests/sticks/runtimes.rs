//! One binary, and every OpenVINO that there is.

use crate::bed::{LIMIT, amqp_url, drain, runtime, unique};
use crate::client::clean_up;
use ncs_e2e::paths::{GOOGLENET, OLDER_OPENVINO_VERSION, OPENVINO_VERSION};
use ncs_e2e::producer::{FloodOptions, Producer};
use ncs_e2e::sticks::Sticks;
use ncs_e2e::worker::{Worker, WorkerOptions};

/// Classifies some photos, and returns what the worker says of its runtime.
fn classify(worker: impl FnOnce(&str) -> WorkerOptions) -> String {
    let model = unique("runtime");
    let worker = Worker::start(&worker(&model)).expect("ready");
    let flood = FloodOptions::new(&model, &amqp_url()).images(&runtime().small_photos_dir(), 50);
    let finished = Producer::flood(&flood)
        .expect("started")
        .finish(LIMIT)
        .expect("finished");
    assert!(finished.status.success(), "{finished:?}");
    let metrics = worker.metrics().expect("metrics");
    let info = metrics
        .lines()
        .find(|line| line.starts_with("ncs_worker_info{"));
    let info = info.expect("its info").to_owned();
    drain(worker);
    clean_up(&model);
    info
}

#[test]
fn the_same_binary_runs_on_the_newest_runtime_on_an_older_one_and_on_that_of_sticks() {
    let _alone = crate::host::alone();
    let ir = || runtime().model(GOOGLENET).expect("the model");
    for version in [OPENVINO_VERSION, OLDER_OPENVINO_VERSION] {
        let info = classify(|model| {
            let openvino = runtime().openvino_of(version).expect("installed");
            WorkerOptions::with_model(openvino, ir(), &amqp_url()).arguments([
                "--devices",
                "MULTI:CPU",
                "--model-name",
                model,
            ])
        });
        assert!(info.contains(&format!("openvino=\"{version}")), "{info}");
    }
    let sticks = Sticks::plugged_in(2).expect("sticks");
    let info = classify(|model| {
        sticks
            .worker(ir(), &amqp_url())
            .arguments(["--model-name", model])
    });
    assert!(info.contains("openvino=\"2022.3."), "{info}");
}

//! One model's jobs over several queues, as the documentation shows.

use crate::bed::{drain, runtime, unique};
use crate::beside_others;
use crate::fleet::{assert_all_answered, classified, quick_sticks};
use ncs_e2e::paths::{GOOGLENET_U8, repository_root};
use ncs_e2e::producer::{FloodOptions, Producer};
use ncs_e2e::rabbitmq::{RabbitMq, RabbitMqOptions};
use ncs_e2e::worker::Worker;
use std::process::Command;

const JOBS: u64 = 1_000;

#[test]
fn a_models_jobs_are_spread_over_shards_and_all_are_answered() {
    let _others = beside_others();
    let node = RabbitMq::start(RabbitMqOptions {
        plugins: vec!["rabbitmq_consistent_hash_exchange"],
        ..RabbitMqOptions::default()
    });
    let node = node.expect("a node");
    let model = unique("shards");
    let serve = |name: &str| {
        let sticks = quick_sticks(1);
        let ir = runtime().model(GOOGLENET_U8).expect("the model");
        let options = sticks
            .worker(ir, &node.amqp_url())
            .arguments(["--model-name", name]);
        (Worker::start(&options).expect("ready"), sticks)
    };
    // Declares the model's own queue.
    let (first, _sticks) = serve(&model);
    drain(first);
    let shards = [0, 1].map(|shard| serve(&format!("{model}-{shard}")));
    let python = runtime()
        .python()
        .expect("run `cargo xtask test`, which makes it");
    let output = Command::new(python)
        .arg(repository_root().join("docs/shards.py"))
        .args([&model, "2"])
        .env("NCS_AMQP_URL", node.amqp_url())
        .output()
        .expect("Python runs");
    assert!(output.status.success(), "{output:?}");

    let photos = runtime().small_photos_dir().into_os_string();
    let jobs = JOBS.to_string();
    let flood = FloodOptions::new(&model, &node.amqp_url())
        .arguments(["--images".into(), photos])
        .arguments(["--jobs", &jobs, "--window", "64", "--timeout", "120s"]);
    let flood = Producer::flood(&flood).expect("started");
    assert_eq!(assert_all_answered(flood, JOBS), 0, "duplicates");
    for (worker, _sticks) in shards {
        // Each gets about the half, by chance.
        let share = classified(&worker);
        assert!((250.0..=750.0).contains(&share), "{share} of {JOBS}");
        drain(worker);
    }
    node.stop().expect("stopped");
}

#[test]
fn the_documentation_shows_the_shards_that_are_tested() {
    let docs = repository_root().join("docs");
    let script = std::fs::read_to_string(docs.join("shards.py")).expect("the script");
    let page = std::fs::read_to_string(docs.join("scaling.md")).expect("the page");
    assert!(
        page.contains(&format!("```python\n{script}```")),
        "docs/scaling.md shows another"
    );
}

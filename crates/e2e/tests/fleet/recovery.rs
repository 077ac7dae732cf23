//! Things that break: a worker is killed, the broker is killed. No job is lost.

use crate::bed::{LIMIT, amqp_url, drain, googlenet, runtime, start, unique, wait_until_busy};
use crate::client::{Client, block_on};
use ncs_e2e::poll_until;
use ncs_e2e::producer::{Finished, FloodOptions, Producer};
use ncs_e2e::rabbitmq::{RabbitMq, RabbitMqOptions};

fn assert_all_answered(finished: &Finished, jobs: u64) {
    assert!(finished.status.success(), "{finished:?}");
    let report = finished.report.as_ref().expect("a report");
    assert_eq!(
        (&report["answered"], &report["lost"]),
        (&jobs.into(), &0.into()),
        "{report}"
    );
}

#[test]
fn the_jobs_of_a_killed_worker_are_answered_by_another() {
    let model = unique("killed");
    let options = googlenet(&model);
    let (mut victim, other) = (start(&options), start(&options));
    let flood = FloodOptions::new(&model, &amqp_url()).images(&runtime().small_photos_dir(), 300);
    let producer = Producer::flood(&flood).expect("started");
    wait_until_busy(&victim);
    victim.kill().expect("killed");
    assert_all_answered(&producer.finish(LIMIT).expect("finished"), 300);
    drain(other);
    block_on(async { Client::connect(&model).await.close().await });
}

#[test]
fn worker_and_producer_outlive_a_broker_that_is_killed_and_comes_back() {
    let mut node = RabbitMq::start(RabbitMqOptions::default()).expect("a private node");
    let model = unique("restart");
    let mut options = googlenet(&model);
    options.amqp_url = node.amqp_url();
    let worker = start(&options);
    let flood =
        FloodOptions::new(&model, &node.amqp_url()).images(&runtime().small_photos_dir(), 400);
    let producer = Producer::flood(&flood).expect("started");
    wait_until_busy(&worker);
    node.kill().expect("killed");
    let noticed = poll_until(LIMIT, || {
        (worker.get("/readyz").ok()?.status == 503).then_some(())
    });
    assert!(
        noticed.is_some(),
        "the worker notices{}",
        worker.last_words()
    );
    node.restart().expect("it comes back");
    assert_all_answered(&producer.finish(LIMIT).expect("finished"), 400);
    drain(worker);
    node.stop().expect("it stops");
}

//! Things that break: a worker is killed, the broker is killed. No job is lost.

use crate::bed::{
    LIMIT, amqp_url, assert_still_flooding, drain, googlenet, runtime, start, steady_flood, unique,
    wait_until_busy,
};
use crate::client::clean_up;
use ncs_e2e::poll_until;
use ncs_e2e::producer::{Finished, FloodOptions, Producer};
use ncs_e2e::rabbitmq::{RabbitMq, RabbitMqOptions, wait_out_young_queues};
use std::time::Duration;

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
    let mut producer = steady_flood(&model, &amqp_url(), 300);
    wait_until_busy(&victim);
    victim.kill().expect("killed");
    assert_still_flooding(&mut producer);
    assert_all_answered(&producer.finish(LIMIT).expect("finished"), 300);
    drain(other);
    clean_up(&model);
}

#[test]
fn worker_and_producer_outlive_a_broker_that_is_killed_and_comes_back() {
    let mut node = RabbitMq::start(RabbitMqOptions::default()).expect("a private node");
    let model = unique("restart");
    let mut options = googlenet(&model);
    options.amqp_url = node.amqp_url();
    let worker = start(&options);
    wait_out_young_queues();
    let mut producer = steady_flood(&model, &node.amqp_url(), 300);
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
    assert_still_flooding(&mut producer);
    node.restart().expect("it comes back");
    assert_all_answered(&producer.finish(LIMIT).expect("finished"), 300);
    drain(worker);
    node.stop().expect("it stops");
}

#[test]
fn a_flood_outlasts_a_broker_that_blocks_publishers_for_longer_than_its_patience() {
    let node = RabbitMq::start(RabbitMqOptions::default()).expect("a private node");
    let model = unique("blocked");
    let mut options = googlenet(&model);
    options.amqp_url = node.amqp_url();
    let mut worker = start(&options);
    worker.pause().expect("paused");
    // All at once: the broker tells only who publishes that it blocks, and nothing is left to publish.
    let flood = FloodOptions::new(&model, &node.amqp_url())
        .images(&runtime().small_photos_dir(), 40)
        .arguments(["--timeout", "15s"]);
    let mut producer = Producer::flood(&flood).expect("started");
    let queue = format!("ncs.jobs.{model}\t40");
    let sent = poll_until(LIMIT, || {
        let queues = node.ctl(&["list_queues", "name", "messages"]).ok()?;
        queues.lines().any(|line| line == queue).then_some(())
    });
    assert!(sent.is_some(), "{}", producer.last_words());
    let high_watermark = |fraction| {
        node.ctl(&["set_vm_memory_high_watermark", fraction])
            .expect("set");
    };
    high_watermark("0");
    worker.resume().expect("resumed");
    let ended = poll_until(Duration::from_secs(20), || {
        producer.try_wait().expect("its state")
    });
    assert_eq!(ended, None, "{}", producer.last_words());
    high_watermark("0.4");
    let finished = producer.finish(LIMIT).expect("finished");
    assert_all_answered(&finished, 40);
    for said in [
        "the broker blocks publishers",
        "the broker lets publishers go on",
    ] {
        assert_eq!(finished.stderr.matches(said).count(), 1, "{finished:?}");
    }
    drain(worker);
    node.stop().expect("it stops");
}

//! A job may be done twice: when its result was sent, and its worker lost before the ack.

use crate::bed::{CLASSIFIED, LIMIT, drain};
use crate::client::block_on;
use crate::stage::{Stage, wait_for, wait_until_ready};
use ncs_e2e::poll_until;
use ncs_e2e::producer::Producer;
use ncs_e2e::proxy::Proxy;
use ncs_e2e::rabbitmq::Release;
use ncs_e2e::worker::Worker;
use ncs_protocol::{Outcome, topology};
use std::time::Duration;

/// How long each message takes between worker and broker, one way.
const FAR: Duration = Duration::from_millis(500);

/// Jobs of the first window, which all are answered before any of them is acked.
const WINDOW: u32 = 16;

#[test]
fn a_job_whose_ack_was_lost_is_done_again_and_the_flood_keeps_the_first_answer_on_rabbitmq_3() {
    is_done_again(Release::V3);
}

#[test]
fn a_job_whose_ack_was_lost_is_done_again_and_the_flood_keeps_the_first_answer_on_rabbitmq_4() {
    is_done_again(Release::V4);
}

fn is_done_again(release: Release) {
    let stage = Stage::with_sticks(release, 2);
    let network = Proxy::to(stage.node.amqp_addr()).expect("a proxy");
    let url = stage.node.amqp_url_through(&network);
    let options = stage.options_at(&url, &["--prefetch", "32"]);
    let worker = Worker::start(&options).expect("ready");
    stage.unplug(&worker);

    let arguments = ["--jobs", "200", "--window", &WINDOW.to_string()];
    let flood = Producer::flood(&stage.flood(&arguments)).expect("started");
    block_on(async {
        let mut client = stage.client().await;
        wait_until_ready(&client, &topology::jobs_queue(&client.model), WINDOW).await;
        // Behind the flood's first jobs: when this one is answered, so are they, or as good as.
        client
            .send_image(
                "witness",
                "application/octet-stream",
                vec![7; 224 * 224 * 3],
            )
            .await;
        network.delay(FAR);
        stage.plug_in();
        let (_, first) = client.result().await;
        // The result has arrived, so its confirm is on its way back, and no ack was sent.
        network.sever();
        network.delay(Duration::ZERO);
        let (_, second) = client.result().await;
        for (result, attempt) in [(&first, 1), (&second, 2)] {
            assert_eq!((&*result.job_id, result.attempt), ("witness", attempt));
        }
        let (Outcome::Classes(once), Outcome::Classes(again)) = (&first.outcome, &second.outcome)
        else {
            panic!("{first:?} and {second:?}");
        };
        assert_eq!(once, again);
        client.close().await;
    });

    let finished = flood.finish(LIMIT).expect("finished");
    assert!(finished.status.success(), "{finished:?}");
    let report = finished.report.expect("a report");
    for (figure, jobs) in [("sent", 200), ("answered", 200), ("failed", 0), ("lost", 0)] {
        assert_eq!(report[figure], jobs, "{figure} in {report}");
    }
    let duplicates = report["duplicates"].as_u64().expect("a figure");
    assert!((1..=u64::from(WINDOW)).contains(&duplicates), "{report}");
    // Acked are all jobs, each once; inferred were some of them twice.
    wait_for(&worker, CLASSIFIED, |now| (now - 201.0).abs() < 0.5);
    let inferred = || stage.sticks.stats(worker.id()).expect("stats").completed;
    let twice = poll_until(LIMIT, || (inferred() > 201 + duplicates).then_some(()));
    assert!(twice.is_some(), "{} inferences, {report}", inferred());
    drain(worker);
    stage.end();
}

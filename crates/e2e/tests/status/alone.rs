//! With AMQP alone: what waits, and who consumes. Nothing is changed by looking.

use crate::place::{Place, queue};
use ncs_e2e::rabbitmq::Release;
use ncs_protocol::Properties;
use ncs_protocol::topology::{DEAD, jobs_queue, suspects_queue};
use serde_json::Value;

const ALONE: &str = "--no-management";

#[test]
fn amqp_alone_tells_depth_and_consumers_and_nothing_changes_on_rabbitmq_3() {
    depth_and_consumers(Release::V3);
}

#[test]
fn amqp_alone_tells_depth_and_consumers_and_nothing_changes_on_rabbitmq_4() {
    depth_and_consumers(Release::V4);
}

fn depth_and_consumers(release: Release) {
    let place = Place::on(release);
    let model = place.model.clone();
    let jobs = jobs_queue(&place.name());
    let asked = [ALONE, "--model", &*model];

    // Before any worker there is nothing, and looking makes nothing.
    let said = place.status(&[ALONE]);
    said.assert_ends_with(0);
    said.assert_says("no worker has ever run on this broker\n");
    let said = place.status(&asked);
    said.assert_ends_with(1);
    said.assert_says(&format!(
        "{model}: no worker has ever served it (there is no queue {jobs})\n"
    ));
    assert!(!place.has(&jobs) && !place.has(&suspects_queue(&place.name())) && !place.has(DEAD));

    place.declare();
    place.expire();
    place.send(3, &Properties::default());
    for _ in 0..6 {
        let look = place.json(&asked);
        let seen = queue(&look, &jobs);
        assert_eq!((&seen["ready"], &seen["consumers"]), (&3.into(), &0.into()));
        assert_eq!(seen["role"], "jobs");
        for unknown in ["in_hand", "acked_per_second", "oldest_age_estimate_seconds"] {
            assert_eq!(seen[unknown], Value::Null, "{unknown}");
        }
        assert_eq!(queue(&look, DEAD)["ready"], 1);
        assert_eq!(
            (&look["hosts"], &look["management"]),
            (&Value::Null, &Value::Null)
        );
    }
    // No job was handed out by looking.
    place.with_connection(async |connection| {
        let getter = connection.getter(&jobs).await.expect("a getter");
        for _ in 0..3 {
            let job = getter.get().await.expect("an answer").expect("a job");
            assert!(!job.redelivered);
        }
    });

    let said = place.status(&asked);
    said.assert_ends_with(0);
    let words: Vec<_> = said
        .stdout
        .lines()
        .map(|line| line.split_whitespace())
        .collect();
    let row: Vec<_> = words[1].clone().collect();
    assert_eq!(row, [&*model, "3", "0", "0"], "{said:?}");
    said.assert_says("      1  dead letters: see ncs-producer dead list\n");
    // Queues cannot be listed over AMQP.
    let said = place.status(&[ALONE]);
    said.assert_ends_with(0);
    said.assert_says("name models with --model NAME");

    let (_sticks, worker) = place.worker(1);
    let look = place.wait_for(&asked, |look| queue(look, &jobs)["ready"] == 0);
    assert_eq!(queue(&look, &jobs)["consumers"], 1);
    // It answers all of them, for they are no images: dead letters.
    place.wait_for(&asked, |look| queue(look, DEAD)["ready"] == 4);
    crate::bed::drain(worker);
    place.wait_for(&asked, |look| queue(look, &jobs)["consumers"] == 0);
}

#[test]
fn of_several_models_each_that_was_never_served_is_told() {
    let place = Place::on(Release::Installed);
    place.declare();
    let said = place.status(&[
        ALONE,
        "--model",
        &place.model,
        "--model",
        "x1",
        "--model",
        "x2",
    ]);
    said.assert_ends_with(1);
    said.assert_says(&format!("\n{} ", place.model));
    said.assert_says("x1: no worker has ever served it");
    said.assert_says("x2: no worker has ever served it");
    assert!(!place.has("ncs.jobs.x1") && !place.has("ncs.suspects.x1"));
}

#[test]
fn a_broker_that_declines_or_is_not_there_is_told_as_by_the_other_commands() {
    let place = Place::on(Release::Installed);
    let wrong = place.node.amqp_url().replace("guest:guest", "guest:s3cret");
    for (url, code) in [(&*wrong, 69), ("amqp://127.0.0.1:1", 1)] {
        for watching in [&[][..], &["--watch"]] {
            let arguments = [&["--amqp-url", url][..], watching].concat();
            let said = place.status(&arguments);
            said.assert_ends_with(code);
            assert!(said.stderr.starts_with("ncs-producer: "), "{said:?}");
            assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
            assert!(
                !said.stderr.contains("s3cret") && said.stdout.is_empty(),
                "{said:?}"
            );
        }
    }
}

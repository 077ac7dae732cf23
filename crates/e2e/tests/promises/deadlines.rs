//! Deadlines: whoever's time is over is told so, wherever the job is then, and no stick works for it.

use crate::bed::{drain, unique, wait_for_metric};
use crate::client::{Client, block_on};
use crate::large::{LARGEST, progressive_jpeg};
use crate::stage::{IN_HAND, Stage, messages, wait_for, wait_until_in_hand, wait_until_ready};
use ncs_e2e::poll_until;
use ncs_e2e::rabbitmq::Release;
use ncs_e2e::sticks::State;
use ncs_e2e::worker::Worker;
use ncs_protocol::properties::{HEADER_DEAD_CODE, HEADER_DEAD_REASON, HEADER_SUBMITTED_AT};
use ncs_protocol::topology::{DEAD, RESULTS_QUEUE, UNANSWERED};
use ncs_protocol::{ErrorCode, HeaderValue, JobResult, Outcome, Properties};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn the_submitter_of_a_job_that_expires_in_its_queue_is_told_by_a_worker_of_any_model_on_rabbitmq_3()
{
    expires_in_its_queue(Release::V3);
}

#[test]
fn the_submitter_of_a_job_that_expires_in_its_queue_is_told_by_a_worker_of_any_model_on_rabbitmq_4()
{
    expires_in_its_queue(Release::V4);
}

fn expires_in_its_queue(release: Release) {
    let stage = Stage::with_sticks(release, 1);
    // It declares the queue, and nobody takes jobs from it afterwards.
    drain(stage.worker(&[]));
    block_on(async {
        let mut client = stage.client().await;
        client.send(job(&client, "late", 200), body(1)).await;
        // The broker has it dead-lettered; nobody is there to tell.
        wait_until_ready(&client, DEAD, 1).await;
        assert_eq!(client.ready(UNANSWERED).await, 1);

        let other = stage.worker(&["--model-name", &unique("other")]);
        let (properties, result) = client.result().await;
        let message = expired(&result);
        assert!(message.contains("while it waited"), "{message}");
        assert_eq!(result.job_id, "late");
        assert_eq!(result.model, stage.model);
        assert_eq!(properties.correlation_id.as_deref(), Some("late"));
        wait_until_ready(&client, UNANSWERED, 0).await;
        let answered = "ncs_worker_dead_letters_answered_total{code=\"expired\"} 1";
        wait_for_metric(&other, answered);

        // It is kept as it was sent, with the broker's own reason.
        let letters = messages(&client, DEAD).await;
        assert_eq!(letters.len(), 1);
        let death = letters[0].death.as_ref().expect("a death");
        assert_eq!(death.reason, "expired");
        assert_eq!(letters[0].body, body(1));
        client.close().await;
        drain(other);
    });
    stage.end();
}

#[test]
fn a_job_whose_time_passes_in_a_workers_hands_is_not_inferred() {
    let stage = Stage::with_sticks(Release::Installed, 1);
    // One inference at a time: what is in hand besides waits for it.
    let arguments = ["--requests-per-stick", "1", "--prefetch", "3"];
    let worker = stage.worker(&arguments);
    // An inference takes 7.3 s.
    let slow = State::Slow(300.0);
    stage.sticks.set("1.1", slow).expect("set");
    let in_effect = poll_until(Duration::from_secs(20), || {
        let stats = stage.sticks.stats(worker.id()).expect("stats");
        (stats.sticks["1.1"].state == slow.to_string()).then_some(())
    });
    in_effect.expect("a slow stick");
    let before = inferences(&stage, &worker);
    block_on(async {
        let mut client = stage.client().await;
        let first = job(&client, "first", 60_000);
        client.send(first, body(0)).await;
        let late = job(&client, "late-1", 3_500);
        client.send(late, body(1)).await;
        let unaddressed = Properties {
            reply_to: None,
            ..job(&client, "late-2", 3_500)
        };
        client.send(unaddressed, body(2)).await;
        wait_until_in_hand(&worker, 3);

        assert_classified(&client.result().await.1, "first");
        let (_, late) = client.result().await;
        stage.sticks.set("1.1", State::Ok).expect("set");
        for figure in [
            "ncs_worker_job_errors_total{code=\"expired\"} 2",
            "ncs_worker_jobs_total{outcome=\"dead_lettered\"} 2",
            "ncs_worker_jobs_total{outcome=\"classified\"} 1",
        ] {
            wait_for_metric(&worker, figure);
        }
        // Whoever names no queue has its answer where all such answers are.
        let answers = messages(&client, RESULTS_QUEUE).await;
        assert_eq!(answers.len(), 1, "{answers:?}");
        let unaddressed = JobResult::from_message(&answers[0].properties, &answers[0].body);
        for (result, id) in [(late, "late-1"), (unaddressed.expect("a result"), "late-2")] {
            assert_eq!(result.job_id, id);
            let message = expired(&result);
            assert!(message.contains("before a device was free"), "{message}");
        }
        // The emulator's figures follow within 60 ms.
        let inferred = poll_until(Duration::from_secs(2), || {
            (inferences(&stage, &worker) > before + 1).then_some(())
        });
        assert_eq!(inferred, None, "a late job was inferred");
        assert_eq!(inferences(&stage, &worker), before + 1);
        client.send(job(&client, "second", 60_000), body(3)).await;
        assert_classified(&client.result().await.1, "second");

        let mut letters = messages(&client, DEAD).await;
        letters.sort_by_key(|letter| letter.properties.message_id.clone());
        assert_eq!(letters.len(), 2, "{letters:?}");
        for (letter, number) in letters.iter().zip([1, 2]) {
            let properties = &letter.properties;
            assert_eq!(properties.text(HEADER_DEAD_CODE), Some("expired"));
            assert!(properties.text(HEADER_DEAD_REASON).is_some());
            // Else it would vanish from there too.
            assert_eq!(properties.expiration, None);
            assert_eq!(letter.body, body(number));
        }
        client.close().await;
    });
    drain(worker);
    stage.end();
}

#[test]
fn a_job_whose_time_passes_while_other_images_are_decoded_is_not_inferred() {
    const LARGE: usize = 3;
    let stage = Stage::with_sticks(Release::Installed, 1);
    // One infer request for each job, and one image at a time that is decoded.
    let worker = stage.worker(&["--decode-threads", "1"]);
    // Some 0.4 s of decoding.
    let image = progressive_jpeg(LARGEST);
    let image_job = |client: &Client, id, milliseconds| Properties {
        content_type: Some("image/jpeg".into()),
        ..job(client, id, milliseconds)
    };
    block_on(async {
        let mut client = stage.client().await;
        for _ in 0..LARGE {
            let properties = image_job(&client, "large", 60_000);
            client.send(properties, image.clone()).await;
        }
        wait_for(&worker, IN_HAND, |jobs| jobs > 0.5);
        let properties = image_job(&client, "late", 50);
        client.send(properties, image.clone()).await;
        for _ in 0..=LARGE {
            let (_, result) = client.result().await;
            if result.job_id == "late" {
                expired(&result);
            } else {
                assert!(matches!(result.outcome, Outcome::Classes(_)), "{result:?}");
            }
        }
        client.close().await;
    });
    wait_for_metric(&worker, "ncs_worker_jobs_total{outcome=\"classified\"} 3");
    drain(worker);
    stage.end();
}

#[test]
fn a_submitter_whose_clock_is_an_hour_off_loses_no_job() {
    let stage = Stage::with_sticks(Release::Installed, 1);
    let worker = stage.worker(&[]);
    block_on(async {
        let mut client = stage.client().await;
        let now = SystemTime::now();
        let clocks = [("slow", now - HOUR), ("right", now), ("fast", now + HOUR)];
        for (clock, shows) in clocks {
            let shows = shows.duration_since(UNIX_EPOCH).expect("after 1970");
            let submitted = i64::try_from(shows.as_micros()).expect("a time");
            let mut properties = job(&client, clock, 30_000);
            let header = HEADER_SUBMITTED_AT.to_owned();
            let value = HeaderValue::Integer(submitted);
            properties.headers.insert(header, value);
            client.send(properties, body(0)).await;
        }
        for _ in clocks {
            let (_, result) = client.result().await;
            assert!(matches!(result.outcome, Outcome::Classes(_)), "{result:?}");
        }
        assert_eq!(client.ready(DEAD).await, 0);
        client.close().await;
    });
    drain(worker);
    stage.end();
}

/// A job that has so many milliseconds.
fn job(client: &Client, id: &str, milliseconds: u32) -> Properties {
    Properties {
        content_type: Some("application/octet-stream".into()),
        message_id: Some(id.into()),
        reply_to: Some(client.result_queue.clone()),
        expiration: Some(milliseconds.to_string()),
        ..Properties::default()
    }
}

/// Its tensor, another one for each number.
fn body(number: usize) -> Vec<u8> {
    let byte = u8::try_from(number).expect("a small number");
    vec![byte; 224 * 224 * 3]
}

fn assert_classified(result: &JobResult, id: &str) {
    assert_eq!(result.job_id, id);
    assert!(matches!(result.outcome, Outcome::Classes(_)), "{result:?}");
}

/// Holds a result to be that of an expired job, and returns its sentence.
fn expired(result: &JobResult) -> &str {
    match &result.outcome {
        Outcome::Error(failure) if failure.code == ErrorCode::Expired => &failure.message,
        _ => panic!("{result:?}"),
    }
}

/// Inferences that this worker's sticks were given.
fn inferences(stage: &Stage, worker: &Worker) -> u64 {
    stage.sticks.stats(worker.id()).expect("stats").started
}

//! How a worker ends: with its jobs answered, or with them back at the broker, and never in between.

use crate::bed::LIMIT;
use crate::client::{Client, block_on};
use crate::stage::{
    IN_HAND, Stage, messages, wait_for, wait_until_in_hand, wait_until_it_says, wait_until_ready,
};
use ncs_broker::Delivery;
use ncs_e2e::poll_until;
use ncs_e2e::rabbitmq::Release;
use ncs_e2e::sticks::State;
use ncs_protocol::properties::{HEADER_DELIVERY_COUNT, HEADER_TOP_K};
use ncs_protocol::{HeaderValue, Outcome, Properties, topology};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Jobs that come back once although no worker had them. Where an ack makes room while consuming ends, the
/// quorum queue has already handed the next job to RabbitMQ's channel, which no longer knows the consumer:
/// it returns the job (`handle_delivery` in `rabbit_fifo_client.erl`), and the queue counts that. So at most
/// one for each ack that is on its way then. Four sticks that finish together send four at once, and four were
/// seen, on a busy machine; behind a slow disk a second four may follow. 64 jobs are in hand.
const LATE: usize = 8;

/// BSD's 128 + SIGINT.
const INTERRUPTED: i32 = 130;

#[test]
fn a_worker_that_is_told_to_end_answers_all_it_has_in_hand_and_returns_nothing() {
    const JOBS: usize = 400;
    let stage = Stage::with_sticks(Release::Installed, 4);
    let start = || stage.worker(&["--prefetch", "64"]);
    let mut first = start();
    stage.unplug(&first);
    block_on(async {
        let mut client = stage.client().await;
        for number in 0..JOBS {
            client.send(job(&client, number), tensor(number)).await;
        }
        stage.plug_in();
        wait_for(&first, IN_HAND, |now| now > 55.0);
        let status = first.drain(LIMIT).expect("it ends");
        assert!(status.success(), "{status}{}", first.last_words());
        let said = first.stderr();
        assert!(said.contains("done: no job is left in hand"), "{said}");
        let left = client.waiting().await as usize;
        assert!((1..JOBS).contains(&left), "{left} jobs are left");

        let mut second = start();
        let mut answered = BTreeSet::new();
        let mut workers = BTreeMap::<String, usize>::new();
        let mut late = Vec::new();
        while answered.len() < JOBS {
            let (_, result) = client.result().await;
            assert!(matches!(result.outcome, Outcome::Classes(_)), "{result:?}");
            if result.attempt > 1 {
                late.push(result.clone());
            }
            *workers.entry(result.worker).or_default() += 1;
            assert!(answered.insert(result.job_id), "answered twice");
        }
        assert!(late.len() <= LATE, "{late:?}");
        let each: BTreeSet<usize> = workers.into_values().collect();
        assert_eq!(each, BTreeSet::from([JOBS - left, left]));
        let status = second.drain(LIMIT).expect("it ends");
        assert!(status.success(), "{status}{}", second.last_words());
        assert_eq!(client.waiting().await, 0);
        client.close().await;
    });
    stage.end();
}

#[test]
fn what_the_drain_timeout_does_not_cover_goes_back_undamaged_and_the_worker_ends_with_0_on_rabbitmq_3()
 {
    goes_back_undamaged(Release::V3);
}

#[test]
fn what_the_drain_timeout_does_not_cover_goes_back_undamaged_and_the_worker_ends_with_0_on_rabbitmq_4()
 {
    goes_back_undamaged(Release::V4);
}

fn goes_back_undamaged(release: Release) {
    const DRAIN: Duration = Duration::from_secs(1);
    /// To let go of inferences that hang, and of OpenVINO.
    const LETTING_GO: Duration = Duration::from_secs(10);
    /// Half of them are being inferred, the others wait for that.
    const JOBS: u8 = 8;
    let stage = Stage::with_sticks(release, 1);
    let mut worker = stage.worker(&["--drain-timeout", "1s", "--prefetch", "8"]);
    stage.sticks.set("1.1", State::Hanging).expect("set");
    block_on(async {
        let mut client = stage.client().await;
        let sent: Vec<_> = (0..JOBS.into())
            .map(|number| (job(&client, number), tensor(number)))
            .collect();
        for (properties, body) in sent.clone() {
            client.send(properties, body).await;
        }
        wait_until_in_hand(&worker, JOBS.into());
        let told = Instant::now();
        let status = worker.drain(LIMIT).expect("it ends");
        let took = told.elapsed();
        let said = worker.stderr();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!((DRAIN..DRAIN + LETTING_GO).contains(&took), "{took:?}");
        let told = format!("the rest goes back to the broker left={JOBS}");
        assert!(said.contains(&told), "{said}");

        let returned = messages(&client, &topology::jobs_queue(&client.model)).await;
        let returned: Vec<_> = returned.into_iter().map(without_its_return).collect();
        assert_eq!(returned, sent);

        stage.sticks.set("1.1", State::Ok).expect("set");
        let mut next = stage.worker(&[]);
        let mut answered = BTreeSet::new();
        while answered.len() < sent.len() {
            let (_, result) = client.result().await;
            assert!(matches!(result.outcome, Outcome::Classes(_)), "{result:?}");
            assert!(answered.insert(result.job_id), "answered twice");
        }
        assert!(next.drain(LIMIT).expect("it ends").success());
        client.close().await;
    });
    stage.end();
}

#[test]
fn a_second_signal_ends_a_worker_at_once_with_130_whatever_its_sticks_do() {
    for state in [State::Hanging, State::Stuck] {
        let stage = Stage::with_sticks(Release::Installed, 1);
        let mut worker = stage.worker(&["--drain-timeout", "1h"]);
        stage.sticks.set("1.1", state).expect("set");
        block_on(async {
            let client = stage.client().await;
            for number in 0..4 {
                client.send(job(&client, number), tensor(number)).await;
            }
            wait_until_in_hand(&worker, 4);
            worker.terminate().expect("a signal");
            wait_until_it_says(&worker, "finishing what is in hand");
            // Signals within half a second count as the same one.
            let told = Instant::now();
            let status = poll_until(LIMIT, || {
                worker.terminate().expect("a signal");
                worker.try_wait().expect("its state")
            });
            let took = told.elapsed();
            let said = worker.stderr();
            let code = status.and_then(|status| status.code());
            assert_eq!(code, Some(INTERRUPTED), "{state}: {said}");
            assert!(took < Duration::from_secs(2), "{state}: {took:?}");

            // The broker hands them out again a moment after it.
            wait_until_ready(&client, &topology::jobs_queue(&client.model), 4).await;
            client.close().await;
        });
        stage.end();
    }
}

/// A job with all that a client may say about it.
fn job(client: &Client, number: usize) -> Properties {
    Properties {
        content_type: Some("application/octet-stream".into()),
        kind: Some("my-own-kind".into()),
        message_id: Some(number.to_string()),
        correlation_id: Some(format!("mine-{number}")),
        reply_to: Some(client.result_queue.clone()),
        timestamp: Some(1_700_000_000),
        expiration: Some("3600000".into()),
        persistent: true,
        headers: [
            (HEADER_TOP_K.to_owned(), HeaderValue::Integer(3)),
            ("my-own".to_owned(), HeaderValue::Text("header".into())),
        ]
        .into(),
    }
}

/// Another one for each number.
fn tensor(number: usize) -> Vec<u8> {
    let word = number.to_le_bytes();
    word.iter().copied().cycle().take(224 * 224 * 3).collect()
}

/// What was sent, and nothing that says it came back but the broker's own count.
fn without_its_return(delivery: Delivery) -> (Properties, Vec<u8>) {
    let mut properties = delivery.properties;
    let count = properties.headers.remove(HEADER_DELIVERY_COUNT);
    assert_eq!(count, Some(HeaderValue::Integer(1)), "{properties:?}");
    (properties, delivery.body)
}

//! Jobs that kill each worker that takes them.

use crate::bed::{LIMIT, runtime, unique};
use crate::client::{Client, block_on};
use crate::stage::wait_until_ready;
use ncs_e2e::paths::GOOGLENET_U8;
use ncs_e2e::rabbitmq::{RabbitMq, Release};
use ncs_e2e::sticks::Sticks;
use ncs_e2e::supervised::Supervised;
use ncs_protocol::properties::HEADER_DEAD_CODE;
use ncs_protocol::topology::{self, DEAD, SUSPECT_AFTER, SUSPECT_DELIVERY_LIMIT, UNANSWERED};
use ncs_protocol::{ErrorCode, ModelName, Outcome, Properties};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const INNOCENT: usize = 600;
const POISON: usize = 3;
/// How the input of a poisonous job begins; the emulator kills the process that infers it.
const MARK: &str = "POISONED";
/// From a worker's end to the next one's start.
const PAUSE: Duration = Duration::from_millis(50);

#[test]
fn a_job_that_kills_workers_is_dead_lettered_alone_and_its_submitter_is_told_on_rabbitmq_3() {
    kills_alone(Release::V3);
}

#[test]
fn a_job_that_kills_workers_is_dead_lettered_alone_and_its_submitter_is_told_on_rabbitmq_4() {
    kills_alone(Release::V4);
}

fn kills_alone(release: Release) {
    let node = RabbitMq::start(release).expect("a node");
    let model = unique("poison");
    let sticks = Sticks::plugged_in(4)
        .expect("sticks")
        .with("STICKS_POISON", MARK)
        .with("STICKS_COMPILE_MS", "10");
    let ir = runtime().model(GOOGLENET_U8).expect("the model");
    let options = sticks
        .worker(ir, &node.amqp_url())
        .arguments(["--model-name", &model]);
    let start = || Supervised::start(options.clone(), PAUSE).expect("a worker");
    let workers = [start(), start()];

    block_on(async {
        let mut client = Client::connect_to(&node.amqp_url(), &model).await;
        for number in 0..INNOCENT {
            // So that each is in the company of many others.
            if number % (INNOCENT / POISON) == 100 {
                send(&client, &format!("poison-{number}"), MARK).await;
            }
            send(&client, &format!("innocent-{number}"), "harmless").await;
        }
        let answers = answers(&mut client).await;
        let (poisoned, classified): (Vec<_>, Vec<_>) = answers
            .iter()
            .partition(|(id, _)| id.starts_with("poison-"));
        assert_eq!((classified.len(), poisoned.len()), (INNOCENT, POISON));
        for (id, outcome) in classified {
            assert!(matches!(outcome, Outcome::Classes(_)), "{id}: {outcome:?}");
        }
        for (id, outcome) in poisoned {
            let Outcome::Error(failure) = outcome else {
                panic!("{id} was classified: {outcome:?}");
            };
            assert_eq!(failure.code, ErrorCode::DeliveryLimit, "{id}: {failure:?}");
            assert!(failure.message.contains(DEAD), "{failure:?}");
        }

        // Only they are among the dead letters, as the broker has put them there. It puts each into two
        // queues, and the answer comes from the other one.
        let letters = u32::try_from(POISON).expect("a few");
        wait_until_ready(&client, DEAD, letters).await;
        let is_poison = |properties: &Properties| {
            let id = properties.message_id.as_deref();
            id.is_some_and(|id| id.starts_with("poison-"))
        };
        for _ in 0..POISON {
            let (properties, body) = client.find(DEAD, is_poison).await;
            assert!(body.starts_with(MARK.as_bytes()));
            assert_eq!(properties.text(HEADER_DEAD_CODE), None);
        }
        let name: ModelName = model.parse().expect("a name");
        for queue in [
            topology::jobs_queue(&name),
            topology::suspects_queue(&name),
            UNANSWERED.to_owned(),
        ] {
            assert_eq!(client.ready(&queue).await, 0, "{queue}");
        }
        client.close().await;
    });

    // Each killed a few in company, and then as many alone as its limit says; two workers may have
    // been killed by two of them at once.
    let alone = POISON as u64 * (SUSPECT_DELIVERY_LIMIT as u64 + 1);
    let together = POISON as u64 * SUSPECT_AFTER as u64;
    let starts: u32 = workers.iter().map(Supervised::starts).sum();
    let ends = u64::from(starts) - workers.len() as u64;
    assert!((alone..=alone + together).contains(&ends), "{ends} ends");
    for worker in workers {
        let status = worker.drain(LIMIT).expect("the worker ends");
        assert!(status.success(), "{status}");
    }
    node.stop().expect("stopped");
}

/// Sends a tensor that begins with `mark`; the rest is different for each.
async fn send(client: &Client, id: &str, mark: &str) {
    let mut tensor = vec![0; 224 * 224 * 3];
    let text = [mark.as_bytes(), id.as_bytes()].concat();
    tensor[..text.len()].copy_from_slice(&text);
    client
        .send_image(id, "application/octet-stream", tensor)
        .await;
}

/// The first answer of each job.
async fn answers(client: &mut Client) -> BTreeMap<String, Outcome> {
    let start = Instant::now();
    let mut answers = BTreeMap::new();
    while answers.len() < INNOCENT + POISON {
        assert!(start.elapsed() < LIMIT, "{} answers so far", answers.len());
        let (_, result) = client.result().await;
        answers.entry(result.job_id).or_insert(result.outcome);
    }
    answers
}

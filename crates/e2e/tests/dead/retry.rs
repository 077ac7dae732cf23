//! `dead retry`: what is put back gets classified; what is not stays, and is told.

use crate::bed::{LIMIT, drain, runtime};
use crate::place::{Place, image, photo, written};
use ncs_broker::Delivery;
use ncs_e2e::poll_until;
use ncs_e2e::rabbitmq::Release;
use ncs_protocol::properties::HEADER_EARLIER_ATTEMPTS;
use ncs_protocol::topology::{self, Argument, Binding, DEAD, JOBS_EXCHANGE, RESULTS_QUEUE};
use ncs_protocol::{ErrorCode, HeaderValue, JobResult, Outcome, Properties, Topology};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A producer's own queue for results.
fn reply_queue(place: &Place) -> String {
    let queue = format!("{RESULTS_QUEUE}.{}", place.model);
    place.with_connection(async |connection| {
        let topology = topology::for_producer(&queue);
        connection.declare(&topology).await.expect("declared");
    });
    queue
}

fn replying_to(queue: &str, properties: Properties) -> Properties {
    Properties {
        reply_to: Some(queue.to_owned()),
        ..properties
    }
}

fn assert_classified(result: &JobResult, id: &str) {
    assert!(matches!(result.outcome, Outcome::Classes(_)), "{result:?}");
    assert_eq!((&*result.job_id, result.attempt), (id, 1), "{result:?}");
}

#[test]
fn an_expired_job_is_classified_after_all_and_its_sender_gets_the_result_on_rabbitmq_3() {
    is_classified_after_all(Release::V3);
}

#[test]
fn an_expired_job_is_classified_after_all_and_its_sender_gets_the_result_on_rabbitmq_4() {
    is_classified_after_all(Release::V4);
}

fn is_classified_after_all(release: Release) {
    let place = Place::on(release);
    let queue = reply_queue(&place);
    place.expire(replying_to(&queue, image("late")), &photo());
    let (_sticks, worker) = place.worker();
    let told = place.result(&queue);
    let Outcome::Error(failure) = &told.outcome else {
        panic!("{told:?}");
    };
    assert_eq!(failure.code, ErrorCode::Expired);

    let said = place.dead(&["retry", "late"]);
    said.assert_ends_with(0);
    assert_eq!(said.stdout, format!("put back: 1 x {}\n", place.model));
    assert_classified(&place.result(&queue), "late");
    assert_eq!(place.ready(DEAD), 0);
    drain(worker);
}

#[test]
fn where_nobody_waits_for_the_result_any_more_it_goes_to_the_shared_queue() {
    let place = Place::on(Release::Installed);
    let gone = format!("{RESULTS_QUEUE}.gone");
    let there = reply_queue(&place);
    place.expire(replying_to(&gone, image("gone")), &photo());
    place.expire(replying_to(&there, image("there")), &photo());
    place.expire(image("nowhere"), &photo());
    let (_sticks, worker) = place.worker();
    assert_eq!(place.result(&there).job_id, "there");
    assert_eq!(place.result(RESULTS_QUEUE).job_id, "nowhere");

    let said = place.dead(&["retry", "--all"]);
    said.assert_ends_with(0);
    said.assert_says(&format!("put back: 3 x {}\n", place.model));
    said.assert_says("of these, 1 had a reply queue that is gone; their results go to ncs.results");
    assert_classified(&place.result(&there), "there");
    // In the order in which the worker's threads are done with them.
    let mut results = [(); 2].map(|()| place.result(RESULTS_QUEUE));
    results.sort_by(|a, b| a.job_id.cmp(&b.job_id));
    assert_classified(&results[0], "gone");
    assert_classified(&results[1], "nowhere");
    drain(worker);
}

/// A queue that only this connection may use, until a line comes: `python -c … URL`.
const EXCLUSIVE_QUEUE: &str = "
import pika, sys
channel = pika.BlockingConnection(pika.URLParameters(sys.argv[1])).channel()
print(channel.queue_declare('', exclusive=True).method.queue, flush=True)
sys.stdin.readline()
";

#[test]
fn a_reply_queue_that_only_its_owner_may_look_at_is_there() {
    let place = Place::on(Release::Installed);
    let mut owner = Command::new(runtime().python().expect("run `cargo xtask test`"))
        .args(["-c", EXCLUSIVE_QUEUE, &place.url()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let mut queue = String::new();
    let stdout = owner.stdout.take().expect("piped");
    BufReader::new(stdout).read_line(&mut queue).expect("UTF-8");
    let queue = queue.trim_end();
    place.expire(replying_to(queue, image("late")), b"x");
    let said = place.dead(&["retry", "late"]);
    said.assert_ends_with(0);
    assert!(!said.stdout.contains("gone"), "{said:?}");
    let job = place.peek(&place.jobs_queue(), 1).remove(0);
    assert_eq!(job.properties.reply_to.as_deref(), Some(queue));
    // It ends with its input.
    drop(owner.stdin.take());
    assert!(owner.wait().expect("it ends").success());
}

#[test]
fn a_job_is_put_back_as_its_sender_has_sent_it_but_for_its_deadline() {
    let place = Place::on(Release::Installed);
    let queue = reply_queue(&place);
    let mut sent = replying_to(&queue, image("whole"));
    sent.correlation_id = Some("mine".to_owned());
    sent.timestamp = Some(1_700_000_000);
    for (name, value) in [
        ("ncs-top-k", HeaderValue::Integer(3)),
        ("x-trace-id", HeaderValue::Text("7".to_owned())),
    ] {
        sent.headers.insert(name.to_owned(), value);
    }
    let mut tried_before = sent.clone();
    let attempts = HeaderValue::Integer(2);
    tried_before
        .headers
        .insert(HEADER_EARLIER_ATTEMPTS.to_owned(), attempts);
    tried_before.expiration = Some("600000".to_owned());
    place.give_up(tried_before, b"body");
    // A look counts at the broker, but is no attempt.
    assert_eq!(place.list(&[])["letters"][0]["attempts"], 7);
    assert_eq!(place.list(&[])["letters"][0]["attempts"], 7);

    place.dead(&["retry", "--all"]).assert_ends_with(0);
    let jobs = place.peek(&place.jobs_queue(), 1);
    let Delivery {
        properties, death, ..
    } = &jobs[0];
    let mut put_back = properties.clone();
    // RabbitMQ's own count of this, its first, life.
    put_back.headers.remove("x-delivery-count");
    assert_eq!((put_back, death), (sent, &None));
    assert_eq!(jobs[0].properties.attempt(false), 1);
    assert_eq!(jobs[0].body, b"body");
}

#[test]
fn letters_that_cannot_go_back_stay_and_are_told() {
    let place = Place::on(Release::Installed);
    let bodiless = (written(image("large"), "too_large"), Vec::new());
    place.bury([bodiless]);
    let stray = (image("stray"), b"x".to_vec());
    place.publish(DEAD, "", [stray]);
    let of_another = |id: &str| (written(image(id), "expired"), b"x".to_vec());
    let another = ["a", "b"].map(of_another);
    place.publish(DEAD, "nobody-serves-this", another);
    place.expire(image("good"), b"x");

    let said = place.dead(&["retry", "--all"]);
    said.assert_ends_with(1);
    for words in [
        &*format!("put back: 1 x {}\n", place.model),
        "left: 1, because they have no body\n",
        "left: 1, because they name no model\n",
        "left: 2, because there is no queue for the model 'nobody-serves-this'; start a worker",
    ] {
        said.assert_says(words);
    }
    assert_eq!(place.names(), ["large", "stray", "a", "b"]);
    assert_eq!(place.ready(&place.jobs_queue()), 1);
    // One that was not meant is not told of.
    let said = place.dead(&["retry", "--code", "unknown"]);
    said.assert_ends_with(1);
    assert_eq!(said.stdout, "left: 1, because they name no model\n");
}

/// A queue of jobs that is full with one.
fn declare_full_queue(place: &Place) {
    let text = |text: &'static str| Argument::Text(text.into());
    let queue = topology::Queue {
        name: place.jobs_queue(),
        arguments: vec![
            ("x-queue-type", text("quorum")),
            ("x-overflow", text("reject-publish")),
            ("x-max-length", Argument::Integer(1)),
        ],
    };
    let binding = Binding {
        exchange: JOBS_EXCHANGE,
        routing_key: place.model.clone(),
        queue: queue.name.clone(),
    };
    let topology = Topology {
        exchanges: Vec::new(),
        queues: vec![queue],
        bindings: vec![binding],
    };
    place.with_connection(async |connection| {
        let jobs = place.jobs_queue();
        connection.delete_queue(&jobs).await.expect("deleted");
        connection.declare(&topology).await.expect("declared");
    });
    // Whether it is full is known a moment after it is.
    let full = poll_until(Duration::from_secs(20), || {
        place.with_connection(async |connection| {
            let publisher = connection.publisher().await.expect("a publisher");
            let message = ncs_broker::Message {
                exchange: JOBS_EXCHANGE.to_owned(),
                routing_key: place.model.clone(),
                mandatory: true,
                properties: image("before"),
                body: b"x".to_vec(),
            };
            let confirm = publisher.publish(&message).await.expect("published");
            let confirmed = confirm.confirmed().await.expect("confirmed");
            (!confirmed.accepted).then_some(())
        })
    });
    assert!(full.is_some());
}

#[test]
fn a_full_queue_is_waited_for_and_then_the_rest_is_left() {
    let place = Place::on(Release::Installed);
    place.bury(["1", "2"].map(|id| (written(image(id), "expired"), b"x".to_vec())));
    declare_full_queue(&place);

    let start = Instant::now();
    let said = place.dead(&["retry", "--all"]);
    said.assert_ends_with(1);
    let words = format!("the queue of the model '{}' is full", place.model);
    said.assert_says(&words);
    let waited = start.elapsed();
    assert!(waited > Duration::from_secs(30), "{waited:?}");
    assert_eq!(place.names(), ["1", "2"]);

    // Somebody makes room while it waits.
    let waiting = place.start(&["retry", "--all"]);
    place.wait_for(DEAD, 0);
    place.with_connection(async |connection| {
        let queue = place.jobs_queue();
        let getter = connection.getter(&queue).await.expect("a getter");
        // What was there before, and what of ours takes its place.
        let making_room = async {
            loop {
                let Some(job) = getter.get().await.expect("an answer") else {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                };
                let last = job.properties.message_id.as_deref() == Some("2");
                job.ticket.ack().await.expect("acked");
                if last {
                    break;
                }
            }
        };
        let made = tokio::time::timeout(LIMIT, making_room).await;
        made.expect("all are put back in time");
    });
    let said = waiting.finish();
    said.assert_ends_with(0);
    said.assert_says(&format!("put back: 2 x {}\n", place.model));
    assert_eq!(place.ready(DEAD), 0);
}

//! Brokers that decline: both programs end with code 69, and say what to do.

use crate::bed::{drain, start, unique};
use crate::node::{ctl, shared};
use crate::programs::{Programs, end_of_producer, end_of_worker};
use ncs_broker::Connection;
use ncs_e2e::rabbitmq::{RabbitMq, Release};
use ncs_protocol::Topology;
use ncs_protocol::topology::{self, Argument, Queue};

#[test]
fn who_may_not_log_in_is_told_what_is_missing_on_rabbitmq_3() {
    is_told_what_is_missing(Release::V3);
}

#[test]
fn who_may_not_log_in_is_told_what_is_missing_on_rabbitmq_4() {
    is_told_what_is_missing(Release::V4);
}

/// What a user may configure, write and read.
fn allow(node: &RabbitMq, vhost: &str, user: &str, [configure, write, read]: [&str; 3]) {
    let arguments = ["set_permissions", "-p", vhost, user, configure, write, read];
    ctl(node, &arguments);
}

fn is_told_what_is_missing(release: Release) {
    let node = shared(release);
    let (addr, programs) = (node.amqp_addr(), Programs::new());
    let url = format!("amqp://guest:s3cret@{addr}");
    programs.both_end(
        &url,
        69,
        &["declines", "ACCESS_REFUSED", "check user and password"],
    );

    let vhost = unique("fleet");
    let url = format!("amqp://guest:guest@{addr}/{vhost}");
    let remedy = format!("rabbitmqctl add_vhost {vhost}");
    programs.both_end(&url, 69, &["declines", "not found", &remedy]);

    let ann = unique("ann");
    ctl(&node, &["add_vhost", &vhost]);
    ctl(&node, &["add_user", &ann, "s3cret"]);
    let url = format!("amqp://{ann}:s3cret@{addr}/{vhost}");
    let remedy = format!("rabbitmqctl set_permissions -p {vhost} {ann} '.*' '.*' '.*'");
    programs.both_end(&url, 69, &["declines", "refused for user", &remedy]);

    // What she may not do is told too, and what is told helps.
    for (permissions, refused) in [
        (["^$", ".*", ".*"], "declaring an exchange"),
        ([".*", ".*", "^$"], "the broker refuses"),
    ] {
        allow(&node, &vhost, &ann, permissions);
        let end = end_of_worker(&programs.worker(&url));
        assert_eq!(end.code, Some(69), "{end:?}");
        assert!(end.sentence.contains(refused), "{end:?}");
        assert!(end.sentence.contains(&remedy), "{end:?}");
    }
    allow(&node, &vhost, &ann, [".*", ".*", ".*"]);
    drain(start(&programs.worker(&url)));
    allow(&node, &vhost, &ann, [".*", "^$", ".*"]);
    let end = end_of_producer(&programs.flood(&url, 1));
    assert_eq!(end.code, Some(69), "{end:?}");
    assert!(end.sentence.contains(&remedy), "{end:?}");
    ctl(&node, &["delete_vhost", &vhost]);
    ctl(&node, &["delete_user", &ann]);
}

/// Declares a queue as another release might have.
fn declare(url: &str, queue: &Queue) {
    let topology = Topology {
        queues: vec![queue.clone()],
        ..Topology::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("an async runtime").block_on(async {
        let address = url.parse().expect("an address");
        let connection = Connection::open(&address, "test").await.expect("logged in");
        connection.declare(&topology).await.expect("declared");
        connection.close().await;
    });
}

#[test]
fn a_queue_with_other_arguments_is_named_with_both_values_and_the_remedy_helps_on_rabbitmq_3() {
    is_named_with_both_values(Release::V3);
}

#[test]
fn a_queue_with_other_arguments_is_named_with_both_values_and_the_remedy_helps_on_rabbitmq_4() {
    is_named_with_both_values(Release::V4);
}

fn is_named_with_both_values(release: Release) {
    let node = shared(release);
    let vhost = unique("fleet");
    ctl(&node, &["add_vhost", &vhost]);
    allow(&node, &vhost, "guest", [".*", ".*", ".*"]);
    let programs = Programs::new();
    let topology = topology::for_worker(&programs.model.parse().expect("a model's name"));
    let queue = |name: &str| {
        let mut queues = topology.queues.iter();
        queues
            .find(|queue| queue.name == name)
            .expect("it is declared")
    };
    let jobs = queue(&format!("{}.{}", topology::JOBS_EXCHANGE, programs.model));
    let results = queue(topology::RESULTS_QUEUE);
    // As the worker declares it, but for this argument.
    let other_than = |queue: &Queue, argument: &'static str, value: Option<Argument>| {
        let mut queue = queue.clone();
        queue.arguments.retain(|(name, _)| *name != argument);
        queue.arguments.extend(value.map(|value| (argument, value)));
        queue
    };
    let limit = |value| other_than(jobs, "x-delivery-limit", value);
    // A classic queue has no delivery limit.
    let classic = other_than(
        results,
        "x-queue-type",
        Some(Argument::Text("classic".into())),
    );
    let classic = other_than(&classic, "x-delivery-limit", None);
    let cases = [
        (limit(None), "x-delivery-limit none, and 20 is wanted"),
        (
            limit(Some(Argument::Integer(7))),
            "x-delivery-limit 7, and 20 is wanted",
        ),
        (classic, "x-queue-type classic, and quorum is wanted"),
    ];
    let url = format!("amqp://guest:guest@{}/{vhost}", node.amqp_addr());
    for (queue, words) in cases {
        declare(&url, &queue);
        let queue = queue.name;
        let end = end_of_worker(&programs.worker(&url));
        assert_eq!(end.code, Some(69), "{end:?}");
        let reason = format!("the queue '{queue}' exists with {words}; ");
        assert!(end.sentence.contains(&reason), "{end:?}");
        let (_, remedy) = end.sentence.split_once("rabbitmqctl ").expect("a remedy");
        let (remedy, _) = remedy.split_once(',').expect("one that ends");
        assert_eq!(remedy, format!("delete_queue -p {vhost} {queue}"));
        let remedy: Vec<_> = remedy.split(' ').collect();
        ctl(&node, &remedy);
    }
    // Each remedy was followed.
    drain(start(&programs.worker(&url)));
    ctl(&node, &["delete_vhost", &vhost]);
}

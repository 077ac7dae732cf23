//! How our connections look from the broker.

use crate::bed::{LIMIT, drain, start};
use crate::node::{ctl, shared};
use crate::programs::Programs;
use ncs_e2e::poll_until;
use ncs_e2e::producer::Producer;
use ncs_e2e::rabbitmq::{RabbitMq, Release};
use serde_json::Value;

/// The connections of one model's programs, by name.
fn connections(node: &RabbitMq, model: &str) -> Vec<(String, Value)> {
    let listed = ctl(
        node,
        &[
            "list_connections",
            "--formatter",
            "json",
            "timeout",
            "client_properties",
        ],
    );
    let listed: Vec<Value> = serde_json::from_str(&listed).expect("JSON");
    let named = listed
        .into_iter()
        .map(|one| (property(&one, "connection_name").to_owned(), one));
    let mut ours: Vec<_> = named.filter(|(name, _)| name.contains(model)).collect();
    ours.sort_by(|(a, _), (b, _)| a.cmp(b));
    ours
}

/// A text among the client properties, each of which is listed with its name and its type.
fn property<'a>(connection: &'a Value, name: &str) -> &'a str {
    let properties = connection["client_properties"].as_array();
    let found = properties.and_then(|all| all.iter().find(|one| one[0] == name));
    found.and_then(|one| one[2].as_str()).unwrap_or_default()
}

#[test]
fn connections_are_known_by_program_host_process_model_and_role_on_rabbitmq_3() {
    are_known(Release::V3);
}

#[test]
fn connections_are_known_by_program_host_process_model_and_role_on_rabbitmq_4() {
    are_known(Release::V4);
}

fn are_known(release: Release) {
    let node = shared(release);
    let programs = Programs::new();
    let model = &programs.model;
    let worker = start(&programs.worker(&node.amqp_url()));
    let slow = format!("{}?heartbeat=25", node.amqp_url());
    let flood = programs.flood(&slow, 10_000).arguments(["--rate", "1"]);
    let mut producer = Producer::flood(&flood).expect("started");
    let mut found = Vec::new();
    poll_until(LIMIT, || {
        found = connections(&node, model);
        (found.len() == 4).then_some(())
    });
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("this is Linux");
    let host = host.trim();
    let expected = [
        (
            format!("ncs-producer {host}/{} ", producer.id()),
            "consuming",
            25,
        ),
        (
            format!("ncs-producer {host}/{} ", producer.id()),
            "publishing",
            25,
        ),
        // Six seconds, unless the address says otherwise.
        (
            format!("ncs-worker {host}/{}-", worker.id()),
            "consuming",
            6,
        ),
        (
            format!("ncs-worker {host}/{}-", worker.id()),
            "publishing",
            6,
        ),
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((name, connection), (who, role, heartbeat)) in found.iter().zip(expected) {
        assert!(name.starts_with(&who), "{name} does not start with {who}");
        assert!(name.ends_with(&format!(" {model} {role}")), "{name}");
        assert_eq!(connection["timeout"], heartbeat, "{connection}");
        assert_eq!(property(connection, "product"), "ncs-fleet");
        assert_eq!(property(connection, "version"), env!("CARGO_PKG_VERSION"));
    }
    producer.interrupt().expect("interrupted");
    producer.finish(LIMIT).expect("finished");
    drain(worker);
}

//! The private node, on a real `RabbitMQ`.
#![cfg(unix)]

use std::fs;
use std::time::Duration;

use ncs_e2e::poll_until;
use ncs_e2e::rabbitmq::{RabbitMq, RabbitMqOptions, speaks_amqp};

#[test]
fn a_killed_node_comes_back_with_its_data_and_a_stopped_one_leaves_nothing_behind() {
    let mut node = RabbitMq::start(RabbitMqOptions::default()).expect("the node starts");
    let addr = node.amqp_addr();
    assert!(speaks_amqp(addr));
    node.ctl(&["add_vhost", "kept"])
        .expect("rabbitmqctl reaches the node");
    // What at-least-once dead-lettering needs on 3.10; nothing to ask for from 4.0 on.
    let flags = node.ctl(&["list_feature_flags"]).expect("feature flags");
    assert!(flags.contains("stream_queue\tenabled"), "{flags}");

    node.kill().expect("the node is killed");
    assert!(!speaks_amqp(addr));
    node.restart().expect("the node starts again");
    assert_eq!(node.amqp_addr(), addr);
    let vhosts = node
        .ctl(&["list_vhosts"])
        .expect("rabbitmqctl reaches the node");
    assert!(vhosts.lines().any(|vhost| vhost == "kept"), "{vhosts}");

    let name = format!("ncs-{}@127.0.0.1", addr.port());
    assert!(
        !processes_of(&name).is_empty(),
        "its processes can be told by its name"
    );
    node.stop().expect("the node stops");
    let left = poll_until(Duration::from_secs(20), || {
        processes_of(&name).is_empty().then_some(())
    });
    assert!(left.is_some(), "left behind: {:?}", processes_of(&name));
    assert!(!speaks_amqp(addr));
}

#[test]
fn a_node_that_cannot_start_says_why() {
    let config = vec!["listeners.tcp.default = nonsense".to_owned()];
    let options = RabbitMqOptions {
        config,
        ..RabbitMqOptions::default()
    };
    let error = RabbitMq::start(options)
        .expect_err("the configuration is wrong")
        .to_string();
    assert!(
        error.starts_with("RabbitMQ ended while starting"),
        "{error}"
    );
    assert!(error.contains("failed_to_prepare_configuration"), "{error}");
}

/// The command lines of the processes that have this node's name in their environment, as all of
/// Erlang's helpers do.
fn processes_of(node_name: &str) -> Vec<String> {
    let wanted = format!("RABBITMQ_NODENAME={node_name}");
    fs::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .filter(|entry| {
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            environment
                .split(|&byte| byte == 0)
                .any(|variable| variable == wanted.as_bytes())
        })
        .map(|entry| fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default())
        .collect()
}

//! The private node, on a real `RabbitMQ` of each release.
#![cfg(unix)]

use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use ncs_broker::{Connection, Message};
use ncs_e2e::paths::Runtime;
use ncs_e2e::poll_until;
use ncs_e2e::proxy::Proxy;
use ncs_e2e::rabbitmq::{RabbitMq, RabbitMqOptions, Release, TREE_WORK_DIR, speaks_amqp};
use ncs_protocol::{ModelName, Properties, topology};

/// For whatever the node does by itself: ending, noticing its alarms.
const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn a_killed_node_of_rabbitmq_3_comes_back_with_its_data_and_a_stopped_one_leaves_nothing_behind() {
    comes_back_after_a_kill_and_leaves_nothing_behind(Release::V3);
}

#[test]
fn a_killed_node_of_rabbitmq_4_comes_back_with_its_data_and_a_stopped_one_leaves_nothing_behind() {
    comes_back_after_a_kill_and_leaves_nothing_behind(Release::V4);
}

#[test]
fn a_node_of_rabbitmq_3_raises_alarms_and_closes_connections_and_leaves_nothing_when_dropped() {
    can_be_troubled_and_dropped(Release::V3);
}

#[test]
fn a_node_of_rabbitmq_4_raises_alarms_and_closes_connections_and_leaves_nothing_when_dropped() {
    can_be_troubled_and_dropped(Release::V4);
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

fn comes_back_after_a_kill_and_leaves_nothing_behind(release: Release) {
    let mut node = start(release);
    let addr = node.amqp_addr();
    assert!(speaks_amqp(addr));
    let version = ctl(&node, &["version"]);
    assert!(version.starts_with(&format!("{release}.")), "{version}");
    // What at-least-once dead-lettering needs on 3.10; nothing to ask for from 4.0 on.
    let flags = ctl(&node, &["list_feature_flags"]);
    assert!(flags.contains("stream_queue\tenabled"), "{flags}");
    block_on(publish_a_job(&node.amqp_url()));

    node.kill().expect("the node is killed");
    assert!(!speaks_amqp(addr));
    node.restart().expect("the node starts again");
    assert_eq!(node.amqp_addr(), addr);
    // A quorum queue first has to find its leader again.
    let kept = poll_until(LIMIT, || {
        let queues = ctl(&node, &["list_queues", "name", "messages"]);
        let kept = queues.lines().any(|line| line == "ncs.jobs.kept\t1");
        kept.then_some(())
    });
    assert!(kept.is_some(), "{}", ctl(&node, &["list_queues"]));

    // The machine that runs Erlang, not what started it: that needs no 30 MB.
    let usage = node.usage().expect("its usage");
    assert!(usage.resident_bytes > 30 << 20, "{usage:?}");
    assert!(usage.cpu_time > Duration::from_millis(500), "{usage:?}");
    assert_leaves_nothing(node, |node| node.stop().expect("the node stops"));
}

fn can_be_troubled_and_dropped(release: Release) {
    let node = start(release);
    assert_alarm(
        &node,
        "memory",
        &["set_vm_memory_high_watermark", "absolute", "1MB"],
        &["set_vm_memory_high_watermark", "0.4"],
    );
    assert_alarm(
        &node,
        "disk",
        &["set_disk_free_limit", "100000GB"],
        &["set_disk_free_limit", "50MB"],
    );
    let network = Proxy::to(node.amqp_addr()).expect("a network");
    block_on(async {
        let connection = connect(&node.amqp_url_through(&network)).await;
        let connections = ctl(&node, &["list_connections", "user"]);
        assert_eq!(connections, "user\nguest\n");
        ctl(&node, &["close_all_connections", "trouble"]);
        let lost = tokio::time::timeout(LIMIT, connection.lost()).await;
        let error = lost.expect("the client notices").to_string();
        assert!(error.contains("trouble"), "{error}");
    });
    assert_leaves_nothing(node, drop);
}

fn start(release: Release) -> RabbitMq {
    RabbitMq::start(release).expect("the node starts")
}

fn ctl(node: &RabbitMq, arguments: &[&str]) -> String {
    node.ctl(arguments).expect("rabbitmqctl reaches the node")
}

fn assert_alarm(node: &RabbitMq, name: &str, set: &[&str], clear: &[&str]) {
    let alarms = || ctl(node, &["eval", "rabbit_alarm:get_alarms()."]);
    let alarm = format!("resource_limit,{name},");
    assert!(!alarms().contains(&alarm), "{}", alarms());
    ctl(node, set);
    let raised = poll_until(LIMIT, || alarms().contains(&alarm).then_some(()));
    assert!(raised.is_some(), "{}", alarms());
    ctl(node, clear);
    let cleared = poll_until(LIMIT, || (!alarms().contains(&alarm)).then_some(()));
    assert!(cleared.is_some(), "{}", alarms());
}

/// Neither processes nor files.
fn assert_leaves_nothing(node: RabbitMq, end: impl FnOnce(RabbitMq)) {
    let addr = node.amqp_addr();
    let name = format!("ncs-{}@127.0.0.1", addr.port());
    let config = format!("listeners.tcp.1 = {addr}\n");
    assert!(
        !processes_of(&name).is_empty() && folders_of(&config).len() == 1,
        "they can be told by its name and port"
    );
    end(node);
    let left = poll_until(LIMIT, || processes_of(&name).is_empty().then_some(()));
    assert!(left.is_some(), "left behind: {:?}", processes_of(&name));
    assert_eq!(folders_of(&config), Vec::<PathBuf>::new());
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc");
    assert!(!mounts.contains("/rabbitmq-"), "{mounts}");
    assert!(!speaks_amqp(addr));
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

/// The folders of nodes with this in their configuration.
fn folders_of(config: &str) -> Vec<PathBuf> {
    let runtime = Runtime::locate().expect("the runtime");
    let parents = [
        runtime.dir().join("run"),
        runtime.rabbitmq_dir(3).join(TREE_WORK_DIR),
        runtime.rabbitmq_dir(4).join(TREE_WORK_DIR),
    ];
    parents
        .iter()
        .filter_map(|parent| fs::read_dir(parent).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
        .filter(|dir| {
            let written = fs::read_to_string(dir.join("rabbitmq.conf")).unwrap_or_default();
            written.contains(config)
        })
        .collect()
}

/// Into a queue as workers declare it.
async fn publish_a_job(amqp_url: &str) {
    let model: ModelName = "kept".parse().expect("a model's name");
    let connection = connect(amqp_url).await;
    let declared = connection.declare(&topology::for_worker(&model)).await;
    declared.expect("declared");
    let publisher = connection.publisher().await.expect("a publisher");
    let message = Message {
        exchange: topology::JOBS_EXCHANGE.to_owned(),
        routing_key: model.to_string(),
        mandatory: true,
        properties: Properties::default(),
        body: b"job".to_vec(),
    };
    let confirm = publisher.publish(&message).await.expect("published");
    let confirmed = confirm.confirmed().await.expect("confirmed");
    assert!(confirmed.accepted && confirmed.returned.is_none());
    connection.close().await;
}

async fn connect(amqp_url: &str) -> Connection {
    let address = amqp_url.parse().expect("an address");
    let connection = Connection::open(&address, "test").await;
    connection.expect("the broker answers")
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("an async runtime").block_on(future)
}

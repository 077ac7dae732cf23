//! With the management API: every queue, rates, who works where; and what is said where it is not to be
//! had.

use crate::bed::{drain, unique};
use crate::certificates::Authority;
use crate::place::{Place, queue};
use ncs_e2e::free_port;
use ncs_e2e::producer::{FloodOptions, Producer};
use ncs_e2e::rabbitmq::{RabbitMqOptions, Release};
use ncs_protocol::topology::{DEAD, jobs_queue};
use serde_json::Value;

#[test]
fn the_management_api_tells_queues_rates_and_hosts_on_rabbitmq_3() {
    queues_rates_and_hosts(Release::V3);
}

#[test]
fn the_management_api_tells_queues_rates_and_hosts_on_rabbitmq_4() {
    queues_rates_and_hosts(Release::V4);
}

fn queues_rates_and_hosts(release: Release) {
    let place = Place::managed(release);
    let url = place.management_url();
    let asked = ["--management-url", &*url];
    place.declare();
    place.expire();
    let jobs = jobs_queue(&place.name());
    let (sticks, worker) = place.worker(2);
    // More than two sticks can do, so that some wait.
    let photos = crate::bed::runtime().small_photos_dir().into_os_string();
    let flood = FloodOptions::new(&place.model, &place.node.amqp_url())
        .arguments(["--images".into(), photos])
        .arguments(["--duration", "170s", "--window", "64", "--timeout", "170s"]);
    let mut flood = Producer::flood(&flood).expect("started");

    let look = place.wait_for(&asked, |look| {
        let done = queue(look, &jobs)["acked_per_second"].as_f64();
        let in_hand = look["hosts"][0]["in_hand"].as_u64();
        done.is_some_and(|rate| rate > 20.0)
            && queue(look, &jobs)["ready"].as_u64() > Some(0)
            && in_hand > Some(0)
    });
    let seen = queue(&look, &jobs);
    assert_eq!(seen["model"], *place.model);
    assert_eq!(seen["consumers"], 1);
    assert!(seen["in_hand"].as_u64() <= Some(8), "{seen}");
    assert!(seen["published_per_second"].as_f64() > Some(20.0), "{seen}");
    assert!(seen["delivered_per_second"].as_f64() > Some(20.0), "{seen}");
    // No release tells it of quorum queues.
    assert_eq!(seen["oldest_age_seconds"], Value::Null);
    for guess in ["oldest_age_estimate_seconds", "time_left_estimate_seconds"] {
        let seconds = seen[guess].as_f64().expect("a guess");
        assert!((0.0..5.0).contains(&seconds), "{guess} in {seen}");
    }
    assert_eq!(queue(&look, DEAD)["ready"], 1);
    assert_eq!(look["management"]["problem"], Value::Null);
    let hosts = look["hosts"].as_array().expect("hosts");
    assert_eq!(hosts.len(), 1, "{look}");
    assert_eq!(hosts[0]["name"], *this_host());
    for (figure, expected) in [("workers", 1), ("consuming", 1), ("prefetch", 8)] {
        assert_eq!(hosts[0][figure], expected, "{figure} in {look}");
    }
    assert_eq!(hosts[0]["models"][0], *place.model);

    let said = place.status(&asked);
    said.assert_ends_with(0);
    said.assert_says("1 queue of a producer's own, with ");
    said.assert_says("dead letters: see ncs-producer dead list\n");
    let of_another = place.status(&[&asked[..], &["--model", "another"]].concat());
    of_another.assert_ends_with(1);
    assert!(!of_another.stdout.contains(&place.model), "{of_another:?}");
    let all = place.status(&[&asked[..], &["--all"]].concat());
    all.assert_says("\nncs.results.");

    // A worker without sticks is there still, and takes nothing.
    flood.interrupt().expect("interrupted");
    flood.finish(crate::bed::LIMIT).expect("finished");
    sticks.unplug_all().expect("unplugged");
    let idle = place.wait_for(&asked, |look| look["hosts"][0]["consuming"] == 0);
    assert_eq!(idle["hosts"][0]["workers"], 1, "{idle}");
    sticks.plug_in_all().expect("plugged in");
    drain(worker);
    place.wait_for(&asked, |look| look["hosts"] == Value::from([(); 0]));
}

/// As a worker names it.
fn this_host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("Linux");
    name.trim().to_owned()
}

#[test]
fn a_user_without_the_tag_is_told_what_is_missing_and_sees_the_rest_on_rabbitmq_3() {
    without_the_tag(Release::V3);
}

#[test]
fn a_user_without_the_tag_is_told_what_is_missing_and_sees_the_rest_on_rabbitmq_4() {
    without_the_tag(Release::V4);
}

fn without_the_tag(release: Release) {
    let place = Place::managed(release);
    place.declare();
    let (ann, password) = (unique("ann"), unique("s3cret"));
    let ctl = |arguments: &[&str]| place.node.ctl(arguments).expect("rabbitmqctl succeeds");
    ctl(&["add_user", &ann, &password]);
    ctl(&["set_permissions", &ann, ".*", ".*", ".*"]);
    let amqp = format!("amqp://{ann}:{password}@{}", place.node.amqp_addr());
    let (url, model) = (place.management_url(), place.model.clone());
    let asked = [
        "--amqp-url",
        &*amqp,
        "--management-url",
        &*url,
        "--model",
        &*model,
    ];

    let said = place.status(&asked);
    said.assert_ends_with(0);
    said.assert_says("\nerror: no rates and jobs in hand: RabbitMQ's management API at ");
    said.assert_says("rabbitmqctl set_user_tags USER monitoring\n");
    said.assert_says(&format!("\n{model} "));
    assert!(!format!("{said:?}").contains(&password), "{said:?}");

    // `management` lets it see the queues, but no worker's connections.
    let (_sticks, worker) = place.worker(1);
    ctl(&["set_user_tags", &ann, "management"]);
    let look = place.wait_for(&asked, |look| {
        look["management"]["problem"] == Value::Null
            && queue(look, &jobs_queue(&place.name()))["consumers"] == 1
    });
    // The worker says itself that it is there; what it has in hand, only the connections' figures tell.
    assert_eq!(look["hosts"][0]["in_hand"], Value::Null, "{look}");
    place
        .status(&asked)
        .assert_says("note: the management API shows this user none of the workers");
    ctl(&["set_user_tags", &ann, "monitoring"]);
    place.wait_for(&asked, |look| look["hosts"][0]["in_hand"].is_u64());
    drain(worker);
}

#[test]
fn where_the_management_api_is_said_to_be_and_is_not_is_an_error_beside_what_amqp_tells() {
    let place = Place::on(Release::Installed);
    place.declare();
    let nowhere = format!("http://127.0.0.1:{}", free_port().expect("a port"));
    let amqp = format!("http://{}", place.node.amqp_addr());
    for (url, why) in [
        (&nowhere, "nobody listens there"),
        (&amqp, "it speaks no HTTP"),
    ] {
        let said = place.status(&["--model", &place.model, "--management-url", url]);
        said.assert_ends_with(0);
        said.assert_says("\nerror: no rates and jobs in hand: ");
        said.assert_says(why);
        said.assert_says(&format!("\n{} ", place.model));
        let look = place.json(&["--model", &place.model, "--management-url", url]);
        let problem = look["management"]["problem"].as_str().expect("a problem");
        assert!(problem.contains(why), "{problem}");
    }
    let said = place.status(&["--management-url", "http://ann:s3cret@rabbit:15672"]);
    said.assert_ends_with(69);
    said.assert_says("takes no user and password");
    assert!(!said.stderr.contains("s3cret"), "{said:?}");
}

#[test]
fn with_tls_the_management_api_must_be_vouched_for_by_the_same_ca() {
    let authority = Authority::new("fleet");
    let server = authority.server(&["localhost"]);
    let (amqps, https) = (free_port().expect("a port"), free_port().expect("a port"));
    let (ca, pair) = (authority.certificate.display(), &server);
    let mut config = vec![format!("listeners.ssl.1 = 127.0.0.1:{amqps}")];
    config.push(format!("management.ssl.port = {https}"));
    config.push("management.ssl.ip = 127.0.0.1".to_owned());
    for of in ["ssl_options", "management.ssl"] {
        config.push(format!("{of}.cacertfile = {ca}"));
        config.push(format!("{of}.certfile = {}", pair.certificate.display()));
        config.push(format!("{of}.keyfile = {}", pair.key.display()));
    }
    let place = Place::on(RabbitMqOptions {
        management: true,
        config,
        ..RabbitMqOptions::default()
    });
    place.declare();
    let amqp = format!("amqps://guest:guest@localhost:{amqps}");
    let url = format!("https://localhost:{https}");
    let ca = ca.to_string();
    let trusting = ["--amqp-url", &*amqp, "--tls-ca", &*ca];
    let look = place.json(&[&trusting[..], &["--management-url", &url]].concat());
    assert_eq!(look["management"]["problem"], Value::Null, "{look}");
    assert_eq!(queue(&look, &jobs_queue(&place.name()))["ready"], 0);

    // Over AMQP without TLS, the CA is not given, and the system's do not vouch for it.
    let look = place.json(&["--management-url", &url]);
    let problem = look["management"]["problem"].as_str().expect("a problem");
    assert!(problem.contains("cannot be trusted"), "{problem}");
    assert!(problem.contains("--tls-ca"), "{problem}");
}

#[test]
fn jobs_that_were_sent_before_the_broker_restarted_are_seen_without_rates() {
    let mut place = Place::managed(Release::Installed);
    place.declare();
    let lasting = ncs_protocol::Properties {
        persistent: true,
        ..Default::default()
    };
    place.send(5, &lasting);
    ncs_e2e::rabbitmq::wait_out_young_queues();
    place.node.restart().expect("restarted");
    let url = place.management_url();
    let jobs = jobs_queue(&place.name());
    let look = place.wait_for(&["--management-url", &url], |look| {
        look["management"]["problem"] == Value::Null
    });
    let seen = queue(&look, &jobs);
    assert_eq!(seen["ready"], 5, "{look}");
    assert_eq!(seen["oldest_age_estimate_seconds"], Value::Null);
}

//! Workers announce themselves: `status` shows them with AMQP alone, and `targets` lists them for Prometheus.

use crate::bed::{LIMIT, drain};
use crate::place::Place;
use ncs_e2e::http::http_get;
use ncs_e2e::poll_until;
use ncs_e2e::rabbitmq::Release;
use ncs_e2e::targets::Targets;
use serde_json::Value;
use std::net::SocketAddr;

#[test]
fn amqp_alone_tells_hosts_and_their_devices_on_rabbitmq_3() {
    hosts_and_devices(Release::V3);
}

#[test]
fn amqp_alone_tells_hosts_and_their_devices_on_rabbitmq_4() {
    hosts_and_devices(Release::V4);
}

fn hosts_and_devices(release: Release) {
    let place = Place::on(release);
    let asked = ["--no-management", "--model", &*place.model];
    let (sticks, worker) = place.worker(2);
    let look = place.json(&asked);
    let seen = &look["workers"][0];
    let expected = [
        ("model", Value::from(&*place.model)),
        ("state", "serving".into()),
        ("devices", 2.into()),
        ("lost", 0.into()),
        ("prefetch", 8.into()),
        ("metrics", worker.metrics_addr().to_string().into()),
    ];
    for (figure, value) in expected {
        assert_eq!(seen[figure], value, "{figure} in {look:#}");
    }
    let host = &look["hosts"][0];
    assert_eq!(host["name"], seen["host"], "{look:#}");
    for (figure, value) in [
        ("workers", 1),
        ("consuming", 1),
        ("prefetch", 8),
        ("devices", 2),
    ] {
        assert_eq!(host[figure], value, "{figure} in {look:#}");
    }
    assert_eq!(host["in_hand"], Value::Null, "AMQP does not tell it");

    sticks.unplug("1.1").expect("unplugged");
    place.wait_for(&asked, |look| {
        let host = &look["hosts"][0];
        (&host["devices"], &host["lost"]) == (&1.into(), &1.into())
    });
    place.status(&asked).assert_says(" 1 (1 lost)  ");
    let of_another = place.json(&["--no-management"]);
    assert_eq!(
        of_another["workers"][0]["lost"], 1,
        "no model need be named"
    );

    drain(worker);
    let look = place.json(&asked);
    assert_eq!(look["workers"], Value::from([(); 0]), "it has said goodbye");
    assert_eq!(look["hosts"], Value::Null);
}

/// The list; `None` while there is none.
fn list(at: SocketAddr) -> Option<Vec<Value>> {
    let page = http_get(at, "/targets").expect("it answers");
    (page.status == 200).then(|| serde_json::from_str(&page.body).expect("a list"))
}

fn wait_for_list(at: SocketAddr, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let mut last = None;
    let seen = poll_until(LIMIT, || {
        last = list(at);
        last.clone().filter(|list| wanted(list))
    });
    seen.unwrap_or_else(|| panic!("not as wanted: {last:?}"))
}

#[test]
fn prometheus_is_told_which_workers_there_are_through_kills_and_a_restart_of_the_broker() {
    let mut place = Place::on(Release::Installed);
    let url = place.node.amqp_url();
    let mut serving = Targets::start(&url, &["--forget-after", "7s"]).expect("it serves");
    let at = serving.addr();
    assert_eq!(list(at), None, "nobody has had a chance to speak");
    let ((_one, first), (_two, mut second)) = (place.worker(1), place.worker(1));
    let found = wait_for_list(at, |list| list.len() == 2);
    let addresses: Vec<_> = found.iter().map(|group| &group["targets"][0]).collect();
    for worker in [&first, &second] {
        let address = Value::from(worker.metrics_addr().to_string());
        assert!(addresses.contains(&&address), "{found:?}");
    }
    assert_eq!(found[0]["labels"]["model"], *place.model);
    assert!(found[0]["labels"]["host"].is_string(), "{found:?}");

    // What cannot be heard is not gone.
    ncs_e2e::rabbitmq::wait_out_young_queues();
    place.node.shut_down().expect("ended");
    let told = poll_until(LIMIT, || {
        serving.stderr().contains("trying until").then_some(())
    });
    told.expect("the outage is told");
    assert_eq!(list(at).map(|list| list.len()), Some(2));
    place.node.restart().expect("back");
    wait_for_list(at, |list| list.len() == 2);

    // One that ends in order goes at once, one that is lost after its time.
    drain(first);
    wait_for_list(at, |list| list.len() == 1);
    second.kill().expect("killed");
    wait_for_list(at, <[Value]>::is_empty);
    serving.interrupt().expect("interrupted");
    let status = serving.wait_with_limit(LIMIT).expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", serving.last_words());
}

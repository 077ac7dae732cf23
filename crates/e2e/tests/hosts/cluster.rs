//! A broker that is a cluster of three nodes, one of which dies under load.

use crate::bed::{LIMIT, assert_still_flooding, drain, runtime, unique};
use crate::beside_others;
use crate::fleet::{assert_all_answered, quick_sticks, wait_for_more};
use ncs_e2e::paths::GOOGLENET_U8;
use ncs_e2e::poll_until;
use ncs_e2e::producer::{FloodOptions, Producer};
use ncs_e2e::rabbitmq::{Cluster, Release, wait_out_young_queues};
use ncs_e2e::worker::Worker;

const NODES: usize = 3;
const JOBS: u64 = 12_000;

#[test]
fn the_leader_of_a_cluster_is_killed_under_load_and_no_job_is_lost_on_rabbitmq_3() {
    leader_is_killed(Release::V3);
}

#[test]
fn the_leader_of_a_cluster_is_killed_under_load_and_no_job_is_lost_on_rabbitmq_4() {
    leader_is_killed(Release::V4);
}

fn leader_is_killed(release: Release) {
    let _others = beside_others();
    let mut cluster = Cluster::start(release, NODES).expect("a cluster");
    let model = unique("cluster");
    let queue = format!("ncs.jobs.{model}");
    let sticks = [quick_sticks(2), quick_sticks(2)];
    let workers = sticks.each_ref().map(|sticks| {
        let ir = runtime().model(GOOGLENET_U8).expect("the model");
        let options = sticks
            .worker(ir, &cluster.amqp_url())
            .arguments(["--model-name", &model]);
        Worker::start(&options).expect("ready")
    });
    let (leader, members) = cluster.leader(&queue, 0).expect("a queue");
    assert_eq!(members, NODES, "the jobs are on each node");
    wait_out_young_queues();

    let jobs = JOBS.to_string();
    let photos = runtime().small_photos_dir().into_os_string();
    let flood = FloodOptions::new(&model, &cluster.amqp_url())
        .arguments(["--images".into(), photos])
        .arguments(["--jobs", &jobs, "--timeout", "120s"]);
    let mut flood = Producer::flood(&flood).expect("started");
    for worker in &workers {
        wait_for_more(worker, 300.0);
    }
    cluster.nodes_mut()[leader].kill().expect("killed");
    assert_still_flooding(&mut flood);
    for worker in &workers {
        wait_for_more(worker, 300.0);
    }
    let survivor = (leader + 1) % NODES;
    let new = poll_until(LIMIT, || {
        let (new, _) = cluster.leader(&queue, survivor).ok()?;
        (new != leader).then_some(new)
    });
    assert!(new.is_some(), "another node leads");

    // It comes back while they work, and takes part again.
    cluster.nodes_mut()[leader].restart().expect("restarted");
    let twice = assert_all_answered(flood, JOBS);
    println!("{twice} jobs were answered twice");
    for worker in workers {
        drain(worker);
    }
    cluster.stop().expect("stopped");
}
